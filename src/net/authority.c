#include "net/authority.h"

#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "net/dnsask.h"

enum {
	RESOLVER_SECS = 12, SERVER_SECS = 5,
	SERVERS_MAX = 16,	/* of a zone */
	ADDRESSES_MAX = 8,	/* of a server */
	REFERRALS_MAX = 8,
	SILENCES_MAX = 2,	/* then the resolver is not there */
};

struct address {
	struct dns_address at;
	const char *dead;	/* why it is not asked again, or NULL */
};

struct server {
	const char *name;	/* NULL: the resolver */
	bool looked_up;
	struct address addresses[ADDRESSES_MAX];
	size_t count;
};

struct authority_zone {
	struct authority_zone *next;
	struct dnsname name;
	const char *text;	/* "example.org" */
	struct server servers[SERVERS_MAX];
	size_t count;
	size_t good;		/* the server that has answered last */
};

/* A question on its way. */
struct asking {
	struct authority *a;
	const char *name;
	struct dnsname wire;
	unsigned type;
	struct buf packet;
	struct dnsmsg m;
	enum dnsmsg_status status;
	struct buf why;		/* each server's failure */
	const char *server;	/* that answered */
};

int authority_init(struct authority *a, const char *server, unsigned port,
		   struct buf *err)
{
	*a = (struct authority){
		.port = port, .resolver_secs = RESOLVER_SECS,
		.secs = SERVER_SECS,
	};
	return server ? dns_address_parse(&a->resolver, server, DNS_PORT, err) :
	       0;
}

void authority_free(struct authority *a)
{
	arena_free(&a->arena);
	a->zones = NULL;
}

/* Without the dot at its end; "" for the root. */
static const char *name_text(struct authority *a, const struct dnsname *name)
{
	struct buf b = BUF_INIT;
	const char *text;

	dnsname_text(&b, name);
	buf_truncate(&b, b.len - 1);
	text = arena_strdup(&a->arena, b.data);
	buf_free(&b);
	return text;
}

/* ---- asking the resolver ------------------------------------------------------- */

static const struct dns_address *resolver_of(const struct authority *a)
{
	return a->resolver.family ? &a->resolver : NULL;
}

/* Parsed into *m, which borrows from *packet. DNSMSG_BAD with *silent when
 * nobody has answered. */
static enum dnsmsg_status resolve(struct authority *a, const char *name,
				  unsigned type, struct buf *packet,
				  struct dnsmsg *m, bool *silent)
{
	struct dnsname wire;
	const char *why;
	enum dnsask got;

	*silent = false;
	if (dnsname_parse(name, &wire) < 0)
		return DNSMSG_NONE;
	got = dnsask(resolver_of(a), true, name, type, a->resolver_secs, packet,
		     &why);
	*silent = got == DNSASK_SILENT;
	if (got != DNSASK_ANSWERED)
		return DNSMSG_BAD;
	return dnsmsg_parse(m, packet->data, packet->len, &wire, type, &why);
}

/* ---- zones and their servers ---------------------------------------------------- */

static struct authority_zone *zone_new(struct authority *a,
				       const struct dnsname *name)
{
	struct authority_zone *z = arena_alloc(&a->arena, sizeof(*z));

	z->name = *name;
	z->text = name_text(a, name);
	z->next = a->zones;
	a->zones = z;
	return z;
}

/* From the NS records that dnsmsg_next() gives. */
static struct authority_zone *zone_of_records(struct authority *a,
					      struct dnsmsg *m)
{
	struct authority_zone *z = zone_new(a, &m->owner);
	struct dnsmsg_rr rr;
	struct dns_data d;

	while (z->count < SERVERS_MAX && dnsmsg_next(m, &rr))
		if (dns_data_read(m, &rr, &a->arena, &d) == 0)
			z->servers[z->count++].name = name_text(a, &d.name);
	return z;
}

/* The resolver itself answers about all that has no zone. */
static struct authority_zone *zone_of_resolver(struct authority *a)
{
	struct dnsname root = { .len = 1 };
	struct authority_zone *z = zone_new(a, &root);

	z->servers[0].looked_up = true;
	z->servers[0].count = 1;
	z->servers[0].addresses[0].at = a->resolver;
	z->count = 1;
	return z;
}

static struct authority_zone *zone_known(const struct authority *a,
					 const struct dnsname *name)
{
	struct authority_zone *best = NULL;

	for (struct authority_zone *z = a->zones; z; z = z->next)
		if (dnsname_is_within(name, &z->name) &&
		    (!best || z->name.len > best->name.len))
			best = z;
	return best;
}

