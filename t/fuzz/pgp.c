/* Armor and packets: the verdict does not depend on the cuts, is the simple
 * whole-buffer check's, and incoming is never stricter than outgoing. The
 * first byte chooses the text as it is, or packets to be armored. */
#include <stdint.h>
#include <stdlib.h>

#include "t/unit/msgcheck_oracle.h"

#include "base/str.h"
#include "text/pgp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool armor(const struct buf *b, bool outgoing, size_t step)
{
	struct armor a;

	armor_init(&a, outgoing);
	for (size_t i = 0; i < b->len; i += step)
		armor_feed(&a, b->data + i,
			   b->len - i < step ? b->len - i : step);
	if (armor_end(&a) != !a.why)
		abort();
	return !a.why;
}

static bool packets(const uint8_t *p, size_t n, size_t step)
{
	struct pgp g;

	pgp_init(&g);
	for (size_t i = 0; i < n; i += step)
		pgp_feed(&g, p + i, n - i < step ? n - i : step);
	if (pgp_end(&g) != !g.why)
		abort();
	return !g.why;
}

static void wrap(struct buf *text, const uint8_t *p, size_t n, size_t width)
{
	struct buf b = BUF_INIT;

	buf_add_base64(&b, p, n);
	buf_adds(text, "-----BEGIN PGP MESSAGE-----\r\n\r\n");
	for (size_t i = 0; i < b.len; i += width)
		buf_addf(text, "%.*s\r\n", (int)width, b.data + i);
	buf_adds(text, "-----END PGP MESSAGE-----\r\n");
	buf_free(&b);
}

static bool check(const struct buf *b, bool outgoing)
{
	static const size_t steps[] = { 1, 2, 3, 61 };
	bool ok = armor(b, outgoing, SIZE_MAX / 2);

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (armor(b, outgoing, steps[i]) != ok)
			abort();
	if (ok && !oracle_armor((struct span){ b->data, b->len }, outgoing))
		abort();
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT;
	bool as_packets;

	(void)oracle_encrypted;
	if (!size)
		return 0;
	as_packets = data[0] & 1;
	if (as_packets)
		wrap(&b, data + 1, size - 1, data[0] / 2 + 1u);
	else
		buf_add(&b, data + 1, size - 1);
	if (check(&b, true) && !check(&b, false))
		abort();
	check(&b, false);
	if (as_packets) {
		bool ok = packets(data + 1, size - 1, SIZE_MAX / 2);

		if (packets(data + 1, size - 1, 1) != ok ||
		    check(&b, true) != ok ||
		    (ok && !oracle_packets(data + 1, size - 1)))
			abort();
	}
	buf_free(&b);
	return 0;
}
