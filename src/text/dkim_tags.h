/* Tag lists (RFC 6376 section 3.2): "v=1; a=rsa-sha256; …" in a DKIM-Signature
 * field and in a key record. */
#ifndef TEXT_DKIM_TAGS_H
#define TEXT_DKIM_TAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	DKIM_TAGS_MAX = 48,		/* tags in a list */
	DKIM_TAGS_BYTES = 65536,	/* a TXT record cannot be longer */
};

/* Some bytes of the text that was parsed, borrowed. */
struct dkim_span {
	const char *p;
	size_t n;
};

struct dkim_tag {
	struct dkim_span name;
	struct dkim_span value;	/* without the white space around it */
	struct dkim_span raw;	/* with it: all from "=" to ";" or the end */
};

struct dkim_tags {
	size_t count;
	struct dkim_tag tags[DKIM_TAGS_MAX];
};

/* Parse n bytes at p. White space is SP, TAB and a CRLF before one of them.
 * Values may hold valid UTF-8 (RFC 8616). A list without any tag is refused,
 * and one tag twice. Returns NULL, or why not, as static text. */
const char *dkim_tags_parse(struct dkim_tags *t, const char *p, size_t n);
/* The tag of that name, compared with case, or NULL. */
const struct dkim_tag *dkim_tags_get(const struct dkim_tags *t,
				     const char *name);

/* Equal to a string, ASCII letters compared without case. */
bool dkim_span_eqi(struct dkim_span s, const char *text);
/* The next element of a list "a : b : c": cut off the front of *rest and put
 * into *item without white space. false when none is left; an empty list has
 * one empty element. rest->p is NULL after the last. */
bool dkim_span_next(struct dkim_span *rest, struct dkim_span *item);
/* One element of a list "a : b" is text, compared without case. */
bool dkim_span_has(struct dkim_span list, const char *text);
/* A decimal number of at most 76 digits; larger than 2^64 - 1 counts as that.
 * Returns 0, or -1 for anything else. */
int dkim_span_number(struct dkim_span s, uint64_t *out);
/* Append the bytes that base64 text with white space in it stands for.
 * Returns 0, or -1 if it is malformed or gives more than max bytes; out then
 * holds what was there before. */
int dkim_span_base64(struct dkim_span s, size_t max, struct buf *out);

#endif
