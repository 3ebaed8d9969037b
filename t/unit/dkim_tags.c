/* Tag lists. */
#include "tap.h"

#include "base/str.h"
#include "text/dkim_tags.h"

static const struct {
	const char *input, *want;	/* name=value|…, or ! and the reason */
} cases[] = {
	{ "a=b", "a=b|" },
	{ "a=b;", "a=b|" },
	{ "a=b; ", "a=b|" },
	{ "a=b;\r\n\t", "a=b|" },
	{ " a = b ", "a=b|" },
	{ "\r\n a\r\n\t=\r\n b\r\n ;c=d", "a=b|c=d|" },
	{ "a=", "a=|" },
	{ "a=;b= ;c=\t", "a=|b=|c=|" },
	{ "a=b c\r\n d", "a=b c\r\n d|" },
	{ "a=b=c;bh==", "a=b=c|bh==|" },
	{ "a=1;A=2", "a=1|A=2|" },
	{ "a_1=x", "a_1=x|" },
	{ "n=J\xc3\xb6rg", "n=J\xc3\xb6rg|" },
	{ "", "! malformed tag list" },
	{ " ", "! malformed tag list" },
	{ ";", "! malformed tag list" },
	{ "a", "! malformed tag list" },
	{ "=b", "! malformed tag list" },
	{ "a=b;;", "! malformed tag list" },
	{ "a=b;;c=d", "! malformed tag list" },
	{ ";a=b", "! malformed tag list" },
	{ "1a=b", "! malformed tag list" },
	{ "_a=b", "! malformed tag list" },
	{ "a-b=c", "! malformed tag list" },
	{ "a b=c", "! malformed tag list" },
	{ "a=b;c", "! malformed tag list" },
	{ "a=\x01", "! malformed tag list" },
	{ "a=\x7f", "! malformed tag list" },
	{ "a=b\r\nc", "! malformed tag list" },
	{ "a=b\r\n", "! malformed tag list" },
	{ "a=b\n c", "! malformed tag list" },
	{ "a=b\r c", "! malformed tag list" },
	{ "a=\xff", "! malformed tag list" },
	{ "a=1;b=2;a=1", "! duplicate tag" },
	{ "a=1; a =2", "! duplicate tag" },
};

static void show(struct buf *out, const char *p, size_t n)
{
	struct dkim_tags t;
	const char *why = dkim_tags_parse(&t, p, n);

	if (why)
		buf_addf(out, "! %s", why);
	for (size_t i = 0; i < t.count && !why; i++) {
		const struct dkim_tag *tag = &t.tags[i];

		buf_add(out, tag->name.p, tag->name.n);
		buf_addc(out, '=');
		buf_add(out, tag->value.p, tag->value.n);
		buf_addc(out, '|');
	}
}

static void test_cases(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf got = BUF_INIT;

		show(&got, cases[i].input, strlen(cases[i].input));
		tap_is(got.data, cases[i].want, cases[i].input);
		buf_free(&got);
	}
}

static void test_limits(void)
{
	struct buf in = BUF_INIT, got = BUF_INIT;

	for (int i = 0; i < DKIM_TAGS_MAX; i++)
		buf_addf(&in, "t%d=;", i);
	show(&got, in.data, in.len);
	tap_ok(got.data[0] != '!', "%d tags", DKIM_TAGS_MAX);
	buf_reset(&got);
	buf_adds(&in, "more=");
	show(&got, in.data, in.len);
	tap_is(got.data, "! too many tags", "one more");
	buf_reset(&in);
	buf_addf(&in, "a=%0*d", DKIM_TAGS_BYTES - 1, 0);
	buf_reset(&got);
	show(&got, in.data, in.len);
	tap_is(got.data, "! tag list too long", "64 KB and a byte");
	buf_reset(&got);
	show(&got, "a=b\0c", 5);
	tap_is(got.data, "! malformed tag list", "NUL");
	buf_free(&in);
	buf_free(&got);
}

static void test_raw(void)
{
	static const char text[] = "bh=x; b \r\n = \r\n q w ;c=d";
	struct dkim_tags t;
	const struct dkim_tag *b;

	tap_ok(!dkim_tags_parse(&t, text, strlen(text)), "b= with space");
	b = dkim_tags_get(&t, "b");
	tap_ok(b && b->raw.n == 8 && memcmp(b->raw.p, " \r\n q w ", 8) == 0,
	       "raw value has its white space");
	tap_ok(b && b->value.n == 3 && memcmp(b->value.p, "q w", 3) == 0,
	       "value has not");
	tap_ok(!dkim_tags_get(&t, "B") && !dkim_tags_get(&t, "h") &&
	       !dkim_tags_get(&t, ""), "names are exact");
}

