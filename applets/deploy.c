/* chatmail deploy: installs, configures and starts a relay. */
#include "applets/deploy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "relay/reload.h"
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
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	d->began = (double)t.tv_sec + t.tv_nsec / 1e9;
	d->live = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
	d->colour = d->live && !(no_colour && *no_colour);
}

static void load_ini(struct deploy *d, const char *arg)
{
	d->ini = relay_ini_path(arg, true);
	d->relay = relay_load_or_die(d->ini);
	if (file_read(d->ini, INI_MAX, &d->ini_text) < 0)
		die_errno("%s", d->ini);
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
		{ "json", NULL, &d.json }, { 0 },
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
	if (d.host && (strcmp(d.host, "localhost") == 0 ||
		       strcmp(d.host, "@local") == 0))
		d.host = NULL;
	ret = deploy_local(&d);
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
"TODO\n"
"\n"
"Example: chatmail deploy --ssh-host root@chat.example.org\n",
	.main = deploy_main,
};
