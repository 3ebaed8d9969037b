/* The data of DNS records: read and shown. */
#include "tap.h"

#include "dnspacket.h"
#include "text/dnsmsg_data.h"

/* A record of a.b with this type, length and data. */
#define RECORD(type, len) "1234 8580 0001 0001 0000 0000|=a.b|" type " 0001|" \
	"c00c|" type " 0001 00000100 " len "|"

static const struct {
	const char *name;
	unsigned type;
	const char *packet;
	const char *want;	/* "broken" */
} cases[] = {
	{ "A", DNS_TYPE_A, RECORD("0001", "0004") "c0000201", "192.0.2.1" },
	{ "A too short", DNS_TYPE_A, RECORD("0001", "0003") "c00002", "broken" },
	{ "A too long", DNS_TYPE_A, RECORD("0001", "0005") "c000020100",
	  "broken" },
	{ "AAAA", DNS_TYPE_AAAA, RECORD("001c", "0010")
	  "20010db8000000000000000000000001", "2001:db8::1" },
	{ "AAAA too short", DNS_TYPE_AAAA, RECORD("001c", "0004") "c0000201",
	  "broken" },
	{ "NS", DNS_TYPE_NS, RECORD("0002", "0005") "=n.x", "n.x." },
	{ "NS compressed", DNS_TYPE_NS, RECORD("0002", "0004") "016e c00e",
	  "n.b." },
	{ "NS and more", DNS_TYPE_NS, RECORD("0002", "0006") "=n.x|00",
	  "broken" },
	{ "NS cut", DNS_TYPE_NS, RECORD("0002", "0004") "=n.x", "broken" },
	{ "CNAME", DNS_TYPE_CNAME, RECORD("0005", "0005") "=N.x", "n.x." },
	{ "SOA", DNS_TYPE_SOA, RECORD("0006", "001e") "=n.x|=m.x|"
	  "78a3f1c5 00000001 00000002 00000003 00000004", "n.x. 2024010181" },
	{ "SOA cut", DNS_TYPE_SOA, RECORD("0006", "001a") "=n.x|=m.x|"
	  "78a3f1c5 00000001 00000002 00000003", "broken" },
	{ "MX", DNS_TYPE_MX, RECORD("000f", "0007") "000a|=m.x", "10 m.x." },
	{ "MX to nowhere", DNS_TYPE_MX, RECORD("000f", "0003") "0000 00",
	  "0 ." },
	{ "MX without a name", DNS_TYPE_MX, RECORD("000f", "0002") "000a",
	  "broken" },
	{ "TXT", DNS_TYPE_TXT, RECORD("0010", "0007") "'abc|'de", "\"abcde\"" },
	{ "TXT with odd bytes", DNS_TYPE_TXT, RECORD("0010", "0006")
	  "05 22 5c 00 ff 3b", "\"\\\"\\\\\\000\\255;\"" },
	{ "TXT, empty", DNS_TYPE_TXT, RECORD("0010", "0001") "00", "\"\"" },
	{ "TXT, broken", DNS_TYPE_TXT, RECORD("0010", "0002") "0561", "broken" },
	{ "SRV", DNS_TYPE_SRV, RECORD("0021", "000b") "0000 0001 03e1|=a.b",
	  "0 1 993 a.b." },
	{ "SRV cut", DNS_TYPE_SRV, RECORD("0021", "0005") "0000 0001 03",
	  "broken" },
	{ "CAA", DNS_TYPE_CAA, RECORD("0101", "000a") "80|'Issue|6361 2e",
	  "128 issue \"ca.\"" },
	{ "CAA without a value", DNS_TYPE_CAA, RECORD("0101", "0007")
	  "00|'issue", "0 issue \"\"" },
	{ "CAA without a tag", DNS_TYPE_CAA, RECORD("0101", "0002") "0000",
	  "broken" },
	{ "CAA with an odd tag", DNS_TYPE_CAA, RECORD("0101", "0005")
	  "00|'a b|", "broken" },
	{ "CAA cut", DNS_TYPE_CAA, RECORD("0101", "0003") "00 05 69",
	  "broken" },
	{ "CAA, the flags alone", DNS_TYPE_CAA, RECORD("0101", "0001") "00",
	  "broken" },
	{ "an unknown type", 99, RECORD("0063", "0002") "'x", "broken" },
};

static void test_case(size_t i)
{
	struct buf packet = BUF_INIT, got = BUF_INIT;
	struct arena arena = ARENA_INIT;
	struct dnsname asked;
	struct dnsmsg_rr rr;
	struct dns_data d;
	struct dnsmsg m;
	const char *why;
	char *exact;

	add_pieces(&packet, cases[i].packet);
	exact = xmalloc(packet.len);	/* so that reading past it is seen */
	memcpy(exact, packet.data, packet.len);
	dnsname_parse("a.b", &asked);
	if (dnsmsg_parse(&m, exact, packet.len, &asked, cases[i].type,
			 &why) != DNSMSG_FOUND)
		buf_setf(&got, "not found: %s", why ? why : "-");
	else if (!dnsmsg_next(&m, &rr) ||
		 dns_data_read(&m, &rr, &arena, &d) < 0)
		buf_setf(&got, "broken");
	else
		dns_data_show(&got, &d);
	tap_is(got.data, cases[i].want, cases[i].name);
	free(exact);
	arena_free(&arena);
	buf_free(&packet);
	buf_free(&got);
}

/* Strings of 255 bytes, as many as it takes. */
static void test_quote(size_t n, size_t want)
{
	struct buf text = BUF_INIT, got = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		buf_addc(&text, 'x');
	dns_data_quote(&got, text.data, text.len);
	tap_ok(got.len == want, "%zu bytes quoted: %zu", n, got.len);
	buf_free(&text);
	buf_free(&got);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		test_case(i);
	test_quote(0, 2);
	test_quote(255, 257);
	test_quote(256, 256 + 5);
	test_quote(736, 736 + 8);
	tap_is(dns_type_name(DNS_TYPE_CAA), "CAA", "a type's name");
	tap_is(dns_type_name(99), "?", "of an unknown type");
	return tap_done();
}
