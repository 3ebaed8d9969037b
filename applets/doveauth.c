/* chatmail doveauth: Dovecot asks here for every user; an address comes into
 * being at its first login. */
#include <errno.h>
#include <dirent.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "applet.h"
#include "base/log.h"
#include "base/str.h"
#include "net/dict_server.h"
#include "net/jobs.h"
#include "net/metrics.h"
#include "relay/echobot.h"
#include "relay/limits.h"
#include "relay/mailbox_jobs.h"
#include "relay/reload.h"
#include "relay/user.h"
#include "text/dict.h"

enum { HASH_NICE = 10 };

#define USERDB "shared/userdb/"

/* A request that waits for a creation or a listing. */
struct waiter {
	struct waiter *next;
	struct dict_request *request;
};

/* One address in the making: later logins of the same address wait for it. */
struct creation {
	struct mailbox_job job;
	struct creation *next;
	struct waiter *waiters;
	char *addr;
	char *password;	/* the echo bot's: its hash */
	bool is_bot;
	int result;	/* of user_create() */
};

/* doveadm user '*': the directory is read by a worker thread, for all who
 * asked before it began. */
struct listing {
	struct job job;
	struct waiter *waiters;
	char *dir;
	struct buf names;	/* each ended by NUL */
	int error;
};

/* The first ones are refusals: an enum user_refusal is the index. */
enum { CREATED = USER_MAY_COME, NO_RESOURCES = USER_BAD_LOCALPART + 1, FAILED,
       CREATED_CI, ASKED_PASSDB, ASKED_USERDB, ROWS };

#define REFUSED(reason) "chatmail_accounts_refused", "reason=\"" reason "\""

static struct metric rows[ROWS] = {
	[CREATED] = { "chatmail_accounts_created", "kind=\"user\"",
		"Accounts that came into being, those for tests (ci-) apart.",
		"created_accounts created_nonci_accounts" },
	[CREATED_CI] = { "chatmail_accounts_created", "kind=\"ci\"", NULL,
		"created_accounts created_ci_accounts" },
	[USER_NOCREATE] = { REFUSED("nocreate"),
		"First logins that made no account." },
	[USER_BAD_PASSWORD] = { REFUSED("password") },
	[USER_NOT_OURS] = { REFUSED("address") },
	[USER_BAD_LOCALPART] = { REFUSED("localpart") },
	[NO_RESOURCES] = { REFUSED("resources"), NULL,
		"rejected_registrations" },
	[FAILED] = { REFUSED("failure") },
	[ASKED_PASSDB] = { "chatmail_auth_lookups", "type=\"passdb\"",
		"Questions of Dovecot: passdb at logins, userdb for mail." },
	[ASKED_USERDB] = { "chatmail_auth_lookups", "type=\"userdb\"" },
};

static const struct metrics figures = {
	.role = "doveauth", .rows = rows, .count = ROWS,
};

static struct {
	struct daemon daemon;
	struct relay_file ini;
	struct mailbox_jobs *mailboxes;	/* creations */
	struct jobs *jobs;		/* listings */
	struct creation *creations;
	bool is_listing;
	struct waiter *list_waiters;	/* for the next listing */
	ev_tstamp allowed_until;	/* resources were sufficient */
} doveauth;

/* How long that holds: a storm of logins must not spend its time in /proc. */
static const double ALLOWED_SECS = .1;

static void wait_in(struct waiter **list, struct dict_request *r)
{
	struct waiter *w = xcalloc(1, sizeof(*w));

	w->request = r;
	w->next = *list;
	*list = w;
}

/* ---- answers ------------------------------------------------------------------ */

