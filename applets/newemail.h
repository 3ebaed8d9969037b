/* The parts of applets/newemail*.c, for these alone. */
#ifndef NEWEMAIL_H
#define NEWEMAIL_H

#include "base/buf.h"
#include "relay/newaccount.h"
#include "relay/relay.h"

/* A page of newemail, for people. */
struct newemail_page {
	const char *languages;	/* Accept-Language, or NULL */
	const char *address;	/* "" when there is none */
	const char *dclogin;	/* the link that logs in with it */
	const char *reason;	/* why there is no address */
};

/* Append the page in the language that its reader likes best of those in
 * conf-templates/newemail/. Returns 0, or -1 with *err and out as it was. */
int newemail_add_page(struct buf *out, const struct newemail_page *p,
		      const struct relay *r, struct buf *err);

/* Append the QR code of a dclogin link as an <svg> element; 0, or -1. */
int newemail_add_qr(struct buf *out, const char *dclogin);

#endif
