/* A message's header as DKIM sees it: which fields there are, which of them a
 * signature picks, and whose address stands in From. */
#ifndef TEXT_DKIM_HEADER_H
#define TEXT_DKIM_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

enum {
	DKIM_HEADER_BYTES = 1024 * 1024,
	DKIM_HEADER_FIELDS = 4096,
};

struct dkim_field {
	const char *text;	/* "Name: value", folded, no CRLF at the end */
	size_t n;
	size_t name;		/* the name's length, without white space */
};

/* Bounded by the two limits above: of a longer header nothing is kept. */
struct dkim_header {
	const char *error;	/* too large, or malformed: static text */
	size_t bytes;
	size_t count;
	struct dkim_field *fields;	/* in the message's order */

	/* private */
	struct arena arena;
	size_t cap;
	struct dkim_field **sorted;	/* by name, then in order */
	size_t *picked;			/* of each name, at its first field */
};

#define DKIM_HEADER_INIT { 0 }

void dkim_header_free(struct dkim_header *h);
/* Add a field, n bytes "Name: value", folded lines as they came, with or
 * without a CRLF at the end. */
void dkim_header_add(struct dkim_header *h, const char *field, size_t n);
/* All fields are there: from now on they can be looked up. */
void dkim_header_end(struct dkim_header *h);

/* Begin to pick fields anew, as for another signature. */
void dkim_header_rewind(struct dkim_header *h);
/* The last field of that name, n bytes compared without case, that was not
 * picked yet; NULL when there is none left. */
const struct dkim_field *dkim_header_pick(struct dkim_header *h,
					  const char *name, size_t n);

/* The domain of the one address in the one From field, in lower case, to
 * *domain; a domain literal keeps its brackets. Returns NULL, or why there is
 * no such address, as static text. */
const char *dkim_header_from(struct dkim_header *h, struct buf *domain);

/* A milter's name and value (protocol 6 with leading white space) as the
 * field that they came from: LF becomes CRLF. Appended to out. */
void dkim_field_join(struct buf *out, const char *name, const char *value);
/* The other way: what follows the colon of a field as a milter gives it, with
 * its leading white space, LF for CRLF. Appended to value. */
void dkim_field_value(struct buf *value, const char *field);

#endif
