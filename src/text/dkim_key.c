#include "text/dkim_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/str.h"
#include "text/dkim_tags.h"

/* Decoded p=: an 8192-bit key takes 1060 bytes. */
enum { KEY_BYTES_MAX = 2048 };

static const struct {
	const char *name;	/* a= */
	const char *key;	/* k= */
} algorithms[] = {
	[DKIM_RSA_SHA256] = { "rsa-sha256", "rsa" },
	[DKIM_ED25519_SHA256] = { "ed25519-sha256", "ed25519" },
};

const char *dkim_algorithm_name(enum dkim_algorithm a)
{
	return algorithms[a].name;
}

void dkim_key_free(struct dkim_key *k)
{
	EVP_PKEY_free(k->pkey);
	*k = (struct dkim_key)DKIM_KEY_INIT;
}

/* DER (X.690), as much as an RSA public key has of it. OpenSSL would decode
 * whatever kind of key stands there, with all that a stranger can do to it
 * (CVE-2022-0778). */

struct der {
	const unsigned char *p;
	size_t n;
};

enum { DER_INTEGER = 0x02, DER_BITS = 0x03, DER_SEQUENCE = 0x30 };

/* The element at d's front, of that type, goes to *out without its head. */
static bool der_take(struct der *d, unsigned type, struct der *out)
{
	size_t len, head = 2;

	if (d->n < 2 || d->p[0] != type)
		return false;
	len = d->p[1];
	if (len & 0x80) {
		size_t bytes = len & 0x7f;

		if (bytes < 1 || bytes > 2 || d->n < 2 + bytes || !d->p[2])
			return false;
		len = d->p[2];
		if (bytes == 2)
			len = len << 8 | d->p[3];
		if (len < 0x80)
			return false;
		head += bytes;
	}
	if (len > d->n - head)
		return false;
	*out = (struct der){ d->p + head, len };
	d->p += head + len;
	d->n -= head + len;
	return true;
}

/* A positive integer, written as short as can be. */
static BIGNUM *der_integer(struct der *d)
{
	struct der v;

	if (!der_take(d, DER_INTEGER, &v) || !v.n || v.p[0] & 0x80)
		return NULL;
	if (v.n > 1 && !v.p[0] && !(v.p[1] & 0x80))
		return NULL;
	return BN_bin2bn(v.p, (int)v.n, NULL);
}

/* SubjectPublicKeyInfo (RFC 5280 section 4.1) around an RSAPublicKey: leaves
 * the latter in *d. Without the former *d stays as it is. */
static bool der_unwrap(struct der *d)
{
	/* the rsaEncryption AlgorithmIdentifier (RFC 3279 section 2.3.1) */
	static const unsigned char rsa[] = {
		0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
		0x01, 0x01, 0x01, 0x05, 0x00,
	};
	struct der outer = *d, inner, bits;

	if (!der_take(&outer, DER_SEQUENCE, &inner))
		return false;
	if (!inner.n || inner.p[0] != DER_SEQUENCE)
		return true;
	if (outer.n || inner.n < sizeof(rsa) ||
	    memcmp(inner.p, rsa, sizeof(rsa)) != 0)
		return false;
	inner.p += sizeof(rsa);
	inner.n -= sizeof(rsa);
	if (!der_take(&inner, DER_BITS, &bits) || inner.n || !bits.n ||
	    bits.p[0])
		return false;
	*d = (struct der){ bits.p + 1, bits.n - 1 };
	return true;
}

static const char *rsa_bits(int bits)
{
	if (bits < DKIM_RSA_BITS_MIN)
		return "RSA key shorter than 1024 bits";
	if (bits > DKIM_RSA_BITS_MAX)
		return "RSA key longer than 8192 bits";
	return NULL;
}

static const char *rsa_check(const BIGNUM *n, const BIGNUM *e)
{
	const char *why = rsa_bits(BN_num_bits(n));

	if (why)
		return why;
	if (!BN_is_odd(n))
		return "malformed RSA key";
	if (BN_num_bits(e) > DKIM_RSA_EXPONENT_BITS)
		return "RSA exponent too large";
	if (!BN_is_odd(e) || BN_is_one(e))
		return "malformed RSA key";
	return NULL;
}

static EVP_PKEY *rsa_new(const BIGNUM *n, const BIGNUM *e)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *pkey = NULL;

	if (build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e))
		params = OSSL_PARAM_BLD_to_param(build);
	if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		pkey = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static const char *rsa_parse(struct dkim_key *k, const struct buf *p)
{
	struct der d = { (const unsigned char *)p->data, p->len }, key;
	BIGNUM *n = NULL, *e = NULL;
	const char *why = "malformed RSA key";

	if (der_unwrap(&d) && der_take(&d, DER_SEQUENCE, &key) && !d.n) {
		n = der_integer(&key);
		e = n ? der_integer(&key) : NULL;
	}
	if (e && !key.n) {
		why = rsa_check(n, e);
		if (!why && !(k->pkey = rsa_new(n, e)))
			why = "RSA key not usable";
	}
	BN_free(n);
	BN_free(e);
	return why;
}

