#include "net/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { ADDRESSES_MAX = 16, STAGGER_MS = 250 };

struct attempt {
	const struct addrinfo *address;
	int fd;			/* -1: not begun, or over */
	int error;		/* errno; 0 while there is none */
};

struct attempts {
	struct attempt list[ADDRESSES_MAX];
	size_t count, begun;
	double next;		/* when another is begun */
};

static void attempt_fail(struct attempts *all, struct attempt *a, int error)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	a->error = error;
	all->next = 0;
}

static void attempt_begin(struct attempts *all)
{
	struct attempt *a = &all->list[all->begun++];

	all->next = clock_secs() + STAGGER_MS / 1000.0;
	a->fd = socket(a->address->ai_family,
		       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0 || (connect(a->fd, a->address->ai_addr,
				  a->address->ai_addrlen) < 0 &&
			  errno != EINPROGRESS))
		attempt_fail(all, a, errno);
}

/* Wait for the open ones; returns the first that is connected, or NULL. */
static struct attempt *attempts_poll(struct attempts *all, int ms)
{
	struct pollfd fds[ADDRESSES_MAX];

	for (size_t i = 0; i < all->begun; i++)
		fds[i] = (struct pollfd){ .fd = all->list[i].fd,
					  .events = POLLOUT };
	if (poll(fds, all->begun, ms) <= 0)
		return NULL;
	for (size_t i = 0; i < all->begun; i++) {
		int error = 0;
		socklen_t len = sizeof(error);

		if (fds[i].fd < 0 || !fds[i].revents)
			continue;
		getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (!error)
			return &all->list[i];
		attempt_fail(all, &all->list[i], error);
	}
	return NULL;
}

static bool any_open(const struct attempts *all)
{
	for (size_t i = 0; i < all->begun; i++)
		if (all->list[i].fd >= 0)
			return true;
	return false;
}

static struct attempt *attempts_run(struct attempts *all, double end)
{
	for (;;) {
		double now = clock_secs(), until = end;
		struct attempt *won;

		if (all->begun < all->count && all->next <= now) {
			attempt_begin(all);
			continue;
		}
		if (now >= end || (all->begun == all->count && !any_open(all)))
			return NULL;
		if (all->begun < all->count && all->next < until)
			until = all->next;
		won = attempts_poll(all, (int)((until - now) * 1000) + 1);
		if (won)
			return won;
	}
}

static void add_address(struct buf *out, const struct addrinfo *a)
{
	char text[NI_MAXHOST];

	if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0,
			NI_NUMERICHOST) == 0)
		buf_adds(out, text);
}

static void explain(const struct attempts *all, unsigned secs,
		    struct buf *err)
{
	buf_reset(err);
	for (size_t i = 0; i < all->begun; i++) {
		const struct attempt *a = &all->list[i];

		buf_adds(err, i ? "; " : "");
		add_address(err, a->address);
		if (a->error)
			buf_addf(err, ": %s", strerror(a->error));
		else
			buf_addf(err, ": no answer in %u s", secs);
	}
}

/* Answers matter, and a command that takes long must not let a NAT forget
 * the connection. */
static void set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 30 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 15 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		setsockopt(fd, options[i].level, options[i].name,
			   &options[i].value, sizeof(options[i].value));
}

int dial_tcp(const char *host, unsigned port, int family, unsigned secs,
	     struct buf *address, struct buf *err)
{
	struct addrinfo hints = { .ai_family = family,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	struct attempts all = { 0 };
	struct attempt *won;
	char service[16];
	int fd = -1, code;

	snprintf(service, sizeof(service), "%u", port);
	code = getaddrinfo(host, service, &hints, &found);
	if (code) {
		buf_setf(err, "%s", code == EAI_SYSTEM ? strerror(errno) :
			 gai_strerror(code));
		return -1;
	}
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		if (all.count < ADDRESSES_MAX)
			all.list[all.count++] = (struct attempt){ a, -1, 0 };
	won = attempts_run(&all, clock_secs() + secs);
	if (won) {
		fd = won->fd;
		won->fd = -1;
		add_address(address, won->address);
		set_options(fd);
	} else {
		explain(&all, secs, err);
	}
	for (size_t i = 0; i < all.begun; i++)
		if (all.list[i].fd >= 0)
			close(all.list[i].fd);
	freeaddrinfo(found);
	return fd;
}
