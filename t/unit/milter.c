/* Milter packets: what Postfix sends, what is malformed, what we answer. */
#include "tap.h"

#include "base/str.h"
#include "text/milter.h"

/* A string literal with its NULs, the last not counted. */
#define BYTES(s) s, sizeof(s) - 1

/* ---- frames ----------------------------------------------------------------- */

static const struct {
	const char *name, *p;
	size_t n;
	int want;
	size_t len;
} frames[] = {
	{ "nothing", BYTES(""), 0, 0 },
	{ "half a length", BYTES("\0\0\0"), 0, 0 },
	{ "a length", BYTES("\0\0\0\1"), 0, 1 },
	{ "the shortest", BYTES("\0\0\0\1Q"), 1, 1 },
	{ "more after it", BYTES("\0\0\0\1Q\0\0"), 1, 1 },
	{ "data is missing", BYTES("\0\0\0\3Bx"), 0, 3 },
	{ "a body chunk", BYTES("\0\0\0\3Bxy"), 1, 3 },
	{ "length 0", BYTES("\0\0\0\0Q"), -1, 0 },
	{ "the longest", BYTES("\0\x10\0\0B"), 0, 1 << 20 },
	{ "one more", BYTES("\0\x10\0\1B"), -1, (1 << 20) + 1 },
	{ "4 GB", BYTES("\xff\xff\xff\xff" "B"), -1, UINT32_MAX },
};

static void test_frames(void)
{
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		size_t len = 0;
		int got = milter_frame(frames[i].p, frames[i].n, &len);

		tap_ok(got == frames[i].want && len == frames[i].len,
		       "frame: %s", frames[i].name);
	}
}

/* ---- what comes ------------------------------------------------------------- */

static void test_options(void)
{
	/* as Postfix 3.7 offers */
	static const char offer[] = "\0\0\0\6\0\0\1\xff\0\x1f\xff\xff";
	struct milter_options o;
	int ret = milter_parse_options(offer, 12, &o);

	tap_ok(ret == 0 && o.version == 6 && o.actions == 0x1ff &&
	       o.protocol == 0x1fffff, "Postfix's offer");
	tap_ok(milter_parse_options(offer, 11, &o) < 0, "too short an offer");
}

static const struct {
	const char *name, *p;
	size_t n;
	const char *want;	/* NULL: malformed */
} connects[] = {
	{ "IPv4", BYTES("mx.example\0" "4\x12\x34" "192.0.2.1\0"),
	  "mx.example 4 4660 192.0.2.1" },
	{ "IPv6", BYTES("mx.example\0" "6\0\x19" "IPv6:2001:db8::1\0"),
	  "mx.example 6 25 IPv6:2001:db8::1" },
	{ "unix", BYTES("localhost\0L\0\0/run/x\0"), "localhost L 0 /run/x" },
	{ "port over 32767", BYTES("a\0" "4\xff\xfe" "b\0"), "a 4 65534 b" },
	{ "unknown", BYTES("unknown\0U"), "unknown U 0 " },
	{ "unknown and more", BYTES("unknown\0U\0\0x\0"), NULL },
	{ "no family", BYTES("a\0"), NULL },
	{ "no end of host", BYTES("abc"), NULL },
	{ "another family", BYTES("a\0" "5\0\0b\0"), NULL },
	{ "NUL family", BYTES("a\0\0\0\0b\0"), NULL },
	{ "no address", BYTES("a\0" "4\0\0"), NULL },
	{ "half a port", BYTES("a\0" "4\0"), NULL },
	{ "address without end", BYTES("a\0" "4\0\0b"), NULL },
	{ "two addresses", BYTES("a\0" "4\0\0b\0c\0"), NULL },
	{ "nothing", BYTES(""), NULL },
};

static void test_connects(void)
{
	for (size_t i = 0; i < ARRAY_LEN(connects); i++) {
		struct buf got = BUF_INIT;
		struct milter_connect c;

		if (milter_parse_connect(connects[i].p, connects[i].n, &c) == 0)
			buf_addf(&got, "%s %c %u %s", c.host, c.family, c.port,
				 c.addr);
		tap_is(connects[i].want ? got.data : got.len ? got.data : NULL,
		       connects[i].want, connects[i].name);
		buf_free(&got);
	}
}

