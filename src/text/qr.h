/* QR codes as text for a terminal. */
#ifndef TEXT_QR_H
#define TEXT_QR_H

#include "base/buf.h"

/* Append the QR code of text in half-block characters (UTF-8), two rows of
 * modules a line, with the quiet zone that scanners need. Light modules are
 * drawn, so it is right on a dark terminal and inverted on a light one, which
 * scanners read as well. Returns 0, or -1 with *err (text too long). */
int qr_add_text(struct buf *out, const char *text, struct buf *err);

#endif
