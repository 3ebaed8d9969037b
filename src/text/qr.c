#include "text/qr_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* A bubble on a light badge, then the arrow in it. www/logo.svg's point x, y is
 * 5.4 + 1.4 x, 3.6 + 1.4 y here; t/3310-qr.t compares the two. */
enum { WITHOUT_ARROW = 3, WITH_ARROW = 6 };
const struct qr_shape qr_logo[WITH_ARROW] = {
	{ QR_BOX, .dark = false, .x = 0, .y = 0, .w = 100, .h = 100, .r = 24 },
	{ QR_BOX, .dark = true, .x = 11, .y = 12, .w = 78, .h = 62, .r = 17 },
	{ QR_TRIANGLE, .dark = true, .x = 22, .y = 72, .w = 27, .h = 20 },
	{ QR_STROKE, .dark = false, .x = 29, .y = 43, .w = 41, .h = 0, .r = 5 },
	{ QR_STROKE, .dark = false, .x = 70, .y = 43, .w = -16, .h = -16, .r = 5 },
	{ QR_STROKE, .dark = false, .x = 70, .y = 43, .w = -16, .h = 16, .r = 5 },
};

/* From version 7 on there are version / 7 + 2 patterns in a row. */
static bool has_middle_pattern(const QRcode *code)
{
	return code->version / 7 % 2 == 1;
}

size_t qr_logo_count(const QRcode *code)
{
	return has_middle_pattern(code) ? WITHOUT_ARROW : WITH_ARROW;
}

bool qr_is_middle_pattern(const QRcode *code, int x, int y)
{
	return has_middle_pattern(code) && abs(x - code->width / 2) <= 2 &&
	       abs(y - code->width / 2) <= 2;
}

/* A fifth of the width hides 4 percent of the area, far from the 30 that may
 * be missing at QR_H, and leaves the finder patterns alone. */
int qr_logo_modules(const QRcode *code)
{
	return code->width / 5 | 1;
}

QRcode *qr_encode(const char *text, const struct qr_options *o,
		  struct buf *err)
{
	static const QRecLevel levels[] = {
		[QR_L] = QR_ECLEVEL_L, [QR_M] = QR_ECLEVEL_M,
		[QR_Q] = QR_ECLEVEL_Q, [QR_H] = QR_ECLEVEL_H,
	};
	enum qr_level level = o->has_logo ? QR_H : o->level;
	QRcode *code;

	if (!*text) {
		buf_setf(err, "QR code: there is no text");
		return NULL;
	}
	code = QRcode_encodeString8bit(text, 0, levels[level]);
	if (code)
		return code;
	if (errno == ERANGE)
		buf_setf(err, "QR code: the text is too long (%zu bytes)",
			 strlen(text));
	else
		buf_setf(err, "QR code: %s", strerror(errno));
	return NULL;
}

bool qr_is_dark(const QRcode *code, int x, int y)
{
	if (x < 0 || y < 0 || x >= code->width || y >= code->width)
		return false;
	return code->data[y * code->width + x] & 1;
}

static void add_rows(struct buf *out, const QRcode *code, int y, bool colour)
{
	/* [upper is dark][lower is dark] */
	static const char *const blocks[2][2] = {
		{ "\u2588", "\u2580" }, { "\u2584", " " },
	};

	if (colour)	/* bright white on black */
		buf_adds(out, "\033[97;40m");
	for (int x = -QR_QUIET; x < code->width + QR_QUIET; x++)
		buf_adds(out, blocks[qr_is_dark(code, x, y)]
				    [qr_is_dark(code, x, y + 1)]);
	buf_adds(out, colour ? "\033[0m\n" : "\n");
}

int qr_add_text(struct buf *out, const char *text, bool colour,
		struct buf *err)
{
	const struct qr_options o = { .level = QR_L };
	QRcode *code = qr_encode(text, &o, err);

	if (!code)
		return -1;
	for (int y = -QR_QUIET; y < code->width + QR_QUIET; y += 2)
		add_rows(out, code, y, colour);
	QRcode_free(code);
	return 0;
}

void qr_add_invite(struct buf *out, const char *domain)
{
	buf_addf(out, "DCACCOUNT:https://%s/new", domain);
}
