#include "host/relay_services.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "text/tmpl.h"

#define UNITS_DIR "/etc/systemd/system/"
/* With its socket kept open a role's restart costs nothing, but only what
 * concerns it is a reason; t/4400 looks for settings that are missing here. */
#define OWN "{{ chatmail_bin }}"
#define SETTINGS "mail_domain mailboxes_dir vmail_user metrics_dir "
#define SETTINGS_FILTER SETTINGS "max_message_size " \
	"max_user_send_per_minute max_user_send_burst_size "
#define SETTINGS_NAMES SETTINGS "username_min_length username_max_length " \
	"password_min_length nocreate_file "
#define CERTIFICATE "{{ tls_cert_path }} {{ tls_key_path }}"

static bool with_acme(const struct relay *r)
{
	return r->tls_mode == TLS_ACME;
}

static bool with_external_certificate(const struct relay *r)
{
	return r->tls_mode == TLS_EXTERNAL;
}

static bool with_metrics(const struct relay *r)
{
	return *r->s.metrics_address;
}

static bool with_echobot(const struct relay *r)
{
	return r->s.echobot;
}

static bool with_mtail(const struct relay *r)
{
	return *r->s.mtail_address;
}

/* systemd's link, which is there when a service starts at boot: what an
 * earlier relay has is kept then, whether it runs just now or not. */
static bool is_kept(const char *name)
{
	struct buf path = BUF_INIT;
	struct stat st;
	bool ret;

	buf_addf(&path, UNITS_DIR "multi-user.target.wants/%s.service", name);
	ret = lstat(path.data, &st) == 0;
	buf_free(&path);
	return ret;
}

/* Where chatmail-turn serves calls it goes on: they would end with it, and
 * apps have credentials of it for days. */
bool relay_turn_is_kept(const struct relay *r)
{
	return *r->s.turn_socket_path && is_kept("turnserver");
}

static bool with_turn(const struct relay *r)
{
	return *r->s.turn_socket_path && !relay_turn_is_kept(r);
}

static bool with_iroh_relay(const struct relay *r)
{
	return r->own_iroh_relay;
}

/* What an earlier relay has ends just before what takes its place, or after
 * the last that uses it, so that mail is taken meanwhile. */
