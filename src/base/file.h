/* Whole files: read, replace atomically, lock. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/* Append the contents of a regular file of at most max bytes to out. Returns
 * 0, or -1 with errno (EFBIG when it is longer); *out is then unchanged. */
int file_read(const char *path, size_t max, struct buf *out);

/* Put n bytes into path so that readers see the old or the new contents and
 * never a part: a temporary file beside it with O_EXCL and mode, fsync when
 * sync is set, rename. Returns 0, or -1 with errno; nothing is left behind
 * then. After SIGKILL a "PATH.tmp-PID-N" may remain. */
int file_replace(const char *path, const void *data, size_t n, mode_t mode,
		 int sync);

/* Write all n bytes to fd. Returns 0, or -1 with errno. */
int file_write_all(int fd, const void *data, size_t n);

/* Everything below a directory, in no order; names are relative to it. */
struct file_walk {
	/* Filled in by the owner: for each file with its contents, and for
	 * each directory before what is in it (NULL: not needed). 0 goes on,
	 * -1 with *err ends the walk. */
	int (*file)(struct file_walk *w, const char *name,
		    const struct buf *data, struct buf *err);
	int (*dir)(struct file_walk *w, const char *name, struct buf *err);
	size_t size_max;	/* of a file, bytes */
};

/* Returns 0, or -1 with *err, also for a file that is too large and for
 * directories more than 16 deep; links are followed to files only. */
int file_walk(struct file_walk *w, const char *path, struct buf *err);

/* Remove path and what is in it; a symbolic link itself, not what it leads
 * to. One that is not there is no error. Returns 0, or -1 with errno, as much
 * as possible being removed. */
int file_remove_tree(const char *path);

/* Make path and its missing parents. Returns 0, or -1 with errno. */
int file_mkdirs(const char *path, mode_t mode);

/* Take an exclusive flock(2) on path, made when missing, as the Python
 * package filelock does on Linux; waits up to msecs. A file that is removed
 * meanwhile is made anew. Returns an fd whose close() releases the lock, or -1
 * with errno (EWOULDBLOCK: still held). */
int file_lock(const char *path, unsigned msecs);

#endif
