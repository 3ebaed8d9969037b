/* What the makers of QR codes share; see qr.h. */
#ifndef TEXT_QR_CODE_H
#define TEXT_QR_CODE_H

#include <qrencode.h>

#include "text/qr.h"

enum { QR_QUIET = 4 };	/* light modules around the code */

/* The code of a text, freed with QRcode_free(); NULL with *err. */
QRcode *qr_encode(const char *text, const struct qr_options *o,
		  struct buf *err);
/* Outside of the code everything is light. */
bool qr_is_dark(const QRcode *code, int x, int y);

/* The logo, www/logo.svg in black on a light badge: shapes on a square of
 * QR_LOGO units, painted in this order. */
enum { QR_LOGO = 100 };
struct qr_shape {
	enum {
		QR_BOX,		/* w wide, h high, corners of radius r */
		QR_TRIANGLE,	/* right angle at x, y; sides w and h */
		QR_STROKE,	/* from x, y by w, h; radius r, round ends */
	} kind;
	bool dark;
	int x, y, w, h, r;
};
extern const struct qr_shape qr_logo[];
/* How many of them a code gets. */
size_t qr_logo_count(const QRcode *code);
/* Does the module belong to an alignment pattern in the very middle (Annex E of
 * the standard)? It stands in the logo instead of the arrow, at its place, for
 * scanners that look for it there. */
bool qr_is_middle_pattern(const QRcode *code, int x, int y);
/* How many modules it is wide: odd as the code, so that it is centred. */
int qr_logo_modules(const QRcode *code);

#endif
