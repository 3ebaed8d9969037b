/* The data of DNS records: read from an answer, written as zone files have it
 * (RFC 1035 section 5, RFC 2782, RFC 3596, RFC 8659). */
#ifndef TEXT_DNSMSG_DATA_H
#define TEXT_DNSMSG_DATA_H

#include "base/arena.h"
#include "text/dnsmsg.h"

enum { DNS_STRING_MAX = 255 };	/* bytes in a string of a TXT record */

struct dns_data {
	unsigned type;
	/* MX: preference; SRV: priority, weight, port; CAA: flags;
	 * SOA: serial */
	uint32_t number[3];
	/* NS, CNAME, MX, SRV: where it leads to; SOA: the primary server */
	struct dnsname name;
	/* A, AAAA: the address, 4 or 16 bytes; TXT: its strings joined; CAA:
	 * the value. NUL-terminated, may hold NULs. */
	const char *text;
	size_t len;
	const char *tag;	/* CAA: in lower case */
};

/* Read a record that dnsmsg_next() gave; strings go to the arena. Returns 0,
 * or -1 when it is broken or its type is not one of dnsmsg.h. */
int dns_data_read(const struct dnsmsg *m, const struct dnsmsg_rr *rr,
		  struct arena *a, struct dns_data *d);
/* Append it as a zone file has it: "10 chat.example.org.". */
void dns_data_show(struct buf *out, const struct dns_data *d);
/* Append text as quoted strings of at most 255 bytes, with \" and \\ and, for
 * what cannot be printed, \DDD. */
void dns_data_quote(struct buf *out, const char *text, size_t n);
/* "MX"; "?" for a type that is not one of dnsmsg.h. */
const char *dns_type_name(unsigned type);

#endif
