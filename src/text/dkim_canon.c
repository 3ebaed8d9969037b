#include "text/dkim_canon.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/str.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Header */

/* A field's value: CRLF is deleted, white space becomes one SP, none stays at
 * the ends. */
static void relaxed_value(struct buf *out, const char *p, const char *end)
{
	size_t start = out->len;
	bool blank = false;

	while (p < end) {
		const char *word = p;

		if (end - p >= 2 && p[0] == '\r' && p[1] == '\n') {
			p += 2;
			continue;
		}
		if (is_blank(*p)) {
			blank = true;
			p++;
			continue;
		}
		do
			p++;
		while (p < end && !is_blank(*p) && *p != '\r');
		if (blank && out->len > start)
			buf_addc(out, ' ');
		blank = false;
		buf_add(out, word, (size_t)(p - word));
	}
}

static void relaxed_field(struct buf *out, const char *field, size_t n)
{
	const char *colon = memchr(field, ':', n);
	size_t start = out->len;
	size_t name = colon ? (size_t)(colon - field) : n;

	while (name && is_blank(field[name - 1]))
		name--;
	buf_add(out, field, name);
	for (size_t i = start; i < out->len; i++)
		out->data[i] = ascii_lower(out->data[i]);
	if (!colon)
		return;
	buf_addc(out, ':');
	relaxed_value(out, colon + 1, field + n);
}

void dkim_canon_field(struct buf *out, enum dkim_canon canon,
		      const char *field, size_t n)
{
	if (canon == DKIM_RELAXED)
		relaxed_field(out, field, n);
	else
		buf_add(out, field, n);
}

/* Body */

void dkim_body_init(struct dkim_body *b, enum dkim_canon canon)
{
	memset(b, 0, sizeof(*b));
	b->canon = canon;
	b->md = EVP_MD_CTX_new();
	b->failed = !b->md || !EVP_DigestInit_ex(b->md, EVP_sha256(), NULL);
}

void dkim_body_free(struct dkim_body *b)
{
	EVP_MD_CTX_free(b->md);
	b->md = NULL;
}

static void hash(struct dkim_body *b, const char *p, size_t n)
{
	b->size += n;
	if (n && !b->failed)
		b->failed = !EVP_DigestUpdate(b->md, p, n);
}

static void flush(struct dkim_body *b)
{
	hash(b, b->out, b->out_len);
	b->out_len = 0;
}

/* The same, collected: relaxed text comes in words. */
static void emit(struct dkim_body *b, const char *p, size_t n)
{
	if (n > sizeof(b->out) - b->out_len)
		flush(b);
	if (n > sizeof(b->out)) {
		hash(b, p, n);
		return;
	}
	memcpy(b->out + b->out_len, p, n);
	b->out_len += n;
}

/* What was held back does count: something follows in this line. */
static void emit_held(struct dkim_body *b)
{
	for (; b->newlines; b->newlines--)
		emit(b, "\r\n", 2);
	if (b->blank)
		emit(b, " ", 1);
	b->blank = false;
	if (b->cr)
		emit(b, "\r", 1);
	b->cr = false;
}

/* The length of the text at p that is neither CR nor, if relaxed, white
 * space. */
static size_t text_length(const struct dkim_body *b, const char *p, size_t n)
{
	size_t i = 0;

	if (b->canon == DKIM_SIMPLE) {
		const char *cr = memchr(p, '\r', n);

		return cr ? (size_t)(cr - p) : n;
	}
	while (i < n && !is_blank(p[i]) && p[i] != '\r')
		i++;
	return i;
}

void dkim_body_feed(struct dkim_body *b, const char *p, size_t n)
{
	const char *end = p + n;

	while (p < end) {
		size_t len;

		if (b->cr && *p == '\n') {
			b->cr = b->blank = false;
			b->newlines++;
			p++;
			continue;
		}
		len = text_length(b, p, (size_t)(end - p));
		if (b->cr || len)
			emit_held(b);
		emit(b, p, len);
		p += len;
		if (p == end)
			break;
		/* white space after a CR comes to here as well: the CR was
		 * given out just now */
		if (*p == '\r')
			b->cr = true;
		else
			b->blank = true;
		p++;
	}
}

int dkim_body_end(struct dkim_body *b, unsigned char digest[DKIM_HASH_SIZE])
{
	if (b->cr)
		emit_held(b);
	if (b->canon == DKIM_SIMPLE || b->size || b->out_len)
		emit(b, "\r\n", 2);
	flush(b);
	if (!b->failed)
		b->failed = !EVP_DigestFinal_ex(b->md, digest, NULL);
	return b->failed ? -1 : 0;
}
