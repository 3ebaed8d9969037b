/* A client's connection for programs that wait for each answer: TCP, and TLS on
 * it. Every call ends in time. Who wants many at once takes a thread for each.
 * SIGPIPE has to be ignored. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "net/cert.h"
#include "net/trust.h"

enum stream_security {
	STREAM_CLEAR,
	STREAM_STARTTLS,	/* TLS once the protocol has asked for it */
	STREAM_TLS,		/* from the first byte */
};

/* A port of a server, and how one speaks to it. All texts are borrowed. */
struct stream_peer {
	const char *host;	/* name or address to connect to */
	unsigned port;
	enum stream_security security;
	const char *name;	/* name or IPv4 address that the certificate is
				 * for, sent as SNI unless it is an address */
	const char *alpn;	/* protocols to ask for, "imap" or "h2,http/1.1";
				 * NULL: none */
	const struct trust *trust;
	double secs;		/* longest wait for an answer, and to connect */
};

struct ssl_st;

struct stream {
	int fd;			/* -1: closed */
	struct ssl_st *tls;	/* NULL: none yet */
	const struct stream_peer *peer;	/* borrowed */
	double deadline;	/* of clock_secs(), for all that follows */
	struct buf in;		/* what came and was not taken yet */
	size_t off;
	struct buf address;	/* that it is connected to */
};

/* Connect; with STREAM_TLS the TLS handshake too. Returns 0, or -1 with *err:
 * "connection refused", "the certificate is not accepted: …". s is closed
 * then. The deadline is peer->secs from now on. */
int stream_open(struct stream *s, const struct stream_peer *peer,
		struct buf *err);
/* The handshake, now. What the server has said in clear before is forgotten.
 * Returns 0, or -1 with *err. */
int stream_start_tls(struct stream *s, struct buf *err);
/* Close it, without waiting; harmless when it is closed. */
void stream_close(struct stream *s);

/* All that follows, up to the next call of this, has to end in so many seconds;
 * at first it is peer->secs after stream_open(). */
void stream_within(struct stream *s, double secs);

/* Send all of it. Returns 0, or -1 with *err. */
int stream_write(struct stream *s, const void *p, size_t n, struct buf *err);
/* What has come and was not taken, *n bytes; it does not wait for more. */
const char *stream_peek(const struct stream *s, size_t *n);
/* Those are done with. */
void stream_take(struct stream *s, size_t n);
/* Wait until more has come. Returns 1, 0 when the server has closed the
 * connection, -1 with *err; with *late set if it is the deadline's passing (may
 * be NULL). */
int stream_fill(struct stream *s, bool *late, struct buf *err);
/* One line of at most max bytes without its CRLF, into line. Returns 0, or -1
 * with *err, also at the end. */
int stream_line(struct stream *s, struct buf *line, size_t max,
		struct buf *err);

/* Is the server on this machine, at the address that we have there? Servers may
 * trust such connections more than others. */
bool stream_is_local(const struct stream *s);

/* What the handshake has agreed on: "TLSv1.3"; the protocol by ALPN, "" for
 * none. "" without TLS. */
const char *stream_tls_version(const struct stream *s);
void stream_alpn(const struct stream *s, struct buf *out);
/* The certificate that the server has shown. Returns 0, or -1 without TLS;
 * cert_free() after 0. */
int stream_cert(const struct stream *s, struct cert *c);

#endif
