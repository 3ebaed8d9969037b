/* A load of messages over SMTP, as Postfix's smtpd sends them to its proxy: a
 * new connection for each, in lock-step; and the sink behind the filter, which
 * counts and hashes what it gets. Threads with blocking sockets. */
#ifndef BENCH_SMTP_H
#define BENCH_SMTP_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdatomic.h>

#include "t/bench/message.h"
#include "t/bench/role.h"

enum {
	VARIANTS_MAX = 64,
	SINK_THREADS = 80,		/* connections served at once */
	HASH_SIZE = 32,			/* SHA-256 */
	SOCKET_SECS = 30,		/* longest wait for the other side */
};

/* ---- lines on a blocking socket ------------------------------------------------ */

struct peer {
	int fd;
	size_t len;		/* bytes of in */
	char in[2048];
};

static inline void peer_start(struct peer *p, int fd)
{
	struct timeval patience = { .tv_sec = SOCKET_SECS };
	int on = 1;

	p->fd = fd;
	p->len = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* flags: MSG_MORE when the next bytes follow at once. */
static inline bool peer_write(struct peer *p, const char *data, size_t n,
			      int flags)
{
	while (n) {
		ssize_t ret = send(p->fd, data, n, MSG_NOSIGNAL | flags);

		if (ret <= 0)
			return false;
		data += ret;
		n -= ret;
	}
	return true;
}

static inline bool peer_writes(struct peer *p, const char *s)
{
	return peer_write(p, s, strlen(s), 0);
}

/* The next line, its end cut off, valid until the next call of peer_drop(). */
static inline const char *peer_line(struct peer *p)
{
	char *nl;

	while (!(nl = memchr(p->in, '\n', p->len))) {
		ssize_t n = recv(p->fd, p->in + p->len, sizeof(p->in) - p->len,
				 0);

		if (n <= 0)
			return NULL;
		p->len += n;
	}
	*nl = '\0';
	return p->in;
}

static inline void peer_drop(struct peer *p)
{
	size_t n = strlen(p->in) + 1;

	memmove(p->in, p->in + n, p->len - n);
	p->len -= n;
}

/* Read a reply of one or more lines; true when it begins so. */
static inline bool peer_expect(struct peer *p, const char *want)
{
	const char *line;
	bool more, good;

	do {
		line = peer_line(p);
		if (!line)
			return false;
		more = strlen(line) > 3 && line[3] == '-';
		good = str_starts(line, want);
		peer_drop(p);
	} while (more);
	return good;
}

/* From 127.0.0.HOST; -1 with a word when there is none. */
static inline int tcp_connect(unsigned port, unsigned host)
{
	struct sockaddr_in from = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host),
	};
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd >= 0 &&
	    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
		       sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	failed("connecting to port %u: %s", port, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- what is sent -------------------------------------------------------------- */

/* Message number N is variant N modulo variants; its recipient says N. */
struct corpus {
	struct message variants[VARIANTS_MAX];
	unsigned char hashes[VARIANTS_MAX][HASH_SIZE];	/* with the dot */
	unsigned count;
	size_t size;
};

static inline void corpus_hash(struct corpus *c, unsigned variant)
{
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	const char *p;
	size_t n;

	EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
	for (size_t at = 0;
	     (n = message_piece(&c->variants[variant], at, &p)); at += n)
		EVP_DigestUpdate(sha, p, n);
	EVP_DigestUpdate(sha, ".\r\n", 3);
	EVP_DigestFinal_ex(sha, c->hashes[variant], NULL);
	EVP_MD_CTX_free(sha);
}

static inline void corpus_make(struct corpus *c, size_t size, unsigned count,
			       enum message_kind kind)
{
	c->count = count;
	for (unsigned i = 0; i < count; i++) {
		message_make(&c->variants[i], size, i, kind);
		corpus_hash(c, i);
	}
	c->size = c->variants[0].size;
}

static inline void corpus_free(struct corpus *c)
{
	for (unsigned i = 0; i < c->count; i++)
		message_free(&c->variants[i]);
}

/* ---- the sink ------------------------------------------------------------------- */

struct sink {
	int fd;
	unsigned port;
	pthread_mutex_t lock;
	pthread_cond_t opened;
	/* under lock; reset by sink_expect() */
	const struct corpus *corpus;
	unsigned char *seen;		/* messages that came, by number */
	unsigned long numbers;		/* as many are expected at most */
	unsigned long complete, wrong;	/* of these: another hash, or twice */
	unsigned long cut;		/* begun, but no dot */
	bool held;			/* nobody reads on */
};

/* Until sink_open(), data of messages are not read: nothing at all, or the
 * rest after the first HOLD_AFTER bytes. */
enum { HOLD_AFTER = 1024 * 1024 };

static inline void sink_wait(struct sink *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->held)
		pthread_cond_wait(&s->opened, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static inline void sink_hold(struct sink *s, bool on)
{
	pthread_mutex_lock(&s->lock);
	s->held = on;
	pthread_cond_broadcast(&s->opened);
	pthread_mutex_unlock(&s->lock);
}

static inline void sink_count(struct sink *s, unsigned long number,
			      const unsigned char *hash)
{
	const struct corpus *c = s->corpus;

	pthread_mutex_lock(&s->lock);
	if (!hash) {
		s->cut++;
	} else {
		s->complete++;
		if (number >= s->numbers || s->seen[number]++ ||
		    memcmp(c->hashes[number % c->count], hash, HASH_SIZE) != 0)
			s->wrong++;
	}
	pthread_mutex_unlock(&s->lock);
}

/* The content up to its dot, after which the client waits; false when the
 * connection ends before it. */
static inline bool sink_read(struct sink *s, struct peer *p, EVP_MD_CTX *sha)
{
	static _Thread_local char chunk[64 * 1024];
	char end[6] = "";	/* the last bytes so far */
	size_t got = 0;

	for (;;) {
		ssize_t n;

		if (got > HOLD_AFTER)
			sink_wait(s);
		n = recv(p->fd, chunk, sizeof(chunk), 0);
		if (n <= 0)
			return false;
		EVP_DigestUpdate(sha, chunk, n);
		got += n;
		if (n >= 5) {
			memcpy(end, chunk + n - 5, 5);
		} else {
			memmove(end, end + n, 5 - n);
			memcpy(end + 5 - n, chunk, n);
		}
		if (memcmp(end, "\r\n.\r\n", 5) == 0)
			return true;
	}
}

static inline bool sink_data(struct sink *s, struct peer *p,
			     unsigned long number)
{
	unsigned char hash[HASH_SIZE];
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	bool whole;

	EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
	whole = sink_read(s, p, sha);
	EVP_DigestFinal_ex(sha, hash, NULL);
	EVP_MD_CTX_free(sha);
	sink_count(s, number, whole ? hash : NULL);
	return whole && peer_writes(p, "250 2.0.0 Ok: queued\r\n");
}

static inline void sink_serve(struct sink *s, struct peer *p)
{
	unsigned long number = 0;
	const char *line;
	bool go_on = peer_writes(p, "220 sink\r\n");

	while (go_on && (line = peer_line(p))) {
		bool data = str_starts(line, "DATA");

		if (str_starts(line, "RCPT TO:<"))
			number = strtoul(line + 9, NULL, 10);
		go_on = !str_starts(line, "QUIT");
		peer_drop(p);
		if (data && s->corpus->size < HOLD_AFTER)
			sink_wait(s);
		if (data)
			go_on = peer_writes(p, "354 go on\r\n") &&
				sink_data(s, p, number);
		else
			go_on = peer_writes(p, go_on ? "250 ok\r\n" :
					    "221 bye\r\n") && go_on;
	}
}

static inline void *sink_thread(void *arg)
{
	struct sink *s = arg;

	for (;;) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
		struct peer p;

		if (fd < 0)
			continue;
		peer_start(&p, fd);
		sink_serve(s, &p);
		close(fd);
	}
	return NULL;
}

/* Listens from now on, on a port of its own choice. */
static inline void sink_listen(struct sink *s)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(a);

	*s = (struct sink){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
					 0) };
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->opened, NULL);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(s->fd, 1024) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&a, &len) < 0)
		die_errno("the sink");
	s->port = ntohs(a.sin_port);
}

