#include "text/dkim_signature.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/str.h"

enum { LABEL_MAX = 63 };

static bool is_label_char(char c)
{
	c = ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* Labels of 1 to 63 letters, digits, "-" and "_", no dot at the end. */
static bool is_name(struct dkim_span s)
{
	size_t label = 0;

	if (s.n > DKIM_NAME_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' && !label)
			return false;
		if (s.p[i] != '.' &&
		    (!is_label_char(s.p[i]) || label == LABEL_MAX))
			return false;
		label = s.p[i] == '.' ? 0 : label + 1;
	}
	return label > 0;
}

const char *dkim_record_name(struct buf *out, struct dkim_span selector,
			     struct dkim_span domain)
{
	static const char middle[] = "._domainkey.";
	size_t start = out->len;

	if (!is_name(domain))
		return "d= is no domain name";
	if (!is_name(selector))
		return "s= is no selector";
	if (selector.n + strlen(middle) + domain.n > DKIM_NAME_MAX)
		return "s= and d= are too long";
	buf_add(out, selector.p, selector.n);
	buf_adds(out, middle);
	buf_add(out, domain.p, domain.n);
	str_lower(out->data + start);
	return NULL;
}

/* Tags, each with the rule of its own. */

struct parse {
	struct dkim_signature *s;
	const struct dkim_tags *tags;
	struct arena *arena;
	uint64_t now;
};

static const char *parse_version(struct parse *p, struct dkim_span v)
{
	return v.n == 1 && v.p[0] == '1' ? NULL : "v= is not 1";
}

static const char *parse_algorithm(struct parse *p, struct dkim_span v)
{
	for (int a = DKIM_RSA_SHA256; a <= DKIM_ED25519_SHA256; a++) {
		p->s->algorithm = (enum dkim_algorithm)a;
		if (dkim_span_eqi(v, dkim_algorithm_name(p->s->algorithm)))
			return NULL;
	}
	/* RFC 8301 section 3.1 */
	if (dkim_span_eqi(v, "rsa-sha1"))
		return "a= is rsa-sha1, which is no longer valid";
	return "a= is unknown";
}

static const char *parse_sig(struct parse *p, struct dkim_span v)
{
	struct buf raw = BUF_INIT;
	const char *why = NULL;

	if (dkim_span_base64(v, DKIM_SIGNATURE_MAX, &raw) < 0 || !raw.len) {
		why = "b= is malformed";
	} else {
		p->s->sig = (unsigned char *)arena_strndup(p->arena, raw.data,
							   raw.len);
		p->s->sig_len = raw.len;
	}
	buf_free(&raw);
	return why;
}

static const char *parse_body_hash(struct parse *p, struct dkim_span v)
{
	struct buf raw = BUF_INIT;
	bool ok = dkim_span_base64(v, DKIM_HASH_SIZE, &raw) == 0 &&
		  raw.len == DKIM_HASH_SIZE;

	if (ok)
		memcpy(p->s->body_hash, raw.data, DKIM_HASH_SIZE);
	buf_free(&raw);
	return ok ? NULL : "bh= is malformed";
}

static const char *parse_canon(struct parse *p, struct dkim_span v)
{
	static const struct {
		const char *name;
		enum dkim_canon header, body;
	} forms[] = {
		{ "relaxed/simple", DKIM_RELAXED, DKIM_SIMPLE },
		{ "relaxed/relaxed", DKIM_RELAXED, DKIM_RELAXED },
		{ "simple/simple", DKIM_SIMPLE, DKIM_SIMPLE },
		{ "simple/relaxed", DKIM_SIMPLE, DKIM_RELAXED },
		{ "relaxed", DKIM_RELAXED, DKIM_SIMPLE },
		{ "simple", DKIM_SIMPLE, DKIM_SIMPLE },
	};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (dkim_span_eqi(v, forms[i].name)) {
			p->s->header_canon = forms[i].header;
			p->s->body_canon = forms[i].body;
			return NULL;
		}
	return "c= is unknown";
}

static const char *parse_names(struct parse *p, struct dkim_span v)
{
	struct dkim_span rest = v, name;

	while (dkim_span_next(&rest, &name)) {
		if (!name.n)
			return "h= is malformed";
		for (size_t i = 0; i < name.n; i++)
			if (name.p[i] < '!' || name.p[i] > '~')
				return "h= is malformed";
	}
	p->s->names = v;
	return dkim_span_has(v, "From") ? NULL : "From is not signed";
}

/* "…@domain"; local-part and its encoding do not matter here. */
static const char *parse_identity(struct parse *p, struct dkim_span v)
{
	const char *at = memrchr(v.p, '@', v.n);
	struct dkim_span domain;
	size_t want = strlen(p->s->domain);

	if (!at)
		return "i= is malformed";
	domain.p = at + 1;
	domain.n = (size_t)(v.p + v.n - domain.p);
	if (!is_name(domain))
		return "i= is malformed";
	p->s->subdomain = domain.n != want;
	if (domain.n < want ||
	    !mem_eqi(at + 1 + domain.n - want, p->s->domain, want) ||
	    (p->s->subdomain && domain.p[domain.n - want - 1] != '.'))
		return "i= is outside of d=";
	return NULL;
}

static const char *parse_length(struct parse *p, struct dkim_span v)
{
	p->s->has_length = true;
	return dkim_span_number(v, &p->s->length) < 0 ?
	       "l= is malformed" : NULL;
}

static const char *parse_query(struct parse *p, struct dkim_span v)
{
	return dkim_span_has(v, "dns/txt") ? NULL : "q= is not dns/txt";
}

static const char *parse_time(struct parse *p, struct dkim_span v)
{
	uint64_t t;

	if (dkim_span_number(v, &t) < 0)
		return "t= is malformed";
	if (t > p->now && t - p->now > DKIM_CLOCK_SKEW)
		return "signature is from the future";
	return NULL;
}

static const char *parse_expiry(struct parse *p, struct dkim_span v)
{
	const struct dkim_tag *t = dkim_tags_get(p->tags, "t");
	uint64_t x, from;

	if (dkim_span_number(v, &x) < 0)
		return "x= is malformed";
	if (t && dkim_span_number(t->value, &from) == 0 && x < from)
		return "x= is before t=";
	if (x < p->now && p->now - x > DKIM_CLOCK_SKEW)
		return "signature has expired";
	return NULL;
}

/* d= and s= are read before these. */
static const struct {
	const char *name;
	const char *missing;	/* NULL: may be missing */
	const char *(*parse)(struct parse *p, struct dkim_span value);
} rules[] = {
	{ "v", "v= is missing", parse_version },
	{ "a", "a= is missing", parse_algorithm },
	{ "b", "b= is missing", parse_sig },
	{ "bh", "bh= is missing", parse_body_hash },
	{ "h", "h= is missing", parse_names },
	{ "c", NULL, parse_canon },
	{ "i", NULL, parse_identity },
	{ "l", NULL, parse_length },
	{ "q", NULL, parse_query },
	{ "t", NULL, parse_time },
	{ "x", NULL, parse_expiry },
};

static const char *parse_domain(struct parse *p)
{
	const struct dkim_tag *d = dkim_tags_get(p->tags, "d");
	const struct dkim_tag *s = dkim_tags_get(p->tags, "s");
	struct buf record = BUF_INIT;
	const char *why;

	if (!d || !s)
		return d ? "s= is missing" : "d= is missing";
	why = dkim_record_name(&record, s->value, d->value);
	if (!why) {
		p->s->domain = arena_strndup(p->arena, d->value.p,
					     d->value.n);
		p->s->selector = arena_strndup(p->arena, s->value.p,
					       s->value.n);
		p->s->record = arena_strdup(p->arena, record.data);
	}
	buf_free(&record);
	return why;
}

static const char *parse_tags(struct parse *p)
{
	const char *why = parse_domain(p);

	for (size_t i = 0; i < ARRAY_LEN(rules) && !why; i++) {
		const struct dkim_tag *tag =
			dkim_tags_get(p->tags, rules[i].name);

		why = tag ? rules[i].parse(p, tag->value) : rules[i].missing;
	}
	return why;
}

const char *dkim_signature_parse(struct dkim_signature *s,
				 const struct dkim_field *f, uint64_t now,
				 struct arena *arena)
{
	struct dkim_tags tags;
	struct parse p = { .s = s, .tags = &tags, .arena = arena, .now = now };
	const char *value = (const char *)memchr(f->text, ':', f->n) + 1;
	const char *why;

	*s = (struct dkim_signature){ .length = UINT64_MAX };
	why = dkim_tags_parse(&tags, value, f->n - (size_t)(value - f->text));
	if (why)
		return why;
	why = parse_tags(&p);
	if (!why)
		s->b = dkim_tags_get(&tags, "b")->raw;
	return why;
}

/* Hash */

static bool hash_field(EVP_MD_CTX *md, enum dkim_canon canon, const char *p,
		       size_t n, const char *end)
{
	struct buf out = BUF_INIT;
	bool ok;

	dkim_canon_field(&out, canon, p, n);
	buf_adds(&out, end);
	ok = EVP_DigestUpdate(md, out.data, out.len) == 1;
	buf_free(&out);
	return ok;
}

/* The signature's own field, b= emptied. */
static bool hash_own(EVP_MD_CTX *md, const struct dkim_signature *s,
		     const struct dkim_field *f)
{
	const char *rest = s->b.p + s->b.n;
	struct buf own = BUF_INIT;
	bool ok;

	buf_add(&own, f->text, (size_t)(s->b.p - f->text));
	buf_add(&own, rest, f->n - (size_t)(rest - f->text));
	ok = hash_field(md, s->header_canon, own.data, own.len, "");
	buf_free(&own);
	return ok;
}

static bool hash_header(EVP_MD_CTX *md, const struct dkim_signature *s,
			const struct dkim_field *own, struct dkim_header *h)
{
	struct dkim_span rest = s->names, name;
	bool ok = EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

	dkim_header_rewind(h);
	while (ok && dkim_span_next(&rest, &name)) {
		const struct dkim_field *f = dkim_header_pick(h, name.p,
							      name.n);

		if (f && f->text == own->text)
			f = dkim_header_pick(h, name.p, name.n);
		if (f)
			ok = hash_field(md, s->header_canon, f->text, f->n,
					"\r\n");
	}
	return ok && hash_own(md, s, own);
}

int dkim_signature_hash(const struct dkim_signature *s,
			const struct dkim_field *f, struct dkim_header *h,
			unsigned char hash[DKIM_HASH_SIZE])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && hash_header(md, s, f, h) &&
		  EVP_DigestFinal_ex(md, hash, NULL) == 1;

	EVP_MD_CTX_free(md);
	return ok ? 0 : -1;
}
