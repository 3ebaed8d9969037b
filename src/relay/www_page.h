/* One web page: Markdown in a layout. */
#ifndef RELAY_WWW_PAGE_H
#define RELAY_WWW_PAGE_H

#include <stdbool.h>

#include "relay/relay.h"
#include "relay/www_source.h"

/* What the pages of a build have in common. */
struct www_site {
	const struct relay *relay;
	const struct www_source *source;
	bool is_webdev;
	struct arena arena;	/* owns the languages */
	struct www_language {
		const char *code;	/* "de" */
		const char *dir;	/* "de/", "" for the top */
		const char *name;	/* "Deutsch" */
	} *languages;
	size_t language_count;
};

/* Find the languages: the top is English, and so is each directory called as
 * a language tag (RFC 5646: "de", "pt-BR") with pages in it. A language's own
 * name is in the first line of its index.md, <!-- language: Deutsch -->.
 * Returns 0, or -1 with *err. */
int www_site_init(struct www_site *site, const struct relay *r,
		  const struct www_source *source, bool is_webdev,
		  struct buf *err);
void www_site_free(struct www_site *site);

/* Append the HTML of the page whose Markdown is in f. 0, or -1 with *err. */
int www_page_render(const struct www_site *site, const struct www_file *f,
		    struct buf *out, struct buf *err);

#endif
