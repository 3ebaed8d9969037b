/* QR codes: their size, what they are made of, what is too long. That a
 * scanner reads them is libqrencode's business. */
#include "tap.h"

#include "text/qr.h"

enum { MODULES = 21 + 2 * 2 };	/* version 1 and the quiet zone */

/* Each line has as many characters as the code has modules. */
static void test_shape(void)
{
	struct buf out = BUF_INIT, err = BUF_INIT;
	size_t lines = 0, widths = 0, characters = 0;

	tap_ok(qr_add_text(&out, "chatmail", &err) == 0, "a short text");
	for (const char *p = out.data; *p; p++) {
		if (*p == '\n') {
			lines++;
			widths += characters == MODULES;
			characters = 0;
		} else if (((unsigned char)*p & 0xc0) != 0x80) {
			characters++;
		}
	}
	tap_ok(lines == (MODULES + 1) / 2, "two rows a line");
	tap_ok(widths == lines, "all lines are equally long");
	tap_ok(strncmp(out.data, "\u2588\u2588\u2588\u2588", 12) == 0,
	       "it begins with the quiet zone");
	buf_free(&out);
	buf_free(&err);
}

static void test_too_long(void)
{
	struct buf text = BUF_INIT, out = BUF_INIT, err = BUF_INIT;

	for (int i = 0; i < 3000; i++)
		buf_addc(&text, 'x');
	tap_ok(qr_add_text(&out, text.data, &err) < 0, "a text too long");
	tap_ok(err.len > 0 && out.len == 0, "says so and adds nothing");
	buf_free(&text);
	buf_free(&out);
	buf_free(&err);
}

int main(void)
{
	test_shape();
	test_too_long();
	return tap_done();
}
