#include "text/dnsmsg.h"

#include <string.h>

#include "base/str.h"

enum {
	HEADER_LEN = 12,
	LABEL_MAX = 63,
	POINTER = 0xc0,		/* the two bits that mark one */
	FLAG_QR = 0x8000, FLAG_AA = 0x0400, FLAG_TC = 0x0200,
	OPCODE_MASK = 0x7800, RCODE_MASK = 0x000f,
	RCODE_NXDOMAIN = 3,
};

/* ---- names ------------------------------------------------------------------ */

static bool label_add(struct dnsname *name, const void *p, size_t n)
{
	const uint8_t *s = p;

	/* one byte stays free for the root */
	if (n > LABEL_MAX || name->len + 1 + n + 1 > sizeof(name->wire))
		return false;
	name->wire[name->len++] = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		name->wire[name->len++] = (uint8_t)ascii_lower((char)s[i]);
	return true;
}

int dnsname_parse(const char *text, struct dnsname *name)
{
	name->len = 0;
	if (!*text)
		return -1;
	while (*text) {
		size_t n = strcspn(text, ".");

		for (size_t i = 0; i < n; i++)
			if (text[i] <= ' ' || text[i] > '~' || text[i] == '\\')
				return -1;
		if (!n || !label_add(name, text, n))
			return -1;
		text += n + (text[n] == '.');
	}
	name->wire[name->len++] = 0;
	return 0;
}

bool dnsname_equal(const struct dnsname *a, const struct dnsname *b)
{
	return a->len == b->len && memcmp(a->wire, b->wire, a->len) == 0;
}

bool dnsname_is_within(const struct dnsname *name, const struct dnsname *zone)
{
	size_t at = 0;

	if (name->len < zone->len)
		return false;
	/* only where a label begins */
	while (at < (size_t)(name->len - zone->len))
		at += 1 + name->wire[at];
	return at + zone->len == name->len &&
	       memcmp(name->wire + at, zone->wire, zone->len) == 0;
}

static void label_text(struct buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] <= ' ' || p[i] > '~')
			buf_addf(out, "\\%03u", p[i]);
		else if (strchr(".\\\"();@$", p[i]))
			buf_addf(out, "\\%c", p[i]);
		else
			buf_addc(out, (char)p[i]);
	}
}

void dnsname_text(struct buf *out, const struct dnsname *name)
{
	size_t at = 0;

	if (name->len <= 1)
		buf_addc(out, '.');
	while (at + 1 < name->len) {
		label_text(out, name->wire + at + 1, name->wire[at]);
		buf_addc(out, '.');
		at += 1 + name->wire[at];
	}
}

/* ---- the packet, from *at on ------------------------------------------------ */

static bool get_u16(const struct dnsmsg *m, size_t *at, unsigned *out)
{
	if (m->len - *at < 2)
		return false;
	*out = (unsigned)(m->data[*at] << 8 | m->data[*at + 1]);
	*at += 2;
	return true;
}

static bool get_u32(const struct dnsmsg *m, size_t *at, uint32_t *out)
{
	unsigned high, low;

	if (!get_u16(m, at, &high) || !get_u16(m, at, &low))
		return false;
	*out = (uint32_t)high << 16 | low;
	return true;
}

/* Each pointer has to lead to bytes before those of this name that were read
 * so far, and to no others, so that the walk ends. */
static bool get_name(const struct dnsmsg *m, size_t *at, struct dnsname *name)
{
	size_t p = *at, start = p, limit = m->len;
	bool jumped = false;

	name->len = 0;
	for (;;) {
		unsigned n, target;

		if (p >= limit)
			return false;
		n = m->data[p];
		if ((n & POINTER) == POINTER) {
			if (limit - p < 2 || !get_u16(m, &p, &target))
				return false;
			target &= ~(unsigned)(POINTER << 8);
			if (target < HEADER_LEN || target >= start)
				return false;
			if (!jumped)
				*at = p;
			jumped = true;
			limit = start;
			p = start = target;
			continue;
		}
		p++;
		if (!n)
			break;
		/* 0x40 and 0x80 are not in use and longer than a label */
		if (n > LABEL_MAX || limit - p < n ||
		    !label_add(name, m->data + p, n))
			return false;
		p += n;
	}
	name->wire[name->len++] = 0;
	if (!jumped)
		*at = p;
	return true;
}

