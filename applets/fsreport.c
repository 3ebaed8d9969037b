/* chatmail fsreport: how much the mailboxes store, how many accounts are in
 * use; options and output are upstream's (chatmaild/fsreport.py). */
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

static const uint64_t NOW_MAX = (uint64_t)1 << 40;
static const char legacy_path[] = "/var/www/html/metrics";

struct options {
	const char *textfile, *legacy, *mdir;
	const char *days, *min_login_age, *maxnum, *now;
	bool json;
};

static void say(const char *path, const char *why)
{
	log_warn("%s: %s", path, why);
}

/* ---- the text ------------------------------------------------------------------- */

static const char *print_size(char *out, size_t n, uint64_t size)
{
	double v = (double)size;

	if (size < 10000)
		snprintf(out, n, "%5.2fK", v / 1e3);
	else if (size < 1000 * 1000)
		snprintf(out, n, "%5.0fK", v / 1e3);
	else if (size < 1000 * 1000 * 1000)
		snprintf(out, n, "%5.0fM", (double)(size / 1000000));
	else
		snprintf(out, n, "%5.2fG", v / 1e9);
	return out;
}

#define SIZE(v) print_size((char[32]){ 0 }, 32, v)

static double percent(uint64_t part, uint64_t whole, double of_none)
{
	return whole ? (double)part / (double)whole * 100 : of_none;
}

static void print_storage(const struct mailbox_report *r, const char *mdir)
{
	uint64_t all = r->message_bytes + r->other_bytes;

	printf("\n## Mailbox storage use analysis\n"
	       "Mailbox data total size: %s\n"
	       "Messages total size    : %s\n"
	       "Extra files : %s (%.2f%%)\n\n", SIZE(all),
	       SIZE(r->message_bytes), SIZE(r->other_bytes),
	       percent(r->other_bytes, all, 100));
	if (r->min_login_age)
		printf("### Message storage for %" PRIu64 " days old logins\n",
		       r->min_login_age);
	for (int i = 0; i < REPORT_SIZES; i++)
		printf("%s%s%slarger than %s: %s (%.2f%%), %" PRIu64 " msgs\n",
		       mdir ? "[" : "", mdir ? mdir : "", mdir ? "] " : "",
		       SIZE(report_sizes[i]), SIZE(r->messages[i].bytes),
		       percent(r->messages[i].bytes, r->message_bytes, 0),
		       r->messages[i].count);
}

