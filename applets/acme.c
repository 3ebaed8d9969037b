/* chatmail acme: renews the relay's certificate; uacme's hook. */
#include <string.h>
#include <sys/stat.h>

#include "applet.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "host/applied.h"
#include "host/plan.h"
#include "net/cert.h"
#include "relay/reload.h"

enum { PEM_MAX = 1024 * 1024 };

static const char notes_dir[] = "/var/lib/chatmail";

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

/* Returns 1 when it is another than noted. */
static int add_file(struct applied *note, const char *path)
{
	struct buf text = BUF_INIT;
	bool is_there = file_read(path, PEM_MAX, &text) == 0;
	int ret = applied_add(note, path, is_there ? text.data : NULL,
			      text.len);

	explicit_bzero(text.data, text.len);
	buf_free(&text);
	return ret;
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

/* Whoever renews it may have written one of them only, so far. */
static int check_pair(const struct relay *r, struct buf *err)
{
	struct cert c;
	int ret = cert_read(&c, r->tls_cert_path, r->tls_key_path, err);

	if (ret == 0 && !c.has_key) {
		buf_setf(err, "%s is not the key of %s", r->tls_key_path,
			 r->tls_cert_path);
		ret = -1;
	}
	cert_free(&c);
	return ret;
}

/* A certificate that others renew: nobody tells us, so we look. What is in use
 * is noted; a failure is tried again the next time. */
static int reload_changed(struct plan *p)
{
	const struct relay *r = p->relay;
	struct buf err = BUF_INIT;
	struct applied note;
	int ret = 0, changed;

	applied_read(&note, notes_dir, "certificate");
	changed = add_file(&note, r->tls_cert_path);
	changed += add_file(&note, r->tls_key_path);
	if (changed) {
		ret = check_pair(r, &err);
		if (ret == 0)
			ret = plan_reload_certificate(p, &err);
		if (ret == 0)
			log_info("%s is taken into use", r->tls_cert_path);
	}
	if (ret == 0)
		ret = applied_write(&note, notes_dir, "certificate", &err);
	if (ret < 0)
		log_warn("%s", err.data);
	applied_free(&note);
	buf_free(&err);
	return ret < 0 ? EXIT_FAIL : EXIT_OK;
}

static int acme_main(int argc, char **argv)
{
	bool check_only = false, reload = false;
	const struct opt opts[] = {
		{ "check", NULL, &check_only }, { "reload", NULL, &reload },
		{ 0 },
	};
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
	if (relay->tls_mode == TLS_ACME || reload) {
		plan_init(&plan, relay);
		ret = reload ? reload_changed(&plan) :
			       renew(&plan, check_only);
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
	.args = "[--check | --reload] [INI]",
	.help =
"Gets a certificate for mail_domain, www. and mta-sts. from the authority of\n"
"acme_directory by the program uacme, when the one that there is has a third of\n"
"its time left or less, and lets nginx, Dovecot and Postfix take it into use. A\n"
"timer calls it daily on a relay. An account that acmetool had is used on.\n"
"\n"
"  --check   only say whether a new one is due\n"
"  --reload  let them take the one that there is into use if it has changed since\n"
"            the last time: where others renew it, and nobody tells\n"
"\n"
"Under the name acme-hook it is called by uacme, and puts the answer to a\n"
"challenge where nginx serves it.\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini.\n"
"\n"
"Example: chatmail acme --check\n",
	.main = acme_main,
};
