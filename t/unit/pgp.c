/* OpenPGP packets and their armor. */
#include "tap.h"

#include "base/buf.h"
#include "base/str.h"
#include "text/pgp.h"

/* Packets: "c1 04 .4" is two octets and 4 of any value; "." is a repeat. */
static const struct {
	const char *name, *input;
	bool want;
} packets[] = {
	{ "SEIPD alone", "d2 05 01 .4", true },
	{ "PKESK, SEIPD", "c1 03 .3 d2 05 01 .4", true },
	{ "SKESK, SEIPD", "c3 03 .3 d2 05 02 .4", true },
	{ "several PKESK and SKESK", "c1 03 .3 c3 02 .2 c1 00 d2 02 .2", true },
	{ "two-octet length", "d2 c0 00 .192", true },
	{ "two-octet length, largest", "d2 df ff .8383", true },
	{ "five-octet length", "d2 ff 00 00 00 05 .5", true },
	{ "five-octet length of PKESK", "c1 ff 00 00 01 00 .256 d2 01 .1",
	  true },
	{ "partial lengths", "d2 e9 .512 e1 .2 e0 .1 03 .3", true },
	{ "partial lengths, empty last part", "d2 e9 .512 00", true },
	{ "first part shorter than 512", "d2 e1 .2 01 .1", true },
	{ "old format PKESK, one octet", "84 03 .3 d2 01 .1", true },
	{ "old format PKESK, two octets", "85 00 03 .3 d2 01 .1", true },
	{ "old format PKESK, four octets", "86 00 00 00 03 .3 d2 01 .1",
	  true },
	{ "old format SKESK", "8c 0d .13 d2 01 .1", true },
	{ "SEIPD without content", "d2 00", true },
	{ "nothing", "", false },
	{ "tag only", "d2", false },
	{ "PKESK only", "c1 03 .3", false },
	{ "length cut", "d2 ff 00 00", false },
	{ "body cut", "d2 05 01 .3", false },
	{ "part cut", "d2 e9 .511", false },
	{ "no part after a partial one", "d2 e9 .512", false },
	{ "byte after SEIPD", "d2 05 01 .4 00", false },
	{ "second SEIPD", "d2 01 .1 d2 01 .1", false },
	{ "literal data after SEIPD", "d2 01 .1 cb 01 .1", false },
	{ "SEIPD before PKESK", "d2 01 .1 c1 01 .1", false },
	{ "literal data", "cb 12 62 .17", false },
	{ "literal data before SEIPD", "cb 01 .1 d2 01 .1", false },
	{ "compressed data", "c8 03 .3", false },
	{ "old format compressed data", "a3 01 .9", false },
	{ "old format literal data", "ac 09 .9", false },
	{ "old format SED", "a4 09 .9", false },
	{ "SED (9)", "c9 09 .9", false },
	{ "AEAD (20)", "d4 09 .9", false },
	{ "marker (10) before SEIPD", "ca 03 50 47 50 d2 01 .1", false },
	{ "padding (21) before SEIPD", "d5 03 .3 d2 01 .1", false },
	{ "one-pass signature (4)", "c4 0d .13", false },
	{ "reserved tag 0", "c0 01 .1 d2 01 .1", false },
	{ "old format of indeterminate length", "87 .9", false },
	{ "PKESK of partial length", "c1 e1 .2 01 .1 d2 01 .1", false },
	{ "bit 7 clear", "52 05 01 .4", false },
	{ "text", "48 65 6c 6c 6f", false },
	{ "length that would wrap", "c1 ff ff ff ff ff .9", false },
};

static void add_octets(struct buf *b, const char *s)
{
	while (*s) {
		unsigned v = 0;
		int used = 0;

		if (*s == '.') {
			sscanf(++s, "%u%n", &v, &used);
			while (v--)
				buf_addc(b, 'x');
		} else {
			sscanf(s, "%2x%n", &v, &used);
			buf_addc(b, (char)v);
		}
		s += used;
		s += strspn(s, " ");
	}
}

static uint32_t seed = 1;

