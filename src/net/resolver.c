#include "net/resolver.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"
#include "net/ares_lib.h"
#include "text/dnsmsg.h"

static const char RESOLV_CONF[] = "/etc/resolv.conf";

enum {
	BUCKETS = 1024,
	TRIES = 3,		/* of each server; c-ares doubles the time */
	TRY_PARTS = 15, TRY_SHARE = 2,	/* 2 + 4 + 8 of 15 seconds */
	BURST = 64,		/* queries sent before answers are read */
	SOCKET_BYTES = 1 << 20,	/* for answers; the kernel gives less */
	ENTRY_COST = 256,	/* bytes that an entry takes beside its texts */
};

/* A name and type: asked for, and cached when found. It lives as long as
 * somebody refers to it: the table, its channel, the list of the ready. */
struct resolver_entry {
	struct resolver_entry *next;	/* in its bucket */
	struct resolver_entry *newer, *older;	/* cached: by last use */
	struct resolver_entry *next_ready;
	struct resolver *resolver;
	struct channel *channel;	/* that asks, or NULL */
	struct resolver_query *queries;	/* that wait for it */
	struct dnsname name;
	unsigned type;
	unsigned refs;
	bool listed, cached, ready, from_cache;
	double expires;
	size_t bytes;
	ev_timer deadline;
	struct arena arena;		/* of the answer */
	struct resolver_answer answer;
};

/* c-ares with one set of servers. When resolv.conf changes, a new one takes
 * over and this one ends with its last look-up. */
struct channel {
	struct channel *next;
	struct resolver *resolver;
	ares_channel ares;
	ev_timer timer;			/* the next try */
	struct watch *watches;
	unsigned lookups;
	unsigned sent;			/* since answers were read */
	bool retired;
};

/* A socket of c-ares'. */
struct watch {
	ev_io io;
	struct channel *channel;
	struct watch *next;
};

