#include "text/targz.h"

#include <string.h>

#include "base/str.h"

enum {
	GZIP_ONLY = 15 + 16,	/* inflateInit2(): the largest window */
	CHUNK = 16384,
	OTHERS_MAX = 64 * 1024 * 1024,	/* what else is in the archive */
};

/* Where the fields of a header are, and how long. */
enum { NAME = 0, NAME_LEN = 100, SIZE = 124, SIZE_LEN = 12, SUM = 148,
       SUM_LEN = 8, TYPE = 156, MAGIC = 257, PREFIX = 345, PREFIX_LEN = 155 };

/* ---- headers ---------------------------------------------------------------- */

/* Octal digits, spaces before them and a space or NUL after. */
static int get_octal(const unsigned char *p, size_t n, uint64_t *out)
{
	uint64_t value = 0;
	size_t i = 0;

	while (i < n && p[i] == ' ')
		i++;
	if (i == n || p[i] < '0' || p[i] > '7')
		return -1;
	/* 12 digits at most, which fit */
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
		value = value * 8 + (p[i] - '0');
	if (i < n && p[i] != ' ' && p[i] != '\0')
		return -1;
	*out = value;
	return 0;
}

static bool sum_is_right(const unsigned char *h)
{
	uint64_t want;
	unsigned sum = 0;

	for (size_t i = 0; i < TARGZ_BLOCK; i++)
		sum += i >= SUM && i < SUM + SUM_LEN ? ' ' : h[i];
	return get_octal(h + SUM, SUM_LEN, &want) == 0 && want == sum;
}

static const char *without_dot(const char *name)
{
	while (str_starts(name, "./"))
		name += 2;
	return name;
}

static bool has_name(const unsigned char *h, const char *name)
{
	struct buf full = BUF_INIT;
	bool ret;

	if (memcmp(h + MAGIC, "ustar", 6) == 0 && h[PREFIX])
		buf_addf(&full, "%.*s/", PREFIX_LEN, (const char *)h + PREFIX);
	buf_addf(&full, "%.*s", NAME_LEN, (const char *)h + NAME);
	ret = strcmp(without_dot(full.data), without_dot(name)) == 0;
	buf_free(&full);
	return ret;
}

static int take_header(struct targz *t, struct buf *err)
{
	static const unsigned char zero[TARGZ_BLOCK];
	const unsigned char *h = t->head;
	uint64_t size;

	t->head_len = 0;
	if (memcmp(h, zero, TARGZ_BLOCK) == 0) {
		t->has_zero_block = true;
		return 0;
	}
	if (!sum_is_right(h) || get_octal(h + SIZE, SIZE_LEN, &size) < 0) {
		buf_setf(err, "this is no tar archive");
		return -1;
	}
	/* a regular file; before POSIX its type was NUL */
	t->is_it = (h[TYPE] == '0' || h[TYPE] == '\0') &&
		has_name(h, t->member);
	if (t->is_it && size > t->size_max) {
		buf_setf(err, "%s has %llu bytes, more than %llu", t->member,
			 (unsigned long long)size,
			 (unsigned long long)t->size_max);
		return -1;
	}
	t->left = size;
	t->pad = (TARGZ_BLOCK - size % TARGZ_BLOCK) % TARGZ_BLOCK;
	t->is_whole = t->is_it && size == 0;
	return 0;
}

/* ---- the archive, byte by byte ------------------------------------------------ */

static int take_contents(struct targz *t, const unsigned char *p, size_t n,
			 struct buf *err)
{
	t->left -= n;
	if (!t->is_it)
		return 0;
	if (t->data(t, p, n, err) < 0)
		return -1;
	t->is_whole = t->left == 0;
	return 0;
}

static size_t smaller(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

/* What follows the archive's end is padding. */
static int take(struct targz *t, const unsigned char *p, size_t n,
		struct buf *err)
{
	while (n > 0 && !t->is_whole && !t->has_zero_block) {
		size_t some;

		if (t->left > 0) {
			some = smaller(t->left, n);
			if (take_contents(t, p, some, err) < 0)
				return -1;
		} else if (t->pad > 0) {
			some = smaller(t->pad, n);
			t->pad -= some;
		} else {
			some = smaller(TARGZ_BLOCK - t->head_len, n);
			memcpy(t->head + t->head_len, p, some);
			t->head_len += some;
			if (t->head_len == TARGZ_BLOCK &&
			    take_header(t, err) < 0)
				return -1;
		}
		p += some;
		n -= some;
	}
	return 0;
}

/* ---- gzip ------------------------------------------------------------------- */

int targz_init(struct targz *t, struct buf *err)
{
	t->z = (z_stream) { 0 };
	if (inflateInit2(&t->z, GZIP_ONLY) == Z_OK)
		return 0;
	buf_setf(err, "no memory to decompress");
	return -1;
}

/* One member of a gzip file may follow another. */
static int inflate_some(struct targz *t, unsigned char *out, struct buf *err)
{
	int ret;

	t->z.next_out = out;
	t->z.avail_out = CHUNK;
	if (t->has_ended)
		inflateReset(&t->z);
	t->has_ended = false;
	ret = inflate(&t->z, Z_NO_FLUSH);
	t->has_ended = ret == Z_STREAM_END;
	if (ret == Z_OK || ret == Z_STREAM_END || ret == Z_BUF_ERROR)
		return 0;
	buf_setf(err, "this is no gzip file, or it is damaged (%s)",
		 t->z.msg ? t->z.msg : "zlib");
	return -1;
}

/* What came before an error counts, as it does when it is fed byte by byte. */
static int feed_some(struct targz *t, size_t *got, struct buf *err)
{
	unsigned char out[CHUNK];
	struct buf why = BUF_INIT;
	int ret = inflate_some(t, out, &why);

	*got = CHUNK - t->z.avail_out;
	t->seen += *got;
	if (t->seen > t->size_max + OTHERS_MAX) {
		buf_setf(err, "the archive is too large");
		ret = -1;
	} else if (take(t, out, *got, err) < 0) {
		ret = -1;
	} else if (ret < 0 && !t->is_whole) {
		buf_setf(err, "%s", why.data);
	} else {
		ret = 0;
	}
	buf_free(&why);
	return ret;
}

int targz_feed(struct targz *t, const void *p, size_t n, struct buf *err)
{
	size_t got = CHUNK;

	t->z.next_in = (Bytef *)(uintptr_t)p;
	t->z.avail_in = (uInt)n;
	while ((t->z.avail_in > 0 || got == CHUNK) && !t->is_whole &&
	       !t->has_zero_block) {
		if (t->z.avail_in == 0 && t->has_ended)
			break;
		if (feed_some(t, &got, err) < 0)
			return -1;
	}
	if (t->has_zero_block)
		return targz_end(t, err);
	return t->is_whole;
}

int targz_end(const struct targz *t, struct buf *err)
{
	if (t->is_whole)
		return 0;
	buf_setf(err, t->has_zero_block ? "there is no file %s in the archive" :
		 "the archive is cut short before the end of %s", t->member);
	return -1;
}

void targz_free(struct targz *t)
{
	inflateEnd(&t->z);
}
