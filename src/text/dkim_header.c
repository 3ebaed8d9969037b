#include "text/dkim_header.h"

#include <string.h>

#include "base/str.h"
#include "text/addr.h"

enum { FROM_MAX = 16384 };	/* as much as mime.c reads */

void dkim_header_free(struct dkim_header *h)
{
	arena_free(&h->arena);
	free(h->fields);
	free(h->sorted);
	free(h->picked);
	*h = (struct dkim_header)DKIM_HEADER_INIT;
}

static void fail(struct dkim_header *h, const char *why)
{
	dkim_header_free(h);
	h->error = why;
}

/* The name's length if the field is one, else 0. */
static size_t name_length(const char *field, size_t n)
{
	const char *colon = memchr(field, ':', n);
	size_t len = colon ? (size_t)(colon - field) : 0;

	while (len && (field[len - 1] == ' ' || field[len - 1] == '\t'))
		len--;
	for (size_t i = 0; i < len; i++)
		if (field[i] < '!' || field[i] > '~')
			return 0;
	return len;
}

/* CRLF stands before white space only, CR and LF nowhere else, NUL nowhere:
 * what else programs would make of such a field, nobody knows. */
static const char *field_error(const char *p, size_t n)
{
	if (memchr(p, '\0', n))
		return "NUL byte in the header";
	for (size_t i = 0; i < n; i++) {
		if (p[i] != '\r' && p[i] != '\n')
			continue;
		if (n - i < 3 || memcmp(p + i, "\r\n", 2) != 0 ||
		    (p[i + 2] != ' ' && p[i + 2] != '\t'))
			return "bare CR or LF in the header";
		i += 2;
	}
	return NULL;
}

void dkim_header_add(struct dkim_header *h, const char *field, size_t n)
{
	struct dkim_field *f;
	const char *why;
	size_t name;

	if (h->error)
		return;
	if (n >= 2 && memcmp(field + n - 2, "\r\n", 2) == 0)
		n -= 2;
	if (h->count == DKIM_HEADER_FIELDS ||
	    n > DKIM_HEADER_BYTES - h->bytes) {
		fail(h, "header too large");
		return;
	}
	why = field_error(field, n);
	name = name_length(field, n);
	if (why || !name) {
		fail(h, why ? why : "malformed header field");
		return;
	}
	if (h->count == h->cap) {
		h->cap = h->cap ? 2 * h->cap : 32;
		h->fields = xrealloc(h->fields, h->cap * sizeof(*h->fields));
	}
	f = &h->fields[h->count++];
	f->text = arena_strndup(&h->arena, field, n);
	f->n = n;
	f->name = name;
	h->bytes += n;
}

/* Lookup. Lists of names may be as long as the header itself, so neither is
 * searched from end to end. */

static int compare_names(const char *a, size_t n, const char *b, size_t m)
{
	for (size_t i = 0; i < n && i < m; i++) {
		unsigned char x = (unsigned char)ascii_lower(a[i]);
		unsigned char y = (unsigned char)ascii_lower(b[i]);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return n < m ? -1 : n > m;
}

static int compare_fields(const void *pa, const void *pb)
{
	const struct dkim_field *a = *(struct dkim_field *const *)pa;
	const struct dkim_field *b = *(struct dkim_field *const *)pb;
	int order = compare_names(a->text, a->name, b->text, b->name);

	return order ? order : a < b ? -1 : a > b;
}

void dkim_header_end(struct dkim_header *h)
{
	h->sorted = xcalloc(h->count, sizeof(*h->sorted));
	h->picked = xcalloc(h->count, sizeof(*h->picked));
	for (size_t i = 0; i < h->count; i++)
		h->sorted[i] = &h->fields[i];
	if (h->count)
		qsort(h->sorted, h->count, sizeof(*h->sorted),
		      compare_fields);
}

void dkim_header_rewind(struct dkim_header *h)
{
	if (h->count)
		memset(h->picked, 0, h->count * sizeof(*h->picked));
}

/* Index of the first field that is not before the name, or, with after set,
 * that is after it. */
static size_t find(const struct dkim_header *h, const char *name, size_t n,
		   bool after)
{
	size_t low = 0, high = h->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct dkim_field *f = h->sorted[mid];
		int order = compare_names(f->text, f->name, name, n);

		if (order < 0 || (after && order == 0))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct dkim_field *dkim_header_pick(struct dkim_header *h,
					  const char *name, size_t n)
{
	size_t first = find(h, name, n, false), end = find(h, name, n, true);

	if (first == end || h->picked[first] == end - first)
		return NULL;
	return h->sorted[end - ++h->picked[first]];
}

/* From */

/* Does an address list that parsed hold a group? Only then a ";" stands
 * outside of quotes and comments. */
static bool has_group(const char *p)
{
	while ((p = addr_skip_cfws(p)) && *p && *p != ';') {
		if (*p == '"')
			for (p++; *p && *p != '"'; p++)
				if (*p == '\\' && p[1])
					p++;
		if (*p)
			p++;
	}
	return p && *p == ';';
}

static const char *from_value(const char *value, struct buf *domain)
{
	struct buf addr = BUF_INIT, err = BUF_INIT;
	const char *why = NULL;
	size_t count = 0;

	if (addr_parse_list(value, &addr, &count, &err) < 0)
		why = "malformed address in From";
	else if (count != 1)
		why = count ? "more than one address in From" :
			      "no address in From";
	else if (has_group(value))
		why = "group in From";
	else
		buf_adds(domain, addr_domain(addr.data));
	str_lower(domain->data);
	buf_free(&addr);
	buf_free(&err);
	return why;
}

const char *dkim_header_from(struct dkim_header *h, struct buf *domain)
{
	const struct dkim_field *f;
	const char *value;
	bool more;

	buf_reset(domain);
	if (h->error)
		return h->error;
	dkim_header_rewind(h);
	f = dkim_header_pick(h, "From", 4);
	more = f && dkim_header_pick(h, "From", 4);
	dkim_header_rewind(h);
	if (!f)
		return "no From field";
	if (more)
		return "more than one From field";
	if (f->n > FROM_MAX)
		return "From field too long";
	value = memchr(f->text, ':', f->n);
	return from_value(value + 1, domain);
}

void dkim_field_join(struct buf *out, const char *name, const char *value)
{
	buf_adds(out, name);
	buf_addc(out, ':');
	for (; *value; value++) {
		if (*value == '\n' && out->data[out->len - 1] != '\r')
			buf_addc(out, '\r');
		buf_addc(out, *value);
	}
}

void dkim_field_value(struct buf *value, const char *field)
{
	const char *colon = strchr(field, ':');

	for (const char *p = colon ? colon + 1 : ""; *p; p++)
		if (p[0] != '\r' || p[1] != '\n')
			buf_addc(value, *p);
}
