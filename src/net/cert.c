#include "net/cert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/file.h"

enum { DAYS_LEFT_MIN = 30, PEM_MAX = 256 * 1024 };

static int fail(struct buf *err, const char *what)
{
	char text[256];

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	buf_setf(err, "%s: %s", what, text);
	return -1;
}

static bool is_address(const char *domain)
{
	struct in_addr addr;

	return inet_pton(AF_INET, domain, &addr) == 1;
}

static X509 *read_certificate(const char *path)
{
	struct buf text = BUF_INIT;
	X509 *cert = NULL;
	BIO *bio;

	if (file_read(path, PEM_MAX, &text) == 0 && text.len > 0) {
		bio = BIO_new_mem_buf(text.data, (int)text.len);
		cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
		BIO_free(bio);
	}
	buf_free(&text);
	return cert;
}

static EVP_PKEY *read_key(const char *path)
{
	struct buf text = BUF_INIT;
	EVP_PKEY *key = NULL;
	BIO *bio;

	if (file_read(path, PEM_MAX, &text) == 0 && text.len > 0) {
		bio = BIO_new_mem_buf(text.data, (int)text.len);
		key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) :
			NULL;
		BIO_free(bio);
	}
	OPENSSL_cleanse(text.data, text.len);
	buf_free(&text);
	return key;
}

static bool is_for_domain(X509 *cert, const char *domain)
{
	if (is_address(domain))
		return X509_check_ip_asc(cert, domain, 0) == 1;
	return X509_check_host(cert, domain, 0, 0, NULL) == 1;
}

static void add_name(struct buf *out, const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
		char *p;
		long n = BIO_get_mem_data(bio, &p);

		buf_add(out, p, (size_t)n);
	}
	BIO_free(bio);
}

static void add_san(struct buf *out, const GENERAL_NAME *name)
{
	const ASN1_OCTET_STRING *ip = name->d.iPAddress;
	char text[INET6_ADDRSTRLEN];

	if (name->type == GEN_DNS)
		buf_addf(out, "%s%.*s", out->len ? " " : "",
			 ASN1_STRING_length(name->d.dNSName),
			 ASN1_STRING_get0_data(name->d.dNSName));
	else if (name->type == GEN_IPADD &&
		 inet_ntop(ip->length == 4 ? AF_INET : AF_INET6, ip->data,
			   text, sizeof(text)))
		buf_addf(out, "%s%s", out->len ? " " : "", text);
}

static void add_names(struct buf *out, X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name,
						NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		add_san(out, sk_GENERAL_NAME_value(names, i));
	GENERAL_NAMES_free(names);
}

static int days_between(const ASN1_TIME *from, const ASN1_TIME *to)
{
	int days = 0, secs = 0;

	return ASN1_TIME_diff(&days, &secs, from, to) == 1 ?
		days - (secs < 0) : -1;
}

void cert_describe(struct cert *c, X509 *x509)
{
	*c = (struct cert) { .names = BUF_INIT, .issuer = BUF_INIT };
	add_names(&c->names, x509);
	add_name(&c->issuer, X509_get_issuer_name(x509));
	c->days_left = days_between(NULL, X509_get0_notAfter(x509));
	c->days_in_all = days_between(X509_get0_notBefore(x509),
				      X509_get0_notAfter(x509));
	c->is_self_signed = X509_NAME_cmp(X509_get_subject_name(x509),
					  X509_get_issuer_name(x509)) == 0;
}

int cert_read(struct cert *c, const char *cert_path, const char *key_path,
	      struct buf *err)
{
	X509 *cert = read_certificate(cert_path);
	EVP_PKEY *key = read_key(key_path);

	*c = (struct cert) { .names = BUF_INIT, .issuer = BUF_INIT };
	if (!cert) {
		buf_setf(err, "%s: not a certificate that can be read",
			 cert_path);
		EVP_PKEY_free(key);
		ERR_clear_error();
		return -1;
	}
	cert_describe(c, cert);
	c->has_key = key && X509_check_private_key(cert, key) == 1;
	X509_free(cert);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return 0;
}

