/* DNS answers: what is found lies in the packet, and a packet that is cut
 * gives nothing. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/dnsmsg_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const struct dnsname *name)
{
	unsigned at = 0;

	assert(name->len >= 1);
	while (name->wire[at]) {
		assert(name->wire[at] <= 63);
		at += 1 + name->wire[at];
		assert(at < name->len);
	}
	assert(at + 1u == name->len);
}

/* What can be read can be shown. */
static void check_data(const struct dnsmsg *m, const struct dnsmsg_rr *rr)
{
	struct arena arena = ARENA_INIT;
	struct buf text = BUF_INIT;
	struct dns_data d;

	if (dns_data_read(m, rr, &arena, &d) == 0) {
		dns_data_show(&text, &d);
		assert(text.len && strlen(text.data) == text.len);
		assert(d.len <= rr->len);
	}
	buf_free(&text);
	arena_free(&arena);
}

static void check_referral(struct dnsmsg m, const uint8_t *data, size_t n)
{
	struct dnsmsg_rr rr;
	unsigned count = 0;

	if (!dnsmsg_referral(&m))
		return;
	check_name(&m.owner);
	while (dnsmsg_next(&m, &rr)) {
		assert(rr.rdata > data && rr.rdata + rr.len <= data + n);
		check_data(&m, &rr);
		count++;
	}
	assert(count && count == m.count);
}

static void check_records(struct dnsmsg m, const uint8_t *data, size_t n)
{
	struct buf text = BUF_INIT;
	struct dnsmsg_rr rr;
	unsigned count = 0;

	while (dnsmsg_next(&m, &rr)) {
		assert(rr.rdata > data && rr.rdata + rr.len <= data + m.end);
		check_data(&m, &rr);
		buf_reset(&text);
		if (dnsmsg_txt(&rr, &text) == 0)
			assert(text.len < rr.len);
		count++;
	}
	assert(count == m.count && count <= DNSMSG_RECORDS_MAX);
	assert(m.end <= n && m.ttl <= INT32_MAX);
	buf_free(&text);
}

static enum dnsmsg_status parse(const uint8_t *data, size_t n, unsigned type,
				const struct dnsname *asked, size_t *end)
{
	uint8_t *copy = xmalloc(n);	/* so that reading past it is seen */
	enum dnsmsg_status status;
	struct dnsmsg m;
	const char *why = "unset";

	memcpy(copy, data, n);
	status = dnsmsg_parse(&m, copy, n, asked, type, &why);
	assert((status == DNSMSG_BAD) == (why != NULL));
	*end = m.end;
	if (status != DNSMSG_BAD) {
		check_name(&m.owner);
		assert(m.end >= 12 && m.end <= n);
	}
	if (status == DNSMSG_FOUND) {
		assert(m.count);
		check_records(m, copy, n);
	} else if (status == DNSMSG_NONE) {
		check_referral(m, copy, n);
	}
	free(copy);
	return status;
}

static void check_packet(const uint8_t *data, size_t size, unsigned type,
			 const struct dnsname *asked)
{
	size_t end, cut_end;
	enum dnsmsg_status status = parse(data, size, type, asked, &end);

	if (status == DNSMSG_BAD)
		return;
	for (size_t n = 0; n <= size; n += 1 + size / 64)
		assert(parse(data, n, type, asked, &cut_end) ==
		       (n < end ? DNSMSG_BAD : status));
}

static const unsigned types[] = {
	DNS_TYPE_A, DNS_TYPE_NS, DNS_TYPE_CNAME, DNS_TYPE_SOA, DNS_TYPE_MX,
	DNS_TYPE_TXT, DNS_TYPE_AAAA, DNS_TYPE_SRV, DNS_TYPE_CAA,
};

/* The first line is the name asked for when it is one, the rest the packet. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nl = size ? memchr(data, '\n', size) : NULL;
	struct dnsname asked;
	char *text;

	dnsname_parse("a.b", &asked);
	if (nl) {
		struct dnsname given;

		text = xstrndup((const char *)data, (size_t)(nl - data));
		if (dnsname_parse(text, &given) == 0) {
			check_name(&given);
			asked = given;
			size -= (size_t)(nl + 1 - data);
			data = nl + 1;
		}
		free(text);
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		check_packet(data, size, types[i], &asked);
	return 0;
}