static const struct relay_service services[] = {
	{ "systemd-journald", "log", RELAY_FOREIGN, { "systemd-journald" },
	  .restart_on = "/etc/systemd/journald.conf.d/60-chatmail.conf",
	  .manager = "systemd" },
	{ "syslog", "log", RELAY_FOREIGN, { "syslog" },
	  .restart_on = "{{ syslog_conf }}", .manager = "openrc" },
	{ "cron", "starts what is done daily", RELAY_FOREIGN, { "cron" },
	  .manager = "openrc" },
	{ "unbound", "names", RELAY_FOREIGN, { "unbound" },
	  .restart_on = "/etc/unbound/" },
	{ "doveauth-dictproxy", "accounts, before doveauth", RELAY_OLD,
	  { "doveauth-dictproxy" } },
	{ "doveauth", "accounts", RELAY_OURS, { "doveauth.socket", "doveauth" },
	  .units = "doveauth.socket doveauth.service", .restart_on = OWN,
	  .settings = SETTINGS_NAMES "max_load_1m min_available_memory "
		      "min_free_disk_space echobot echobot_password_path" },
	{ "lastlogin", "days of logins", RELAY_OURS,
	  { "lastlogin.socket", "lastlogin" },
	  .units = "lastlogin.socket lastlogin.service", .restart_on = OWN,
	  .settings = SETTINGS },
	{ "chatmail-metadata", "push notifications", RELAY_OURS,
	  { "chatmail-metadata.socket", "chatmail-metadata" },
	  .units = "chatmail-metadata.socket chatmail-metadata.service",
	  .restart_on = OWN,
	  .settings = SETTINGS "notification_url turn_socket_path "
		      "iroh_relay" },
	{ "opendkim", "signatures, before chatmail-dkim", RELAY_OLD,
	  { "opendkim" } },
	{ "chatmail-dkim", "signatures", RELAY_OURS,
	  { "chatmail-dkim.socket", "chatmail-dkim" },
	  .units = "chatmail-dkim.socket chatmail-dkim.service",
	  .restart_on = OWN,
	  .settings = SETTINGS "dkim_dns_server", .reload_on = "/etc/dkimkeys/" },
	{ "filtermail", "check of outgoing mail", RELAY_OURS,
	  { "filtermail.socket", "filtermail" },
	  .units = "filtermail.socket filtermail.service", .restart_on = OWN,
	  .settings = SETTINGS_FILTER "filtermail_smtp_port "
		      "postfix_reinject_port" },
	{ "filtermail-incoming", "check of incoming mail", RELAY_OURS,
	  { "filtermail-incoming.socket", "filtermail-incoming" },
	  .units = "filtermail-incoming.socket filtermail-incoming.service",
	  .restart_on = OWN,
	  .settings = SETTINGS_FILTER
		      "filtermail_smtp_port_incoming "
		      "postfix_reinject_port_incoming" },
	{ "chatmail-newemail", "fresh addresses", RELAY_OURS,
	  { "chatmail-newemail.socket", "chatmail-newemail" },
	  .units = "chatmail-newemail.socket chatmail-newemail.service",
	  .restart_on = OWN,
	  .settings = SETTINGS_NAMES "tls_cert_mode" },
	{ "chatmail-metrics", "figures", RELAY_OURS,
	  { "chatmail-metrics.socket", "chatmail-metrics" },
	  .units = "chatmail-metrics.socket chatmail-metrics.service",
	  .restart_on = OWN,
	  .settings = SETTINGS, .is_wanted = with_metrics },

	{ "dovecot", "mailboxes, IMAP", RELAY_FOREIGN, { "dovecot" },
	  .units = "dovecot.service.d/10-chatmail.conf",
	  .restart_on = "{{ dovecot_config_dir }}/ {{ imap_notify_library }}",
	  .reload_on = CERTIFICATE },
	/* Debian 12's processes are those of postfix@-; its copies of the
	 * resolver's files in the chroot are made at a start */
	{ "postfix", "transport of mail, SMTP", RELAY_FOREIGN, { "postfix" },
	  .units = "postfix@-.service.d/10-chatmail.conf "
		   "postfix.service.d/10-chatmail.conf",
	  .restart_on = "{{ postfix_config_dir }}/main.cf "
			"{{ postfix_config_dir }}/master.cf "
			"/etc/resolv.conf /etc/hosts",
	  .reload_on = "{{ postfix_config_dir }}/ " CERTIFICATE,
	  .other = "postfix@-" },
	{ "filtermail-transport", "sending, before Postfix", RELAY_OLD,
	  { "filtermail-transport" } },
	{ "mta-sts-daemon", "TLS policies", RELAY_OLD, { "mta-sts-daemon" } },
	{ "acmetool-redirector", "certificates, before chatmail-acme",
	  RELAY_OLD, { "acmetool-redirector" } },
	{ "acmetool-reconcile", "certificates, before chatmail-acme",
	  RELAY_OLD, { "acmetool-reconcile.timer" } },
	{ "nginx", "web pages", RELAY_FOREIGN, { "nginx" },
	  .units = "nginx.service.d/10-chatmail.conf",
	  .reload_on = "/etc/nginx/ " CERTIFICATE },
	{ "fcgiwrap", "new addresses, before chatmail-newemail", RELAY_OLD,
	  { "fcgiwrap.socket", "fcgiwrap" } },
	{ "echobot", "echoes to try the relay with", RELAY_OURS, { "echobot" },
	  .units = "echobot.service",
	  .restart_on = OWN " {{ echobot_program }}",
	  .settings = "mail_domain delete_mails_after min_free_disk_space "
		      "echobot_server echobot_dir echobot_password_path",
	  .program = "echobot_program", .is_wanted = with_echobot },
	{ "mtail", "figures from the log", RELAY_FOREIGN, { "mtail" },
	  .units = "mtail.service", .restart_on = "/etc/mtail/",
	  .is_wanted = with_mtail, .manager = "systemd" },
	{ "chatmail-turn", "credentials for calls", RELAY_OURS,
	  { "chatmail-turn.socket", "chatmail-turn" },
	  .units = "chatmail-turn.socket chatmail-turn.service",
	  .restart_on = OWN " /etc/chatmail-turn/",
	  .settings = SETTINGS "turn_socket_path", .is_wanted = with_turn },
	{ "coturn", "calls", RELAY_FOREIGN, { "coturn" },
	  .units = "coturn.service.d/10-chatmail.conf",
	  .restart_on = "/etc/turnserver.conf", .is_wanted = with_turn },
	{ "turnserver", "calls, by chatmail-turn", RELAY_KEPT,
	  { "turnserver" } },
	{ "iroh-relay", "real-time channels", RELAY_FOREIGN, { "iroh-relay" },
	  .units = "iroh-relay.service",
	  .restart_on = "/etc/iroh-relay.toml /usr/local/bin/iroh-relay",
	  .program = "/usr/local/bin/iroh-relay",
	  .is_wanted = with_iroh_relay },

	{ "chatmail-expire", "deletes old mail, daily", RELAY_JOB,
	  { "chatmail-expire.timer" },
	  .units = "chatmail-expire.timer chatmail-expire.service" },
	{ "chatmail-fsreport", "reports on storage, daily", RELAY_JOB,
	  { "chatmail-fsreport.timer" },
	  .units = "chatmail-fsreport.timer chatmail-fsreport.service" },
	{ "chatmail-acme", "renews the certificate, daily", RELAY_JOB,
	  { "chatmail-acme.timer" },
	  .units = "chatmail-acme.timer chatmail-acme.service",
	  .is_wanted = with_acme },
	{ "tls-cert-reload", "takes a new certificate into use", RELAY_JOB,
	  { "tls-cert-reload.path" },
	  .units = "tls-cert-reload.path tls-cert-reload.service",
	  .is_wanted = with_external_certificate },
};

