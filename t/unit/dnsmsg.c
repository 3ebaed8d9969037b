/* Names and answers of DNS. */
#include "tap.h"

#include "dnspacket.h"

/* ---- names ------------------------------------------------------------------ */

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static const struct {
	const char *text;
	int len;	/* -1: refused */
} names[] = {
	{ "a", 3 },
	{ "a.", 3 },
	{ "opendkim._domainkey.Chat.Example", 34 },
	{ L63 "." L63 "." L63 "." L63, -1 },
	{ L63 "." L63 "." L63 ".abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrs"
	  "tuvwxyzabcdefghi", 255 },
	{ L63 "." L63 "." L63 ".abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrs"
	  "tuvwxyzabcdefghij", -1 },
	{ L63 ".a", 67 },
	{ L63 "x.a", -1 },
	{ "", -1 },
	{ ".", -1 },
	{ ".a", -1 },
	{ "a..b", -1 },
	{ "a..", -1 },
	{ "a b", -1 },
	{ "a\\.b", -1 },
	{ "a\tb", -1 },
	{ "caf\xc3\xa9.example", -1 },
};

static void test_names(void)
{
	struct dnsname a, b;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int ret = dnsname_parse(names[i].text, &a);

		tap_ok((ret < 0 ? -1 : a.len) == names[i].len, "name %s",
		       names[i].text);
	}
	dnsname_parse("Chat.Example", &a);
	dnsname_parse("cHAT.example.", &b);
	tap_ok(dnsname_equal(&a, &b), "case and the last dot do not matter");
	dnsname_parse("chat.exampl", &b);
	tap_ok(!dnsname_equal(&a, &b), "other names differ");
}

static const struct {
	const char *name, *zone;
	bool within;
} zones[] = {
	{ "a.b.example", "b.example", true },
	{ "b.example", "b.example", true },
	{ "A.B.Example.", "b.example", true },
	{ "ab.example", "b.example", false },
	{ "b.example", "a.b.example", false },
	{ "a.b.example", "a.example", false },
	/* the zone's bytes inside a label: 1 "b" 7 "example" */
	{ "x.a.b", "example", false },
};

static void test_zones(void)
{
	struct dnsname name, zone, root = { .len = 1 };

	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		dnsname_parse(zones[i].name, &name);
		dnsname_parse(zones[i].zone, &zone);
		tap_ok(dnsname_is_within(&name, &zone) == zones[i].within,
		       "%s in %s", zones[i].name, zones[i].zone);
		tap_ok(dnsname_is_within(&name, &root), "and in the root");
	}
	/* a label that ends as the zone begins */
	name = (struct dnsname){ .len = 8, .wire = "\005a\003bcd" };
	zone = (struct dnsname){ .len = 5, .wire = "\003bcd" };
	tap_ok(!dnsname_is_within(&name, &zone), "only where a label begins");
}

static void test_name_text(void)
{
	struct dnsname name = { .len = 12,
				.wire = "\005a.\\\377@\003b c" };
	struct dnsname root = { .len = 1 };
	struct buf b = BUF_INIT;

	name.len = 11;
	dnsname_text(&b, &name);
	tap_is(b.data, "a\\.\\\\\\255\\@.b\\032c.", "odd bytes as text");
	buf_reset(&b);
	dnsname_text(&b, &root);
	tap_is(b.data, ".", "the root as text");
	buf_free(&b);
}

/* ---- answers ---------------------------------------------------------------- */

#define OK "8180"

