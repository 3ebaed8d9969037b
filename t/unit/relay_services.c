/* The list of services: its files are there, and what has to be done follows
 * from what has changed and what runs. */
#include "tap.h"

#include "base/assets.h"
#include "base/str.h"
#include "host/relay_services.h"

#define UNITS "conf-templates/systemd/"

static struct relay *relay_of(const char *more)
{
	struct buf text = BUF_INIT, warnings = BUF_INIT, err = BUF_INIT;
	struct relay *r;

	buf_addf(&text, "[params]\nmail_domain = chat.example\n%s", more);
	r = relay_parse("chatmail.ini", text.data, text.len, &warnings, &err);
	tap_ok(r != NULL, "chatmail.ini%s", err.data);
	buf_free(&text);
	buf_free(&warnings);
	buf_free(&err);
	return r;
}

/* ---- the files ------------------------------------------------------------------ */

static unsigned times_listed(const char *unit)
{
	size_t count, len = strlen(unit);
	const struct relay_service *s = relay_services(&count);
	unsigned n = 0;

	for (size_t i = 0; i < count; i++) {
		const char *p = s[i].units;

		for (; p && (p = strstr(p, unit)); p += len)
			n += (p == s[i].units || p[-1] == ' ') &&
			     (!p[len] || p[len] == ' ');
	}
	return n;
}

static void test_files(void)
{
	size_t count;
	const struct asset *a = assets_all(&count);
	const struct relay_service *s;

	for (size_t i = 0; i < count; i++)
		if (str_starts(a[i].name, UNITS))
			tap_ok(times_listed(a[i].name + strlen(UNITS)) == 1,
			       "%s is in the list, once", a[i].name);
	s = relay_services(&count);
	for (size_t i = 0; i < count; i++) {
		struct buf name = BUF_INIT;
		const char *p = s[i].units;

		while (p && *p) {
			size_t n = strcspn(p, " ");

			buf_setf(&name, UNITS "%.*s", (int)n, p);
			tap_ok(asset_find(name.data) != NULL, "%s is there",
			       name.data);
			p += n + (p[n] == ' ');
		}
		tap_ok(s[i].starts[0] != NULL, "%s: can be started",
		       s[i].name);
		tap_ok(relay_service_find(s[i].name) == &s[i],
		       "%s: is there once", s[i].name);
		buf_free(&name);
	}
}

/* ---- what a change means --------------------------------------------------------- */

static const struct {
	const char *service, *path;
	unsigned want;
} needs[] = {
	{ "doveauth", "/usr/local/bin/chatmail", TODO_RESTART },
	/* settings are looked at one by one */
	{ "doveauth", "/etc/chatmail/chatmail.ini", 0 },
	{ "doveauth", "/etc/systemd/system/doveauth.service", TODO_RESTART },
	{ "doveauth", "/etc/systemd/system/doveauth.socket", TODO_SOCKETS },
	{ "doveauth", "/etc/systemd/system/lastlogin.service", 0 },
	{ "doveauth", "/etc/dovecot/dovecot.conf", 0 },
	{ "chatmail-dkim", "/etc/dkimkeys/opendkim.private", TODO_RELOAD },
	{ "dovecot", "/etc/dovecot/dovecot.conf", TODO_RESTART },
	{ "dovecot", "/etc/dovecot", 0 },
	{ "dovecot", "/var/lib/acme/live/chat.example/fullchain",
	  TODO_RELOAD },
	{ "dovecot", "/etc/systemd/system/dovecot.service.d/10-chatmail.conf",
	  TODO_RESTART },
	{ "postfix", "/etc/postfix/main.cf", TODO_RESTART },
	{ "postfix", "/etc/postfix/login_map", TODO_RELOAD },
	{ "postfix", "/etc/postfix/main.cf.new", TODO_RELOAD },
	{ "postfix", "/etc/resolv.conf", TODO_RESTART },
	{ "postfix", "/usr/local/bin/chatmail", 0 },
	{ "nginx", "/etc/nginx/nginx.conf", TODO_RELOAD },
	{ "coturn", "/etc/turnserver.conf", TODO_RESTART },
	{ "coturn", "/etc/chatmail-turn/secret", 0 },
	{ "coturn", "/etc/systemd/system/coturn.service.d/10-chatmail.conf",
	  TODO_RESTART },
	{ "chatmail-turn", "/etc/chatmail-turn/secret", TODO_RESTART },
	{ "chatmail-turn", "/usr/local/bin/chatmail", TODO_RESTART },
	{ "turnserver", "/etc/turnserver.conf", 0 },
	{ "chatmail-expire", "/etc/systemd/system/chatmail-expire.service", 0 },
	{ "chatmail-expire", "/etc/systemd/system/chatmail-expire.timer",
	  TODO_SOCKETS },
	{ "chatmail-expire", "/usr/local/bin/chatmail", 0 },
};

