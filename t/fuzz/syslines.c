/* A system log has what strangers make programs write. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/syslines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned counts[] = { 0, 1, 2, 1000 };
	char *copy = xmalloc(size + 1);
	struct buf out = BUF_INIT;

	memcpy(copy, data, size);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		size_t lines = 0;

		buf_reset(&out);
		syslines_last(copy, size, "a", counts[i], &out);
		for (size_t k = 0; k < out.len; k++)
			lines += out.data[k] == '\n';
		assert(lines <= counts[i]);
		assert(out.len <= size + 1);
	}
	buf_free(&out);
	free(copy);
	return 0;
}
