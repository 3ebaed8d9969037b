#include "host/components.h"

#include "base/str.h"

const struct component *const components[] = {
	&component_host,
	&component_unbound,
	&component_certificate,
	&component_chatmail,
	&component_dovecot,
	&component_postfix,
	&component_nginx,
	&component_pages,
	&component_mtail,
};
const size_t component_count = ARRAY_LEN(components);
