/* Messages to try a relay with, of the form that apps send: OpenPGP packets in
 * PGP/MIME (RFC 3156) around random bytes, which nobody can decrypt. */
#ifndef RELAY_SAMPLE_MAIL_H
#define RELAY_SAMPLE_MAIL_H

#include "base/buf.h"

enum { SAMPLE_MAIL_MIN = 1500 };	/* bytes, about */

struct sample_mail {
	const char *from, *to;	/* addresses in the header */
	const char *subject;	/* NULL: "[...]", as apps write it */
	const char *id;		/* Message-ID, no brackets; NULL: a new one */
	const char *more;	/* further fields, each with its CRLF; NULL */
	size_t size;		/* bytes of the message, about; never less than
				 * SAMPLE_MAIL_MIN */
};

/* Append the message, with CRLF line ends. */
void sample_mail_add(struct buf *out, const struct sample_mail *m);
/* The same in clear: text/plain, which no relay takes. */
void sample_mail_add_clear(struct buf *out, const struct sample_mail *m);
/* Append a new message id: "<random>@localhost" without the brackets. */
void sample_mail_add_id(struct buf *out);

#endif
