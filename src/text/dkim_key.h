/* DKIM keys (RFC 6376 sections 3.3 and 3.6.1, RFC 8301, RFC 8463): records in
 * the DNS, private keys in PEM, and what is computed with both. */
#ifndef TEXT_DKIM_KEY_H
#define TEXT_DKIM_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "text/dkim_canon.h"

struct evp_pkey_st;	/* OpenSSL's EVP_PKEY */

enum {
	DKIM_RSA_BITS_MIN = 1024,	/* RFC 8301 section 3.2 */
	DKIM_RSA_BITS_MAX = 8192,
	DKIM_RSA_EXPONENT_BITS = 32,
	DKIM_SIGNATURE_MAX = DKIM_RSA_BITS_MAX / 8,
	DKIM_ED25519_SIZE = 32,
};

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };

/* "rsa-sha256" */
const char *dkim_algorithm_name(enum dkim_algorithm a);

/* A public or private key; all zeros is none. */
struct dkim_key {
	enum dkim_algorithm algorithm;
	bool testing;		/* t=y */
	bool same_domain;	/* t=s: the domain of i= has to be d= */
	struct evp_pkey_st *pkey;
};

#define DKIM_KEY_INIT { 0 }

void dkim_key_free(struct dkim_key *k);

/* Parse a record: n bytes, a TXT's strings joined. Returns NULL, or why the
 * key is of no use, as static text; then k is empty. */
const char *dkim_key_parse(struct dkim_key *k, const char *txt, size_t n);

/* Is it the same public key, whatever is said around it? */
bool dkim_key_equal(const struct dkim_key *a, const struct dkim_key *b);

/* Is sig (n bytes) the key's signature over a header's hash? */
bool dkim_key_verify(const struct dkim_key *k,
		     const unsigned char hash[DKIM_HASH_SIZE],
		     const unsigned char *sig, size_t n);

/* Private keys. -1 comes with the reason in err. */

/* PEM of an RSA key (PKCS #1 or #8, at least 1024 bits) or an Ed25519 key,
 * without a passphrase. */
int dkim_key_read(struct dkim_key *k, const char *pem, size_t n,
		  struct buf *err);
/* A new key: RSA with that many bits (1024 to 8192), or Ed25519. */
int dkim_key_generate(struct dkim_key *k, enum dkim_algorithm a,
		      unsigned bits, struct buf *err);
/* Append a private key as PEM, PKCS #8. */
int dkim_key_pem(const struct dkim_key *k, struct buf *pem, struct buf *err);
/* Append the record to publish: "v=DKIM1;k=rsa;p=…;s=email;t=s". */
int dkim_key_record(const struct dkim_key *k, struct buf *txt,
		    struct buf *err);
/* Append the signature, not in base64. */
int dkim_key_sign(const struct dkim_key *k,
		  const unsigned char hash[DKIM_HASH_SIZE], struct buf *sig,
		  struct buf *err);

#endif
