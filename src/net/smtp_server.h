/* The server side of SMTP as Postfix's before-queue proxy speaks it: no TLS,
 * no authentication, many messages on a connection. */
#ifndef NET_SMTP_SERVER_H
#define NET_SMTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "net/conn.h"
#include "text/smtp.h"

struct smtp_recipient {
	struct smtp_recipient *next;
	const char *addr;	/* without brackets, case as it came */
	const char *path;	/* as it came, brackets included */
	const char *params;	/* "NOTIFY=… ORCPT=…", "" if none */
};

struct smtp_envelope {
	struct arena arena;	/* owns the strings; ends with the message */
	const char *sender;	/* NULL before MAIL, "" for <> */
	const char *sender_path, *sender_params;
	struct smtp_recipient *recipients, **tail;
	unsigned count;
};

struct smtp_session;

struct smtp_server_ops {
	const char *name;	/* in the banner and in EHLO's answer */
	unsigned recipients_max;
	uint64_t (*size_max)(struct smtp_session *s);	/* bytes of content */
	/* MAIL was understood. Return false with the reply to refuse it. */
	bool (*mail)(struct smtp_session *s, struct buf *reply);
	/* DATA begins. Every begin is followed by end or dropped. */
	void (*begin)(struct smtp_session *s);
	/* The message: as on the wire, and with dots undone; see smtp_data. */
	void (*wire)(struct smtp_session *s, const char *p, size_t n);
	void (*content)(struct smtp_session *s, const char *p, size_t n);
	/* The terminator came and nothing was refused so far: answer with
	 * smtp_server_reply(), now or later. */
	void (*end)(struct smtp_session *s);
	/* The message is over without end: refused, or the peer is gone. */
	void (*dropped)(struct smtp_session *s);
	void (*closed)(struct smtp_session *s);	/* frees the session */
};

struct smtp_session {
	struct conn conn;
	const struct smtp_server_ops *ops;
	struct smtp_envelope envelope;
	struct smtp_data data;
	uint64_t received;	/* bytes of content so far */
	struct buf refusal;	/* reply at the end of data, "" while good */
	bool in_data, waiting, replied, quit;
};

/* Serve on fd, which is adopted; s lives in the caller's session. */
void smtp_server_start(struct smtp_session *s, struct ev_loop *loop, int fd,
		       const struct smtp_server_ops *ops);
/* The answer to the end of data: "250 OK". */
void smtp_server_reply(struct smtp_session *s, const char *reply);
/* The message in hand will not be accepted: dropped() is called, the rest of
 * the data is thrown away and answered with this reply. For use in content(),
 * wire() or from elsewhere while data comes in. */
void smtp_server_refuse(struct smtp_session *s, const char *reply);
/* Stop and go on reading data. */
void smtp_server_pause(struct smtp_session *s);
void smtp_server_resume(struct smtp_session *s);

#endif
