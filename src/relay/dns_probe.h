/* A message that the relay signed, verified with the keys that the DNS has just
 * now. */
#ifndef RELAY_DNS_PROBE_H
#define RELAY_DNS_PROBE_H

#include <stdint.h>

#include "net/authority.h"

enum dns_probe {
	DNS_PROBE_NONE,		/* there is no such message */
	DNS_PROBE_VALID,
	DNS_PROBE_INVALID,
	DNS_PROBE_UNKNOWN,	/* a key could not be looked up */
};

/* Would others accept it as mail of that domain? message has CRLF line ends,
 * now is seconds since 1970. *why becomes static text, NULL if it is valid. */
enum dns_probe dns_probe_verify(const char *message, const char *domain,
				struct authority *a, uint64_t now,
				const char **why);

#endif
