/* SMTP on bytes (RFC 5321): commands, replies, and the data with its dots. */
#ifndef TEXT_SMTP_H
#define TEXT_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	SMTP_LINE_MAX = 4096,	/* RFC 5321 asks for 512, ESMTP adds more */
	SMTP_REPLY_MAX = 500,	/* a longer one makes Postfix's client hang */
};

/* Does the command line begin with these words, any case? "MAIL FROM:" also
 * matches "mail from:". Returns what follows, white space skipped, or NULL. */
const char *smtp_command_args(const char *line, const char *words);

/* One line of a reply, its LF cut off and NUL-terminated: "250-text" or
 * "250 text" or "250". Returns 0, or -1 when it is none. */
int smtp_reply_parse(const char *line, size_t len, int *code, bool *more,
		     const char **text);

/* Append "CODE text CRLF" to out: control bytes become "?", and what exceeds
 * SMTP_REPLY_MAX is cut. text carries the code. */
void smtp_reply_add(struct buf *out, const char *text);

/* The value of a SIZE parameter (RFC 1870) in the parameters of MAIL; 0 when
 * there is none, UINT64_MAX when it is no number. */
uint64_t smtp_size_param(const char *params);

/* The data after DATA's 354 as it comes off the wire, cut anywhere. */
struct smtp_data {
	/* Bytes as they came, to be handed on as they are; the terminating dot
	 * is not among them. */
	void (*wire)(struct smtp_data *d, const char *p, size_t n);
	/* The message itself: dots that were doubled are single. */
	void (*content)(struct smtp_data *d, const char *p, size_t n);
	bool done;		/* the terminator was seen */
	bool bare;		/* CR or LF alone: nothing more is given, and
				 * the message must not be accepted (CVE-2023-
				 * 51764: where would it end elsewhere?) */
	uint8_t state;
};

/* Prepare for the byte after 354. */
void smtp_data_init(struct smtp_data *d,
		    void (*wire)(struct smtp_data *d, const char *p, size_t n),
		    void (*content)(struct smtp_data *d, const char *p,
				    size_t n));
/* Returns how many bytes belong to the data: n, or fewer with done set. */
size_t smtp_data_feed(struct smtp_data *d, const char *p, size_t n);

#endif
