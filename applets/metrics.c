/* chatmail metrics: the figures of all roles in one text. */
#include "applets/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "applet.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "relay/mailbox_report.h"
#include "relay/reload.h"

/* Where the sockets are on a server when metrics_dir does not say: the
 * RuntimeDirectory of the role's unit; else beside the role's own. */
static const struct {
	const char *role, *dir, *other_dir;
	bool is_optional;
} roles[] = {
	{ "doveauth", "/run/doveauth", NULL, false },
	{ "lastlogin", "/run/chatmail-lastlogin", NULL, false },
	{ "metadata", "/run/chatmail-metadata", NULL, false },
	{ "filtermail-outgoing", "/run/filtermail", NULL, false },
	{ "filtermail-incoming", "/run/filtermail-incoming", NULL, false },
	{ "dkim", "/run/opendkim", "/var/spool/postfix/opendkim", false },
	/* may run as a CGI program, once for each request */
	{ "newemail", "/run/chatmail-newemail", NULL, true },
	/* an earlier relay's chatmail-turn has none */
	{ "turn", "/run/chatmail-turn", NULL, true },
};

struct options {
	const char *textfile, *socket;
	bool fsreport, json, prometheus;
};

static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

void metrics_sources(struct collect *c, const struct relay *r, struct arena *a)
{
	_Static_assert(ARRAY_LEN(roles) <= COLLECT_SOURCES_MAX, "all fit");
	const char *dir = r->s.metrics_dir;

	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct collect_source *s = &c->sources[i];

		s->role = roles[i].role;
		s->is_optional = roles[i].is_optional;
		s->path = arena_printf(a, "%s/%s.metrics", *dir ? dir :
				       roles[i].dir, s->role);
		if (!*dir && roles[i].other_dir && !exists(s->path))
			s->path = arena_printf(a, "%s/%s.metrics",
					       roles[i].other_dir, s->role);
	}
	c->count = ARRAY_LEN(roles);
}

/* What cannot be read is counted; fsreport names it. */
static void ignore(const char *path, const char *why)
{
}

int metrics_fsreport(const char *mailboxes_dir, struct buf *out,
		     struct buf *err)
{
	struct mailbox_trouble trouble = { .say = ignore };
	struct mailbox_report r = {
		.walk = { .trouble = &trouble, .max = UINT64_MAX },
		.only = MAILBOX_OTHER,
	};

	clock_gettime(CLOCK_REALTIME, &r.now);
	if (mailbox_report_run(&r, mailboxes_dir) < 0 && errno != ENOENT) {
		buf_setf(err, "%s: %s", mailboxes_dir, strerror(errno));
		return -1;
	}
	mailbox_report_metrics(out, &r, "unknown");
	buf_addf(out, "# HELP chatmail_mailboxes_unread Files and directories "
		 "that could not be looked at.\n"
		 "# TYPE chatmail_mailboxes_unread gauge\n"
		 "chatmail_mailboxes_unread %" PRIu64 "\n# EOF\n",
		 trouble.unread);
	return 0;
}

/* ---- once ------------------------------------------------------------------------ */

struct once {
	struct collect collect;
	struct figures figures;
};

static void on_collected(struct collect *c)
{
	collect_add(c, &container_of(c, struct once, collect)->figures);
}

static int add_fsreport(struct figures *f, const struct relay *r)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	int ret = metrics_fsreport(r->s.mailboxes_dir, &text, &err);

	if (ret == 0)
		ret = figures_parse(f, text.data, text.len, &err);
	if (ret < 0)
		log_warn("%s", err.data);
	buf_free(&text);
	buf_free(&err);
	return ret;
}

/* What node_exporter collects: in Prometheus' own format, readable for all. */
static int write_textfile(const char *path, const struct buf *text)
{
	struct buf name = BUF_INIT;
	struct stat st;
	int ret;

	buf_adds(&name, path);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		buf_adds(&name, str_ends(path, "/") ? "chatmail.prom" :
			 "/chatmail.prom");
	umask(022);
	ret = file_replace(name.data, text->data, text->len, 0644, 0);
	if (ret < 0)
		log_warn("%s: %s", name.data, strerror(errno));
	buf_free(&name);
	return ret;
}

