#include "text/sshkey.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/str.h"
#include "text/base64.h"

enum { TYPE_MAX = 64 };

int sshkey_read_u32(struct sshkey_reader *r, uint32_t *v)
{
	const unsigned char *p = (const unsigned char *)r->p;

	if (r->n < 4)
		return -1;
	*v = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	     (uint32_t)p[2] << 8 | p[3];
	r->p += 4;
	r->n -= 4;
	return 0;
}

int sshkey_read_string(struct sshkey_reader *r, const char **s, size_t *n)
{
	struct sshkey_reader at = *r;
	uint32_t len;

	if (sshkey_read_u32(&at, &len) < 0 || len > at.n)
		return -1;
	*s = at.p;
	*n = len;
	r->p = at.p + len;
	r->n = at.n - len;
	return 0;
}

void sshkey_add_u32(struct buf *out, uint32_t v)
{
	unsigned char p[4] = { (unsigned char)(v >> 24),
			       (unsigned char)(v >> 16),
			       (unsigned char)(v >> 8), (unsigned char)v };

	buf_add(out, p, sizeof(p));
}

void sshkey_add_string(struct buf *out, const void *p, size_t n)
{
	sshkey_add_u32(out, (uint32_t)n);
	buf_add(out, p, n);
}

int sshkey_type(const void *blob, size_t n, struct buf *type)
{
	struct sshkey_reader r = { blob, n };
	const char *s;
	size_t len;

	buf_reset(type);
	if (sshkey_read_string(&r, &s, &len) < 0 || !len || len > TYPE_MAX)
		return -1;
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] > '~' || s[i] == ',')
			return -1;
	buf_add(type, s, len);
	return 0;
}

/* Base64 in lines, or in one. */
static int decode(const char *text, size_t n, struct buf *out)
{
	struct base64 b = BASE64_INIT;

	while (n) {
		size_t len, taken;

		if (*text == '\n' || *text == '\r') {
			text++;
			n--;
			continue;
		}
		buf_reserve(out, n + 3);
		len = n + 3;
		taken = base64_feed(&b, text, n,
				    (unsigned char *)out->data + out->len,
				    &len);
		out->len += len;
		out->data[out->len] = '\0';
		if (!taken)
			return -1;
		text += taken;
		n -= taken;
	}
	return base64_is_whole(&b) ? 0 : -1;
}

int sshkey_decode(const char *text, size_t n, struct buf *blob)
{
	struct buf type = BUF_INIT;
	int ret = -1;

	buf_reset(blob);
	if (n <= SSHKEY_BLOB_MAX / 3 * 4 && !memchr(text, '\n', n) &&
	    !memchr(text, '\r', n) && decode(text, n, blob) == 0)
		ret = sshkey_type(blob->data, blob->len, &type);
	if (ret < 0)
		buf_reset(blob);
	buf_free(&type);
	return ret;
}

static size_t word_length(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && !strchr(" \t\r\n", p[i]))
		i++;
	return i;
}

int sshkey_parse_public(const char *text, size_t n, struct buf *blob)
{
	struct buf type = BUF_INIT;
	size_t len = word_length(text, n), rest = n - len;
	const char *key = text + len;
	int ret = -1;

	buf_reset(blob);
	while (rest && (*key == ' ' || *key == '\t')) {
		key++;
		rest--;
	}
	if (sshkey_decode(key, word_length(key, rest), blob) == 0 &&
	    sshkey_type(blob->data, blob->len, &type) == 0 &&
	    type.len == len && memcmp(type.data, text, len) == 0)
		ret = 0;
	else
		buf_reset(blob);
	buf_free(&type);
	return ret;
}

void sshkey_add_public(struct buf *out, const void *blob, size_t n)
{
	struct buf type = BUF_INIT;

	sshkey_type(blob, n, &type);
	buf_addf(out, "%s ", type.data);
	buf_add_base64(out, blob, n);
	buf_free(&type);
}

void sshkey_add_fingerprint(struct buf *out, const void *blob, size_t n)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	EVP_Digest(blob, n, hash, &len, EVP_sha256(), NULL);
	buf_adds(out, "SHA256:");
	buf_add_base64(out, hash, len);
	while (out->data[out->len - 1] == '=')
		buf_truncate(out, out->len - 1);
}

