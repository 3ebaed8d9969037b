/* The two canonical forms of a message (RFC 6376 section 3.4). A bare CR or LF
 * is a byte like any other; white space is SP and TAB. */
#ifndef TEXT_DKIM_CANON_H
#define TEXT_DKIM_CANON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct evp_md_ctx_st;	/* OpenSSL's EVP_MD_CTX */

enum dkim_canon { DKIM_SIMPLE, DKIM_RELAXED };

enum {
	DKIM_HASH_SIZE = 32,	/* SHA-256 */
	DKIM_BODY_OUT = 1024,
};

/* Append the canonical form of one field: n bytes "Name: value", folded or
 * not, without CRLF at the end; none is added. Without a colon all is name. */
void dkim_canon_field(struct buf *out, enum dkim_canon canon,
		      const char *field, size_t n);

/* The SHA-256 of a canonical body. Chunks may be cut anywhere; memory is this
 * struct and OpenSSL's context. */
struct dkim_body {
	enum dkim_canon canon;
	uint64_t size;		/* at the end, of the canonical body */
	bool failed;		/* OpenSSL gave up: out of memory */

	/* private */
	struct evp_md_ctx_st *md;
	uint64_t newlines;	/* CRLFs that count once something follows */
	bool blank;		/* and white space in this line */
	bool cr;		/* and a CR */
	size_t out_len;
	char out[DKIM_BODY_OUT];
};

void dkim_body_init(struct dkim_body *b, enum dkim_canon canon);
void dkim_body_feed(struct dkim_body *b, const char *p, size_t n);
/* After the last byte. Returns 0, or -1 if it failed. */
int dkim_body_end(struct dkim_body *b, unsigned char hash[DKIM_HASH_SIZE]);
void dkim_body_free(struct dkim_body *b);

#endif
