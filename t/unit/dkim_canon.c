/* Canonical forms of fields and bodies. */
#include "tap.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/str.h"
#include "text/dkim_canon.h"

static const struct {
	const char *field, *relaxed;
} field_cases[] = {
	/* RFC 6376 section 3.4.5 */
	{ "A: X", "a:X" },
	{ "B : Y\t\r\n\tZ  ", "b:Y Z" },
	{ "Subject: AbC", "subject:AbC" },
	{ "SUBJect  \t: AbC", "subject:AbC" },
	{ "Subject:\r\n AbC", "subject:AbC" },
	{ "Subject:AbC\r\n\t \t", "subject:AbC" },
	{ "Subject: a\r\n b\r\n\tc", "subject:a b c" },
	{ "Subject: a  b\t\tc \t d", "subject:a b c d" },
	{ "Subject:", "subject:" },
	{ "Subject: ", "subject:" },
	{ "Subject: \r\n ", "subject:" },
	{ "Subject: a:b : c", "subject:a:b : c" },
	{ "Subject: a\r\n \r\n b", "subject:a b" },
	{ "Subject: a\rb\nc", "subject:a\rb\nc" },
	{ "Subject: \r a", "subject:\r a" },
	{ "Subject: J\xc3\xb6rg \xff", "subject:J\xc3\xb6rg \xff" },
	{ "Subject: a\v\fb", "subject:a\v\fb" },
	{ "no colon", "no colon" },
};

static void test_fields(void)
{
	for (size_t i = 0; i < ARRAY_LEN(field_cases); i++) {
		const char *field = field_cases[i].field;
		struct buf out = BUF_INIT;

		dkim_canon_field(&out, DKIM_RELAXED, field, strlen(field));
		tap_is(out.data, field_cases[i].relaxed, field);
		buf_reset(&out);
		dkim_canon_field(&out, DKIM_SIMPLE, field, strlen(field));
		tap_is(out.data, field, "and simple");
		buf_free(&out);
	}
}

static const struct {
	const char *body, *simple, *relaxed;
} body_cases[] = {
	/* RFC 6376 section 3.4.5 */
	{ " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n" },
	{ "", "\r\n", "" },
	{ "\r\n", "\r\n", "" },
	{ "\r\n\r\n\r\n", "\r\n", "" },
	{ "a", "a\r\n", "a\r\n" },
	{ "a\r\n", "a\r\n", "a\r\n" },
	{ "a\r\n\r\n", "a\r\n", "a\r\n" },
	{ "\r\na", "\r\na\r\n", "\r\na\r\n" },
	{ "\r\n\r\na\r\n\r\nb", "\r\n\r\na\r\n\r\nb\r\n",
	  "\r\n\r\na\r\n\r\nb\r\n" },
	{ " ", " \r\n", "" },
	{ " \r\n", " \r\n", "" },
	{ " \r\n\t\r\n", " \r\n\t\r\n", "" },
	{ "a\r\n \r\n", "a\r\n \r\n", "a\r\n" },
	{ "a\r\n \r\nb", "a\r\n \r\nb\r\n", "a\r\n\r\nb\r\n" },
	{ "a \t b\t\r\n", "a \t b\t\r\n", "a b\r\n" },
	{ "\t a", "\t a\r\n", " a\r\n" },
	{ "a  ", "a  \r\n", "a\r\n" },
	{ "a\r", "a\r\r\n", "a\r\r\n" },
	{ "a\r\r\n", "a\r\r\n", "a\r\r\n" },
	{ "\r\r\n\r\n", "\r\r\n", "\r\r\n" },
	{ "a\nb\n", "a\nb\n\r\n", "a\nb\n\r\n" },
	{ "\n", "\n\r\n", "\n\r\n" },
	{ "a \r b", "a \r b\r\n", "a \r b\r\n" },
	{ "a  \r\r\n", "a  \r\r\n", "a \r\r\n" },
	{ "\r \r\n", "\r \r\n", "\r\r\n" },
	{ ".\r\n..\r\n", ".\r\n..\r\n", ".\r\n..\r\n" },
	{ "\xff\xc3 \x01", "\xff\xc3 \x01\r\n", "\xff\xc3 \x01\r\n" },
};

static void digest(const struct buf *text, unsigned char *out)
{
	EVP_Q_digest(NULL, "SHA256", NULL, text->data, text->len, out, NULL);
}