struct record {
	struct dnsname owner;
	unsigned type, class;
	uint32_t ttl;
	size_t rdata, len;
};

static bool get_record(const struct dnsmsg *m, size_t *at, struct record *r)
{
	unsigned len;

	if (!get_name(m, at, &r->owner) || !get_u16(m, at, &r->type) ||
	    !get_u16(m, at, &r->class) || !get_u32(m, at, &r->ttl) ||
	    !get_u16(m, at, &len) || m->len - *at < len)
		return false;
	/* RFC 2181 section 8: the highest bit set means zero */
	if (r->ttl > INT32_MAX)
		r->ttl = 0;
	r->rdata = *at;
	r->len = len;
	*at += len;
	return true;
}

/* The next record of this owner and type. */
static bool find_record(const struct dnsmsg *m, size_t *at, unsigned *left,
			const struct dnsname *owner, unsigned type,
			struct record *r)
{
	while (*left) {
		--*left;
		if (!get_record(m, at, r))
			return false;
		if (r->type == type && r->class == DNS_CLASS_IN &&
		    dnsname_equal(&r->owner, owner))
			return true;
	}
	return false;
}

/* ---- the answer ------------------------------------------------------------- */

static const char *rcode_text(unsigned rcode)
{
	switch (rcode) {
	case 1: return "server: the query is malformed";
	case 2: return "server failure";
	case 4: return "server: query not supported";
	case 5: return "server: refused";
	default: return "server: unknown error";
	}
}

/* Everything before the answer section; NULL, or what is wrong. */
static const char *read_head(struct dnsmsg *m, const struct dnsname *name,
			     unsigned type, unsigned *rcode)
{
	struct dnsname asked;
	unsigned flags, questions, qtype, qclass;
	size_t at = 2;	/* c-ares has compared the id */

	if (m->len < HEADER_LEN || !get_u16(m, &at, &flags) ||
	    !get_u16(m, &at, &questions) || !get_u16(m, &at, &m->left) ||
	    !get_u16(m, &at, &m->authority))
		return "answer too short";
	at = HEADER_LEN;
	if (!(flags & FLAG_QR) || (flags & OPCODE_MASK))
		return "not an answer";
	if (questions != 1 || !get_name(m, &at, &asked) ||
	    !get_u16(m, &at, &qtype) || !get_u16(m, &at, &qclass))
		return "malformed question in the answer";
	if (!dnsname_equal(&asked, name) || qtype != type ||
	    qclass != DNS_CLASS_IN)
		return "answer to another question";
	*rcode = flags & RCODE_MASK;
	if (*rcode && *rcode != RCODE_NXDOMAIN)
		return rcode_text(*rcode);
	m->authoritative = flags & FLAG_AA;
	m->no_such_name = *rcode == RCODE_NXDOMAIN;
	if (flags & FLAG_TC)
		return "answer cut off";
	if (m->left > DNSMSG_RECORDS_MAX)
		return "too many records in the answer";
	m->at = at;
	return NULL;
}

static void lower_ttl(struct dnsmsg *m, uint32_t ttl)
{
	if (ttl < m->ttl)
		m->ttl = ttl;
}

