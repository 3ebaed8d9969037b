/* Fresh credentials for someone who wants an address. The address comes into
 * being at its first login, not here (upstream: newemail.py). */
#ifndef RELAY_NEWACCOUNT_H
#define RELAY_NEWACCOUNT_H

#include "base/buf.h"
#include "relay/relay.h"

struct newaccount {
	struct buf email;	/* not in use at the moment */
	struct buf password;	/* letters, digits, punctuation */
};

/* Choose an address and a password that satisfy the relay's rules. Returns 0,
 * or -1 with *err when creation is blocked or no free address was found; err
 * is fit for the person who asked. newaccount_free() in both cases. */
int newaccount_make(struct newaccount *a, const struct relay *r,
		    struct buf *err);
void newaccount_free(struct newaccount *a);

/* Append the dclogin: URL that makes an app log in with these credentials and
 * accept a self-signed certificate; extra, "" or "&is=ssl…", is added. */
void newaccount_dclogin(struct buf *out, const struct newaccount *a,
			const struct relay *r, const char *extra);

#endif
