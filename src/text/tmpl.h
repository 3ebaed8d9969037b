/* The language of conf-templates/ and www/: {{ name }}, {% if [not] name
 * [== "text" | != "text"] %}, {% else %}, {% endif %}, and nothing else. */
#ifndef TEXT_TMPL_H
#define TEXT_TMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum {
	TMPL_DEPTH_MAX = 16,	/* ifs inside ifs */
	TMPL_NAME_MAX = 63,	/* bytes in a name */
};

/* Embedded by whoever knows the values; lookup finds its owner again with
 * container_of. It returns the value, borrowed until the next call, or NULL
 * when there is no such name. A name must have the same value throughout. */
struct tmpl_vars {
	const char *(*lookup)(const struct tmpl_vars *v, const char *name);
	/* Appends the value of {{ name }} in its own way, as escaped HTML for
	 * example; NULL: as it is. */
	void (*add)(const struct tmpl_vars *v, struct buf *out,
		    const char *name, const char *value);
	/* Why a piece of text between tags (n bytes of one line) may not be
	 * shown, or NULL. Not asked about what is left out, nor about values.
	 * May itself be NULL. */
	const char *(*refuse)(const struct tmpl_vars *v, const char *text,
			      size_t n);
};

/* What {% if name %} asks: false are "", "0", "no", "off" and
 * "false", in any case, as in chatmail.ini. */
bool tmpl_is_true(const char *value);

/* Append the rendered text to out. An unknown name is an error also where
 * nothing would be shown. A line of {% %} tags and white space alone leaves
 * nothing in out, its line end included. Names are letters, digits, "_" and
 * "."; a tag ends on the line on which it begins; text stands in " or ' and has
 * no escapes; values go in as they are unless vars->add does otherwise.
 * Returns 0, or -1 with "file:line: what" in err and out as it was. */
int tmpl_render(struct buf *out, const char *file, const char *text,
		size_t len, const struct tmpl_vars *vars, struct buf *err);

#endif
