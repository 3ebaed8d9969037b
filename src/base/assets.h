/* The files of conf-templates/ and www/, and what is built for other programs
 * to load, carried in the binary. */
#ifndef BASE_ASSETS_H
#define BASE_ASSETS_H

#include <stddef.h>

struct asset {
	const char *name;	/* path in the tree, or below build/ */
	const char *data;	/* NUL-terminated for convenience */
	size_t size;		/* bytes, the terminator not counted */
};

/* All of them, sorted by name; *count is their number. */
const struct asset *assets_all(size_t *count);
/* The asset of that name, or NULL. */
const struct asset *asset_find(const char *name);

#endif
