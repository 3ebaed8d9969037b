/* chatmail acme: renews the relay's certificate; uacme's hook. */
#include <string.h>
#include <sys/stat.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "host/plan.h"
#include "relay/reload.h"

static bool is_hook_call(int argc, char **argv)
{
	static const char *const methods[] = { "begin", "done", "failed" };

	for (size_t i = 0; argc == 6 && i < 3; i++)
		if (strcmp(argv[1], methods[i]) == 0)
			return true;
	return false;
}

/* The webroot is a server's; uacme gives a hook no arguments of ours. */
static int run_hook(char **argv)
{
	struct buf err = BUF_INIT;
	struct layout l;
	int ret;

	layout_init(&l, NULL);
	/* nginx reads what is written */
	umask(022);
	ret = acme_hook(layout_need(&l, "acme_webroot"), argv + 1, &err);
	if (ret < 0)
		log_warn("%s", err.data);
	layout_free(&l);
	buf_free(&err);
	return ret < 0 ? EXIT_FAIL : EXIT_OK;
}

static int renew(struct plan *p, bool check_only)
{
	struct buf why = BUF_INIT, err = BUF_INIT;
	struct acme a;
	bool due;
	int ret = EXIT_OK;

	umask(022);
	plan_acme(p, &a);
	due = acme_is_due(&a, &why);
	if (!due)
		log_info("the certificate of %s is good", a.domain);
	else if (check_only)
		log_info("the certificate of %s is due: %s", a.domain,
			 why.data);
	else if (acme_renew(&a, &err) < 0 ||
		 plan_reload_certificate(p, &err) < 0)
		ret = (log_warn("%s", err.data), EXIT_FAIL);
	else
		log_info("the certificate of %s is new", a.domain);
	buf_free(&why);
	buf_free(&err);
	return ret;
}

static int acme_main(int argc, char **argv)
{
	bool check_only = false;
	const struct opt opts[] = { { "check", NULL, &check_only }, { 0 } };
	struct buf err = BUF_INIT;
	struct plan plan = { 0 };
	struct relay *relay;
	int ret = EXIT_OK;

	if (is_hook_call(argc, argv))
		return run_hook(argv);
	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0 || argc > 2) {
		ret = applet_usage(&applet_acme, "%s", argc < 0 ? err.data :
				   "one INI at most");
		buf_free(&err);
		return ret;
	}
	relay = relay_load_or_die(relay_ini_path(argv[1], false));
	if (relay->tls_mode == TLS_ACME) {
		plan_init(&plan, relay);
		ret = renew(&plan, check_only);
		plan_free(&plan);
	} else {
		log_info("%s has its certificate from elsewhere",
			 relay->mail_domain_bare);
	}
	relay_free(relay);
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(acme) {
	.name = "acme", .aliases = "acme-hook",
	.summary = "get and renew the relay's certificate",
	.args = "[--check] [INI]",
	.help =
"Gets a certificate for mail_domain, www. and mta-sts. from the authority of\n"
"acme_directory by the program uacme, when the one that there is has a third of\n"
"its time left or less, and lets nginx, Dovecot and Postfix take it into use. A\n"
"timer calls it daily on a relay. An account that acmetool had is used on.\n"
"\n"
"  --check   only say whether a new one is due\n"
"\n"
"Under the name acme-hook it is called by uacme, and puts the answer to a\n"
"challenge where nginx serves it.\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini.\n"
"\n"
"Example: chatmail acme --check\n",
	.main = acme_main,
};