/* The nearest name above that has NS records. NULL: the resolver is silent. */
static struct authority_zone *zone_find(struct authority *a, const char *name)
{
	struct authority_zone *zone = NULL;
	struct buf packet = BUF_INIT;
	unsigned silences = 0;

	for (const char *at = name; at && !zone && silences < SILENCES_MAX;
	     at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL) {
		struct dnsname own;
		struct dnsmsg m;
		bool silent;
		enum dnsmsg_status got = resolve(a, at, DNS_TYPE_NS, &packet,
						 &m, &silent);

		silences += silent;
		/* a CNAME leads to another zone's */
		if (got == DNSMSG_FOUND && dnsname_parse(at, &own) == 0 &&
		    dnsname_equal(&own, &m.owner))
			zone = zone_of_records(a, &m);
	}
	buf_free(&packet);
	if (zone || silences)
		return zone;
	return zone_of_resolver(a);
}

static void add_addresses(struct authority *a, struct server *s, unsigned type)
{
	struct buf packet = BUF_INIT;
	struct dnsmsg m;
	struct dnsmsg_rr rr;
	struct dns_data d;
	bool silent;

	if (resolve(a, s->name, type, &packet, &m, &silent) == DNSMSG_FOUND) {
		while (s->count < ADDRESSES_MAX && dnsmsg_next(&m, &rr)) {
			struct dns_address *at = &s->addresses[s->count].at;

			if (dns_data_read(&m, &rr, &a->arena, &d) < 0)
				continue;
			at->family = type == DNS_TYPE_A ? AF_INET : AF_INET6;
			at->port = a->port;
			memcpy(at->bytes, d.text, d.len);
			s->count++;
		}
	}
	buf_free(&packet);
}

static void server_look_up(struct authority *a, struct server *s)
{
	if (s->looked_up)
		return;
	s->looked_up = true;
	add_addresses(a, s, DNS_TYPE_A);
	add_addresses(a, s, DNS_TYPE_AAAA);
}

/* ---- asking a zone -------------------------------------------------------------- */

static const char *server_text(struct authority *a, const struct server *s,
			       const struct dns_address *at)
{
	struct buf b = BUF_INIT;
	const char *text;

	if (at->family)
		dns_address_show(&b, at);
	else
		buf_adds(&b, "the servers of /etc/resolv.conf");
	if (s->name) {
		buf_prefixf(&b, "%s (", s->name);
		buf_addc(&b, ')');
	}
	text = arena_strdup(&a->arena, b.data);
	buf_free(&b);
	return text;
}

static void note_failure(struct asking *q, const char *server, const char *why)
{
	buf_addf(&q->why, "%s%s: %s", q->why.len ? "; " : "", server, why);
}

/* NULL when the answer is of use, else why it is not. */
static const char *judge(struct asking *q, const struct authority_zone *z,
			 bool is_resolver)
{
	const char *why;
	struct dnsmsg referral;

	q->status = dnsmsg_parse(&q->m, q->packet.data, q->packet.len,
				 &q->wire, q->type, &why);
	if (q->status == DNSMSG_BAD)
		return why;
	if (q->m.authoritative || is_resolver)
		return NULL;
	referral = q->m;
	/* further down, or the server does not know the zone */
	if (q->status == DNSMSG_NONE && dnsmsg_referral(&referral) &&
	    dnsname_is_within(&q->wire, &referral.owner) &&
	    dnsname_is_within(&referral.owner, &z->name) &&
	    !dnsname_equal(&referral.owner, &z->name))
		return NULL;
	return "not authoritative for the zone";
}

/* One address; true when its answer is of use. */
static bool ask_address(struct asking *q, const struct authority_zone *z,
			const struct server *s, struct address *address)
{
	const struct dns_address *at = &address->at;
	bool is_resolver = !s->name;
	const char *server = server_text(q->a, s, at), *why;
	enum dnsask got = dnsask(at->family ? at : NULL, is_resolver, q->name,
				 q->type, is_resolver ? q->a->resolver_secs :
				 q->a->secs, &q->packet, &why);

	if (got == DNSASK_SILENT)
		address->dead = why;
	if (got == DNSASK_ANSWERED)
		why = judge(q, z, is_resolver);
	if (got != DNSASK_ANSWERED || why) {
		note_failure(q, server, why);
		return false;
	}
	q->server = server;
	return true;
}

