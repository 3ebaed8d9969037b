/* Markdown to HTML by md4c, as GitHub writes it: tables, bare links, raw
 * HTML. And values that are put in afterwards, so that nothing in them can
 * change the markup. */
#ifndef TEXT_MD_H
#define TEXT_MD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

/* Append the HTML of n bytes of Markdown (UTF-8 without NUL bytes, a BOM is
 * left out): what stands inside <body>. Returns 0, or -1 with *err when memory
 * is short. */
int md_to_html(struct buf *out, const char *text, size_t n, struct buf *err);

/* Append the text of the first heading in HTML: without tags and comments,
 * each white space one blank, character references as they are. False when
 * there is none with text. */
bool md_add_heading(struct buf *out, const char *html);

/* Values by placeholders: letters and digits that Markdown leaves alone and
 * that do not occur in the source. */
struct md_values {
	struct arena arena;		/* owns the values */
	char prefix[18];
	size_t count, room;
	struct md_value {
		const char *text;	/* HTML */
		size_t len;
	} *values;
};

/* For a source of n bytes; the same source gives the same placeholders. */
void md_values_init(struct md_values *v, const char *source, size_t n);
void md_values_free(struct md_values *v);
/* Append a placeholder for a value that is text, or HTML when is_html. */
void md_values_add(struct md_values *v, struct buf *out, const char *value,
		   bool is_html);
/* Append html with the values in the placeholders' places. */
void md_values_insert(const struct md_values *v, struct buf *out,
		      const char *html, size_t n);

#endif
