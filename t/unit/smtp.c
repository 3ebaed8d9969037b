/* SMTP: the data with its dots, cut anywhere; commands, replies, SIZE. */
#include "tap.h"

#include <stdlib.h>

#include "base/str.h"
#include "text/smtp.h"

struct result {
	struct smtp_data d;
	struct buf wire, content;
	size_t consumed;
};

static void on_wire(struct smtp_data *d, const char *p, size_t n)
{
	buf_add(&container_of(d, struct result, d)->wire, p, n);
}

static void on_content(struct smtp_data *d, const char *p, size_t n)
{
	buf_add(&container_of(d, struct result, d)->content, p, n);
}

static void result_init(struct result *r)
{
	buf_init(&r->wire);
	buf_init(&r->content);
	r->consumed = 0;
	smtp_data_init(&r->d, on_wire, on_content);
}

static void result_free(struct result *r)
{
	buf_free(&r->wire);
	buf_free(&r->content);
}

/* wire NULL: bare. left: bytes behind the end; -1: it has not come yet. */
static const struct {
	const char *name, *input, *wire, *content;
	int left;
} data[] = {
	{ "a line", "a\r\n.\r\n", "a\r\n", "a\r\n", 0 },
	{ "nothing", ".\r\n", "", "", 0 },
	{ "what follows is not taken", "a\r\n.\r\nQUIT\r\n", "a\r\n", "a\r\n",
	  6 },
	{ "an empty line", "\r\n.\r\n", "\r\n", "\r\n", 0 },
	{ "doubled dots", "..\r\n...a\r\n.b\r\n.\r\n", "..\r\n...a\r\n.b\r\n",
	  ".\r\n..a\r\nb\r\n", 0 },
	{ "dots in a line", "a.b.\r\n. \r\n.\r\n", "a.b.\r\n. \r\n",
	  "a.b.\r\n \r\n", 0 },
	{ "not ended", "a\r\n", "a\r\n", "a\r\n", -1 },
	{ "not ended in a line", "a\r\nb", "a\r\nb", "a\r\nb", -1 },
	{ "a dot at the end waits", "a\r\n.", "a\r\n", "a\r\n", -1 },
	{ "so does dot CR", "a\r\n.\r", "a\r\n", "a\r\n", -1 },
	{ "a CR at the end", "a\r", "a\r", "a\r", -1 },
	{ "empty input", "", "", "", -1 },
	/* CVE-2023-51764 to 51766 */
	{ "LF dot CRLF", "a\n.\r\nMAIL\r\n.\r\nb", NULL, NULL, 1 },
	{ "CR dot CRLF", "a\r.\r\nMAIL\r\n.\r\nb", NULL, NULL, 1 },
	{ "LF dot LF", "a\n.\nMAIL\r\n.\r\n", NULL, NULL, 0 },
	{ "CR dot CR", "a\r.\rMAIL\r\n.\r\n", NULL, NULL, 0 },
	{ "CRLF dot CR", "a\r\n.\rMAIL\r\n.\r\n", NULL, NULL, 0 },
	{ "CRLF dot LF", "a\r\n.\nMAIL\r\n.\r\n", NULL, NULL, 0 },
	{ "CRLF dot CR CRLF", "a\r\n.\r\r\nMAIL\r\n.\r\n", NULL, NULL, 0 },
	{ "CR CRLF dot CRLF", "a\r\r\n.\r\nb", NULL, NULL, 1 },
	{ "LF CR dot", "a\n\r.\r\n\r\n.\r\n", NULL, NULL, 0 },
	{ "LF first", "\n.\r\n\r\n.\r\n", NULL, NULL, 0 },
	{ "CR first", "\r.\r\n\r\n.\r\n", NULL, NULL, 0 },
	{ "dot LF first", ".\n\r\n.\r\n", NULL, NULL, 0 },
	{ "dot CR first", ".\rx\r\n.\r\n", NULL, NULL, 0 },
	{ "a bare LF, not ended", "a\r\nb\nc", NULL, NULL, -1 },
	{ "a bare CR, not ended", "a\r\nb\rc", NULL, NULL, -1 },
	{ "bare after good lines", "..a\r\n..b\r\nc\rd\r\n.\r\n", NULL, NULL,
	  0 },
};

