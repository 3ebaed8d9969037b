/* chatmail expire: deletes old mail, large mail and unused accounts. The rules
 * and the figures are upstream's (chatmaild/expire.py); but a dry run deletes
 * nothing at all, and says what a real one would. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "relay/mailbox.h"
#include "relay/mailbox_leftovers.h"
#include "relay/mailbox_quota.h"
#include "relay/mailbox_remove.h"
#include "relay/reload.h"

enum {
	LARGE = 200000,			/* bytes; more than that is large */
	PROGRESS_MSECS = 200,
};
static const uint64_t NOW_MAX = (uint64_t)1 << 40;
static const double SHRINK_TO = 0.7;	/* of max_mailbox_size */

static struct {
	struct mailbox_trouble trouble;
	struct mailbox_walk walk;
	struct mailbox_shrink shrink;
	bool dry, verbose, json, progress;
	/* what was last changed before these is too old */
	struct timespec logins_before, mails_before, large_before;
	struct timespec leftovers_before;
	/* of the mailbox at hand */
	const struct mailbox *mailbox;
	bool changed;
	uint64_t quota_bytes;
	/* figures, counted as upstream counts */
	uint64_t mailboxes, removed_mailboxes, files, removed_files;
	struct timespec shown;		/* when progress was */
} expire;

/* ---- what is said --------------------------------------------------------------- */

static void clear_progress(void)
{
	if (expire.progress)
		fputs("\r\033[K", stderr);
}

static struct timespec monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t;
}

static int64_t msecs_since(struct timespec start)
{
	struct timespec t = monotonic();

	return (t.tv_sec - start.tv_sec) * 1000 +
	       (t.tv_nsec - start.tv_nsec) / 1000000;
}

static void show_progress(void)
{
	if (!expire.progress || msecs_since(expire.shown) < PROGRESS_MSECS)
		return;
	expire.shown = monotonic();
	fprintf(stderr, "\r\033[K%" PRIu64 " mailboxes, %" PRIu64 " files",
		expire.mailboxes, expire.files);
}

static void say(const char *path, const char *why)
{
	clear_progress();
	log_warn("%s: %s", path, why);
}

/* "removing Nov 21 PATH", with -v; when may be NULL. */
static void tell(const char *what, const struct timespec *when,
		 const char *path)
{
	char date[16] = "";
	struct tm tm;

	clear_progress();
	if (when && localtime_r(&when->tv_sec, &tm))
		strftime(date, sizeof(date), "%b %d ", &tm);
	log_info("%s %s%s", what, date, path);
}

static void tell_removing(const struct timespec *when,
			  const struct mailbox_dir *d, const char *name)
{
	struct buf path = BUF_INIT;

	if (!expire.verbose)
		return;
	mailbox_dir_path(&path, d, name);
	tell("removing", when, path.data);
	buf_free(&path);
}

/* ---- messages ------------------------------------------------------------------- */

enum verdict { KEEP, OLD, OLD_AND_LARGE, LARGE_BUT_NEW };

/* Large mail that was not noticed yet, in "new", gets its full time. */
static enum verdict judge(const struct mailbox_file *f)
{
	if (mailbox_is_before(f->mtime, expire.mails_before))
		return OLD;
	if (f->size <= LARGE ||
	    !mailbox_is_before(f->mtime, expire.large_before))
		return KEEP;
	return f->sub == MAILBOX_CUR ? OLD_AND_LARGE : LARGE_BUT_NEW;
}

static bool is_expired(const struct mailbox_shrink *s,
		       const struct mailbox_file *f)
{
	enum verdict v = judge(f);

	return v == OLD || v == OLD_AND_LARGE;
}

static void remove_file(const struct mailbox_file *f)
{
	tell_removing(&f->mtime, f->dir, f->name);
	if (!expire.dry && unlinkat(f->dir->fd, f->name, 0) < 0)
		mailbox_unremoved(&expire.trouble, f->dir, f->name, errno);
	else
		expire.removed_files++;
}

static void on_file(struct mailbox_walk *w, const struct mailbox_file *f)
{
	enum verdict v = judge(f);
	uint64_t secs, size;

	expire.files++;
	if (v != KEEP && !expire.changed) {
		expire.changed = true;
		if (!expire.dry)
			mailbox_forget_size(&expire.mailbox->dir,
					    &expire.trouble);
	}
	if (v == OLD || v == OLD_AND_LARGE)
		remove_file(f);
	else if (f->inbox && f->sub != MAILBOX_TMP &&
		 mailbox_name_parse(f->name, &secs, &size))
		expire.quota_bytes += size;
}

