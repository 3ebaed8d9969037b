/* What IMAP servers say, whole, in pieces and malformed. */
#include "tap.h"

#include "base/str.h"
#include "text/imap.h"

static const struct {
	const char *text;
	size_t max;
	int want;
	size_t len;
} scans[] = {
	{ "* OK ready\r\n", 100, 1, 12 },
	{ "* OK ready\n* x", 100, 1, 11 },
	{ "* OK ready", 100, 0, 0 },
	{ "", 100, 0, 0 },
	{ "* 1 FETCH (BODY[] {3}\r\nabc)\r\nx", 100, 1, 29 },
	{ "* 1 FETCH (BODY[] {3}\r\nabc", 100, 0, 0 },
	{ "* 1 FETCH (BODY[] {3}\r\na\nc)\r\n", 100, 1, 29 },
	{ "* 1 FETCH (A {1}\r\n{ B {2}\r\n\r\n)\r\n", 100, 1, 32 },
	{ "* OK see {you}\r\n", 100, 1, 16 },
	{ "* OK {}\r\n", 100, 1, 9 },
	{ "* OK }\r\n", 100, 1, 8 },
	{ "}\r\n", 100, 1, 3 },
	{ "* X {99999999999999999999}\r\n", 100, -1, 0 },
	{ "* X {99999999999999999999999999999999}\r\n", 100, -1, 0 },
	{ "* X {100}\r\n", 100, -1, 0 },
	{ "* X {18446744073709551615}\r\n", 100, -1, 0 },
	{ "* OK a long line\r\n", 10, -1, 0 },
	{ "* OK a long line", 10, -1, 0 },
};

static void test_scan(void)
{
	for (size_t i = 0; i < ARRAY_LEN(scans); i++) {
		const char *text = scans[i].text;
		struct imap_scan whole = { 0 }, cut = { 0 };
		size_t len = 0, cut_len = 0;
		int ret, cut_ret = 0;

		ret = imap_scan(&whole, text, strlen(text), scans[i].max, &len);
		for (size_t n = 1; n <= strlen(text) && !cut_ret; n++)
			cut_ret = imap_scan(&cut, text, n, scans[i].max,
					    &cut_len);
		tap_ok(ret == scans[i].want && len == scans[i].len &&
		       cut_ret == ret && cut_len == len,
		       "where %zu ends: %d %zu, in pieces %d %zu", i, ret, len,
		       cut_ret, cut_len);
	}
}

static const char letters[] = {
	[IMAP_TOKEN_END] = '.', [IMAP_TOKEN_OPEN] = '(',
	[IMAP_TOKEN_CLOSE] = ')', [IMAP_TOKEN_ATOM] = 'a',
	[IMAP_TOKEN_QUOTED] = 'q', [IMAP_TOKEN_LITERAL] = 'l',
	[IMAP_TOKEN_NIL] = 'n', [IMAP_TOKEN_WRONG] = '!',
};

/* Response: its parts, then its tokens, each as a letter and its text. */
static const struct {
	const char *text, *want;
} responses[] = {
	{ "* OK [CAPABILITY A B] ready\r\n",
	  "* OK/1 a[CAPABILITY A B] aready ." },
	{ "* PREAUTH x\r\n", "* PREAUTH/4 ax ." },
	{ "* BYE\r\n", "* BYE/5 ." },
	{ "a1 OK done\r\n", "a1 OK/1 adone ." },
	{ "a1 no [AUTHENTICATIONFAILED] bad\r\n",
	  "a1 NO/2 a[AUTHENTICATIONFAILED] abad ." },
	{ "a1 BAD\r\n", "a1 BAD/3 ." },
	{ "a1 FETCH x\r\n", "-1" },
	{ "a1\r\n", "-1" },
	{ "*\r\n", "-1" },
	{ "\r\n", "-1" },
	{ " \r\n", "-1" },
	{ "* \r\n", "-1" },
	{ "* 5\r\n", "-1" },
	{ "+ idling\r\n", "+ /0 aidling ." },
	{ "+\r\n", "+ /0 ." },
	{ "* 5 exists\r\n", "* 5 EXISTS/0 ." },
	{ "* 99999999999999999999999 EXISTS\r\n",
	  "* 99999999999999999999999/0 aEXISTS ." },
	{ "* CAPABILITY IMAP4rev1 XCHATMAIL\r\n",
	  "* CAPABILITY/0 aIMAP4rev1 aXCHATMAIL ." },
	{ "* QUOTA \"User quota\" (STORAGE 1 512000)\r\n",
	  "* QUOTA/0 qUser quota ( aSTORAGE a1 a512000 ) ." },
	{ "* METADATA \"\" (/shared/x {3}\r\na)\n /shared/y NIL)\r\n",
	  "* METADATA/0 q ( a/shared/x la)\n a/shared/y n ) ." },
	{ "* METADATA INBOX (/private/x \"a\\\"b\\\\\")\r\n",
	  "* METADATA/0 aINBOX ( a/private/x qa\"b\\ ) ." },
	{ "* 1 FETCH (UID 7 FLAGS (\\Seen $x) BODY[HEADER.FIELDS (From To)] "
	  "\"x\" BODY[]<0> ~{2}\r\n)))\r\n",
	  "* 1 FETCH/0 ( aUID a7 aFLAGS ( a\\Seen a$x ) "
	  "aBODY[HEADER.FIELDS (From To)] qx aBODY[]<0> l)) ) ." },
	{ "* LIST () \"/\" INBOX\r\n", "* LIST/0 ( ) q/ aINBOX ." },
	{ "* X \"no end\r\n", "* X/0 !" },
	{ "* X \"no end\\\"\r\n", "* X/0 !" },
	{ "* X {5\r\n", "* X/0 !" },
	{ "* X {5}x\r\n", "* X/0 !" },
	{ "* X ~\r\n", "* X/0 a~ ." },
	{ "* X a\"b\"\r\n", "* X/0 aa qb ." },
	{ "* THIS-NAME-IS-LONGER-THAN-ANY-COMMAND-THERE-IS x\r\n", "-1" },
};

