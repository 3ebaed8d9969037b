/* chatmail deploy: installs, configures and starts a relay. */
#include "applets/deploy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "base/term.h"
#include "host/remote.h"
#include "net/authority.h"
#include "relay/dns_check.h"
#include "relay/reload.h"
#include "relay/www.h"
#include "applet.h"

enum { INI_MAX = 1024 * 1024 };

/* "install,configure": the check comes always. */
static int parse_stages(struct deploy *d, const char *list, struct buf *err)
{
	d->stages[PLAN_CHECK] = true;
	for (int i = 0; !list && i < PLAN_STAGES; i++)
		d->stages[i] = true;
	while (list && *list) {
		size_t n = strcspn(list, ",");
		int i = PLAN_INSTALL;

		while (i < PLAN_STAGES &&
		       (strlen(plan_stage_names[i]) != n ||
			strncmp(plan_stage_names[i], list, n) != 0))
			i++;
		if (i == PLAN_STAGES) {
			buf_setf(err, "stages: expected install, configure or "
				 "activate, got \"%.*s\"", (int)n, list);
			return -1;
		}
		d->stages[i] = true;
		list += n + (list[n] == ',');
	}
	return 0;
}

static void open_display(struct deploy *d)
{
	const char *term = getenv("TERM");
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	d->began = (double)t.tv_sec + t.tv_nsec / 1e9;
	d->live = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
	d->colour = term_has_colour(STDOUT_FILENO);
}

static void load_ini(struct deploy *d, const char *arg)
{
	d->ini = relay_ini_path(arg, true);
	d->relay = relay_load_or_die(d->ini);
	if (file_read(d->ini, INI_MAX, &d->ini_text) < 0)
		die_errno("%s", d->ini);
}

/* ---- what is done on the operator's machine ---------------------------------- */

/* The pages, into a directory of their own; "none" leaves them alone. */
static int build_pages(struct deploy *d, struct buf *dir, struct buf *err)
{
	struct buf warnings = BUF_INIT;
	struct www_options o = { 0 };
	int ret;

	if (d->www) {
		if (strcmp(d->www, "none") == 0)
			d->www = NULL;
		return 0;
	}
	buf_adds(dir, "/tmp/chatmail-www-XXXXXX");
	if (!mkdtemp(dir->data)) {
		buf_setf(err, "%s: %s", dir->data, strerror(errno));
		buf_reset(dir);
		return -1;
	}
	o.output = dir->data;
	ret = www_build(d->relay, &o, &warnings, err);
	if (warnings.len > 0)
		fprintf(stderr, "chatmail deploy: %s", warnings.data);
	if (ret == WWW_BUILT)
		d->www = dir->data;
	buf_free(&warnings);
	return ret == WWW_ERROR ? -1 : 0;
}

/* Without these records certificates cannot be had, nor the host found. */
static int check_dns(struct deploy *d, struct buf *err)
{
	struct buf problems = BUF_INIT;
	struct authority a;
	size_t count;

	if (d->skip_dns_check || d->website_only)
		return 0;
	if (authority_init(&a, d->dns_server, 53, err) < 0)
		return -1;
	count = dns_precheck(d->relay, &a, &problems);
	if (count > 0)
		buf_setf(err, "the DNS is not ready for %s:\n%s"
			 "Set what is missing with your DNS provider, or deploy "
			 "with --skip-dns-check", d->relay->mail_domain_bare,
			 problems.data);
	authority_free(&a);
	buf_free(&problems);
	return count > 0 ? -1 : 0;
}

static int prepare_and_run(struct deploy *d)
{
	struct buf dir = BUF_INIT, err = BUF_INIT;
	int ret = EXIT_FAIL;

	if (build_pages(d, &dir, &err) < 0 || check_dns(d, &err) < 0)
		deploy_fail(d, "%s", err.data);
	else
		ret = d->host ? deploy_remote(d) : deploy_local(d);
	if (dir.len > 0)
		file_remove_tree(dir.data);
	buf_free(&dir);
	buf_free(&err);
	return ret;
}

static int deploy_main(int argc, char **argv)
{
	struct deploy d = { .ini_text = BUF_INIT };
	const char *host = NULL, *config = NULL;
	bool local = false;
	const struct opt opts[] = {
		{ "ssh-host", &host, NULL }, { "local", NULL, &local },
		{ "i", &d.identity, NULL }, { "config", &config, NULL },
		{ "stages", &d.stage_list, NULL }, { "www", &d.www, NULL },
		{ "dry-run", NULL, &d.dry_run },
		{ "disable-mail", NULL, &d.disable_mail },
		{ "website-only", NULL, &d.website_only },
		{ "skip-dns-check", NULL, &d.skip_dns_check },
		{ "verbose", NULL, &d.verbose }, { "v", NULL, &d.verbose },
		{ "json", NULL, &d.json },
		{ "dns-server", &d.dns_server, NULL }, { 0 },
	};
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (!d.stage_list)
		d.stage_list = getenv("CMDEPLOY_STAGES");
	if (argc < 0 || argc > 2 || parse_stages(&d, d.stage_list, &err) < 0) {
		ret = applet_usage(&applet_deploy, "%s", err.len ? err.data :
				   "one INI at most");
		buf_free(&err);
		return ret;
	}
	open_display(&d);
	load_ini(&d, argc == 2 ? argv[1] : config);
	if (!local)
		d.host = host ? host : d.relay->mail_domain_bare;
	if (d.host && remote_is_here(d.host))
		d.host = NULL;
	ret = prepare_and_run(&d);
	relay_free(d.relay);
	buf_free(&d.ini_text);
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(deploy) {
	.name = "deploy", .aliases = "run",
	.summary = "install, configure and start a relay on a server",
	.args = "[OPTION...] [INI]",
	.help =
"Makes a bare Debian 12 server a relay as chatmail.ini says, or brings one up to\n"
"date: packages, users, certificates, Postfix, Dovecot, nginx, unbound, the web\n"
"pages and chatmail's own services. A second run changes nothing. A relay that\n"
"was set up by cmdeploy is taken over with its mailboxes, keys and certificate.\n"
"\n"
"  --ssh-host HOST    [user@]host[:port], or a Host of ~/.ssh/config; default\n"
"                     root at mail_domain. localhost is this machine\n"
"  -i FILE            private key, tried before the agent's and ~/.ssh/id_*\n"
"  --local            on this machine, without SSH\n"
"  --dry-run          show what would be changed, with the differences\n"
"  --stages A,B       only these of install, configure, activate; default\n"
"                     $CMDEPLOY_STAGES, else all\n"
"  --disable-mail     all but Postfix and Dovecot, which are stopped\n"
"  --website-only     only the web pages\n"
"  --www DIR          pages that are built already; none leaves them alone\n"
"  --skip-dns-check   do not look at the DNS first\n"
"  --dns-server A     name server for that, ADDRESS[:PORT]\n"
"  --verbose          more about the connection\n"
"  --json             one JSON object a line, a step each\n"
"  --config INI       the same as INI\n"
"\n"
"Everything is checked before anything is touched, and configurations by the\n"
"programs that will read them. A run that was interrupted is completed by the\n"
"next one. A user who is not root needs sudo or doas without a password.\n"
"\n"
"INI defaults to $CHATMAIL_INI, else ./chatmail.ini.\n"
"\n"
"Example: chatmail deploy --ssh-host root@chat.example.org\n",
	.main = deploy_main,
};