static void test_strings(void)
{
	static const char args[] = "<a@b.example>\0SIZE=100\0\0";
	const char *s = NULL;
	size_t n = sizeof(args) - 1;

	tap_ok(milter_check_strings(args, n, 3) == 0, "three arguments");
	tap_ok(milter_check_strings(args, n, 4) < 0, "not four");
	tap_ok(milter_check_strings(args, n - 4, 1) < 0, "one without end");
	tap_ok(milter_check_strings(args, 0, 1) < 0, "none");
	tap_ok(milter_check_strings(args, 0, 0) == 0, "none where none needed");
	s = milter_next_string(args, n, s);
	tap_is(s, "<a@b.example>", "the first");
	s = milter_next_string(args, n, s);
	tap_is(s, "SIZE=100", "the second");
	s = milter_next_string(args, n, s);
	tap_is(s, "", "an empty one");
	tap_ok(!milter_next_string(args, n, s), "the end");
	tap_ok(!milter_next_string(args, 0, NULL), "the end at once");
}

static const struct {
	const char *name, *p;
	size_t n;
	const char *macro;
	const char *want;	/* "malformed", or the value */
} macros[] = {
	{ "connect's", BYTES("Cj\0mx.example\0{daemon_name}\0ORIGINATING\0"),
	  "{daemon_name}", "ORIGINATING" },
	{ "without braces", BYTES("Cj\0mx.example\0{daemon_name}\0X\0"),
	  "daemon_name", "X" },
	{ "one letter", BYTES("Cj\0mx.example\0i\0ABC\0"), "i", "ABC" },
	{ "one letter in braces", BYTES("M{i}\0ABC\0"), "i", "ABC" },
	{ "a value like a name", BYTES("Cj\0i\0i\0ABC\0"), "i", "ABC" },
	{ "the beginning of a name", BYTES("C{abc}\0x\0"), "ab", NULL },
	{ "more than a name", BYTES("C{ab}\0x\0"), "abc", NULL },
	{ "an empty value", BYTES("Mi\0\0"), "i", "" },
	{ "none", BYTES("H"), "i", NULL },
	{ "no command", BYTES(""), "i", "malformed" },
	{ "a name without value", BYTES("Mi\0"), "i", "malformed" },
	{ "a value without end", BYTES("Mi\0ABC"), "i", "malformed" },
};

static void test_macros(void)
{
	for (size_t i = 0; i < ARRAY_LEN(macros); i++) {
		const char *pairs, *got = "malformed";
		size_t n;
		char command;

		if (milter_parse_macros(macros[i].p, macros[i].n, &command,
					&pairs, &n) == 0)
			got = milter_macro(pairs, n, macros[i].macro);
		tap_is(got, macros[i].want, macros[i].name);
	}
}

static const struct {
	const char *name, *p;
	size_t n;
	const char *want;
} headers[] = {
	{ "a header", BYTES("Subject\0 [...]\0"), "Subject: [...]" },
	{ "an empty value", BYTES("X\0\0"), "X:" },
	{ "folded", BYTES("X\0 a\n\tb\0"), "X: a\n\tb" },
	{ "no name", BYTES("\0x\0"), NULL },
	{ "no value", BYTES("X\0"), NULL },
	{ "a value without end", BYTES("X\0x"), NULL },
	{ "a string too many", BYTES("X\0x\0y\0"), NULL },
	{ "nothing", BYTES(""), NULL },
};

static void test_headers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		struct buf got = BUF_INIT;
		const char *name, *value;

		if (milter_parse_header(headers[i].p, headers[i].n, &name,
					&value) == 0)
			buf_addf(&got, "%s:%s", name, value);
		tap_is(got.len ? got.data : NULL, headers[i].want,
		       headers[i].name);
		buf_free(&got);
	}
}

/* ---- what goes -------------------------------------------------------------- */

static bool is_packet(const struct buf *b, const char *want, size_t n)
{
	return b->len == n && memcmp(b->data, want, n) == 0;
}

static void test_answers(void)
{
	struct milter_options o = { 6, MILTER_ADD_HEADERS, 0x100000 };
	struct buf b = BUF_INIT;

	milter_add_options(&b, &o);
	tap_ok(is_packet(&b, BYTES("\0\0\0\rO\0\0\0\6\0\0\0\1\0\x10\0\0")),
	       "options");
	buf_reset(&b);
	milter_add_verdict(&b, MILTER_ACCEPT);
	milter_add_verdict(&b, MILTER_TEMPFAIL);
	tap_ok(is_packet(&b, BYTES("\0\0\0\1a\0\0\0\1t")), "verdicts");
	buf_free(&b);
}

