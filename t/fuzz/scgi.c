/* SCGI requests: however they are cut, what they say stays the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/scgi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly n bytes, so that reading past them is seen. */
static int parse(struct scgi *s, const uint8_t *data, size_t n, char **copy)
{
	char *p = xmalloc(n);

	memcpy(p, data, n);
	*copy = p;
	return scgi_parse(s, p, n);
}

static void check_request(const struct scgi *s, const uint8_t *data, size_t n)
{
	const char *end = s->headers + s->headers_len;
	unsigned strings = 0;
	uint64_t length;

	assert(s->headers_len <= SCGI_HEADERS_MAX && s->body_off <= n);
	assert(data[s->body_off - 1] == ',');
	for (const char *p = s->headers; p < end; p += strlen(p) + 1) {
		if (strings++ % 2 == 0)
			assert(*p && scgi_header(s, p));
	}
	assert(strings % 2 == 0);
	assert(str_to_u64(scgi_header(s, "CONTENT_LENGTH"), &length) == 0 &&
	       length == s->content_length);
	assert(!scgi_header(s, "NO_SUCH_HEADER") ||
	       memmem(data, n, "NO_SUCH_HEADER", 14));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scgi whole, part;
	char *copy, *part_copy;
	int ret;

	if (size > 2048)
		return 0;
	ret = parse(&whole, data, size, &copy);
	if (ret > 0)
		check_request(&whole, data, size);
	for (size_t n = 0; n < size; n++) {
		int r = parse(&part, data, n, &part_copy);

		/* refused stays refused, whole stays whole */
		if (r < 0)
			assert(ret < 0);
		if (r > 0)
			assert(ret > 0 && part.body_off == whole.body_off &&
			       part.content_length == whole.content_length);
		if (r == 0 && ret > 0)
			assert(n < whole.body_off);
		free(part_copy);
	}
	free(copy);
	return 0;
}
