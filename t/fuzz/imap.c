/* No response makes a client read outside of it, and where one ends does not
 * depend on how its bytes were cut. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "text/imap.h"

enum { MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_tokens(const struct imap_response *r)
{
	struct imap_cursor c = r->rest;
	struct imap_token t;
	struct buf text = BUF_INIT;
	uint64_t n;

	do {
		const char *before = c.p;

		imap_next(&c, &t);
		assert(c.p <= c.end && t.text + t.len <= r->rest.end + 1);
		assert(t.type == IMAP_TOKEN_END || t.type == IMAP_TOKEN_WRONG ||
		       c.p > before);
		buf_reset(&text);
		imap_token_add(&text, &t);
		assert(text.len <= t.len);
		imap_token_u64(&t, &n);
	} while (t.type != IMAP_TOKEN_END && t.type != IMAP_TOKEN_WRONG);
	buf_free(&text);
	if (imap_fetch_find(r, "BODY[HEADER]", &t))
		assert(t.text >= r->rest.p && t.text + t.len <= r->rest.end);
}

/* The same bytes, one more at a time. */
static void check_cut(const char *p, size_t n, int want, size_t want_len)
{
	struct imap_scan s = { 0 };
	size_t len = 0;
	int ret = 0;

	for (size_t i = 1; i <= n && ret == 0; i++)
		ret = imap_scan(&s, p, i, MAX, &len);
	assert(ret == want && (ret <= 0 || len == want_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xmalloc(size ? size : 1);
	const char *p = copy;

	memcpy(copy, data, size);
	while (size) {
		struct imap_scan s = { 0 };
		struct imap_response r;
		size_t len = 0;
		int ret = imap_scan(&s, p, size, MAX, &len);

		if (size < 512)
			check_cut(p, size, ret, len);
		if (ret <= 0)
			break;
		assert(len > 0 && len <= size && p[len - 1] == '\n');
		if (imap_response_parse(&r, p, len) == 0)
			read_tokens(&r);
		p += len;
		size -= len;
	}
	free(copy);
	return 0;
}
