/* A database that apk has not written to its end, or of a later apk. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/apkdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "a", "busybox", "so:x", "" };
	char *copy = xmalloc(size + 1);
	struct buf version = BUF_INIT;

	memcpy(copy, data, size);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		bool there;

		buf_reset(&version);
		there = apkdb_version(copy, size, names[i], &version);
		assert(there || version.len == 0);
		assert(version.len <= size);
	}
	buf_free(&version);
	free(copy);
	return 0;
}
