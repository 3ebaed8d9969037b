#include "text/httpreq.h"

#include <string.h>

#include "base/str.h"

static int hex_digit(char c)
{
	c = ascii_lower(c);
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The word at *p, which ends at a blank; NULL when there is none. */
static const char *take_word(const char **p, const char *end, size_t *n)
{
	const char *word = *p;
	const char *blank = memchr(word, ' ', (size_t)(end - word));

	*n = (size_t)((blank ? blank : end) - word);
	*p = blank ? blank + 1 : end;
	return *n ? word : NULL;
}

/* "http://host/path" is allowed as well (section 3.2.2). */
static void skip_host(const char **target, size_t *n)
{
	static const char scheme[] = "http://";
	size_t len = strlen(scheme);
	const char *slash;

	if (*n < len || !mem_eqi(*target, scheme, len))
		return;
	slash = memchr(*target + len, '/', *n - len);
	if (!slash)
		return;
	*n -= (size_t)(slash - *target);
	*target = slash;
}

static unsigned decode(struct httpreq *q, const char *p, size_t n, size_t *len)
{
	*len = 0;
	for (size_t i = 0; i < n && p[i] != '?' && p[i] != '#'; i++) {
		int c = (unsigned char)p[i];

		if (c == '%') {
			int high = i + 2 < n ? hex_digit(p[i + 1]) : -1;
			int low = i + 2 < n ? hex_digit(p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return 400;
			c = high << 4 | low;
			i += 2;
		}
		if (c < ' ' || c == 0x7f)
			return 400;
		if (*len == HTTPREQ_PATH_MAX)
			return 414;
		q->path[(*len)++] = (char)c;
	}
	q->path[*len] = '\0';
	return utf8_is_valid(q->path, *len) ? 0 : 400;
}

/* Every segment is a name. */
static bool is_plain(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

static unsigned parse_target(struct httpreq *q, const char *target, size_t n)
{
	static const char index[] = "index.html";
	unsigned status;
	size_t len;

	skip_host(&target, &n);
	if (n == 0 || *target != '/')
		return 400;
	status = decode(q, target + 1, n - 1, &len);
	if (status)
		return status;
	if (len == 0 || q->path[len - 1] == '/') {
		if (len + strlen(index) > HTTPREQ_PATH_MAX)
			return 414;
		memcpy(q->path + len, index, sizeof(index));
	}
	return is_plain(q->path) ? 0 : 404;
}

unsigned httpreq_parse(struct httpreq *q, const char *line, size_t n)
{
	const char *end = line + n, *method, *target, *version;
	size_t method_len, target_len, version_len;

	*q = (struct httpreq){ 0 };
	method = take_word(&line, end, &method_len);
	target = take_word(&line, end, &target_len);
	version = take_word(&line, end, &version_len);
	if (!method || !target || !version || line != end)
		return 400;
	if (version_len != 8 || memcmp(version, "HTTP/", 5) != 0)
		return 400;
	q->is_head = method_len == 4 && memcmp(method, "HEAD", 4) == 0;
	if (memcmp(version + 5, "1.", 2) != 0)
		return 505;
	if (!q->is_head && !(method_len == 3 && memcmp(method, "GET", 3) == 0))
		return 405;
	return parse_target(q, target, target_len);
}