static bool ask_server(struct asking *q, const struct authority_zone *z,
		       struct server *s)
{
	server_look_up(q->a, s);
	if (!s->count)
		note_failure(q, s->name, "it has no address");
	for (size_t i = 0; i < s->count; i++) {
		struct address *address = &s->addresses[i];

		if (address->dead)
			note_failure(q, server_text(q->a, s, &address->at),
				     address->dead);
		else if (ask_address(q, z, s, address))
			return true;
	}
	return false;
}

/* The one that answered last comes first, then the others in turn. */
static bool ask_zone(struct asking *q, struct authority_zone *z)
{
	buf_reset(&q->why);
	for (size_t i = 0; i < z->count; i++) {
		size_t at = (z->good + i) % z->count;

		if (ask_server(q, z, &z->servers[at])) {
			z->good = at;
			return true;
		}
	}
	return false;
}

/* The zone, from which referrals lead down. NULL when nobody says. */
static struct authority_zone *ask_zones(struct asking *q,
					struct authority_zone *z)
{
	struct dnsmsg referral;

	for (int i = 0; i < REFERRALS_MAX; i++) {
		if (!ask_zone(q, z)) {
			buf_prefixf(&q->why, *z->text ? "no name server of %s "
				    "answers: " : "%s", z->text);
			return NULL;
		}
		referral = q->m;
		if (q->m.authoritative || !*z->text ||
		    !dnsmsg_referral(&referral))
			return z;
		z = zone_of_records(q->a, &referral);
	}
	buf_setf(&q->why, "the name servers refer to each other");
	return NULL;
}

/* ---- answers --------------------------------------------------------------------- */

static void fail(struct asking *q, struct authority_answer *answer)
{
	answer->status = AUTHORITY_FAILED;
	answer->why = arena_strdup(&q->a->arena, q->why.data);
}

static void take_records(struct asking *q, struct authority_answer *answer)
{
	struct dns_data *data = arena_alloc(&q->a->arena,
					    q->m.count * sizeof(*data));
	struct dnsmsg_rr rr;

	while (dnsmsg_next(&q->m, &rr)) {
		if (dns_data_read(&q->m, &rr, &q->a->arena,
				  &data[answer->count++]) < 0) {
			buf_setf(&q->why, "%s: malformed record in the answer",
				 q->server);
			answer->count = 0;
			fail(q, answer);
			return;
		}
	}
	answer->data = data;
	answer->status = AUTHORITY_FOUND;
}

static void resolver_silent(struct asking *q)
{
	struct authority *a = q->a;
	struct server none = { .name = NULL };

	a->resolver_failed = server_text(a, &none, &a->resolver);
	buf_setf(&q->why, "no answer from %s", a->resolver_failed);
}

/* One step: true when the answer is complete, false when a CNAME leads on to
 * q->name. */
static bool step(struct asking *q, struct authority_answer *answer)
{
	struct authority_zone *z = zone_known(q->a, &q->wire);

	if (!z && !q->a->resolver_failed)
		z = zone_find(q->a, q->name);
	if (!z)
		resolver_silent(q);
	else
		z = ask_zones(q, z);
	if (!z) {
		fail(q, answer);
		return true;
	}
	answer->zone = z->text;
	answer->server = q->server;
	if (q->status == DNSMSG_FOUND) {
		take_records(q, answer);
		return true;
	}
	answer->status = AUTHORITY_NONE;
	if (dnsname_equal(&q->m.owner, &q->wire))
		return true;
	q->wire = q->m.owner;
	q->name = name_text(q->a, &q->wire);
	return false;
}

void authority_ask(struct authority *a, const char *name, unsigned type,
		   struct authority_answer *answer)
{
	struct asking q = { .a = a, .name = name, .type = type,
			    .packet = BUF_INIT, .why = BUF_INIT };
	unsigned steps = 0;

	*answer = (struct authority_answer){ .status = AUTHORITY_NONE,
					     .why = "" };
	if (dnsname_parse(name, &q.wire) == 0) {
		while (!step(&q, answer)) {
			/* the root's name cannot be asked for, and is no use */
			if (++steps <= DNSMSG_CNAMES_MAX && *q.name)
				continue;
			buf_setf(&q.why, "CNAME records that lead nowhere");
			fail(&q, answer);
			break;
		}
	}
	buf_free(&q.packet);
	buf_free(&q.why);
}
