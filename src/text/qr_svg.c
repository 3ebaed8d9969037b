#include "text/qr_code.h"

static bool is_dark(const QRcode *code, int x, int y, bool middle)
{
	return qr_is_dark(code, x, y) &&
	       (!middle || qr_is_middle_pattern(code, x, y));
}

/* One path: a rectangle for each run of dark modules in a row; of all, or of
 * the pattern in the middle. */
static void add_modules(struct buf *out, const QRcode *code, bool middle)
{
	buf_adds(out, "<path d=\"");
	for (int y = 0; y < code->width; y++) {
		for (int x = 0, run; x < code->width; x += run + 1) {
			for (run = 0; is_dark(code, x + run, y, middle); run++)
				;
			if (run)
				buf_addf(out, "M%d %dh%dv1h-%dz", x + QR_QUIET,
					 y + QR_QUIET, run, run);
		}
	}
	buf_adds(out, "\"/>");
}

static void add_shape(struct buf *out, const struct qr_shape *s)
{
	const char *colour = s->dark ? "#000" : "#fff";

	switch (s->kind) {
	case QR_BOX:
		buf_addf(out, "<rect fill=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" "
			 "height=\"%d\" rx=\"%d\"/>", colour, s->x, s->y,
			 s->w, s->h, s->r);
		break;
	case QR_TRIANGLE:
		buf_addf(out, "<path fill=\"%s\" d=\"M%d %dh%dl-%d %dz\"/>",
			 colour, s->x, s->y, s->w, s->w, s->h);
		break;
	case QR_STROKE:
		buf_addf(out, "<path stroke=\"%s\" stroke-width=\"%d\" "
			 "stroke-linecap=\"round\" d=\"M%d %dl%d %d\"/>",
			 colour, 2 * s->r, s->x, s->y, s->w, s->h);
		break;
	}
}

static void add_logo(struct buf *out, const QRcode *code)
{
	int modules = qr_logo_modules(code);
	int at = QR_QUIET + (code->width - modules) / 2;

	/* QR_LOGO is 100: hundredths of a module, whatever the locale */
	buf_addf(out, "<g shape-rendering=\"auto\" transform=\"translate(%d %d) "
		 "scale(%d.%02d)\">", at, at, modules / QR_LOGO,
		 modules % QR_LOGO);
	for (size_t i = 0; i < qr_logo_count(code); i++)
		add_shape(out, &qr_logo[i]);
	buf_adds(out, "</g>");
	if (!qr_is_middle_pattern(code, code->width / 2, code->width / 2))
		return;
	at = QR_QUIET + code->width / 2 - 1;
	buf_addf(out, "<path fill=\"#fff\" d=\"M%d %dh3v3h-3z\"/>", at, at);
	add_modules(out, code, true);
}

int qr_add_svg(struct buf *out, const char *text, const struct qr_options *o,
	       struct buf *err)
{
	QRcode *code = qr_encode(text, o, err);
	int width;

	if (!code)
		return -1;
	width = code->width + 2 * QR_QUIET;
	buf_addf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" "
		 "viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
		 "<path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/>", width, width,
		 width, width);
	add_modules(out, code, false);
	if (o->has_logo)
		add_logo(out, code);
	buf_adds(out, "</svg>\n");
	QRcode_free(code);
	return 0;
}
