/* Helpers on strings and bytes. */
#include "tap.h"

#include <stdlib.h>

#include "base/proc.h"
#include "base/str.h"

static void test_prefixes(void)
{
	static const struct {
		const char *s, *part;
		bool starts, ends;
	} cases[] = {
		{ "", "", true, true }, { "a", "", true, true },
		{ "", "a", false, false }, { "abc", "ab", true, false },
		{ "abc", "bc", false, true }, { "abc", "abc", true, true },
		{ "abc", "abcd", false, false }, { "abc", "xabc", false, false },
		{ "abc", "AB", false, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_ok(str_starts(cases[i].s, cases[i].part) == cases[i].starts &&
		       str_ends(cases[i].s, cases[i].part) == cases[i].ends,
		       "\"%s\" and \"%s\"", cases[i].s, cases[i].part);
	tap_ok(str_eqi("MAIL from", "mail FROM"), "eqi");
	tap_ok(!str_eqi("mail", "mail ") && !str_eqi("", "a"), "not eqi");
	tap_ok(!str_eqi("[", "{") && !str_eqi("@", "`"),
	       "only letters have a case");
	tap_ok(!str_eqi("\xc4", "\xe4"), "only ASCII has a case");
}

static void test_trim(void)
{
	static const struct {
		const char *input, *want;
	} cases[] = {
		{ "", "" }, { " ", "" }, { " \t\r\n", "" }, { "a", "a" },
		{ "  a b\t\n", "a b" }, { "a\n", "a" }, { "\va\f", "\va\f" },
		{ "\xc2\xa0", "\xc2\xa0" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *s = xstrdup(cases[i].input);

		tap_is(str_trim(s), cases[i].want, "trim");
		free(s);
	}
}

static void test_numbers(void)
{
	static const struct {
		const char *s;
		int ret;
		uint64_t want;
	} cases[] = {
		{ "0", 0, 0 }, { "007", 0, 7 }, { "18446744073709551615", 0,
		UINT64_MAX }, { "18446744073709551616", -1, 5 },
		{ "99999999999999999999999", -1, 5 }, { "", -1, 5 },
		{ "-1", -1, 5 }, { "+1", -1, 5 }, { " 1", -1, 5 },
		{ "1 ", -1, 5 }, { "0x1", -1, 5 }, { "1.0", -1, 5 },
		{ "\xd9\xa1", -1, 5 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t v = 5;

		tap_ok(str_to_u64(cases[i].s, &v) == cases[i].ret &&
		       v == cases[i].want, "number \"%s\"", cases[i].s);
	}
}

static const struct {
	const char *name, *input;
	size_t length;
	bool valid;
	const char *printable, *json;
} texts[] = {
	{ "nothing", "", 0, true, "", "\"\"" },
	{ "ASCII", "a\"\\/b", 5, true, "a\"\\/b", "\"a\\\"\\\\/b\"" },
	{ "controls", "\t\n\r\x1b\x7f", 5, true, "\\x09\\x0a\\x0d\\x1b\\x7f",
	  "\"\\u0009\\n\\u000d\\u001b\\u007f\"" },
	{ "C1 controls", "\xc2\x9b", 1, true, "\\xc2\\x9b", "\"\\u009b\"" },
	{ "two bytes", "\xc3\xa9", 1, true, "\xc3\xa9", "\"\\u00e9\"" },
	{ "three bytes", "\xe2\x82\xac", 1, true, "\xe2\x82\xac",
	  "\"\\u20ac\"" },
	{ "four bytes", "\xf0\x9f\x98\x80", 1, true, "\xf0\x9f\x98\x80",
	  "\"\\ud83d\\ude00\"" },
	{ "the last code point", "\xf4\x8f\xbf\xbf", 1, true,
	  "\xf4\x8f\xbf\xbf", "\"\\udbff\\udfff\"" },
	{ "beyond it", "\xf4\x90\x80\x80", 4, false, "\\xf4\\x90\\x80\\x80",
	  "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
	{ "overlong", "\xc0\xaf", 2, false, "\\xc0\\xaf",
	  "\"\\ufffd\\ufffd\"" },
	{ "overlong in three", "\xe0\x80\xaf", 3, false, "\\xe0\\x80\\xaf",
	  "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "overlong in four", "\xf0\x80\x80\xaf", 4, false,
	  "\\xf0\\x80\\x80\\xaf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
	{ "a surrogate", "\xed\xa0\x80", 3, false, "\\xed\\xa0\\x80",
	  "\"\\ufffd\\ufffd\\ufffd\"" },
	{ "cut", "a\xe2\x82", 3, false, "a\\xe2\\x82", "\"a\\ufffd\\ufffd\"" },
	{ "cut by ASCII", "\xe2\x82z", 3, false, "\\xe2\\x82z",
	  "\"\\ufffd\\ufffdz\"" },
	{ "a lone continuation", "\x80", 1, false, "\\x80", "\"\\ufffd\"" },
	{ "0xff", "\xff", 1, false, "\\xff", "\"\\ufffd\"" },
};

static void test_utf8(void)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *s = texts[i].input;
		size_t n = strlen(s);
		char *exact = malloc(n ? n : 1); /* reading past it is seen */
		struct buf b = BUF_INIT;

		memcpy(exact, s, n);
		tap_ok(utf8_length(exact, n) == texts[i].length,
		       "%s: length", texts[i].name);
		tap_ok(utf8_is_valid(exact, n) == texts[i].valid,
		       "%s: valid or not", texts[i].name);
		buf_add_printable(&b, exact, n);
		tap_is(b.data, texts[i].printable, texts[i].name);
		buf_reset(&b);
		buf_add_json(&b, s);
		tap_is(b.data, texts[i].json, texts[i].name);
		buf_free(&b);
		free(exact);
	}
	tap_ok(utf8_is_valid("a\0b", 3) && utf8_length("a\0b", 3) == 3,
	       "a NUL is a character");
}

static void test_encodings(void)
{
	static const struct {
		const char *input, *want;
	} base64[] = {	/* RFC 4648 section 10 */
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfb", "//77" },
	}, percent[] = {
		{ "", "" }, { "aZ09-._~", "aZ09-._~" }, { "a@b", "a@b" },
		{ "p@ss w+rd", "p@ss%20w%2Brd" }, { "%&=?#/", "%25%26%3D%3F%23%2F" },
		{ "\xc3\xa9\n", "%C3%A9%0A" },
	};

	for (size_t i = 0; i < ARRAY_LEN(base64); i++) {
		struct buf b = BUF_INIT;

		buf_add_base64(&b, base64[i].input, strlen(base64[i].input));
		tap_is(b.data, base64[i].want, "base64");
		buf_free(&b);
	}
	for (size_t i = 0; i < ARRAY_LEN(percent); i++) {
		struct buf b = BUF_INIT;

		buf_add_percent(&b, percent[i].input, "@");
		tap_is(b.data, percent[i].want, "percent");
		buf_free(&b);
	}
}

static void test_html(void)
{
	static const struct {
		const char *input, *want;
	} cases[] = {
		{ "", "" }, { "a_b [1]", "a_b [1]" }, { "<", "&lt;" },
		{ "a&b", "a&amp;b" }, { "&amp;", "&amp;amp;" },
		{ "<a b=\"c\">'", "&lt;a b=&quot;c&quot;&gt;&#39;" },
		{ "\xc3\xa9\n\xc3\xa9", "\xc3\xa9\n\xc3\xa9" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT;

		buf_add_html(&b, cases[i].input);
		tap_is(b.data, cases[i].want, "HTML");
		buf_free(&b);
	}
}

static void test_wrapped(void)
{
	static const struct {
		const char *name, *input, *want;
	} cases[] = {
		{ "fits", "one two", "# one two\n" },
		{ "exactly", "one two 34", "# one two\n# 34\n" },
		{ "to the last column", "12345678 0", "# 12345678\n# 0\n" },
		{ "a wide word", "a 1234567890123 b", "# a\n# 1234567890123\n"
		  "# b\n" },
		{ "nothing", "", "\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT;

		buf_add_wrapped(&b, "# ", cases[i].input, 10);
		tap_is(b.data, cases[i].want, cases[i].name);
		buf_free(&b);
	}
}

static void test_glob(void)
{
	static const struct {
		const char *pattern, *s;
		bool want;
	} cases[] = {
		{ "", "", true }, { "", "a", false }, { "a", "", false },
		{ "abc", "abc", true }, { "abc", "abcd", false },
		{ "abc", "ab", false }, { "*", "", true }, { "*", "abc", true },
		{ "a?c", "abc", true }, { "a?c", "ac", false },
		{ "?", "", false }, { "a*", "a", true }, { "*a", "ba", true },
		{ "*a", "ab", false }, { "*.b.*", "a.b.c", true },
		{ "*.b.*", "a.c.b", false }, { "a*b*c", "aXbYbZc", true },
		{ "a*b*c", "aXbYbZ", false }, { "**", "x", true },
		{ "*?", "", false }, { "*?*", "x", true },
		{ "*aab", "aaaab", true }, { "A", "a", false },
		{ "a\\*", "a*", false }, { "[ab]", "a", false },
	};
	static char many[100001];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_ok(str_glob(cases[i].s, cases[i].pattern) == cases[i].want,
		       "glob \"%s\" on \"%s\"", cases[i].pattern, cases[i].s);
	memset(many, 'a', sizeof(many) - 1);
	tap_ok(!str_glob(many, "*a*a*a*a*a*a*a*a*a*a*b"),
	       "glob: many stars end soon");
}

/* What a shell makes of the word is the word. */
static void test_shell(void)
{
	static const struct {
		const char *input, *want;
	} cases[] = {
		{ "", "''" }, { "a", "a" }, { "/usr/bin/x-1.2_3", NULL },
		{ "a b", "'a b'" }, { "it's", "'it'\\''s'" },
		{ "'", "''\\'''" }, { "$HOME `id` $(id) \"x\" \\", NULL },
		{ "a\nb\n", NULL }, { "~", NULL }, { "*", NULL }, { "!x", NULL },
		{ "-n", NULL }, { "a=b", NULL }, { "#", NULL }, { "{a,b}", NULL },
		{ "\t\x01\xff", NULL }, { "\\'\\", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT, out = BUF_INIT, err = BUF_INIT;
		const char *argv[] = { "sh", "-c", NULL, NULL };
		struct proc_spec spec = { .argv = argv };

		buf_add_shell(&b, cases[i].input);
		if (cases[i].want)
			tap_is(b.data, cases[i].want, "shell");
		buf_prefixf(&b, "printf '%%s|' ");
		argv[2] = b.data;
		tap_ok(proc_run(&spec, &out, &err) == 0 && out.len > 0 &&
		       out.len == strlen(cases[i].input) + 1 &&
		       memcmp(out.data, cases[i].input, out.len - 1) == 0,
		       "sh reads word %zu", i);
		buf_free(&b);
		buf_free(&out);
		buf_free(&err);
	}
}

static void test_words(void)
{
	static const struct {
		const char *words, *word;
		bool want;
	} cases[] = {
		{ NULL, "a", false }, { "", "a", false }, { "a", "a", true },
		{ "ab", "a", false }, { "a", "ab", false },
		{ "b a", "a", true }, { "b  a c", "a", true },
		{ "b a ", "c", false }, { "ba", "a", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_ok(str_has_word(cases[i].words, cases[i].word,
				    strlen(cases[i].word)) == cases[i].want,
		       "%s in \"%s\"", cases[i].word, cases[i].words ?
		       cases[i].words : "(nothing)");
}

int main(void)
{
	test_glob();
	test_shell();
	test_prefixes();
	test_trim();
	test_numbers();
	test_utf8();
	test_encodings();
	test_html();
	test_wrapped();
	test_words();
	return tap_done();
}
