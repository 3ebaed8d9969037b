/* DNS answers (RFC 1035 section 4): a strict reading of the packet. */
#ifndef TEXT_DNSMSG_H
#define TEXT_DNSMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	DNS_CLASS_IN = 1,
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_CAA = 257,
	DNSMSG_CNAMES_MAX = 16,	/* unbound follows 11 */
	DNSMSG_RECORDS_MAX = 256,	/* in an answer section */
};

/* A domain name as on the wire, in lower case and uncompressed, the root's
 * empty label at its end included; equal names are equal bytes. */
struct dnsname {
	uint8_t len;
	uint8_t wire[255];
};

/* "mail.example.org", a dot at the end or not. Labels hold printable ASCII
 * but \ and space; names with other bytes need IDNA first (RFC 8616).
 * Returns 0, or -1 when it is no name. */
int dnsname_parse(const char *text, struct dnsname *name);
bool dnsname_equal(const struct dnsname *a, const struct dnsname *b);
/* Is it the zone's own name, or one below? */
bool dnsname_is_within(const struct dnsname *name, const struct dnsname *zone);
/* Append it as zone files have it (RFC 1035 section 5.1), with the dot at the
 * end; bytes that dnsname_parse() would refuse as \DDD, dots in labels as
 * "\.". */
void dnsname_text(struct buf *out, const struct dnsname *name);

/* A record of the asked type; rdata points into the packet. Names in it may
 * be compressed against the packet: see dnsmsg_name(). */
struct dnsmsg_rr {
	const uint8_t *rdata;
	size_t len;
};

struct dnsmsg {
	const uint8_t *data;	/* the packet, borrowed */
	size_t len;
	struct dnsname owner;	/* of the records: where the CNAMEs lead to */
	unsigned type;
	uint32_t ttl;		/* the least of the CNAMEs and records used */
	unsigned count;		/* records of the asked type */
	bool authoritative;	/* AA */
	bool no_such_name;	/* NXDOMAIN */
	size_t at, end;		/* what is left of the answer section */
	unsigned left;
	unsigned authority;	/* records in that section, from end on */
};

enum dnsmsg_status { DNSMSG_FOUND, DNSMSG_NONE, DNSMSG_BAD };

/* Read the answer to a question of class IN. CNAMEs must lead from the name
 * that was asked to the records, in any order. DNSMSG_NONE: the name or the
 * type does not exist. DNSMSG_BAD: the packet is broken, cut off (TC), another
 * question's, too long, or says that the server failed; *why (static) says
 * which. The additional section is not looked at, that of the authority only by
 * dnsmsg_referral(). */
enum dnsmsg_status dnsmsg_parse(struct dnsmsg *m, const void *p, size_t n,
				const struct dnsname *name, unsigned type,
				const char **why);
/* The next record, as often as m->count says; then false. */
bool dnsmsg_next(struct dnsmsg *m, struct dnsmsg_rr *rr);
/* After DNSMSG_NONE: does the answer name the servers of a zone below instead
 * (RFC 1034 section 4.3.2)? Then m->owner is that zone, and dnsmsg_next() gives
 * its NS records. */
bool dnsmsg_referral(struct dnsmsg *m);
/* A name in a record's data: from *p, which is moved behind it, and not past
 * end. false when it is broken. */
bool dnsmsg_name(const struct dnsmsg *m, const uint8_t **p, const uint8_t *end,
		 struct dnsname *name);

/* Append a TXT record's strings, joined without anything between. Returns 0,
 * or -1 when the record is broken. */
int dnsmsg_txt(const struct dnsmsg_rr *rr, struct buf *out);

#endif
