#include "relay/mailbox_remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 3 };

static int remove_files(const struct mailbox_dir *d, const char *keep,
			int depth, struct mailbox_trouble *t);

static int failed(const struct mailbox_dir *d, const char *name,
		  struct mailbox_trouble *t)
{
	if (errno == ENOENT)
		return 0;
	mailbox_unremoved(t, d, name, errno);
	return -1;
}

static int remove_dir(const struct mailbox_dir *parent, const char *name,
		      int depth, struct mailbox_trouble *t)
{
	struct mailbox_dir d;
	int ret, saved;

	if (depth == MAILBOX_DEPTH_MAX) {
		errno = ENAMETOOLONG;
		return failed(parent, name, t);
	}
	if (mailbox_dir_open(&d, parent, name, false) < 0) {
		/* what cannot be read can be empty */
		saved = errno;
		if (unlinkat(parent->fd, name, AT_REMOVEDIR) == 0)
			return 0;
		errno = saved;
		return failed(parent, name, t);
	}
	ret = remove_files(&d, NULL, depth, t);
	mailbox_dir_close(&d);
	if (ret == 0 && unlinkat(parent->fd, name, AT_REMOVEDIR) < 0)
		ret = failed(parent, name, t);
	return ret;
}

static int remove_one(const struct mailbox_dir *d, const char *name,
		      unsigned char type, int depth, struct mailbox_trouble *t)
{
	if (type == DT_DIR)
		return remove_dir(d, name, depth + 1, t);
	return unlinkat(d->fd, name, 0) < 0 ? failed(d, name, t) : 0;
}

/* Everything in d but the file keep. Returns 0, or -1 when something is
 * left. */
static int remove_files(const struct mailbox_dir *d, const char *keep,
			int depth, struct mailbox_trouble *t)
{
	struct mailbox_list *l = xmalloc(sizeof(*l));
	bool left, removed;
	unsigned char type;
	const char *name;
	int ret;

	/* again while it helps: a list may skip names when files go, and
	 * Dovecot may have made new ones */
	do {
		left = removed = false;
		mailbox_list_start(l, d);
		while ((ret = mailbox_list_next(l, &name, &type)) > 0) {
			if (keep && strcmp(name, keep) == 0)
				continue;
			if (remove_one(d, name, type, depth, t) < 0)
				left = true;
			else
				removed = true;
		}
	} while (ret == 0 && removed && !left);
	if (ret < 0)
		left = failed(d, NULL, t) < 0;
	free(l);
	return left ? -1 : 0;
}

/* Has the password file still the time of the login that m was read with? A
 * missing one has no time: a run that was ended came so far. */
static bool is_unused(const struct mailbox *m)
{
	struct stat st;

	if (fstatat(m->dir.fd, "password", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT;
	return st.st_mtim.tv_sec == m->last_login.tv_sec &&
	       st.st_mtim.tv_nsec == m->last_login.tv_nsec;
}

/* Returns 1, 0 when it is an account again, -1 with errno. */
static int remove_itself(const struct mailbox *m, struct mailbox_trouble *t)
{
	const struct mailbox_dir *d = &m->dir;

	for (int i = 0; i < TRIES; i++) {
		if (unlinkat(d->parent->fd, d->name, AT_REMOVEDIR) == 0)
			return 1;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return -1;
		/* an open session of Dovecot has made files */
		if (faccessat(d->fd, "password", F_OK,
			      AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
		if (remove_files(d, "password", 1, t) < 0)
			break;
	}
	errno = ENOTEMPTY;
	return -1;
}

int mailbox_remove(const struct mailbox *m, struct mailbox_trouble *t)
{
	const struct mailbox_dir *d = &m->dir;
	int ret;

	if (!is_unused(m))
		return 0;
	if (remove_files(d, "password", 1, t) < 0)
		return -1;
	if (!is_unused(m))
		return 0;
	if (unlinkat(d->fd, "password", 0) < 0 && failed(d, "password", t) < 0)
		return -1;
	ret = remove_itself(m, t);
	if (ret < 0)
		ret = failed(d->parent, d->name, t) < 0 ? -1 : 1;
	return ret;
}

static bool is_empty(const struct mailbox_dir *d)
{
	struct mailbox_list *l = xmalloc(sizeof(*l));
	unsigned char type;
	const char *name;
	int ret;

	mailbox_list_start(l, d);
	ret = mailbox_list_next(l, &name, &type);
	free(l);
	return ret == 0;
}

int mailbox_remove_empty(const struct mailbox *m, bool dry,
			 struct mailbox_trouble *t)
{
	const struct mailbox_dir *d = &m->dir;

	if (!is_empty(d))
		return 0;
	if (dry || unlinkat(d->parent->fd, d->name, AT_REMOVEDIR) == 0)
		return 1;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return 0;
	return failed(d->parent, d->name, t) < 0 ? -1 : 1;
}
