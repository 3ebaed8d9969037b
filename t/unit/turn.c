/* Credentials for TURN, and the settings of it. */
#include "tap.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "relay/turn.h"

/* By another implementation: openssl dgst -sha1 -hmac SECRET -binary. */
static const struct {
	const char *secret;
	int64_t expiry;
	const char *want;
} known[] = {
	{ "north", 1700000000, "1700000000:CWyHi3zCeWqXBir9thl4m+iZPRY=" },
	{ "abcdefghijklmnop", 0, "0:POrQ2NAck5XOCa6ABVb3H1+U63E=" },
	{ "k3k3k3k3k3k3k3k3k3k3", 4102444800, "4102444800:jU1/whnBj9ROgFVH2p+qJH+mvfI=" },
};

static void test_credentials(void)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		buf_reset(&out);
		turn_credentials(&out, known[i].secret, known[i].expiry);
		tap_is(out.data, known[i].want, "credentials");
	}
	buf_free(&out);
}

static void test_secret(void)
{
	struct buf a = BUF_INIT, b = BUF_INIT, err = BUF_INIT;

	turn_secret_make(&a);
	turn_secret_make(&b);
	tap_ok(turn_secret_is_valid(a.data) && a.len == 40, "made");
	tap_ok(strcmp(a.data, b.data) != 0, "each is another");
	tap_ok(turn_secret_is_valid("0123456789abcdef"), "16 letters");
	tap_ok(!turn_secret_is_valid("0123456789abcde"), "15 are too few");
	tap_ok(!turn_secret_is_valid("0123456789abcdef x"), "no blanks");
	tap_ok(!turn_secret_is_valid("0123456789abcdef\n"), "no line ends");
	tap_ok(!turn_secret_is_valid(""), "none");
	tap_ok(turn_secret_load("/nonexistent/x", &a, &err) < 0 &&
	       errno == ENOENT, "no file");
	tap_is(err.data, "/nonexistent/x: No such file or directory",
	       "which is named");
	buf_free(&a);
	buf_free(&b);
	buf_free(&err);
}

static void test_ports(void)
{
	static const struct {
		const char *text;
		unsigned first, last;	/* 0: is none */
	} cases[] = {
		{ "49152-65535", 49152, 65535 }, { "1024-1024", 1024, 1024 },
		{ "01024-02000", 1024, 2000 },
		{ "", 0, 0 }, { "-", 0, 0 }, { "50000", 0, 0 },
		{ "50000-", 0, 0 }, { "-50000", 0, 0 }, { "2-1", 0, 0 },
		{ "1023-1024", 0, 0 }, { "1024-65536", 0, 0 },
		{ "1024-2000-3000", 0, 0 }, { "1024 -2000", 0, 0 },
		{ "1024-2000 ", 0, 0 }, { "1024--2000", 0, 0 },
		{ "99999999999999999999-2", 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned first = 0, last = 0;
		int ret = turn_ports_parse(cases[i].text, &first, &last);

		tap_ok(first == cases[i].first && last == cases[i].last &&
		       ret == (cases[i].first ? 0 : -1), "ports \"%s\"",
		       cases[i].text);
	}
}

static void test_external(void)
{
	tap_ok(turn_external_is_valid("192.0.2.1"), "an address");
	tap_ok(turn_external_is_valid("192.0.2.1/10.0.0.1"), "two");
	tap_ok(!turn_external_is_valid(""), "none");
	tap_ok(!turn_external_is_valid("192.0.2.1/"), "a half");
	tap_ok(!turn_external_is_valid("/192.0.2.1"), "the other half");
	tap_ok(!turn_external_is_valid("192.0.2.1/24"), "a network");
	tap_ok(!turn_external_is_valid("2001:db8::1"), "IPv6");
	tap_ok(!turn_external_is_valid("255.255.255.255.255.255.255"), "long");
}

int main(void)
{
	test_credentials();
	test_secret();
	test_ports();
	test_external();
	return tap_done();
}
