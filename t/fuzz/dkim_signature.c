/* DKIM-Signature fields: whatever stands in b=, the hash is the same. */
#include <assert.h>
#include <string.h>

#include "base/str.h"
#include "text/dkim_signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1528637909 };

/* The field's hash, with b= replaced if other is given. */
static bool hash_field(const char *field, size_t n, const char *other,
		       unsigned char *hash, struct buf *changed)
{
	struct dkim_header h = DKIM_HEADER_INIT;
	struct arena arena = ARENA_INIT;
	struct dkim_signature s;
	bool ok;

	dkim_header_add(&h, field, n);
	dkim_header_add(&h, "From: a@b.example", 17);
	dkim_header_add(&h, "To: x@y.example", 15);
	dkim_header_end(&h);
	ok = !h.error &&
	     !dkim_signature_parse(&s, &h.fields[0], NOW, &arena);
	if (ok) {
		const char *text = h.fields[0].text;
		size_t before = (size_t)(s.b.p - text);

		assert(s.domain && s.selector && s.record && s.sig_len);
		assert(strlen(s.record) <= DKIM_NAME_MAX);
		assert(dkim_signature_hash(&s, &h.fields[0], &h, hash) == 0);
		buf_add(changed, text, before);
		buf_adds(changed, other);
		buf_add(changed, s.b.p + s.b.n,
			h.fields[0].n - before - s.b.n);
	} else if (!h.error) {
		assert(!s.domain || s.record);
	}
	dkim_header_free(&h);
	arena_free(&arena);
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char name[] = "DKIM-Signature:";
	unsigned char a[DKIM_HASH_SIZE], b[DKIM_HASH_SIZE];
	struct buf field = BUF_INIT, changed = BUF_INIT, again = BUF_INIT;

	buf_adds(&field, name);
	buf_add(&field, data, size);
	if (hash_field(field.data, field.len, " AAAA\r\n BBBB ", a,
		       &changed)) {
		assert(hash_field(changed.data, changed.len, "", b, &again));
		assert(memcmp(a, b, sizeof(a)) == 0);
	}
	buf_free(&field);
	buf_free(&changed);
	buf_free(&again);
	return 0;
}
