#include "relay/dns_check.h"

#include <limits.h>
#include <string.h>

/* ---- what was found --------------------------------------------------------------- */

static struct arena *arena_of(struct dns_check *c)
{
	return &c->records.arena;
}

static void add_found(struct dns_check *c, struct dns_result *res,
		      const char *prefix, const struct dns_data *d)
{
	struct buf b = BUF_INIT;

	if (res->count == DNS_FOUND_MAX)
		return;
	buf_adds(&b, prefix);
	dns_data_show(&b, d);
	res->found[res->count++] = arena_strdup(arena_of(c), b.data);
	buf_free(&b);
}

static void add_all(struct dns_check *c, struct dns_result *res,
		    const struct authority_answer *answer)
{
	for (size_t i = 0; i < answer->count; i++)
		add_found(c, res, "", &answer->data[i]);
}

static void conclude(struct dns_result *res, enum dns_state state,
		     const char *why)
{
	res->state = state;
	res->why = why;
}

/* Ask; true when there is something to compare. */
static bool ask(struct dns_check *c, struct dns_result *res, const char *name,
		unsigned type, struct authority_answer *answer)
{
	authority_ask(c->authority, name, type, answer);
	if (!c->zone && answer->zone) {
		c->zone = answer->zone;
		c->server = answer->server;
	}
	if (answer->status == AUTHORITY_FAILED)
		conclude(res, DNS_UNKNOWN, answer->why);
	else if (answer->status == AUTHORITY_NONE)
		conclude(res, DNS_MISSING, NULL);
	return answer->status == AUTHORITY_FOUND;
}

/* ---- addresses -------------------------------------------------------------------- */

static bool is_among(const char *text, const struct dns_addresses *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->text[i], text) == 0)
			return true;
	return false;
}

static void check_address(struct dns_check *c, struct dns_result *res)
{
	struct dns_record *rec = res->record;
	const struct dns_addresses *own = rec->type == DNS_TYPE_A ?
		&c->facts->ipv4 : &c->facts->ipv6;
	struct authority_answer answer;

	if (!ask(c, res, rec->name, rec->type, &answer))
		return;
	add_all(c, res, &answer);
	conclude(res, DNS_RIGHT, NULL);
	for (size_t i = 0; i < res->count && own->count; i++)
		if (!is_among(res->found[i], own))
			conclude(res, DNS_WRONG, own->is_certain ?
				 "not the relay's address" :
				 "not an address of the relay's host: right "
				 "only behind a proxy or address translation");
	if (res->state == DNS_RIGHT)
		dns_record_set(&c->records, rec, res->found[0]);
	else if (!own->is_certain)
		rec->level = DNS_RECOMMENDED;
}

/* It is not there and may stay so: told of when it is known, else left out. */
static void not_required(struct dns_result *res)
{
	if (res->record->value)
		res->record->level = DNS_RECOMMENDED;
	else
		res->record = NULL;
}

/* One address is enough. aaaa is NULL when none is wanted. */
static void settle_addresses(struct dns_result *a, struct dns_result *aaaa)
{
	bool no_a = a->state == DNS_MISSING;

	if (!aaaa)
		return;
	if (aaaa->state == DNS_MISSING) {
		/* when none is there, the one that is known is asked for */
		if (no_a && !a->record->value && aaaa->record->value)
			not_required(a);
		else
			not_required(aaaa);
	} else if (no_a) {
		not_required(a);
	}
}

/* ---- MX --------------------------------------------------------------------------- */

static void check_mail(struct dns_check *c, struct dns_result *res)
{
	const struct dns_record *rec = res->record;
	struct authority_answer answer;
	unsigned long own = ULONG_MAX, other = ULONG_MAX;

	if (!ask(c, res, rec->name, rec->type, &answer))
		return;
	add_all(c, res, &answer);
	for (size_t i = 0; i < answer.count; i++) {
		const struct dns_data *d = &answer.data[i];
		unsigned long *least = dnsname_equal(&d->name, &rec->data.name) ?
				       &own : &other;

		if (d->number[0] < *least)
			*least = d->number[0];
	}
	if (own == ULONG_MAX)
		conclude(res, DNS_WRONG, "mail goes to another host");
	else if (other <= own)
		conclude(res, DNS_WRONG, "mail goes to another host as well");
	else
		conclude(res, DNS_RIGHT, other == ULONG_MAX ? NULL :
			 "mail goes to another host when the relay does not "
			 "answer");
}

/* ---- aliases ---------------------------------------------------------------------- */

/* Are there addresses of that type, and are all of them the domain's? */
static enum dns_state compare_addresses(struct dns_check *c,
					struct dns_result *res, unsigned type,
					const char *prefix)
{
	struct authority_answer own, answer;
	enum dns_state state = DNS_RIGHT;

	if (!ask(c, res, res->record->name, type, &answer))
		return res->state;
	authority_ask(c->authority, c->relay->mail_domain_bare, type, &own);
	if (own.status == AUTHORITY_FAILED)
		return DNS_UNKNOWN;
	for (size_t i = 0; i < answer.count; i++) {
		bool same = false;

		for (size_t j = 0; j < own.count; j++)
			same |= memcmp(own.data[j].text, answer.data[i].text,
				       answer.data[i].len) == 0;
		if (!same)
			state = DNS_WRONG;
		add_found(c, res, prefix, &answer.data[i]);
	}
	return state;
}

