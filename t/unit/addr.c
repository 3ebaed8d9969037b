/* Addresses in SMTP commands and in header fields. */
#include "tap.h"

#include "base/buf.h"
#include "base/str.h"
#include "text/addr.h"

/* want: the address, "|" and the parameters; or "! " and the error. */
static const struct {
	const char *input, *want;
} paths[] = {
	{ "<a@b.example>", "a@b.example|" },
	{ " <a@b.example>", "a@b.example|" },
	{ "<a@b> SIZE=3 BODY=8BITMIME", "a@b|SIZE=3 BODY=8BITMIME" },
	{ "<a@b>  SIZE=3 ", "a@b|SIZE=3 " },
	{ "<>", "|" },
	{ "<> RET=HDRS", "|RET=HDRS" },
	{ "a@b", "a@b|" },
	{ "a@b SIZE=3", "a@b|SIZE=3" },
	{ "<SRS1=HHH=example.com==HHH=TT=example.org=alice@example.net> x=y",
	  "SRS1=HHH=example.com==HHH=TT=example.org=alice@example.net|x=y" },
	{ "<abc+alice@example.net>", "abc+alice@example.net|" },
	{ "<a..b.@c>", "a..b.@c|" },
	{ "<@x.example:a@b>", "a@b|" },
	{ "<@x.example,@y.example:a@b> A=B", "a@b|A=B" },
	{ "<\"a b\"@c>", "\"a b\"@c|" },
	{ "<\"ab\"@c>", "ab@c|" },
	{ "<\"a\\b\"@c>", "ab@c|" },
	{ "<\"a\\\"b\"@c>", "\"a\\\"b\"@c|" },
	{ "<\"a>b\"@c>", "\"a>b\"@c|" },
	{ "<\"a@b\"@c> X", "\"a@b\"@c|X" },
	{ "<\"\"@c>", "\"\"@c|" },
	{ "<u@[1.2.3.4]>", "u@[1.2.3.4]|" },
	{ "<u@[IPv6:2001:db8::1]>", "u@[IPv6:2001:db8::1]|" },
	{ "<j\xc3\xb6rg@ex\xc3\xa4mple.org> SMTPUTF8",
	  "j\xc3\xb6rg@ex\xc3\xa4mple.org|SMTPUTF8" },
	{ "<Postmaster>", "Postmaster|" },
	{ "<u@_test.example>", "u@_test.example|" },
	{ "", "! malformed address" },
	{ "<", "! malformed address" },
	{ "<a", "! malformed address" },
	{ "<a@", "! malformed address" },
	{ "<a@>", "! malformed address" },
	{ "<@b>", "! malformed address" },
	{ "<a@b", "! malformed address" },
	{ "<a@b>SIZE=3", "! malformed address" },
	{ "<a@b>>", "! malformed address" },
	{ "<a@b@c>", "! malformed address" },
	{ "<a b@c>", "! malformed address" },
	{ "<a@b c>", "! malformed address" },
	{ "<< a@b>>", "! malformed address" },
	{ "<a@.b>", "! malformed address" },
	{ "<a@b.>", "! malformed address" },
	{ "<a@b..c>", "! malformed address" },
	{ "<a@[1.2.3.4>", "! malformed address" },
	{ "<a@[]>", "! malformed address" },
	{ "<a@b,c@d>", "! malformed address" },
	{ "<a>", "! malformed address" },
	{ "a", "! malformed address" },
	{ "<\"a@b>", "! malformed address" },
	{ "<\"a\"b@c>", "! malformed address" },
	{ "<a(x)@b>", "! malformed address" },
	{ "<@x a@b>", "! malformed address" },
	{ "Name <a@b>", "! malformed address" },
	{ "<\"a\nb\"@c>", "ab@c|" },
	{ "<\"a\tb\"@c>", "! control character in an address" },
	{ "<\"a\x7f\"@c>", "! control character in an address" },
	{ "<\xff@c>", "! address is not UTF-8" },
};

/* Compare, under the input as a name that fits on one line. */
static void is(const struct buf *got, const char *want, const char *input)
{
	struct buf name = BUF_INIT;

	buf_add_printable(&name, input, strlen(input));
	tap_is(got->data, want, *input ? name.data : "(empty)");
	buf_free(&name);
}

static void test_paths(void)
{
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct buf addr = BUF_INIT, err = BUF_INIT, got = BUF_INIT;
		const char *params = "?";

		if (addr_parse_path(paths[i].input, &addr, &params, &err) < 0)
			buf_addf(&got, "! %s", err.data);
		else
			buf_addf(&got, "%s|%s", addr.data, params);
		is(&got, paths[i].want, paths[i].input);
		buf_free(&addr);
		buf_free(&err);
		buf_free(&got);
	}
}

