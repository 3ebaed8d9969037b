#include "text/dkim_sign.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/str.h"

enum {
	MARGIN = 75,		/* OpenDKIM's DKIM_HDRMARGIN */
	TAB_WIDTH = 8,
	NAMES_MAX = 16384,	/* bytes in h= */
};

/* OpenDKIM's default list (SignHeaders *) and the relay's "+autocrypt,
 * +content-type". Each is signed as often as it occurs; what is oversigned is
 * named once more, so that none can be added. */
static const struct {
	const char *name;
	bool oversign;
} fields[] = {
	{ "from", true }, { "reply-to", true }, { "subject", true },
	{ "date", true }, { "to", true }, { "cc", true },
	{ "resent-date", true }, { "resent-from", true },
	{ "resent-sender", true }, { "resent-to", true },
	{ "resent-cc", true }, { "in-reply-to", true },
	{ "references", true }, { "list-id", true }, { "list-help", true },
	{ "list-unsubscribe", true }, { "list-subscribe", true },
	{ "list-post", true }, { "list-owner", true },
	{ "list-archive", true }, { "autocrypt", true },
	{ "content-type", false },
};

void dkim_signer_init(struct dkim_signer *s)
{
	memset(s, 0, sizeof(*s));
	buf_init(&s->domain);
	buf_init(&s->names);
}

void dkim_signer_free(struct dkim_signer *s)
{
	dkim_header_free(&s->header);
	buf_free(&s->domain);
	buf_free(&s->names);
	EVP_MD_CTX_free(s->md);
	if (s->has_body)
		dkim_body_free(&s->body);
	dkim_signer_init(s);
}

void dkim_signer_header(struct dkim_signer *s, const char *field, size_t n)
{
	dkim_header_add(&s->header, field, n);
}

static bool is_signed(const struct dkim_field *f)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (f->name == strlen(fields[i].name) &&
		    mem_eqi(f->text, fields[i].name, f->name))
			return true;
	return false;
}

/* h=: first what is there, in the message's order and spelling. */
static void list_names(struct dkim_signer *s)
{
	for (size_t i = 0; i < s->header.count; i++) {
		const struct dkim_field *f = &s->header.fields[i];

		if (!is_signed(f))
			continue;
		buf_add(&s->names, f->text, f->name);
		buf_addc(&s->names, ':');
	}
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].oversign)
			buf_addf(&s->names, "%s:", fields[i].name);
	buf_truncate(&s->names, s->names.len - 1);
}

static bool hash_fields(struct dkim_signer *s)
{
	struct dkim_span rest = { s->names.data, s->names.len }, name;
	struct buf out = BUF_INIT;
	bool ok;

	s->md = EVP_MD_CTX_new();
	ok = s->md && EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) == 1;
	while (ok && dkim_span_next(&rest, &name)) {
		const struct dkim_field *f =
			dkim_header_pick(&s->header, name.p, name.n);

		if (!f)
			continue;
		buf_reset(&out);
		dkim_canon_field(&out, DKIM_RELAXED, f->text, f->n);
		buf_adds(&out, "\r\n");
		ok = EVP_DigestUpdate(s->md, out.data, out.len) == 1;
	}
	buf_free(&out);
	return ok;
}

static void fail(struct dkim_signer *s)
{
	s->error = "out of memory in libcrypto";
	s->out_of_memory = true;
}

void dkim_signer_eoh(struct dkim_signer *s)
{
	dkim_header_end(&s->header);
	s->error = dkim_header_from(&s->header, &s->domain);
	if (!s->error)
		list_names(s);
	if (s->names.len > NAMES_MAX)
		s->error = "too many header fields to sign";
	if (!s->error && !hash_fields(s))
		fail(s);
	dkim_header_free(&s->header);
	s->has_body = !s->error;
	if (s->has_body)
		dkim_body_init(&s->body, DKIM_SIMPLE);
}

void dkim_signer_body(struct dkim_signer *s, const char *p, size_t n)
{
	if (s->has_body)
		dkim_body_feed(&s->body, p, n);
}

void dkim_signer_eom(struct dkim_signer *s)
{
	if (s->has_body && dkim_body_end(&s->body, s->body_hash) < 0)
		fail(s);
}

/* The field. OpenDKIM begins a new line before a tag that does not fit, and
 * within h= and b= where the margin is reached. */

struct fold {
	struct buf *out;
	size_t column;
};

static void fold_add(struct fold *f, const char *p, size_t n)
{
	buf_add(f->out, p, n);
	f->column += n;
}