static const struct {
	const char *name, *packet;
	const char *want;	/* "TTL text;text;", "none", or why */
} answers[] = {
	{ "one record", HEAD(OK, "0001") ASKED "c00c|" TXT("0000012c", "0004")
	  "'abc", "300 abc;" },
	{ "owner spelt out, other case", HEAD(OK, "0001") ASKED
	  "0141 0142 00|" TXT("0000012c", "0004") "'abc", "300 abc;" },
	{ "question in other case", HEAD(OK, "0001") "0141 0142 00 0010 0001|"
	  "c00c|" TXT("0000012c", "0004") "'abc", "300 abc;" },
	{ "two strings", HEAD(OK, "0001") ASKED "c00c|"
	  TXT("0000012c", "0007") "'abc|'de", "300 abcde;" },
	{ "an empty string", HEAD(OK, "0001") ASKED "c00c|"
	  TXT("0000012c", "0001") "00", "300 ;" },
	{ "two records, least TTL", HEAD(OK, "0002") ASKED "c00c|"
	  TXT("00000100", "0002") "'x|c00c|" TXT("00000002", "0002") "'y",
	  "2 x;y;" },
	{ "TTL 0", HEAD(OK, "0001") ASKED "c00c|" TXT("00000000", "0002")
	  "'x", "0 x;" },
	{ "TTL with its highest bit", HEAD(OK, "0001") ASKED "c00c|"
	  TXT("80000001", "0002") "'x", "0 x;" },
	{ "CNAME", HEAD(OK, "0002") ASKED "c00c|" CNAME("0000000a", "0005")
	  "=c.d|=c.d|" TXT("00000100", "0002") "'x", "10 x;" },
	{ "CNAME with a compressed target", HEAD(OK, "0002") ASKED "c00c|"
	  CNAME("0000000a", "0004") "0163 c00e|=c.b|"
	  TXT("00000100", "0002") "'x", "10 x;" },
	{ "two CNAMEs in reverse order", HEAD(OK, "0003") ASKED
	  "=e.f|" TXT("00000100", "0002") "'x|"
	  "=c.d|" CNAME("00000007", "0005") "=e.f|"
	  "c00c|" CNAME("0000000a", "0005") "=c.d", "7 x;" },
	{ "CNAME to nothing", HEAD(OK, "0001") ASKED "c00c|"
	  CNAME("0000000a", "0005") "=c.d", "none" },
	{ "CNAME, then NXDOMAIN", HEAD("8183", "0001") ASKED "c00c|"
	  CNAME("0000000a", "0005") "=c.d", "none" },
	{ "CNAME to itself", HEAD(OK, "0001") ASKED "c00c|"
	  CNAME("0000000a", "0002") "c00c", "CNAME records that lead nowhere" },
	{ "CNAMEs in a circle", HEAD(OK, "0002") ASKED "c00c|"
	  CNAME("0000000a", "0005") "=c.d|=c.d|" CNAME("0000000a", "0002")
	  "c00c", "CNAME records that lead nowhere" },
	{ "two CNAMEs of one name", HEAD(OK, "0002") ASKED "c00c|"
	  CNAME("0000000a", "0005") "=c.d|c00c|" CNAME("0000000a", "0005")
	  "=e.f", "CNAME records that lead nowhere" },
	{ "CNAME longer than its name", HEAD(OK, "0001") ASKED "c00c|"
	  CNAME("0000000a", "0006") "=c.d|00",
	  "CNAME records that lead nowhere" },
	{ "records of another name", HEAD(OK, "0001") ASKED "=c.d|"
	  TXT("0000012c", "0004") "'abc", "none" },
	{ "records of another type", HEAD(OK, "0001") ASKED
	  "c00c|0001 0001 0000012c 0004 7f000001", "none" },
	{ "records of another class", HEAD(OK, "0001") ASKED
	  "c00c|0010 0003 0000012c 0004|'abc", "none" },
	{ "no records", HEAD(OK, "0000") ASKED, "none" },
	{ "NXDOMAIN", HEAD("8183", "0000") ASKED, "none" },
	{ "SERVFAIL", HEAD("8182", "0000") ASKED, "server failure" },
	{ "REFUSED", HEAD("8185", "0000") ASKED, "server: refused" },
	{ "truncated", HEAD("8380", "0000") ASKED, "answer cut off" },
	{ "a query", HEAD("0100", "0000") ASKED, "not an answer" },
	{ "another opcode", HEAD("a180", "0000") ASKED, "not an answer" },
	{ "another name", HEAD(OK, "0000") "=a.c|0010 0001",
	  "answer to another question" },
	{ "another type", HEAD(OK, "0000") "=a.b|0001 0001",
	  "answer to another question" },
	{ "another class", HEAD(OK, "0000") "=a.b|0010 0003",
	  "answer to another question" },
	{ "no question", "1234 8180 0000 0000 0000 0000",
	  "malformed question in the answer" },
	{ "half a question", HEAD(OK, "0000") "=a.b|0010",
	  "malformed question in the answer" },
	{ "nothing", "", "answer too short" },
	{ "half a header", "1234 8180 0001 0000 0000", "answer too short" },
	{ "a record is missing", HEAD(OK, "0002") ASKED "c00c|"
	  TXT("0000012c", "0004") "'abc", "malformed record in the answer" },
	{ "a record is cut", HEAD(OK, "0001") ASKED "c00c|"
	  TXT("0000012c", "0005") "'abc", "malformed record in the answer" },
	{ "strings end early", HEAD(OK, "0001") ASKED "c00c|"
	  TXT("0000012c", "0004") "04616263", "broken TXT" },
	{ "no strings", HEAD(OK, "0001") ASKED "c00c|"
	  TXT("0000012c", "0000"), "broken TXT" },
	{ "pointer to itself", HEAD(OK, "0001") ASKED "c015|"
	  TXT("0000012c", "0004") "'abc", "malformed record in the answer" },
	{ "pointer forward", HEAD(OK, "0001") ASKED "c017|"
	  TXT("0000012c", "0004") "'abc", "malformed record in the answer" },
	{ "pointer in a circle", HEAD(OK, "0001") ASKED "0161 c015|"
	  TXT("0000012c", "0004") "'abc", "malformed record in the answer" },
	{ "pointer to a label that ends behind it", HEAD(OK, "0001") ASKED
	  "c012 000000000000000000000000000000|" TXT("0000012c", "0004")
	  "'abc", "malformed record in the answer" },
	{ "pointer into the header", HEAD(OK, "0001") ASKED "c004|"
	  TXT("0000012c", "0004") "'abc", "malformed record in the answer" },
	{ "half a pointer", HEAD(OK, "0001") ASKED "c0",
	  "malformed record in the answer" },
	{ "label of an unknown kind", HEAD(OK, "0001") ASKED "4161 00|"
	  TXT("0000012c", "0004") "'abc", "malformed record in the answer" },
	{ "too many records", HEAD(OK, "0101") ASKED,
	  "too many records in the answer" },
	{ "bytes after the answer", HEAD(OK, "0001") ASKED "c00c|"
	  TXT("0000012c", "0004") "'abc|ffff", "300 abc;" },
};

