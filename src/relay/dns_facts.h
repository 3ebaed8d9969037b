/* What only the relay's host knows of the records that its domain needs. It is
 * collected there and, when the DNS is checked from elsewhere, brought over as
 * JSON. */
#ifndef RELAY_DNS_FACTS_H
#define RELAY_DNS_FACTS_H

#include "base/arena.h"
#include "relay/dkimkey.h"
#include "relay/relay.h"

enum { DNS_FACTS_ADDRESSES = 16, DNS_FACTS_BYTES_MAX = 1 << 20 };

/* Where the certificates' component leaves the URL of the ACME account; if
 * there is no such file, acmetool and uacme are asked. */
#define DNS_FACTS_ACCOUNT_FILE "/var/lib/acme/account-url"

/* As text, in the order of preference; none: not known. Those that a host finds
 * on itself are a guess: behind a proxy or address translation others are
 * right. */
struct dns_addresses {
	const char *text[DNS_FACTS_ADDRESSES];
	size_t count;
	bool is_certain;	/* the operator said so */
};

/* All zeros: nothing is known. */
struct dns_facts {
	struct arena arena;
	struct dns_addresses ipv4, ipv6;	/* public ones */
	const char *dkim[DKIMKEY_KINDS];	/* records; NULL: no such key */
	const char *acme_account_url;		/* NULL: none, or not known */
	const char *probe;	/* a message signed with the keys, CRLF line
				 * ends, or NULL */
};

/* Collect them on the relay's host, which is the one that has the keys in
 * keys_dir. Returns 0, or -1 with *err and *f empty; errno is ENOENT when there
 * is no key. */
int dns_facts_collect(struct dns_facts *f, const struct relay *r,
		      const char *keys_dir, struct buf *err);
void dns_facts_free(struct dns_facts *f);

/* {"ipv4": [...], "ipv6": [...], "dkim": {"opendkim": "v=DKIM1;..."},
 *  "acme_account_url": "https://..." or null, "probe": "..." or null} */
void dns_facts_print(struct buf *out, const struct dns_facts *f);
/* The reverse; names that are not known are ignored. Returns 0, or -1 with
 * *err and *f empty. */
int dns_facts_parse(struct dns_facts *f, const char *json, size_t n,
		    struct buf *err);

/* Add an address, checked. Returns 0, or -1 when it is none of that family
 * (AF_INET, AF_INET6), or one too many. */
int dns_facts_add_address(struct dns_facts *f, int family, const char *text);

#endif
