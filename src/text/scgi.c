#include "text/scgi.h"

#include <string.h>

#include "base/str.h"

/* The netstring's length and colon: 1 and its value and width, 0 for more. */
static int parse_length(const char *p, size_t n, size_t *len, size_t *width)
{
	size_t v = 0;

	for (size_t i = 0; i < n && i < 8; i++) {
		if (p[i] == ':') {
			if (i == 0 || (p[0] == '0' && i > 1))
				return -1;
			*len = v;
			*width = i + 1;
			return 1;
		}
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (size_t)(p[i] - '0');
		if (v > SCGI_HEADERS_MAX)
			return -1;
	}
	return n < 8 ? 0 : -1;
}

/* An even number of strings, no empty name. */
static int check_headers(const struct scgi *s)
{
	const char *p = s->headers, *end = p + s->headers_len;
	unsigned strings = 0;

	if (!s->headers_len || end[-1])
		return -1;
	for (; p < end; p += strlen(p) + 1, strings++)
		if (strings % 2 == 0 && !*p)
			return -1;
	return strings % 2 ? -1 : 0;
}

int scgi_parse(struct scgi *s, const char *p, size_t n)
{
	size_t len, width;
	uint64_t content;
	int ret = parse_length(p, n, &len, &width);

	if (ret <= 0)
		return ret;
	if (n < width + len + 1)
		return 0;
	if (p[width + len] != ',')
		return -1;
	*s = (struct scgi){ .headers = p + width, .headers_len = len,
			    .body_off = width + len + 1 };
	if (check_headers(s) < 0 || strcmp(s->headers, "CONTENT_LENGTH") != 0 ||
	    str_to_u64(scgi_header(s, "CONTENT_LENGTH"), &content) < 0)
		return -1;
	s->content_length = content;
	return 1;
}

const char *scgi_header(const struct scgi *s, const char *name)
{
	const char *p = s->headers, *end = p + s->headers_len;

	while (p < end) {
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}
