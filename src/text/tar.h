/* Writing tar archives (POSIX ustar, IEEE Std 1003.1, pax(1)). */
#ifndef TEXT_TAR_H
#define TEXT_TAR_H

#include <stddef.h>

#include "base/buf.h"

/* Append a file of root's with that mode; the time is that of the epoch, so
 * that the same files make the same bytes. Returns 0, or -1 with *err when the
 * name does not fit (at most 255 bytes, parts of at most 155 and 100). */
int tar_add_file(struct buf *out, const char *name, unsigned mode,
		 const void *data, size_t n, struct buf *err);
/* Append what ends an archive. */
void tar_end(struct buf *out);

#endif
