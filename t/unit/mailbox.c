/* Names of messages, the arithmetic of ages, paths, and lists of directories
 * from which files go meanwhile. What is done with mailboxes is in
 * t/3000-expire.t. */
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "relay/mailbox_quota.h"

static const struct {
	const char *name;
	bool ok;
	uint64_t secs, size;
} names[] = {
	{ "1775324677.M448978P3029757.exam,S=3235,W=3305:2,S", true,
	  1775324677, 3235 },
	{ "1775324677.M1.host,S=0", true, 1775324677, 0 },
	{ "1.x,S=1", true, 1, 1 },
	{ "1.,,S=1", true, 1, 1 },
	{ "1.a,S=1,S=2:2,", true, 1, 2 },	/* the last one */
	{ "1.a,S=1,S=x", true, 1, 1 },
	{ "1.a,S=12x", true, 1, 12 },
	{ "1.a,S=1\n,S=2", true, 1, 1 },	/* of the first line */
	{ "1.\xff\x80,S=7", true, 1, 7 },
	{ "00012.a,S=0007", true, 12, 7 },
	{ "1.a,S=1099511627776", true, 1, 1099511627776 },
	{ "1.a,S=1099511627777", false, 0, 0 },	/* more than 1 TB */
	{ "99999999999999999999.a,S=1", false, 0, 0 },
	{ "1.a,S=99999999999999999999", false, 0, 0 },
	{ "1.,S=1", false, 0, 0 },	/* nothing between . and , */
	{ "1.\n,S=1", false, 0, 0 },
	{ "1.a\nb,S=1", false, 0, 0 },
	{ "1.a,S=", false, 0, 0 },
	{ "1.a,S=-1", false, 0, 0 },
	{ "1.a,s=1", false, 0, 0 },
	{ "1.a,W=1", false, 0, 0 },
	{ "1,S=1", false, 0, 0 },
	{ "x1.a,S=1", false, 0, 0 },
	{ ".a,S=1", false, 0, 0 },
	{ "-1.a,S=1", false, 0, 0 },
	{ "1.", false, 0, 0 },
	{ "1", false, 0, 0 },
	{ "", false, 0, 0 },
};

static void test_names(void)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		uint64_t secs = 0, size = 0;
		struct buf name = BUF_INIT;
		bool ok = mailbox_name_parse(names[i].name, &secs, &size);

		buf_add_printable(&name, names[i].name, strlen(names[i].name));
		tap_ok(ok == names[i].ok && (!ok || (secs == names[i].secs &&
						     size == names[i].size)),
		       "\"%s\" is %s", name.data, names[i].ok ?
		       "a message with a size" : "no name that counts");
		buf_free(&name);
	}
}

static void test_times(void)
{
	const struct timespec t = { 1800000000, 5 };
	const struct timespec later = { 1800000000, 6 };
	struct timespec then = mailbox_days_before(t, 20);

	tap_ok(then.tv_sec == 1800000000 - 20 * 86400 && then.tv_nsec == 5,
	       "20 days before");
	tap_ok(mailbox_is_before(then, t) && !mailbox_is_before(t, then),
	       "are before");
	tap_ok(mailbox_is_before(t, later) && !mailbox_is_before(later, t),
	       "nanoseconds count");
	tap_ok(!mailbox_is_before(t, t), "no time is before itself");
	then = mailbox_days_before(mailbox_days_before(t, UINT64_MAX),
				   UINT64_MAX);
	tap_ok(mailbox_is_before(then, t), "no number of days overflows");
}

static void test_subs(void)
{
	tap_ok(mailbox_sub("cur") == MAILBOX_CUR &&
	       mailbox_sub("new") == MAILBOX_NEW &&
	       mailbox_sub("tmp") == MAILBOX_TMP, "cur, new, tmp");
	tap_ok(mailbox_sub("curl") == MAILBOX_OTHER &&
	       mailbox_sub("cu") == MAILBOX_OTHER &&
	       mailbox_sub("Cur") == MAILBOX_OTHER &&
	       mailbox_sub("") == MAILBOX_OTHER, "and nothing else");
}

static char said[4096];

static void say(const char *path, const char *why)
{
	snprintf(said, sizeof(said), "%s: %s", path, why);
}

static void test_paths(const struct mailbox_dir *top)
{
	struct mailbox_trouble t = { .say = say };
	struct mailbox_dir d, none;
	struct buf want = BUF_INIT;

	tap_ok(mailbox_dir_open(&d, top, "box", false) == 0, "a directory");
	mailbox_unread(&t, &d, "some\nfile", EACCES);
	buf_addf(&want, "%s/box/some\nfile: Permission denied", top->name);
	tap_is(said, want.data, "a file in it by its path");
	buf_setf(&want, "%s/box: not removed: Is a directory", top->name);
	mailbox_unremoved(&t, &d, NULL, EISDIR);
	tap_is(said, want.data, "itself");
	said[0] = '\0';
	mailbox_unread(&t, &d, "x", ENOENT);
	mailbox_unremoved(&t, &d, "x", ENOENT);
	tap_is(said, "", "what has vanished is not said");
	tap_ok(t.unread == 1 && t.unremoved == 1 && t.vanished == 2,
	       "but counted");
	mailbox_dir_close(&d);
	tap_ok(mailbox_dir_open(&none, top, "link", false) < 0 &&
	       (errno == ELOOP || errno == ENOTDIR) && none.fd == -1,
	       "a link is no directory");
	tap_ok(mailbox_dir_open(&none, top, "link", true) == 0,
	       "unless that is asked for");
	mailbox_dir_close(&none);
	mailbox_dir_close(&none);
	buf_free(&want);
}

/* More names than fit into one read, removed as they come. */
static void test_list(const struct mailbox_dir *top)
{
	enum { COUNT = 3000 };
	struct mailbox_list *l = xmalloc(sizeof(*l));
	struct mailbox_dir d;
	unsigned char type;
	char file[256];
	const char *name;
	int seen = 0, regular = 0, ret;

	mailbox_dir_open(&d, top, "box", false);
	for (int i = 0; i < COUNT; i++) {
		snprintf(file, sizeof(file), "%0200d", i);
		close(openat(d.fd, file, O_WRONLY | O_CREAT, 0600));
	}
	mailbox_list_start(l, &d);
	while ((ret = mailbox_list_next(l, &name, &type)) > 0) {
		seen++;
		regular += type == DT_REG;
		unlinkat(d.fd, name, 0);
	}
	tap_ok(ret == 0 && seen == COUNT && regular == COUNT,
	       "%d of %d files are listed while they go", seen, COUNT);
	mailbox_list_start(l, &d);
	tap_ok(mailbox_list_next(l, &name, &type) == 0,
	       "an empty directory, without the dots");
	mailbox_dir_close(&d);
	free(l);
}

int main(void)
{
	char path[] = "/tmp/chatmail-unit-XXXXXX";
	struct mailbox_dir top;

	test_names();
	test_times();
	test_subs();
	if (!mkdtemp(path) || mailbox_dir_open(&top, NULL, path, false) < 0)
		return tap_ok(false, "a directory in /tmp"), tap_done();
	if (mkdirat(top.fd, "box", 0700) < 0 ||
	    symlinkat("box", top.fd, "link") < 0)
		tap_ok(false, "files in %s", path);
	test_paths(&top);
	test_list(&top);
	unlinkat(top.fd, "link", 0);
	unlinkat(top.fd, "box", AT_REMOVEDIR);
	mailbox_dir_close(&top);
	rmdir(path);
	return tap_done();
}
