/* The database of installed packages of apk(8), /lib/apk/db/installed: blocks
 * of lines "LETTER:VALUE", an empty line between packages. */
#ifndef TEXT_APKDB_H
#define TEXT_APKDB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Append the version of the installed package of that name, or of one that
 * provides it (a line p:). Returns whether it is there. text holds n bytes. */
bool apkdb_version(const char *text, size_t n, const char *name,
		   struct buf *version);

#endif
