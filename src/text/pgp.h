/* Is this text an OpenPGP message in ASCII armor, and nothing else (RFC 9580
 * sections 4.2, 6.2 and 10.3)? Both parsers take the text in pieces and keep
 * a few bytes of state, whatever the length. Neither decrypts: bytes inside a
 * packet are not looked at.
 */
#ifndef TEXT_PGP_H
#define TEXT_PGP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/base64.h"

/* The packets: any number of PKESK (1) and SKESK (3), then one SEIPD (18)
 * that ends where the data end. Headers of both formats; partial lengths for
 * the SEIPD only (section 4.2.1.4), their first part may be shorter than 512
 * bytes; no indeterminate length. */
struct pgp {
	const char *why;	/* static: why it was refused; NULL till then */
	uint64_t left;		/* of the body, or the length so far */
	uint32_t extra;		/* added to a length of two octets */
	uint8_t state, tag, octets;
	bool partial;
};

void pgp_init(struct pgp *g);
void pgp_feed(struct pgp *g, const unsigned char *p, size_t n);
/* After the last byte: the data were an encrypted message. Otherwise
 * g->why is set. */
bool pgp_end(struct pgp *g);

/* The armor around them, as upstream's filter accepts it:
 *   -----BEGIN PGP MESSAGE-----
 *   one "Version: " line, unless outgoing; no other armor header
 *   empty lines; base64 with its padding, and empty lines in it
 *   "=" and four digits on a line of their own: the CRC24, if at all
 *   -----END PGP MESSAGE-----
 *   empty lines
 * Lines end in CRLF, the last one may have no end. The CRC's form is checked,
 * because text would fit in there, but not its value (section 6.1).
 * Unlike upstream, padding without a CRC line after it is accepted. */
struct armor {
	struct pgp pgp;
	struct base64 base64;
	const char *why;	/* as above; packets' reasons too */
	bool outgoing;
	bool cr;		/* the last byte was CR */
	bool line_start;
	uint8_t state;
	uint8_t matched;	/* bytes of a fixed text */
	uint8_t crc_len, crc_pads;
	uint8_t version_len;
};

void armor_init(struct armor *a, bool outgoing);
void armor_feed(struct armor *a, const char *p, size_t n);
bool armor_end(struct armor *a);

#endif
