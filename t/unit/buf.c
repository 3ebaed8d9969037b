/* The growing buffer: always terminated, whatever is done to it. */
#include "tap.h"

#include <stdlib.h>

#include "base/buf.h"

static bool is_whole(const struct buf *b, const char *want, size_t n)
{
	return b->len == n && memcmp(b->data, want, n) == 0 &&
	       b->data[n] == '\0' && (b->cap == 0 || b->cap > n);
}

static void test_adding(void)
{
	struct buf b = BUF_INIT;

	tap_ok(is_whole(&b, "", 0), "empty");
	buf_add(&b, NULL, 0);
	tap_ok(is_whole(&b, "", 0) && b.cap == 0, "nothing added");
	buf_add(&b, "a\0b", 3);
	buf_addc(&b, 'c');
	buf_adds(&b, "");
	buf_adds(&b, "de");
	buf_addf(&b, "%d%s", 7, "x");
	tap_ok(is_whole(&b, "a\0bcde7x", 8), "bytes, a NUL among them");
	buf_truncate(&b, 9);
	tap_ok(b.len == 8, "truncate to more than there is");
	buf_truncate(&b, 4);
	tap_ok(is_whole(&b, "a\0bc", 4), "truncate");
	buf_consume(&b, 2);
	tap_ok(is_whole(&b, "bc", 2), "consume");
	buf_consume(&b, 0);
	tap_ok(is_whole(&b, "bc", 2), "consume nothing");
	buf_consume(&b, 3);
	tap_ok(is_whole(&b, "", 0), "consume more than there is");
	buf_reset(&b);
	tap_ok(is_whole(&b, "", 0) && b.cap > 0, "reset keeps the memory");
	buf_free(&b);
	tap_ok(is_whole(&b, "", 0) && b.cap == 0, "free, and usable");
	buf_free(&b);
	buf_adds(&b, "again");
	tap_is(b.data, "again", "used again");
	buf_free(&b);
}

static void test_formats(void)
{
	struct buf b = BUF_INIT;

	buf_prefixf(&b, "%s", "");
	tap_ok(is_whole(&b, "", 0), "prefix of nothing to nothing");
	buf_setf(&b, "%s", "value");
	buf_setf(&b, "<%s>", b.data);
	tap_is(b.data, "<value>", "setf from its own contents");
	buf_prefixf(&b, "%s:%u: ", "file", 3u);
	tap_is(b.data, "file:3: <value>", "prefixf");
	buf_prefixf(&b, "%s", b.data);
	tap_is(b.data, "file:3: <value>file:3: <value>",
	       "prefixf from its own contents");
	buf_setf(&b, "%s", "");
	tap_ok(is_whole(&b, "", 0), "setf to nothing");
	buf_addf(&b, "%1000s", "x");
	tap_ok(b.len == 1000 && b.data[999] == 'x' && !b.data[1000],
	       "a long format");
	buf_free(&b);
}

static void test_growing(void)
{
	struct buf b = BUF_INIT;
	bool whole = true;

	for (int i = 0; i < 100000; i++) {
		buf_addc(&b, (char)(i % 251));
		whole &= b.data[b.len] == '\0' && b.cap > b.len;
	}
	for (int i = 0; i < 100000; i++)
		whole &= b.data[i] == (char)(i % 251);
	tap_ok(whole && b.len == 100000, "100,000 bytes one by one");
	buf_reserve(&b, 10);
	tap_ok(b.len == 100000 && b.cap >= b.len + 11, "reserve changes nothing");
	buf_free(&b);
	buf_reserve(&b, 0);
	tap_ok(is_whole(&b, "", 0), "reserve nothing");
	buf_free(&b);
}

static void test_detach(void)
{
	struct buf b = BUF_INIT;
	char *s = buf_detach(&b);

	tap_is(s, "", "detach of nothing can be freed");
	free(s);
	buf_adds(&b, "mine");
	s = buf_detach(&b);
	tap_ok(is_whole(&b, "", 0) && strcmp(s, "mine") == 0, "detach");
	free(s);
}

int main(void)
{
	test_adding();
	test_formats();
	test_growing();
	test_detach();
	return tap_done();
}