static void show_texts(struct dnsmsg *m, struct buf *out)
{
	struct dnsmsg_rr rr;

	buf_addf(out, "%u ", m->ttl);
	while (dnsmsg_next(m, &rr)) {
		if (dnsmsg_txt(&rr, out) < 0)
			buf_setf(out, "broken TXT");
		else
			buf_addc(out, ';');
	}
}

static void show(const char *data, size_t n, struct buf *out)
{
	char *exact = xmalloc(n);	/* so that reading past it is seen */
	struct dnsname asked;
	struct dnsmsg m;
	const char *why;

	memcpy(exact, data, n);
	dnsname_parse("A.b.", &asked);
	switch (dnsmsg_parse(&m, exact, n, &asked, DNS_TYPE_TXT, &why)) {
	case DNSMSG_FOUND:
		show_texts(&m, out);
		break;
	case DNSMSG_NONE:
		buf_adds(out, "none");
		break;
	case DNSMSG_BAD:
		buf_adds(out, why);
		break;
	}
	free(exact);
}

static void test_answers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct buf packet = BUF_INIT, got = BUF_INIT;

		add_pieces(&packet, answers[i].packet);
		show(packet.data, packet.len, &got);
		tap_is(got.data, answers[i].want, answers[i].name);
		buf_free(&packet);
		buf_free(&got);
	}
}

/* A packet that is cut anywhere gives nothing. */
static void test_cuts(void)
{
	struct buf packet = BUF_INIT;
	unsigned wrong = 0;

	add_pieces(&packet, HEAD(OK, "0003") ASKED "c00c|"
		   CNAME("0000000a", "0005") "=c.d|=c.d|"
		   TXT("00000100", "0002") "'x|=c.d|" TXT("00000100", "0002")
		   "'y");
	for (size_t n = 0; n <= packet.len; n++) {
		struct buf got = BUF_INIT;

		show(packet.data, n, &got);
		wrong += (n == packet.len) != (strcmp(got.data, "10 x;y;") == 0);
		wrong += n < packet.len && strcmp(got.data, "none") == 0;
		buf_free(&got);
	}
	tap_ok(!wrong, "cut anywhere, nothing comes of it");
	buf_free(&packet);
}

