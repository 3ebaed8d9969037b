/* What the DNS says of a relay's domain, against what it should say. */
#ifndef RELAY_DNS_CHECK_H
#define RELAY_DNS_CHECK_H

#include "net/authority.h"
#include "relay/dns_probe.h"
#include "relay/dns_records.h"

enum dns_state {
	DNS_RIGHT,
	DNS_MISSING,
	DNS_WRONG,
	DNS_UNKNOWN,	/* no server says, or it is not known what is right */
};

enum { DNS_FOUND_MAX = 16 };

struct dns_result {
	struct dns_record *record;	/* NULL: neither there nor needed */
	enum dns_state state;
	/* What there is, as a zone file has it; a CNAME or address in an
	 * alias' place with its type before it. */
	const char *found[DNS_FOUND_MAX];
	size_t count;
	const char *why;	/* what is wrong or worth knowing, or NULL */
};

struct dns_check {
	struct dns_records records;
	struct dns_result results[DNS_RECORDS_MAX];	/* a row for each */
	const char *zone, *server;	/* see struct authority_answer */
	enum dns_probe probe;
	const char *probe_why;		/* static text, or NULL */
	/* private */
	struct authority *authority;
	const struct relay *relay;
	const struct dns_facts *facts;
};

/* Ask for all records. now: seconds since 1970. What is found out lives as long
 * as the authority and the facts. */
void dns_check_run(struct dns_check *c, const struct relay *r,
		   const struct dns_facts *f, struct authority *a,
		   long long now);
void dns_check_free(struct dns_check *c);

/* Is all right that is required, and no signature of the relay invalid? */
bool dns_check_passed(const struct dns_check *c);

/* Append all records as a zone file without SOA and NS, in upstream's form.
 * What is not known is a comment. An id or address that is in the DNS already
 * stays, unless it is certainly wrong. */
void dns_check_zonefile(struct buf *out, const struct dns_check *c);

/* What a first deployment needs of the DNS (upstream's
 * check_initial_remote_data()): an address, and with ACME certificates the
 * names mta-sts and www. Appends a line for each problem. Returns how many;
 * none for IPv4 relays and names that begin with an underscore. */
size_t dns_precheck(const struct relay *r, struct authority *a,
		    struct buf *problems);

#endif
