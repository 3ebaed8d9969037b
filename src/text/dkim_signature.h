/* A DKIM-Signature field (RFC 6376 section 3.5) and what it signs. */
#ifndef TEXT_DKIM_SIGNATURE_H
#define TEXT_DKIM_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "text/dkim_canon.h"
#include "text/dkim_header.h"
#include "text/dkim_key.h"
#include "text/dkim_tags.h"

#define DKIM_SIGNATURE_NAME "DKIM-Signature"

enum {
	DKIM_NAME_MAX = 253,		/* a domain name in text form */
	DKIM_CLOCK_SKEW = 300,		/* seconds, as OpenDKIM's ClockDrift */
};

/* All but field is set by the parser; strings live in its arena. */
struct dkim_signature {
	enum dkim_algorithm algorithm;
	enum dkim_canon header_canon, body_canon;
	uint64_t length;	/* l=, UINT64_MAX without */
	bool has_length;
	bool subdomain;		/* i= is in a subdomain of d= */
	const char *domain;	/* d=, as it came; NULL if there is none */
	const char *selector;	/* s= */
	const char *record;	/* <s>._domainkey.<d> in lower case */
	unsigned char body_hash[DKIM_HASH_SIZE];
	const unsigned char *sig;	/* b=, decoded */
	size_t sig_len;
	struct dkim_span names;	/* h=, in the field */
	struct dkim_span b;	/* all that is emptied: in the field too */
};

/* Parse a field that dkim_header_add() took, "DKIM-Signature: v=1; …". now is
 * the time in seconds since 1970. The signature refers to the field's text.
 * Returns NULL, or why it cannot be valid, as static text; domain is set even
 * then if it could be read. */
const char *dkim_signature_parse(struct dkim_signature *s,
				 const struct dkim_field *f, uint64_t now,
				 struct arena *arena);

/* The hash that the signature signs, of the fields named in h= and of its own
 * field f, which itself is never picked. -1: OpenSSL is out of memory. */
int dkim_signature_hash(const struct dkim_signature *s,
			const struct dkim_field *f, struct dkim_header *h,
			unsigned char hash[DKIM_HASH_SIZE]);

/* Append <selector>._domainkey.<domain> in lower case. Returns NULL, or why
 * it is no name that can be looked up. */
const char *dkim_record_name(struct buf *out, struct dkim_span selector,
			     struct dkim_span domain);

#endif