static void test_needs(const struct layout *l)
{
	for (size_t i = 0; i < ARRAY_LEN(needs); i++)
		tap_ok(relay_service_need(relay_service_find(needs[i].service),
					  l, needs[i].path) == needs[i].want,
		       "%s: %s", needs[i].service, needs[i].path);
}

/* ---- what is left to do ------------------------------------------------------------ */

/* A manager with the states of one line: a letter for each name, in order. */
struct told {
	struct host_services h;
	const char *states;
	struct buf done;
};

static int told_states(const struct host_services *h, const char *const *names,
		       size_t n, struct service_state *states, struct buf *err)
{
	const struct told *t = container_of(h, struct told, h);

	for (size_t i = 0; i < n; i++) {
		char c = t->states[i];

		states[i] = (struct service_state){
			.is = ascii_lower(c) == 'r' ? SERVICE_RUNNING :
			      ascii_lower(c) == 'f' ? SERVICE_FAILED :
			      ascii_lower(c) == 's' ? SERVICE_STOPPED :
			      SERVICE_ABSENT,
			/* capitals are not enabled */
			.at_boot = c == ascii_lower(c) && c != 'a',
		};
	}
	return 0;
}

/* Running and enabled is "r"; "R" runs only. service, states, need, words of
 * what is to be done; then what the manager is told, by a letter each. */
static const struct {
	const char *service, *states;
	unsigned need;
	const char *todo, *done;
} todos[] = {
	{ "doveauth", "rr", 0, "", "" },
	{ "doveauth", "rr", TODO_RESTART, "restart", "restart doveauth;" },
	{ "doveauth", "rr", TODO_RELOAD, "reload", "reload doveauth;" },
	{ "doveauth", "rr", TODO_RELOAD | TODO_RESTART, "restart",
	  "restart doveauth;" },
	{ "doveauth", "rs", TODO_RESTART, "start", "start doveauth;" },
	{ "doveauth", "Sr", 0, "enable, start anew",
	  "enable doveauth.socket;enable doveauth;stop doveauth;"
	  "restart doveauth.socket;start doveauth;" },
	{ "doveauth", "rr", TODO_SOCKETS | TODO_RESTART, "start anew",
	  "stop doveauth;restart doveauth.socket;start doveauth;" },
	{ "doveauth", "rf", 0, "reset, start",
	  "reset doveauth.socket;reset doveauth;start doveauth;" },
	{ "opendkim", "r", 0, "stop, disable", "stop opendkim;"
	  "disable opendkim;" },
	{ "opendkim", "s", 0, "disable", "disable opendkim;" },
	{ "opendkim", "S", 0, "", "" },
	{ "opendkim", "R", 0, "stop, disable", "stop opendkim;"
	  "disable opendkim;" },
	{ "opendkim", "F", 0, "disable, reset", "disable opendkim;"
	  "reset opendkim;" },
	{ "opendkim", "A", TODO_RESTART, "", "" },
	{ "fcgiwrap", "rA", 0, "stop, disable",
	  "stop fcgiwrap.socket;stop fcgiwrap;"
	  "disable fcgiwrap.socket;disable fcgiwrap;" },
	{ "iroh-relay", "r", TODO_RESTART, "restart", "restart iroh-relay;" },
	{ "chatmail-metrics", "rr", 0, "stop, disable",
	  "stop chatmail-metrics.socket;stop chatmail-metrics;"
	  "disable chatmail-metrics.socket;disable chatmail-metrics;" },
	{ "postfix", "rr", 0, "", "" },
	{ "postfix", "rA", 0, "", "" },
	/* its shell is active, its processes are gone */
	{ "postfix", "rf", 0, "restart", "restart postfix;start postfix@-;" },
	{ "postfix", "rr", TODO_RESTART, "restart",
	  "restart postfix;start postfix@-;" },
	{ "postfix", "rA", TODO_RESTART, "restart", "restart postfix;" },
	{ "chatmail-expire", "S", 0, "enable, start anew",
	  "enable chatmail-expire.timer;restart chatmail-expire.timer;" },
	{ "chatmail-acme", "r", TODO_SOCKETS, "start anew",
	  "restart chatmail-acme.timer;" },
	{ "tls-cert-reload", "r", 0, "stop, disable",
	  "stop tls-cert-reload.path;disable tls-cert-reload.path;" },
};