/* The body in pieces of step bytes has the hash of want. */
static bool body_is(enum dkim_canon canon, const struct buf *body,
		    size_t step, const struct buf *want)
{
	unsigned char a[DKIM_HASH_SIZE], b[DKIM_HASH_SIZE];
	struct dkim_body h;
	bool ok;

	dkim_body_init(&h, canon);
	for (size_t i = 0; i < body->len; i += step)
		dkim_body_feed(&h, body->data + i,
			       body->len - i < step ? body->len - i : step);
	ok = dkim_body_end(&h, a) == 0 && h.size == want->len;
	dkim_body_free(&h);
	digest(want, b);
	return ok && memcmp(a, b, sizeof(a)) == 0;
}

static bool any_step(enum dkim_canon canon, const struct buf *body,
		     const struct buf *want)
{
	bool ok = true;

	for (size_t step = 1; step <= body->len + 1; step++)
		ok = ok && body_is(canon, body, step, want);
	return ok;
}

static void test_bodies(void)
{
	for (size_t i = 0; i < ARRAY_LEN(body_cases); i++) {
		struct buf body = BUF_INIT, want = BUF_INIT;

		buf_adds(&body, body_cases[i].body);
		buf_adds(&want, body_cases[i].simple);
		tap_ok(any_step(DKIM_SIMPLE, &body, &want),
		       "simple body %zu", i);
		buf_reset(&want);
		buf_adds(&want, body_cases[i].relaxed);
		tap_ok(any_step(DKIM_RELAXED, &body, &want),
		       "relaxed body %zu", i);
		buf_free(&body);
		buf_free(&want);
	}
}

/* The same by the RFC's words, line by line on the whole text. */
static void naive(enum dkim_canon canon, const struct buf *body,
		  struct buf *out)
{
	const char *p = body->data, *end = p + body->len;

	while (p < end) {
		const char *nl = memmem(p, (size_t)(end - p), "\r\n", 2);
		const char *line_end = nl ? nl : end;

		for (; p < line_end; p++) {
			bool blank = *p == ' ' || *p == '\t';

			if (canon == DKIM_SIMPLE || !blank)
				buf_addc(out, *p);
			else if (p == body->data || (p[-1] != ' ' &&
						     p[-1] != '\t'))
				buf_addc(out, ' ');
		}
		if (canon == DKIM_RELAXED && out->len &&
		    out->data[out->len - 1] == ' ')
			buf_truncate(out, out->len - 1);
		buf_adds(out, "\r\n");
		p = nl ? nl + 2 : end;
	}
	while (out->len >= 4 &&
	       memcmp(out->data + out->len - 4, "\r\n\r\n", 4) == 0)
		buf_truncate(out, out->len - 2);
	if (strcmp(out->data, "\r\n") == 0)
		buf_reset(out);
	if (canon == DKIM_SIMPLE && !out->len)
		buf_adds(out, "\r\n");
}

static void test_random(void)
{
	static const char alphabet[] = "ab  \t\r\r\n\n";
	size_t bad = 0;

	srand(6376);
	for (int round = 0; round < 4000; round++) {
		struct buf body = BUF_INIT, want = BUF_INIT;
		int n = rand() % 40;

		while (n--) {
			if (rand() % 3 == 0)
				buf_adds(&body, "\r\n");
			else
				buf_addc(&body, alphabet[rand() % 9]);
		}
		for (int canon = DKIM_SIMPLE; canon <= DKIM_RELAXED; canon++) {
			buf_reset(&want);
			naive((enum dkim_canon)canon, &body, &want);
			bad += !any_step((enum dkim_canon)canon, &body, &want);
		}
		buf_free(&body);
		buf_free(&want);
	}
	tap_ok(bad == 0, "random bodies in any pieces: %zu wrong", bad);
}

/* Lines longer than the buffer, and a long run of empty ones. */
static void test_long(void)
{
	struct buf body = BUF_INIT, want = BUF_INIT;

	for (int i = 0; i < 5000; i++)
		buf_adds(&body, "word  \t");
	for (int i = 0; i < 5000; i++)
		buf_adds(&body, "\r\n");
	buf_addf(&body, "%05000d", 0);
	naive(DKIM_RELAXED, &body, &want);
	for (size_t step = 1; step < 10000; step += 1021)
		tap_ok(body_is(DKIM_RELAXED, &body, step, &want),
		       "long relaxed body by %zu", step);
	buf_reset(&want);
	naive(DKIM_SIMPLE, &body, &want);
	for (size_t step = 1; step < 10000; step += 1021)
		tap_ok(body_is(DKIM_SIMPLE, &body, step, &want),
		       "long simple body by %zu", step);
	buf_free(&body);
	buf_free(&want);
}

int main(void)
{
	test_fields();
	test_bodies();
	test_random();
	test_long();
	return tap_done();
}
