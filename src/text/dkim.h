/* Verifying a message's DKIM signatures (RFC 6376) as it comes in, and the
 * relay's rule: a message is accepted if the domain of its one From address
 * signed all of it.
 *
 * Feed the fields, dkim_verifier_eoh(), the body, dkim_verifier_eom(). From
 * the end of the header on, the keys that dkim_verifier_record() names can be
 * looked up and handed in, before or after the body. The header is let go at
 * its end: what a message takes then does not depend on its size. */
#ifndef TEXT_DKIM_H
#define TEXT_DKIM_H

#include "text/dkim_signature.h"

enum {
	DKIM_CHECKS_MAX = 10,	/* signatures looked at, from the top */
	DKIM_RECORDS_MAX = 3,	/* key records tried for each */
};

enum dkim_result { DKIM_PASS, DKIM_FAIL, DKIM_TEMPFAIL };

/* What became of a look-up of a key record. */
enum dkim_answer { DKIM_FOUND, DKIM_NO_RECORD, DKIM_LOOKUP_FAILED };

/* One signature of a message. */
struct dkim_check {
	struct dkim_signature sig;	/* names and b are not kept */
	bool aligned;		/* d= is the domain of From */
	enum dkim_result result;	/* so far; in the end the result */
	const char *why;		/* static text, NULL: DKIM_PASS */
	bool answered;		/* the key was handed in */
	unsigned char hash[DKIM_HASH_SIZE];	/* of the header */
};

struct dkim_verifier {
	size_t count, total;	/* signatures: looked at, in the message */
	const char *error;	/* the message is to be refused because of its
				 * header: too large, malformed, From */
	struct buf domain;	/* of From, in lower case */
	bool is_literal;	/* domain is [1.2.3.4] or [IPv6:…] */
	struct dkim_check checks[DKIM_CHECKS_MAX];

	/* private */
	uint64_t now;
	struct dkim_header header;
	struct arena arena;
	bool has_body[DKIM_RELAXED + 1];
	struct dkim_body bodies[DKIM_RELAXED + 1];
};

/* now: seconds since 1970. */
void dkim_verifier_init(struct dkim_verifier *v, uint64_t now);
void dkim_verifier_free(struct dkim_verifier *v);
/* A field, as dkim_header_add() takes it. */
void dkim_verifier_header(struct dkim_verifier *v, const char *field,
			  size_t n);
void dkim_verifier_eoh(struct dkim_verifier *v);
void dkim_verifier_body(struct dkim_verifier *v, const char *p, size_t n);
void dkim_verifier_eom(struct dkim_verifier *v);

/* The name of the TXT record to look up for signature i, or NULL when its
 * result is certain without, or when the verdict does not depend on it unless
 * all is set. */
const char *dkim_verifier_record(const struct dkim_verifier *v, size_t i,
				 bool all);
/* The answer: with DKIM_FOUND, n records, each with its strings joined. Those
 * after the first DKIM_RECORDS_MAX are ignored. */
void dkim_verifier_key(struct dkim_verifier *v, size_t i,
		       enum dkim_answer answer,
		       const struct dkim_span *records, size_t n);

/* Did the signature fail by its key alone? If so it is as if that had never
 * been handed in: for a second try with one that is not from a cache. */
bool dkim_verifier_forget_key(struct dkim_verifier *v, size_t i);

enum dkim_verdict {
	DKIM_ACCEPTED,
	DKIM_EXEMPT,	/* From is in a domain literal, which has no keys */
	DKIM_MALFORMED,	/* refused because of its header */
	DKIM_UNSIGNED,	/* refused: no signature at all */
	DKIM_INVALID,	/* refused: none of the domain's is valid */
	DKIM_TEMPORARY,	/* a key could not be looked up; try again later */
};

/* After dkim_verifier_eom() and all answers; a missing answer counts as a
 * failed look-up. *why is static text, NULL if accepted. */
enum dkim_verdict dkim_verifier_verdict(const struct dkim_verifier *v,
					const char **why);

#endif