/* ---- mailboxes ------------------------------------------------------------------ */

static void remove_unused(const struct mailbox *m)
{
	int ret = 1;

	tell_removing(NULL, &m->dir, NULL);
	if (!expire.dry)
		ret = mailbox_remove(m, &expire.trouble);
	if (ret > 0)
		expire.removed_mailboxes++;
	else if (ret == 0)
		say(m->dir.name, "somebody logs in again, so it stays");
}

static void remove_if_empty(const struct mailbox *m)
{
	struct buf path = BUF_INIT;
	int ret = mailbox_remove_empty(m, expire.dry, &expire.trouble);

	if (ret > 0)
		expire.removed_mailboxes++;
	if (ret == 0) {
		clear_progress();
		mailbox_dir_path(&path, &m->dir, NULL);
		log_info("Skipped deleting %s, doesn't have last_login but "
			 "isn't empty", path.data);
		buf_free(&path);
	}
}

/* A time of exactly 0 is no login to upstream, and nobody's last one. */
static bool is_unused(const struct mailbox *m)
{
	return (m->last_login.tv_sec || m->last_login.tv_nsec) &&
	       mailbox_is_before(m->last_login, expire.logins_before);
}

static bool on_enter(struct mailbox_walk *w, const struct mailbox *m)
{
	expire.mailboxes++;
	show_progress();
	if (!m->has_password) {
		remove_if_empty(m);
		return false;
	}
	if (is_unused(m)) {
		remove_unused(m);
		return false;
	}
	if (expire.verbose)
		tell("checking mailbox", &m->last_login, m->dir.name);
	expire.mailbox = m;
	expire.changed = false;
	expire.quota_bytes = 0;
	return true;
}

static void shrink(const struct mailbox *m)
{
	expire.shrink.removed = 0;
	mailbox_shrink(&expire.shrink, &m->dir);
	if (!expire.shrink.removed)
		return;
	expire.changed = true;
	expire.removed_files += expire.shrink.removed;
	if (expire.verbose) {
		clear_progress();
		log_info("quota-expire: removed %" PRIu64 " message(s) from %s",
			 expire.shrink.removed, m->dir.name);
	}
}

static void on_leave(struct mailbox_walk *w, const struct mailbox *m)
{
	mailbox_leftovers(&m->dir, expire.leftovers_before, remove_file,
			  &expire.trouble);
	if (expire.quota_bytes > expire.shrink.target)
		shrink(m);
	if (!expire.changed)
		return;
	tell_removing(NULL, &m->dir, "maildirsize");
	if (!expire.dry)
		mailbox_forget_size(&m->dir, &expire.trouble);
	expire.removed_files++;
}

/* ---- the run -------------------------------------------------------------------- */

struct options {
	const char *days, *maxnum, *now;
	bool remove;
};

static void set_rules(const struct relay *r, struct timespec then)
{
	expire.logins_before = mailbox_days_before(then,
		r->s.delete_inactive_users_after);
	expire.mails_before = mailbox_days_before(then,
		r->s.delete_mails_after);
	expire.large_before = mailbox_days_before(then,
		r->s.delete_large_after);
	expire.leftovers_before = mailbox_days_before(then, 1);
	expire.shrink.target = (uint64_t)((double)(r->s.max_mailbox_size *
						   1024 * 1024) * SHRINK_TO);
}

static void print_json(double secs)
{
	printf("{\"dry_run\": %s, \"mailboxes\": %" PRIu64 ", "
	       "\"removed_mailboxes\": %" PRIu64 ", \"files\": %" PRIu64 ", "
	       "\"removed_files\": %" PRIu64 ", \"not_removed\": %" PRIu64 ", "
	       "\"not_read\": %" PRIu64 ", \"vanished\": %" PRIu64 ", "
	       "\"seconds\": %.3f}\n", expire.dry ? "true" : "false",
	       expire.mailboxes, expire.removed_mailboxes, expire.files,
	       expire.removed_files, expire.trouble.unremoved,
	       expire.trouble.unread, expire.trouble.vanished, secs);
}

