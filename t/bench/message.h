/* Messages of any size, none of them held in memory: a head, lines of one pool
 * of random base64, a tail. Variants begin at different lines of the pool, so
 * that no bytes of one message could stand in another's place unnoticed. */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include "base/rand.h"
#include "t/bench/bench.h"

enum {
	LINE_RAW = 57, LINE_TEXT = 78,	/* bytes, and as base64 with CRLF */
	POOL_LINES = 16 * 1024,
	PIECE_LINES = 512,		/* handed out at a time */
};

#define MESSAGE_SENDER "u00000000@bench.example"

enum message_kind {
	ENCRYPTED,
	CLEARTEXT,	/* which the header tells */
	BROKEN,		/* encrypted, but for the end of the armor */
};

struct message {
	struct buf head, tail;
	size_t first, lines;	/* of the pool */
	size_t size;		/* of everything */
};

static struct buf message_pool = BUF_INIT;

static inline void add_lines(struct buf *out, const unsigned char *raw,
			     size_t lines)
{
	for (size_t i = 0; i < lines; i++) {
		buf_add_base64(out, raw + i * LINE_RAW, LINE_RAW);
		buf_adds(out, "\r\n");
	}
}

static inline void make_pool(void)
{
	static unsigned char raw[POOL_LINES * LINE_RAW];

	if (message_pool.len)
		return;
	rand_bytes(raw, sizeof(raw));
	add_lines(&message_pool, raw, POOL_LINES);
}

/* RFC 9580: two PKESK packets, for sender and recipient, then an SEIPD packet
 * with so many more bytes than stand here. */
static inline void add_packets(struct buf *out, size_t more)
{
	enum { LINES = 4, PKESK = 94, HEADERS = 2 * (2 + PKESK) + 6 };
	unsigned char raw[LINES * LINE_RAW];
	size_t len = sizeof(raw) - HEADERS + more, at = 0;

	rand_bytes(raw, sizeof(raw));
	for (int i = 0; i < 2; i++, at += 2 + PKESK) {
		raw[at] = 0xc0 | 1;
		raw[at + 1] = PKESK;
		raw[at + 2] = 3;		/* version */
		raw[at + 11] = 18;		/* ECDH */
	}
	raw[at] = 0xc0 | 18;
	raw[at + 1] = 0xff;		/* a length of four octets follows */
	raw[at + 2] = len >> 24;
	raw[at + 3] = len >> 16;
	raw[at + 4] = len >> 8;
	raw[at + 5] = len;
	raw[at + 6] = 1;		/* version */
	add_lines(out, raw, LINES);
}

static inline void add_header(struct buf *out, unsigned variant,
			      const char *type)
{
	buf_addf(out,
		 "From: <" MESSAGE_SENDER ">\r\n"
		 "To: <friend@example.net>\r\n"
		 "Subject: [...]\r\n"
		 "Date: Sat, 21 Nov 2026 08:00:00 +0000\r\n"
		 "Message-ID: <%u.0123456789abcdef@localhost>\r\n"
		 "Chat-Version: 1.0\r\n"
		 "MIME-Version: 1.0\r\n"
		 "Content-Type: %s\r\n"
		 "\r\n", variant, type);
}

static inline void make_parts(struct message *m, unsigned variant,
			      enum message_kind kind)
{
	if (kind == CLEARTEXT) {
		add_header(&m->head, variant, "text/plain; charset=utf-8");
		return;
	}
	add_header(&m->head, variant, "multipart/encrypted; "
		   "protocol=\"application/pgp-encrypted\";\r\n"
		   "\tboundary=\"187f1e2d3c4b5a69\"");
	buf_adds(&m->head,
		 "--187f1e2d3c4b5a69\r\n"
		 "Content-Type: application/pgp-encrypted; charset=\"utf-8\"\r\n"
		 "Content-Description: PGP/MIME version identification\r\n"
		 "Content-Transfer-Encoding: 7bit\r\n\r\n"
		 "Version: 1\r\n\r\n"
		 "--187f1e2d3c4b5a69\r\n"
		 "Content-Type: application/octet-stream; "
		 "name=\"encrypted.asc\"; charset=\"utf-8\"\r\n"
		 "Content-Description: OpenPGP encrypted message\r\n"
		 "Content-Disposition: inline; filename=\"encrypted.asc\";\r\n"
		 "Content-Transfer-Encoding: 7bit\r\n\r\n"
		 "-----BEGIN PGP MESSAGE-----\r\n\r\n");
	buf_adds(&m->tail, kind == BROKEN ? "this is text\r\n" : "=bZ3c\r\n");
	buf_adds(&m->tail,
		 "-----END PGP MESSAGE-----\r\n\r\n"
		 "--187f1e2d3c4b5a69--\r\n");
}

/* A message of about size bytes, 2 KB at least; see message_free(). */
static inline void message_make(struct message *m, size_t size,
				unsigned variant, enum message_kind kind)
{
	size_t around;

	make_pool();
	*m = (struct message){ .first = variant * 251 % POOL_LINES };
	buf_init(&m->head);
	buf_init(&m->tail);
	make_parts(m, variant, kind);
	around = m->head.len + m->tail.len + 4 * LINE_TEXT;
	m->lines = size > around ? (size - around) / LINE_TEXT : 1;
	if (kind != CLEARTEXT)
		add_packets(&m->head, m->lines * LINE_RAW);
	m->size = m->head.len + m->lines * LINE_TEXT + m->tail.len;
}

static inline void message_free(struct message *m)
{
	buf_free(&m->head);
	buf_free(&m->tail);
}

/* The bytes from offset at on; the number of those at *p, 0 at the end. No
 * line begins with a dot: they go over the wire as they are. */
static inline size_t message_piece(const struct message *m, size_t at,
				   const char **p)
{
	size_t line, here, left;

	if (at < m->head.len) {
		*p = m->head.data + at;
		return m->head.len - at;
	}
	at -= m->head.len;
	left = m->lines * LINE_TEXT;
	if (at >= left) {
		*p = m->tail.data + (at - left);
		return m->tail.len - (at - left);
	}
	line = (m->first + at / LINE_TEXT) % POOL_LINES;
	here = (line < POOL_LINES - PIECE_LINES ? PIECE_LINES :
		POOL_LINES - line) * LINE_TEXT - at % LINE_TEXT;
	*p = message_pool.data + line * LINE_TEXT + at % LINE_TEXT;
	return here < left - at ? here : left - at;
}

#endif