static const char *ed25519_parse(struct dkim_key *k, const struct buf *p)
{
	if (p->len == DKIM_ED25519_SIZE)
		k->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
			(const unsigned char *)p->data, p->len);
	return k->pkey ? NULL : "malformed Ed25519 key";
}

/* The rules that concern anything else than the key itself. */
static const char *record_check(struct dkim_key *k, const struct dkim_tags *t)
{
	const struct dkim_tag *v = dkim_tags_get(t, "v");
	const struct dkim_tag *type = dkim_tags_get(t, "k");
	const struct dkim_tag *hashes = dkim_tags_get(t, "h");
	const struct dkim_tag *services = dkim_tags_get(t, "s");
	const struct dkim_tag *flags = dkim_tags_get(t, "t");

	if (v && (v != t->tags || v->value.n != 5 ||
		  memcmp(v->value.p, "DKIM1", 5) != 0))
		return "key record of another version";
	if (type && dkim_span_eqi(type->value, "ed25519"))
		k->algorithm = DKIM_ED25519_SHA256;
	else if (type && !dkim_span_eqi(type->value, "rsa"))
		return "key of an unknown type";
	if (hashes && !dkim_span_has(hashes->value, "sha256"))
		return "key is not for sha256";
	if (services && !dkim_span_has(services->value, "*") &&
	    !dkim_span_has(services->value, "email"))
		return "key is not for e-mail";
	k->testing = flags && dkim_span_has(flags->value, "y");
	k->same_domain = flags && dkim_span_has(flags->value, "s");
	return NULL;
}

static const char *record_key(struct dkim_key *k, const struct dkim_tags *t)
{
	const struct dkim_tag *p = dkim_tags_get(t, "p");
	struct buf raw = BUF_INIT;
	const char *why = "malformed base64 in the key record";

	if (!p)
		return "key record without p=";
	if (!p->value.n)
		return "key is revoked";
	if (dkim_span_base64(p->value, KEY_BYTES_MAX, &raw) == 0)
		why = k->algorithm == DKIM_RSA_SHA256 ?
		      rsa_parse(k, &raw) : ed25519_parse(k, &raw);
	buf_free(&raw);
	return why;
}

const char *dkim_key_parse(struct dkim_key *k, const char *txt, size_t n)
{
	struct dkim_tags t;
	const char *why;

	*k = (struct dkim_key)DKIM_KEY_INIT;
	why = dkim_tags_parse(&t, txt, n);
	if (why)
		return "malformed key record";
	why = record_check(k, &t);
	if (!why)
		why = record_key(k, &t);
	if (why) {
		dkim_key_free(k);
		ERR_clear_error();
	}
	return why;
}

