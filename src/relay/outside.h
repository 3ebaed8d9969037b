/* A relay as apps and other servers see it: its domain, its public ports, the
 * certificate that it has to show. For commands that try one from outside,
 * whoever has set it up. */
#ifndef RELAY_OUTSIDE_H
#define RELAY_OUTSIDE_H

#include "base/buf.h"
#include "net/stream.h"
#include "net/trust.h"
#include "net/web.h"
#include "relay/relay.h"

enum outside_port {
	OUTSIDE_SMTP, OUTSIDE_SUBMISSION, OUTSIDE_SMTPS, OUTSIDE_IMAP,
	OUTSIDE_IMAPS, OUTSIDE_HTTPS, OUTSIDE_HTTP, OUTSIDE_PORTS
};

struct outside {
	struct relay *relay;	/* what chatmail.ini says, or its defaults */
	const char *host;	/* name or address to connect to */
	const char *name;	/* mail_domain without brackets: the certificate
				 * is for that */
	unsigned ports[OUTSIDE_PORTS];
	struct trust *trust;
	bool is_known;		/* its chatmail.ini, not the domain alone */
	bool is_sandbox;
	struct arena arena;	/* owns texts */
};

/* What is known of it beforehand. */
struct outside_target {
	/* A chatmail.ini, a sandbox's directory, or a domain whose other
	 * settings are not known. */
	const char *what;
	const char *address;	/* connect there; NULL: where the name leads */
	const char *ca_file;	/* authorities besides the system's, or NULL */
};

/* Returns 0, or -1 with *err; *warnings as of relay_load(). outside_free() in
 * both cases. */
int outside_open(struct outside *o, const struct outside_target *t,
		 struct buf *warnings, struct buf *err);
void outside_free(struct outside *o);

/* "smtp", "imaps", … */
const char *outside_port_name(enum outside_port port);
/* How a port is spoken to; secs as of struct stream_peer. Lives as *o does. */
void outside_peer(const struct outside *o, enum outside_port port, double secs,
		  struct stream_peer *peer);
/* POST with an empty body to the relay's web server; path begins with "/".
 * Returns as web_ask(). */
int outside_post(const struct outside *o, const char *path, double secs,
		 struct web_answer *a, struct buf *err);

/* Credentials that satisfy the relay's rules and that nobody has: the address
 * begins with "ci-", as those of tests do, unless that leaves no room. Nothing
 * is created; the first login does that. */
void outside_account(const struct outside *o, struct buf *address,
		     struct buf *password);

#endif