static void describe(struct buf *out, const struct imap_response *r)
{
	struct imap_cursor c = r->rest;
	struct imap_token t;

	if (r->kind == IMAP_TAGGED)
		buf_add(out, r->tag, r->tag_len);
	else
		buf_addc(out, r->kind == IMAP_CONTINUE ? '+' : '*');
	if (r->has_number)
		buf_addf(out, " %d", (int)r->number);
	buf_addf(out, " %s/%d", r->name, r->status);
	do {
		imap_next(&c, &t);
		buf_addf(out, " %c", letters[t.type]);
		if (t.type == IMAP_TOKEN_ATOM || imap_token_is_string(&t))
			imap_token_add(out, &t);
	} while (t.type != IMAP_TOKEN_END && t.type != IMAP_TOKEN_WRONG);
}

static void test_parse(void)
{
	for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
		const char *text = responses[i].text;
		struct buf got = BUF_INIT;
		struct imap_response r;
		char name[32];

		if (imap_response_parse(&r, text, strlen(text)) < 0)
			buf_adds(&got, "-1");
		else
			describe(&got, &r);
		snprintf(name, sizeof(name), "response %zu", i);
		tap_is(got.data, responses[i].want, name);
		buf_free(&got);
	}
}

static void test_fetch(void)
{
	static const char text[] = "* 1 FETCH (FLAGS (a (b) c) UID 7 "
		"BODY[TEXT] NIL BODY[] {4}\r\nab\r\n MODSEQ (9))\r\n";
	static const struct {
		const char *item, *want;
	} items[] = {
		{ "uid", "7" }, { "BODY[]", "ab\r\n" }, { "BODY", NULL },
		{ "a", NULL }, { "FLAGS", "(" }, { "MODSEQ", "(" },
		{ "BODY[TEXT]", "NIL" },
	};
	struct imap_response r;

	imap_response_parse(&r, text, sizeof(text) - 1);
	for (size_t i = 0; i < ARRAY_LEN(items); i++) {
		struct buf got = BUF_INIT;
		struct imap_token t;
		bool found = imap_fetch_find(&r, items[i].item, &t);

		if (found)
			imap_token_add(&got, &t);
		tap_is(found ? got.data : NULL, items[i].want, items[i].item);
		buf_free(&got);
	}
	imap_response_parse(&r, "* 1 FETCH (UID", 14);
	tap_ok(!imap_fetch_find(&r, "UID", &(struct imap_token){ 0 }),
	       "cut before the value");
	imap_response_parse(&r, "* 1 FETCH UID 7", 15);
	tap_ok(!imap_fetch_find(&r, "UID", &(struct imap_token){ 0 }),
	       "no list");
}

static void test_quoted(void)
{
	struct buf b = BUF_INIT;

	imap_add_quoted(&b, "a\"b\\c\r\nd\xc3\xa9");
	tap_is(b.data, "\"a\\\"b\\\\cd\xc3\xa9\"", "a string that is sent");
	buf_free(&b);
}

int main(void)
{
	test_scan();
	test_parse();
	test_fetch();
	test_quoted();
	return tap_done();
}
