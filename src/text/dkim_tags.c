#include "text/dkim_tags.h"

#include <string.h>

#include "base/str.h"
#include "text/base64.h"

enum { DIGITS_MAX = 76 };

/* Length of the white space unit at p, 0 if there is none. */
static size_t space(const char *p, const char *end)
{
	if (p < end && (*p == ' ' || *p == '\t'))
		return 1;
	if (end - p >= 3 && p[0] == '\r' && p[1] == '\n' &&
	    (p[2] == ' ' || p[2] == '\t'))
		return 3;
	return 0;
}

static const char *skip(const char *p, const char *end)
{
	size_t n;

	while ((n = space(p, end)))
		p += n;
	return p;
}

/* Without the white space at both ends; s was checked already. */
static struct dkim_span trim(struct dkim_span s)
{
	const char *end = s.p + s.n;
	const char *start = skip(s.p, end);

	while (end > start && strchr(" \t\r\n", end[-1]))
		end--;
	return (struct dkim_span){ start, (size_t)(end - start) };
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(char c)
{
	return is_alpha(c) || (c >= '0' && c <= '9') || c == '_';
}

/* Returns what follows "name =", or NULL. */
static const char *tag_name(struct dkim_tag *tag, const char *p,
			    const char *end)
{
	tag->name.p = p;
	if (p == end || !is_alpha(*p))
		return NULL;
	while (p < end && is_name(*p))
		p++;
	tag->name.n = (size_t)(p - tag->name.p);
	p = skip(p, end);
	return p < end && *p == '=' ? p + 1 : NULL;
}

/* Returns the ";" after the value, or the end; NULL for a byte that may not
 * stand in a value. */
static const char *tag_value(struct dkim_tag *tag, const char *p,
			     const char *end)
{
	tag->raw.p = p;
	while (p < end && *p != ';') {
		size_t n = space(p, end);
		unsigned char c = (unsigned char)*p;

		if (!n && (c <= ' ' || c == 0x7f))
			return NULL;
		p += n ? n : 1;
	}
	tag->raw.n = (size_t)(p - tag->raw.p);
	if (!utf8_is_valid(tag->raw.p, tag->raw.n))
		return NULL;
	tag->value = trim(tag->raw);
	return p;
}

static bool is_same(const struct dkim_span *a, const struct dkim_span *b)
{
	return a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

const char *dkim_tags_parse(struct dkim_tags *t, const char *p, size_t n)
{
	const char *end = p + n;

	t->count = 0;
	if (n > DKIM_TAGS_BYTES)
		return "tag list too long";
	do {
		struct dkim_tag *tag = &t->tags[t->count];

		if (t->count == DKIM_TAGS_MAX)
			return "too many tags";
		p = tag_name(tag, skip(p, end), end);
		p = p ? tag_value(tag, p, end) : NULL;
		if (!p)
			return "malformed tag list";
		for (size_t i = 0; i < t->count; i++)
			if (is_same(&t->tags[i].name, &tag->name))
				return "duplicate tag";
		t->count++;
	} while (p < end && skip(p + 1, end) < end && p++);
	return NULL;
}

const struct dkim_tag *dkim_tags_get(const struct dkim_tags *t,
				     const char *name)
{
	struct dkim_span want = { name, strlen(name) };

	for (size_t i = 0; i < t->count; i++)
		if (is_same(&t->tags[i].name, &want))
			return &t->tags[i];
	return NULL;
}

bool dkim_span_eqi(struct dkim_span s, const char *text)
{
	return s.n == strlen(text) && mem_eqi(s.p, text, s.n);
}

bool dkim_span_next(struct dkim_span *rest, struct dkim_span *item)
{
	const char *colon;

	if (!rest->p)
		return false;
	colon = memchr(rest->p, ':', rest->n);
	*item = *rest;
	if (colon) {
		item->n = (size_t)(colon - rest->p);
		rest->p += item->n + 1;
		rest->n -= item->n + 1;
	} else {
		*rest = (struct dkim_span){ NULL, 0 };
	}
	*item = trim(*item);
	return true;
}

bool dkim_span_has(struct dkim_span list, const char *text)
{
	struct dkim_span item;

	while (dkim_span_next(&list, &item))
		if (dkim_span_eqi(item, text))
			return true;
	return false;
}

int dkim_span_number(struct dkim_span s, uint64_t *out)
{
	uint64_t v = 0;

	if (!s.n || s.n > DIGITS_MAX)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			v = UINT64_MAX;
	}
	*out = v;
	return 0;
}

int dkim_span_base64(struct dkim_span s, size_t max, struct buf *out)
{
	struct base64 b = BASE64_INIT;
	size_t before = out->len;

	while (s.n) {
		unsigned char chunk[768];
		size_t len = sizeof(chunk), n, blank;

		n = base64_feed(&b, s.p, s.n, chunk, &len);
		if (len > max - (out->len - before))
			break;
		buf_add(out, chunk, len);
		s.p += n;
		s.n -= n;
		blank = space(s.p, s.p + s.n);
		if (!n && !blank)
			break;
		s.p += blank;
		s.n -= blank;
	}
	if (s.n || !base64_is_whole(&b)) {
		buf_truncate(out, before);
		return -1;
	}
	return 0;
}
