/* Request lines: which file they ask for, and what is refused how. */
#include "tap.h"

#include "base/str.h"
#include "text/httpreq.h"

static const struct {
	const char *line;
	unsigned status;
	const char *path;
} cases[] = {
	{ "GET / HTTP/1.1", 0, "index.html" },
	{ "GET /index.html HTTP/1.0", 0, "index.html" },
	{ "HEAD /de/ HTTP/1.1", 0, "de/index.html" },
	{ "GET /a/b.css?v=1&w=../x HTTP/1.1", 0, "a/b.css" },
	{ "GET /?x HTTP/1.1", 0, "index.html" },
	{ "GET /a%20b%2ehtml HTTP/1.1", 0, "a b.html" },
	{ "GET /%C3%A9 HTTP/1.1", 0, "\xc3\xa9" },
	{ "GET /a%25%32%65 HTTP/1.1", 0, "a%2e" },
	{ "GET /...a/..b HTTP/1.1", 0, "...a/..b" },
	{ "GET http://localhost:80/x HTTP/1.1", 0, "x" },
	{ "GET /.well-known/x HTTP/1.1", 0, ".well-known/x" },

	{ "GET /../x HTTP/1.1", 404, NULL },
	{ "GET /.. HTTP/1.1", 404, NULL },
	{ "GET /a/../b HTTP/1.1", 404, NULL },
	{ "GET /%2e%2e/x HTTP/1.1", 404, NULL },
	{ "GET /.%2E/x HTTP/1.1", 404, NULL },
	{ "GET /a%2f..%2fb HTTP/1.1", 404, NULL },
	{ "GET /a/%2e/b HTTP/1.1", 404, NULL },
	{ "GET /../ HTTP/1.1", 404, NULL },
	{ "GET //etc/passwd HTTP/1.1", 404, NULL },
	{ "GET /%2fetc/passwd HTTP/1.1", 404, NULL },
	{ "GET /a//b HTTP/1.1", 404, NULL },
	{ "POST / HTTP/1.1", 405, NULL },
	{ "get / HTTP/1.1", 405, NULL },
	{ "GET / HTTP/2.0", 505, NULL },
	{ "GET /%00 HTTP/1.1", 400, NULL },
	{ "GET /%0a HTTP/1.1", 400, NULL },
	{ "GET /\x7f HTTP/1.1", 400, NULL },
	{ "GET /%zz HTTP/1.1", 400, NULL },
	{ "GET /%4 HTTP/1.1", 400, NULL },
	{ "GET /% HTTP/1.1", 400, NULL },
	{ "GET /%ff HTTP/1.1", 400, NULL },
	{ "GET x HTTP/1.1", 400, NULL },
	{ "GET * HTTP/1.1", 400, NULL },
	{ "GET http://localhost HTTP/1.1", 400, NULL },
	{ "GET /", 400, NULL },
	{ "GET / http/1.1", 400, NULL },
	{ "GET / HTTP/1.1 ", 0, "index.html" },
	{ "GET / HTTP/1.1 x", 400, NULL },
	{ "GET  / HTTP/1.1", 400, NULL },
	{ "GET", 400, NULL },
	{ "", 400, NULL },
};

static void test_long(size_t n, unsigned want, const char *tail)
{
	struct buf line = BUF_INIT;
	struct httpreq q;

	buf_adds(&line, "GET /");
	for (size_t i = 0; i < n; i++)
		buf_addc(&line, 'a');
	buf_addf(&line, "%s HTTP/1.1", tail);
	tap_ok(httpreq_parse(&q, line.data, line.len) == want,
	       "a path of %zu bytes and \"%s\"", n, tail);
	buf_free(&line);
}

int main(void)
{
	struct httpreq q;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned status = httpreq_parse(&q, cases[i].line,
						strlen(cases[i].line));

		tap_ok(status == cases[i].status, "%s: %u", cases[i].line,
		       cases[i].status);
		if (!cases[i].status)
			tap_is(q.path, cases[i].path, "its path");
	}
	httpreq_parse(&q, "HEAD /x HTTP/1.1", 16);
	tap_ok(q.is_head, "HEAD");
	httpreq_parse(&q, "GET /x HTTP/1.1", 15);
	tap_ok(!q.is_head, "GET");
	tap_ok(httpreq_parse(&q, "GET /a\0b HTTP/1.1", 17) == 400, "a NUL");
	test_long(HTTPREQ_PATH_MAX, 0, "");
	test_long(HTTPREQ_PATH_MAX + 1, 414, "");
	test_long(HTTPREQ_PATH_MAX - 11, 0, "/");
	test_long(HTTPREQ_PATH_MAX - 10, 414, "/");
	return tap_done();
}