static inline void sink_start(struct sink *s)
{
	for (int i = 0; i < SINK_THREADS; i++) {
		pthread_t t;

		start_thread(&t, sink_thread, s);
	}
}

/* From now on messages of c, numbered from 0 to below numbers. */
static inline void sink_expect(struct sink *s, const struct corpus *c,
			       unsigned long numbers)
{
	pthread_mutex_lock(&s->lock);
	free(s->seen);
	s->seen = xcalloc(numbers, 1);
	s->numbers = numbers;
	s->corpus = c;
	s->complete = s->wrong = s->cut = 0;
	pthread_mutex_unlock(&s->lock);
}

/* ---- the load ------------------------------------------------------------------- */

struct smtp_load {
	/* what the caller says */
	unsigned port, connections;
	const struct corpus *corpus;
	unsigned long messages_max;
	double secs;			/* no message begins later */
	const char *want;		/* beginning of the final reply */
	/* what comes of it */
	atomic_ulong sent;		/* messages begun */
	atomic_ulong good, bad;		/* replies */
	atomic_size_t bytes;		/* of data */
	pthread_mutex_t lock;
	struct samples latency;		/* seconds, connecting included */
	double took;
	/* private */
	double start;
	pthread_t threads[128];
};

static inline bool load_write(struct smtp_load *l, struct peer *p,
			      unsigned long number)
{
	const struct message *m =
		&l->corpus->variants[number % l->corpus->count];
	const char *data;
	size_t n;

	for (size_t at = 0; (n = message_piece(m, at, &data)); at += n) {
		if (!peer_write(p, data, n, MSG_MORE))
			return false;
		atomic_fetch_add(&l->bytes, n);
	}
	return peer_writes(p, ".\r\n");
}

