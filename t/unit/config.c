/* The syntax of chatmail.ini: "section|name=value@line" each, or the error. */
#include "tap.h"

#include <stdlib.h>

#include "base/str.h"
#include "text/config.h"

static const struct {
	const char *name, *input, *want;
} cases[] = {
	{ "nothing", "", "" },
	{ "empty lines and comments", "\n \n# a\n; b\n  # c\n", "" },
	{ "a setting", "[params]\na = b\n", "params|a=b@2;" },
	{ "no newline at the end", "[p]\na=b", "p|a=b@2;" },
	{ "CRLF", "[p]\r\na = b\r\n c\r\n", "p|a=b\nc@2;" },
	{ "a colon", "[p]\na: b\n", "p|a=b@2;" },
	{ "= behind a colon", "[p]\na:b=c\n", "p|a=b=c@2;" },
	{ "a colon behind =", "[p]\na = http://x\n", "p|a=http://x@2;" },
	{ "# in a value", "[p]\na = b # c\n", "p|a=b # c@2;" },
	{ "an empty value", "[p]\na =\nb=\n", "p|a=@2;p|b=@3;" },
	{ "blanks", "[ p ]\na b \t=\t c  d \t\n", "p|a b=c  d@2;" },
	{ "a value goes on", "[p]\na = b\n  c = d\n\te\nf = g\n",
	  "p|a=b\nc = d\ne@2;p|f=g@5;" },
	{ "it begins in the next line", "[p]\na =\n b\n c\n",
	  "p|a=b\nc@2;" },
	{ "comments and empty lines inside it", "[p]\na = b\n\n # x\n c\n",
	  "p|a=b\nc@2;" },
	{ "two sections", "[p]\na=1\n[q]\na=2\n[p]\nb=3\n",
	  "p|a=1@2;q|a=2@4;p|b=3@6;" },
	{ "a comment behind the section", "[p] # x\na=1\n", "p|a=1@2;" },
	{ "a section without name", "[]\na=1\n", "|a=1@2;" },
	{ "UTF-8", "[p]\na = \xc3\xa9\n", "p|a=\xc3\xa9@2;" },
	{ "an indented section is a value", "[p]\na = b\n [q]\n",
	  "p|a=b\n[q]@2;" },

	{ "no section", "a = b\n",
	  "x.ini:1: a setting before any [section]" },
	{ "a BOM", "\xef\xbb\xbf[p]\na = b\n",
	  "x.ini:1: a setting before any [section]" },
	{ "not a setting", "[p]\n\nnothing\n",
	  "x.ini:3: expected name = value, got: nothing" },
	{ "no name", "[p]\n = b\n",
	  "x.ini:2: an indented line that continues nothing" },
	{ "no name at all", "[p]\n= b\n", "x.ini:2: a setting without a name" },
	{ "no ]", "[p\na = b\n", "x.ini:1: a section needs a closing ]" },
	{ "text behind ]", "[p] a = b\n",
	  "x.ini:1: only a comment may follow a section: a = b" },
	{ "twice", "[p]\na = 1\nb = 2\na = 1\n",
	  "x.ini:4: a was set before, in line 2" },
	{ "twice in a section that is split", "[p]\na = 1\n[q]\n[p]\na = 1\n",
	  "x.ini:5: a was set before, in line 2" },
	{ "nothing to continue", "  a\n",
	  "x.ini:1: an indented line that continues nothing" },
	{ "nothing to continue in this section", "[p]\na=1\n[q]\n b\n",
	  "x.ini:4: an indented line that continues nothing" },
	{ "invalid UTF-8", "[p]\na = \xff\n", "x.ini:2: not valid UTF-8" },
	{ "invalid UTF-8 in a comment", "# \xc3\n", "x.ini:1: not valid UTF-8" },
};

static void describe(struct buf *out, const struct config *c)
{
	for (size_t i = 0; i < c->count; i++)
		buf_addf(out, "%s|%s=%s@%u;", c->entries[i].section,
			 c->entries[i].name, c->entries[i].value,
			 c->entries[i].line);
}

static void run(const char *name, const char *input, size_t n,
		const char *want)
{
	struct buf err = BUF_INIT, got = BUF_INIT;
	char *exact = xmalloc(n); /* reading past it is seen */
	struct config c;

	memcpy(exact, input, n);
	if (config_parse(&c, "x.ini", exact, n, &err) < 0)
		buf_adds(&got, err.data);
	else
		describe(&got, &c);
	tap_is(got.data, want, name);
	config_free(&c);
	buf_free(&got);
	buf_free(&err);
	free(exact);
}

static void test_long_values(void)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	struct config c;

	buf_adds(&text, "[p]\na = ");
	for (int i = 0; i < 200000; i++)
		buf_addc(&text, 'x');
	tap_ok(config_parse(&c, "x.ini", text.data, text.len, &err) == 0 &&
	       strlen(c.entries[0].value) == 200000, "a line of 200 KB");
	config_free(&c);
	buf_setf(&text, "[p]\na = b\n");
	for (int i = 0; i < 200000; i++)
		buf_adds(&text, " x\n");
	tap_ok(config_parse(&c, "x.ini", text.data, text.len, &err) < 0,
	       "a value of 200,000 lines");
	tap_ok(str_ends(err.data, ": the value is too long: a"), "says so");
	config_free(&c);
	buf_free(&text);
	buf_free(&err);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run(cases[i].name, cases[i].input, strlen(cases[i].input),
		    cases[i].want);
	run("a NUL", "[p]\na = b\0c\n", 12, "x.ini:2: a NUL byte");
	run("a NUL in a comment", "#\0\n", 3, "x.ini:1: a NUL byte");
	test_long_values();
	return tap_done();
}