static void print_date(struct timespec t)
{
	char text[64] = "?";
	struct tm tm;

	if (localtime_r(&t.tv_sec, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	printf("\n## Login stats, from date reference %s", text);
	if (t.tv_nsec / 1000)
		printf(".%06ld", t.tv_nsec / 1000);
	putchar('\n');
}

static void print_logins(const struct mailbox_report *r)
{
	uint64_t users = r->accounts - r->ci_accounts;

	print_date(r->now);
	printf("all:     %s\nnon-ci:  %s\nci:      %s\n", SIZE(r->accounts),
	       SIZE(users), SIZE(r->ci_accounts));
	for (int i = 0; i < REPORT_DAYS; i++) {
		printf("last %3u days: %s ", report_days[i], SIZE(r->active[i]));
		if (users)
			printf("(%.2f%%)\n", percent(r->active[i], users, 0));
		else
			puts("100%");
	}
}

/* ---- files ---------------------------------------------------------------------- */

static int write_file(const char *path, const struct buf *text)
{
	int ret;

	/* whoever collects the figures may read them */
	umask(022);
	ret = file_replace(path, text->data, text->len, 0644, 0);
	if (ret < 0)
		log_warn("%s: %s", path, strerror(errno));
	return ret;
}

static int write_textfile(const struct mailbox_report *r, const char *path)
{
	struct buf name = BUF_INIT, text = BUF_INIT;
	struct stat st;
	int ret;

	buf_adds(&name, path);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		buf_adds(&name, str_ends(path, "/") ? "fsreport.prom" :
			 "/fsreport.prom");
	mailbox_report_metrics(&text, r, "untyped");
	ret = write_file(name.data, &text);
	buf_free(&name);
	buf_free(&text);
	return ret;
}

static int write_legacy(const struct mailbox_report *r, const char *path)
{
	struct buf text = BUF_INIT;
	int ret;

	mailbox_report_legacy(&text, r);
	ret = write_file(path, &text);
	buf_free(&text);
	return ret;
}

static void print_json(const struct mailbox_report *r)
{
	struct buf text = BUF_INIT;

	mailbox_report_json(&text, r);
	fputs(text.data, stdout);
	buf_free(&text);
}

static int output(const struct mailbox_report *r, const struct options *o)
{
	int ret = 0;

	if (o->textfile && write_textfile(r, o->textfile) < 0)
		ret = -1;
	if (o->legacy && write_legacy(r, o->legacy) < 0)
		ret = -1;
	if (o->json) {
		print_json(r);
	} else if (!o->textfile && !o->legacy) {
		print_storage(r, o->mdir);
		print_logins(r);
	}
	return ret;
}

/* ---- the command line ------------------------------------------------------------ */

/* --legacy-metrics has a default for its value, so it may stand alone: last,
 * or before another option. Our table of options knows no such thing. */
static char **fill_in_legacy(int *argc, char **argv)
{
	char **out = xcalloc((size_t)*argc + 2, sizeof(*out));
	int n = 0;

	for (int i = 0; i < *argc; i++) {
		out[n++] = argv[i];
		if (strcmp(argv[i], "--legacy-metrics") == 0 &&
		    (i + 1 == *argc || argv[i + 1][0] == '-'))
			out[n++] = (char *)legacy_path;
	}
	*argc = n;
	return out;
}

/* Returns 0, or -1 with *err. */
static int apply(struct mailbox_report *r, const struct options *o,
		 struct buf *err)
{
	uint64_t days = 0, secs = 0;

	r->only = o->mdir ? mailbox_sub(o->mdir) : MAILBOX_OTHER;
	r->walk.max = UINT64_MAX;
	clock_gettime(CLOCK_REALTIME, &r->now);
	if (o->mdir && r->only == MAILBOX_OTHER)
		buf_setf(err, "--mdir: expected cur, new or tmp, got \"%s\"",
			 o->mdir);
	else if (str_to_u64(o->days, &days) < 0 ||
		 str_to_u64(o->min_login_age, &r->min_login_age) < 0 ||
		 (o->maxnum && str_to_u64(o->maxnum, &r->walk.max) < 0))
		buf_setf(err, "--days, --min-login-age and --maxnum need a "
			 "whole number");
	else if (o->now && (str_to_u64(o->now, &secs) < 0 || secs > NOW_MAX))
		buf_setf(err, "--now needs a Unix time");
	if (err->len)
		return -1;
	if (o->now)
		r->now = (struct timespec){ .tv_sec = (time_t)secs };
	r->now = mailbox_days_before(r->now, days);
	return 0;
}

static int report(struct mailbox_report *r, const struct options *o,
		  const char *ini)
{
	struct relay *relay = relay_load_or_die(relay_ini_path(ini, false));
	const char *dir = relay->s.mailboxes_dir;
	int ret;

	if (mailbox_report_run(r, dir) < 0) {
		if (errno != ENOENT)
			die_errno("%s", dir);
		log_info("no mailboxes found at: %s", dir);
	}
	ret = output(r, o);
	if (r->walk.trouble->unread) {
		log_warn("%" PRIu64 " could not be read",
			 r->walk.trouble->unread);
		ret = -1;
	}
	relay_free(relay);
	return ret < 0 ? EXIT_FAIL : EXIT_OK;
}

static int fsreport_main(int argc, char **argv)
{
	struct options o = { .days = "0", .min_login_age = "0" };
	const struct opt opts[] = {
		{ "textfile", &o.textfile, NULL },
		{ "legacy-metrics", &o.legacy, NULL },
		{ "mdir", &o.mdir, NULL }, { "days", &o.days, NULL },
		{ "min-login-age", &o.min_login_age, NULL },
		{ "maxnum", &o.maxnum, NULL }, { "now", &o.now, NULL },
		{ "json", NULL, &o.json }, { 0 },
	};
	struct mailbox_trouble trouble = { .say = say };
	struct mailbox_report r = { .walk.trouble = &trouble };
	struct buf err = BUF_INIT;
	int ret;

	argv = fill_in_legacy(&argc, argv);
	argc = opt_parse(opts, argc, argv, &err);
	if (argc > 2)
		buf_setf(&err, "at most one INI is needed");
	if (argc < 0 || err.len || apply(&r, &o, &err) < 0)
		ret = applet_usage(&applet_fsreport, "%s", err.data);
	else
		ret = report(&r, &o, argv[1]);
	buf_free(&err);
	free(argv);
	return ret;
}

DEFINE_APPLET(fsreport) {
	.name = "fsreport", .aliases = "chatmail-fsreport",
	.summary = "report storage of the mailboxes and use of the accounts",
	.args = "[INI] [OPTION...]",
	.help =
"Looks at sizes and times of the files in all mailboxes, never into them, and\n"
"prints how much is stored and how many accounts were used lately. Accounts\n"
"whose names begin with \"ci-\" are counted apart.\n"
"\n"
"  --textfile PATH          write Prometheus metrics instead, for the textfile\n"
"                           collector of node_exporter; fsreport.prom in PATH\n"
"                           when that is a directory\n"
"  --legacy-metrics [FILE]  write the metrics of older relays; FILE is\n"
"                           /var/www/html/metrics when left out\n"
"  --json                   print a JSON object\n"
"  --mdir cur|new|tmp       only messages in these directories by size\n"
"  --min-login-age DAYS     only messages of accounts unused for DAYS by size\n"
"  --days N                 count ages as they were N days ago\n"
"  --maxnum N               look at no more than N names in mailboxes_dir\n"
"  --now SECS               take that Unix time for the present one; for tests\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini. What cannot be\n"
"read is named, and the exit code is 1 then.\n"
"\n"
"Example: chatmail fsreport --textfile /var/lib/prometheus/node-exporter\n",
	.main = fsreport_main,
};
