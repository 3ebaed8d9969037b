#include "text/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <stdbool.h>

enum { QUIET = 2 };	/* the standard wants 4; scanners are content with 2 */

static bool is_light(const QRcode *qr, int x, int y)
{
	if (x < 0 || y < 0 || x >= qr->width || y >= qr->width)
		return true;
	return !(qr->data[y * qr->width + x] & 1);
}

static void add_rows(struct buf *out, const QRcode *qr, int y)
{
	static const char *const blocks[2][2] = {
		{ " ", "\u2584" }, { "\u2580", "\u2588" },
	};

	for (int x = -QUIET; x < qr->width + QUIET; x++)
		buf_adds(out, blocks[is_light(qr, x, y)]
				    [is_light(qr, x, y + 1)]);
	buf_addc(out, '\n');
}

int qr_add_text(struct buf *out, const char *text, struct buf *err)
{
	QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);

	if (!qr) {
		buf_setf(err, "QR code: %s", strerror(errno));
		return -1;
	}
	for (int y = -QUIET; y < qr->width + QUIET; y += 2)
		add_rows(out, qr, y);
	QRcode_free(qr);
	return 0;
}