static size_t any(size_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* Pieces of at most step bytes, of random length if step is 0. */
static size_t piece(size_t left, size_t step)
{
	size_t n = step ? step : 1 + any(40);

	return n < left ? n : left;
}

static bool run_packets(const struct buf *b, size_t step)
{
	struct pgp g;

	pgp_init(&g);
	for (size_t i = 0, n; i < b->len; i += n) {
		n = piece(b->len - i, step);
		pgp_feed(&g, (unsigned char *)b->data + i, n);
	}
	return pgp_end(&g);
}

static bool run_armor(const struct buf *b, size_t step, bool outgoing)
{
	struct armor a;

	armor_init(&a, outgoing);
	for (size_t i = 0, n; i < b->len; i += n) {
		n = piece(b->len - i, step);
		armor_feed(&a, b->data + i, n);
	}
	return armor_end(&a) && !a.why;
}

static const size_t steps[] = { SIZE_MAX, 1, 2, 3, 0, 0, 0, 0 };

static void test_packets(void)
{
	for (size_t i = 0; i < ARRAY_LEN(packets); i++) {
		struct buf b = BUF_INIT;
		bool ok = true;

		add_octets(&b, packets[i].input);
		for (size_t k = 0; k < ARRAY_LEN(steps); k++)
			ok = ok && run_packets(&b, steps[k]) ==
				   packets[i].want;
		tap_ok(ok, "packets: %s", packets[i].name);
		buf_free(&b);
	}
}

/* Lengths that do not fit in 32 bits when added up are counted right. */
static void test_huge(void)
{
	static const unsigned char head[] = { 0xc1, 0xff, 0xff, 0xff, 0xff,
					      0xff };
	static unsigned char megabyte[1 << 20];
	static const unsigned char last[] = { 0xd2, 1, 'x' };
	struct pgp g;

	pgp_init(&g);
	pgp_feed(&g, head, sizeof(head));
	for (size_t i = 0; i < 4096; i++)
		pgp_feed(&g, megabyte, sizeof(megabyte) - (i == 4095));
	pgp_feed(&g, last, sizeof(last));
	tap_ok(pgp_end(&g), "packets: PKESK of 4 GB - 1");
}

#define BEGIN "-----BEGIN PGP MESSAGE-----\r\n"
#define END "-----END PGP MESSAGE-----"
#define WHOLE "0gcBAgMEBQYH"	/* no padding */
#define ONE "0gYBAgMEBQY="
#define TWO "0gUBAgMEBQ=="
#define CRC "=agR5\r\n"

enum { NEVER, INBOUND, BOTH };

static const struct {
	const char *name, *input;
	int want;
} armors[] = {
	{ "plain", BEGIN "\r\n" WHOLE "\r\n" CRC END "\r\n", BOTH },
	{ "nothing after the end line", BEGIN "\r\n" WHOLE "\r\n" CRC END,
	  BOTH },
	{ "empty lines after the end line",
	  BEGIN "\r\n" WHOLE "\r\n" CRC END "\r\n\r\n\r\n", BOTH },
	{ "no CRC", BEGIN "\r\n" WHOLE "\r\n" END, BOTH },
	{ "no CRC, one pad", BEGIN "\r\n" ONE "\r\n" END, BOTH },
	{ "no CRC, two pads", BEGIN "\r\n" TWO "\r\n" END, BOTH },
	{ "CRC, one pad", BEGIN "\r\n" ONE "\r\n" CRC END, BOTH },
	{ "CRC, two pads", BEGIN "\r\n" TWO "\r\n" CRC END, BOTH },
	{ "no empty line", BEGIN WHOLE "\r\n" CRC END, BOTH },
	{ "several empty lines", BEGIN "\r\n\r\n\r\n" WHOLE "\r\n" CRC END,
	  BOTH },
	{ "empty line in the base64",
	  BEGIN "\r\n0gcB\r\n\r\nAgMEBQYH\r\n\r\n" CRC "\r\n" END, BOTH },
	{ "one digit a line",
	  BEGIN "\r\n0\r\ng\r\nc\r\nB\r\nA\r\ng\r\nM\r\nE\r\nB\r\nQ\r\nY\r\n"
	  "H\r\n" END, BOTH },
	{ "padding on its own line", BEGIN "\r\n0gUBAgMEBQ\r\n==\r\n" END,
	  BOTH },
	{ "padding on two lines", BEGIN "\r\n0gUBAgMEBQ=\r\n=\r\n" CRC END,
	  BOTH },
	{ "Version and an empty line",
	  BEGIN "Version: GnuPG v2\r\n\r\n" WHOLE "\r\n" CRC END, INBOUND },
	{ "Version without an empty line",
	  BEGIN "Version: 1\r\n" WHOLE "\r\n" CRC END, INBOUND },
	{ "two Version lines",
	  BEGIN "Version: 1\r\nVersion: 1\r\n\r\n" WHOLE "\r\n" END, NEVER },
	{ "Version after an empty line",
	  BEGIN "\r\nVersion: 1\r\n\r\n" WHOLE "\r\n" END, NEVER },
	{ "Version without its end", BEGIN "Version: 1", NEVER },
	{ "Version with bare LF",
	  BEGIN "Version: 1\n\r\n" WHOLE "\r\n" END, NEVER },
	{ "Comment", BEGIN "Comment: hi\r\n\r\n" WHOLE "\r\n" END, NEVER },
	{ "Hash", BEGIN "Hash: SHA256\r\n\r\n" WHOLE "\r\n" END, NEVER },
	{ "Version, Comment",
	  BEGIN "Version: 1\r\nComment: 1\r\n\r\n" WHOLE "\r\n" END, NEVER },
	{ "version in lower case",
	  BEGIN "version: 1\r\n\r\n" WHOLE "\r\n" END, NEVER },
	{ "base64 that begins like Version",
	  BEGIN "Vers\r\n" WHOLE "\r\n" END, NEVER },
	{ "text before the begin line", "x" BEGIN "\r\n" WHOLE "\r\n" END,
	  NEVER },
	{ "empty line before the begin line",
	  "\r\n" BEGIN "\r\n" WHOLE "\r\n" END, NEVER },
	{ "space after the begin line",
	  "-----BEGIN PGP MESSAGE----- \r\n\r\n" WHOLE "\r\n" END, NEVER },
	{ "other begin line",
	  "-----BEGIN PGP SIGNATURE-----\r\n\r\n" WHOLE "\r\n" END, NEVER },
	{ "part of several",
	  "-----BEGIN PGP MESSAGE, PART 1/2-----\r\n\r\n" WHOLE "\r\n" END,
	  NEVER },
	{ "bare LF", "-----BEGIN PGP MESSAGE-----\n\n" WHOLE "\n" END,
	  NEVER },
	{ "bare CR in the base64", BEGIN "\r\n0gcB\rAgMEBQYH\r\n" END,
	  NEVER },
	{ "space after the end line",
	  BEGIN "\r\n" WHOLE "\r\n" END " \r\n", NEVER },
	{ "text after the end line",
	  BEGIN "\r\n" WHOLE "\r\n" END "\r\nhi", NEVER },
	{ "bare CR after the end line",
	  BEGIN "\r\n" WHOLE "\r\n" END "\r", NEVER },
	{ "second armor",
	  BEGIN "\r\n" WHOLE "\r\n" END "\r\n" BEGIN "\r\n" WHOLE "\r\n" END,
	  NEVER },
	{ "no end line", BEGIN "\r\n" WHOLE "\r\n" CRC, NEVER },
	{ "end line cut",
	  BEGIN "\r\n" WHOLE "\r\n" "-----END PGP MESS", NEVER },
	{ "end line not on its own", BEGIN "\r\n" WHOLE END, NEVER },
	{ "other end line",
	  BEGIN "\r\n" WHOLE "\r\n-----END PGP SIGNATURE-----", NEVER },
	{ "begin line only", BEGIN, NEVER },
	{ "end line only", END, NEVER },
	{ "nothing", "", NEVER },
	{ "no base64", BEGIN "\r\n" END, NEVER },
	{ "no base64 but a CRC", BEGIN "\r\n" CRC END, NEVER },
	{ "cleartext", BEGIN "\r\nDefinitely not base64.\r\n" END, NEVER },
	{ "cleartext of letters",
	  BEGIN "\r\nThisIsTheMessage\r\n" CRC END, NEVER },
	{ "cleartext in the CRC line",
	  BEGIN "\r\n" WHOLE "\r\n=meet me at nine\r\n" END, NEVER },
	{ "letters in the CRC line",
	  BEGIN "\r\n" WHOLE "\r\n=attack\r\n" END, NEVER },
	{ "short CRC", BEGIN "\r\n" WHOLE "\r\n=agR\r\n" END, NEVER },
	{ "CRC with padding", BEGIN "\r\n" WHOLE "\r\n=agR=\r\n" END, NEVER },
	{ "CRC line of three",
	  BEGIN "\r\n" WHOLE "\r\n==gR5\r\n" END, NEVER },
	{ "two CRC lines", BEGIN "\r\n" WHOLE "\r\n" CRC CRC END, NEVER },
	{ "CRC not on its own line", BEGIN "\r\n" WHOLE CRC END, NEVER },
	{ "base64 after the CRC",
	  BEGIN "\r\n" WHOLE "\r\n" CRC WHOLE "\r\n" END, NEVER },
	{ "CRC and end on one line",
	  BEGIN "\r\n" WHOLE "\r\n=agR5" END, NEVER },
	{ "padding missing", BEGIN "\r\n0gYBAgMEBQY\r\n" END, NEVER },
	{ "padding missing before the CRC",
	  BEGIN "\r\n0gYBAgMEBQY\r\n" CRC END, NEVER },
	{ "one pad of two missing", BEGIN "\r\n0gUBAgMEBQ=\r\n" END, NEVER },
	{ "too much padding", BEGIN "\r\n" ONE "=\r\n" END, NEVER },
	{ "too much padding on the next line",
	  BEGIN "\r\n" TWO "\r\n=\r\n" END, NEVER },
	{ "bits after the last byte",
	  BEGIN "\r\n0gUBAgMEBR==\r\n" END, NEVER },
	{ "padding in the middle",
	  BEGIN "\r\n" TWO WHOLE "\r\n" END, NEVER },
	{ "space in the base64", BEGIN "\r\n0gcB AgMEBQYH\r\n" END, NEVER },
	{ "line of spaces before the base64",
	  BEGIN " \r\n" WHOLE "\r\n" END, NEVER },
	{ "literal packet", BEGIN "\r\nyxJiAAAAAABIZWxsbyB3b3JsZCE=\r\n"
	  "=1I/B\r\n" END, NEVER },
};

static void test_armor(void)
{
	for (size_t i = 0; i < ARRAY_LEN(armors); i++) {
		struct buf b = BUF_INIT;
		bool ok = true;

		buf_adds(&b, armors[i].input);
		for (size_t k = 0; k < ARRAY_LEN(steps); k++)
			ok = ok && run_armor(&b, steps[k], true) ==
				   (armors[i].want == BOTH) &&
			     run_armor(&b, steps[k], false) ==
				   (armors[i].want != NEVER);
		tap_ok(ok, "armor: %s", armors[i].name);
		buf_free(&b);
	}
}

/* Armor of any packet length, so that lines and groups meet everywhere. */
static void test_lengths(void)
{
	bool ok = true;

	for (unsigned n = 0; n < 190; n++) {
		struct buf data = BUF_INIT, text = BUF_INIT, b = BUF_INIT;

		buf_addf(&data, "\xd2%c%.*s", (int)(n + 1), (int)n + 1,
			 "........................................"
			 "........................................"
			 "........................................"
			 "........................................"
			 "........................................");
		buf_add_base64(&text, data.data, data.len);
		buf_adds(&b, BEGIN "\r\n");
		for (size_t i = 0; i < text.len; i += 64)
			buf_addf(&b, "%.64s\r\n", text.data + i);
		buf_adds(&b, END);
		for (size_t k = 0; k < ARRAY_LEN(steps); k++)
			ok = ok && run_armor(&b, steps[k], true);
		buf_free(&data);
		buf_free(&text);
		buf_free(&b);
	}
	tap_ok(ok, "armor: any length");
}

/* A Version line may hold 200 bytes and no letter. */
static void test_version_length(void)
{
	for (size_t n = 200; n <= 201; n++) {
		struct buf b = BUF_INIT;

		buf_adds(&b, BEGIN "Version: ");
		for (size_t i = 0; i < n; i++)
			buf_addc(&b, 'v');
		buf_adds(&b, "\r\n\r\n" WHOLE "\r\n" END);
		tap_ok(run_armor(&b, 7, false) == (n == 200),
		       "armor: Version of %zu bytes", n);
		buf_free(&b);
	}
}

int main(void)
{
	test_packets();
	test_huge();
	test_armor();
	test_lengths();
	test_version_length();
	return tap_done();
}
