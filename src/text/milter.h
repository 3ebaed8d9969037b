/* The packets of the milter protocol, versions 2 to 6, as Postfix 3.7 and
 * Sendmail's libmilter speak it (Postfix: src/milter/milter8.c; Sendmail:
 * include/libmilter/mfdef.h). A packet is a length of 4 bytes, big-endian, of
 * what follows: a command byte and its data. Strings end in NUL. */
#ifndef TEXT_MILTER_H
#define TEXT_MILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	MILTER_VERSION_MIN = 2, MILTER_VERSION = 6,
	MILTER_HEAD_LEN = 4,
	MILTER_PACKET_MAX = 1 << 20,	/* Postfix's longest is a header field
					 * of header_size_limit, 100 KB */
};

/* From the mail server. */
enum milter_command {
	MILTER_NEGOTIATE = 'O', MILTER_MACROS = 'D', MILTER_CONNECT = 'C',
	MILTER_HELO = 'H', MILTER_MAIL = 'M', MILTER_RCPT = 'R',
	MILTER_DATA = 'T', MILTER_HEADER = 'L', MILTER_EOH = 'N',
	MILTER_BODY = 'B', MILTER_END = 'E', MILTER_ABORT = 'A',
	MILTER_QUIT = 'Q', MILTER_QUIT_NEW = 'K', MILTER_UNKNOWN = 'U',
};

/* Answers without data. */
enum milter_verdict {
	MILTER_CONTINUE = 'c', MILTER_ACCEPT = 'a', MILTER_REJECT = 'r',
	MILTER_TEMPFAIL = 't', MILTER_DISCARD = 'd', MILTER_SKIP = 's',
	MILTER_PROGRESS = 'p',
};

/* What a milter may do to a message. */
enum milter_action {
	MILTER_ADD_HEADERS = 0x01, MILTER_CHANGE_HEADERS = 0x10,
};

/* What is not sent (NO), what is not answered (NR), and more. */
enum milter_protocol {
	MILTER_NO_CONNECT = 0x01, MILTER_NO_HELO = 0x02, MILTER_NO_MAIL = 0x04,
	MILTER_NO_RCPT = 0x08, MILTER_NO_BODY = 0x10, MILTER_NO_HEADERS = 0x20,
	MILTER_NO_EOH = 0x40, MILTER_NR_HEADERS = 0x80,
	MILTER_NO_UNKNOWN = 0x100, MILTER_NO_DATA = 0x200,
	MILTER_NR_CONNECT = 0x1000, MILTER_NR_HELO = 0x2000,
	MILTER_NR_MAIL = 0x4000, MILTER_NR_RCPT = 0x8000,
	MILTER_NR_DATA = 0x10000, MILTER_NR_UNKNOWN = 0x20000,
	MILTER_NR_EOH = 0x40000, MILTER_NR_BODY = 0x80000,
	/* header values come with what follows the colon, and are inserted
	 * so; without it one space is eaten and added */
	MILTER_HEADER_SPACE = 0x100000,
};

/* ---- what comes ------------------------------------------------------------- */

/* Look at the n bytes that have arrived. Returns 1 when a packet is whole,
 * with the length of its command and data, which begin at MILTER_HEAD_LEN; 0
 * when more is needed; -1 when the length is 0 or over MILTER_PACKET_MAX. *len
 * is set as soon as MILTER_HEAD_LEN bytes are there. */
int milter_frame(const char *p, size_t n, size_t *len);

/* All parsers take a packet's data, without the command byte, return 0, or -1
 * when it is malformed, and give pointers into it. */

struct milter_options {
	uint32_t version, actions, protocol;
};
int milter_parse_options(const char *p, size_t n, struct milter_options *o);

/* The data is strings and nothing else, at least min of them. */
int milter_check_strings(const char *p, size_t n, int min);
/* The string after s in n bytes of strings at p, the first for NULL; NULL
 * after the last. */
const char *milter_next_string(const char *p, size_t n, const char *s);

struct milter_connect {
	const char *host;
	char family;		/* '4', '6', 'L' (unix) or 'U' (unknown) */
	unsigned port;		/* 0 with 'U' */
	const char *addr;	/* "" with 'U' */
};
int milter_parse_connect(const char *p, size_t n, struct milter_connect *c);

/* Macros: the command that they come with, then names and values in turn.
 * Postfix sends none but the command when it has none. */
int milter_parse_macros(const char *p, size_t n, char *command,
			const char **pairs, size_t *pairs_len);
/* The value of a macro, "i" or "{daemon_name}"; NULL when it is not there.
 * Braces do not matter. */
const char *milter_macro(const char *pairs, size_t n, const char *name);

int milter_parse_header(const char *p, size_t n, const char **name,
			const char **value);

/* ---- what goes -------------------------------------------------------------- */

/* Each appends a whole packet. */
void milter_add_options(struct buf *out, const struct milter_options *o);
void milter_add_verdict(struct buf *out, enum milter_verdict v);

/* Refuse with this reply, as "554 5.7.1 No DKIM signature found": a code from
 * 400 to 599 and an enhanced one of the same class, one line. Control bytes
 * become "?", and what exceeds SMTP_REPLY_MAX is cut. Returns -1, and adds
 * nothing, when text is no such reply: the mail server would drop it and the
 * connection. */
int milter_add_reply(struct buf *out, const char *text);

/* Header fields, in answer to MILTER_END before the verdict. value is what
 * follows the colon when MILTER_HEADER_SPACE was negotiated; its line breaks,
 * CRLF or LF, become the LF that Postfix wants. Insert: index 0 is the top.
 * Change: index counts the fields of that name from 1; a value of "" deletes.
 * Returns -1, and adds nothing, when the name is no field name or the value
 * would end the field or the packet: CR alone, or a line break without white
 * space after it. */
int milter_add_header(struct buf *out, const char *name, const char *value);
int milter_add_insert(struct buf *out, uint32_t index, const char *name,
		      const char *value);
int milter_add_change(struct buf *out, uint32_t index, const char *name,
		      const char *value);

#endif