bool dkim_key_equal(const struct dkim_key *a, const struct dkim_key *b)
{
	return a->algorithm == b->algorithm &&
	       EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

/* RSASSA-PKCS1-v1_5 over a SHA-256 hash; init is EVP_PKEY_sign_init or
 * EVP_PKEY_verify_init. */
static EVP_PKEY_CTX *rsa_context(const struct dkim_key *k,
				 int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k->pkey, NULL);

	if (ctx && init(ctx) > 0 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

static bool rsa_verify(const struct dkim_key *k, const unsigned char *hash,
		       const unsigned char *sig, size_t n)
{
	EVP_PKEY_CTX *ctx = rsa_context(k, EVP_PKEY_verify_init);
	bool ok = ctx && EVP_PKEY_verify(ctx, sig, n, hash,
					 DKIM_HASH_SIZE) == 1;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static bool ed25519_verify(const struct dkim_key *k,
			   const unsigned char *hash,
			   const unsigned char *sig, size_t n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx &&
		  EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
		  EVP_DigestVerify(ctx, sig, n, hash, DKIM_HASH_SIZE) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

bool dkim_key_verify(const struct dkim_key *k,
		     const unsigned char hash[DKIM_HASH_SIZE],
		     const unsigned char *sig, size_t n)
{
	bool ok = k->pkey && (k->algorithm == DKIM_RSA_SHA256 ?
			      rsa_verify(k, hash, sig, n) :
			      ed25519_verify(k, hash, sig, n));

	/* what stays in OpenSSL's queue would confuse TLS in this thread */
	ERR_clear_error();
	return ok;
}

/* Private keys */

static int fail(struct buf *err, const char *why)
{
	ERR_clear_error();
	buf_setf(err, "%s", why);
	return -1;
}

/* OpenSSL would ask on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	return 0;
}

/* What kind of key was read. */
static int key_kind(struct dkim_key *k, struct buf *err)
{
	const char *why;

	switch (EVP_PKEY_get_base_id(k->pkey)) {
	case EVP_PKEY_RSA:
		k->algorithm = DKIM_RSA_SHA256;
		why = rsa_bits(EVP_PKEY_get_bits(k->pkey));
		break;
	case EVP_PKEY_ED25519:
		k->algorithm = DKIM_ED25519_SHA256;
		why = NULL;
		break;
	default:
		why = "neither an RSA nor an Ed25519 key";
	}
	return why ? fail(err, why) : 0;
}

int dkim_key_read(struct dkim_key *k, const char *pem, size_t n,
		  struct buf *err)
{
	BIO *bio = n <= 65536 ? BIO_new_mem_buf(pem, (int)n) : NULL;

	*k = (struct dkim_key)DKIM_KEY_INIT;
	if (bio)
		k->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase,
						  NULL);
	BIO_free(bio);
	if (!k->pkey)
		return fail(err, "no private key in PEM format");
	if (key_kind(k, err) < 0) {
		dkim_key_free(k);
		return -1;
	}
	return 0;
}

int dkim_key_generate(struct dkim_key *k, enum dkim_algorithm a,
		      unsigned bits, struct buf *err)
{
	const char *why = a == DKIM_RSA_SHA256 ? rsa_bits((int)bits) : NULL;

	*k = (struct dkim_key)DKIM_KEY_INIT;
	if (why)
		return fail(err, why);
	k->algorithm = a;
	k->pkey = a == DKIM_RSA_SHA256 ?
		  EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits) :
		  EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return k->pkey ? 0 : fail(err, "cannot generate a key");
}

/* Append what a memory BIO holds, and free it. */
static int bio_to_buf(BIO *bio, int ok, struct buf *out, struct buf *err)
{
	char *data = NULL;
	long n = bio && ok ? BIO_get_mem_data(bio, &data) : 0;

	if (n > 0)
		buf_add(out, data, (size_t)n);
	BIO_free(bio);
	return n > 0 ? 0 : fail(err, "cannot encode the key");
}

int dkim_key_pem(const struct dkim_key *k, struct buf *pem, struct buf *err)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	int ok = bio && k->pkey &&
		 PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0,
					       NULL, NULL);

	return bio_to_buf(bio, ok, pem, err);
}

static int key_public(const struct dkim_key *k, struct buf *out,
		      struct buf *err)
{
	unsigned char raw[DKIM_ED25519_SIZE];
	size_t n = sizeof(raw);
	BIO *bio;

	if (!k->pkey)
		return fail(err, "no key");
	if (k->algorithm == DKIM_RSA_SHA256) {
		bio = BIO_new(BIO_s_mem());
		return bio_to_buf(bio, bio && i2d_PUBKEY_bio(bio, k->pkey),
				  out, err);
	}
	if (!EVP_PKEY_get_raw_public_key(k->pkey, raw, &n))
		return fail(err, "cannot encode the key");
	buf_add(out, raw, n);
	return 0;
}

int dkim_key_record(const struct dkim_key *k, struct buf *txt,
		    struct buf *err)
{
	struct buf raw = BUF_INIT;
	int ret = key_public(k, &raw, err);

	if (ret == 0) {
		buf_addf(txt, "v=DKIM1;k=%s;p=", algorithms[k->algorithm].key);
		buf_add_base64(txt, raw.data, raw.len);
		buf_adds(txt, ";s=email;t=s");
	}
	buf_free(&raw);
	return ret;
}

static int rsa_sign(const struct dkim_key *k, const unsigned char *hash,
		    unsigned char *sig, size_t *n)
{
	EVP_PKEY_CTX *ctx = rsa_context(k, EVP_PKEY_sign_init);
	int ok = ctx && EVP_PKEY_sign(ctx, sig, n, hash, DKIM_HASH_SIZE) > 0;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static int ed25519_sign(const struct dkim_key *k, const unsigned char *hash,
			unsigned char *sig, size_t *n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx &&
		 EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
		 EVP_DigestSign(ctx, sig, n, hash, DKIM_HASH_SIZE) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

int dkim_key_sign(const struct dkim_key *k,
		  const unsigned char hash[DKIM_HASH_SIZE], struct buf *sig,
		  struct buf *err)
{
	unsigned char out[DKIM_SIGNATURE_MAX];
	size_t n = sizeof(out);
	int ok = k->pkey && (k->algorithm == DKIM_RSA_SHA256 ?
			     rsa_sign(k, hash, out, &n) :
			     ed25519_sign(k, hash, out, &n));

	if (!ok)
		return fail(err, "cannot sign with this key");
	buf_add(sig, out, n);
	return 0;
}
