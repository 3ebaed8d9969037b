/* DNS packets written as text, for the unit tests of dnsmsg. */
#ifndef DNSPACKET_H
#define DNSPACKET_H

#include "base/str.h"
#include "text/dnsmsg.h"

/* Packets are written as text: "|" ends a piece; a piece is a name
 * "=mail.example", hex bytes "c00c", or a string "'text". */
static void add_piece(struct buf *b, const char *p, size_t n)
{
	struct dnsname name;
	char text[300];
	unsigned byte;

	snprintf(text, sizeof(text), "%.*s", (int)n, p);
	if (*text == '=') {
		if (dnsname_parse(text + 1, &name) < 0)
			name.len = 0;
		buf_add(b, name.wire, name.len);
	} else if (*text == '\'') {
		buf_addc(b, (char)strlen(text + 1));
		buf_adds(b, text + 1);
	} else {
		for (p = text; sscanf(p, " %2x", &byte) == 1;
		     p += strspn(p, " ") + 2)
			buf_addc(b, (char)byte);
	}
}

static void add_pieces(struct buf *b, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "|");

		add_piece(b, text, n);
		text += n + (text[n] == '|');
	}
}

/* ---- frequent pieces --------------------------------------------------------- */

/* id, flags, one question, N answers, x authority, y additional */
#define HEAD(flags, answers) "1234 " flags " 0001 " answers " 0000 0000|"
#define ASKED "=a.b|0010 0001|"		/* at 12: pointer c00c */
#define TXT(ttl, len) "0010 0001 " ttl " " len "|"
#define CNAME(ttl, len) "0005 0001 " ttl " " len "|"

#endif
