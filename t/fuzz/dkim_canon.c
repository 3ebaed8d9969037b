/* Canonical forms: pieces of any size give the hash of the whole, as does a
 * second, simpler program; a field's relaxed form is its own relaxed form. */
#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "text/dkim_canon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void canon_lines(enum dkim_canon canon, const char *p, size_t n,
			struct buf *out)
{
	const char *end = p + n;

	while (p < end) {
		const char *nl = memmem(p, (size_t)(end - p), "\r\n", 2);
		size_t line = out->len;

		for (; p < (nl ? nl : end); p++) {
			char c = canon == DKIM_RELAXED && *p == '\t' ?
				 ' ' : *p;

			if (canon == DKIM_SIMPLE || c != ' ' ||
			    out->len == line || out->data[out->len - 1] != ' ')
				buf_addc(out, c);
		}
		if (canon == DKIM_RELAXED && out->len > line &&
		    out->data[out->len - 1] == ' ')
			buf_truncate(out, out->len - 1);
		buf_adds(out, "\r\n");
		p = nl ? nl + 2 : end;
	}
	while (out->len >= 4 &&
	       memcmp(out->data + out->len - 4, "\r\n\r\n", 4) == 0)
		buf_truncate(out, out->len - 2);
	if (out->len == 2 && memcmp(out->data, "\r\n", 2) == 0)
		buf_reset(out);
	if (canon == DKIM_SIMPLE && !out->len)
		buf_adds(out, "\r\n");
}

static void check_body(enum dkim_canon canon, const char *p, size_t n,
		       size_t step)
{
	unsigned char got[DKIM_HASH_SIZE], want[DKIM_HASH_SIZE];
	struct buf out = BUF_INIT;
	struct dkim_body b;

	dkim_body_init(&b, canon);
	for (size_t i = 0; i < n; i += step)
		dkim_body_feed(&b, p + i, n - i < step ? n - i : step);
	assert(dkim_body_end(&b, got) == 0);
	canon_lines(canon, p, n, &out);
	EVP_Q_digest(NULL, "SHA256", NULL, out.data, out.len, want, NULL);
	assert(b.size == out.len && memcmp(got, want, sizeof(got)) == 0);
	dkim_body_free(&b);
	buf_free(&out);
}

static void check_field(const char *p, size_t n)
{
	struct buf once = BUF_INIT, twice = BUF_INIT, simple = BUF_INIT;

	dkim_canon_field(&once, DKIM_RELAXED, p, n);
	dkim_canon_field(&twice, DKIM_RELAXED, once.data, once.len);
	assert(once.len <= n);
	/* a CRLF in the result was put together from two bare halves */
	if (!memmem(once.data, once.len, "\r\n", 2))
		assert(twice.len == once.len &&
		       memcmp(once.data, twice.data, once.len) == 0);
	dkim_canon_field(&simple, DKIM_SIMPLE, p, n);
	assert(simple.len == n && memcmp(simple.data, p, n) == 0);
	buf_free(&once);
	buf_free(&twice);
	buf_free(&simple);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	size_t step = size ? data[0] % 32u + 1 : 1;

	check_field(p, size);
	check_body(DKIM_SIMPLE, p, size, step);
	check_body(DKIM_RELAXED, p, size, step);
	check_body(DKIM_RELAXED, p, size, size + 1);
	return 0;
}