static inline bool load_talk(struct smtp_load *l, struct peer *p,
			     unsigned long number)
{
	char rcpt[64];

	snprintf(rcpt, sizeof(rcpt), "RCPT TO:<%lu@example.net>\r\n", number);
	return peer_expect(p, "220") &&
	       peer_writes(p, "EHLO bench\r\n") && peer_expect(p, "250") &&
	       peer_writes(p, "MAIL FROM:<" MESSAGE_SENDER ">\r\n") &&
	       peer_expect(p, "250") &&
	       peer_writes(p, rcpt) && peer_expect(p, "250") &&
	       peer_writes(p, "DATA\r\n") && peer_expect(p, "354") &&
	       load_write(l, p, number) && peer_expect(p, l->want) &&
	       peer_writes(p, "QUIT\r\n") && peer_expect(p, "221");
}

static inline void load_message(struct smtp_load *l, unsigned long number)
{
	double start = now();
	int fd = tcp_connect(l->port, 1);
	struct peer p;
	bool good;

	if (fd < 0) {
		atomic_fetch_add(&l->bad, 1);
		return;
	}
	peer_start(&p, fd);
	good = load_talk(l, &p, number);
	close(fd);
	atomic_fetch_add(good ? &l->good : &l->bad, 1);
	pthread_mutex_lock(&l->lock);
	samples_add(&l->latency, now() - start);
	pthread_mutex_unlock(&l->lock);
}

static inline void *load_thread(void *arg)
{
	struct smtp_load *l = arg;

	while (now() < l->start + l->secs) {
		unsigned long number = atomic_fetch_add(&l->sent, 1);

		if (number >= l->messages_max)
			break;
		load_message(l, number);
	}
	return NULL;
}

static inline void smtp_load_start(struct smtp_load *l)
{
	pthread_mutex_init(&l->lock, NULL);
	l->start = now();
	for (unsigned i = 0; i < l->connections; i++)
		start_thread(&l->threads[i], load_thread, l);
}

static inline void smtp_load_join(struct smtp_load *l)
{
	for (unsigned i = 0; i < l->connections; i++)
		pthread_join(l->threads[i], NULL);
	l->took = now() - l->start;
	if (l->bad)
		failed("%lu messages of %lu were not answered by %s", l->bad,
		       l->bad + l->good, l->want);
}

#endif
