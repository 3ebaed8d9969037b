#include "net/reach.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

struct tries {
	struct pollfd fds[REACH_ADDRESSES_MAX * REACH_PORTS_MAX];
	int *errors[REACH_ADDRESSES_MAX * REACH_PORTS_MAX];
	size_t count, open;
};

static void set_port(struct sockaddr *a, unsigned port)
{
	if (a->sa_family == AF_INET)
		((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
	else
		((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
}

static void begin(struct tries *t, const struct sockaddr *a, socklen_t len,
		  int *error)
{
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK |
			SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, a, len) == 0) {
		*error = 0;
	} else if (fd < 0 || errno != EINPROGRESS) {
		*error = errno;
	} else {
		*error = ETIMEDOUT;
		t->fds[t->count] = (struct pollfd){ fd, POLLOUT, 0 };
		t->errors[t->count++] = error;
		t->open++;
		return;
	}
	if (fd >= 0)
		close(fd);
}

static void begin_all(struct tries *t, struct reach *r,
		      const struct addrinfo *found, const unsigned *ports,
		      size_t n)
{
	for (const struct addrinfo *a = found;
	     a && r->count < REACH_ADDRESSES_MAX; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, r->address[r->count],
				sizeof(r->address[0]), NULL, 0,
				NI_NUMERICHOST))
			continue;
		for (size_t i = 0; i < n && i < REACH_PORTS_MAX; i++) {
			set_port(a->ai_addr, ports[i]);
			begin(t, a->ai_addr, a->ai_addrlen,
			      &r->error[r->count][i]);
		}
		r->count++;
	}
}

static void finish_one(struct tries *t, size_t i)
{
	socklen_t len = sizeof(*t->errors[i]);

	if (getsockopt(t->fds[i].fd, SOL_SOCKET, SO_ERROR, t->errors[i],
		       &len) < 0)
		*t->errors[i] = errno;
	close(t->fds[i].fd);
	t->fds[i].fd = -1;
	t->open--;
}

static void finish(struct tries *t, double end)
{
	while (t->open) {
		double left = end - clock_secs();

		if (left <= 0 || (poll(t->fds, t->count, (int)(left * 1000.) +
				       1) < 0 && errno != EINTR))
			break;
		for (size_t i = 0; i < t->count; i++)
			if (t->fds[i].fd >= 0 && t->fds[i].revents)
				finish_one(t, i);
	}
	for (size_t i = 0; i < t->count; i++)
		if (t->fds[i].fd >= 0)
			close(t->fds[i].fd);
}

int reach_try(struct reach *r, const char *host, const unsigned *ports,
	      size_t n, double secs, struct buf *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	struct tries t = { .count = 0 };
	int code;

	r->count = 0;
	code = getaddrinfo(host, NULL, &hints, &found);
	if (code) {
		buf_setf(err, "%s", code == EAI_SYSTEM ? strerror(errno) :
			 gai_strerror(code));
		return -1;
	}
	begin_all(&t, r, found, ports, n);
	finish(&t, clock_secs() + secs);
	freeaddrinfo(found);
	return 0;
}

int reach_error(const struct reach *r, size_t i)
{
	int worst = ENETUNREACH;

	for (size_t a = 0; a < r->count; a++) {
		if (!r->error[a][i])
			return 0;
		if (r->error[a][i] != ENETUNREACH)
			worst = r->error[a][i];
	}
	return worst;
}
