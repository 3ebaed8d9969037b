/* An SMTP client (RFC 5321, 3207, 4954) for programs that wait for each reply
 * and want to see it. */
#ifndef NET_SMTP_DIALOG_H
#define NET_SMTP_DIALOG_H

#include "net/stream.h"

enum { SMTP_DIALOG_LINES_MAX = 200 };	/* of a reply */

struct smtp_dialog {
	struct stream stream;
	int code;		/* of the latest reply */
	struct buf reply;	/* all of it on one line: "550 5.7.1 No, no" */
	struct buf keywords;	/* of EHLO, each on a line and ended by LF */
};

/* Connect, read the greeting, say EHLO with helo, and get to TLS as
 * peer->security says. Returns 0, or -1 with *err; then it is closed. The peer
 * is borrowed. */
int smtp_dialog_open(struct smtp_dialog *d, const struct stream_peer *peer,
		     const char *helo, struct buf *err);
/* Say QUIT without waiting for the reply, and close; harmless when it is
 * closed already. */
void smtp_dialog_close(struct smtp_dialog *d);

/* The parameters of a keyword that the server has told, "" for none; NULL when
 * it has not. Good until the next EHLO. *n is their length. */
const char *smtp_dialog_keyword(const struct smtp_dialog *d,
				const char *keyword, size_t *n);

/* Send a line, a printf(3) result, and wait for the reply for at most
 * peer->secs. Returns its code, or -1 with *err. */
int smtp_dialog_say(struct smtp_dialog *d, struct buf *err, const char *fmt,
		    ...) __attribute__((format(printf, 3, 4)));
/* The same in two steps. */
int smtp_dialog_send(struct smtp_dialog *d, struct buf *err, const char *fmt,
		     ...) __attribute__((format(printf, 3, 4)));
int smtp_dialog_wait(struct smtp_dialog *d, double secs, struct buf *err);
/* Log in by AUTH PLAIN. Returns the code, 235 when it went well. */
int smtp_dialog_login(struct smtp_dialog *d, const char *user,
		      const char *password, struct buf *err);
/* The same without waiting. Returns 0, or -1 with *err. */
int smtp_dialog_login_send(struct smtp_dialog *d, const char *user,
			   const char *password, struct buf *err);
/* After 354: the message, lines with CRLF, dots not doubled, and the final dot.
 * Returns the code of the reply, or -1 with *err. */
int smtp_dialog_message(struct smtp_dialog *d, const char *p, size_t n,
			struct buf *err);
/* From MAIL to the final dot, for one recipient. Returns the code of the first
 * refusal, or that of the message; after a refusal the transaction is reset
 * with the reply kept. -1 with *err. */
int smtp_dialog_mail(struct smtp_dialog *d, const char *sender,
		     const char *recipient, const struct buf *message,
		     struct buf *err);

#endif
