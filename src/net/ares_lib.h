/* What the users of c-ares share. */
#ifndef NET_ARES_LIB_H
#define NET_ARES_LIB_H

/* newer ones prefer calls that Debian 12's does not have */
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <stdbool.h>

#include "net/dns_address.h"

enum { DNS_EDNS_SIZE = 1232 };	/* fits every path without fragments */

void ares_lib_node(struct ares_addr_port_node *out,
		   const struct dns_address *a);

/* What a code other than ARES_SUCCESS means: is it certain that there is no
 * such thing? *why becomes static text. */
bool ares_lib_not_found(int code, const char **why);
/* Is it that nobody has answered? */
bool ares_lib_silent(int code);

#endif
