#include "text/dnspolicy.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "text/dkim_key.h"
#include "text/dkim_tags.h"

enum { STS_ID_MAX = 32, CAA_PARAMETERS_MAX = 16 };

static bool span_is(struct dkim_span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* The text begins with it and then with white space, ";" or nothing. */
static bool has_version(const struct dnspolicy_case *c, const char *version)
{
	size_t n = strlen(version);

	return c->len >= n && mem_eqi(c->got, version, n) &&
	       (c->len == n || strchr(" \t;", c->got[n]));
}

/* ---- tag lists --------------------------------------------------------------- */

/* A tag that counts: without it the default is meant, or if that begins with
 * "=" what another tag says; NULL: it has to be there. */
struct policy_tag {
	const char *name, *def;
	bool exact;		/* case matters */
};

/* The value that the list gives a tag, said or meant. */
static bool tag_value(const struct dkim_tags *t, const struct policy_tag *tag,
		      struct dkim_span *value)
{
	const struct dkim_tag *found = dkim_tags_get(t, tag->name);

	if (!found && tag->def && *tag->def == '=')
		found = dkim_tags_get(t, tag->def + 1);
	if (found)
		*value = found->value;
	else if (tag->def)
		*value = (struct dkim_span){ tag->def, strlen(tag->def) };
	return found || tag->def;
}

/* The first tag of a list has to be the version, or what else begins it. */
static bool begins_alike(const struct dkim_tags *a, const struct dkim_tags *b)
{
	return a->tags->name.n == b->tags->name.n &&
	       memcmp(a->tags->name.p, b->tags->name.p, a->tags->name.n) == 0;
}

static enum dnspolicy compare_tags(const struct dnspolicy_case *c,
				   const struct policy_tag *tags, size_t count,
				   const char **why)
{
	struct dkim_tags want, got;
	struct dkim_span a, b;

	*why = dkim_tags_parse(&got, c->got, c->len);
	if (*why)
		return DNSPOLICY_DIFFERENT;
	if (dkim_tags_parse(&want, c->want, strlen(c->want)) ||
	    !begins_alike(&want, &got))
		return DNSPOLICY_DIFFERENT;
	for (size_t i = 0; i < count; i++) {
		if (!tag_value(&want, &tags[i], &a) ||
		    !tag_value(&got, &tags[i], &b))
			return DNSPOLICY_DIFFERENT;
		if (a.n != b.n || !mem_eqi(a.p, b.p, a.n) ||
		    (tags[i].exact && memcmp(a.p, b.p, a.n) != 0))
			return DNSPOLICY_DIFFERENT;
	}
	return DNSPOLICY_SAME;
}

enum dnspolicy dnspolicy_dmarc(const struct dnspolicy_case *c,
			       const char **why)
{
	static const struct policy_tag tags[] = {
		{ "v", NULL, true }, { "p", NULL }, { "sp", "=p" },
		{ "adkim", "r" }, { "aspf", "r" }, { "pct", "100" },
	};

	*why = NULL;
	if (!has_version(c, "v=DMARC1") && !has_version(c, "v"))
		return DNSPOLICY_OTHER;
	return compare_tags(c, tags, ARRAY_LEN(tags), why);
}

enum dnspolicy dnspolicy_adsp(const struct dnspolicy_case *c,
			      const char **why)
{
	static const struct policy_tag tags[] = { { "dkim", NULL } };

	*why = NULL;
	return compare_tags(c, tags, ARRAY_LEN(tags), why);
}

/* ---- MTA-STS ------------------------------------------------------------------- */

static const char *sts_parse(const char *text, size_t n, struct dkim_span *id)
{
	struct dkim_tags t;
	const struct dkim_tag *tag;

	if (dkim_tags_parse(&t, text, n))
		return "malformed";
	if (!span_is(t.tags->name, "v") || !span_is(t.tags->value, "STSv1"))
		return "it has to begin with v=STSv1";
	tag = dkim_tags_get(&t, "id");
	if (!tag || !tag->value.n)
		return "it has no id";
	if (tag->value.n > STS_ID_MAX)
		return "the id is longer than 32 characters";
	for (size_t i = 0; i < tag->value.n; i++) {
		char ch = ascii_lower(tag->value.p[i]);

		if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')))
			return "the id has to be letters and digits";
	}
	*id = tag->value;
	return NULL;
}

enum dnspolicy dnspolicy_sts(const struct dnspolicy_case *c, const char **why)
{
	struct dkim_span id;

	*why = NULL;
	if (!has_version(c, "v=STSv1") && !has_version(c, "v"))
		return DNSPOLICY_OTHER;
	*why = sts_parse(c->got, c->len, &id);
	return *why ? DNSPOLICY_DIFFERENT : DNSPOLICY_SAME;
}

int dnspolicy_sts_id(const char *text, size_t n, struct buf *id)
{
	struct dkim_span found;

	if (sts_parse(text, n, &found))
		return -1;
	buf_add(id, found.p, found.n);
	return 0;
}

/* ---- DKIM ---------------------------------------------------------------------- */

enum dnspolicy dnspolicy_dkim(const struct dnspolicy_case *c, const char **why)
{
	struct dkim_key want, got;

	*why = dkim_key_parse(&got, c->got, c->len);
	if (*why)
		return DNSPOLICY_DIFFERENT;
	if (dkim_key_parse(&want, c->want, strlen(c->want)) ||
	    !dkim_key_equal(&want, &got))
		*why = "another key than that of the relay";
	else if (got.testing)
		*why = "t=y says that the key is a test";
	dkim_key_free(&want);
	dkim_key_free(&got);
	return *why ? DNSPOLICY_DIFFERENT : DNSPOLICY_SAME;
}

/* ---- SPF ----------------------------------------------------------------------- */

struct spf {
	bool has_a, has_others;	/* that pass: the domain's own, more */
	bool has_all, has_redirect, has_exp;
	char all;		/* what becomes of the rest: + ~ ? - */
};

static const char *const spf_mechanisms[] = {
	"a", "mx", "ip4", "ip6", "include", "exists", "ptr",
};

/* Is it the domain itself, all of its addresses? rest is ":domain", "/len",
 * both or nothing. */
static bool spf_is_own(struct dkim_span rest, const char *domain)
{
	size_t n = strlen(domain);

	if (rest.n && *rest.p == ':') {
		rest.p++;
		rest.n--;
		if (rest.n < n || !mem_eqi(rest.p, domain, n))
			return false;
		rest.p += n;
		rest.n -= n;
		if (rest.n && *rest.p == '.') {
			rest.p++;
			rest.n--;
		}
	}
	return !rest.n || span_is(rest, "/32") || span_is(rest, "/32//128") ||
	       span_is(rest, "//128");
}

static const char *spf_modifier(struct spf *spf, struct dkim_span name)
{
	bool *seen = dkim_span_eqi(name, "redirect") ? &spf->has_redirect :
		     dkim_span_eqi(name, "exp") ? &spf->has_exp : NULL;

	if (seen && *seen)
		return "a modifier twice";
	if (seen)
		*seen = true;
	return NULL;	/* others are to be ignored */
}

static const char *spf_mechanism(struct spf *spf, struct dkim_span term,
				 const char *domain)
{
	char qualifier = strchr("+-~?", *term.p) ? *term.p : '+';
	struct dkim_span name = term, rest;
	size_t known = 0;

	if (qualifier == *term.p) {
		name.p++;
		name.n--;
	}
	rest = name;
	while (rest.n && *rest.p != ':' && *rest.p != '/') {
		rest.p++;
		rest.n--;
	}
	name.n -= rest.n;
	if (dkim_span_eqi(name, "all") && !rest.n) {
		if (!spf->has_all)
			spf->all = qualifier;
		spf->has_all = true;
		return NULL;
	}
	while (known < ARRAY_LEN(spf_mechanisms) &&
	       !dkim_span_eqi(name, spf_mechanisms[known]))
		known++;
	if (known == ARRAY_LEN(spf_mechanisms))
		return "an unknown mechanism, which makes the record void";
	if (spf->has_all)
		return NULL;	/* never tested */
	if (qualifier == '+' && known < 2 && spf_is_own(rest, domain))
		spf->has_a = true;
	else
		spf->has_others = true;
	return NULL;
}

static const char *spf_term(struct spf *spf, struct dkim_span term,
			    const char *domain)
{
	struct dkim_span name = term;

	name.n = 0;
	while (name.n < term.n && !strchr("=:/", term.p[name.n]))
		name.n++;
	if (name.n < term.n && term.p[name.n] == '=')
		return spf_modifier(spf, name);
	return spf_mechanism(spf, term, domain);
}

static const char *spf_parse(struct spf *spf, const char *text, size_t n,
			     const char *domain)
{
	const char *p = text + strlen("v=spf1"), *end = text + n, *why = NULL;

	*spf = (struct spf){ .all = '?' };
	while (!why && p < end) {
		struct dkim_span term = { p, 0 };

		while (p < end && *p != ' ') {
			if (*p < ' ' || *p > '~')
				return "bytes that may not be there";
			p++;
		}
		term.n = (size_t)(p - term.p);
		if (term.n)
			why = spf_term(spf, term, domain);
		p += p < end;
	}
	return why;
}

enum dnspolicy dnspolicy_spf(const struct dnspolicy_case *c, const char **why)
{
	struct spf want, got;
	size_t n = strlen("v=spf1");

	*why = NULL;
	/* RFC 7208 section 4.5: then a space or the end, no other */
	if (c->len < n || !mem_eqi(c->got, "v=spf1", n) ||
	    (c->len > n && c->got[n] != ' '))
		return DNSPOLICY_OTHER;
	*why = spf_parse(&got, c->got, c->len, c->domain);
	if (*why)
		return DNSPOLICY_DIFFERENT;
	spf_parse(&want, c->want, strlen(c->want), c->domain);
	if (got.has_a != want.has_a)
		*why = "the relay's own address does not pass";
	else if (got.has_others != want.has_others)
		*why = "other hosts pass or are treated apart";
	else if (!got.has_all && got.has_redirect)
		*why = "another domain's record decides about the rest";
	else if (got.all != want.all)
		*why = "other hosts' mail is treated otherwise";
	return *why ? DNSPOLICY_DIFFERENT : DNSPOLICY_SAME;
}

/* ---- CAA ----------------------------------------------------------------------- */

struct caa {
	struct dkim_span ca, account, methods;
	bool has_account, has_methods, has_others;
};

static struct dkim_span caa_trim(const char *p, const char *end)
{
	while (p < end && strchr(" \t", *p))
		p++;
	while (end > p && strchr(" \t", end[-1]))
		end--;
	return (struct dkim_span){ p, (size_t)(end - p) };
}

static bool has_nul(const struct dnspolicy_case *c)
{
	return c->len && memchr(c->got, '\0', c->len);
}

static const char *caa_parameter(struct caa *caa, struct dkim_span s)
{
	const char *equal = memchr(s.p, '=', s.n);
	struct dkim_span name, value;

	if (!equal)
		return "malformed";
	name = caa_trim(s.p, equal);
	value = caa_trim(equal + 1, s.p + s.n);
	if (dkim_span_eqi(name, "accounturi")) {
		if (caa->has_account)
			return "two accounts: none may have certificates";
		caa->has_account = true;
		caa->account = value;
	} else if (dkim_span_eqi(name, "validationmethods")) {
		caa->has_methods = true;
		caa->methods = value;
	} else {
		caa->has_others = true;
	}
	return NULL;
}

static const char *caa_parse(struct caa *caa, const char *text, size_t n)
{
	const char *p = text, *end = text + n, *why = NULL;
	bool first = true;

	*caa = (struct caa){ .has_account = false };
	while (!why && (p < end || first)) {
		const char *stop = memchr(p, ';', (size_t)(end - p));
		struct dkim_span part = caa_trim(p, stop ? stop : end);

		if (first)
			caa->ca = part;
		else if (part.n)
			why = caa_parameter(caa, part);
		first = false;
		p = stop ? stop + 1 : end;
	}
	return why;
}

/* "http-01,dns-01": is the way that the relay's client takes among them? */
static bool caa_allows_http(const struct caa *caa)
{
	static const char way[] = "http-01";
	struct dkim_span rest = caa->methods;

	while (caa->has_methods && rest.n) {
		const char *comma = memchr(rest.p, ',', rest.n);
		const char *end = comma ? comma : rest.p + rest.n;

		if (dkim_span_eqi(caa_trim(rest.p, end), way))
			return true;
		rest.n -= (size_t)(end - rest.p) + (comma ? 1 : 0);
		rest.p = end + (comma ? 1 : 0);
	}
	return !caa->has_methods;
}

enum dnspolicy dnspolicy_caa(const struct dnspolicy_case *c, const char **why)
{
	struct caa want, got;

	*why = has_nul(c) ? "malformed" : caa_parse(&got, c->got, c->len);
	if (*why)
		return DNSPOLICY_DIFFERENT;
	caa_parse(&want, c->want, strlen(c->want));
	if (want.ca.n != got.ca.n || !mem_eqi(want.ca.p, got.ca.p, got.ca.n))
		*why = "another certificate authority";
	else if (want.has_account && !got.has_account)
		*why = "any account may have certificates";
	else if (want.has_account &&
		 (want.account.n != got.account.n ||
		  memcmp(want.account.p, got.account.p, got.account.n) != 0))
		*why = "another account than that of the relay";
	else if (!caa_allows_http(&got))
		*why = "the relay proves itself by http-01, which is not "
		       "allowed";
	else if (got.has_others)
		*why = "parameters that the authority may not know";
	return *why ? DNSPOLICY_DIFFERENT : DNSPOLICY_SAME;
}
