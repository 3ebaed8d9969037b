/* QR codes: their size, what they are made of, what is too long. That a
 * scanner reads them is t/3310-qr.t's subject. */
#include "tap.h"

#include "base/str.h"
#include "text/qr.h"

enum { MODULES = 21 + 2 * 4 };	/* version 1 and the quiet zone */

/* Each line has as many characters as the code has modules. */
static void test_shape(void)
{
	struct buf out = BUF_INIT, err = BUF_INIT;
	size_t lines = 0, widths = 0, characters = 0;

	tap_ok(qr_add_text(&out, "chatmail", false, &err) == 0, "a short text");
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
	tap_ok(!strchr(out.data, '\033'), "no colour unless wanted");
	buf_free(&out);
	buf_free(&err);
}

static void test_colour(void)
{
	struct buf out = BUF_INIT, err = BUF_INIT;
	size_t lines = 0, coloured = 0;

	qr_add_text(&out, "chatmail", true, &err);
	for (char *line = out.data, *end; (end = strchr(line, '\n'));
	     line = end + 1) {
		*end = '\0';
		lines++;
		coloured += str_starts(line, "\033[97;40m\u2588") &&
			    str_ends(line, "\u2588\033[0m");
	}
	tap_ok(lines > 0 && coloured == lines, "colours end in their line");
	buf_free(&out);
	buf_free(&err);
}

static void test_pictures(void)
{
	const struct qr_options plain = { .level = QR_M };
	const struct qr_options logo = { .has_logo = true };
	struct buf out = BUF_INIT, again = BUF_INIT, err = BUF_INIT;

	tap_ok(qr_add_svg(&out, "chatmail", &plain, &err) == 0, "SVG");
	tap_ok(strstr(out.data, "viewBox=\"0 0 29 29\"") != NULL,
	       "has a quiet zone of four modules");
	tap_ok(!strstr(out.data, "<g"), "and no logo");
	buf_reset(&out);
	qr_add_svg(&out, "chatmail", &logo, &err);
	tap_ok(strstr(out.data, "viewBox=\"0 0 33 33\"") != NULL,
	       "a logo takes the highest level");
	tap_ok(strstr(out.data, "translate(14 14) scale(0.05)") != NULL,
	       "and is in the middle");

	buf_reset(&out);
	buf_adds(&out, "before");
	tap_ok(qr_add_png(&out, "chatmail", &logo, &err) == 0, "PNG");
	tap_ok(strncmp(out.data, "before\x89PNG\r\n", 12) == 0,
	       "is appended");
	tap_ok(memcmp(out.data + out.len - 8, "IEND\xae\x42\x60\x82", 8) == 0,
	       "whole");
	buf_adds(&again, "before");
	qr_add_png(&again, "chatmail", &logo, &err);
	tap_ok(again.len == out.len && !memcmp(again.data, out.data, out.len),
	       "twice the same");
	buf_free(&out);
	buf_free(&again);
	buf_free(&err);
}

static int add(int how, struct buf *out, const char *text, struct buf *err)
{
	const struct qr_options o = { .level = QR_L };

	switch (how) {
	case 0:
		return qr_add_text(out, text, false, err);
	case 1:
		return qr_add_svg(out, text, &o, err);
	default:
		return qr_add_png(out, text, &o, err);
	}
}

static void test_limits(int how, const char *name)
{
	struct buf text = BUF_INIT, out = BUF_INIT, err = BUF_INIT;

	for (int i = 0; i < 2953; i++)
		buf_addc(&text, 'x');
	tap_ok(add(how, &out, text.data, &err) == 0, "%s: 2953 bytes", name);
	buf_addc(&text, 'x');
	buf_reset(&out);
	buf_adds(&out, "before");
	tap_ok(add(how, &out, text.data, &err) < 0, "%s: one more", name);
	tap_is(err.data, "QR code: the text is too long (2954 bytes)",
	       "is too long");
	tap_is(out.data, "before", "and adds nothing");
	tap_ok(add(how, &out, "", &err) < 0, "%s: no text", name);
	tap_is(err.data, "QR code: there is no text", "is refused");
	buf_free(&text);
	buf_free(&out);
	buf_free(&err);
}

int main(void)
{
	static const char *const names[] = { "text", "SVG", "PNG" };
	struct buf out = BUF_INIT;

	test_shape();
	test_colour();
	test_pictures();
	for (int i = 0; i < (int)ARRAY_LEN(names); i++)
		test_limits(i, names[i]);
	qr_add_invite(&out, "_chat.test");
	tap_is(out.data, "DCACCOUNT:https://_chat.test/new", "the invitation");
	buf_free(&out);
	return tap_done();
}
