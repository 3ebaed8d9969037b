/* One DNS question to one server, for programs that wait for the answer. */
#ifndef NET_DNSASK_H
#define NET_DNSASK_H

#include <stdbool.h>

#include "net/dns_address.h"

enum dnsask {
	DNSASK_ANSWERED,	/* there are records, or certainly none */
	DNSASK_FAILED,		/* the server says that it cannot tell */
	DNSASK_SILENT,		/* nobody answers */
};

/* Ask for the records of a name, by UDP, and by TCP when the answer is cut
 * off. server NULL: those of resolv.conf. recurse: the server may ask others.
 * Takes at most about secs. The answer, as dnsmsg_parse() reads it, goes to
 * *packet; if there is none, *why says so in static text. */
enum dnsask dnsask(const struct dns_address *server, bool recurse,
		   const char *name, unsigned type, double secs,
		   struct buf *packet, const char **why);

#endif
