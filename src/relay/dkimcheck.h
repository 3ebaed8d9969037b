/* The keys of a message's signatures, looked up in the DNS, and what the relay
 * answers to the message. */
#ifndef RELAY_DKIMCHECK_H
#define RELAY_DKIMCHECK_H

#include "net/resolver.h"
#include "text/dkim.h"

struct dkimcheck_query {
	struct resolver_query query;
	struct dkimcheck *check;
	char *name;
	bool again;	/* the cached key was wrong: asked the server */
};

/* Embedded by whoever verifies. */
struct dkimcheck {
	struct dkim_verifier verifier;
	/* All keys are there or are known not to be had; once, from inside
	 * dkimcheck_start() when nothing had to be asked. */
	void (*done)(struct dkimcheck *c);
	struct resolver *resolver;
	unsigned waiting;
	struct dkimcheck_query queries[DKIM_CHECKS_MAX];
};

/* now: seconds since 1970. Feed c->verifier up to dkim_verifier_eom(). */
void dkimcheck_init(struct dkimcheck *c, uint64_t now,
		    void (*done)(struct dkimcheck *c));
/* Also ends look-ups that are under way. */
void dkimcheck_free(struct dkimcheck *c);
/* Ask for the keys that decide. */
void dkimcheck_start(struct dkimcheck *c, struct resolver *resolver);

/* After done(): the verdict, and the SMTP reply that it means, "" when the
 * message is accepted. *why is static text for the log. */
enum dkim_verdict dkimcheck_verdict(const struct dkimcheck *c,
				    struct buf *reply, const char **why);

#endif