static const struct {
	const char *list, *want;
} lists[] = {
	{ "a", "a|" },
	{ "", "|" },
	{ "a:b", "a|b|" },
	{ " a :\r\n b ", "a|b|" },
	{ "a:", "a||" },
	{ ":", "||" },
	{ "a::b", "a||b|" },
	{ "a b:c", "a b|c|" },
};

static void test_lists(void)
{
	struct dkim_span has = { "sha1 : SHA256", 13 };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct dkim_span rest = { lists[i].list,
					  strlen(lists[i].list) }, item;
		struct buf got = BUF_INIT;

		while (dkim_span_next(&rest, &item)) {
			buf_add(&got, item.p, item.n);
			buf_addc(&got, '|');
		}
		tap_is(got.data, lists[i].want, lists[i].list);
		buf_free(&got);
	}
	tap_ok(dkim_span_has(has, "sha256") && dkim_span_has(has, "sha1") &&
	       !dkim_span_has(has, "sha") && !dkim_span_has(has, ""),
	       "elements are found");
}

static const struct {
	const char *text;
	int ret;
	uint64_t want;
} numbers[] = {
	{ "0", 0, 0 },
	{ "007", 0, 7 },
	{ "1528637909", 0, 1528637909 },
	{ "18446744073709551615", 0, UINT64_MAX },
	{ "18446744073709551616", 0, UINT64_MAX },
	{ "99999999999999999999999999999999", 0, UINT64_MAX },
	{ "184467440737095516159999", 0, UINT64_MAX },
	{ "", -1, 0 }, { "-1", -1, 0 }, { "+1", -1, 0 }, { "1 ", -1, 0 },
	{ "0x1", -1, 0 }, { "1.0", -1, 0 },
	{ "0000000000000000000000000000000000000000"
	  "000000000000000000000000000000000001", 0, 1 },
	{ "0000000000000000000000000000000000000000"
	  "0000000000000000000000000000000000001", -1, 0 },
};

static void test_numbers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct dkim_span s = { numbers[i].text,
				       strlen(numbers[i].text) };
		uint64_t v = 0;
		int ret = dkim_span_number(s, &v);

		tap_ok(ret == numbers[i].ret && v == numbers[i].want,
		       "number \"%s\"", numbers[i].text);
	}
}

static const struct {
	const char *text, *want;	/* NULL: refused */
} base64s[] = {
	{ "", "" },
	{ "Zm9v", "foo" },
	{ "Z m\t9\r\n v", "foo" },
	{ " Zm9vYg==", "foob" },
	{ "Zm9vYg = =", "foob" },
	{ "Zm9vYmFyZm9v", NULL },	/* more than 8 bytes */
	{ "Zm9vYg", NULL },
	{ "Zm9vYh==", NULL },
	{ "Zm9v\r\nYg==", NULL },
	{ "Zm9v!", NULL },
	{ "Zm9vYg==Zg==", NULL },
};

static void test_base64(void)
{
	struct buf big = BUF_INIT, out = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(base64s); i++) {
		struct dkim_span s = { base64s[i].text,
				       strlen(base64s[i].text) };

		buf_reset(&out);
		buf_adds(&out, "x");
		tap_ok((dkim_span_base64(s, 8, &out) == 0) ==
		       !!base64s[i].want &&
		       strcmp(out.data + 1,
			      base64s[i].want ? base64s[i].want : "") == 0,
		       "base64 \"%s\"", base64s[i].text);
	}
	for (int i = 0; i < 1000; i++)
		buf_adds(&big, "AAAA \r\n\t");
	buf_reset(&out);
	tap_ok(dkim_span_base64((struct dkim_span){ big.data, big.len - 3 },
				3000, &out) == 0 && out.len == 3000,
	       "3000 bytes of base64 in short lines");
	buf_reset(&out);
	tap_ok(dkim_span_base64((struct dkim_span){ big.data, big.len - 3 },
				2999, &out) < 0 && out.len == 0,
	       "a byte more than allowed");
	buf_free(&big);
	buf_free(&out);
}

int main(void)
{
	test_cases();
	test_limits();
	test_raw();
	test_lists();
	test_numbers();
	test_base64();
	return tap_done();
}