static int summarize(double secs)
{
	clear_progress();
	if (expire.json)
		print_json(secs);
	else
		printf("Removed %" PRIu64 " out of %" PRIu64 " mailboxes and %"
		       PRIu64 " out of %" PRIu64 " files in existing mailboxes "
		       "in %.2f seconds\n", expire.removed_mailboxes,
		       expire.mailboxes, expire.removed_files, expire.files,
		       secs);
	if (!expire.trouble.unremoved && !expire.trouble.unread)
		return EXIT_OK;
	fflush(stdout);
	log_warn("%" PRIu64 " could not be removed, %" PRIu64 " could not be "
		 "read", expire.trouble.unremoved, expire.trouble.unread);
	return EXIT_FAIL;
}

static int run(const struct relay *r)
{
	struct timespec start = monotonic();

	expire.progress = isatty(STDERR_FILENO);
	if (mailbox_walk(&expire.walk, r->s.mailboxes_dir) < 0) {
		if (errno != ENOENT)
			die_errno("%s", r->s.mailboxes_dir);
		log_info("no mailboxes found at: %s", r->s.mailboxes_dir);
	}
	return summarize((double)msecs_since(start) / 1000);
}

/* --days shifts the ages of mail and logins, but not the day for which mail is
 * safe from the quota rule. Returns 0, or -1 with *err. */
static int apply(const struct options *o, struct timespec *then,
		 struct buf *err)
{
	uint64_t days, secs = 0, max = UINT64_MAX;
	struct timespec now;

	if (str_to_u64(o->days, &days) < 0 ||
	    (o->maxnum && str_to_u64(o->maxnum, &max) < 0) ||
	    (o->now && (str_to_u64(o->now, &secs) < 0 || secs > NOW_MAX))) {
		buf_setf(err, "--days, --maxnum and --now need a whole number");
		return -1;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	if (o->now)
		now = (struct timespec){ .tv_sec = (time_t)secs };
	*then = mailbox_days_before(now, days);
	expire.dry = !o->remove;
	expire.trouble.say = say;
	expire.shrink = (struct mailbox_shrink){
		.trouble = &expire.trouble, .now = now, .dry = expire.dry,
		.is_gone = is_expired,
	};
	expire.walk = (struct mailbox_walk){
		.trouble = &expire.trouble, .max = max, .enter = on_enter,
		.file = on_file, .leave = on_leave,
	};
	return 0;
}

static int expire_main(int argc, char **argv)
{
	struct options o = { .days = "0" };
	const struct opt opts[] = {
		{ "remove", NULL, &o.remove }, { "v", NULL, &expire.verbose },
		{ "days", &o.days, NULL }, { "maxnum", &o.maxnum, NULL },
		{ "json", NULL, &expire.json }, { "now", &o.now, NULL }, { 0 },
	};
	struct buf err = BUF_INIT;
	struct timespec then;
	struct relay *r;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc > 2)
		buf_setf(&err, "at most one INI is needed");
	if (argc < 0 || err.len || apply(&o, &then, &err) < 0) {
		ret = applet_usage(&applet_expire, "%s", err.data);
	} else {
		r = relay_load_or_die(relay_ini_path(argv[1], false));
		set_rules(r, then);
		ret = run(r);
		relay_free(r);
	}
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(expire) {
	.name = "expire", .aliases = "chatmail-expire",
	.summary = "delete old mail, large mail and unused accounts",
	.args = "[INI] [--remove] [-v] [--days N] [--maxnum N] [--json]",
	.help =
"Looks through all mailboxes and says what has to go by chatmail.ini; with\n"
"--remove it goes:\n"
"\n"
"  an account without a login for delete_inactive_users_after days, and an\n"
"  empty mailbox directory without a password file;\n"
"  a message that is older than delete_mails_after days;\n"
"  a message over 200,000 bytes, read, older than delete_large_after days;\n"
"  the oldest messages of a mailbox that is fuller than 70 % of\n"
"  max_mailbox_size, but for those of the last 24 hours;\n"
"  a temporary file of our own that a killed process left a day ago.\n"
"\n"
"Symbolic links are not followed. What cannot be removed or read is named, and\n"
"the rest goes on; the exit code is 1 then.\n"
"\n"
"  --remove     delete; without it nothing is changed\n"
"  -v           name everything that is looked at or deleted\n"
"  --days N     count ages as they were N days ago\n"
"  --maxnum N   look at no more than N names in mailboxes_dir\n"
"  --json       the figures as a JSON object\n"
"  --now SECS   take that Unix time for the present one; for tests\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini.\n"
"\n"
"Example: chatmail expire --remove /etc/chatmail/chatmail.ini\n",
	.main = expire_main,
};
