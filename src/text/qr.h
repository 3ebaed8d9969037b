/* QR codes (ISO/IEC 18004): as text for a terminal, as SVG, as PNG. */
#ifndef TEXT_QR_H
#define TEXT_QR_H

#include <stdbool.h>

#include "base/buf.h"

/* How much of a code may be missing: 7, 15, 25 and 30 percent. */
enum qr_level { QR_L, QR_M, QR_Q, QR_H };

struct qr_options {
	enum qr_level level;	/* at least this one */
	bool has_logo;		/* the pages' logo in the middle; takes QR_H */
};

/* Each: 0, or -1 with *err when the text is empty or too long (2953 bytes at
 * QR_L, 1273 at QR_H); out is as it was then. The quiet zone of four modules
 * that the standard wants is part of all of them, and the same text gives the
 * same bytes. */

/* Append the code in half-block characters (UTF-8), two rows of modules a
 * line. Light modules are drawn, so it is right on a dark terminal; with
 * colour (SGR sequences) it is right on any, without it is inverted on a
 * light one, which scanners read as well. */
int qr_add_text(struct buf *out, const char *text, bool colour,
		struct buf *err);

/* Append an <svg> element that scales to any size, for a file of its own or
 * inside HTML. It has a viewBox and no width or height: the page says how
 * large it is. */
int qr_add_svg(struct buf *out, const char *text, const struct qr_options *o,
	       struct buf *err);

/* Append a PNG file of 480 to 740 pixels: an even number for each module, so
 * that half the size is as crisp. */
int qr_add_png(struct buf *out, const char *text, const struct qr_options *o,
	       struct buf *err);

/* The text of a relay's invitation: who scans it gets an address there. */
void qr_add_invite(struct buf *out, const char *domain);

#endif
