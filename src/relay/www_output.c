#include "relay/www_output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "relay/www.h"

/* What tells a directory of ours from others. */
static const char marker[] = WWW_MARKER;
static const char marker_text[] =
	"Made by \"chatmail www\"; its next run replaces this directory.\n";

static int fail(struct buf *err, const char *path, const char *why)
{
	buf_setf(err, "%s: %s", path, why);
	return -1;
}

static int fail_errno(struct buf *err, const char *path)
{
	return fail(err, path, strerror(errno));
}

/* ---- where ----------------------------------------------------------------- */

/* Without slashes at the end and symbolic links: a link is not what has to be
 * replaced. What does not exist is left as it is. */
static char *clean_path(const char *path)
{
	char *real = realpath(path, NULL);
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return real ? real : xstrndup(path, n);
}

static bool is_empty(DIR *d)
{
	struct dirent *e;

	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return false;
	return true;
}

/* May what is there be replaced? */
static int check_place(struct www_output *o, struct buf *err)
{
	DIR *d = opendir(o->path);
	struct stat st;
	bool ours;

	o->exists = d != NULL;
	if (!d && errno == ENOENT && lstat(o->path, &st) < 0)
		return 0;
	if (!d)
		return fail_errno(err, o->path);
	ours = fstatat(dirfd(d), marker, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	       is_empty(d);
	closedir(d);
	if (ours)
		return 0;
	return fail(err, o->path, "holds files that were not built by "
		    "\"chatmail www\"; remove them or name another directory");
}

/* PARENT/.NAME.WORD- */
static char *sibling(const char *path, const char *word)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	struct buf b = BUF_INIT;

	buf_addf(&b, "%.*s.%s.%s-", (int)(base - path), path, base, word);
	return buf_detach(&b);
}

/* Directories of that prefix whose process has ended. */
static void remove_stale(const char *stem)
{
	const char *slash = strrchr(stem, '/');
	const char *base = slash ? slash + 1 : stem;
	char *parent = slash ? xstrndup(stem, (size_t)(base - stem)) :
		       xstrdup(".");
	DIR *d = opendir(parent);
	struct buf path = BUF_INIT;
	struct dirent *e;
	uint64_t pid;

	while (d && (e = readdir(d))) {
		if (!str_starts(e->d_name, base) ||
		    str_to_u64(e->d_name + strlen(base), &pid) < 0 ||
		    pid > INT_MAX || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		buf_reset(&path);
		buf_addf(&path, "%s/%s", parent, e->d_name);
		file_remove_tree(path.data);
	}
	if (d)
		closedir(d);
	buf_free(&path);
	free(parent);
}

static int make_tmp(struct www_output *o, struct buf *err)
{
	char *stem = sibling(o->path, "new");
	struct buf tmp = BUF_INIT;
	int ret = -1;

	remove_stale(stem);
	buf_addf(&tmp, "%s%ld", stem, (long)getpid());
	file_remove_tree(tmp.data);	/* of a process that had our pid */
	o->tmp = buf_detach(&tmp);
	if (mkdir(o->tmp, 0755) == 0 && chmod(o->tmp, 0755) == 0) {
		o->fd = open(o->tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ret = o->fd < 0 ? -1 : 0;
	}
	if (ret < 0)
		fail_errno(err, o->tmp);
	free(stem);
	return ret;
}

int www_output_begin(struct www_output *o, const char *path, bool sync,
		     struct buf *err)
{
	*o = (struct www_output){ .fd = -1, .sync = sync };
	if (!*path)
		return fail(err, "\"\"", "no directory to build into");
	o->path = clean_path(path);
	if (check_place(o, err) < 0 || make_tmp(o, err) < 0)
		return -1;
	return www_output_write(o, marker, marker_text, strlen(marker_text),
				err);
}

/* ---- what ------------------------------------------------------------------ */

static int fail_name(struct www_output *o, const char *name, struct buf *err)
{
	buf_setf(err, "%s/%s: %s", o->path, name, strerror(errno));
	return -1;
}

static int make_parents(struct www_output *o, const char *name)
{
	for (const char *p = name; (p = strchr(p, '/')); p++) {
		char *dir = xstrndup(name, (size_t)(p - name));
		int ret = mkdirat(o->fd, dir, 0755);

		if (ret == 0)
			ret = fchmodat(o->fd, dir, 0755, 0);
		else if (errno == EEXIST)
			ret = 0;
		free(dir);
		if (ret < 0)
			return -1;
	}
	return 0;
}

/* Pages are for everybody, whatever the umask. */
int www_output_create(struct www_output *o, const char *name, struct buf *err)
{
	int fd = -1;

	if (make_parents(o, name) == 0)
		fd = openat(o->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			    0644);
	if (fd >= 0 && fchmod(fd, 0644) == 0)
		return fd;
	fail_name(o, name, err);
	if (fd >= 0)
		close(fd);
	return -1;
}

int www_output_close(struct www_output *o, int fd, const char *name,
		     struct buf *err)
{
	int ret = o->sync ? fsync(fd) : 0;
	int saved = errno;

	if (close(fd) < 0 && ret == 0)
		ret = -1;
	else
		errno = saved;
	return ret < 0 ? fail_name(o, name, err) : 0;
}

int www_output_write(struct www_output *o, const char *name, const void *p,
		     size_t n, struct buf *err)
{
	int fd = www_output_create(o, name, err);
	int ret = 0;

	if (fd < 0)
		return -1;
	for (size_t off = 0; off < n && ret == 0;) {
		ssize_t done = write(fd, (const char *)p + off, n - off);

		if (done >= 0)
			off += (size_t)done;
		else if (errno != EINTR)
			ret = fail_name(o, name, err);
	}
	if (ret == 0)
		return www_output_close(o, fd, name, err);
	close(fd);
	return -1;
}

/* ---- the end ---------------------------------------------------------------- */

/* For file systems that cannot exchange: between the two steps there are no
 * pages, but never half of them. */
static int swap_slowly(struct www_output *o)
{
	char *stem = sibling(o->path, "old");
	struct buf old = BUF_INIT;
	int ret, saved;

	remove_stale(stem);
	buf_addf(&old, "%s%ld", stem, (long)getpid());
	ret = rename(o->path, old.data);
	if (ret == 0 && rename(o->tmp, o->path) < 0) {
		saved = errno;
		rename(old.data, o->path);
		errno = saved;
		ret = -1;
	}
	if (ret == 0)
		file_remove_tree(old.data);
	free(stem);
	buf_free(&old);
	return ret;
}

static int swap(struct www_output *o)
{
	if (!o->exists)
		return rename(o->tmp, o->path);
	/* musl has no function for it */
	if (syscall(SYS_renameat2, AT_FDCWD, o->tmp, AT_FDCWD, o->path,
		    RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return swap_slowly(o);
}

int www_output_commit(struct www_output *o, struct buf *err)
{
	if (o->sync)
		fsync(o->fd);
	if (swap(o) < 0)
		return fail_errno(err, o->path);
	return 0;
}

void www_output_end(struct www_output *o)
{
	if (o->fd >= 0)
		close(o->fd);
	/* the old pages, or new ones that nobody will see */
	if (o->tmp)
		file_remove_tree(o->tmp);
	free(o->tmp);
	free(o->path);
	*o = (struct www_output){ .fd = -1 };
}
