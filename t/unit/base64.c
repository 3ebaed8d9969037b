/* The strict base64 decoder. */
#include "tap.h"

#include "base/buf.h"
#include "base/str.h"
#include "text/base64.h"

static const struct {
	const char *input, *want;	/* want NULL: refused */
} cases[] = {
	{ "", "" },
	{ "Zg==", "f" },
	{ "Zm8=", "fo" },
	{ "Zm9v", "foo" },
	{ "Zm9vYg==", "foob" },
	{ "Zm9vYmE=", "fooba" },
	{ "Zm9vYmFy", "foobar" },
	{ "++//", "\xfb\xef\xff" },
	{ "Zg", NULL },
	{ "Zg=", NULL },
	{ "Zm8", NULL },
	{ "Z", NULL },
	{ "Zh==", NULL },	/* bits that no byte has */
	{ "Zm9=", NULL },
	{ "Zg==Zg==", NULL },
	{ "Zg===", NULL },
	{ "Zm9v=", NULL },
	{ "=", NULL },
	{ "Z===", NULL },
	{ "Zg=v", NULL },
	{ "Zm 9", NULL },
	{ "Zm9v\n", NULL },
	{ "Zm-_", NULL },
	{ "Zm9\xc3\xa4", NULL },
};

/* All of s in pieces of step bytes with room bytes of output each. */
static bool decode(const char *s, size_t step, size_t room, struct buf *out)
{
	struct base64 b = BASE64_INIT;
	size_t n = strlen(s), i = 0;

	while (i < n) {
		size_t len = room;
		size_t piece = n - i < step ? n - i : step;
		unsigned char chunk[64];
		size_t k = base64_feed(&b, s + i, piece, chunk, &len);

		buf_add(out, chunk, len);
		if (!k)
			return false;
		i += k;
	}
	return base64_is_whole(&b);
}

static void test_case(const char *input, const char *want)
{
	static const size_t rooms[] = { 3, 4, 5, 7, 64 };
	bool ok = true;

	for (size_t step = 1; step < 9; step++) {
		for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
			struct buf out = BUF_INIT;
			bool good = decode(input, step, rooms[i], &out);

			ok = ok && good == (want != NULL) &&
			     (!want || strcmp(out.data, want) == 0);
			buf_free(&out);
		}
	}
	tap_ok(ok, "%s", *input ? input : "(empty)");
}

static void test_round_trip(void)
{
	unsigned char data[200];
	bool ok = true;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 89 + 7);
	for (size_t n = 0; n <= sizeof(data); n++) {
		struct buf text = BUF_INIT, out = BUF_INIT;

		buf_add_base64(&text, data, n);
		ok = ok && decode(text.data, 7, 64, &out) && out.len == n &&
		     memcmp(out.data, data, n) == 0;
		buf_free(&text);
		buf_free(&out);
	}
	tap_ok(ok, "what was encoded decodes to the same, 0 to 200 bytes");
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		test_case(cases[i].input, cases[i].want);
	test_round_trip();
	return tap_done();
}