struct resolver {
	struct ev_loop *loop;
	struct ares_addr_port_node server;	/* family 0: resolv.conf's */
	double secs;
	struct timespec conf_time;	/* resolv.conf when it was read */
	ino_t conf_ino;
	struct channel *channels;	/* the first may be current */
	unsigned lookups;		/* of all channels */
	struct hash_key key;
	struct resolver_entry *buckets[BUCKETS];
	struct resolver_entry *newest, *oldest;
	size_t names, bytes;		/* cached */
	struct resolver_entry *ready, **ready_tail;
	ev_timer wake;			/* never started: to be fed */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- entries and the cache -------------------------------------------------- */

static void entry_unref(struct resolver_entry *e)
{
	if (--e->refs)
		return;
	arena_free(&e->arena);
	free(e);
}

static struct resolver_entry **bucket_of(struct resolver *r,
					 const struct dnsname *name)
{
	return &r->buckets[hash_bytes(&r->key, name->wire, name->len) %
			   BUCKETS];
}

static struct resolver_entry *entry_find(struct resolver *r,
					 const struct dnsname *name,
					 unsigned type)
{
	struct resolver_entry *e = *bucket_of(r, name);

	while (e && !(e->type == type && dnsname_equal(&e->name, name)))
		e = e->next;
	return e;
}

static struct resolver_entry *entry_new(struct resolver *r,
					const struct dnsname *name,
					unsigned type)
{
	struct resolver_entry *e = xcalloc(1, sizeof(*e));
	struct resolver_entry **bucket = bucket_of(r, name);

	e->resolver = r;
	e->name = *name;
	e->type = type;
	e->refs = 1;
	e->listed = true;
	e->answer.why = "";
	e->next = *bucket;
	*bucket = e;
	return e;
}

static void cache_unlink(struct resolver_entry *e)
{
	struct resolver *r = e->resolver;

	*(e->newer ? &e->newer->older : &r->newest) = e->older;
	*(e->older ? &e->older->newer : &r->oldest) = e->newer;
	r->names--;
	r->bytes -= e->bytes;
}

static void cache_link(struct resolver_entry *e)
{
	struct resolver *r = e->resolver;

	e->newer = NULL;
	e->older = r->newest;
	*(r->newest ? &r->newest->newer : &r->oldest) = e;
	r->newest = e;
	r->names++;
	r->bytes += e->bytes;
}

/* Out of the table: the next query for it asks the server. */
static void entry_unlist(struct resolver_entry *e)
{
	struct resolver_entry **at = bucket_of(e->resolver, &e->name);

	if (!e->listed)
		return;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	if (e->cached)
		cache_unlink(e);
	e->listed = e->cached = false;
	entry_unref(e);
}

static void cache_add(struct resolver_entry *e, uint32_t ttl)
{
	struct resolver *r = e->resolver;

	if (ttl > RESOLVER_TTL_MAX)
		ttl = RESOLVER_TTL_MAX;
	e->expires = now() + ttl;
	e->bytes = e->arena.used + ENTRY_COST;
	e->cached = true;
	cache_link(e);
	while (r->names > RESOLVER_NAMES_MAX || r->bytes > RESOLVER_BYTES_MAX)
		entry_unlist(r->oldest);
}

/* ---- handing out what is known ---------------------------------------------- */

static void entry_ready(struct resolver_entry *e)
{
	struct resolver *r = e->resolver;

	if (e->ready)
		return;
	e->ready = true;
	e->refs++;
	e->next_ready = NULL;
	*r->ready_tail = e;
	r->ready_tail = &e->next_ready;
	ev_feed_event(r->loop, &r->wake, EV_CUSTOM);
}

static void query_add(struct resolver_entry *e, struct resolver_query *q)
{
	q->next = e->queries;
	q->prev = &e->queries;
	if (q->next)
		q->next->prev = &q->next;
	e->queries = q;
}

static void query_remove(struct resolver_query *q)
{
	*q->prev = q->next;
	if (q->next)
		q->next->prev = q->prev;
	q->prev = NULL;
}

static void on_wake(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct resolver *r = container_of(w, struct resolver, wake);
	struct resolver_entry *e;

	while ((e = r->ready)) {
		struct resolver_answer answer = e->answer;

		r->ready = e->next_ready;
		if (!r->ready)
			r->ready_tail = &r->ready;
		e->ready = false;
		answer.cached = e->from_cache;
		e->from_cache = true;
		while (e->queries) {
			struct resolver_query *q = e->queries;

			query_remove(q);
			q->done(q, &answer);
		}
		entry_unref(e);
	}
}

/* The entry's answer is known; why is "" when it was found. */
static void entry_finish(struct resolver_entry *e,
			 enum resolver_status status, const char *why)
{
	ev_timer_stop(e->resolver->loop, &e->deadline);
	e->answer.status = status;
	e->answer.why = why;
	entry_ready(e);
	if (!e->cached)
		entry_unlist(e);
}

/* ---- answers ---------------------------------------------------------------- */

/* The records of an answer go to the entry's arena; -1 when one is broken. */
static int take_texts(struct resolver_entry *e, struct dnsmsg *m)
{
	struct resolver_text *texts =
		arena_alloc(&e->arena, m->count * sizeof(*texts));
	struct dnsmsg_rr rr;
	struct buf b = BUF_INIT;
	size_t n = 0;
	int ret = 0;

	while (ret == 0 && dnsmsg_next(m, &rr)) {
		buf_reset(&b);
		ret = dnsmsg_txt(&rr, &b);
		texts[n].data = arena_strndup(&e->arena, b.data, b.len);
		texts[n++].len = b.len;
	}
	buf_free(&b);
	e->answer.texts = texts;
	e->answer.count = n;
	return ret;
}

/* One row makes a type of records. */
static const struct {
	unsigned type;
	int (*take)(struct resolver_entry *e, struct dnsmsg *m);
} types[] = {
	{ DNS_TYPE_TXT, take_texts },
};

static void take_answer(struct resolver_entry *e, const void *p, size_t n)
{
	struct dnsmsg m;
	const char *why;
	size_t row = 0;

	while (types[row].type != e->type)
		row++;
	switch (dnsmsg_parse(&m, p, n, &e->name, e->type, &why)) {
	case DNSMSG_BAD:
		entry_finish(e, RESOLVER_FAILED, why);
		return;
	case DNSMSG_NONE:
		entry_finish(e, RESOLVER_NOT_FOUND, "no such record");
		return;
	case DNSMSG_FOUND:
		break;
	}
	if (types[row].take(e, &m) < 0) {
		e->answer.count = 0;
		entry_finish(e, RESOLVER_FAILED,
			     "malformed record in the answer");
		return;
	}
	if (m.ttl)
		cache_add(e, m.ttl);
	entry_finish(e, RESOLVER_FOUND, "");
}

static void take_outcome(struct resolver_entry *e, int code)
{
	const char *why;
	bool not_found = ares_lib_not_found(code, &why);

	entry_finish(e, not_found ? RESOLVER_NOT_FOUND : RESOLVER_FAILED, why);
}

/* c-ares has ended a look-up, perhaps one that nobody waits for any more. */
static void ares_has_answer(void *arg, int code, int timeouts,
			    unsigned char *p, int n)
{
	struct resolver_entry *e = arg;

	e->channel->lookups--;
	e->resolver->lookups--;
	e->channel = NULL;
	/* listed: neither over its deadline nor is the resolver going */
	if (e->listed) {
		if (code == ARES_SUCCESS)
			take_answer(e, p, n > 0 ? (size_t)n : 0);
		else
			take_outcome(e, code);
	}
	entry_unref(e);
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	entry_finish(container_of(w, struct resolver_entry, deadline),
		     RESOLVER_FAILED, "no answer in time");
}

/* ---- c-ares on the loop ------------------------------------------------------ */

static void channel_free(struct channel *c)
{
	struct channel **at = &c->resolver->channels;

	ares_destroy(c->ares);	/* stops its watches */
	ev_timer_stop(c->resolver->loop, &c->timer);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	free(c);
}

/* After each call into c-ares: when does it want to be called again? */
static void channel_rearm(struct channel *c)
{
	struct timeval tv;

	ev_timer_stop(c->resolver->loop, &c->timer);
	if (c->retired && !c->lookups) {
		channel_free(c);
		return;
	}
	if (!ares_timeout(c->ares, NULL, &tv))
		return;
	ev_timer_set(&c->timer, (double)tv.tv_sec + (double)tv.tv_usec / 1e6,
		     0.);
	ev_timer_start(c->resolver->loop, &c->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct channel *c = container_of(w, struct channel, timer);

	ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	channel_rearm(c);
}

static void on_socket(struct ev_loop *loop, ev_io *w, int revents)
{
	struct channel *c = container_of(w, struct watch, io)->channel;
	int fd = w->fd;

	c->sent = 0;
	/* an error shows when c-ares reads */
	ares_process_fd(c->ares,
			revents & (EV_READ | EV_ERROR) ? fd : ARES_SOCKET_BAD,
			revents & EV_WRITE ? fd : ARES_SOCKET_BAD);
	channel_rearm(c);
}

static void ares_wants_socket(void *arg, ares_socket_t fd, int readable,
			      int writable)
{
	struct channel *c = arg;
	struct ev_loop *loop = c->resolver->loop;
	struct watch **at = &c->watches, *w;

	while (*at && (*at)->io.fd != fd)
		at = &(*at)->next;
	w = *at;
	if (!readable && !writable) {
		if (!w)
			return;
		ev_io_stop(loop, &w->io);
		*at = w->next;
		free(w);
		return;
	}
	if (!w) {
		w = xcalloc(1, sizeof(*w));
		w->channel = c;
		w->next = c->watches;
		c->watches = w;
		ev_io_init(&w->io, on_socket, fd, 0);
	}
	ev_io_stop(loop, &w->io);
	ev_io_set(&w->io, fd, (readable ? EV_READ : 0) |
		  (writable ? EV_WRITE : 0));
	ev_io_start(loop, &w->io);
}

static int init_ares(struct channel *c, int flags)
{
	struct resolver *r = c->resolver;
	struct ares_options o = {
		.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | flags,
		.timeout = (int)(r->secs * 1000. / TRY_PARTS * TRY_SHARE),
		.tries = TRIES,
		.ednspsz = DNS_EDNS_SIZE,
		.socket_receive_buffer_size = SOCKET_BYTES,
		.sock_state_cb = ares_wants_socket,
		.sock_state_cb_data = c,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
		   ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB |
		   ARES_OPT_SOCK_RCVBUF;

#ifdef ARES_OPT_QUERY_CACHE
	/* from 1.31 on it has a cache that resolver_forget() cannot reach */
	o.qcache_max_ttl = 0;
	mask |= ARES_OPT_QUERY_CACHE;
#endif
	if (ares_init_options(&c->ares, &o, mask) != ARES_SUCCESS)
		return -1;
	if (!r->server.family ||
	    ares_set_servers_ports(c->ares, &r->server) == ARES_SUCCESS)
		return 0;
	ares_destroy(c->ares);
	return -1;
}

static bool has_one_server(const struct channel *c)
{
	struct ares_addr_port_node *servers = NULL;
	bool one = ares_get_servers_ports(c->ares, &servers) == ARES_SUCCESS &&
		   servers && !servers->next;

	if (servers)
		ares_free_data(servers);
	return one;
}

static struct channel *channel_new(struct resolver *r)
{
	struct channel *c = xcalloc(1, sizeof(*c));
	int ret;

	c->resolver = r;
	ev_timer_init(&c->timer, on_timer, 0., 0.);
	ret = init_ares(c, 0);
	/* of several servers that fail the next is asked; a single one would
	 * be asked in vain again, and its reason lost */
	if (ret == 0 && has_one_server(c)) {
		ares_destroy(c->ares);
		ret = init_ares(c, ARES_FLAG_NOCHECKRESP);
	}
	if (ret < 0) {
		free(c);
		return NULL;
	}
	c->next = r->channels;
	r->channels = c;
	return c;
}

/* It asks no more, and ends with its last look-up. */
static void channel_retire(struct channel *c)
{
	c->retired = true;
	channel_rearm(c);
}

/* Is it still the file that the channel has read? */
static bool conf_changed(struct resolver *r)
{
	struct stat st = { 0 };
	bool same;

	if (r->server.family)
		return false;
	if (stat(RESOLV_CONF, &st) < 0)
		st = (struct stat){ 0 };
	same = st.st_ino == r->conf_ino &&
	       st.st_mtim.tv_sec == r->conf_time.tv_sec &&
	       st.st_mtim.tv_nsec == r->conf_time.tv_nsec;
	r->conf_ino = st.st_ino;
	r->conf_time = st.st_mtim;
	return !same;
}

static struct channel *channel_get(struct resolver *r)
{
	struct channel *c = r->channels;

	if (conf_changed(r) && c) {
		channel_retire(c);
		c = NULL;
	}
	return c && !c->retired ? c : channel_new(r);
}

/* ---- look-ups --------------------------------------------------------------- */

/* Many queries at once: their answers would overflow the socket's buffer
 * before the loop reads them. done() is not called here. */
static void read_answers(struct channel *c)
{
	ares_socket_t fds[ARES_GETSOCK_MAXNUM];
	int bits = ares_getsock(c->ares, fds, ARES_GETSOCK_MAXNUM);

	c->sent = 0;
	for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++)
		if (ARES_GETSOCK_READABLE(bits, i))
			ares_process_fd(c->ares, fds[i], ARES_SOCKET_BAD);
}

static void ask(struct resolver_entry *e, const char *name)
{
	struct resolver *r = e->resolver;
	struct channel *c;

	ev_timer_init(&e->deadline, on_deadline, r->secs, 0.);
	if (r->lookups >= RESOLVER_LOOKUPS_MAX) {
		entry_finish(e, RESOLVER_FAILED, "too many look-ups under way");
		return;
	}
	c = channel_get(r);
	if (!c) {
		entry_finish(e, RESOLVER_FAILED, "c-ares does not start");
		return;
	}
	ev_timer_start(r->loop, &e->deadline);
	e->channel = c;
	e->refs++;
	c->lookups++;
	r->lookups++;
	/* may answer at once, when it has no memory or no socket */
	ares_query(c->ares, name, DNS_CLASS_IN, (int)e->type, ares_has_answer,
		   e);
	if (++c->sent == BURST)
		read_answers(c);
	channel_rearm(c);
}

static void lookup(struct resolver *r, const char *name, unsigned type,
		   struct resolver_query *q)
{
	struct dnsname n;
	struct resolver_entry *e;

	if (dnsname_parse(name, &n) < 0) {
		e = entry_new(r, &(struct dnsname){ .len = 0 }, type);
		query_add(e, q);
		entry_finish(e, RESOLVER_NOT_FOUND, "not a domain name");
		return;
	}
	e = entry_find(r, &n, type);
	if (e && e->cached && e->expires <= now()) {
		entry_unlist(e);
		e = NULL;
	}
	if (!e) {
		e = entry_new(r, &n, type);
		query_add(e, q);
		ask(e, name);
		return;
	}
	query_add(e, q);
	if (e->cached) {
		cache_unlink(e);
		cache_link(e);
		entry_ready(e);
	}
}

void resolver_txt(struct resolver *r, const char *name,
		  struct resolver_query *q)
{
	lookup(r, name, DNS_TYPE_TXT, q);
}

void resolver_cancel(struct resolver_query *q)
{
	if (q->prev)
		query_remove(q);
}

void resolver_forget(struct resolver *r, const char *name)
{
	struct dnsname n;
	struct resolver_entry *e;

	if (dnsname_parse(name, &n) < 0)
		return;
	e = entry_find(r, &n, DNS_TYPE_TXT);
	if (e && e->cached)
		entry_unlist(e);
}

/* ---- beginning and end ------------------------------------------------------- */

static int set_server(struct ares_addr_port_node *out, const char *server,
		      struct buf *err)
{
	struct dns_address address;

	memset(out, 0, sizeof(*out));
	if (!server || !*server)
		return 0;
	if (dns_address_parse(&address, server, DNS_PORT, err) < 0)
		return -1;
	ares_lib_node(out, &address);
	return 0;
}

struct resolver *resolver_new(struct ev_loop *loop, const char *server,
			      double secs, struct buf *err)
{
	struct resolver *r = xcalloc(1, sizeof(*r));

	if (set_server(&r->server, server, err) < 0) {
		free(r);
		return NULL;
	}
	r->loop = loop;
	r->secs = secs;
	r->ready_tail = &r->ready;
	hash_key_init(&r->key);
	ev_timer_init(&r->wake, on_wake, 0., 0.);
	return r;
}

int resolver_set_server(struct resolver *r, const char *server,
			struct buf *err)
{
	struct ares_addr_port_node fresh;

	if (set_server(&fresh, server, err) < 0)
		return -1;
	if (memcmp(&fresh, &r->server, sizeof(fresh)) == 0)
		return 0;
	r->server = fresh;
	if (r->channels)
		channel_retire(r->channels);
	return 0;
}

static void drop_queries(struct resolver_entry *e)
{
	while (e->queries)
		query_remove(e->queries);
}

void resolver_free(struct resolver *r)
{
	struct resolver_entry *e;

	if (!r)
		return;
	ev_clear_pending(r->loop, &r->wake);
	while ((e = r->ready)) {
		r->ready = e->next_ready;
		drop_queries(e);
		entry_unref(e);
	}
	for (size_t i = 0; i < BUCKETS; i++) {
		while ((e = r->buckets[i])) {
			drop_queries(e);
			ev_timer_stop(r->loop, &e->deadline);
			entry_unlist(e);
		}
	}
	while (r->channels)
		channel_free(r->channels);
	free(r);
}