/* One step from m->owner: 1 made, 0 there is none, -1 broken. */
static int follow_cname(struct dnsmsg *m)
{
	struct dnsname owner = m->owner, target;
	size_t at = m->at, rdata;
	unsigned left = m->left;
	struct record r;
	bool found = false;

	while (find_record(m, &at, &left, &owner, DNS_TYPE_CNAME, &r)) {
		rdata = r.rdata;
		if (!get_name(m, &rdata, &target) || rdata != r.rdata + r.len)
			return -1;
		/* the same twice is pointless, two are a contradiction */
		if (found && !dnsname_equal(&target, &m->owner))
			return -1;
		m->owner = target;
		lower_ttl(m, r.ttl);
		found = true;
	}
	return found;
}

static bool follow_cnames(struct dnsmsg *m)
{
	int ret = 0;

	for (int i = 0; i <= DNSMSG_CNAMES_MAX; i++)
		if ((ret = follow_cname(m)) <= 0)
			break;
	return ret == 0;
}

/* Every record has a sound frame; finds the section's end. */
static bool check_section(struct dnsmsg *m)
{
	struct record r;

	m->end = m->at;
	for (unsigned i = 0; i < m->left; i++)
		if (!get_record(m, &m->end, &r))
			return false;
	return true;
}

static void count_records(struct dnsmsg *m)
{
	size_t at = m->at;
	unsigned left = m->left;
	struct record r;

	while (find_record(m, &at, &left, &m->owner, m->type, &r)) {
		m->count++;
		lower_ttl(m, r.ttl);
	}
}

enum dnsmsg_status dnsmsg_parse(struct dnsmsg *m, const void *p, size_t n,
				const struct dnsname *name, unsigned type,
				const char **why)
{
	unsigned rcode = 0;

	*m = (struct dnsmsg){ .data = p, .len = n, .type = type,
			      .owner = *name, .ttl = UINT32_MAX };
	*why = read_head(m, name, type, &rcode);
	if (*why)
		return DNSMSG_BAD;
	if (!check_section(m)) {
		*why = "malformed record in the answer";
		return DNSMSG_BAD;
	}
	if (type != DNS_TYPE_CNAME && !follow_cnames(m)) {
		*why = "CNAME records that lead nowhere";
		return DNSMSG_BAD;
	}
	if (rcode == RCODE_NXDOMAIN)
		return DNSMSG_NONE;
	count_records(m);
	return m->count ? DNSMSG_FOUND : DNSMSG_NONE;
}

bool dnsmsg_next(struct dnsmsg *m, struct dnsmsg_rr *rr)
{
	struct record r;

	if (!find_record(m, &m->at, &m->left, &m->owner, m->type, &r))
		return false;
	rr->rdata = m->data + r.rdata;
	rr->len = r.len;
	return true;
}

bool dnsmsg_referral(struct dnsmsg *m)
{
	struct dnsmsg zone = *m;
	struct record r;

	if (m->no_such_name || m->count || m->authority > DNSMSG_RECORDS_MAX)
		return false;
	zone.at = m->end;
	zone.left = m->authority;
	zone.type = DNS_TYPE_NS;
	for (size_t at = zone.at, i = 0; i < zone.left && !zone.count; i++) {
		if (!get_record(m, &at, &r))
			return false;
		zone.owner = r.owner;
		zone.count = r.type == DNS_TYPE_NS && r.class == DNS_CLASS_IN;
	}
	zone.count = 0;
	count_records(&zone);
	if (!zone.count)
		return false;
	*m = zone;
	return true;
}

bool dnsmsg_name(const struct dnsmsg *m, const uint8_t **p, const uint8_t *end,
		 struct dnsname *name)
{
	size_t at = (size_t)(*p - m->data);

	if (!get_name(m, &at, name) || at > (size_t)(end - m->data))
		return false;
	*p = m->data + at;
	return true;
}

int dnsmsg_txt(const struct dnsmsg_rr *rr, struct buf *out)
{
	const uint8_t *p = rr->rdata, *end = p + rr->len;

	if (p == end)
		return -1;
	for (; p < end; p += 1 + *p) {
		if (end - p < 1 + *p)
			return -1;
		buf_add(out, p + 1, *p);
	}
	return 0;
}
