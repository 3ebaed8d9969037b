#include "text/md.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"

enum { INDEX_DIGITS = 8 };

/* A hash of the source, so that no one can write it there on purpose; and
 * another one if it stands there all the same. */
void md_values_init(struct md_values *v, const char *source, size_t n)
{
	struct hash_key key = { 0 };

	*v = (struct md_values){ .arena = ARENA_INIT };
	do {
		snprintf(v->prefix, sizeof(v->prefix), "v%016" PRIx64,
			 hash_bytes(&key, source, n));
		key.k0++;
	} while (memmem(source, n, v->prefix, strlen(v->prefix)));
}

void md_values_free(struct md_values *v)
{
	arena_free(&v->arena);
	free(v->values);
	v->values = NULL;
	v->count = v->room = 0;
}

void md_values_add(struct md_values *v, struct buf *out, const char *value,
		   bool is_html)
{
	struct buf html = BUF_INIT;

	if (v->count == v->room) {
		v->room = v->room ? 2 * v->room : 16;
		v->values = xrealloc(v->values, v->room * sizeof(*v->values));
	}
	if (is_html)
		buf_adds(&html, value);
	else
		buf_add_html(&html, value);
	buf_addf(out, "%s%0*zx", v->prefix, INDEX_DIGITS, v->count);
	v->values[v->count++] = (struct md_value){
		.text = arena_strndup(&v->arena, html.data, html.len),
		.len = html.len,
	};
	buf_free(&html);
}

/* The value whose placeholder's number stands at p; NULL when none does. */
static const struct md_value *value_at(const struct md_values *v,
				       const char *p, const char *end)
{
	char digits[INDEX_DIGITS + 1] = { 0 };
	size_t i;

	if (end - p < INDEX_DIGITS)
		return NULL;
	memcpy(digits, p, INDEX_DIGITS);
	if (strspn(digits, "0123456789abcdef") != INDEX_DIGITS)
		return NULL;
	i = strtoul(digits, NULL, 16);
	return i < v->count ? &v->values[i] : NULL;
}

void md_values_insert(const struct md_values *v, struct buf *out,
		      const char *html, size_t n)
{
	const char *p = html, *end = html + n, *at;
	size_t len = strlen(v->prefix);

	while ((at = memmem(p, (size_t)(end - p), v->prefix, len))) {
		const struct md_value *value = value_at(v, at + len, end);

		buf_add(out, p, (size_t)(at - p) + (value ? 0 : len));
		p = at + len + (value ? INDEX_DIGITS : 0);
		if (value)
			buf_add(out, value->text, value->len);
	}
	buf_add(out, p, (size_t)(end - p));
}