/* Cuts by mode: whole, byte by byte, two halves at every place, random. */
static size_t cut(size_t mode, size_t at, size_t n)
{
	size_t len;

	if (mode == 0)
		return n - at;
	if (mode == 1)
		return 1;
	if (mode < 2 + n)
		return at < mode - 1 ? mode - 1 - at : n - at;
	len = 1 + (size_t)rand() % 5;
	return len < n - at ? len : n - at;
}

static void feed(struct result *r, const char *p, size_t n, size_t mode)
{
	result_init(r);
	while (r->consumed < n && !r->d.done) {
		size_t len = cut(mode, r->consumed, n);
		char *chunk;

		if (len > n - r->consumed)
			len = n - r->consumed;
		chunk = xmalloc(len); /* reading past it is seen */
		memcpy(chunk, p + r->consumed, len);
		r->consumed += smtp_data_feed(&r->d, chunk, len);
		free(chunk);
	}
}

static bool is_wanted(const struct result *r, size_t i)
{
	size_t n = strlen(data[i].input);
	int left = r->d.done ? (int)(n - r->consumed) : -1;

	if (left != data[i].left || r->d.bare != !data[i].wire)
		return false;
	return r->d.bare || (strcmp(r->wire.data, data[i].wire) == 0 &&
			     strcmp(r->content.data, data[i].content) == 0);
}

static void test_data(void)
{
	for (size_t i = 0; i < ARRAY_LEN(data); i++) {
		size_t n = strlen(data[i].input), modes = 2 + n + 20;
		size_t bad = 0, bad_mode = 0;

		for (size_t mode = 0; mode < modes; mode++) {
			struct result r;

			feed(&r, data[i].input, n, mode);
			if (!is_wanted(&r, i)) {
				bad++;
				bad_mode = mode;
			}
			result_free(&r);
		}
		tap_ok(!bad, "%s, %zu ways (%zu wrong, last %zu)",
		       data[i].name, modes, bad, bad_mode);
	}
}

/* A large message comes out as it is, however it is cut. */
static void test_large(void)
{
	struct buf in = BUF_INIT;

	for (int i = 0; in.len < 300000; i++) {
		for (int c = i * 7 % 90; c > 0; c--)
			buf_addc(&in, (char)('a' + c % 26));
		buf_adds(&in, i % 5 ? "\r\n" : "\r\n..\r\n");
	}
	for (size_t chunk = 1; chunk < 70000; chunk = chunk * 3 + 1) {
		struct result r;
		size_t n = in.len, at = 0;

		result_init(&r);
		while (at < n) {
			size_t len = chunk < n - at ? chunk : n - at;

			at += smtp_data_feed(&r.d, in.data + at, len);
		}
		tap_ok(smtp_data_feed(&r.d, ".\r\nx", 4) == 3 && r.d.done &&
		       r.wire.len == n &&
		       memcmp(r.wire.data, in.data, n) == 0,
		       "300 KB in chunks of %zu", chunk);
		result_free(&r);
	}
	buf_free(&in);
}

