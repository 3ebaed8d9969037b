/* chatmail turn: credentials for the TURN server, for who may connect. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "net/conn.h"
#include "net/daemon.h"
#include "net/metrics.h"
#include "relay/reload.h"
#include "relay/turn.h"

enum { GIVEN, ROWS };
/* A peer that does not take a line of 40 bytes. */
static const double PATIENCE_SECS = 5.;

static struct metric rows[ROWS] = {
	[GIVEN] = { "chatmail_turn_credentials", NULL,
		"Credentials for calls that were handed out." },
};

static const struct metrics figures = {
	.role = "turn", .rows = rows, .count = ROWS,
};

static struct {
	struct daemon daemon;
	struct relay_file ini;
	const char *path;	/* of the secret */
	struct buf secret;
} turn = { .secret = BUF_INIT };

static void add_line(struct buf *out)
{
	turn_credentials(out, turn.secret.data,
			 (int64_t)time(NULL) + TURN_VALID_SECS);
	buf_addc(out, '\n');
}

/* ---- who connects -------------------------------------------------------------- */

static int on_data(struct conn *c, const char *p, size_t n)
{
	return CONN_GO_ON;
}

static void on_closed(struct conn *c, const char *why)
{
	free(c);
}

static const struct conn_ops conn_ops = {
	.idle_secs = PATIENCE_SECS, .data = on_data, .closed = on_closed,
};

/* Nothing is read: a line, and that was it, as chatmail-turn does. */
static void on_accepted(struct daemon *d, int fd)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct buf line = BUF_INIT;

	add_line(&line);
	conn_start(c, d->loop, fd, &conn_ops);
	conn_body(c, true);
	conn_write_buf(c, &line);
	conn_finish(c);
	rows[GIVEN].value++;
	buf_free(&line);
}

/* ---- the role -------------------------------------------------------------------- */

static int load_secret(struct buf *err)
{
	struct buf secret = BUF_INIT;
	int ret = turn_secret_load(turn.path, &secret, err);

	if (ret == 0) {
		explicit_bzero(turn.secret.data, turn.secret.len);
		buf_setf(&turn.secret, "%s", secret.data);
	}
	explicit_bzero(secret.data, secret.len);
	buf_free(&secret);
	return ret;
}

static int reload(struct daemon *d, struct buf *err)
{
	if (load_secret(err) < 0)
		return -1;
	return relay_file_reload(&turn.ini, err);
}

static int print_line(void)
{
	struct buf line = BUF_INIT;

	add_line(&line);
	fputs(line.data, stdout);
	buf_free(&line);
	return EXIT_OK;
}

static int serve(const char *socket)
{
	struct buf err = BUF_INIT;

	if (!*socket)
		die("%s: turn_socket_path is empty: this relay has no TURN",
		    turn.ini.path);
	daemon_init(&turn.daemon);
	turn.daemon.reload = reload;
	/* metadata connects, as the same user or by systemd's socket */
	if (daemon_listen_unix(&turn.daemon, socket, 0660, on_accepted,
			       &err) < 0)
		die("%s", err.data);
	metrics_serve(&turn.daemon, &figures, turn.ini.relay->s.metrics_dir,
		      socket);
	return daemon_run(&turn.daemon);
}

static int turn_main(int argc, char **argv)
{
	const char *socket = NULL;
	bool print = false;
	const struct opt opts[] = {
		{ "socket", &socket, NULL }, { "secret", &turn.path, NULL },
		{ "print", NULL, &print }, { 0 },
	};
	struct buf err = BUF_INIT;
	int ret;

	turn.path = TURN_SECRET_FILE;
	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0 || argc > 2) {
		ret = applet_usage(&applet_turn, "%s", argc < 0 ? err.data :
				   "at most one INI is needed");
		buf_free(&err);
		return ret;
	}
	relay_file_open(&turn.ini, relay_ini_path(argv[1], false));
	if (load_secret(&err) < 0)
		die("%s; chatmail deploy makes it", err.data);
	buf_free(&err);
	if (print)
		return print_line();
	return serve(socket ? socket : turn.ini.relay->s.turn_socket_path);
}

DEFINE_APPLET(turn) {
	.name = "turn", .aliases = "turnserver",
	.summary = "hand out credentials for calls over the TURN server",
	.args = "[--socket PATH] [--secret FILE] [--print] [INI]",
	.help =
"Writes one line, USERNAME:PASSWORD, to whoever connects to the unix socket\n"
"turn_socket_path, and closes: credentials with which coturn relays a call of two\n"
"apps that cannot reach each other. They are good for five days. The role\n"
"metadata asks for them when an app does.\n"
"\n"
"The username is the time at which they end, in seconds since 1970, the password\n"
"base64(HMAC-SHA1(secret, username)). The secret is random, made by the first\n"
"deploy, and known to this role and coturn (static-auth-secret) alone.\n"
"\n"
"  --socket PATH     the socket, instead of turn_socket_path\n"
"  --secret FILE     where the secret is; default " TURN_SECRET_FILE "\n"
"  --print           print one line of credentials instead, to try coturn with\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini; it and the\n"
"secret are read again on SIGHUP.\n"
"\n"
"Example: chatmail turn /etc/chatmail/chatmail.ini\n",
	.main = turn_main,
};
