#include "text/pgp.h"

#include <string.h>

enum { PKESK = 1, SKESK = 3, SEIPD = 18 };
enum { PGP_TAG, PGP_LENGTH, PGP_OCTETS, PGP_BODY, PGP_DONE };

void pgp_init(struct pgp *g)
{
	memset(g, 0, sizeof(*g));
}

static void pgp_refuse(struct pgp *g, const char *why)
{
	if (!g->why)
		g->why = why;
}

static void body_end(struct pgp *g)
{
	if (g->partial)
		g->state = PGP_LENGTH;
	else
		g->state = g->tag == SEIPD ? PGP_DONE : PGP_TAG;
}

static void body_begin(struct pgp *g)
{
	g->state = PGP_BODY;
	if (!g->left)
		body_end(g);
}

/* Old format: 10ttttll, and the length in 1, 2 or 4 octets. */
static void old_tag(struct pgp *g, unsigned char c)
{
	g->tag = c >> 2 & 15;
	g->octets = (uint8_t)(1 << (c & 3));
	g->state = PGP_OCTETS;
	if ((c & 3) == 3)
		pgp_refuse(g, "packet of indeterminate length");
}

static void pgp_tag(struct pgp *g, unsigned char c)
{
	g->left = 0;
	g->extra = 0;
	g->partial = false;
	if (!(c & 0x80)) {
		pgp_refuse(g, "not an OpenPGP packet");
	} else if (c & 0x40) {
		g->tag = c & 63;
		g->state = PGP_LENGTH;
	} else {
		old_tag(g, c);
	}
	if (g->tag != PKESK && g->tag != SKESK && g->tag != SEIPD)
		pgp_refuse(g, "packet other than PKESK, SKESK, SEIPD");
}

/* First octet of a new-format length. */
static void pgp_length(struct pgp *g, unsigned char c)
{
	g->partial = c >= 224 && c < 255;
	if (c < 192 || g->partial) {
		g->left = g->partial ? UINT64_C(1) << (c & 31) : c;
		if (g->partial && g->tag != SEIPD)
			pgp_refuse(g, "partial length outside SEIPD");
		body_begin(g);
		return;
	}
	g->left = c == 255 ? 0 : c - 192u;
	g->extra = c == 255 ? 0 : 192;
	g->octets = c == 255 ? 4 : 1;
	g->state = PGP_OCTETS;
}

static void pgp_octets(struct pgp *g, unsigned char c)
{
	g->left = g->left << 8 | c;
	if (--g->octets)
		return;
	g->left += g->extra;
	body_begin(g);
}

static void pgp_done(struct pgp *g, unsigned char c)
{
	pgp_refuse(g, "data after the encrypted packet");
}

static size_t skip_body(struct pgp *g, size_t n)
{
	size_t k = n < g->left ? n : (size_t)g->left;

	g->left -= k;
	if (!g->left)
		body_end(g);
	return k;
}

void pgp_feed(struct pgp *g, const unsigned char *p, size_t n)
{
	static void (*const take[])(struct pgp *g, unsigned char c) = {
		[PGP_TAG] = pgp_tag, [PGP_LENGTH] = pgp_length,
		[PGP_OCTETS] = pgp_octets, [PGP_DONE] = pgp_done,
	};

	while (n && !g->why) {
		size_t k = 1;

		if (g->state == PGP_BODY)
			k = skip_body(g, n);
		else
			take[g->state](g, *p);
		p += k;
		n -= k;
	}
}

bool pgp_end(struct pgp *g)
{
	if (g->state != PGP_DONE)
		pgp_refuse(g, "no whole encrypted packet");
	return !g->why;
}

/* ASCII armor */

static const char begin_line[] = "-----BEGIN PGP MESSAGE-----\r\n";
static const char end_line[] = "-----END PGP MESSAGE-----";
static const char version_tag[] = "Version: ";
/* GnuPG and OpenPGP.js need 40; a letter would need more. */
enum { VERSION_MAX = 200, CRC_DIGITS = 4 };

enum { ARMOR_BEGIN, ARMOR_VERSION_TAG, ARMOR_VERSION, ARMOR_TEXT, ARMOR_CRC,
       ARMOR_AFTER_CRC, ARMOR_END, ARMOR_TAIL };

void armor_init(struct armor *a, bool outgoing)
{
	memset(a, 0, sizeof(*a));
	a->outgoing = outgoing;
	pgp_init(&a->pgp);
}

static void refuse(struct armor *a, const char *why)
{
	if (!a->why)
		a->why = why;
}

static void armor_byte(struct armor *a, char c);

static void take_begin(struct armor *a, char c)
{
	if (c != begin_line[a->matched]) {
		refuse(a, "does not start with an armor line");
		return;
	}
	if (begin_line[++a->matched])
		return;
	a->matched = 0;
	a->line_start = true;
	/* our own users have no reason to name their program */
	a->state = a->outgoing ? ARMOR_TEXT : ARMOR_VERSION_TAG;
}

