/* Strict base64 (RFC 4648 section 4) of text that arrives in pieces. */
#ifndef TEXT_BASE64_H
#define TEXT_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct base64 {
	uint32_t bits;		/* of the digits not yet given out */
	uint8_t digits;		/* 0 to 3 of them */
	uint8_t pads;		/* "=" seen; after them nothing may come */
};

#define BASE64_INIT { 0 }

/* 0 to 63, or -1 when c is no digit. */
int base64_digit(char c);
/* Decode from p up to the first byte that may not stand here: no digit and
 * no "=", a digit after "=", too much padding, padding over bits that are
 * not zero. *len is the room in out, at least 3, and becomes what was written.
 * Returns the bytes taken; fewer than n when such a byte stands at p[taken] or
 * when out is full (*len is then within 2 of the room). White space is
 * no exception: the caller steps over what its format allows. */
size_t base64_feed(struct base64 *b, const char *p, size_t n,
		   unsigned char *out, size_t *len);
/* What came so far is a whole number of groups of four. */
bool base64_is_whole(const struct base64 *b);

#endif