const char *sshkey_short_type(const char *type)
{
	static const struct {
		const char *type, *name;
	} names[] = {
		{ "ssh-ed25519", "ED25519" }, { "ssh-rsa", "RSA" },
		{ "ssh-dss", "DSA" }, { "ecdsa-sha2-nistp256", "ECDSA" },
		{ "ecdsa-sha2-nistp384", "ECDSA" },
		{ "ecdsa-sha2-nistp521", "ECDSA" },
		{ "sk-ssh-ed25519@openssh.com", "ED25519-SK" },
		{ "sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA-SK" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i].type, type) == 0)
			return names[i].name;
	return type;
}

/* "openssh-key-v1" NUL, cipher, kdf, its options, 1, public key, the rest */
static int inspect_openssh(struct sshkey_file *f, const struct buf *raw)
{
	static const char magic[] = "openssh-key-v1";
	struct sshkey_reader r = { raw->data, raw->len };
	struct buf type = BUF_INIT;
	const char *cipher, *skip, *blob;
	size_t cipher_len, n, blob_len;
	uint32_t count;
	int ret;

	if (r.n < sizeof(magic) || memcmp(r.p, magic, sizeof(magic)) != 0)
		return -1;
	r.p += sizeof(magic);
	r.n -= sizeof(magic);
	if (sshkey_read_string(&r, &cipher, &cipher_len) < 0 ||
	    sshkey_read_string(&r, &skip, &n) < 0 ||
	    sshkey_read_string(&r, &skip, &n) < 0 ||
	    sshkey_read_u32(&r, &count) < 0 || count != 1 ||
	    sshkey_read_string(&r, &blob, &blob_len) < 0 ||
	    blob_len > SSHKEY_BLOB_MAX)
		return -1;
	ret = sshkey_type(blob, blob_len, &type);
	buf_free(&type);
	if (ret == 0) {
		f->encrypted = cipher_len != 4 || memcmp(cipher, "none", 4) != 0;
		buf_add(&f->blob, blob, blob_len);
	}
	return ret;
}

/* What stands between "-----BEGIN kind-----" and the matching end. */
static const char *armored(const char *text, size_t n, const char *kind,
			   size_t *len)
{
	struct buf begin = BUF_INIT, end = BUF_INIT;
	const char *from = NULL, *to = NULL;

	buf_addf(&begin, "-----BEGIN %s-----", kind);
	buf_addf(&end, "-----END %s-----", kind);
	if (n >= begin.len)
		from = memmem(text, n, begin.data, begin.len);
	if (from) {
		from += begin.len;
		to = memmem(from, (size_t)(text + n - from), end.data, end.len);
	}
	buf_free(&begin);
	buf_free(&end);
	if (!to)
		return NULL;
	*len = (size_t)(to - from);
	return from;
}

int sshkey_inspect(struct sshkey_file *f, const char *text, size_t n)
{
	static const struct {
		const char *kind;
		bool encrypted;
	} pem[] = {
		{ "ENCRYPTED PRIVATE KEY", true }, { "PRIVATE KEY", false },
		{ "RSA PRIVATE KEY", false }, { "EC PRIVATE KEY", false },
		{ "DSA PRIVATE KEY", false },
	};
	const char *body;
	size_t len = 0;

	*f = (struct sshkey_file){ .blob = BUF_INIT };
	body = armored(text, n, "OPENSSH PRIVATE KEY", &len);
	if (body) {
		struct buf raw = BUF_INIT;
		int ret = decode(body, len, &raw);

		if (ret == 0)
			ret = inspect_openssh(f, &raw);
		explicit_bzero(raw.data, raw.cap ? raw.len : 0);
		buf_free(&raw);
		return ret;
	}
	for (size_t i = 0; i < ARRAY_LEN(pem); i++) {
		body = armored(text, n, pem[i].kind, &len);
		if (!body)
			continue;
		f->encrypted = pem[i].encrypted ||
			memmem(body, len, "Proc-Type: 4,ENCRYPTED", 22);
		return 0;
	}
	return -1;
}

void sshkey_file_free(struct sshkey_file *f)
{
	buf_free(&f->blob);
}
