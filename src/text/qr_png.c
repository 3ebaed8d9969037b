#include "text/qr_code.h"

#include <png.h>
#include <stdlib.h>

#include "base/str.h"

enum {
	PIXELS = 480,		/* a picture is at least as wide */
	GREYS = 4,		/* two bits a pixel: the logo's edges are soft */
	SAMPLES = 4,		/* for that, in each direction */
};

struct picture {
	const QRcode *code;
	int scale;		/* pixels of a module */
	int width;		/* of the picture, in pixels */
	png_byte *pixels;	/* 0 is dark, GREYS - 1 light */
};

static bool is_in_box(const struct qr_shape *s, double x, double y)
{
	double dx, dy;

	x -= s->x;
	y -= s->y;
	if (x < 0 || y < 0 || x > s->w || y > s->h)
		return false;
	/* how far it lies in a corner's square */
	dx = x < s->r ? s->r - x : x - (s->w - s->r);
	dy = y < s->r ? s->r - y : y - (s->h - s->r);
	return dx < 0 || dy < 0 || dx * dx + dy * dy <= s->r * s->r;
}

static bool is_in_triangle(const struct qr_shape *s, double x, double y)
{
	x -= s->x;
	y -= s->y;
	return x >= 0 && y >= 0 && x * s->h + y * s->w <= s->w * s->h;
}

/* How far is it from the nearest point of the line? */
static bool is_in_stroke(const struct qr_shape *s, double x, double y)
{
	double along;

	x -= s->x;
	y -= s->y;
	along = (x * s->w + y * s->h) / (s->w * s->w + s->h * s->h);
	along = along < 0 ? 0 : along > 1 ? 1 : along;
	x -= along * s->w;
	y -= along * s->h;
	return x * x + y * y <= s->r * s->r;
}

static bool is_in_shape(const struct qr_shape *s, double x, double y)
{
	switch (s->kind) {
	case QR_BOX:
		return is_in_box(s, x, y);
	case QR_TRIANGLE:
		return is_in_triangle(s, x, y);
	default:
		return is_in_stroke(s, x, y);
	}
}

/* The colour of the logo at a point, of what is under it outside. */
static bool is_logo_dark(double x, double y, bool under, size_t count)
{
	bool dark = under;

	for (size_t i = 0; i < count; i++)
		if (is_in_shape(&qr_logo[i], x, y))
			dark = qr_logo[i].dark;
	return dark;
}

static bool is_module_dark(const struct picture *p, int x, int y)
{
	return qr_is_dark(p->code, x / p->scale - QR_QUIET,
			  y / p->scale - QR_QUIET);
}

static void draw_modules(struct picture *p)
{
	for (int y = 0; y < p->width; y++)
		for (int x = 0; x < p->width; x++)
			p->pixels[y * p->width + x] =
				is_module_dark(p, x, y) ? 0 : GREYS - 1;
}

static bool is_middle_pattern(const struct picture *p, int x, int y)
{
	return qr_is_middle_pattern(p->code, x / p->scale - QR_QUIET,
				    y / p->scale - QR_QUIET);
}

/* Each pixel is the mean of some points in it. */
static void draw_logo(struct picture *p)
{
	size_t count = qr_logo_count(p->code);
	int size = qr_logo_modules(p->code) * p->scale;
	int at = (p->width - size) / 2;

	for (int i = 0; i < size * size; i++) {
		int x = i % size, y = i / size, light = 0;
		bool under = is_module_dark(p, at + x, at + y);

		if (is_middle_pattern(p, at + x, at + y))
			continue;

		for (int k = 0; k < SAMPLES * SAMPLES; k++) {
			double dx = (k % SAMPLES + .5) / SAMPLES;
			double dy = (k / SAMPLES + .5) / SAMPLES;

			light += !is_logo_dark((x + dx) * QR_LOGO / size,
					       (y + dy) * QR_LOGO / size, under,
					       count);
		}
		p->pixels[(at + y) * p->width + at + x] = (png_byte)
			((light * (GREYS - 1) + SAMPLES * SAMPLES / 2) /
			 (SAMPLES * SAMPLES));
	}
}

static int write_png(struct buf *out, const struct picture *p, struct buf *err)
{
	static const png_byte greys[GREYS] = { 0, 85, 170, 255 };
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = (png_uint_32)p->width, .height = (png_uint_32)p->width,
		.format = PNG_FORMAT_FLAG_COLORMAP,	/* of greys */
		.colormap_entries = GREYS,
	};
	png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
	int done;

	buf_reserve(out, size);
	done = png_image_write_to_memory(&image, out->data + out->len, &size, 0,
					 p->pixels, 0, greys);
	if (done) {
		out->len += size;
		out->data[out->len] = '\0';
	} else {
		out->data[out->len] = '\0';
		buf_setf(err, "PNG: %s", image.message);
	}
	png_image_free(&image);
	return done ? 0 : -1;
}

int qr_add_png(struct buf *out, const char *text, const struct qr_options *o,
	       struct buf *err)
{
	struct picture p = { .code = qr_encode(text, o, err) };
	int modules, half, ret;

	if (!p.code)
		return -1;
	modules = p.code->width + 2 * QR_QUIET;
	half = (PIXELS / 2 + modules - 1) / modules;
	p.scale = 2 * half;
	p.width = modules * p.scale;
	p.pixels = xmalloc((size_t)p.width * (size_t)p.width);
	draw_modules(&p);
	if (o->has_logo)
		draw_logo(&p);
	ret = write_png(out, &p, err);
	free(p.pixels);
	QRcode_free((QRcode *)p.code);
	return ret;
}
