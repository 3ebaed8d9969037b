#include "relay/dkimkey.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

enum { RSA_BITS = 2048, PEM_MAX = 64 * 1024, STRING_MAX = 255 };

const struct dkimkey_kind dkimkey_kinds[] = {
	{ "opendkim", "opendkim.private", "rsa", true },
	{ "ed25519", "ed25519.private", "ed25519", false },
	{ 0 },
};

static int key_type(const struct dkimkey_kind *kind)
{
	return strcmp(kind->k, "rsa") == 0 ? EVP_PKEY_RSA : EVP_PKEY_ED25519;
}

EVP_PKEY *dkimkey_load(const struct dkimkey_kind *kind, const char *dir,
		       struct buf *err)
{
	struct buf path = BUF_INIT, pem = BUF_INIT;
	EVP_PKEY *key = NULL;
	char no_passphrase[] = "";	/* instead of asking for one */
	BIO *bio = NULL;
	int saved = 0;

	buf_addf(&path, "%s/%s", dir, kind->file);
	if (file_read(path.data, PEM_MAX, &pem) < 0) {
		saved = errno;
		buf_setf(err, "%s: %s", path.data, strerror(errno));
	} else {
		bio = BIO_new_mem_buf(pem.data, (int)pem.len);
		key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL,
						    no_passphrase) : NULL;
		if (!key || EVP_PKEY_get_base_id(key) != key_type(kind)) {
			buf_setf(err, "%s: not a private key of type %s",
				 path.data, kind->k);
			EVP_PKEY_free(key);
			key = NULL;
		}
	}
	BIO_free(bio);
	explicit_bzero(pem.data, pem.len);
	buf_free(&pem);
	buf_free(&path);
	errno = saved;
	return key;
}

/* O_EXCL: a key whose record stands in the DNS must not be lost. */
static int write_new(const char *path, const char *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool good;

	if (fd < 0)
		return -1;
	good = write(fd, data, n) == (ssize_t)n && fsync(fd) == 0;
	if (close(fd) < 0 || !good) {
		unlink(path);
		return -1;
	}
	return 0;
}

int dkimkey_make(const struct dkimkey_kind *kind, const char *dir,
		 struct buf *err)
{
	struct buf path = BUF_INIT;
	EVP_PKEY *key = key_type(kind) == EVP_PKEY_RSA ?
		EVP_RSA_gen(RSA_BITS) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long n = 0;
	int ret = -1;

	buf_addf(&path, "%s/%s", dir, kind->file);
	if (key && bio &&
	    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		n = BIO_get_mem_data(bio, &pem);
	if (n <= 0)
		buf_setf(err, "%s: no key could be made", path.data);
	else if (write_new(path.data, pem, (size_t)n) < 0)
		buf_setf(err, "%s: %s", path.data, strerror(errno));
	else
		ret = 0;
	if (n > 0)
		explicit_bzero(pem, (size_t)n);
	BIO_free(bio);
	EVP_PKEY_free(key);
	buf_free(&path);
	return ret;
}

/* The key as p= has it: SubjectPublicKeyInfo, or the bare 32 bytes of an
 * Ed25519 key (RFC 8463 section 4.2). */
static int public_bytes(const EVP_PKEY *key, unsigned char **out, size_t *n)
{
	unsigned char *der = NULL;
	int len;

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
		*n = 32;
		*out = xmalloc(*n);
		return EVP_PKEY_get_raw_public_key(key, *out, n) == 1 ? 0 : -1;
	}
	len = i2d_PUBKEY((EVP_PKEY *)key, &der);
	if (len <= 0)
		return -1;
	*n = (size_t)len;
	*out = xmalloc(*n);
	memcpy(*out, der, *n);
	OPENSSL_free(der);
	return 0;
}

int dkimkey_record(const struct dkimkey_kind *kind, const EVP_PKEY *key,
		   struct buf *out, struct buf *err)
{
	unsigned char *bytes = NULL;
	size_t n;
	int ret = public_bytes(key, &bytes, &n);

	if (ret < 0) {
		buf_setf(err, "the public key cannot be written");
	} else {
		buf_addf(out, "v=DKIM1;k=%s;p=", kind->k);
		buf_add_base64(out, bytes, n);
		buf_adds(out, ";s=email;t=s");
	}
	free(bytes);
	return ret;
}

void dkimkey_quote(struct buf *out, const char *record)
{
	size_t n = strlen(record);

	for (size_t i = 0; i < n; i += STRING_MAX) {
		size_t len = n - i < STRING_MAX ? n - i : STRING_MAX;

		buf_addf(out, "%s\"%.*s\"", i ? " " : "", (int)len, record + i);
	}
}