static const struct {
	const char *text, *want;	/* want: NULL is refused */
} replies[] = {
	{ "554 5.7.1 No DKIM signature found",
	  "554 5.7.1 No DKIM signature found" },
	{ "451 4.7.5 100% \xc3\xa4", "451 4.7.5 100%% \xc3\xa4" },
	{ "554 5.7.1 a\r\nb\tc\x7f", "554 5.7.1 a??b?c?" },
	{ "250 2.0.0 OK", NULL },
	{ "354 3.0.0 Go on", NULL },
	{ "654 6.0.0 What", NULL },
	{ "554 4.7.1 Which", NULL },
	{ "554 Without enhanced code", NULL },
	{ "554-5.7.1 Many lines", NULL },
	{ "55 5.7.1 Short", NULL },
	{ "5x4 5.7.1 No number", NULL },
	{ "554", NULL },
	{ "", NULL },
};

static void test_replies(void)
{
	struct buf text = BUF_INIT, b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		int ret = milter_add_reply(&b, replies[i].text);

		tap_ok(ret == (replies[i].want ? 0 : -1) && !b.len == !!ret,
		       "reply \"%s\": %d", replies[i].want ? replies[i].want :
		       replies[i].text, ret);
		if (ret == 0)
			tap_is(b.data + 5, replies[i].want, "the text");
		buf_reset(&b);
	}
	buf_adds(&text, "554 5.7.1 ");
	for (int i = 0; i < 1000; i++)
		buf_addc(&text, '%');
	tap_ok(milter_add_reply(&b, text.data) == 0 &&
	       strlen(b.data + 5) == 10 + 2 * 488 &&
	       b.len == 5 + 10 + 2 * 488 + 1, "a long reply is cut");
	buf_free(&text);
	buf_free(&b);
}

static const struct {
	const char *name, *field, *value;
	const char *want;	/* of the value; NULL: refused */
} fields[] = {
	{ "a field", "DKIM-Signature", " v=1; a=b", " v=1; a=b" },
	{ "CRLF becomes LF", "X", " a\r\n b\r\n\tc", " a\n b\n\tc" },
	{ "LF stays", "X", " a\n b", " a\n b" },
	{ "empty", "X", "", "" },
	{ "a line of its own", "X", " a\r\nBcc: b", NULL },
	{ "the same with LF", "X", " a\nBcc: b", NULL },
	{ "LF at the end", "X", " a\n", NULL },
	{ "CR alone", "X", " a\r b", NULL },
	{ "CR at the end", "X", " a\r", NULL },
	{ "CR CR LF", "X", " a\r\r\n b", NULL },
	{ "no name", "", " a", NULL },
	{ "a colon in the name", "X:", " a", NULL },
	{ "a space in the name", "X ", " a", NULL },
	{ "LF in the name", "X\nY", " a", NULL },
	{ "8 bits in the name", "X\xc3\xa4", " a", NULL },
};

static void test_fields(void)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		int ret = milter_add_insert(&b, 0, fields[i].field,
					    fields[i].value);

		tap_ok(ret == (fields[i].want ? 0 : -1) && !b.len == !!ret,
		       "%s: %d", fields[i].name, ret);
		if (ret == 0)
			tap_is(b.data + 9 + strlen(fields[i].field) + 1,
			       fields[i].want, "the value");
		buf_reset(&b);
	}
	milter_add_insert(&b, 258, "X", " y");
	tap_ok(is_packet(&b, BYTES("\0\0\0\ni\0\0\1\2X\0 y\0")), "insert");
	buf_reset(&b);
	milter_add_header(&b, "X", " y");
	tap_ok(is_packet(&b, BYTES("\0\0\0\6hX\0 y\0")), "add");
	buf_reset(&b);
	milter_add_change(&b, 1, "X", "");
	tap_ok(is_packet(&b, BYTES("\0\0\0\bm\0\0\0\1X\0\0")), "change");
	buf_free(&b);
}

int main(void)
{
	test_frames();
	test_options();
	test_connects();
	test_strings();
	test_macros();
	test_headers();
	test_answers();
	test_replies();
	test_fields();
	return tap_done();
}
