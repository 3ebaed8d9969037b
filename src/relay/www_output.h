/* The directory that web pages are built into: a new one beside it, which takes
 * its place at the end. */
#ifndef RELAY_WWW_OUTPUT_H
#define RELAY_WWW_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct www_output {
	char *path;	/* of the directory that will be there */
	char *tmp;	/* of the one that is being built */
	int fd;		/* of that, -1 when there is none */
	bool exists;	/* there is one to replace */
	bool sync;	/* to disk before it takes its place */
};

/* Begin beside path. A directory there has to be empty or one that was built
 * so. What killed builds have left there is removed. Returns 0, or -1 with
 * *err; www_output_end() in both cases. */
int www_output_begin(struct www_output *o, const char *path, bool sync,
		     struct buf *err);
/* A new file of that name, its directories being made, for writing: closed by
 * www_output_close(). -1 with *err. */
int www_output_create(struct www_output *o, const char *name, struct buf *err);
/* Both: 0, or -1 with *err. */
int www_output_close(struct www_output *o, int fd, const char *name,
		     struct buf *err);
int www_output_write(struct www_output *o, const char *name, const void *p,
		     size_t n, struct buf *err);
/* Swap the two directories in one step and remove the old one. 0, or -1 with
 * *err and path as it was. */
int www_output_commit(struct www_output *o, struct buf *err);
/* Remove what was not committed, and free. */
void www_output_end(struct www_output *o);

#endif
