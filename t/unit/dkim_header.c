/* A header's fields: limits, picking from the bottom, the From address. */
#include "tap.h"

#include "base/str.h"
#include "text/dkim_header.h"

static void add(struct dkim_header *h, const char *field)
{
	dkim_header_add(h, field, strlen(field));
}

static const struct {
	const char *field, *want;	/* NULL: taken */
} field_cases[] = {
	{ "A: b", NULL },
	{ "A: b\r\n", NULL },
	{ "A:", NULL },
	{ "A : b", NULL },
	{ "A\t: b\r\n c\r\n\td", NULL },
	{ "A: \xc3\xb6\xff", NULL },
	{ "A: b\r\n \r\n c", NULL },
	{ "A: b\r\n ", NULL },
	{ "", "malformed header field" },
	{ "\r\n", "malformed header field" },
	{ "no colon", "malformed header field" },
	{ ": b", "malformed header field" },
	{ " : b", "malformed header field" },
	{ " A: b", "malformed header field" },
	{ "A B: c", "malformed header field" },
	{ "A\xc3\xb6: c", "malformed header field" },
	{ "A\r\n : b", "malformed header field" },
	{ "A: b\rc", "bare CR or LF in the header" },
	{ "A: b\nc", "bare CR or LF in the header" },
	{ "A: b\n c", "bare CR or LF in the header" },
	{ "A: b\r\r\n c", "bare CR or LF in the header" },
	{ "A: b\r\nB: c", "bare CR or LF in the header" },
	{ "A: b\r\n\r\n", "bare CR or LF in the header" },
	{ "A: b\r", "bare CR or LF in the header" },
	{ "A: b\n", "bare CR or LF in the header" },
};

static void test_fields(void)
{
	for (size_t i = 0; i < ARRAY_LEN(field_cases); i++) {
		struct dkim_header h = DKIM_HEADER_INIT;

		add(&h, "X: y");
		add(&h, field_cases[i].field);
		tap_is(h.error, field_cases[i].want, field_cases[i].field);
		tap_ok(h.count == (h.error ? 0 : 2), "fields kept");
		add(&h, "X: y");
		dkim_header_end(&h);
		tap_ok(!dkim_header_pick(&h, "X", 1) == !!h.error, "or none");
		dkim_header_free(&h);
	}
	for (size_t i = 0; i < 2; i++) {
		struct dkim_header h = DKIM_HEADER_INIT;

		dkim_header_add(&h, i ? "A\0: b" : "A: b\0", 5);
		tap_is(h.error, "NUL byte in the header", "NUL");
		dkim_header_free(&h);
	}
}

static void test_pick(void)
{
	static const char *const fields[] = {
		"Received: 1", "To: 2", "TO : 3", "X: 4", "received: 5",
		"to: 6", "Tom: 7", "T: 8",
	};
	static const struct {
		const char *name, *want;
	} picks[] = {
		{ "to", "to: 6" }, { "T", "T: 8" }, { "TO", "TO : 3" },
		{ "Received", "received: 5" }, { "To", "To: 2" },
		{ "to", NULL }, { "to", NULL }, { "T", NULL },
		{ "RECEIVED", "Received: 1" }, { "received", NULL },
		{ "A", NULL }, { "Z", NULL }, { "", NULL }, { "To ", NULL },
	};
	struct dkim_header h = DKIM_HEADER_INIT;

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		add(&h, fields[i]);
	dkim_header_end(&h);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(picks); i++) {
			const struct dkim_field *f =
				dkim_header_pick(&h, picks[i].name,
						 strlen(picks[i].name));

			tap_is(f ? f->text : NULL, picks[i].want,
			       picks[i].name);
		}
		dkim_header_rewind(&h);
	}
	dkim_header_free(&h);
	dkim_header_end(&h);
	dkim_header_rewind(&h);
	tap_ok(!dkim_header_pick(&h, "To", 2), "no fields, no pick");
	dkim_header_free(&h);
}

static void test_limits(void)
{
	struct dkim_header h = DKIM_HEADER_INIT;
	struct buf field = BUF_INIT;

	for (int i = 0; i < DKIM_HEADER_FIELDS; i++)
		add(&h, "A: b");
	tap_ok(!h.error && h.count == DKIM_HEADER_FIELDS, "many fields");
	add(&h, "A: b");
	tap_is(h.error, "header too large", "one more");
	tap_ok(h.count == 0 && h.bytes == 0 && h.arena.used == 0,
	       "then nothing is kept");
	dkim_header_free(&h);

	buf_addf(&field, "A:%0*d", DKIM_HEADER_BYTES - 2, 0);
	dkim_header_add(&h, field.data, field.len);
	tap_ok(!h.error && h.count == 1, "a field of 1 MB");
	add(&h, "A:");
	tap_is(h.error, "header too large", "and two bytes");
	for (int i = 0; i < 10; i++)
		dkim_header_add(&h, field.data, field.len);
	tap_ok(h.arena.used == 0 && !h.fields, "10 MB are not kept");
	dkim_header_free(&h);
	buf_addc(&field, 'x');
	dkim_header_add(&h, field.data, field.len);
	tap_is(h.error, "header too large", "a field of 1 MB and a byte");
	dkim_header_free(&h);
	buf_free(&field);
}