static void check_alias(struct dns_check *c, struct dns_result *res)
{
	const struct dns_record *rec = res->record;
	struct authority_answer answer;
	enum dns_state v4, v6 = DNS_MISSING;
	const char *why;

	if (ask(c, res, rec->name, DNS_TYPE_CNAME, &answer)) {
		add_found(c, res, "", &answer.data[0]);
		conclude(res, DNS_RIGHT, NULL);
		if (dnsname_equal(&answer.data[0].name, &rec->data.name))
			return;
		res->found[0] = arena_printf(arena_of(c), "CNAME %s",
					     res->found[0]);
	} else if (res->state == DNS_UNKNOWN) {
		return;
	}
	v4 = compare_addresses(c, res, DNS_TYPE_A, "A ");
	why = res->why;
	if (!c->relay->s.disable_ipv6)
		v6 = compare_addresses(c, res, DNS_TYPE_AAAA, "AAAA ");
	if (!why)
		why = res->why;
	if (v4 == DNS_WRONG || v6 == DNS_WRONG)
		conclude(res, DNS_WRONG, "not the addresses of the domain");
	else if (v4 == DNS_RIGHT || v6 == DNS_RIGHT)
		conclude(res, DNS_RIGHT, NULL);
	else if (v4 == DNS_UNKNOWN || v6 == DNS_UNKNOWN)
		conclude(res, DNS_UNKNOWN, why ? why : "the domain's addresses "
			 "are not known");
	else if (res->count)
		conclude(res, DNS_WRONG, "it leads to no address");
	else
		conclude(res, DNS_MISSING, NULL);
}

/* ---- texts ------------------------------------------------------------------------ */

static struct dnspolicy_case policy_case(struct dns_check *c,
					 const struct dns_record *rec,
					 const struct dns_data *d)
{
	return (struct dnspolicy_case){
		.domain = c->relay->mail_domain_bare,
		/* any account will do as long as none is known */
		.want = rec->text ? rec->text : "letsencrypt.org",
		.got = d->text, .len = d->len,
	};
}

static void check_policy(struct dns_check *c, struct dns_result *res)
{
	struct dns_record *rec = res->record;
	const struct dns_data *right = NULL;
	struct authority_answer answer;
	const char *why = NULL, *reason;

	if (!ask(c, res, rec->name, rec->type, &answer))
		return;
	for (size_t i = 0; i < answer.count; i++) {
		const struct dns_data *d = &answer.data[i];
		struct dnspolicy_case pc = policy_case(c, rec, d);
		enum dnspolicy is = DNSPOLICY_DIFFERENT;

		reason = NULL;
		if (rec->text)
			is = rec->policy(&pc, &reason);
		if (is == DNSPOLICY_OTHER)
			continue;
		add_found(c, res, "", d);
		if (is == DNSPOLICY_SAME)
			right = d;
		else if (!why)
			why = reason;
	}
	if (!res->count)
		conclude(res, DNS_MISSING, NULL);
	else if (!rec->text)
		conclude(res, DNS_UNKNOWN, NULL);
	else if (res->count > 1)
		conclude(res, DNS_WRONG, "only one of these may be there");
	else if (!right)
		conclude(res, DNS_WRONG, why);
	else
		conclude(res, DNS_RIGHT, NULL);
	/* the id of MTA-STS stays as it is */
	if (res->state == DNS_RIGHT && rec->policy == dnspolicy_sts)
		dns_record_set(&c->records, rec, right->text);
}

static void check_issuer(struct dns_check *c, struct dns_result *res)
{
	const struct dns_record *rec = res->record;
	struct authority_answer answer;
	const char *why = NULL, *reason;
	bool right = false;

	if (!ask(c, res, rec->name, rec->type, &answer))
		return;
	conclude(res, DNS_MISSING, NULL);
	for (size_t i = 0; i < answer.count; i++) {
		const struct dns_data *d = &answer.data[i];
		struct dnspolicy_case pc = policy_case(c, rec, d);

		if (strcmp(d->tag, "issue") != 0)
			continue;	/* no matter of the relay's */
		add_found(c, res, "", d);
		reason = NULL;
		if (rec->policy(&pc, &reason) == DNSPOLICY_SAME)
			right = true;
		else
			why = reason;
	}
	if (right)
		conclude(res, DNS_RIGHT, why ? "others may have certificates "
			 "of the domain too" : NULL);
	else if (res->count)
		conclude(res, DNS_WRONG, why);
}

/* ---- SRV -------------------------------------------------------------------------- */

