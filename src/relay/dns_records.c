#include "relay/dns_records.h"

#include <string.h>
#include <time.h>

#include "base/str.h"

/* ---- the table ------------------------------------------------------------------- */

enum {
	ACME = 1,	/* only with a certificate of an ACME authority */
	IPV6 = 2,	/* not with disable_ipv6 */
};

/* What a row needs to know to make its value. */
struct source {
	struct dns_records *t;
	const struct relay *relay;
	const struct dns_facts *facts;
	const char *domain;
	long long now;
};

typedef void value_fn(const struct source *s, struct dns_record *rec);

static void value_ipv4(const struct source *s, struct dns_record *rec)
{
	if (s->facts->ipv4.count)
		rec->value = s->facts->ipv4.text[0];
	rec->unknown = "the relay's public IPv4 address";
}

static void value_ipv6(const struct source *s, struct dns_record *rec)
{
	if (s->facts->ipv6.count)
		rec->value = s->facts->ipv6.text[0];
	rec->unknown = "the relay's public IPv6 address";
}

static void value_mx(const struct source *s, struct dns_record *rec)
{
	rec->data.number[0] = 10;
}

static void value_alias(const struct source *s, struct dns_record *rec)
{
}

static void value_sts(const struct source *s, struct dns_record *rec)
{
	time_t now = (time_t)s->now;
	char text[32];
	struct tm tm;

	strftime(text, sizeof(text), "%Y%m%d%H%M", gmtime_r(&now, &tm));
	rec->text = arena_printf(&s->t->arena, "v=STSv1; id=%s", text);
}

static void value_dkim(const struct source *s, struct dns_record *rec)
{
	rec->text = s->facts->dkim[DKIM_RSA_SHA256];
	rec->unknown = "the relay's DKIM key";
}

static void value_dkim_ed25519(const struct source *s, struct dns_record *rec)
{
	rec->text = s->facts->dkim[DKIM_ED25519_SHA256];
	rec->unknown = NULL;	/* there need not be one */
}

static void value_spf(const struct source *s, struct dns_record *rec)
{
	rec->text = "v=spf1 a ~all";
}

static void value_dmarc(const struct source *s, struct dns_record *rec)
{
	rec->text = "v=DMARC1;p=reject;adkim=s;aspf=s";
}

static void value_adsp(const struct source *s, struct dns_record *rec)
{
	rec->text = "dkim=discardable";
}

static void value_caa(const struct source *s, struct dns_record *rec)
{
	if (s->facts->acme_account_url)
		rec->text = arena_printf(&s->t->arena,
					 "letsencrypt.org;accounturi=%s",
					 s->facts->acme_account_url);
	rec->unknown = "the relay's account at the certificate authority";
}

static void set_port(struct dns_record *rec, unsigned port)
{
	rec->data.number[1] = 1;
	rec->data.number[2] = port;
}

static void value_submission(const struct source *s, struct dns_record *rec)
{
	set_port(rec, 587);
}

static void value_submissions(const struct source *s, struct dns_record *rec)
{
	set_port(rec, 465);
}

static void value_imap(const struct source *s, struct dns_record *rec)
{
	set_port(rec, 143);
}

static void value_imaps(const struct source *s, struct dns_record *rec)
{
	set_port(rec, 993);
}

/* One row makes a record. There is none for autoconfig: the certificate does
 * not cover that name, and apps find the same file on the domain itself. */
static const struct row {
	const char *prefix;	/* before the domain */
	unsigned type;
	enum dns_kind kind;
	enum dns_level level;
	unsigned flags;
	value_fn *value;
	dnspolicy_fn *policy;
} rows[] = {
	{ "", DNS_TYPE_A, DNS_ADDRESS, DNS_REQUIRED, 0, value_ipv4 },
	{ "", DNS_TYPE_AAAA, DNS_ADDRESS, DNS_REQUIRED, IPV6, value_ipv6 },
	{ "", DNS_TYPE_MX, DNS_MAIL, DNS_REQUIRED, 0, value_mx },
	{ "_mta-sts.", DNS_TYPE_TXT, DNS_POLICY, DNS_REQUIRED, ACME,
	  value_sts, dnspolicy_sts },
	{ "mta-sts.", DNS_TYPE_CNAME, DNS_ALIAS, DNS_REQUIRED, ACME,
	  value_alias },
	{ "www.", DNS_TYPE_CNAME, DNS_ALIAS, DNS_REQUIRED, 0, value_alias },
	{ "opendkim._domainkey.", DNS_TYPE_TXT, DNS_POLICY, DNS_REQUIRED, 0,
	  value_dkim, dnspolicy_dkim },
	{ "ed25519._domainkey.", DNS_TYPE_TXT, DNS_POLICY, DNS_RECOMMENDED, 0,
	  value_dkim_ed25519, dnspolicy_dkim },
	{ "", DNS_TYPE_TXT, DNS_POLICY, DNS_RECOMMENDED, 0, value_spf,
	  dnspolicy_spf },
	{ "_dmarc.", DNS_TYPE_TXT, DNS_POLICY, DNS_RECOMMENDED, 0, value_dmarc,
	  dnspolicy_dmarc },
	{ "", DNS_TYPE_CAA, DNS_ISSUER, DNS_RECOMMENDED, ACME, value_caa,
	  dnspolicy_caa },
	{ "_adsp._domainkey.", DNS_TYPE_TXT, DNS_POLICY, DNS_RECOMMENDED, 0,
	  value_adsp, dnspolicy_adsp },
	{ "_submission._tcp.", DNS_TYPE_SRV, DNS_SERVICE, DNS_RECOMMENDED, 0,
	  value_submission },
	{ "_submissions._tcp.", DNS_TYPE_SRV, DNS_SERVICE, DNS_RECOMMENDED, 0,
	  value_submissions },
	{ "_imap._tcp.", DNS_TYPE_SRV, DNS_SERVICE, DNS_RECOMMENDED, 0,
	  value_imap },
	{ "_imaps._tcp.", DNS_TYPE_SRV, DNS_SERVICE, DNS_RECOMMENDED, 0,
	  value_imaps },
};
_Static_assert(ARRAY_LEN(rows) <= DNS_RECORDS_MAX, "room for all records");

