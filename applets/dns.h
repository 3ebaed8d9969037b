/* The parts of applets/dns*.c, for these alone. */
#ifndef DNS_H
#define DNS_H

#include "relay/dns_check.h"

/* To stdout, for people and as JSON. */
void dns_print(const struct dns_check *c);
void dns_print_json(const struct dns_check *c);

#endif