/* Priority and weight choose among several; here is one. */
static void check_service(struct dns_check *c, struct dns_result *res)
{
	const struct dns_record *rec = res->record;
	struct authority_answer answer;

	if (!ask(c, res, rec->name, rec->type, &answer))
		return;
	add_all(c, res, &answer);
	conclude(res, DNS_RIGHT, NULL);
	for (size_t i = 0; i < answer.count; i++) {
		const struct dns_data *d = &answer.data[i];

		if (!dnsname_equal(&d->name, &rec->data.name) ||
		    d->number[2] != rec->data.number[2])
			conclude(res, DNS_WRONG, "another host or port");
	}
}

/* ---- all of it -------------------------------------------------------------------- */

static void (*const checks[])(struct dns_check *c, struct dns_result *res) = {
	[DNS_ADDRESS] = check_address,
	[DNS_MAIL] = check_mail,
	[DNS_ALIAS] = check_alias,
	[DNS_POLICY] = check_policy,
	[DNS_ISSUER] = check_issuer,
	[DNS_SERVICE] = check_service,
};

void dns_check_run(struct dns_check *c, const struct relay *r,
		   const struct dns_facts *f, struct authority *a,
		   long long now)
{
	memset(c, 0, sizeof(*c));
	c->authority = a;
	c->relay = r;
	c->facts = f;
	dns_records_make(&c->records, r, f, now);
	for (size_t i = 0; i < c->records.count; i++) {
		struct dns_result *res = &c->results[i];

		res->record = &c->records.rows[i];
		checks[res->record->kind](c, res);
		if (i == 1)
			settle_addresses(&c->results[0],
				res->record->type == DNS_TYPE_AAAA ? res : NULL);
	}
	if (f->probe && !r->is_ipv4)
		c->probe = dns_probe_verify(f->probe, r->mail_domain_bare, a,
					    (uint64_t)now, &c->probe_why);
}

void dns_check_free(struct dns_check *c)
{
	dns_records_free(&c->records);
}

bool dns_check_passed(const struct dns_check *c)
{
	for (size_t i = 0; i < c->records.count; i++) {
		const struct dns_result *res = &c->results[i];

		if (res->record && res->state != DNS_RIGHT &&
		    res->record->level == DNS_REQUIRED)
			return false;
	}
	/* nothing is required of a name that begins with an underscore */
	return c->probe != DNS_PROBE_INVALID ||
	       *c->relay->mail_domain_bare == '_';
}

/* ---- before the first deployment -------------------------------------------------- */

static bool has_address(const struct relay *r, struct authority *a,
			const char *name, const char **why)
{
	struct authority_answer v4, v6 = { .status = AUTHORITY_NONE };

	authority_ask(a, name, DNS_TYPE_A, &v4);
	if (v4.status == AUTHORITY_FOUND)
		return true;
	if (!r->s.disable_ipv6)
		authority_ask(a, name, DNS_TYPE_AAAA, &v6);
	if (v6.status != AUTHORITY_FOUND)
		*why = v4.status == AUTHORITY_FAILED ? v4.why :
		       v6.status == AUTHORITY_FAILED ? v6.why : NULL;
	return v6.status == AUTHORITY_FOUND;
}

static void add_problem(struct buf *problems, const char *why, const char *name)
{
	if (why)
		buf_addf(problems, "%s cannot be looked up: %s\n", name, why);
}

static size_t precheck_alias(const struct relay *r, struct authority *a,
			     struct dns_record *rec, struct buf *problems)
{
	static const struct dns_facts no_facts;
	struct dns_check c = { .authority = a, .relay = r,
			       .facts = &no_facts };
	struct dns_result res = { .record = rec };
	struct buf line = BUF_INIT;

	check_alias(&c, &res);
	if (res.state == DNS_UNKNOWN) {
		add_problem(problems, res.why, rec->name);
	} else if (res.state != DNS_RIGHT) {
		dns_record_line(&line, rec, rec->value);
		buf_addf(problems, "this record is %s: %s\n",
			 res.state == DNS_MISSING ? "missing" : "wrong",
			 line.data);
	}
	buf_free(&line);
	arena_free(&c.records.arena);
	return res.state != DNS_RIGHT;
}

size_t dns_precheck(const struct relay *r, struct authority *a,
		    struct buf *problems)
{
	const char *domain = r->mail_domain_bare, *why = NULL;
	const struct dns_facts no_facts = { .arena = ARENA_INIT };
	struct dns_records t;
	size_t count = 0;

	if (r->is_ipv4 || *domain == '_')
		return 0;
	if (!has_address(r, a, domain, &why)) {
		add_problem(problems, why, domain);
		if (!why)
			buf_addf(problems, "%s has no address: it needs an A "
				 "record%s\n", domain, r->s.disable_ipv6 ? "" :
				 ", an AAAA record or both");
		return 1;	/* the others would lead nowhere */
	}
	dns_records_make(&t, r, &no_facts, 0);
	for (size_t i = 0; i < t.count && r->tls_mode == TLS_ACME; i++)
		if (t.rows[i].kind == DNS_ALIAS)
			count += precheck_alias(r, a, &t.rows[i], problems);
	dns_records_free(&t);
	return count;
}
