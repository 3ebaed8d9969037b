/* Markdown: what comes out, which heading is a page's title, and values that
 * cannot change the markup. */
#include "tap.h"

#include "base/str.h"
#include "text/md.h"

static const struct {
	const char *name, *input, *want;
} cases[] = {
	{ "nothing", "", "" },
	{ "a heading", "# A *b*\n", "<h1>A <em>b</em></h1>\n" },
	{ "a BOM is left out", "\xef\xbb\xbf# A\n", "<h1>A</h1>\n" },
	{ "a link", "[a](b.html)\n", "<p><a href=\"b.html\">a</a></p>\n" },
	{ "a table", "|a|b|\n|---|---|\n|c|d|\n",
	  "<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n"
	  "<tbody>\n<tr>\n<td>c</td>\n<td>d</td>\n</tr>\n</tbody>\n</table>\n" },
	{ "raw HTML", "<div id=\"x\">\n*a*\n</div>\n",
	  "<div id=\"x\">\n*a*\n</div>\n" },
	{ "a heading in HTML", "<h2 id=\"x\">*A* b</h2>\n\ntext\n",
	  "<h2 id=\"x\"><em>A</em> b</h2>\n<p>text</p>\n" },
	{ "a heading in HTML over text", "<H3>A</H3>\ntext\n\n<p>b</p>\n",
	  "<H3>A</H3>\ntext\n<p>b</p>\n" },
	{ "a tag that only begins so", "<h2x>a</h2x>\n",
	  "<p><h2x>a</h2x></p>\n" },
	{ "raw HTML in a line", "a <br> b\n", "<p>a <br> b</p>\n" },
	{ "a bare link", "https://delta.chat/x\n", "<p><a href=\""
	  "https://delta.chat/x\">https://delta.chat/x</a></p>\n" },
	{ "a fence keeps lines", "```\na\n  b\n```\n",
	  "<pre><code>a\n  b\n</code></pre>\n" },
	{ "a comment", "<!-- language: Deutsch -->\n# A\n",
	  "<!-- language: Deutsch -->\n<h1>A</h1>\n" },
};

static const struct {
	const char *name, *html, *want;
} headings[] = {
	{ "nothing", "", NULL },
	{ "text only", "<p>h1</p>", NULL },
	{ "one", "<h1>A</h1>", "A" },
	{ "the first of two",
	  "<p>x</p>\n<h2 class=\"y\">\n A  <em>b</em>\nc </h2><h1>d</h1>",
	  "A b c" },
	{ "with an anchor", "<h3><a name=\"h1\"></a> Account &amp; deletion</h3>",
	  "Account &amp; deletion" },
	{ "not in a comment", "<!-- <h1>no</h1> --><h2>yes</h2>", "yes" },
	{ "not an empty one", "<h2><img src=\"x\"></h2><h2>second</h2>", "second" },
	{ "no other tags", "<header>a</header><hr><h7>b</h7>", NULL },
	{ "upper case", "<H1>A</H1>", "A" },
	{ "no end", "<h1>A", "A" },
	{ "no tag", "<h1", NULL },
	{ "no end of a comment", "<h1><!-- A", NULL },
};

static void test_headings(void)
{
	for (size_t i = 0; i < ARRAY_LEN(headings); i++) {
		struct buf out = BUF_INIT;
		bool found = md_add_heading(&out, headings[i].html);

		tap_is(found ? out.data : NULL, headings[i].want,
		       headings[i].name);
		tap_ok(found || out.len == 0, "nothing is added for none");
		buf_free(&out);
	}
}

/* source: Markdown with a value for each "@", and what becomes of it */
static const struct {
	const char *name, *source, *value, *want;
} valued[] = {
	{ "text", "a @ b", "_chat.test", "<p>a _chat.test b</p>\n" },
	{ "nothing but a value", "@", "# x\n\n* y", "<p># x\n\n* y</p>\n" },
	{ "emphasis", "**@**.", "*a*", "<p><strong>*a*</strong>.</p>\n" },
	{ "a link", "[@](https://@/new)", "[1.2.3.4]",
	  "<p><a href=\"https://[1.2.3.4]/new\">[1.2.3.4]</a></p>\n" },
	{ "a reference", "[x]: https://@\n\n[x]", "a.b",
	  "<p><a href=\"https://a.b\">x</a></p>\n" },
	{ "code", "`@`", "`</code>`", "<p><code>`&lt;/code&gt;`</code></p>\n" },
	{ "a fence", "```\n@\n```\n", "Street 1\nTown\n```\n</pre>",
	  "<pre><code>Street 1\nTown\n```\n&lt;/pre&gt;\n</code></pre>\n" },
	{ "an attribute", "<img src=\"@.png\">\n", "a\" onload=\"b",
	  "<img src=\"a&quot; onload=&quot;b.png\">\n" },
	{ "a table's cell", "|a|b|\n|---|---|\n|@|d|\n", "b | c",
	  "<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n"
	  "<tbody>\n<tr>\n<td>b | c</td>\n<td>d</td>\n</tr>\n</tbody>\n</table>\n" },
	{ "underscores", "_@_", "a_b", "<p><em>a_b</em></p>\n" },
	{ "twice", "@ @", "&lt;", "<p>&amp;lt; &amp;lt;</p>\n" },
	{ "empty", "(@)", "", "<p>()</p>\n" },
};

/* As a page is made: values as placeholders, Markdown, values. */
static void render(struct buf *out, const char *source, const char *value)
{
	struct buf text = BUF_INIT, html = BUF_INIT, err = BUF_INIT;
	struct md_values v;

	md_values_init(&v, source, strlen(source));
	for (const char *p = source; *p; p++) {
		if (*p == '@')
			md_values_add(&v, &text, value, false);
		else
			buf_addc(&text, *p);
	}
	md_to_html(&html, text.data, text.len, &err);
	md_values_insert(&v, out, html.data, html.len);
	md_values_free(&v);
	buf_free(&text);
	buf_free(&html);
	buf_free(&err);
}

static void test_values(void)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct md_values v, again;

	for (size_t i = 0; i < ARRAY_LEN(valued); i++) {
		struct buf out = BUF_INIT;

		render(&out, valued[i].source, valued[i].value);
		tap_is(out.data, valued[i].want, valued[i].name);
		buf_free(&out);
	}
	/* a source that has the placeholder already, as no one can know it */
	md_values_init(&v, "x", 1);
	buf_adds(&a, v.prefix);
	md_values_init(&again, "x", 1);
	tap_is(again.prefix, v.prefix, "the same source, the same placeholder");
	md_values_insert(&v, &b, a.data, a.len);
	tap_is(b.data, a.data, "half a placeholder stays as it is");
	buf_adds(&a, "00000001 ");
	buf_reset(&b);
	md_values_insert(&v, &b, a.data, a.len);
	tap_is(b.data, a.data, "and one of no value");
	buf_reset(&a);
	buf_reset(&b);
	md_values_add(&v, &a, "<b>&amp;</b>", true);
	md_values_insert(&v, &b, a.data, a.len);
	tap_is(b.data, "<b>&amp;</b>", "HTML goes in as it is");
	md_values_free(&v);
	md_values_free(&again);
	buf_free(&a);
	buf_free(&b);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = BUF_INIT, err = BUF_INIT;

		tap_ok(md_to_html(&out, cases[i].input,
				  strlen(cases[i].input), &err) == 0,
		       "%s", cases[i].name);
		tap_is(out.data, cases[i].want, "its HTML");
		buf_free(&out);
		buf_free(&err);
	}
	test_headings();
	test_values();
	return tap_done();
}