static void test_commands(void)
{
	static const struct {
		const char *line, *words, *want;
	} cases[] = {
		{ "DATA", "DATA", "" }, { "data", "DATA", "" },
		{ "DATA  ", "DATA", "" }, { "DATAX", "DATA", NULL },
		{ "DAT", "DATA", NULL }, { "", "DATA", NULL },
		{ " DATA", "DATA", NULL }, { "DATA\tx", "DATA", "x" },
		{ "MAIL FROM:<a@b> SIZE=1", "MAIL FROM:", "<a@b> SIZE=1" },
		{ "mail from: <a@b>", "MAIL FROM:", "<a@b>" },
		{ "MAIL FROM <a@b>", "MAIL FROM:", NULL },
		{ "MAIL  FROM:<a@b>", "MAIL FROM:", NULL },
		{ "EHLO host name", "EHLO", "host name" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_is(smtp_command_args(cases[i].line, cases[i].words),
		       cases[i].want, cases[i].line);
}

static void test_replies(void)
{
	static const struct {
		const char *line;
		int code;	/* 0: none */
		bool more;
		const char *text;
	} cases[] = {
		{ "250 OK", 250, false, "OK" }, { "250-x y", 250, true, "x y" },
		{ "250", 250, false, "" }, { "250 ", 250, false, "" },
		{ "250-", 250, true, "" }, { "554 5.7.1 no", 554, false,
		"5.7.1 no" }, { "25", 0, false, NULL }, { "", 0, false, NULL },
		{ "2500", 0, false, NULL }, { "250x", 0, false, NULL },
		{ "150 x", 0, false, NULL }, { "650 x", 0, false, NULL },
		{ " 250", 0, false, NULL }, { "2a0 x", 0, false, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *text = NULL;
		bool more = false;
		int code = 0;
		int ret = smtp_reply_parse(cases[i].line,
					   strlen(cases[i].line), &code, &more,
					   &text);

		tap_ok((ret < 0) == !cases[i].code && code == cases[i].code &&
		       more == cases[i].more, "reply \"%s\"", cases[i].line);
		tap_is(text, cases[i].text, "its text");
	}
}

static void test_reply_add(void)
{
	struct buf b = BUF_INIT, in = BUF_INIT;

	smtp_reply_add(&b, "250 a\r\n250 b\tc\x7f\x1b");
	tap_is(b.data, "250 a??250 b?c??\r\n", "control bytes");
	for (int extra = 0; extra < 4; extra++) {
		buf_setf(&in, "554 %.*s", extra, "xxx");
		for (int i = 0; i < 400; i++)
			buf_adds(&in, "\xe2\x82\xac");
		buf_reset(&b);
		smtp_reply_add(&b, in.data);
		tap_ok(b.len <= SMTP_REPLY_MAX && b.len > SMTP_REPLY_MAX - 3 &&
		       utf8_is_valid(b.data, b.len) && str_ends(b.data, "\r\n"),
		       "a long reply is cut between characters: %zu", b.len);
	}
	buf_setf(&in, "%0498d", 5);
	buf_reset(&b);
	smtp_reply_add(&b, in.data);
	tap_ok(b.len == 500 && b.data[497] == '5', "500 bytes are not cut");
	buf_free(&b);
	buf_free(&in);
}

static void test_size(void)
{
	static const struct {
		const char *params;
		uint64_t want;
	} cases[] = {
		{ "", 0 }, { "SIZE=100", 100 }, { "size=100 BODY=8BITMIME", 100 },
		{ "BODY=8BITMIME  SIZE=7 ", 7 }, { "XSIZE=5", 0 },
		{ "BODY=SIZE=5", 0 }, { "SIZE", 0 }, { "SIZE=", 0 },
		{ "SIZE=x", UINT64_MAX }, { "SIZE=-1", UINT64_MAX },
		{ "SIZE=1x", UINT64_MAX }, { "SIZE=18446744073709551615",
		UINT64_MAX }, { "SIZE=99999999999999999999", UINT64_MAX },
		{ "SIZE=000000000000000000000000000001", UINT64_MAX },
		{ "\tSIZE=3", 3 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_ok(smtp_size_param(cases[i].params) == cases[i].want,
		       "parameters \"%s\"", cases[i].params);
}

int main(void)
{
	test_data();
	test_large();
	test_commands();
	test_replies();
	test_reply_add();
	test_size();
	return tap_done();
}
