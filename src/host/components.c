#include "host/components.h"

#include "base/str.h"

const struct component *const server_components[] = {
	&component_host,
	&component_unbound,
	&component_certificate,
	&component_chatmail,
	&component_dovecot,
	&component_postfix,
	&component_nginx,
	&component_pages,
	&component_mtail,
	&component_turn,
	&component_iroh,
	&component_echobot,
};
const size_t server_component_count = ARRAY_LEN(server_components);