/* want: the number of addresses and the first; or "! " and the error. */
static const struct {
	const char *input, *want;
} lists[] = {
	{ "a@b.example", "1 a@b.example" },
	{ "<a@b>", "1 a@b" },
	{ "Name <a@b>", "1 a@b" },
	{ "One Two Three <a@b>", "1 a@b" },
	{ "\"Doe, John\" <a@b>", "1 a@b" },
	{ "\"evil@x <e@x>\" <a@b>", "1 a@b" },
	{ "\"a\\\"b\" <a@b>", "1 a@b" },
	{ "John Q. Public <a@b>", "1 a@b" },
	{ "=?utf-8?q?J=C3=B6rg?= <a@b>", "1 a@b" },
	{ "J\xc3\xb6rg <a@b>", "1 a@b" },
	{ "J\xf6rg <a@b>", "1 a@b" },
	{ "\"tab\there\" <a@b>", "1 a@b" },
	{ "Mail Delivery Subsystem <MAILER-DAEMON@example.org>",
	  "1 MAILER-DAEMON@example.org" },
	{ "MAILER-DAEMON@example.org (Mail Delivery System)",
	  "1 MAILER-DAEMON@example.org" },
	{ "(a, b) <a@b> (c (nested) \\) d)", "1 a@b" },
	{ "a (x) @ (y) b", "1 a@b" },
	{ "<a (x) @ b (y) >", "1 a@b" },
	{ " \t <a@b>\r\n ", "1 a@b" },
	{ "Name\r\n <a@b>", "1 a@b" },
	{ "\"a b\"@c", "1 \"a b\"@c" },
	{ "\"ab\"@c", "1 ab@c" },
	{ "u@[1.2.3.4]", "1 u@[1.2.3.4]" },
	{ "a@b, c@d", "2 a@b" },
	{ "a@b,c@d,", "2 a@b" },
	{ ",, ,a@b", "1 a@b" },
	{ "A <a@b>, \"C, D\" <c@d>, e@f", "3 a@b" },
	{ "Group: a@b, c@d;", "2 a@b" },
	{ "Group: a@b;, c@d", "2 a@b" },
	{ "\"hidden-recipients\": ;", "0 " },
	{ "g:;", "0 " },
	{ "g:,;,,", "0 " },
	{ "", "0 " },
	{ "(only a comment)", "0 " },
	{ "a@b c@d", "! text after an address" },
	{ "<a@b> <c@d>", "! text after an address" },
	{ "a@b <c@d>", "! text after an address" },
	{ "x a@b <c@d>", "! @ in a display name" },
	{ "<a@b> x", "! text after an address" },
	{ "<a@b>x@y", "! text after an address" },
	{ "a@b; c@d", "! text after an address" },
	{ "a", "! address without @" },
	{ "root, a@b", "! address without @" },
	{ "a@", "! malformed domain" },
	{ "@b", "! @ in a display name" },
	{ "<>", "! malformed address in <>" },
	{ "<@x:a@b>", "! malformed address in <>" },
	{ "<a@b", "! malformed address in <>" },
	{ "<a>", "! address without @" },
	{ "<a@b@c>", "! malformed address in <>" },
	{ "<<a@b>>", "! malformed address in <>" },
	{ "\"a <a@b>", "! malformed quoted string" },
	{ "(a <a@b>", "! comment does not end" },
	{ "a) <a@b>", "! malformed address" },
	{ "g: a@b", "! group does not end" },
	{ "g: h: a@b;;", "! malformed group" },
	{ ": a@b;", "! malformed group" },
	{ "a@b:c@d", "! text after an address" },
	{ "[x] <a@b>", "! malformed address" },
	{ "a@b..c", "! malformed domain" },
	{ "<\xff@b>", "! address is not UTF-8" },
	{ "\"a\x01\"@b", "! control character in an address" },
	{ "a@b\x01", "! text after an address" },
};

static void test_lists(void)
{
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct buf first = BUF_INIT, err = BUF_INIT, got = BUF_INIT;
		size_t count;

		if (addr_parse_list(lists[i].input, &first, &count, &err) < 0)
			buf_addf(&got, "! %s", err.data);
		else
			buf_addf(&got, "%zu %s", count, first.data);
		is(&got, lists[i].want, lists[i].input);
		buf_free(&first);
		buf_free(&err);
		buf_free(&got);
	}
}

/* n times text, then an address: read in linear time, without recursion. */
static void test_long(const char *text, size_t n, const char *rest,
		      const char *want)
{
	struct buf in = BUF_INIT, first = BUF_INIT, err = BUF_INIT;
	struct buf got = BUF_INIT;
	size_t count;

	while (n--)
		buf_adds(&in, text);
	buf_adds(&in, rest);
	if (addr_parse_list(in.data, &first, &count, &err) < 0)
		buf_addf(&got, "! %s", err.data);
	else
		buf_addf(&got, "%zu %s", count, first.data);
	tap_is(got.data, want, text);
	buf_free(&in);
	buf_free(&first);
	buf_free(&err);
	buf_free(&got);
}

static void test_limits(void)
{
	struct buf in = BUF_INIT, addr = BUF_INIT, err = BUF_INIT;
	const char *params;

	for (size_t n = ADDR_MAX - 2; n < ADDR_MAX; n++) {
		buf_setf(&in, "<%0*d@b>", (int)n, 0);
		tap_ok((addr_parse_path(in.data, &addr, &params, &err) == 0) ==
		       (n + 2 <= ADDR_MAX), "path of %zu bytes", n + 2);
	}
	tap_is(err.data, "address too long", "and says why");
	buf_free(&in);
	buf_free(&addr);
	buf_free(&err);
}

int main(void)
{
	test_paths();
	test_lists();
	test_limits();
	test_long("(", 200000, " a@b", "! comment does not end");
	test_long("a@b,", 50000, "", "50000 a@b");
	test_long("word ", 100000, "<a@b>", "1 a@b");
	test_long(",", 100000, "a@b", "1 a@b");
	test_long("g:;,", 50000, "a@b", "1 a@b");
	tap_is(addr_domain("\"a@b\"@[1.2.3.4]"), "[1.2.3.4]", "domain");
	tap_is(addr_domain("x"), "", "no domain");
	return tap_done();
}