static const struct {
	const char *fields[3], *want;	/* domain, or ! and the reason */
} from_cases[] = {
	{ { "From: a@b.example" }, "b.example" },
	{ { "FROM : Name <a@B.Example>" }, "b.example" },
	{ { "From:\r\n \"x\" <a@b>\r\n (c)" }, "b" },
	{ { "From: \"a; b\" <a@b> (;)" }, "b" },
	{ { "From: a@[1.2.3.4]" }, "[1.2.3.4]" },
	{ { "From: a@[IPv6:::1]" }, "[ipv6:::1]" },
	{ { "From: a@\xc3\xbc.example" }, "\xc3\xbc.example" },
	{ { "From: a@b,", "X-From: c@d", "Fro: e@f" }, "b" },
	{ { "To: a@b" }, "! no From field" },
	{ { "From: a@b", "from: a@b" }, "! more than one From field" },
	{ { "From: a@b", "To: x@y", "FROM: c@d" },
	  "! more than one From field" },
	{ { "From: a@b, c@d" }, "! more than one address in From" },
	{ { "From: a@b, a@b" }, "! more than one address in From" },
	{ { "From:" }, "! no address in From" },
	{ { "From: (a@b)" }, "! no address in From" },
	{ { "From: g:;" }, "! no address in From" },
	{ { "From: g: a@b;" }, "! group in From" },
	{ { "From: \"g;\": (;) a@b (;);" }, "! group in From" },
	{ { "From: g:;, a@b" }, "! group in From" },
	{ { "From: g: a@b, c@d;" }, "! more than one address in From" },
	{ { "From: a@b c@d" }, "! malformed address in From" },
	{ { "From: a@b <c@d>" }, "! malformed address in From" },
	{ { "From: a" }, "! malformed address in From" },
	{ { "From: a@b." }, "! malformed address in From" },
	{ { "From: a@b", "X: \r" }, "! bare CR or LF in the header" },
	{ { NULL }, "! no From field" },
};

static void test_from(void)
{
	for (size_t i = 0; i < ARRAY_LEN(from_cases); i++) {
		struct dkim_header h = DKIM_HEADER_INIT;
		struct buf domain = BUF_INIT;
		const char *why;

		buf_adds(&domain, "old");
		for (int f = 0; f < 3 && from_cases[i].fields[f]; f++)
			add(&h, from_cases[i].fields[f]);
		dkim_header_end(&h);
		why = dkim_header_from(&h, &domain);
		if (why) {
			tap_ok(domain.len == 0, "no domain");
			buf_setf(&domain, "! %s", why);
		}
		tap_is(domain.data, from_cases[i].want,
		       from_cases[i].fields[0] ? from_cases[i].fields[0] :
		       "empty header");
		dkim_header_free(&h);
		buf_free(&domain);
	}
}

static void test_long_from(void)
{
	struct dkim_header h = DKIM_HEADER_INIT;
	struct buf field = BUF_INIT, domain = BUF_INIT;

	buf_addf(&field, "From: \"%020000d\" <a@b>", 0);
	dkim_header_add(&h, field.data, field.len);
	dkim_header_end(&h);
	tap_is(dkim_header_from(&h, &domain), "From field too long",
	       "From of 20 KB");
	dkim_header_free(&h);
	buf_free(&field);
	buf_free(&domain);
}

static void test_join(void)
{
	struct buf out = BUF_INIT;

	dkim_field_join(&out, "A", " b\n c\r\n\td");
	tap_is(out.data, "A: b\r\n c\r\n\td", "a milter's value");
	buf_reset(&out);
	dkim_field_join(&out, "A", "\n b");
	tap_is(out.data, "A:\r\n b", "that begins folded");
	buf_reset(&out);
	dkim_field_value(&out, "A: b\r\n c:\r\n\td");
	tap_is(out.data, " b\n c:\n\td", "a field's value for a milter");
	buf_reset(&out);
	dkim_field_value(&out, "A");
	tap_is(out.data, "", "no colon, no value");
	buf_free(&out);
}

int main(void)
{
	test_fields();
	test_pick();
	test_limits();
	test_from();
	test_long_from();
	test_join();
	return tap_done();
}