static void reply_user(struct dict_request *r, const struct relay *relay,
		       const char *addr, const char *hash)
{
	const char *owner = relay->s.vmail_user;
	struct buf home = BUF_INIT, json = BUF_INIT;

	user_path(&home, relay, addr, NULL);
	buf_adds(&json, "{\"addr\": ");
	buf_add_json(&json, addr);
	buf_adds(&json, ", \"home\": ");
	buf_add_json(&json, home.data);
	buf_adds(&json, ", \"uid\": ");
	buf_add_json(&json, owner);
	buf_adds(&json, ", \"gid\": ");
	buf_add_json(&json, owner);
	buf_adds(&json, ", \"password\": ");
	buf_add_json(&json, hash);
	buf_addc(&json, '}');
	dict_reply_found(r, json.data);
	buf_free(&home);
	buf_free(&json);
}

/* Answer from the mailbox directory: found (1), no such user (0: not yet
 * answered), or a temporary failure (-1). */
static int reply_existing(struct dict_request *r, const char *addr)
{
	struct buf hash = BUF_INIT;
	int ret = user_password(doveauth.ini.relay, addr, &hash);

	if (ret > 0) {
		reply_user(r, doveauth.ini.relay, addr, hash.data);
	} else if (ret < 0) {
		log_warn("reading the password of %s: %s", addr,
			 strerror(errno));
		dict_reply_error(r, "temporary failure");
	}
	buf_free(&hash);
	return ret;
}

/* ---- creation ----------------------------------------------------------------- */

static int step_creation(struct mailbox_job *j)
{
	struct creation *c = container_of(j, struct creation, job);

	/* of this thread: hashes must not take the loop's turn on the CPU */
	setpriority(PRIO_PROCESS, 0, HASH_NICE);
	c->result = c->is_bot ?
		    user_create_bot(j->dir, c->password, &j->err) :
		    user_create(j->dir, c->password, &j->err);
	return c->result == USER_BUSY ? MAILBOX_BUSY : c->result < 0 ? -1 : 0;
}

