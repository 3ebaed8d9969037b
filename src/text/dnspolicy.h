/* Do two texts of a DNS record mean the same? Each kind has its own syntax,
 * in which order, case, white space and defaults may or may not matter. */
#ifndef TEXT_DNSPOLICY_H
#define TEXT_DNSPOLICY_H

#include <stddef.h>

#include "base/buf.h"

enum dnspolicy {
	DNSPOLICY_SAME,
	DNSPOLICY_DIFFERENT,
	DNSPOLICY_OTHER,	/* a text for another purpose */
};

/* What a relay wants, and what was found. */
struct dnspolicy_case {
	const char *domain;	/* whose record it is, for SPF */
	const char *want;
	const char *got;
	size_t len;		/* of got, which may hold NULs */
};

/* With DNSPOLICY_DIFFERENT, *why says in static text what is different, or is
 * NULL where that is plain to see. */
typedef enum dnspolicy dnspolicy_fn(const struct dnspolicy_case *c,
				    const char **why);

/* SPF (RFC 7208): the same hosts pass, and the same becomes of others. "mx"
 * of the own domain counts as "a", as the relay is its only MX. want has to be
 * "v=spf1 a ~all" or another such list of "a" and "all". */
dnspolicy_fn dnspolicy_spf;
/* DMARC (RFC 7489): the same is asked for; where reports go is no matter. */
dnspolicy_fn dnspolicy_dmarc;
/* MTA-STS (RFC 8461 section 3.1): a valid record; any id will do. */
dnspolicy_fn dnspolicy_sts;
/* ADSP (RFC 5617 section 4.2). */
dnspolicy_fn dnspolicy_adsp;
/* DKIM (RFC 6376 section 3.6.1): the same key, which verifiers can use for
 * mail without being told that it is a test. */
dnspolicy_fn dnspolicy_dkim;
/* A CAA record's value with the tag issue (RFC 8659 section 4.2, RFC 8657). If
 * want names no account, any will do. */
dnspolicy_fn dnspolicy_caa;

/* Append the id of an MTA-STS record; -1 when it is none that is valid. */
int dnspolicy_sts_id(const char *text, size_t n, struct buf *id);

#endif
