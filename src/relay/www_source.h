/* The files that web pages are built from: a directory's, or the binary's. */
#ifndef RELAY_WWW_SOURCE_H
#define RELAY_WWW_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/assets.h"
#include "base/buf.h"

struct www_file {
	const char *name;	/* "de/index.md" */
	const char *shown;	/* for messages: "www/src/de/index.md" */
	const struct asset *asset;	/* NULL: in the directory */
};

struct www_source {
	struct arena arena;	/* owns the names */
	int fd;			/* of the directory, -1 for none */
	struct www_file *files;	/* sorted by name */
	size_t count, room;
};

/* The files of a directory and below it. What is left out though it might be
 * expected there is added to *warnings. Returns 0, or -1 with *err; free in
 * both cases. */
int www_source_open(struct www_source *s, const char *dir,
		    struct buf *warnings, struct buf *err);
/* No files, for www_source_add_assets(). */
void www_source_init(struct www_source *s);
void www_source_free(struct www_source *s);

/* Add the binary's pages: all, or what our layout needs and is not there yet,
 * that is all but pages. */
void www_source_add_assets(struct www_source *s, bool all);

/* The file of that name, or NULL. */
const struct www_file *www_source_find(const struct www_source *s,
				       const char *name);

/* Append a file's contents of at most max bytes; 0, or -1 with *err. */
int www_source_read(const struct www_source *s, const struct www_file *f,
		    size_t max, struct buf *out, struct buf *err);
/* Write its contents to fd; 0, or -1 with *err. */
int www_source_copy(const struct www_source *s, const struct www_file *f,
		    int fd, struct buf *err);

#endif
