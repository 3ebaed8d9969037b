/* DNS answers (RFC 1035 section 4): a strict reading of the packet. */
#ifndef TEXT_DNSMSG_H
#define TEXT_DNSMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	DNS_CLASS_IN = 1,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_TXT = 16,
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

/* A record of the asked type; rdata points into the packet. Names in it may
 * be compressed against the packet. */
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
	size_t at, end;		/* what is left of the answer section */
	unsigned left;
};

enum dnsmsg_status { DNSMSG_FOUND, DNSMSG_NONE, DNSMSG_BAD };

/* Read the answer to a question of class IN. CNAMEs must lead from the name
 * that was asked to the records, in any order. DNSMSG_NONE: the name or the
 * type does not exist. DNSMSG_BAD: the packet is broken, cut off (TC), another
 * question's, too long, or says that the server failed; *why (static) says which. The
 * authority and additional sections are not looked at. */
enum dnsmsg_status dnsmsg_parse(struct dnsmsg *m, const void *p, size_t n,
				const struct dnsname *name, unsigned type,
				const char **why);
/* The next record, as often as m->count says; then false. */
bool dnsmsg_next(struct dnsmsg *m, struct dnsmsg_rr *rr);

/* Append a TXT record's strings, joined without anything between. Returns 0,
 * or -1 when the record is broken. */
int dnsmsg_txt(const struct dnsmsg_rr *rr, struct buf *out);

#endif