void cert_free(struct cert *c)
{
	buf_free(&c->names);
	buf_free(&c->issuer);
}

bool cert_file_covers(const char *cert_path, const char *name)
{
	X509 *cert = read_certificate(cert_path);
	bool ret = cert && is_for_domain(cert, name);

	X509_free(cert);
	ERR_clear_error();
	return ret;
}

static bool is_still_good(const char *domain, const char *cert_path,
			  const char *key_path)
{
	struct buf err = BUF_INIT;
	struct cert c;
	bool good = cert_read(&c, cert_path, key_path, &err) == 0 &&
		c.has_key && c.days_left >= DAYS_LEFT_MIN &&
		cert_file_covers(cert_path, domain);

	cert_free(&c);
	buf_free(&err);
	return good;
}

static int add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static int set_serial(X509 *cert)
{
	BIGNUM *n = BN_new();
	int ok = n && BN_rand(n, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
		 BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));

	BN_free(n);
	return ok;
}

static int set_fields(X509 *cert, EVP_PKEY *key, const char *domain, int days)
{
	X509_NAME *name = X509_get_subject_name(cert);
	struct buf san = BUF_INIT;
	int ok;

	if (is_address(domain))
		buf_addf(&san, "IP:%s", domain);
	else
		buf_addf(&san, "DNS:%s,DNS:www.%s,DNS:mta-sts.%s,"
			 "DNS:autoconfig.%s", domain, domain, domain, domain);
	buf_adds(&san, ",DNS:localhost,IP:127.0.0.1");
	/* A subject is at most 64 bytes long (RFC 5280 ub-common-name); who
	 * checks names looks at the extension. */
	ok = X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
	     X509_gmtime_adj(X509_getm_notBefore(cert), -3600L) &&
	     X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) &&
	     X509_set_pubkey(cert, key) &&
	     X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
			(const unsigned char *)(strlen(domain) > 64 ?
						"chatmail relay" : domain),
			-1, -1, 0) &&
	     X509_set_issuer_name(cert, name) &&
	     add_extension(cert, NID_subject_alt_name, san.data) &&
	     add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
	     add_extension(cert, NID_ext_key_usage, "serverAuth,clientAuth") &&
	     X509_sign(cert, key, EVP_sha256()) > 0;
	buf_free(&san);
	return ok;
}

static int write_bio(BIO *bio, const char *path, mode_t mode, struct buf *err)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	if (file_replace(path, p, (size_t)n, mode, 0) == 0)
		return 0;
	buf_setf(err, "%s: %s", path, strerror(errno));
	return -1;
}

/* The key first: a certificate without its key would look finished. */
static int write_both(X509 *cert, EVP_PKEY *key, const char *cert_path,
		      const char *key_path, struct buf *err)
{
	BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
	int ret = -1;

	if (!cert_bio || !key_bio || PEM_write_bio_X509(cert_bio, cert) != 1 ||
	    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL,
				     NULL) != 1)
		fail(err, "writing the certificate");
	else if (write_bio(key_bio, key_path, 0600, err) == 0)
		ret = write_bio(cert_bio, cert_path, 0644, err);
	BIO_free(cert_bio);
	BIO_free(key_bio);
	return ret;
}

int cert_make_self(const char *domain, int days, const char *cert_path,
		   const char *key_path, struct buf *err)
{
	EVP_PKEY *key;
	X509 *cert;
	int ret;

	if (is_still_good(domain, cert_path, key_path))
		return 0;
	key = EVP_EC_gen("P-256");
	cert = X509_new();
	if (!key || !cert || !set_fields(cert, key, domain, days))
		ret = fail(err, "making the certificate");
	else
		ret = write_both(cert, key, cert_path, key_path, err);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ret < 0 ? -1 : 1;
}
