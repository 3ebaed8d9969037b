/* What the DNS says about a name just now: asked of the servers of its zone,
 * so that no cache hides what has changed. Blocks until it knows. */
#ifndef NET_AUTHORITY_H
#define NET_AUTHORITY_H

#include <stdbool.h>

#include "base/arena.h"
#include "net/dns_address.h"
#include "text/dnsmsg_data.h"

struct authority_zone;

/* Whom to ask, and the zones found so far. */
struct authority {
	/* Finds the zones and the addresses of their servers; and answers
	 * itself about a name for which no zone is found, as in a closed
	 * network. family 0: those of resolv.conf. */
	struct dns_address resolver;
	unsigned port;		/* of the zones' servers */
	double resolver_secs, secs;	/* that a server gets to answer */

	/* private */
	struct arena arena;	/* owns all answers */
	struct authority_zone *zones;
	const char *resolver_failed;	/* nobody answers there */
};

enum authority_status {
	AUTHORITY_FOUND,
	AUTHORITY_NONE,		/* no such name, or no such record of it */
	AUTHORITY_FAILED,	/* not known, as no server says */
};

/* Lives as long as the struct authority. */
struct authority_answer {
	enum authority_status status;
	const char *why;	/* what has failed; else "" */
	const struct dns_data *data;
	size_t count;
	const char *zone;	/* "example.org", "" for the resolver; NULL if
				 * that was not found */
	const char *server;	/* that answered: "ns1.example.org (192.0.2.1)",
				 * or NULL */
};

/* server as dns_address_parse() takes it; NULL: those of resolv.conf. Returns
 * 0, or -1 with *err. Nothing is asked yet. */
int authority_init(struct authority *a, const char *server, unsigned port,
		   struct buf *err);
void authority_free(struct authority *a);

/* The records of a name, which is absolute without a dot at its end. CNAMEs
 * are followed, also into other zones, unless they are what is asked for. */
void authority_ask(struct authority *a, const char *name, unsigned type,
		   struct authority_answer *answer);

#endif
