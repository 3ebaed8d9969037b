/* Where a relay's programs, files, sockets and ports are: a server's, unless
 * the owner (the sandbox) says otherwise. What templates are rendered with. */
#ifndef RELAY_LAYOUT_H
#define RELAY_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "relay/relay.h"
#include "text/tmpl.h"

enum { LAYOUT_CHANGES_MAX = 64 };

struct layout {
	struct tmpl_vars vars;		/* all names below, for tmpl_render() */
	const struct relay *relay;	/* borrowed */
	struct arena arena;		/* owns the changed values */
	struct {
		const char *name, *value;
	} changes[LAYOUT_CHANGES_MAX];
	size_t change_count;
};

/* The layout of a server with that relay's settings. */
void layout_init(struct layout *l, const struct relay *r);
void layout_free(struct layout *l);
/* Give a name of the layout, of a setting or of a derived value another
 * value, a printf(3) result; an unknown name is a bug. */
void layout_setf(struct layout *l, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The value of a name: changed here, else of the layout, else relay_var().
 * NULL when nobody knows it. */
const char *layout_get(const struct layout *l, const char *name);
/* The same for names that are known to exist. */
const char *layout_need(const struct layout *l, const char *name);
/* Does that condition hold? "name" is true, as templates see it, or
 * "name=value"; NULL holds. */
bool layout_holds(const struct layout *l, const char *when);
/* Name and a server's value of the i-th row of the layout; NULL at the end. */
const char *layout_name(size_t i, const char **server);
/* Render conf-templates/NAME into out. Returns 0, or -1 with *err. */
int layout_render(const struct layout *l, const char *name, struct buf *out,
		  struct buf *err);

#endif
