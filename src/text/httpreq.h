/* The request line of HTTP/1.1 (RFC 9112 section 3) that asks for a file. */
#ifndef TEXT_HTTPREQ_H
#define TEXT_HTTPREQ_H

#include <stdbool.h>
#include <stddef.h>

enum { HTTPREQ_PATH_MAX = 1024 };

struct httpreq {
	bool is_head;
	/* Percent-decoded, without the slash in front: "de/index.html". No
	 * segment is empty, "." or "..", no byte is a control character; valid
	 * UTF-8. What ends in a slash has got index.html. */
	char path[HTTPREQ_PATH_MAX + 1];
};

/* Parse a line of n bytes without its CRLF. Returns 0, or the status code to
 * answer with: 400 (no request), 404 (no such path can be), 405 (neither GET
 * nor HEAD), 414 (too long), 505 (not HTTP/1.x). is_head is set in all cases
 * where the method could be read. */
unsigned httpreq_parse(struct httpreq *q, const char *line, size_t n);

#endif
