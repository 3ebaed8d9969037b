/* The DNS records that a relay's domain has to have or should have, and how to
 * tell a right one from a wrong one. */
#ifndef RELAY_DNS_RECORDS_H
#define RELAY_DNS_RECORDS_H

#include "base/arena.h"
#include "relay/dns_facts.h"
#include "relay/relay.h"
#include "text/dnsmsg_data.h"
#include "text/dnspolicy.h"

enum { DNS_RECORDS_MAX = 24, DNS_TTL = 3600 };

enum dns_level { DNS_REQUIRED, DNS_RECOMMENDED };

/* How a record is compared. */
enum dns_kind {
	DNS_ADDRESS,	/* one of the host's, none of others */
	DNS_MAIL,	/* mail goes there first */
	DNS_ALIAS,	/* a CNAME, or the same addresses */
	DNS_POLICY,	/* one text that means the same */
	DNS_ISSUER,	/* one of the CAA records means the same */
	DNS_SERVICE,	/* the same host and port */
};

struct dns_record {
	const char *name;	/* without a dot at the end */
	unsigned type;
	enum dns_kind kind;
	enum dns_level level;
	dnspolicy_fn *policy;	/* DNS_POLICY, DNS_ISSUER */
	/* What it should be: as a zone file has it, and the text alone for TXT
	 * and CAA. NULL when it is not known, and then why. */
	const char *value, *text, *unknown;
	struct dns_data data;	/* DNS_MAIL, DNS_ALIAS, DNS_SERVICE */
};

struct dns_records {
	struct arena arena;
	struct dns_record rows[DNS_RECORDS_MAX];
	size_t count;
};

/* All records for a relay's domain, in upstream's order (cmdeploy/dns.py). An
 * IPv4 relay has none. For a name that begins with an underscore all are
 * recommended alone: such a relay works without, among those that know it.
 * now: seconds since 1970, for the id of MTA-STS. */
void dns_records_make(struct dns_records *t, const struct relay *r,
		      const struct dns_facts *f, long long now);
void dns_records_free(struct dns_records *t);

/* Set a value that became known; TXT and CAA give the text alone. */
void dns_record_set(struct dns_records *t, struct dns_record *rec,
		    const char *value);

/* Append a line of a zone file with that value: "NAME 3600 IN TYPE VALUE". */
void dns_record_line(struct buf *out, const struct dns_record *rec,
		     const char *value);

#endif
