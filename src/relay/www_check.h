/* What may not get onto a relay's pages. */
#ifndef RELAY_WWW_CHECK_H
#define RELAY_WWW_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "relay/relay.h"

/* Why a piece of a page's text may not be shown, or NULL: it names the people
 * behind upstream's own relays, whose pages others have copied. For relays at
 * or below testrun.org all is fine. As upstream's check_config(), but
 * "mytestrun.org" is another domain. */
const char *www_refuse(const struct relay *r, const char *text, size_t n);
/* The same for the privacy settings. 0, or -1 with *err "FILE:LINE: key: …". */
int www_check_settings(const struct relay *r, struct buf *err);
/* The same for each line of a file that is shown as shown; -1 with *err. */
int www_check_lines(const struct relay *r, const char *shown, const char *text,
		    size_t n, struct buf *err);

/* -1 with *err "FILE:LINE: …" when the text has a merge conflict, or what is
 * left of one: a line that begins with <<<<<<<, or with ======= and a later one
 * with >>>>>>>. Each of the last two alone is a heading or a quotation. */
int www_check_conflict(const char *shown, const char *text, size_t n,
		       struct buf *err);
/* -1 with *err "FILE:LINE: …" when it is not UTF-8 or has NUL bytes. */
int www_check_utf8(const char *shown, const char *text, size_t n,
		   struct buf *err);

#endif
