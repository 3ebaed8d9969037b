/* An archive, in one piece and byte by byte: the same contents, and never more
 * than were allowed. A first byte chooses whether the rest is compressed
 * already, as a mutation of what is compressed rarely leaves it readable. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/targz.h"

enum { SIZE_MAX_HERE = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
	struct targz t;
	struct buf got;
	int ret;
};

static int on_data(struct targz *t, const void *p, size_t n, struct buf *err)
{
	buf_add(&container_of(t, struct reader, t)->got, p, n);
	return 0;
}

static void read_all(struct reader *r, const uint8_t *p, size_t n, size_t step)
{
	struct buf err = BUF_INIT;

	*r = (struct reader) {
		.t = { .member = "a", .size_max = SIZE_MAX_HERE,
		       .data = on_data },
		.got = BUF_INIT,
	};
	r->ret = targz_init(&r->t, &err);
	for (size_t i = 0; r->ret == 0 && i < n; i += step) {
		size_t some = n - i < step ? n - i : step;
		uint8_t *copy = xmalloc(some);

		memcpy(copy, p + i, some);
		r->ret = targz_feed(&r->t, copy, some, &err);
		free(copy);
	}
	if (r->ret == 0)
		r->ret = targz_end(&r->t, &err);
	assert(r->got.len <= SIZE_MAX_HERE);
	assert((r->ret < 0) == (err.len > 0));
	targz_free(&r->t);
	buf_free(&err);
}

static size_t stored(const uint8_t *p, size_t n, uint8_t **out)
{
	z_stream z = { 0 };
	size_t room;

	deflateInit2(&z, 0, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	room = deflateBound(&z, n) + 64;
	*out = xmalloc(room);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	z.next_out = *out;
	z.avail_out = (uInt)room;
	deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return room - z.avail_out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader whole, bytes;
	uint8_t *made = NULL;

	if (size < 1 || size > 16384)
		return 0;
	size--;
	if (*data++ % 2) {
		size = stored(data, size, &made);
		data = made;
	}
	read_all(&whole, data, size, size ? size : 1);
	read_all(&bytes, data, size, 1);
	/* after an error in what follows, the contents may be whole or not */
	if (whole.ret >= 0 && bytes.ret >= 0)
		assert(whole.got.len == bytes.got.len &&
		       memcmp(whole.got.data, bytes.got.data,
			      whole.got.len) == 0);
	assert((whole.ret < 0) == (bytes.ret < 0));
	buf_free(&whole.got);
	buf_free(&bytes.got);
	free(made);
	return 0;
}