/* ---- making it ------------------------------------------------------------------- */

static const char *shown(struct dns_records *t, const struct dns_data *d)
{
	struct buf b = BUF_INIT;
	const char *text;

	dns_data_show(&b, d);
	text = arena_strdup(&t->arena, b.data);
	buf_free(&b);
	return text;
}

/* From the text, or from what data holds. */
static void make_value(struct dns_records *t, struct dns_record *rec)
{
	switch (rec->kind) {
	case DNS_ADDRESS:
		break;
	case DNS_POLICY:
	case DNS_ISSUER:
		if (!rec->text)
			return;
		rec->data.text = rec->text;
		rec->data.len = strlen(rec->text);
		rec->data.tag = "issue";
		rec->value = shown(t, &rec->data);
		break;
	case DNS_MAIL:
	case DNS_ALIAS:
	case DNS_SERVICE:
		rec->value = shown(t, &rec->data);
		break;
	}
}

/* What other authorities call themselves in CAA records is not known, and a
 * wrong name would keep the relay from its next certificate. */
static bool is_letsencrypt(const char *directory)
{
	const char *host = strstr(directory, "://");
	struct buf name = BUF_INIT;
	bool ret;

	host = host ? host + 3 : directory;
	buf_add(&name, host, strcspn(host, ":/"));
	ret = str_ends(name.data, ".letsencrypt.org");
	buf_free(&name);
	return ret;
}

static bool is_wanted(const struct row *row, const struct source *s)
{
	if (row->kind == DNS_ISSUER &&
	    !is_letsencrypt(s->relay->s.acme_directory))
		return false;
	if ((row->flags & ACME) && s->relay->tls_mode != TLS_ACME)
		return false;
	return !((row->flags & IPV6) && s->relay->s.disable_ipv6);
}

static void add_row(const struct row *row, const struct source *s)
{
	struct dns_record *rec = &s->t->rows[s->t->count];

	*rec = (struct dns_record){
		.name = arena_printf(&s->t->arena, "%s%s", row->prefix,
				     s->domain),
		.type = row->type,
		.kind = row->kind,
		.level = *s->domain == '_' ? DNS_RECOMMENDED : row->level,
		.policy = row->policy,
		.data = { .type = row->type },
	};
	dnsname_parse(s->domain, &rec->data.name);
	row->value(s, rec);
	make_value(s->t, rec);
	if (rec->value || rec->unknown)
		s->t->count++;
}

void dns_records_make(struct dns_records *t, const struct relay *r,
		      const struct dns_facts *f, long long now)
{
	const struct source s = { t, r, f, r->mail_domain_bare, now };

	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < ARRAY_LEN(rows) && !r->is_ipv4; i++)
		if (is_wanted(&rows[i], &s))
			add_row(&rows[i], &s);
}

void dns_records_free(struct dns_records *t)
{
	arena_free(&t->arena);
	memset(t, 0, sizeof(*t));
}

void dns_record_set(struct dns_records *t, struct dns_record *rec,
		    const char *value)
{
	const char *copy = arena_strdup(&t->arena, value);

	if (rec->kind == DNS_POLICY || rec->kind == DNS_ISSUER)
		rec->text = copy;
	else
		rec->value = copy;
	make_value(t, rec);
}

void dns_record_line(struct buf *out, const struct dns_record *rec,
		     const char *value)
{
	size_t n = strlen(rec->name) + 1;

	/* upstream's columns */
	buf_addf(out, "%s.%*s %-6d IN  %-5s  %s", rec->name,
		 n < 40 ? (int)(40 - n) : 0, "", DNS_TTL,
		 dns_type_name(rec->type), value);
}
