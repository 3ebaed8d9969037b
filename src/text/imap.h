/* IMAP's responses (RFC 3501 section 7), as a client reads them. What a server
 * says is bounded by the caller and never trusted. */
#ifndef TEXT_IMAP_H
#define TEXT_IMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Finds where a response ends: a line, with the literals that it announces.
 * Zeroed before each response. */
struct imap_scan {
	size_t line;		/* where its latest line begins */
	size_t looked;		/* so many bytes of that have no LF */
};

/* p has the n bytes from the response's first on, those of the call before
 * unchanged among them. Returns 1 with its length, the last LF included, 0 when
 * more bytes are needed, -1 when it is longer than max or a literal has no
 * length. */
int imap_scan(struct imap_scan *s, const char *p, size_t n, size_t max,
	      size_t *len);

enum imap_token_type {
	IMAP_TOKEN_END,		/* of the response */
	IMAP_TOKEN_OPEN, IMAP_TOKEN_CLOSE,	/* parentheses */
	IMAP_TOKEN_ATOM,	/* a number, a flag, "BODY[HEADER]<0>" too */
	IMAP_TOKEN_QUOTED, IMAP_TOKEN_LITERAL,
	IMAP_TOKEN_NIL,
	IMAP_TOKEN_WRONG,	/* what can be none of them; the cursor is at
				 * the end then */
};

/* Borrows its text from the response. */
struct imap_token {
	enum imap_token_type type;
	const char *text;	/* of QUOTED: without quotes, with backslashes */
	size_t len;
};

struct imap_cursor {
	const char *p, *end;
};

/* The next token. */
void imap_next(struct imap_cursor *c, struct imap_token *t);
/* The same for the value that begins here: of a list the first token is given
 * and the rest, nested ones too, is stepped over. */
void imap_next_value(struct imap_cursor *c, struct imap_token *t);
/* Is it an atom of that name, any case? */
bool imap_token_is(const struct imap_token *t, const char *atom);
/* A string, whichever way it was written? */
bool imap_token_is_string(const struct imap_token *t);
/* Append what a string or an atom says. */
void imap_token_add(struct buf *out, const struct imap_token *t);
/* A number. Returns 0, or -1. */
int imap_token_u64(const struct imap_token *t, uint64_t *out);

enum imap_kind { IMAP_UNTAGGED, IMAP_TAGGED, IMAP_CONTINUE };
enum imap_status {
	IMAP_NONE,		/* no status response */
	IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_PREAUTH, IMAP_BYE
};

enum { IMAP_NAME_MAX = 31 };

struct imap_response {
	enum imap_kind kind;
	const char *tag;	/* of a tagged one; not terminated */
	size_t tag_len;
	bool has_number;	/* "* 5 EXISTS", "* 5 FETCH (...)" */
	uint64_t number;
	char name[IMAP_NAME_MAX + 1];	/* "FETCH", in upper case; "" for
					 * IMAP_CONTINUE */
	enum imap_status status;
	/* What follows the name, without the last line end; for a status it is
	 * text for people, "[CODE] text". */
	struct imap_cursor rest;
};

/* n is what imap_scan() gave. Returns 0, or -1 when it is no response. It
 * borrows from p. */
int imap_response_parse(struct imap_response *r, const char *p, size_t n);
/* The value of an item in a FETCH response, as "UID" or "BODY[HEADER]"; the
 * comparison is without case. False when it is not there. */
bool imap_fetch_find(const struct imap_response *r, const char *item,
		     struct imap_token *value);

/* Append a string as a client sends it in a command: quoted. CR, LF and NUL,
 * which may not stand there, are left out. */
void imap_add_quoted(struct buf *out, const char *s);

#endif