/* Up to the colon it could be base64 as well. */
static void take_version_tag(struct armor *a, char c)
{
	size_t n = a->matched;

	if (c == version_tag[n]) {
		if (!version_tag[++a->matched])
			a->state = ARMOR_VERSION;
		return;
	}
	a->state = ARMOR_TEXT;
	for (size_t i = 0; i < n; i++)
		armor_byte(a, version_tag[i]);
	armor_byte(a, c);
}

static void take_version(struct armor *a, char c)
{
	if (a->version_len++ == VERSION_MAX || !c)
		refuse(a, "armor header too long or with a NUL byte");
}

static void end_begins(struct armor *a)
{
	if (!base64_is_whole(&a->base64))
		refuse(a, "base64 cut short");
	a->state = ARMOR_END;
	a->matched = 1;
}

static void take_digit(struct armor *a, char c)
{
	unsigned char out[3];
	size_t len = sizeof(out);

	if (!base64_feed(&a->base64, &c, 1, out, &len))
		refuse(a, "armor is not base64");
	pgp_feed(&a->pgp, out, len);
}

static void take_text(struct armor *a, char c)
{
	bool first = a->line_start;

	a->line_start = false;
	if (first && c == '-') {
		end_begins(a);
	} else if (first && c == '=') {
		a->state = ARMOR_CRC;
		a->crc_len = a->crc_pads = 1;
	} else {
		take_digit(a, c);
	}
}

/* A line that begins with "=": the CRC, or padding that was wrapped. */
static void take_crc(struct armor *a, char c)
{
	bool pads_only = a->crc_len == a->crc_pads;

	if (a->crc_len > CRC_DIGITS || (c == '=' && !pads_only) ||
	    (c != '=' && (a->crc_pads != 1 || base64_digit(c) < 0))) {
		refuse(a, "malformed CRC line");
		return;
	}
	a->crc_len++;
	a->crc_pads += c == '=';
}

static void crc_line_end(struct armor *a)
{
	if (a->crc_len == a->crc_pads) {
		a->state = ARMOR_TEXT;
		while (a->crc_pads--)
			take_digit(a, '=');
		return;
	}
	a->state = ARMOR_AFTER_CRC;
	if (a->crc_len != 1 + CRC_DIGITS || !base64_is_whole(&a->base64))
		refuse(a, "malformed CRC line");
}

static void take_after_crc(struct armor *a, char c)
{
	if (c == '-')
		end_begins(a);
	else
		refuse(a, "text between CRC and end line");
}

static void take_end(struct armor *a, char c)
{
	if (c != end_line[a->matched])
		refuse(a, "malformed end line");
	else if (!end_line[++a->matched])
		a->state = ARMOR_TAIL;
}

static void take_tail(struct armor *a, char c)
{
	refuse(a, "text after the end line");
}

static void line_end(struct armor *a)
{
	if (a->state == ARMOR_VERSION)
		a->state = ARMOR_TEXT;
	else if (a->state == ARMOR_CRC)
		crc_line_end(a);
	else if (a->state == ARMOR_END)
		refuse(a, "malformed end line");
	a->line_start = true;
}

static void armor_byte(struct armor *a, char c)
{
	static void (*const take[])(struct armor *a, char c) = {
		[ARMOR_BEGIN] = take_begin,
		[ARMOR_VERSION_TAG] = take_version_tag,
		[ARMOR_VERSION] = take_version, [ARMOR_TEXT] = take_text,
		[ARMOR_CRC] = take_crc, [ARMOR_AFTER_CRC] = take_after_crc,
		[ARMOR_END] = take_end, [ARMOR_TAIL] = take_tail,
	};
	bool cr = a->cr;

	a->cr = false;
	if (a->state <= ARMOR_VERSION_TAG) {
		/* these know where their CRLF is */
		take[a->state](a, c);
	} else if (cr || c == '\n') {
		if (!cr || c != '\n')
			refuse(a, "bare CR or LF in the armor");
		else
			line_end(a);
	} else if (c == '\r') {
		a->cr = true;
	} else {
		take[a->state](a, c);
	}
}

/* Base64 in bulk; returns the bytes taken. */
static size_t armor_run(struct armor *a, const char *p, size_t n)
{
	unsigned char out[3072];
	size_t len = sizeof(out), k;

	k = base64_feed(&a->base64, p, n, out, &len);
	pgp_feed(&a->pgp, out, len);
	return k;
}

void armor_feed(struct armor *a, const char *p, size_t n)
{
	while (n && !a->why) {
		size_t k = 0;

		/* a line's first byte may be the "=" of a CRC */
		if (a->state == ARMOR_TEXT && !a->cr && !a->line_start)
			k = armor_run(a, p, n);
		if (!k) {
			armor_byte(a, *p);
			k = 1;
		}
		if (a->pgp.why)
			refuse(a, a->pgp.why);
		p += k;
		n -= k;
	}
}

bool armor_end(struct armor *a)
{
	if (a->state != ARMOR_TAIL || a->cr)
		refuse(a, "no whole end line");
	if (!pgp_end(&a->pgp))
		refuse(a, a->pgp.why);
	return !a->why;
}