static void creation_unlink(struct creation *c)
{
	struct creation **at = &doveauth.creations;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

static void creation_free(struct creation *c)
{
	explicit_bzero(c->password, strlen(c->password));
	free(c->addr);
	free(c->password);
	free(c);
}

static void on_created(struct mailbox_job *j, int ret, const char *err)
{
	struct creation *c = container_of(j, struct creation, job);

	creation_unlink(c);
	if (ret < 0) {
		log_warn("creating %s: %s", c->addr, err);
		rows[FAILED].value++;
	} else if (c->is_bot) {
		log_info(c->result == USER_CREATED ? "%s is the echo bot's" :
			 "%s is a person's: the echo bot does not get it",
			 c->addr);
	} else if (c->result == USER_CREATED) {
		log_info("Created address: %s", c->addr);
		rows[str_starts(c->addr, "ci-") ? CREATED_CI : CREATED].value++;
	}
	while (c->waiters) {
		struct waiter *w = c->waiters;

		c->waiters = w->next;
		/* gone again already: the next login tries anew */
		if (ret < 0 || reply_existing(w->request, c->addr) == 0)
			dict_reply_error(w->request, "temporary failure");
		free(w);
	}
	creation_free(c);
}

static struct creation *creation_find(const char *addr)
{
	struct creation *c = doveauth.creations;

	while (c && strcmp(c->addr, addr) != 0)
		c = c->next;
	return c;
}

static struct creation *creation_start(const char *addr, const char *password,
				       bool is_bot)
{
	struct creation *c = xcalloc(1, sizeof(*c));
	struct buf dir = BUF_INIT;

	user_path(&dir, doveauth.ini.relay, addr, NULL);
	c->addr = xstrdup(addr);
	c->password = xstrdup(password);
	c->is_bot = is_bot;
	c->job.step = step_creation;
	c->job.done = on_created;
	c->next = doveauth.creations;
	doveauth.creations = c;
	mailbox_jobs_submit(doveauth.mailboxes, &c->job, buf_detach(&dir));
	return c;
}

static bool has_resources(void)
{
	struct buf why = BUF_INIT, ignored = BUF_INIT;
	ev_tstamp now = ev_now(doveauth.daemon.loop);
	bool ok;

	if (now < doveauth.allowed_until &&
	    now >= doveauth.allowed_until - ALLOWED_SECS)
		return true;
	ok = limits_allow_creation(doveauth.ini.relay, &why, &ignored);
	doveauth.allowed_until = ok ? now + ALLOWED_SECS : 0.;
	for (char *line = ignored.data; *line;) {
		size_t n = strcspn(line, "\n");

		log_warn("%.*s", (int)n, line);
		line += n + 1;
	}
	if (!ok)
		log_warn("registration rejected: %s", why.data);
	buf_free(&why);
	buf_free(&ignored);
	return ok;
}

static void create(struct dict_request *r, const char *addr,
		   const char *password)
{
	struct buf why = BUF_INIT;
	enum user_refusal refusal = user_creation_refusal(
			doveauth.ini.relay, addr, password, &why);
	struct creation *c;

	if (refusal != USER_MAY_COME) {
		log_warn("%s", why.data);
		rows[refusal].value++;
		buf_free(&why);
		dict_reply_not_found(r);
		return;
	}
	buf_free(&why);
	c = creation_find(addr);
	if (!c) {
		if (!has_resources()) {
			rows[NO_RESOURCES].value++;
			dict_reply_not_found(r);
			return;
		}
		c = creation_start(addr, password, false);
	}
	wait_in(&c->waiters, r);
}

/* The echo bot has said its hash beforehand. Is it another one than that of the
 * mailbox, which is made or changed then? Limits are for strangers. */
static bool create_bot(struct dict_request *r, const char *addr)
{
	struct buf told = BUF_INIT, known = BUF_INIT;
	struct creation *c = creation_find(addr);
	int ret = echobot_get_hash(doveauth.ini.relay, &told);
	bool is_new = ret > 0 &&
		      user_password(doveauth.ini.relay, addr, &known) >= 0 &&
		      strcmp(told.data, known.data) != 0;

	if (ret < 0)
		log_warn("the echo bot's hash: %s", strerror(errno));
	if (is_new && !c)
		c = creation_start(addr, told.data, true);
	if (is_new)
		wait_in(&c->waiters, r);
	buf_free(&told);
	buf_free(&known);
	return is_new;
}

/* ---- lookups ------------------------------------------------------------------ */

static void lookup_userdb(struct dict_request *r, const char *addr)
{
	rows[ASKED_USERDB].value++;
	if (!user_is_ours(doveauth.ini.relay, addr) ||
	    reply_existing(r, addr) == 0)
		dict_reply_not_found(r);
}

static void lookup_passdb(struct dict_request *r, const char *addr,
			  const char *password)
{
	rows[ASKED_PASSDB].value++;
	if (!user_is_ours(doveauth.ini.relay, addr))
		dict_reply_not_found(r);
	else if (echobot_is_addr(doveauth.ini.relay, addr) &&
		 create_bot(r, addr))
		return;
	else if (reply_existing(r, addr) == 0)
		create(r, addr, password);
}

/* The key is not logged: it may hold a password. */
static void refuse_key(struct dict_request *r)
{
	log_warn("lookup with a malformed key");
	dict_reply_error(r, "malformed key");
}

static void on_lookup(struct dict_request *r, char *key, const char *user)
{
	char *space, *type, *rest, *first, *second;

	if (dict_key_split(key, &space, &type, &rest) < 0 ||
	    dict_quoted_split(rest, &first, &second) < 0 ||
	    strcmp(space, "shared") != 0)
		refuse_key(r);
	else if (strcmp(type, "userdb") == 0)
		lookup_userdb(r, first);
	else if (strcmp(type, "passdb") == 0 && second)
		lookup_passdb(r, second, first);
	else
		refuse_key(r);
}

/* ---- the list of all users ------------------------------------------------------ */

static void run_listing(struct job *j)
{
	struct listing *l = container_of(j, struct listing, job);
	DIR *d = opendir(l->dir);
	struct dirent *e;

	if (!d) {
		l->error = errno;
		return;
	}
	while ((e = readdir(d))) {
		struct buf file = BUF_INIT;

		buf_addf(&file, "%s/password", e->d_name);
		if (strchr(e->d_name, '@') &&
		    faccessat(dirfd(d), file.data, F_OK, 0) == 0)
			buf_add(&l->names, e->d_name, strlen(e->d_name) + 1);
		buf_free(&file);
	}
	closedir(d);
}

static void reply_list(struct dict_request *r, const struct listing *l)
{
	struct buf key = BUF_INIT;

	for (size_t i = 0; i < l->names.len;
	     i += strlen(l->names.data + i) + 1) {
		buf_setf(&key, USERDB "%s", l->names.data + i);
		dict_reply_row(r, key.data);
	}
	dict_reply_end(r);
	buf_free(&key);
}

static void listing_start(void);

static void on_listed(struct job *j)
{
	struct listing *l = container_of(j, struct listing, job);
	bool failed = l->error && l->error != ENOENT;

	if (failed)
		log_warn("%s: %s", l->dir, strerror(l->error));
	while (l->waiters) {
		struct waiter *w = l->waiters;

		l->waiters = w->next;
		if (failed)
			dict_reply_error(w->request, "temporary failure");
		else
			reply_list(w->request, l);
		free(w);
	}
	buf_free(&l->names);
	free(l->dir);
	free(l);
	doveauth.is_listing = false;
	if (doveauth.list_waiters)
		listing_start();
}

static void listing_start(void)
{
	struct listing *l = xcalloc(1, sizeof(*l));

	l->waiters = doveauth.list_waiters;
	doveauth.list_waiters = NULL;
	doveauth.is_listing = true;
	l->dir = xstrdup(doveauth.ini.relay->s.mailboxes_dir);
	buf_init(&l->names);
	l->job.run = run_listing;
	l->job.done = on_listed;
	jobs_submit(doveauth.jobs, &l->job);
}

/* One listing at a time, so that addresses can be made beside it. */
static void on_iterate(struct dict_request *r, const char *path,
		       const char *user)
{
	if (strcmp(path, USERDB) != 0) {
		dict_reply_end(r);
		return;
	}
	wait_in(&doveauth.list_waiters, r);
	if (!doveauth.is_listing)
		listing_start();
}

static const struct dict_ops doveauth_ops = {
	.lookup = on_lookup,
	.iterate = on_iterate,
};

/* ---- the role ------------------------------------------------------------------- */

static void on_accepted(struct daemon *d, int fd)
{
	dict_serve(d, fd, &doveauth_ops);
}

static int reload(struct daemon *d, struct buf *err)
{
	doveauth.allowed_until = 0.;
	return relay_file_reload(&doveauth.ini, err);
}

static int doveauth_main(int argc, char **argv)
{
	if (argc < 2 || argc > 3 || *argv[1] == '-')
		return applet_usage(&applet_doveauth,
				    "a socket and at most one INI are needed");
	relay_file_open(&doveauth.ini, relay_ini_path(argv[2], false));
	daemon_init(&doveauth.daemon);
	doveauth.daemon.reload = reload;
	doveauth.mailboxes = mailbox_jobs_new(doveauth.daemon.loop);
	doveauth.jobs = jobs_new(doveauth.daemon.loop, 1);
	if (!doveauth.jobs)
		die("no worker thread can be started");
	dict_listen_or_die(&doveauth.daemon, argv[1], on_accepted);
	metrics_serve(&doveauth.daemon, &figures,
		      doveauth.ini.relay->s.metrics_dir, argv[1]);
	return daemon_run(&doveauth.daemon);
}

DEFINE_APPLET(doveauth) {
	.name = "doveauth",
	.summary = "tell Dovecot its users and create them at their first login",
	.args = "SOCKET [INI]",
	.help =
"Serves Dovecot's passdb and userdb over its dict protocol on the unix socket\n"
"SOCKET. A user that does not exist is created with the password of the login\n"
"when the rules of chatmail.ini allow it and nocreate_file does not exist.\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini; it is read\n"
"again on SIGHUP.\n"
"\n"
"Example: chatmail doveauth /run/doveauth/doveauth.socket\n",
	.main = doveauth_main,
};
