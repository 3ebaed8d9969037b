/* The relay's web pages: Markdown and templates to a directory that a web
 * server shows as it is. */
#ifndef RELAY_WWW_H
#define RELAY_WWW_H

#include <stdbool.h>

#include "relay/relay.h"

/* The sources are, in this order: the directory `source`; the setting
 * www_folder; the pages in the binary. A www_folder with src/index.md is built
 * from its src; any other is taken as it is.
 *
 * Each NAME.md becomes NAME.html in the page-layout.html of its directory or of
 * the nearest one above it, at last in ours. Everything else is copied. With
 * them comes the invitation's QR code, qr-chatmail-invite-DOMAIN.svg and .png,
 * unless the sources have files of these names. Names that begin with "." (but
 * .well-known) or end in "~" or ".swp" are left out. Symbolic links are followed
 * to files inside the sources only.
 *
 * Pages know every name that templates of the configuration know, with or
 * without "config." before it, and those of page_vars[] in www_page.c. */
struct www_options {
	const char *output;	/* made, or replaced as a whole */
	const char *source;	/* NULL: what the relay's settings say */
	bool is_webdev;		/* {{ webdev }} is true; nothing is synced */
};

/* The file that tells an output directory of ours from others. */
#define WWW_MARKER ".chatmail-www"

enum { WWW_ERROR = -1, WWW_BUILT = 0, WWW_SKIPPED = 1 };

/* Build the pages. WWW_SKIPPED: www_folder is no directory, which is said in
 * *warnings, one line each. WWW_ERROR: *err says why, as "FILE:LINE: reason"
 * where a file is to blame, and the output is as it was: broken templates,
 * merge conflicts, other operators' contacts in pages or privacy settings, an
 * output directory that is not empty and that this did not make. The same
 * sources give the same bytes. */
int www_build(const struct relay *r, const struct www_options *o,
	      struct buf *warnings, struct buf *err);

/* Is a file or directory of that name left out of the pages? */
bool www_is_ignored(const char *name);

#endif
