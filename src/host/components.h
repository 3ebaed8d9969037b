/* The components of a relay, in src/host/component_*.c. */
#ifndef HOST_COMPONENTS_H
#define HOST_COMPONENTS_H

#include "host/plan.h"

extern const struct component component_host, component_unbound,
	component_certificate, component_chatmail, component_dovecot,
	component_postfix, component_nginx, component_pages, component_mtail,
	component_turn, component_iroh, component_echobot;

/* Those of a server, in the order of the stages: what others need comes
 * first. */
extern const struct component *const server_components[];
extern const size_t server_component_count;

/* Which of the two ways a Dovecot's configuration is written in: "2.3", or
 * "2.4" for that and later ones. said: what dovecot --version prints, or a
 * package's version. NULL when it begins with no number. */
const char *dovecot_version_of(const char *said);

#endif
