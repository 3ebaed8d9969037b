/* SCGI requests (https://python.ca/scgi/protocol.txt): a netstring of headers,
 * "NAME NUL VALUE NUL" each, CONTENT_LENGTH first, then the body. */
#ifndef TEXT_SCGI_H
#define TEXT_SCGI_H

#include <stddef.h>

enum { SCGI_HEADERS_MAX = 16 * 1024 };

struct scgi {
	const char *headers;	/* points into what was parsed */
	size_t headers_len;	/* NUL at the end included */
	size_t content_length;
	size_t body_off;	/* where the body begins */
};

/* Look at the n bytes that have arrived. Returns 1 when the headers are whole
 * (the body may still be missing), 0 when more is needed, -1 when it is no
 * SCGI request or its headers exceed SCGI_HEADERS_MAX. */
int scgi_parse(struct scgi *s, const char *p, size_t n);

/* The value of a header, or NULL. Borrowed. */
const char *scgi_header(const struct scgi *s, const char *name);

#endif