const struct relay_service *relay_services(size_t *count)
{
	*count = ARRAY_LEN(services);
	return services;
}

const struct relay_service *relay_service_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		if (strcmp(services[i].name, name) == 0)
			return &services[i];
	return NULL;
}

bool relay_service_is_wanted(const struct relay_service *s,
			     const struct relay *r)
{
	if (s->kind == RELAY_OLD || s->kind == RELAY_KEPT)
		return false;
	return !s->is_wanted || s->is_wanted(r);
}

const char *relay_service_program(const struct relay_service *s,
				  const struct relay *r)
{
	return !s->program || *s->program == '/' ? s->program :
						   relay_var(r, s->program);
}

bool relay_service_is_possible(const struct relay_service *s,
			       const struct relay *r)
{
	const char *program = relay_service_program(s, r);

	return !program || access(program, X_OK) == 0;
}

bool relay_service_is_here(const struct relay_service *s,
			   const struct layout *l)
{
	return !s->manager || strcmp(s->manager, layout_need(l,
					"service_manager")) == 0;
}

/* ---- what a changed file means ---------------------------------------------- */

/* Take the next word off a list by spaces; NULL at the end. */
static const char *next_word(const char **list, size_t *n)
{
	const char *word = *list ? *list + strspn(*list, " ") : "";

	*n = strcspn(word, " ");
	*list = word + *n;
	return *n ? word : NULL;
}

static bool is_activation(const char *name)
{
	return str_ends(name, ".socket") || str_ends(name, ".timer") ||
	       str_ends(name, ".path");
}

/* Is path in the list? A "/" at a word's end stands for all below. */
static bool is_listed(const char *list, const char *dir, const char *path)
{
	size_t n, dir_len = strlen(dir);
	const char *word;

	if (strncmp(path, dir, dir_len) != 0)
		return false;
	path += dir_len;
	while ((word = next_word(&list, &n)))
		if (strncmp(path, word, n) == 0 &&
		    (!path[n] || word[n - 1] == '/'))
			return true;
	return false;
}

static bool is_rendered_listed(const char *list, const struct layout *l,
			       const char *path)
{
	struct buf out = BUF_INIT, err = BUF_INIT;
	bool ret;

	if (!list)
		return false;
	if (tmpl_render(&out, "relay_services", list, strlen(list), &l->vars,
			&err) < 0)
		bug("%s", err.data);
	ret = is_listed(out.data, "", path);
	buf_free(&out);
	return ret;
}

