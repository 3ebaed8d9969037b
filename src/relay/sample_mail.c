#include "relay/sample_mail.h"

#include <time.h>

#include "base/rand.h"
#include "base/str.h"

enum {
	LINE_RAW = 48, LINE_TEXT = 66,	/* bytes, and as base64 with CRLF */
	PKESKS = 2, PKESK = 94,		/* to sender and recipient: ECDH */
	SEIPD_HEADER = 7,		/* with the version */
	ID_CHARS = 20, BOUNDARY_CHARS = 24,
};

static const char ID_SET[] = "abcdefghijklmnopqrstuvwxyz0123456789";

/* RFC 9580 sections 4.2.1, 5.1 and 5.13: for n bytes in all. */
static void make_packets(unsigned char *raw, size_t n)
{
	size_t left = n, at = 0;

	rand_bytes(raw, n);
	for (int i = 0; i < PKESKS; i++) {
		raw[at] = 0xc0 | 1;
		raw[at + 1] = PKESK;
		raw[at + 2] = 3;
		raw[at + 11] = 18;
		at += 2 + PKESK;
	}
	left = n - at - (SEIPD_HEADER - 1);
	raw[at] = 0xc0 | 18;
	raw[at + 1] = 0xff;
	raw[at + 2] = (unsigned char)(left >> 24);
	raw[at + 3] = (unsigned char)(left >> 16);
	raw[at + 4] = (unsigned char)(left >> 8);
	raw[at + 5] = (unsigned char)left;
	raw[at + 6] = 1;
}

static void add_armor(struct buf *out, size_t text)
{
	size_t least = (PKESKS * (2 + PKESK) + SEIPD_HEADER) / LINE_RAW + 2;
	size_t lines = text / LINE_TEXT > least ? text / LINE_TEXT : least;
	unsigned char *raw = xmalloc(lines * LINE_RAW);

	make_packets(raw, lines * LINE_RAW);
	buf_adds(out, "-----BEGIN PGP MESSAGE-----\r\n\r\n");
	for (size_t i = 0; i < lines; i++) {
		buf_add_base64(out, raw + i * LINE_RAW, LINE_RAW);
		buf_adds(out, "\r\n");
	}
	buf_adds(out, "-----END PGP MESSAGE-----\r\n");
	free(raw);
}

static void add_date(struct buf *out)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu",
					    "Fri", "Sat" };
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
		"Oct", "Nov", "Dec",
	};
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	buf_addf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n",
		 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
		 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void sample_mail_add_id(struct buf *out)
{
	char id[ID_CHARS + 1];

	rand_string(id, ID_CHARS, ID_SET);
	buf_addf(out, "%s@localhost", id);
}

static void add_header(struct buf *out, const struct sample_mail *m)
{
	buf_addf(out, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n", m->from,
		 m->to, m->subject ? m->subject : "[...]");
	add_date(out);
	buf_adds(out, "Message-ID: <");
	if (m->id)
		buf_adds(out, m->id);
	else
		sample_mail_add_id(out);
	buf_addf(out, ">\r\nChat-Version: 1.0\r\nMIME-Version: 1.0\r\n%s",
		 m->more ? m->more : "");
}

void sample_mail_add(struct buf *out, const struct sample_mail *m)
{
	char boundary[BOUNDARY_CHARS + 1];
	size_t begin = out->len, tail, head;

	rand_string(boundary, BOUNDARY_CHARS, ID_SET);
	add_header(out, m);
	buf_addf(out, "Content-Type: multipart/encrypted; "
		 "protocol=\"application/pgp-encrypted\";\r\n"
		 "\tboundary=\"%s\"\r\n\r\n"
		 "--%s\r\n"
		 "Content-Type: application/pgp-encrypted\r\n"
		 "Content-Description: PGP/MIME version identification\r\n\r\n"
		 "Version: 1\r\n\r\n"
		 "--%s\r\n"
		 "Content-Type: application/octet-stream; "
		 "name=\"encrypted.asc\"\r\n"
		 "Content-Description: OpenPGP encrypted message\r\n"
		 "Content-Disposition: inline; filename=\"encrypted.asc\"\r\n"
		 "\r\n", boundary, boundary, boundary);
	head = out->len - begin;
	tail = strlen("-----BEGIN PGP MESSAGE-----\r\n\r\n"
		      "-----END PGP MESSAGE-----\r\n\r\n----\r\n") +
	       BOUNDARY_CHARS;
	add_armor(out, m->size > head + tail ? m->size - head - tail : 0);
	buf_addf(out, "\r\n--%s--\r\n", boundary);
}

void sample_mail_add_clear(struct buf *out, const struct sample_mail *m)
{
	add_header(out, m);
	buf_adds(out, "Content-Type: text/plain; charset=utf-8\r\n\r\n"
		 "This is not encrypted.\r\n");
}
