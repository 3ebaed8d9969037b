/* Base64: any cut gives the same bytes, and encoding them again the input. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "text/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool decode(const char *p, size_t n, size_t step, size_t room,
		   struct buf *out)
{
	struct base64 b = BASE64_INIT;

	while (n) {
		unsigned char chunk[64];
		size_t len = room, k;

		k = base64_feed(&b, p, n < step ? n : step, chunk, &len);
		if (len > room)
			abort();
		buf_add(out, chunk, len);
		if (!k)
			return false;
		p += k;
		n -= k;
	}
	return base64_is_whole(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1, 3, 5, 64 }, rooms[] = { 3, 7, 64 };
	const char *p = (const char *)data;
	struct buf whole = BUF_INIT, text = BUF_INIT;
	bool ok = decode(p, size, size, 64, &whole);

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct buf out = BUF_INIT;

		if (decode(p, size, steps[i], rooms[i % 3], &out) != ok ||
		    out.len != whole.len ||
		    memcmp(out.data, whole.data, out.len) != 0)
			abort();
		buf_free(&out);
	}
	buf_add_base64(&text, whole.data, whole.len);
	if (ok && (text.len != size || memcmp(text.data, data, size) != 0))
		abort();
	buf_free(&whole);
	buf_free(&text);
	return 0;
}
