/* A load of requests in Dovecot's dict protocol: each connection sends one,
 * waits for its reply, sends the next. */
#ifndef BENCH_DICT_H
#define BENCH_DICT_H

#include <sys/epoll.h>

#include "t/bench/role.h"

struct dict_load {
	/* what the caller says */
	const char *socket;
	unsigned connections;
	unsigned long requests_max;	/* 0 = until secs are over */
	double secs;			/* 0 = until all requests are done */
	/* Append one request that has one reply, which is good when it begins
	 * with O; number counts from 0. */
	void (*request)(struct buf *out, unsigned long number);
	/* what comes of it */
	unsigned long sent, good, bad;
	struct samples latency;		/* seconds */
	double took;
	/* private */
	double start;
	int epoll;
	bool closed;
};

struct dict_peer {
	int fd;
	double sent;
	struct buf in;
};

static inline void dict_send(int fd, const struct buf *b)
{
	if (send(fd, b->data, b->len, MSG_NOSIGNAL) != (ssize_t)b->len)
		failed("sending a request: %s", strerror(errno));
}

/* A connection that has said hello; -1 with a word when that fails. */
static inline int dict_connect(const char *path)
{
	static const char hello[] = "H2\t2\t0\tbench\tbench\n";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) < 0) {
		failed("%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Append what has come; true when that makes a whole reply. */
static inline bool dict_receive(int fd, struct buf *in, bool *closed)
{
	char piece[4096];
	ssize_t n = recv(fd, piece, sizeof(piece), 0);

	*closed = n <= 0;
	if (n > 0)
		buf_add(in, piece, n);
	return in->len && in->data[in->len - 1] == '\n';
}

/* One request and its reply; true when that is good. */
static inline bool dict_ask(int fd, const struct buf *request)
{
	struct buf in = BUF_INIT;
	bool closed = false, good;

	dict_send(fd, request);
	while (!closed && !dict_receive(fd, &in, &closed))
		;
	good = in.data[0] == 'O';
	buf_free(&in);
	return good;
}

static inline bool dict_is_over(const struct dict_load *l)
{
	return (l->requests_max && l->sent >= l->requests_max) ||
	       (l->secs > 0 && now() >= l->start + l->secs) || l->closed;
}

static inline void dict_peer_send(struct dict_load *l, struct dict_peer *p)
{
	struct buf out = BUF_INIT;

	l->request(&out, l->sent++);
	p->sent = now();
	dict_send(p->fd, &out);
	buf_free(&out);
}

static inline void dict_peer_reply(struct dict_load *l, struct dict_peer *p)
{
	bool whole = dict_receive(p->fd, &p->in, &l->closed);

	if (l->closed)
		failed("%s: the connection was closed", l->socket);
	if (!whole)
		return;
	samples_add(&l->latency, now() - p->sent);
	if (p->in.data[0] == 'O')
		l->good++;
	else if (!l->bad++)
		failed("%s: a reply begins %.40s", l->socket, p->in.data);
	buf_reset(&p->in);
	if (!dict_is_over(l))
		dict_peer_send(l, p);
}

static inline void dict_load_open(struct dict_load *l, struct dict_peer *peers)
{
	for (unsigned i = 0; i < l->connections; i++) {
		struct epoll_event e = { .events = EPOLLIN };

		e.data.ptr = &peers[i];
		buf_init(&peers[i].in);
		peers[i].fd = dict_connect(l->socket);
		if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, peers[i].fd, &e) < 0)
			die_errno("epoll_ctl");
	}
}

static inline void dict_load_run(struct dict_load *l)
{
	struct dict_peer *peers = xcalloc(l->connections, sizeof(*peers));
	struct epoll_event events[256];

	l->sent = l->good = l->bad = 0;
	l->closed = false;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	dict_load_open(l, peers);
	l->start = now();
	for (unsigned i = 0; i < l->connections && !dict_is_over(l); i++)
		dict_peer_send(l, &peers[i]);
	while (l->good + l->bad < l->sent && !l->closed) {
		int n = epoll_wait(l->epoll, events, ARRAY_LEN(events), 20000);

		if (n == 0)
			failed("%s: no reply in 20 s", l->socket);
		if (n <= 0)
			break;
		for (int i = 0; i < n; i++)
			dict_peer_reply(l, events[i].data.ptr);
	}
	l->took = now() - l->start;
	for (unsigned i = 0; i < l->connections; i++) {
		close(peers[i].fd);
		buf_free(&peers[i].in);
	}
	close(l->epoll);
	free(peers);
}

#endif
