#include "text/md.h"

#include <limits.h>
#include <md4c-html.h>
#include <md4c.h>
#include <string.h>

static void on_html(const MD_CHAR *p, MD_SIZE n, void *out)
{
	buf_add(out, p, n);
}

int md_to_html(struct buf *out, const char *text, size_t n, struct buf *err)
{
	size_t before = out->len;

	if (n <= UINT_MAX / 2 &&
	    md_html(text, (MD_SIZE)n, on_html, out, MD_DIALECT_GITHUB,
		    MD_HTML_FLAG_SKIP_UTF8_BOM) == 0)
		return 0;
	buf_truncate(out, before);
	buf_setf(err, "Markdown of %zu bytes cannot be converted", n);
	return -1;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
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
