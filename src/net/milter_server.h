/* The server side of the milter protocol, versions 2 to 6, on a connection:
 * what a milter that looks at whole messages needs. The envelope's recipients
 * and HELO are not asked for, and nothing is answered before a message's end,
 * so that the mail server need not wait for each header and chunk. */
#ifndef NET_MILTER_SERVER_H
#define NET_MILTER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/conn.h"
#include "text/milter.h"

struct milter_session;

/* Each mail() is followed by end() and an answer, or by abort(). */
struct milter_server_ops {
	uint32_t actions;	/* enum milter_action; all are needed */
	/* A client of the mail server's: {daemon_name} is known from here on.
	 * May be NULL. */
	void (*connect)(struct milter_session *s,
			const struct milter_connect *c);
	/* A message begins: its sender, with the brackets that Postfix's SMTP
	 * server sends and its cleanup does not. {auth_authen} is known. */
	void (*mail)(struct milter_session *s, const char *sender);
	/* A header field. value is what follows the colon, its space included,
	 * its lines separated by LF as Postfix sends them. */
	void (*header)(struct milter_session *s, const char *name,
		       const char *value);
	void (*eoh)(struct milter_session *s);
	/* A part of the body, cut anywhere, with CRLF and no dots doubled. */
	void (*body)(struct milter_session *s, const char *p, size_t n);
	/* The message is complete and waits, now or later, for one of
	 * milter_server_accept(), _tempfail() and _reply(). */
	void (*end)(struct milter_session *s);
	/* The message is over without an answer, perhaps after end(). */
	void (*abort)(struct milter_session *s);
	/* The connection is gone; why is static, NULL for the ordinary end.
	 * Frees the session. */
	void (*closed)(struct milter_session *s, const char *why);
};

/* The events that macros come with, in their order. */
enum { MILTER_MACRO_EVENTS = 9 };

struct milter_session {
	struct conn conn;
	const struct milter_server_ops *ops;
	struct milter_options options;	/* as negotiated */
	unsigned state;
	struct buf packet;	/* the beginning of one that is not whole */
	size_t body_left;	/* of a body packet, given on as it comes */
	struct buf macros[MILTER_MACRO_EVENTS];	/* names and values */
};

/* Serve on fd, which is adopted; s lives in the caller's session. */
void milter_server_start(struct milter_session *s, struct ev_loop *loop,
			 int fd, const struct milter_server_ops *ops);

/* A macro as it was last sent, "i" or "{daemon_name}"; NULL when it was not.
 * Those of a message end with it. Borrowed until the callback returns. */
const char *milter_server_macro(const struct milter_session *s,
				const char *name);

/* ---- after end() ------------------------------------------------------------ */

/* Add a field at the top (index 0) or below; value without the space after
 * the colon. -1 when it is unsafe: see milter_add_insert(). */
int milter_server_insert(struct milter_session *s, uint32_t index,
			 const char *name, const char *value);
/* Replace the field of that name, counted from 1 among them. */
int milter_server_change(struct milter_session *s, uint32_t index,
			 const char *name, const char *value);
int milter_server_delete(struct milter_session *s, uint32_t index,
			 const char *name);

/* The answers; the message is over then. What has arrived meanwhile is handled
 * inside these calls unless they are made in end(): the session may be in its
 * next message or gone afterwards. A reply as milter_add_reply() has it; what
 * is none becomes a tempfail. */
void milter_server_accept(struct milter_session *s);
void milter_server_tempfail(struct milter_session *s);
void milter_server_reply(struct milter_session *s, const char *text);

#endif
