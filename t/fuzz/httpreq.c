/* No request leaves the directory that is served. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "text/httpreq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct httpreq q;
	unsigned status = httpreq_parse(&q, (const char *)data, size);

	if (status) {
		assert(status >= 400 && status < 600);
		return 0;
	}
	assert(q.path[0] && q.path[0] != '/');
	assert(strlen(q.path) <= HTTPREQ_PATH_MAX);
	assert(strncmp(q.path, "../", 3) != 0 && strcmp(q.path, "..") != 0);
	assert(!strstr(q.path, "/../") && !strstr(q.path, "//"));
	assert(strlen(q.path) < 3 ||
	       strcmp(q.path + strlen(q.path) - 3, "/..") != 0);
	return 0;
}
