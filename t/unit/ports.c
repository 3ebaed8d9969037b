/* Who listens where. */
#include "tap.h"

#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "host/ports.h"

static int listen_on(int family, enum port_proto proto, unsigned *port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *addr = family == AF_INET ? (void *)&v4 : (void *)&v6;
	socklen_t n = family == AF_INET ? sizeof(v4) : sizeof(v6);
	int fd = socket(family, proto == PORT_TCP ? SOCK_STREAM : SOCK_DGRAM,
			0);

	if (fd < 0 || bind(fd, addr, n) < 0 ||
	    (proto == PORT_TCP && listen(fd, 1) < 0) ||
	    getsockname(fd, addr, &n) < 0)
		return -1;
	*port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
	return fd;
}

static void test_listeners(int family, enum port_proto proto,
			   const char *name)
{
	struct buf who = BUF_INIT;
	unsigned port = 0;
	int fd = listen_on(family, proto, &port);

	if (fd < 0) {
		tap_ok(true, "%s # SKIP not here", name);
		return;
	}
	tap_ok(ports_listeners(proto, port, &who) == 1,
	       "%s: one listens", name);
	tap_is(who.data, "some_name", "it is us, spaces made safe");
	close(fd);
	buf_reset(&who);
	tap_ok(ports_listeners(proto, port, &who) == 0 && who.len == 0,
	       "%s: then nobody", name);
	buf_free(&who);
}

static void test_names(void)
{
	static const struct {
		const char *who, *allowed;
		bool want;
	} cases[] = {
		{ "", "", true },
		{ "", "nginx", true },
		{ "nginx", "nginx", true },
		{ "nginx nginx", "apache nginx", true },
		{ "exim4", "master smtpd", false },
		{ "master exim4", "master smtpd", false },
		{ "mast", "master", false },
		{ "master", "mast", false },
		{ "?", "master", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_ok(ports_are_of(cases[i].who, cases[i].allowed) ==
		       cases[i].want, "\"%s\" of \"%s\"", cases[i].who,
		       cases[i].allowed);
}

int main(void)
{
	prctl(PR_SET_NAME, "some name");
	test_listeners(AF_INET, PORT_TCP, "TCP, IPv4");
	test_listeners(AF_INET6, PORT_TCP, "TCP, IPv6");
	test_listeners(AF_INET, PORT_UDP, "UDP, IPv4");
	test_listeners(AF_INET6, PORT_UDP, "UDP, IPv6");
	test_names();
	return tap_done();
}
