/* The syntax of chatmail.ini, as Python's iniconfig reads it: [section],
 * "name = value" or "name: value", a line that begins with white space goes
 * on with the value, "#" and ";" begin a comment line. */
#ifndef TEXT_CONFIG_H
#define TEXT_CONFIG_H

#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

struct config_entry {
	const char *section, *name, *value;	/* value: lines joined by LF */
	unsigned line;				/* of the name, from 1 */
};

struct config {
	struct arena arena;
	struct config_entry *entries;	/* in the order of the file */
	size_t count;
};

/* Parse n bytes; file names them in errors. Returns 0, or -1 with *err
 * ("FILE:LINE: what"): no section yet, not a setting, a name given twice,
 * a NUL byte, invalid UTF-8. config_free() in both cases. */
int config_parse(struct config *c, const char *file, const char *text,
		 size_t n, struct buf *err);
void config_free(struct config *c);

#endif
