/* The outline of a message (RFC 5322, 2045, 2046) as its bytes come in: the
 * header, the parts of a multipart message with their headers, the bodies
 * decoded. Parts inside parts are not told apart, they are a part's body.
 *
 * Bytes may be cut anywhere, the result is the same. Memory is bounded by the
 * limits of fields in mime.c, 32 KB at most and nearly always less than 2 KB;
 * time grows with the message's size alone.
 *
 * What mail programs might read in different ways is not guessed but noted:
 * in head.error, type.error, stray, bare_newline, nul.
 */
#ifndef TEXT_MIME_H
#define TEXT_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "text/base64.h"

enum {
	MIME_TYPE_MAX = 127,		/* longer types read as "" */
	MIME_BOUNDARY_MAX = 200,	/* RFC 2046 allows 70 */
	MIME_NAME_MAX = 31,		/* longest field name looked at */
};

/* Line ends and NUL bytes in a stream. */
struct mime_bytes {
	bool cr;	/* the last byte was CR */
	bool bare;	/* CR without LF, or LF without CR */
	bool nul;
};

/* The fields whose values are kept, and their limits; mime.c has the names. */
enum mime_field {
	MIME_FROM, MIME_SUBJECT, MIME_CONTENT_TYPE, MIME_ENCODING,
	MIME_SECURE_JOIN, MIME_AUTO_SUBMITTED, MIME_FIELDS
};

/* One field: how often it came, and the first value, unfolded, white space
 * cut off both ends. */
struct mime_value {
	struct buf text;
	size_t count;
	bool cut;	/* longer than its limit: text is its beginning */
};

/* A header, of the message or of a part. error is static text: a line that is
 * no field, white space before a colon, a folded line of white space only,
 * a name that begins like a boundary, bare CR or LF, NUL. The lines that are
 * fields are read all the same. */
struct mime_header {
	struct mime_value values[MIME_FIELDS];
	struct mime_value *into;	/* the value being read, or NULL */
	const char *error;
	struct mime_bytes bytes;
	char name[MIME_NAME_MAX + 1];
	uint8_t name_len;
	uint8_t state;
	bool done;			/* the empty line was seen */
};

/* A Content-Type value (RFC 2045 section 5.1): type is "multipart/mixed", in
 * lower case, or "" if malformed. error tells what is wrong with type or
 * parameters, or that a multipart has no usable boundary: none, two, empty,
 * too long, in RFC 2231's encoded form. Its continued form is understood. */
struct mime_type {
	char type[MIME_TYPE_MAX + 1];
	char boundary[MIME_BOUNDARY_MAX + 1];
	const char *error;
};

void mime_type_parse(struct mime_type *t, const char *value);
bool mime_type_is_multipart(const struct mime_type *t);

/* Content-Transfer-Encoding. Base64 and quoted-printable are read strictly:
 * what one decoder skips and another shows is an error. */
enum mime_encoding {
	MIME_IDENTITY, MIME_BASE64, MIME_QUOTED, MIME_UNKNOWN
};

enum mime_encoding mime_encoding_parse(const char *value);

struct mime;

/* Called in order; part 0 is a message that is not multipart. */
struct mime_ops {
	/* m->head and m->type are complete: those of the message at first
	 * (m->part is 0), then of each part. */
	void (*header)(struct mime *m);
	/* Some of m->part's body, decoded; n > 0. */
	void (*body)(struct mime *m, const char *p, size_t n);
	/* m->part is over; m->encoding_error is set if it did not decode. */
	void (*part_end)(struct mime *m);
};

enum { MIME_HOLD = 2 + MIME_BOUNDARY_MAX + 2 + 32 };

struct mime {
	const struct mime_ops *ops;
	struct mime_header head;	/* the latest */
	struct mime_type type;		/* of the latest header */
	size_t part;			/* delimiters seen */
	bool multipart;			/* the message is, with a boundary */
	bool closed;			/* the close delimiter was seen */
	bool stray;			/* a line outside the parts begins with
					 * "--", or one anywhere as a delimiter
					 * does, but is none; or one stands
					 * after the close delimiter */
	struct mime_bytes bytes;	/* of the whole message */
	enum mime_encoding encoding;	/* of the body being read */
	const char *encoding_error;

	/* private */
	uint8_t state;
	bool in_line;			/* this line is no delimiter */
	uint8_t newline_len;		/* line end that may belong to a
					 * delimiter: CRLF, LF, or CR */
	char newline[2];
	uint16_t held;			/* line that may be a delimiter */
	char hold[MIME_HOLD];
	uint8_t boundary_len;
	char boundary[MIME_BOUNDARY_MAX + 1];
	struct base64 base64;
	uint8_t quoted;			/* bytes of a "=XX" or "=CRLF" seen */
	char quoted_first;
};

void mime_init(struct mime *m, const struct mime_ops *ops);
void mime_feed(struct mime *m, const char *p, size_t n);
/* After the last byte; header() and part_end() are called as needed. */
void mime_end(struct mime *m);
void mime_free(struct mime *m);

/* Only note line ends and NULs, for a message whose rest does not matter. */
void mime_skip(struct mime *m, const char *p, size_t n);

/* The first value of a field in the latest header, or NULL. */
const char *mime_get(const struct mime *m, enum mime_field field);

#endif
