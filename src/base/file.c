#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WALK_DEPTH_MAX = 16 };

/* Closes fd without losing the errno of what went wrong before. */
static int close_failed(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

int file_read(const char *path, size_t max, struct buf *out)
{
	size_t before = out->len;
	struct stat st;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return close_failed(fd);
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return close_failed(fd);
	}
	for (;;) {
		size_t room = out->len - before < max ?
			max - (out->len - before) : 0;

		if (room > 65536)
			room = 65536;
		buf_reserve(out, room + 1);
		n = read(fd, out->data + out->len, room + 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		out->len += n;
		out->data[out->len] = '\0';
		if (out->len - before > max) {
			errno = EFBIG;
			n = -1;
			break;
		}
	}
	if (n < 0) {
		buf_truncate(out, before);
		return close_failed(fd);
	}
	close(fd);
	return 0;
}

int file_write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		p += done;
		n -= done;
	}
	return 0;
}

int file_replace(const char *path, const void *data, size_t n, mode_t mode,
		 int sync)
{
	static atomic_uint count;
	struct buf tmp = BUF_INIT;
	int fd, saved, ret = -1;

	buf_addf(&tmp, "%s.tmp-%ld-%u", path, (long)getpid(),
		 atomic_fetch_add(&count, 1));
	/* one left by a killed process that had our pid */
	unlink(tmp.data);
	fd = open(tmp.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		goto out;
	if (file_write_all(fd, data, n) < 0 || (sync && fsync(fd) < 0)) {
		close_failed(fd);
	} else if (close(fd) == 0 && rename(tmp.data, path) == 0) {
		ret = 0;
		goto out;
	}
	saved = errno;
	unlink(tmp.data);
	errno = saved;
out:
	buf_free(&tmp);
	return ret;
}

int file_mkdirs(const char *path, mode_t mode)
{
	char *copy = xstrdup(path);
	int ret = 0;

	for (char *p = copy + 1; ret == 0; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			ret = -1;
		*p = c;
		if (!c)
			break;
	}
	free(copy);
	return ret;
}

static int remove_inside(int fd);

static int remove_at(int dir, const char *name)
{
	int fd, ret;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = remove_inside(fd);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0)
		ret = -1;
	return ret;
}

/* Closes fd. */
static int remove_inside(int fd)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	int ret = 0, saved = 0;

	if (!d)
		return close_failed(fd);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (remove_at(dirfd(d), e->d_name) < 0) {
			saved = errno;
			ret = -1;
		}
	}
	closedir(d);
	errno = saved;
	return ret;
}

int file_remove_tree(const char *path)
{
	return remove_at(AT_FDCWD, path);
}

/* Is fd still the file at path? */
static bool is_at(int fd, const char *path)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && stat(path, &there) == 0 &&
	       ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

int file_lock(const char *path, unsigned msecs)
{
	struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			/* whose holder removed it is nobody's lock any more */
			if (is_at(fd, path))
				return fd;
			errno = EWOULDBLOCK;
		}
		close_failed(fd);
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK || msecs == 0)
			return -1;
		nanosleep(&pause, NULL);
		msecs = msecs > 10 ? msecs - 10 : 0;
	}
}

static int walk_entry(struct file_walk *w, const char *path, const char *name,
		      unsigned depth, struct buf *err);

static int walk_dir(struct file_walk *w, const char *path, const char *name,
		    unsigned depth, struct buf *err)
{
	DIR *d = depth <= WALK_DEPTH_MAX ? opendir(path) : NULL;
	struct dirent *e;
	int ret = 0;

	if (!d) {
		buf_setf(err, "%s: %s", path, depth > WALK_DEPTH_MAX ?
			 "too deep" : strerror(errno));
		return -1;
	}
	while (ret == 0 && (e = readdir(d))) {
		struct buf below = BUF_INIT, sub = BUF_INIT;

		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0)
			continue;
		buf_addf(&below, "%s/%s", path, e->d_name);
		buf_addf(&sub, "%s%s%s", name, *name ? "/" : "", e->d_name);
		ret = walk_entry(w, below.data, sub.data, depth, err);
		buf_free(&below);
		buf_free(&sub);
	}
	closedir(d);
	return ret;
}

static int walk_entry(struct file_walk *w, const char *path, const char *name,
		      unsigned depth, struct buf *err)
{
	struct buf data = BUF_INIT;
	struct stat st;
	int ret = 0;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (w->dir)
			ret = w->dir(w, name, err);
		return ret < 0 ? -1 : walk_dir(w, path, name, depth + 1, err);
	}
	ret = file_read(path, w->size_max, &data);
	if (ret < 0)
		buf_setf(err, "%s: %s", path, strerror(errno));
	else
		ret = w->file(w, name, &data, err);
	buf_free(&data);
	return ret;
}

int file_walk(struct file_walk *w, const char *path, struct buf *err)
{
	return walk_dir(w, path, "", 0, err);
}
