/* An IMAP client (RFC 3501) for programs that wait for each answer. */
#ifndef NET_IMAP_CLIENT_H
#define NET_IMAP_CLIENT_H

#include "net/stream.h"
#include "text/imap.h"

enum { IMAP_ANSWER_MAX = 64 * 1024 * 1024 };	/* bytes of all its responses */

struct imap_client {
	struct stream stream;
	unsigned last;		/* number of the latest command's tag */
	enum imap_status status;	/* that the latest command has got */
	struct buf text;	/* of that: "[CODE] text for people"; at first
				 * that of the greeting */
	struct buf answer;	/* the untagged responses to it, as they came */
	size_t read;		/* of these, by imap_client_next() */
};

/* Connect, get to TLS as peer->security says, read the greeting. Returns 0, or
 * -1 with *err; then it is closed. The peer is borrowed. */
int imap_client_open(struct imap_client *c, const struct stream_peer *peer,
		     struct buf *err);
/* Say LOGOUT without waiting for an answer, and close; harmless when it is
 * closed already. */
void imap_client_close(struct imap_client *c);

/* Send a command, a printf(3) result without tag and CRLF, and wait for its end
 * for at most peer->secs. Returns 0 when it was OK, 1 when it was NO or BAD
 * (see status and text), -1 with *err when there is no connection any more. */
int imap_client_command(struct imap_client *c, struct buf *err,
			const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same in two steps: send, and later wait for at most secs. */
int imap_client_send(struct imap_client *c, struct buf *err, const char *fmt,
		     ...) __attribute__((format(printf, 3, 4)));
int imap_client_wait(struct imap_client *c, double secs, struct buf *err);
/* LOGIN with strings that may hold anything. As imap_client_command(), and in
 * the first step only. */
int imap_client_login(struct imap_client *c, const char *user,
		      const char *password, struct buf *err);
int imap_client_login_send(struct imap_client *c, const char *user,
			   const char *password, struct buf *err);

/* The next untagged response to the latest command; false at the end. What *r
 * points to is good until the next command. */
bool imap_client_next(struct imap_client *c, struct imap_response *r);
/* From the first on again. */
void imap_client_rewind(struct imap_client *c);
/* The next one of that name; without has_number unless it is needed. */
bool imap_client_find(struct imap_client *c, const char *name,
		      struct imap_response *r);

/* IDLE (RFC 2177): begin, and return when the server waits too. Returns as
 * imap_client_command(). */
int imap_client_idle(struct imap_client *c, struct buf *err);
/* Until the server tells something of that name, as "EXISTS", for at most secs.
 * Returns 1 with *r, 0 when it did not in time, -1 with *err. What it says
 * meanwhile is passed over. Again is fine. */
int imap_client_idle_wait(struct imap_client *c, const char *name, double secs,
			  struct imap_response *r, struct buf *err);
/* End it. Returns as imap_client_command(). */
int imap_client_done(struct imap_client *c, struct buf *err);

#endif
