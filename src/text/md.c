#include "text/md.h"

#include <limits.h>
#include <md4c-html.h>
#include <md4c.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void on_html(const MD_CHAR *p, MD_SIZE n, void *out)
{
	buf_add(out, p, n);
}

/* The HTML block that begins at p, in a paragraph's place. */
static bool is_block(const char *p)
{
	static const char *const tags[] = {
		"h2", "h3", "h4", "h5", "h6", "header",
	};

	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		size_t n = strlen(tags[i]);

		if (*p == '<' && strncasecmp(p + 1, tags[i], n) == 0 &&
		    (p[n + 1] == '>' || is_space(p[n + 1])))
			return true;
	}
	return false;
}

/* md4c 0.4.8 does not know that these begin a block (CommonMark 0.31 section
 * 4.6) and puts them into a paragraph, where HTML lets none stand: browsers
 * show an empty one before and behind it. */
static void add_html(struct buf *out, const char *html)
{
	static const char begin[] = "<p>", end[] = "</p>";
	const char *p;

	while ((p = strstr(html, begin))) {
		const char *inside = p + strlen(begin);
		const char *last = is_block(inside) ? strstr(inside, end) : NULL;

		buf_add(out, html, (size_t)((last ? p : inside) - html));
		html = inside;
		if (last) {
			buf_add(out, inside, (size_t)(last - inside));
			html = last + strlen(end);
		}
	}
	buf_adds(out, html);
}

int md_to_html(struct buf *out, const char *text, size_t n, struct buf *err)
{
	struct buf html = BUF_INIT;
	bool done = n <= UINT_MAX / 2 &&
		    md_html(text, (MD_SIZE)n, on_html, &html, MD_DIALECT_GITHUB,
			    MD_HTML_FLAG_SKIP_UTF8_BOM) == 0;

	if (done)
		add_html(out, html.data);
	else
		buf_setf(err, "Markdown of %zu bytes cannot be converted", n);
	buf_free(&html);
	return done ? 0 : -1;
}

/* Behind the tag or comment at p, which begins with "<". */
static const char *skip_tag(const char *p)
{
	bool is_comment = strncmp(p, "<!--", 4) == 0;
	const char *end = strstr(p, is_comment ? "-->" : ">");

	return end ? end + (is_comment ? 3 : 1) : p + strlen(p);
}

/* Text up to the end tag; returns where that is. */
static const char *add_text(struct buf *out, const char *p)
{
	bool blank = false;
	size_t before = out->len;

	while (*p && !(p[0] == '<' && p[1] == '/' && (p[2] | 32) == 'h')) {
		if (*p == '<') {
			p = skip_tag(p);
			continue;
		}
		if (is_space(*p)) {
			blank = true;
		} else {
			if (blank && out->len > before)
				buf_addc(out, ' ');
			buf_addc(out, *p);
			blank = false;
		}
		p++;
	}
	return p;
}

bool md_add_heading(struct buf *out, const char *html)
{
	size_t before = out->len;
	const char *p = html;

	while ((p = strchr(p, '<'))) {
		bool is_heading = (p[1] | 32) == 'h' && p[2] >= '1' &&
				  p[2] <= '6' && (p[3] == '>' || is_space(p[3]));

		p = skip_tag(p);
		if (is_heading)
			p = add_text(out, p);
		if (out->len > before)
			return true;
	}
	return false;
}