static void fold_break(struct fold *f, const char *newline)
{
	buf_adds(f->out, newline);
	f->column = TAB_WIDTH + strlen(newline) - strlen("\r\n\t");
}

/* "; " or a line break, then a tag that is not broken up; its own ";" has to
 * fit as well. */
static void fold_tag(struct fold *f, const char *tag)
{
	size_t n = strlen(tag);

	fold_add(f, ";", 1);
	if (f->column + n + 1 > MARGIN)
		fold_break(f, "\r\n\t");
	else
		fold_add(f, " ", 1);
	fold_add(f, tag, n);
}

static void fold_names(struct fold *f, const char *names)
{
	fold_add(f, ";", 1);
	fold_break(f, "\r\n\t");
	fold_add(f, "h=", 2);
	for (const char *p = names; *p; ) {
		size_t n = strcspn(p, ":");

		if (p > names) {
			bool fits = f->column + n + 1 <= MARGIN;

			fold_add(f, ":", 1);
			if (!fits)
				fold_break(f, "\r\n\t ");
		}
		fold_add(f, p, n);
		p += n;
		p += *p == ':';
	}
}

static void fold_base64(struct fold *f, const char *p)
{
	while (*p) {
		size_t n = strlen(p);

		if (f->column >= MARGIN)
			fold_break(f, "\r\n\t ");
		if (n > MARGIN - f->column)
			n = MARGIN - f->column;
		fold_add(f, p, n);
		p += n;
	}
}

/* All but the value of b=. */
static void write_field(const struct dkim_signer *s,
			const struct dkim_identity *id, struct fold *f)
{
	struct buf tag = BUF_INIT;

	buf_addf(&tag, "%s: v=1", DKIM_SIGNATURE_NAME);
	fold_add(f, tag.data, tag.len);
	buf_setf(&tag, "a=%s", dkim_algorithm_name(id->key->algorithm));
	fold_tag(f, tag.data);
	fold_tag(f, "c=relaxed/simple");
	buf_setf(&tag, "d=%s", id->domain);
	fold_tag(f, tag.data);
	buf_setf(&tag, "s=%s", id->selector);
	fold_tag(f, tag.data);
	buf_setf(&tag, "t=%" PRIu64, id->now);
	fold_tag(f, tag.data);
	buf_setf(&tag, "bh=");
	buf_add_base64(&tag, s->body_hash, sizeof(s->body_hash));
	fold_tag(f, tag.data);
	fold_names(f, s->names.data);
	fold_add(f, ";", 1);
	fold_break(f, "\r\n\t");
	fold_add(f, "b=", 2);
	buf_free(&tag);
}

/* The hash of the fields and of this one, which is not known yet. */
static int hash_header(const struct dkim_signer *s, const struct buf *field,
		       unsigned char *hash, struct buf *err)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct buf own = BUF_INIT;
	bool ok;

	dkim_canon_field(&own, DKIM_RELAXED, field->data, field->len);
	ok = md && EVP_MD_CTX_copy_ex(md, s->md) == 1 &&
	     EVP_DigestUpdate(md, own.data, own.len) == 1 &&
	     EVP_DigestFinal_ex(md, hash, NULL) == 1;
	EVP_MD_CTX_free(md);
	buf_free(&own);
	if (!ok)
		buf_setf(err, "out of memory in libcrypto");
	return ok ? 0 : -1;
}

int dkim_signer_sign(struct dkim_signer *s, const struct dkim_identity *id,
		     struct buf *field, struct buf *err)
{
	struct dkim_span domain = { id->domain, strlen(id->domain) };
	struct dkim_span selector = { id->selector, strlen(id->selector) };
	struct buf out = BUF_INIT, raw = BUF_INIT, text = BUF_INIT;
	struct fold f = { .out = &out };
	unsigned char hash[DKIM_HASH_SIZE];
	const char *why = s->error;
	int ret = -1;

	if (!why)
		why = dkim_record_name(&raw, selector, domain);
	buf_reset(&raw);
	if (why) {
		buf_setf(err, "%s", why);
	} else {
		write_field(s, id, &f);
		ret = hash_header(s, &out, hash, err);
	}
	if (ret == 0)
		ret = dkim_key_sign(id->key, hash, &raw, err);
	if (ret == 0) {
		buf_add_base64(&text, raw.data, raw.len);
		fold_base64(&f, text.data);
		buf_add(field, out.data, out.len);
	}
	buf_free(&out);
	buf_free(&raw);
	buf_free(&text);
	return ret;
}
