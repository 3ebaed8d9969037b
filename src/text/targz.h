/* One file out of a gzip-compressed tar archive (RFC 1952; POSIX ustar, IEEE
 * Std 1003.1, pax(1)), fed chunk by chunk. The archive may come from a
 * stranger: nothing is unpacked but the contents of that one file. */
#ifndef TEXT_TARGZ_H
#define TEXT_TARGZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include "base/buf.h"

enum { TARGZ_BLOCK = 512 };

struct targz {
	/* Filled in by the owner. */
	const char *member;	/* borrowed; "./" before it here or in the
				 * archive means nothing */
	uint64_t size_max;	/* of the member, bytes */
	/* Its contents, in order. 0 goes on, -1 with *err ends it. */
	int (*data)(struct targz *t, const void *p, size_t n, struct buf *err);
	/* Its own. */
	z_stream z;
	bool has_ended;		/* the gzip stream, by its own account */
	bool has_zero_block;	/* which ends an archive */
	unsigned char head[TARGZ_BLOCK];
	size_t head_len;
	uint64_t seen;		/* bytes of archive */
	uint64_t left, pad;	/* of what is between two headers */
	bool is_it;		/* left is of the member */
	bool is_whole;
};

/* Returns 0, or -1 with *err when there is no memory. */
int targz_init(struct targz *t, struct buf *err);
/* Take n more bytes. Returns 1 when the member is whole, 0 when more is needed,
 * -1 with *err for what is no such archive, is too large or has no more to
 * come; nothing may be fed after that. */
int targz_feed(struct targz *t, const void *p, size_t n, struct buf *err);
/* No more comes. Returns 0 when the member is whole, else -1 with *err. */
int targz_end(const struct targz *t, struct buf *err);
void targz_free(struct targz *t);

#endif
