/* Hands one message to an SMTP server that trusts us: Postfix's reinjection
 * port. Lock-step, no TLS. */
#ifndef NET_SMTP_CLIENT_H
#define NET_SMTP_CLIENT_H

#include "net/smtp_server.h"

struct smtp_client;

struct smtp_client_ops {
	/* The server wants the message: smtp_client_write() from now on. */
	void (*ready)(struct smtp_client *c);
	/* The queue of unsent bytes is short again, see conn_is_full(). */
	void (*drained)(struct smtp_client *c);
	/* How it ended, once, unless smtp_client_abort() came before: the
	 * server's final reply ("250 2.0.0 Ok: queued"), or "451 4.3.0 …" when
	 * it is gone or silent. accepted: the message is the server's now. */
	void (*finished)(struct smtp_client *c, bool accepted,
			 const char *reply);
	/* The memory is the owner's again; after finished() or abort(). */
	void (*closed)(struct smtp_client *c);
};

enum smtp_client_state {
	CLIENT_GREETING, CLIENT_EHLO, CLIENT_MAIL, CLIENT_RCPT, CLIENT_DATA,
	CLIENT_BODY, CLIENT_DOT, CLIENT_DONE,
};

struct smtp_client {
	struct conn conn;
	const struct smtp_client_ops *ops;
	const struct smtp_envelope *envelope;
	const struct smtp_recipient *next;	/* whose RCPT is under way */
	enum smtp_client_state state;
	double secs;
	struct buf reply;			/* the current one, on one line */
};

/* Connect and go as far as ready(). The envelope is borrowed until the end; its
 * parameters are passed on as they are. secs: longest silence of the server. */
void smtp_client_start(struct smtp_client *c, struct ev_loop *loop,
		       const char *ip, unsigned port,
		       const struct smtp_envelope *e, double secs,
		       const struct smtp_client_ops *ops);
/* Some of the message as it is on the wire, dots doubled, lines whole at the
 * end. Only between ready() and smtp_client_end(). */
void smtp_client_write(struct smtp_client *c, const char *p, size_t n);
/* The same; the buffer is taken over and empty afterwards. */
void smtp_client_write_buf(struct smtp_client *c, struct buf *b);
/* The message was all right: send the dot. */
void smtp_client_end(struct smtp_client *c);
/* Drop the connection: before smtp_client_end() nothing was queued. */
void smtp_client_abort(struct smtp_client *c);

#endif
