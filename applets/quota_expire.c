/* chatmail quota-expire: Dovecot's quota_warning calls it when a mailbox is
 * about to run full. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "relay/mailbox_quota.h"

enum { MB = 1024 * 1024 };

static void say(const char *path, const char *why)
{
	log_warn("%s: %s", path, why);
}

/* Without its last slashes, behind which a link would be followed. */
static char *directory(const char *arg)
{
	size_t n = strlen(arg);

	while (n > 1 && arg[n - 1] == '/')
		n--;
	return xstrndup(arg, n);
}

static int shrink(char *path, uint64_t mb)
{
	struct mailbox_trouble trouble = { .say = say };
	struct mailbox_shrink s = { .trouble = &trouble, .target = mb * MB };
	const char *slash = strrchr(path, '/');
	struct mailbox_dir box;

	if (mailbox_dir_open(&box, NULL, path, false) < 0)
		die_errno("%s", path);
	clock_gettime(CLOCK_REALTIME, &s.now);
	mailbox_shrink(&s, &box);
	mailbox_dir_close(&box);
	/* with the role before it the line that upstream writes */
	if (s.removed)
		log_info("removed %" PRIu64 " message(s) from %s", s.removed,
			 slash ? slash + 1 : path);
	if (!trouble.unremoved && !trouble.unread)
		return EXIT_OK;
	log_warn("%" PRIu64 " could not be removed, %" PRIu64 " could not be "
		 "read", trouble.unremoved, trouble.unread);
	return EXIT_FAIL;
}

static int quota_expire_main(int argc, char **argv)
{
	const struct opt opts[] = { { 0 } };
	struct buf err = BUF_INIT;
	uint64_t mb;
	char *path;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc != 3) {
		ret = applet_usage(&applet_quota_expire, "%s", argc < 0 ?
				   err.data : "a size in MB and a mailbox "
				   "directory are needed");
	} else if (str_to_u64(argv[1], &mb) < 0 || mb > UINT64_MAX / MB) {
		ret = applet_usage(&applet_quota_expire, "expected a number of "
				   "megabytes, got \"%s\"", argv[1]);
	} else {
		path = directory(argv[2]);
		ret = shrink(path, mb);
		free(path);
	}
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(quota_expire) {
	.name = "quota-expire", .aliases = "chatmail-quota-expire",
	.summary = "make room in a mailbox that runs full",
	.args = "MB DIR",
	.help =
"Removes the oldest messages of the mailbox in DIR until those that are left\n"
"have MB megabytes (of 1024 * 1024 bytes) or less. Messages of the last 24\n"
"hours stay, and so do folders. Dovecot calls this when a mailbox passes 75 % of\n"
"its quota; what counts is the time and size in the name that Dovecot gave to a\n"
"message.\n"
"\n"
"Example: chatmail quota-expire 350 \\\n"
"             /home/vmail/mail/chat.example.org/user@chat.example.org\n",
	.main = quota_expire_main,
};
