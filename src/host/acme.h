/* Certificates from an ACME authority (RFC 8555), by the program uacme. */
#ifndef HOST_ACME_H
#define HOST_ACME_H

#include <stdbool.h>

#include "base/buf.h"

struct acme {
	const char *directory;	/* URL of the authority's directory */
	const char *email;	/* contact, "" for none */
	const char *domain;	/* www. and mta-sts. come with it */
	const char *state_dir;	/* uacme's: accounts, keys, certificates */
	const char *live_dir;	/* /var/lib/acme, laid out as acmetool's */
	const char *hook;	/* called by uacme for each challenge */
};

/* Is the certificate in live_dir missing, for other names, signed by itself,
 * or past two thirds of its time? The reason is appended to why. */
bool acme_is_due(const struct acme *a, struct buf *why);

/* Get a certificate and put it in place when it is due. The web server has to
 * answer on port 80 with what acme_hook() wrote. An account that acmetool has
 * with the authority is used on, as a CAA record may name it. Returns 1 when
 * the certificate is new, 0 when nothing was due, -1 with *err. */
int acme_renew(const struct acme *a, struct buf *err);

/* Something to start servers with: without any certificate in live_dir, a
 * self-signed one is put there. Returns 1 when it was, 0, or -1 with *err. */
int acme_bootstrap(const struct acme *a, struct buf *err);

/* Append the account's URL, for a CAA record (RFC 8657): of the account that
 * acme_renew() made or took over. Returns 0, or -1 when none is known. */
int acme_account_url(const struct acme *a, struct buf *url);

/* uacme's hook: "begin", "done" or "failed" and the type, name, token and
 * authorization of a challenge. Answers http-01 with a file under
 * webroot/.well-known/acme-challenge. Returns 0, or -1 with *err, which makes
 * uacme try another type. */
int acme_hook(const char *webroot, char *const args[5], struct buf *err);

#endif
