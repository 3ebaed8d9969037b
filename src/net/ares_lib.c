#include "net/ares_lib.h"

#include <string.h>

#include "base/str.h"

enum { NOT_FOUND = 1, SILENT = 2 };

static const struct outcome {
	int code, flags;
	const char *why;
} outcomes[] = {
	{ ARES_ENODATA, NOT_FOUND, "no such record" },
	{ ARES_ENOTFOUND, NOT_FOUND, "no such name" },
	{ ARES_EBADNAME, NOT_FOUND, "not a domain name" },
	{ ARES_EFORMERR, 0, "server: the query is malformed" },
	{ ARES_ESERVFAIL, 0, "server failure" },
	{ ARES_ENOTIMP, 0, "server: query not supported" },
	{ ARES_EREFUSED, 0, "server: refused" },
	{ ARES_EBADRESP, 0, "malformed answer" },
	{ ARES_ECONNREFUSED, SILENT, "no server answers" },
	{ ARES_ETIMEOUT, SILENT, "no answer in time" },
	{ ARES_EOF, SILENT, "the server closed the connection" },
	{ ARES_ENOMEM, 0, "out of memory" },
};

static const struct outcome *outcome_find(int code)
{
	static const struct outcome unknown = { 0, 0, "the look-up failed" };

	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		if (outcomes[i].code == code)
			return &outcomes[i];
	return &unknown;
}

bool ares_lib_not_found(int code, const char **why)
{
	const struct outcome *o = outcome_find(code);

	*why = o->why;
	return o->flags & NOT_FOUND;
}

bool ares_lib_silent(int code)
{
	return outcome_find(code)->flags & SILENT;
}

void ares_lib_node(struct ares_addr_port_node *out,
		   const struct dns_address *a)
{
	memset(out, 0, sizeof(*out));
	out->family = a->family;
	out->udp_port = out->tcp_port = (int)a->port;
	if (a->family == AF_INET)
		memcpy(&out->addr.addr4, a->bytes, 4);
	else
		memcpy(&out->addr.addr6, a->bytes, 16);
}