/* A chain of n CNAMEs, a1 -> a2 -> ... */
static void test_chain(unsigned n, bool good)
{
	struct buf packet = BUF_INIT, text = BUF_INIT, got = BUF_INIT;

	buf_addf(&text, HEAD(OK, "%04x") ASKED "c00c|", n + 1);
	for (unsigned i = 1; i < n; i++)
		buf_addf(&text, CNAME("00000100", "0005") "=a%02u|=a%02u|", i,
			 i);
	buf_addf(&text, CNAME("00000100", "0005") "=a%02u|=a%02u|"
		 TXT("00000100", "0002") "'x", n, n);
	add_pieces(&packet, text.data);
	show(packet.data, packet.len, &got);
	tap_is(got.data, good ? "256 x;" : "CNAME records that lead nowhere",
	       good ? "long chain" : "chain too long");
	buf_free(&packet);
	buf_free(&text);
	buf_free(&got);
}

/* ---- referrals ---------------------------------------------------------------- */

#define NS(len) "0002 0001 00000100 " len "|"
#define DOWN(flags, authority) "1234 " flags " 0001 0000 " authority " 0000|"

static const struct {
	const char *name, *packet;
	const char *want;	/* "ZONE server server", or "-" */
} referrals[] = {
	{ "a referral", DOWN("8000", "0002") ASKED "c00e|" NS("0005") "=n.x|"
	  "c00e|" NS("0005") "=m.x", "b. n.x. m.x." },
	{ "only the records of one zone", DOWN("8000", "0003") ASKED
	  "=o.x|" TXT("00000100", "0002") "'x|" "c00e|" NS("0005") "=n.x|"
	  "=c|" NS("0005") "=m.x", "b. n.x." },
	{ "no records", DOWN("8000", "0000") ASKED, "-" },
	{ "records of another type", DOWN("8000", "0001") ASKED "c00e|"
	  TXT("00000100", "0002") "'x", "-" },
	{ "no such name", DOWN("8003", "0001") ASKED "c00e|" NS("0005") "=n.x",
	  "-" },
	{ "a broken record", DOWN("8000", "0001") ASKED "c00e|" NS("0006")
	  "=n.x", "-" },
	{ "a record is missing", DOWN("8000", "0002") ASKED "c00e|" NS("0005")
	  "=n.x", "b. n.x." },
	{ "too many records", DOWN("8000", "0101") ASKED "c00e|" NS("0005")
	  "=n.x", "-" },
};

static void show_referral(struct dnsmsg *m, struct buf *out)
{
	struct dnsmsg_rr rr;
	struct dnsname name;

	if (!dnsmsg_referral(m)) {
		buf_adds(out, "-");
		return;
	}
	dnsname_text(out, &m->owner);
	while (dnsmsg_next(m, &rr)) {
		const uint8_t *p = rr.rdata;

		buf_addc(out, ' ');
		if (dnsmsg_name(m, &p, p + rr.len, &name))
			dnsname_text(out, &name);
		else
			buf_adds(out, "broken");
	}
}

static void test_referrals(void)
{
	struct dnsname asked;
	struct dnsmsg m;
	const char *why;

	dnsname_parse("a.b", &asked);
	for (size_t i = 0; i < ARRAY_LEN(referrals); i++) {
		struct buf packet = BUF_INIT, got = BUF_INIT;

		add_pieces(&packet, referrals[i].packet);
		if (dnsmsg_parse(&m, packet.data, packet.len, &asked,
				 DNS_TYPE_TXT, &why) == DNSMSG_NONE)
			show_referral(&m, &got);
		tap_is(got.data, referrals[i].want, referrals[i].name);
		buf_free(&packet);
		buf_free(&got);
	}
}

static void test_flags(void)
{
	struct buf packet = BUF_INIT;
	struct dnsname asked;
	struct dnsmsg m;
	const char *why;

	dnsname_parse("a.b", &asked);
	add_pieces(&packet, HEAD("8580", "0000") ASKED);
	dnsmsg_parse(&m, packet.data, packet.len, &asked, DNS_TYPE_TXT, &why);
	tap_ok(m.authoritative && !m.no_such_name, "AA");
	buf_reset(&packet);
	add_pieces(&packet, HEAD("8183", "0000") ASKED);
	dnsmsg_parse(&m, packet.data, packet.len, &asked, DNS_TYPE_TXT, &why);
	tap_ok(!m.authoritative && m.no_such_name, "NXDOMAIN without AA");
	buf_free(&packet);
}

int main(void)
{
	test_names();
	test_zones();
	test_name_text();
	test_referrals();
	test_flags();
	test_answers();
	test_cuts();
	test_chain(DNSMSG_CNAMES_MAX, true);
	test_chain(DNSMSG_CNAMES_MAX + 1, false);
	return tap_done();
}
