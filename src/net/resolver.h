/* DNS look-ups on the event loop (c-ares): records of a name with a cache
 * that keeps what was found for its TTL. What was not found and what failed is
 * never kept. Queries for the same name at the same time are one. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum {
	RESOLVER_SECS = 15,		/* for all tries of a look-up */
	RESOLVER_LOOKUPS_MAX = 4096,	/* under way; more fail at once */
	RESOLVER_NAMES_MAX = 1000,	/* cached; the least used go first */
	RESOLVER_BYTES_MAX = 4 << 20,	/* likewise */
	RESOLVER_TTL_MAX = 24 * 60 * 60,
};

enum resolver_status {
	RESOLVER_FOUND,
	RESOLVER_NOT_FOUND,	/* no such name, or no such record of it */
	RESOLVER_FAILED,	/* for now: try again later */
};

/* A TXT record, its strings joined; NUL-terminated, but may hold NULs. */
struct resolver_text {
	const char *data;
	size_t len;
};

/* Borrowed until done() returns. */
struct resolver_answer {
	enum resolver_status status;
	const char *why;	/* static: what is not found or failed; else "" */
	const struct resolver_text *texts;
	size_t count;
	bool cached;		/* from the cache: see resolver_forget() */
};

struct resolver;
struct resolver_entry;

/* Embedded by whoever asks. */
struct resolver_query {
	/* From the loop, exactly once unless cancelled, never inside
	 * resolver_*(). The query is the caller's again before. */
	void (*done)(struct resolver_query *q, const struct resolver_answer *a);
	struct resolver_query *next, **prev;	/* resolver.c's own */
};

/* server: "ADDRESS", "ADDRESS:PORT" or "[ADDRESS]:PORT", IPv4 or IPv6; NULL or
 * "": those of resolv.conf, which is read again when it changes. secs is
 * RESOLVER_SECS but in tests: a first try gets two fifteenths of it. Returns
 * NULL with *err when server is no address. Nothing is opened before the first
 * query. */
struct resolver *resolver_new(struct ev_loop *loop, const char *server,
			      double secs, struct buf *err);
/* Ask another server from now on; what is under way is still answered by the
 * old one. Not from inside done(). Returns 0, or -1 with *err as above and
 * nothing changed. */
int resolver_set_server(struct resolver *r, const char *server,
			struct buf *err);
/* Queries under way end without their done(). Not from inside done(). */
void resolver_free(struct resolver *r);

/* Ask for the TXT records of name, which is absolute; q->done is set. What is
 * no domain name (see dnsname_parse()) is not found. */
void resolver_txt(struct resolver *r, const char *name,
		  struct resolver_query *q);
/* done() will not be called. Harmless when it was, or when the query, zeroed,
 * was never asked. */
void resolver_cancel(struct resolver_query *q);
/* The cached TXT records of name have turned out to be stale: the next query
 * asks the server. */
void resolver_forget(struct resolver *r, const char *name);

#endif
