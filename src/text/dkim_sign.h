/* Signing a message as an OpenDKIM with the relay's configuration does:
 * relaxed/simple, the same fields signed and oversigned, the same spelling and
 * folding. Feed the fields, dkim_signer_eoh(), the body, dkim_signer_eom(),
 * then sign with one key after the other. */
#ifndef TEXT_DKIM_SIGN_H
#define TEXT_DKIM_SIGN_H

#include "text/dkim_signature.h"

struct dkim_signer {
	const char *error;	/* cannot be signed: header too large or
				 * malformed, not one From address */
	bool out_of_memory;	/* the error is temporary: of libcrypto */
	struct buf domain;	/* of From, in lower case */

	/* private */
	struct dkim_header header;
	struct buf names;		/* h= */
	struct evp_md_ctx_st *md;	/* the fields' hash */
	bool has_body;
	struct dkim_body body;
	unsigned char body_hash[DKIM_HASH_SIZE];
};

void dkim_signer_init(struct dkim_signer *s);
void dkim_signer_free(struct dkim_signer *s);
/* A field, as dkim_header_add() takes it. */
void dkim_signer_header(struct dkim_signer *s, const char *field, size_t n);
void dkim_signer_eoh(struct dkim_signer *s);
void dkim_signer_body(struct dkim_signer *s, const char *p, size_t n);
void dkim_signer_eom(struct dkim_signer *s);

/* What goes into d=, s= and t=, and the private key. */
struct dkim_identity {
	const char *domain, *selector;
	uint64_t now;		/* seconds since 1970 */
	const struct dkim_key *key;
};

/* Append the field "DKIM-Signature: v=1; …" to put on top of the message,
 * folded with CRLF and TAB, without CRLF at the end. Returns 0, or -1 and the
 * reason in err. */
int dkim_signer_sign(struct dkim_signer *s, const struct dkim_identity *id,
		     struct buf *field, struct buf *err);

#endif
