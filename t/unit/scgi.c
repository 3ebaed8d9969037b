/* SCGI requests: whole, in parts, and none. */
#include "tap.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "text/scgi.h"

#define ROW(name, text, ret, length, body) \
	{ name, text, sizeof(text) - 1, ret, length, body }

static const struct {
	const char *name, *input;
	size_t n;
	int ret;
	size_t content_length, body_off;
} cases[] = {
	ROW("the specification's", "70:CONTENT_LENGTH\00027\000SCGI\0001\000"
	    "REQUEST_METHOD\000POST\000REQUEST_URI\000/deepthought\000,What is",
	    1, 27, 74),
	ROW("no body", "24:CONTENT_LENGTH\0000\000SCGI\0001\000,", 1, 0, 28),
	ROW("the comma is missing", "24:CONTENT_LENGTH\0000\000SCGI\0001\000",
	    0, 0, 0),
	ROW("an empty value", "26:CONTENT_LENGTH\0000\000SCGI\0001\000X\000\000,",
	    -1, 0, 0),
	ROW("an empty value, right length",
	    "27:CONTENT_LENGTH\0000\000SCGI\0001\000X\000\000,", 1, 0, 31),
	ROW("nothing", "", 0, 0, 0),
	ROW("a digit", "7", 0, 0, 0),
	ROW("digits", "16384", 0, 0, 0),
	ROW("the largest", "16384:", 0, 0, 0),
	ROW("one more", "16385:", -1, 0, 0),
	ROW("one more, without the colon", "16385", -1, 0, 0),
	ROW("a leading zero", "024:", -1, 0, 0),
	ROW("many zeros", "0000000", 0, 0, 0),
	ROW("too many zeros", "00000000", -1, 0, 0),
	ROW("no length", ":a", -1, 0, 0),
	ROW("a sign", "+5:", -1, 0, 0),
	ROW("a blank", "5 :", -1, 0, 0),
	ROW("HTTP", "POST / HTTP/1.1\r\n", -1, 0, 0),
	ROW("empty headers", "0:,", -1, 0, 0),
	ROW("no comma", "17:CONTENT_LENGTH\0000\000;", -1, 0, 0),
	ROW("only a length", "17:CONTENT_LENGTH\0000\000,", 1, 0, 21),
	ROW("not ended by NUL", "16:CONTENT_LENGTH\0000,", -1, 0, 0),
	ROW("an odd number of strings",
	    "19:CONTENT_LENGTH\0000\000X\000,", -1, 0, 0),
	ROW("an empty name", "20:CONTENT_LENGTH\0000\000\000x\000,", -1, 0, 0),
	ROW("another header first",
	    "24:SCGI\0001\000CONTENT_LENGTH\0000\000,", -1, 0, 0),
	ROW("no number", "17:CONTENT_LENGTH\000x\000,", -1, 0, 0),
	ROW("an empty number", "16:CONTENT_LENGTH\000\000,", -1, 0, 0),
	ROW("a negative number", "18:CONTENT_LENGTH\000-1\000,", -1, 0, 0),
	ROW("a number too large",
	    "36:CONTENT_LENGTH\00018446744073709551616\000,", -1, 0, 0),
};

static int parse(struct scgi *s, const char *p, size_t n, char **copy)
{
	*copy = xmalloc(n); /* reading past it is seen */
	memcpy(*copy, p, n);
	return scgi_parse(s, *copy, n);
}

/* Every shorter piece of a good request needs more. */
static void check_pieces(size_t i)
{
	bool good = true;

	for (size_t n = 0; n < cases[i].n; n++) {
		struct scgi s;
		char *copy;

		good &= parse(&s, cases[i].input, n, &copy) ==
			(n >= cases[i].body_off);
		free(copy);
	}
	tap_ok(good, "%s: in pieces", cases[i].name);
}

static void test_headers(void)
{
	struct scgi s;
	char *copy;

	parse(&s, cases[0].input, cases[0].n, &copy);
	tap_is(scgi_header(&s, "CONTENT_LENGTH"), "27", "the first header");
	tap_is(scgi_header(&s, "REQUEST_URI"), "/deepthought", "the last one");
	tap_is(scgi_header(&s, "POST"), NULL, "a value is no name");
	tap_is(scgi_header(&s, ""), NULL, "no name");
	tap_is(scgi_header(&s, "request_uri"), NULL, "case counts");
	free(copy);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scgi s = { 0 };
		char *copy;
		int ret = parse(&s, cases[i].input, cases[i].n, &copy);

		tap_ok(ret == cases[i].ret, "%s: %d", cases[i].name, ret);
		if (ret > 0) {
			tap_ok(s.content_length == cases[i].content_length &&
			       s.body_off == cases[i].body_off,
			       "%s: %zu bytes from %zu", cases[i].name,
			       s.content_length, s.body_off);
			check_pieces(i);
		}
		free(copy);
	}
	test_headers();
	return tap_done();
}