/* OpenRC's script, or cron's table of a job: its name is the service's. */
static bool is_named_so(const struct relay_service *s, const char *dir,
			const char *path)
{
	return str_starts(path, dir) &&
	       strcmp(path + strlen(dir), s->name) == 0;
}

bool relay_service_has_unit(const struct relay_service *s, const char *path)
{
	return is_listed(s->units, UNITS_DIR, path) ||
	       is_named_so(s, "/etc/init.d/", path) ||
	       is_named_so(s, "/etc/cron.d/", path);
}

unsigned relay_service_need(const struct relay_service *s,
			    const struct layout *l, const char *path)
{
	if (relay_service_has_unit(s, path)) {
		if (is_activation(path))
			return TODO_SOCKETS;
		/* a job that has the new file next time */
		return s->kind == RELAY_JOB ? 0 : TODO_RESTART;
	}
	if (is_rendered_listed(s->restart_on, l, path) ||
	    (s->kind == RELAY_OURS &&
	     strcmp(path, layout_need(l, "openrc_common")) == 0))
		return TODO_RESTART;
	return is_rendered_listed(s->reload_on, l, path) ? TODO_RELOAD : 0;
}

/* ---- what is left to do --------------------------------------------------------- */

struct view {
	size_t count;			/* of s->starts that are for h */
	const char *names[RELAY_NAMES_MAX + 1];
	struct service_state states[RELAY_NAMES_MAX + 1];
	const struct service_state *other;	/* or NULL */
};

bool relay_service_is_for(const struct host_services *h, const char *name)
{
	return h->has_activation || !str_ends(name, ".socket");
}

static int look(struct view *v, const struct relay_service *s,
		const struct host_services *h, struct buf *err)
{
	size_t n;

	*v = (struct view){ 0 };
	for (size_t i = 0; s->starts[i]; i++)
		if (relay_service_is_for(h, s->starts[i]))
			v->names[v->count++] = s->starts[i];
	n = v->count;
	if (s->other) {
		v->other = &v->states[n];
		v->names[n++] = s->other;
	}
	return h->states(h, v->names, n, v->states, err);
}

/* Whether a unit whose file has gone starts at boot is not told. */
static unsigned todo_to_stop(const struct view *v)
{
	unsigned todo = 0;

	for (size_t i = 0; i < v->count; i++) {
		const struct service_state *t = &v->states[i];
		bool is_there = true;

		if (t->is == SERVICE_RUNNING || t->is == SERVICE_CHANGING)
			todo |= TODO_STOP;
		else if (t->is == SERVICE_FAILED)
			todo |= TODO_RESET;
		else
			is_there = t->at_boot;
		if (is_there && !t->is_fixed)
			todo |= TODO_DISABLE;
	}
	return todo;
}

/* Is it a shell around another unit, and that one does not run? */
static bool is_hollow(const struct view *v, const struct service_state *t)
{
	return v->other && !t->pid && v->other->is != SERVICE_ABSENT &&
	       v->other->is != SERVICE_RUNNING;
}

static unsigned todo_to_run(const struct view *v, unsigned need)
{
	unsigned todo = need & TODO_SOCKETS;

	for (size_t i = 0; i < v->count; i++) {
		const struct service_state *t = &v->states[i];
		bool activates = is_activation(v->names[i]);

		if (!t->at_boot && !t->is_fixed)
			todo |= TODO_ENABLE;
		if (t->is == SERVICE_FAILED)
			todo |= TODO_RESET;
		if (t->is != SERVICE_RUNNING)
			todo |= activates ? TODO_SOCKETS : TODO_START;
		else if (!activates)
			todo |= is_hollow(v, t) ? TODO_RESTART :
				need & (TODO_RESTART | TODO_RELOAD);
	}
	/* the greater one is enough */
	if (todo & (TODO_SOCKETS | TODO_START | TODO_RESTART))
		todo &= ~(unsigned)TODO_RELOAD;
	if (todo & (TODO_SOCKETS | TODO_START))
		todo &= ~(unsigned)TODO_RESTART;
	return todo;
}

