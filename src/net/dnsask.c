#include "net/dnsask.h"

#include <errno.h>
#include <poll.h>
#include <sys/time.h>

#include "net/ares_lib.h"
#include "text/dnsmsg.h"

/* c-ares doubles the time of the second try. */
enum { TRIES = 2, TRY_PARTS = 3 };

struct question {
	bool done;
	int code;
	struct buf *packet;
};

static void on_answer(void *arg, int code, int timeouts, unsigned char *p,
		      int n)
{
	struct question *q = arg;

	q->done = true;
	q->code = code;
	if (p && n > 0)
		buf_add(q->packet, p, (size_t)n);
}

static int channel_open(ares_channel *channel, const struct dns_address *server,
			bool recurse, double secs)
{
	struct ares_addr_port_node node;
	struct ares_options o = {
		.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH |
			 (recurse ? 0 : ARES_FLAG_NORECURSE) |
			 /* a single server's reason would be lost */
			 (server ? ARES_FLAG_NOCHECKRESP : 0),
		.timeout = (int)(secs * 1000. / TRY_PARTS),
		.tries = TRIES,
		.ednspsz = DNS_EDNS_SIZE,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
		   ARES_OPT_EDNSPSZ;

	if (ares_init_options(channel, &o, mask) != ARES_SUCCESS)
		return -1;
	if (!server)
		return 0;
	ares_lib_node(&node, server);
	if (ares_set_servers_ports(*channel, &node) == ARES_SUCCESS)
		return 0;
	ares_destroy(*channel);
	return -1;
}

/* One round: wait for a socket or the next try. */
static void process(ares_channel channel)
{
	ares_socket_t fds[ARES_GETSOCK_MAXNUM];
	struct pollfd polls[ARES_GETSOCK_MAXNUM];
	/* ARES_GETSOCK_WRITABLE() shifts a 1 into the sign */
	unsigned bits = (unsigned)ares_getsock(channel, fds,
					       ARES_GETSOCK_MAXNUM);
	struct timeval tv = { 0 };
	nfds_t n = 0;
	int msecs;

	for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
		short events = (short)(
			(bits >> i & 1 ? POLLIN : 0) |
			(bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0));

		if (events)
			polls[n++] = (struct pollfd){ fds[i], events, 0 };
	}
	ares_timeout(channel, NULL, &tv);
	msecs = (int)(tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000);
	if (poll(polls, n, msecs) <= 0)
		n = 0;
	for (nfds_t i = 0; i < n; i++)
		if (polls[i].revents)
			ares_process_fd(channel,
				polls[i].events & POLLIN ? polls[i].fd :
				ARES_SOCKET_BAD,
				polls[i].revents & POLLOUT ? polls[i].fd :
				ARES_SOCKET_BAD);
	ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

enum dnsask dnsask(const struct dns_address *server, bool recurse,
		   const char *name, unsigned type, double secs,
		   struct buf *packet, const char **why)
{
	struct question q = { .packet = packet };
	ares_channel channel;
	bool not_found;

	*why = "c-ares does not start";
	buf_reset(packet);
	if (channel_open(&channel, server, recurse, secs) < 0)
		return DNSASK_FAILED;
	ares_query(channel, name, DNS_CLASS_IN, (int)type, on_answer, &q);
	while (!q.done)
		process(channel);
	ares_destroy(channel);
	not_found = ares_lib_not_found(q.code, why);
	if (q.code == ARES_SUCCESS || (not_found && packet->len))
		return DNSASK_ANSWERED;
	return ares_lib_silent(q.code) ? DNSASK_SILENT : DNSASK_FAILED;
}