static int output(const struct figures *f, const struct options *o)
{
	struct buf text = BUF_INIT;
	int ret = 0;

	figures_print(f, o->json ? FIGURES_JSON : o->prometheus || o->textfile ?
		      FIGURES_PROMETHEUS : FIGURES_OPENMETRICS, &text);
	if (o->textfile)
		ret = write_textfile(o->textfile, &text);
	else
		fwrite(text.data, 1, text.len, stdout);
	buf_free(&text);
	return ret;
}

static int collect_once(const struct options *o, const char *ini)
{
	struct relay *r = relay_load_or_die(ini);
	struct once once = { .collect.done = on_collected };
	struct arena arena = ARENA_INIT;
	int ret = EXIT_OK;

	metrics_sources(&once.collect, r, &arena);
	collect_run(&once.collect);
	if (o->fsreport && add_fsreport(&once.figures, r) < 0)
		ret = EXIT_FAIL;
	if (output(&once.figures, o) < 0)
		ret = EXIT_FAIL;
	figures_free(&once.figures);
	arena_free(&arena);
	relay_free(r);
	return ret;
}

/* ---- the command line -------------------------------------------------------------- */

static int run(const struct options *o, const char *ini)
{
	enum figures_format format = o->json ? FIGURES_JSON :
				     FIGURES_PROMETHEUS;

	if (o->socket)
		return metrics_serve_scgi(o->socket, ini, o->fsreport,
					  o->json || o->prometheus ? &format :
					  NULL);
	return collect_once(o, ini);
}

static int metrics_main(int argc, char **argv)
{
	struct options o = { 0 };
	const struct opt opts[] = {
		{ "textfile", &o.textfile, NULL },
		{ "socket", &o.socket, NULL },
		{ "fsreport", NULL, &o.fsreport },
		{ "json", NULL, &o.json },
		{ "prometheus", NULL, &o.prometheus }, { 0 },
	};
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc > 2)
		buf_setf(&err, "at most one INI is needed");
	else if (argc > 0 && o.textfile && (o.socket || o.json))
		buf_setf(&err, "--textfile goes with neither --socket nor "
			 "--json");
	else if (argc > 0 && o.json && o.prometheus)
		buf_setf(&err, "either --json or --prometheus");
	if (argc < 0 || err.len)
		ret = applet_usage(&applet_metrics, "%s", err.data);
	else
		ret = run(&o, relay_ini_path(argv[1], false));
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(metrics) {
	.name = "metrics", .aliases = "chatmail-metrics",
	.summary = "collect the figures of all roles in OpenMetrics",
	.args = "[OPTION...] [INI]",
	.help =
"Asks each role for what it has counted since its start, on ROLE.metrics in\n"
"metrics_dir, else in the roles' own directories below /run, and prints all of\n"
"it. chatmail_up{role=\"...\"} is 0 for a role that does not answer in a second.\n"
"What upstream's mtail program counts from the log is there under its names as\n"
"well, of the type unknown, as a counter would have to end in _total.\n"
"\n"
"  --fsreport        add fsreport's figures, for which every mailbox is looked\n"
"                    at; with --socket at most once an hour, in the background\n"
"  --prometheus      Prometheus' text format instead of OpenMetrics\n"
"  --json            a JSON object instead\n"
"  --textfile PATH   write Prometheus' format to a file, for the textfile\n"
"                    collector of node_exporter; chatmail.prom in PATH when\n"
"                    that is a directory\n"
"  --socket PATH     answer requests by SCGI there, until SIGTERM: OpenMetrics\n"
"                    to clients that accept it, else Prometheus' format\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini. The sockets are\n"
"for the roles' own users and groups, so root or vmail should ask.\n"
"\n"
"Example: chatmail metrics --textfile /var/lib/prometheus/node-exporter\n",
	.main = metrics_main,
};
