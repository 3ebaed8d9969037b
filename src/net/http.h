/* An HTTP client on the event loop (libcurl's multi interface): HTTP/2 with
 * many requests on one connection where a TLS server offers it, HTTP/1.1 with
 * kept connections elsewhere. Certificates are verified; SSL_CERT_FILE names
 * other authorities than the system's. Redirects are not followed. Proxies are
 * taken from the environment as curl(1) does. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <ev.h>
#include <stddef.h>

enum {
	HTTP_CONNECTIONS_MAX = 16,	/* to one host */
	HTTP_STREAMS_MAX = 100,		/* requests at a time by HTTP/2 */
	HTTP_BODY_MAX = 64 * 1024,	/* of an answer; the rest is not read */
};

struct http;

/* Embedded by whoever sends; borrowed, with body, until done(). */
struct http_request {
	const char *url;	/* http or https; needed inside http_post() only */
	const void *body;
	size_t body_len;
	double timeout;		/* seconds for everything */
	/* From the loop, exactly once, never inside http_post(). status is
	 * the final answer's, or 0 with the reason in error, which is "" else.
	 * What the body said is not kept. */
	void (*done)(struct http_request *r, long status, const char *error);
	/* The rest is http.c's. */
	struct http *http;
	size_t sent, received;	/* bytes of the bodies */
	struct http_request *next;	/* likewise: not sent */
};

/* libcurl is loaded by the first request, which fails when there is none. */
struct http *http_new(struct ev_loop *loop);

/* How many more requests should be sent now: up to HTTP_STREAMS_MAX once the
 * server has spoken HTTP/2, else one for each connection, so that none waits
 * for another with its clock running. More are accepted, but wait. */
unsigned http_room(const struct http *h);
void http_post(struct http *h, struct http_request *r);

#endif