int relay_service_todo(const struct relay_service *s, const struct layout *l,
		       const struct host_services *h, unsigned need,
		       unsigned *todo, struct buf *err)
{
	struct view v;

	*todo = 0;
	if (s->kind == RELAY_KEPT || !relay_service_is_here(s, l))
		return 0;
	if (look(&v, s, h, err) < 0)
		return -1;
	*todo = relay_service_is_wanted(s, l->relay) ? todo_to_run(&v, need) :
						       todo_to_stop(&v);
	return 0;
}

/* ---- doing it -------------------------------------------------------------------- */

/* Run an action on those of its names that (do not) activate it. */
enum { SERVICES = 1, ACTIVATIONS = 2, ALL = 3 };

typedef int action_fn(const struct host_services *h, const char *name,
		      struct buf *err);

static int for_each(const struct relay_service *s,
		    const struct host_services *h, unsigned which,
		    action_fn *action, struct buf *err)
{
	for (size_t i = 0; s->starts[i]; i++) {
		const char *name = s->starts[i];
		unsigned kind = is_activation(name) ? ACTIVATIONS : SERVICES;

		if ((which & kind) && relay_service_is_for(h, name) &&
		    action(h, name, err) < 0)
			return -1;
	}
	return 0;
}

/* A socket cannot begin while its service runs without it, as after an
 * earlier relay of the same name. */
static int begin_anew(const struct relay_service *s,
		      const struct host_services *h, struct buf *err)
{
	if (for_each(s, h, SERVICES, h->stop, err) < 0 ||
	    for_each(s, h, ACTIVATIONS, h->restart, err) < 0)
		return -1;
	return for_each(s, h, SERVICES, h->start, err);
}

/* systemctl waits for the service that was named, and not for the other one
 * that starts and stops with it. */
static int await_other(const struct relay_service *s,
		       const struct host_services *h, unsigned todo,
		       struct buf *err)
{
	struct view v;

	if (!s->other ||
	    !(todo & (TODO_STOP | TODO_START | TODO_RESTART)))
		return 0;
	if (look(&v, s, h, err) < 0)
		return -1;
	if (v.states[v.count - 1].pid || v.other->is == SERVICE_ABSENT)
		return 0;
	return todo & TODO_STOP ? h->stop(h, s->other, err) :
				  h->start(h, s->other, err);
}

static int act(const struct relay_service *s, const struct host_services *h,
	       unsigned todo, struct buf *err)
{
	const struct {
		unsigned todo, which;
		action_fn *action;
	} steps[] = {
		{ TODO_STOP, ALL, h->stop },
		{ TODO_DISABLE, ALL, h->disable },
		{ TODO_RESET, ALL, h->reset },
		{ TODO_ENABLE, ALL, h->enable },
	}, ends[] = {
		{ TODO_RESTART, SERVICES, h->restart },
		{ TODO_START, SERVICES, h->start },
		{ TODO_RELOAD, SERVICES, h->reload },
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if ((todo & steps[i].todo) &&
		    for_each(s, h, steps[i].which, steps[i].action, err) < 0)
			return -1;
	if (todo & TODO_SOCKETS)
		return begin_anew(s, h, err);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if ((todo & ends[i].todo) &&
		    for_each(s, h, ends[i].which, ends[i].action, err) < 0)
			return -1;
	return 0;
}

int relay_service_do(const struct relay_service *s,
		     const struct host_services *h, unsigned todo,
		     struct buf *err)
{
	if (act(s, h, todo, err) < 0)
		return -1;
	return await_other(s, h, todo, err);
}

void relay_todo_words(struct buf *out, unsigned todo)
{
	static const struct {
		unsigned todo;
		const char *word;
	} words[] = {
		{ TODO_STOP, "stop" }, { TODO_DISABLE, "disable" },
		{ TODO_RESET, "reset" }, { TODO_ENABLE, "enable" },
		{ TODO_SOCKETS, "start anew" }, { TODO_RESTART, "restart" },
		{ TODO_START, "start" }, { TODO_RELOAD, "reload" },
	};
	const char *comma = "";

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!(todo & words[i].todo))
			continue;
		buf_addf(out, "%s%s", comma, words[i].word);
		comma = ", ";
	}
}
