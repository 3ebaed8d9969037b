/* Mail addresses in SMTP commands (RFC 5321 section 4.1.2) and in header
 * fields (RFC 5322 section 3.4), also with UTF-8 in them (RFC 6531, 6532). */
#ifndef TEXT_ADDR_H
#define TEXT_ADDR_H

#include <stddef.h>

#include "base/buf.h"

/* Longest address taken, in bytes: 64 + "@" + 255. */
enum { ADDR_MAX = 320 };

/* An address is given as local-part@domain, case as it came. A quoted
 * local-part loses its quotes where they are not needed, so that equal
 * addresses compare equal; a domain literal keeps its brackets. */

/* arg is what follows "MAIL FROM:" or "RCPT TO:". "<a@b>", "a@b" and a
 * source route, which is dropped, are taken; also "<postmaster>". The address
 * goes to *addr, empty for the null path "<>", and *params points to the
 * parameters in arg, or to its end. Returns 0, or -1 and the reason in err,
 * and then *addr and *params are empty. */
int addr_parse_path(const char *arg, struct buf *addr, const char **params,
		    struct buf *err);

/* The value of a From, To … field, unfolded or not, as one string. *count
 * becomes the number of addresses, those in groups included, and *first the
 * first of them, if any. Returns 0, or -1 and the reason in err when the
 * value is anything else than an address list: what mail programs could read
 * in different ways, as in "a@b <c@d>", is refused. */
int addr_parse_list(const char *value, struct buf *first, size_t *count,
		    struct buf *err);

/* The part after the last "@", or "" */
const char *addr_domain(const char *addr);

/* Step over white space and comments, which may be nested; NULL when a
 * comment does not end. */
const char *addr_skip_cfws(const char *p);

#endif
