#include "text/dnsmsg_data.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/str.h"

/* ---- reading ---------------------------------------------------------------- */

/* What is left of a record's data. */
struct cursor {
	const struct dnsmsg *m;
	const uint8_t *p, *end;
	struct arena *arena;
};

static int read_u16(struct cursor *c, uint32_t *out)
{
	if (c->end - c->p < 2)
		return -1;
	*out = (uint32_t)(c->p[0] << 8 | c->p[1]);
	c->p += 2;
	return 0;
}

static int read_name(struct cursor *c, struct dnsname *name)
{
	return dnsmsg_name(c->m, &c->p, c->end, name) ? 0 : -1;
}

/* All that is left. */
static int read_rest(struct cursor *c, struct dns_data *d)
{
	d->len = (size_t)(c->end - c->p);
	d->text = arena_strndup(c->arena, (const char *)c->p, d->len);
	c->p = c->end;
	return 0;
}

static int read_ipv4(struct cursor *c, struct dns_data *d)
{
	return c->end - c->p == 4 ? read_rest(c, d) : -1;
}

static int read_ipv6(struct cursor *c, struct dns_data *d)
{
	return c->end - c->p == 16 ? read_rest(c, d) : -1;
}

static int read_target(struct cursor *c, struct dns_data *d)
{
	return read_name(c, &d->name);
}

static int read_soa(struct cursor *c, struct dns_data *d)
{
	struct dnsname mailbox;
	uint32_t high, low;

	if (read_name(c, &d->name) < 0 || read_name(c, &mailbox) < 0 ||
	    read_u16(c, &high) < 0 || read_u16(c, &low) < 0)
		return -1;
	d->number[0] = high << 16 | low;
	if (c->end - c->p != 16)	/* four times that nobody asks for */
		return -1;
	c->p = c->end;
	return 0;
}

static int read_mx(struct cursor *c, struct dns_data *d)
{
	return read_u16(c, &d->number[0]) < 0 ? -1 : read_name(c, &d->name);
}

static int read_srv(struct cursor *c, struct dns_data *d)
{
	for (size_t i = 0; i < 3; i++)
		if (read_u16(c, &d->number[i]) < 0)
			return -1;
	return read_name(c, &d->name);
}

static int read_txt(struct cursor *c, struct dns_data *d)
{
	const struct dnsmsg_rr rr = { c->p, (size_t)(c->end - c->p) };
	struct buf b = BUF_INIT;
	int ret = dnsmsg_txt(&rr, &b);

	d->text = arena_strndup(c->arena, b.data, b.len);
	d->len = b.len;
	c->p = c->end;
	buf_free(&b);
	return ret;
}

/* RFC 8659 section 4.1: the tag is letters and digits. */
static int read_caa(struct cursor *c, struct dns_data *d)
{
	char *tag;
	size_t n;

	if (c->end - c->p < 2)
		return -1;
	d->number[0] = *c->p++;
	n = *c->p++;
	if (!n || (size_t)(c->end - c->p) < n)
		return -1;
	tag = arena_strndup(c->arena, (const char *)c->p, n);
	str_lower(tag);
	if (strspn(tag, "abcdefghijklmnopqrstuvwxyz0123456789") != n)
		return -1;
	d->tag = tag;
	c->p += n;
	return read_rest(c, d);
}

/* ---- showing ---------------------------------------------------------------- */

static void show_address(struct buf *out, const struct dns_data *d)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(d->type == DNS_TYPE_A ? AF_INET : AF_INET6, d->text,
		      text, sizeof(text)))
		buf_adds(out, text);
}

static void show_target(struct buf *out, const struct dns_data *d)
{
	dnsname_text(out, &d->name);
}

static void show_soa(struct buf *out, const struct dns_data *d)
{
	dnsname_text(out, &d->name);
	buf_addf(out, " %u", d->number[0]);
}

static void show_mx(struct buf *out, const struct dns_data *d)
{
	buf_addf(out, "%u ", d->number[0]);
	dnsname_text(out, &d->name);
}

static void show_srv(struct buf *out, const struct dns_data *d)
{
	buf_addf(out, "%u %u %u ", d->number[0], d->number[1], d->number[2]);
	dnsname_text(out, &d->name);
}

static void show_txt(struct buf *out, const struct dns_data *d)
{
	dns_data_quote(out, d->text, d->len);
}

static void quote_string(struct buf *out, const char *p, size_t n)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < n; i++) {
		if (p[i] < ' ' || p[i] > '~')
			buf_addf(out, "\\%03u", (unsigned char)p[i]);
		else if (p[i] == '"' || p[i] == '\\')
			buf_addf(out, "\\%c", p[i]);
		else
			buf_addc(out, p[i]);
	}
	buf_addc(out, '"');
}

static void show_caa(struct buf *out, const struct dns_data *d)
{
	buf_addf(out, "%u %s ", d->number[0], d->tag);
	quote_string(out, d->text, d->len);
}

/* ---- all types -------------------------------------------------------------- */

/* One row makes a type. */
static const struct type {
	unsigned type;
	const char *name;
	int (*read)(struct cursor *c, struct dns_data *d);
	void (*show)(struct buf *out, const struct dns_data *d);
} types[] = {
	{ DNS_TYPE_A, "A", read_ipv4, show_address },
	{ DNS_TYPE_NS, "NS", read_target, show_target },
	{ DNS_TYPE_CNAME, "CNAME", read_target, show_target },
	{ DNS_TYPE_SOA, "SOA", read_soa, show_soa },
	{ DNS_TYPE_MX, "MX", read_mx, show_mx },
	{ DNS_TYPE_TXT, "TXT", read_txt, show_txt },
	{ DNS_TYPE_AAAA, "AAAA", read_ipv6, show_address },
	{ DNS_TYPE_SRV, "SRV", read_srv, show_srv },
	{ DNS_TYPE_CAA, "CAA", read_caa, show_caa },
};

static const struct type *type_find(unsigned type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == type)
			return &types[i];
	return NULL;
}

int dns_data_read(const struct dnsmsg *m, const struct dnsmsg_rr *rr,
		  struct arena *a, struct dns_data *d)
{
	struct cursor c = { m, rr->rdata, rr->rdata + rr->len, a };
	const struct type *t = type_find(m->type);

	*d = (struct dns_data){ .type = m->type, .text = "", .tag = "" };
	return t && t->read(&c, d) == 0 && c.p == c.end ? 0 : -1;
}

void dns_data_show(struct buf *out, const struct dns_data *d)
{
	const struct type *t = type_find(d->type);

	if (t)
		t->show(out, d);
}

void dns_data_quote(struct buf *out, const char *text, size_t n)
{
	size_t at = 0;

	do {
		size_t len = n - at < DNS_STRING_MAX ? n - at : DNS_STRING_MAX;

		if (at)
			buf_addc(out, ' ');
		quote_string(out, text + at, len);
		at += len;
	} while (at < n);
}

const char *dns_type_name(unsigned type)
{
	const struct type *t = type_find(type);

	return t ? t->name : "?";
}