#define TOLD(verb)							\
static int told_##verb(const struct host_services *h, const char *name,	\
		       struct buf *err)					\
{									\
	buf_addf(&container_of((struct host_services *)h, struct told,	\
			       h)->done, #verb " %s;", name);		\
	return 0;							\
}
TOLD(enable)
TOLD(disable)
TOLD(start)
TOLD(stop)
TOLD(restart)
TOLD(reload)
TOLD(reset)

static struct told manager(const char *states)
{
	struct told t = {
		.h = { .name = "told", .has_activation = true,
		       .states = told_states, .enable = told_enable,
		       .disable = told_disable, .start = told_start,
		       .stop = told_stop, .restart = told_restart,
		       .reload = told_reload, .reset = told_reset },
		.states = states, .done = BUF_INIT,
	};

	return t;
}

static void test_todos(const struct layout *l)
{
	for (size_t i = 0; i < ARRAY_LEN(todos); i++) {
		const struct relay_service *s =
			relay_service_find(todos[i].service);
		struct told t = manager(todos[i].states);
		struct buf words = BUF_INIT, err = BUF_INIT, name = BUF_INIT;
		unsigned todo;

		buf_addf(&name, "%s %s %u", s->name, t.states, todos[i].need);
		tap_ok(relay_service_todo(s, l, &t.h, todos[i].need, &todo,
					  &err) == 0, "%s", name.data);
		relay_todo_words(&words, todo);
		tap_is(words.data, todos[i].todo, name.data);
		tap_ok(relay_service_do(s, &t.h, todo, &err) == 0, "%s: done",
		       name.data);
		tap_is(t.done.data, todos[i].done, name.data);
		buf_free(&words);
		buf_free(&err);
		buf_free(&name);
		buf_free(&t.done);
	}
}

/* Without sockets, as a manager may be. */
static void test_no_activation(const struct layout *l)
{
	const struct relay_service *s = relay_service_find("doveauth");
	struct told t = manager("s");
	struct buf err = BUF_INIT;
	unsigned todo;

	t.h.has_activation = false;
	tap_ok(relay_service_todo(s, l, &t.h, 0, &todo, &err) == 0 &&
	       todo == TODO_START, "no sockets: it is started");
	tap_ok(relay_service_do(s, &t.h, todo | TODO_SOCKETS, &err) == 0,
	       "no sockets: done");
	tap_is(t.done.data, "stop doveauth;start doveauth;",
	       "no sockets: nobody is told of one");
	buf_free(&t.done);
	buf_free(&err);
}

/* No mail is refused for want of a service longer than it takes to start the
 * one that follows. */
static void test_order(void)
{
	static const struct {
		const char *name, *follows;
	} cases[] = {
		{ "doveauth-dictproxy", "doveauth" },
		{ "opendkim", "chatmail-dkim" },
		{ "postfix", "filtermail-transport" },
		{ "acmetool-reconcile", "nginx" },
		{ "nginx", "fcgiwrap" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_ok(relay_service_find(cases[i].name) + 1 ==
		       relay_service_find(cases[i].follows),
		       "%s, and at once %s", cases[i].name, cases[i].follows);
}

int main(void)
{
	struct relay *r = relay_of("");
	struct relay *more = relay_of("metrics_address = 127.0.0.1\n"
		"mtail_address = 127.0.0.1\n"
		"tls_external_cert_and_key = /a /b\n");
	struct layout l;

	test_files();
	test_order();
	layout_init(&l, r);
	test_needs(&l);
	test_todos(&l);
	test_no_activation(&l);
	tap_ok(!relay_service_is_wanted(relay_service_find("mtail"), r) &&
	       relay_service_is_wanted(relay_service_find("mtail"), more),
	       "mtail is wanted with mtail_address");
	tap_ok(!relay_service_is_wanted(relay_service_find("chatmail-acme"),
					more) &&
	       relay_service_is_wanted(relay_service_find("tls-cert-reload"),
				       more),
	       "an external certificate is watched");
	layout_free(&l);
	relay_free(r);
	relay_free(more);
	return tap_done();
}
