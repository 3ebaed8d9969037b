/* chatmail sandbox: a whole relay on loopback, in one directory. */
#include "applets/sandbox.h"

#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "applet.h"

enum { BASE_MIN = 1024, BASE_MAX = 65535 - 99 };

static int parse_base(const char *text, unsigned *base)
{
	uint64_t n;

	if (str_to_u64(text, &n) < 0 || n < BASE_MIN || n > BASE_MAX)
		return -1;
	*base = (unsigned)n;
	return 0;
}

static void sandbox_free(struct sandbox *sb)
{
	plan_free(&sb->plan);
	relay_free(sb->relay);
	arena_free(&sb->arena);
}

static int sandbox_main(int argc, char **argv)
{
	struct sandbox sb = { .lock = -1 };
	const char *base = NULL, *dir;
	bool render = false, server = false;
	const struct opt opts[] = {
		{ "domain", &sb.domain, NULL }, { "ports", &base, NULL },
		{ "peer", &sb.peers, NULL }, { "system", &sb.kind, NULL },
		{ "render", NULL, &render }, { "server", NULL, &server },
		{ 0 },
	};
	struct buf err = BUF_INIT;
	int ret = EXIT_OK;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0) {
		ret = applet_usage(&applet_sandbox, "%s", err.data);
		buf_free(&err);
		return ret;
	}
	if (argc > 2)
		return applet_usage(&applet_sandbox, "one directory at most");
	if (base && parse_base(base, &sb.base) < 0)
		return applet_usage(&applet_sandbox, "--ports: expected a port "
				    "from %d to %d, got \"%s\"", BASE_MIN,
				    BASE_MAX, base);
	dir = argc == 2 ? argv[1] : "chatmail-sandbox";
	if (server) {
		sandbox_render_server(&sb, dir);
	} else {
		sandbox_setup(&sb, dir);
		if (!render) {
			sandbox_check_ports(&sb);
			ret = sandbox_run(&sb);
		}
	}
	sandbox_free(&sb);
	return ret;
}

DEFINE_APPLET(sandbox) {
	.name = "sandbox",
	.summary = "run a whole relay on loopback, in one directory",
	.args = "[DIR] [--domain D] [--ports BASE] [--peer D=BASE,...]",
	.help =
"Starts Postfix, Dovecot and all that chatmail adds to them, for a look and\n"
"for tests. Everything is kept in DIR (default ./chatmail-sandbox), listens on\n"
"127.0.0.1 only and stops with Ctrl-C. Mail for other domains stays in the\n"
"queue unless --peer or DIR/transport says where to. Root is needed, and the\n"
"packages postfix, dovecot-imapd, dovecot-lmtpd, unbound, nginx and\n"
"libnginx-mod-stream, with Dovecot 2.4 also dovecot-auth-lua and lua-socket;\n"
"their own services may run or not.\n"
"\n"
"  --domain D       of the relay; default _chat.test\n"
"  --ports BASE     use the ports from BASE to BASE + 99; default those of\n"
"                   the last start, else 14300. SMTP is BASE + 25, submission\n"
"                   BASE + 65 (TLS) and + 87, IMAP BASE + 93 (TLS) and + 43,\n"
"                   HTTPS BASE + 44, HTTP BASE + 46.\n"
"  --peer D=BASE    another sandbox on this machine: mail for its domain D goes\n"
"                   there, and its name server is asked for D; several with\n"
"                   commas between\n"
"  --render         write and check the configurations, start nothing\n"
"  --server         write the configurations of a server with DIR/chatmail.ini\n"
"                   into DIR, to look at; nothing is started\n"
"  --system S/INIT  with --server: of debian or alpine, systemd or openrc, as\n"
"                   in alpine/openrc; default: what this machine is\n"
"\n"
"The first start writes DIR/chatmail.ini; change it and start again. When\n"
"everything answers, DIR/sandbox.json tells programs the ports and a new\n"
"account. DIR/log has what is shown on the terminal.\n"
"\n"
"Example: chatmail sandbox /tmp/relay --domain _relay.test --ports 15000\n",
	.main = sandbox_main,
};
