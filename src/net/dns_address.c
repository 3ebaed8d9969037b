#include "net/dns_address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

/* Finds the address in text, and the port behind it or NULL. */
static int split(const char *text, const char **start, const char **end,
		 const char **port)
{
	*port = NULL;
	*start = text;
	if (*text == '[') {
		*start = text + 1;
		*end = strchr(text, ']');
		if (!*end || ((*end)[1] && (*end)[1] != ':'))
			return -1;
		*port = (*end)[1] ? *end + 2 : NULL;
		return 0;
	}
	*end = strchr(text, ':');
	if (*end && !strchr(*end + 1, ':'))
		*port = *end + 1;	/* more colons: IPv6 alone */
	else
		*end = text + strlen(text);
	return 0;
}

static int parse(struct dns_address *a, const char *text)
{
	char addr[INET6_ADDRSTRLEN + 1];
	const char *start, *end, *port;
	uint64_t number = a->port;

	if (split(text, &start, &end, &port) < 0 ||
	    (size_t)(end - start) >= sizeof(addr))
		return -1;
	memcpy(addr, start, (size_t)(end - start));
	addr[end - start] = '\0';
	if (port && (str_to_u64(port, &number) < 0 || !number ||
		     number > UINT16_MAX))
		return -1;
	a->port = (unsigned)number;
	a->family = AF_INET;
	if (*text != '[' && inet_pton(AF_INET, addr, a->bytes) == 1)
		return 0;
	a->family = AF_INET6;
	return inet_pton(AF_INET6, addr, a->bytes) == 1 ? 0 : -1;
}

int dns_address_parse(struct dns_address *a, const char *text, unsigned port,
		      struct buf *err)
{
	*a = (struct dns_address){ .port = port };
	if (parse(a, text) == 0)
		return 0;
	buf_setf(err, "expected the address of a DNS server, as 127.0.0.1, "
		 "127.0.0.1:53 or [::1]:53, got \"%s\"", text);
	return -1;
}

void dns_address_show(struct buf *out, const struct dns_address *a)
{
	char text[INET6_ADDRSTRLEN] = "?";
	bool brackets = a->family == AF_INET6 && a->port != DNS_PORT;

	inet_ntop(a->family, a->bytes, text, sizeof(text));
	buf_addf(out, "%s%s%s", brackets ? "[" : "", text, brackets ? "]" : "");
	if (a->port != DNS_PORT)
		buf_addf(out, ":%u", a->port);
}
