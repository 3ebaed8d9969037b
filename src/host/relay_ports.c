#include "host/relay_ports.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

/* In the order of their numbers, those for everybody first. */
static const struct relay_port ports[] = {
	{ "smtp_port", NULL, PORT_TCP, PORT_PUBLIC, "mail of other relays",
	  .allowed = "master smtpd postscreen" },
	{ "http_port", NULL, PORT_TCP, PORT_PUBLIC, "web pages, certificates",
	  .allowed = "nginx acmetool" },
	{ "imap_port", NULL, PORT_TCP, PORT_PUBLIC, "IMAP, STARTTLS",
	  .allowed = "dovecot imap-login" },
	{ "https_port", NULL, PORT_TCP, PORT_PUBLIC,
	  "web pages; IMAP and SMTP by ALPN", .allowed = "nginx" },
	{ "smtps_port", NULL, PORT_TCP, PORT_PUBLIC, "mail of users, TLS",
	  .allowed = "master smtpd" },
	{ "submission_port", NULL, PORT_TCP, PORT_PUBLIC,
	  "mail of users, STARTTLS", .allowed = "master smtpd" },
	{ "imaps_port", NULL, PORT_TCP, PORT_PUBLIC, "IMAP, TLS",
	  .allowed = "dovecot imap-login" },
	{ "turn_port", NULL, PORT_TCP, PORT_PUBLIC, "calls: TURN",
	  .allowed = "turnserver", .when = "turn_socket_path",
	  .service = "coturn" },
	{ "turn_port", NULL, PORT_UDP, PORT_PUBLIC, "calls: TURN and STUN",
	  .allowed = "turnserver", .when = "turn_socket_path",
	  .service = "coturn" },
	/* one that is taken just now costs nothing */
	{ "turn_port_first", "turn_port_last", PORT_UDP, PORT_PUBLIC,
	  "calls: relayed", .when = "turn_socket_path" },

	{ "mtail_port", NULL, PORT_TCP, PORT_ADDRESS, "figures of mtail",
	  .allowed = "mtail", .when = "mtail_address" },
	{ "dovecot_metrics_port", NULL, PORT_TCP, PORT_ADDRESS,
	  "figures of Dovecot", .allowed = "dovecot stats",
	  .when = "mtail_address" },
	{ "nginx_metrics_port", NULL, PORT_TCP, PORT_ADDRESS, "figures",
	  .allowed = "nginx", .when = "metrics_address" },

	{ "53", NULL, PORT_TCP, PORT_LOCAL, "names",
	  .allowed = "unbound systemd-resolve" },
	{ "nginx_https_port", NULL, PORT_TCP, PORT_LOCAL, "behind HTTPS",
	  .allowed = "nginx" },
	{ "nginx_smtps_port", NULL, PORT_TCP, PORT_LOCAL, "behind HTTPS",
	  .allowed = "nginx" },
	{ "nginx_imaps_port", NULL, PORT_TCP, PORT_LOCAL, "behind HTTPS",
	  .allowed = "nginx" },
	{ "postfix_reinject_port", NULL, PORT_TCP, PORT_LOCAL,
	  "checked outgoing mail", .allowed = "master smtpd" },
	{ "postfix_reinject_port_incoming", NULL, PORT_TCP, PORT_LOCAL,
	  "checked incoming mail", .allowed = "master smtpd" },
	{ "filtermail_smtp_port", NULL, PORT_TCP, PORT_LOCAL,
	  "check of outgoing mail", .allowed = "filtermail chatmail systemd" },
	{ "filtermail_smtp_port_incoming", NULL, PORT_TCP, PORT_LOCAL,
	  "check of incoming mail", .allowed = "filtermail chatmail systemd" },
};

const struct relay_port *relay_ports(size_t *count)
{
	*count = ARRAY_LEN(ports);
	return ports;
}

bool relay_port_is_used(const struct relay_port *p, const struct layout *l)
{
	return layout_holds(l, p->when);
}

static unsigned number(const struct layout *l, const char *text)
{
	uint64_t port;

	if (str_to_u64(text, &port) < 0 &&
	    str_to_u64(layout_need(l, text), &port) < 0)
		bug("%s is no port", text);
	return (unsigned)port;
}

void relay_port_numbers(const struct relay_port *p, const struct layout *l,
			unsigned *first, unsigned *last)
{
	*first = number(l, p->first);
	*last = p->last ? number(l, p->last) : *first;
}

/* Is it an address that others reach, and not each there is? */
static bool is_reached(const char *address)
{
	unsigned char bytes[16];

	if (inet_pton(AF_INET, address, bytes) == 1)
		return bytes[0] != 127 && bytes[0] != 0;
	if (inet_pton(AF_INET6, address, bytes) != 1)
		return false;
	for (int i = 0; i < 15; i++)
		if (bytes[i])
			return true;
	return false;
}

bool relay_port_is_open(const struct relay_port *p, const struct layout *l,
			struct buf *address)
{
	const char *value;

	buf_reset(address);
	if (p->reach == PORT_LOCAL || !relay_port_is_used(p, l))
		return false;
	if (p->reach == PORT_PUBLIC)
		return true;
	/* nginx wants brackets around IPv6 */
	value = layout_need(l, p->when);
	value += *value == '[';
	buf_add(address, value, strcspn(value, "]"));
	return is_reached(address->data);
}
