/* chatmail lastlogin: Dovecot's last_login plugin reports each login here. */
#include <errno.h>
#include <string.h>

#include "applet.h"
#include "base/log.h"
#include "base/str.h"
#include "net/dict_server.h"
#include "net/metrics.h"
#include "relay/reload.h"
#include "relay/user.h"

enum { NOTED, REFUSED, FAILED, GONE, ROWS };

static struct metric rows[ROWS] = {
	[NOTED] = { "chatmail_logins", "result=\"noted\"",
		"Logins that Dovecot told of." },
	[REFUSED] = { "chatmail_logins", "result=\"refused\"" },
	[FAILED] = { "chatmail_logins", "result=\"failed\"" },
	[GONE] = { "chatmail_logins", "result=\"gone\"" },
};

static const struct metrics figures = {
	.role = "lastlogin", .rows = rows, .count = ROWS,
};

static struct {
	struct daemon daemon;
	struct relay_file ini;
} lastlogin;

static const char *refuse(const struct dict_change *c, const char *why)
{
	log_warn("refused: %.300s: %s", c->key, why);
	rows[REFUSED].value++;
	return why;
}

/* "shared/last-login/USER" = Unix time. Returns what to tell Dovecot, or NULL
 * when all is well. */
static const char *note(const struct dict_change *c)
{
	static const char prefix[] = "shared/last-login/";
	const char *addr;
	uint64_t secs;
	int ret;

	if (!str_starts(c->key, prefix))
		return refuse(c, "unknown key");
	if (!c->value || str_to_u64(c->value, &secs) < 0 ||
	    secs > INT64_MAX)
		return refuse(c, "expected a time in seconds");
	addr = c->key + strlen(prefix);
	if (!user_is_ours(lastlogin.ini.relay, addr))
		return refuse(c, "not an address of this relay");
	ret = user_note_login(lastlogin.ini.relay, addr, secs);
	if (ret < 0) {
		log_warn("noting the login of %s: %s", addr, strerror(errno));
		rows[FAILED].value++;
		return "temporary failure";
	}
	/* deleted between login and now: nothing to note */
	if (ret == 0)
		log_warn("noting the login of %s: no such user", addr);
	rows[ret == 0 ? GONE : NOTED].value++;
	return NULL;
}

static void on_commit(struct dict_request *r, const char *user,
		      struct dict_change *changes)
{
	const char *error = NULL;

	for (struct dict_change *c = changes; c; c = c->next) {
		const char *failed = note(c);

		if (failed)
			error = failed;
	}
	if (error)
		dict_reply_error(r, error);
	else
		dict_reply_committed(r);
}

static void on_lookup(struct dict_request *r, char *key, const char *user)
{
	dict_reply_not_found(r);
}

static const struct dict_ops lastlogin_ops = {
	.lookup = on_lookup,
	.commit = on_commit,
};

static void on_accepted(struct daemon *d, int fd)
{
	dict_serve(d, fd, &lastlogin_ops);
}

static int reload(struct daemon *d, struct buf *err)
{
	return relay_file_reload(&lastlogin.ini, err);
}

static int lastlogin_main(int argc, char **argv)
{
	if (argc < 2 || argc > 3 || *argv[1] == '-')
		return applet_usage(&applet_lastlogin,
				    "a socket and at most one INI are needed");
	relay_file_open(&lastlogin.ini, relay_ini_path(argv[2], false));
	daemon_init(&lastlogin.daemon);
	lastlogin.daemon.reload = reload;
	dict_listen_or_die(&lastlogin.daemon, argv[1], on_accepted);
	metrics_serve(&lastlogin.daemon, &figures,
		      lastlogin.ini.relay->s.metrics_dir, argv[1]);
	return daemon_run(&lastlogin.daemon);
}

DEFINE_APPLET(lastlogin) {
	.name = "lastlogin", .aliases = "chatmail-lastlogin",
	.summary = "record the day of each user's last login",
	.args = "SOCKET [INI]",
	.help =
"Serves Dovecot's last_login plugin over the dict protocol on the unix socket\n"
"SOCKET: the day of the login, and no more, becomes the modification time of\n"
"the user's password file. Unused addresses are found by it later.\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini; it is read\n"
"again on SIGHUP.\n"
"\n"
"Example: chatmail lastlogin /run/chatmail-lastlogin/lastlogin.socket\n",
	.main = lastlogin_main,
};
