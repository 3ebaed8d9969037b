#include "text/dkim.h"

#include <string.h>

#include "base/str.h"

static const char out_of_memory[] = "out of memory in libcrypto";

void dkim_verifier_init(struct dkim_verifier *v, uint64_t now)
{
	memset(v, 0, sizeof(*v));
	buf_init(&v->domain);
	v->now = now;
}

void dkim_verifier_free(struct dkim_verifier *v)
{
	for (size_t i = 0; i < ARRAY_LEN(v->bodies); i++)
		if (v->has_body[i])
			dkim_body_free(&v->bodies[i]);
	dkim_header_free(&v->header);
	arena_free(&v->arena);
	buf_free(&v->domain);
	dkim_verifier_init(v, v->now);
}

static void set(struct dkim_check *c, enum dkim_result result, const char *why)
{
	c->result = result;
	c->why = why;
}

void dkim_verifier_header(struct dkim_verifier *v, const char *field,
			  size_t n)
{
	dkim_header_add(&v->header, field, n);
}

static void check_begin(struct dkim_verifier *v, struct dkim_check *c,
			const struct dkim_field *f)
{
	struct dkim_signature *s = &c->sig;
	const char *why = dkim_signature_parse(s, f, v->now, &v->arena);

	c->aligned = s->domain && str_eqi(s->domain, v->domain.data);
	if (why)
		set(c, DKIM_FAIL, why);
	else if (dkim_signature_hash(s, f, &v->header, c->hash) < 0)
		set(c, DKIM_TEMPFAIL, out_of_memory);
	else
		set(c, DKIM_TEMPFAIL, "key was not looked up");
	/* they point into the header */
	s->names = s->b = (struct dkim_span){ NULL, 0 };
	if (!why && !v->has_body[s->body_canon]) {
		v->has_body[s->body_canon] = true;
		dkim_body_init(&v->bodies[s->body_canon], s->body_canon);
	}
}

static bool is_signature(const struct dkim_field *f)
{
	return f->name == strlen(DKIM_SIGNATURE_NAME) &&
	       mem_eqi(f->text, DKIM_SIGNATURE_NAME, f->name);
}

void dkim_verifier_eoh(struct dkim_verifier *v)
{
	struct dkim_header *h = &v->header;

	dkim_header_end(h);
	v->error = dkim_header_from(h, &v->domain);
	v->is_literal = v->domain.data[0] == '[';
	for (size_t i = 0; i < h->count && !v->error; i++) {
		if (!is_signature(&h->fields[i]))
			continue;
		v->total++;
		if (v->count < DKIM_CHECKS_MAX)
			check_begin(v, &v->checks[v->count++], &h->fields[i]);
	}
	dkim_header_free(h);
}

void dkim_verifier_body(struct dkim_verifier *v, const char *p, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(v->bodies); i++)
		if (v->has_body[i])
			dkim_body_feed(&v->bodies[i], p, n);
}

/* A body that is not the signed one is certain, whatever the key says. All
 * of the body has to be signed: then l=, if there is one, is its length, and
 * changes nothing. */
static void check_body(struct dkim_check *c, const struct dkim_body *b,
		       const unsigned char *hash)
{
	if (c->sig.length < b->size)
		set(c, DKIM_FAIL, "l= leaves part of the body unsigned");
	else if (c->sig.has_length && c->sig.length > b->size)
		set(c, DKIM_FAIL, "l= is longer than the body");
	else if (memcmp(c->sig.body_hash, hash, DKIM_HASH_SIZE) != 0)
		set(c, DKIM_FAIL, "body hash does not match");
}

void dkim_verifier_eom(struct dkim_verifier *v)
{
	unsigned char hash[ARRAY_LEN(v->bodies)][DKIM_HASH_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(v->bodies); i++)
		if (v->has_body[i])
			dkim_body_end(&v->bodies[i], hash[i]);
	for (size_t i = 0; i < v->count; i++) {
		struct dkim_check *c = &v->checks[i];
		enum dkim_canon canon = c->sig.body_canon;

		if (c->result == DKIM_FAIL && !c->answered)
			continue;
		if (v->bodies[canon].failed)
			set(c, DKIM_TEMPFAIL, out_of_memory);
		else
			check_body(c, &v->bodies[canon], hash[canon]);
	}
}

/* Keys */

const char *dkim_verifier_record(const struct dkim_verifier *v, size_t i,
				 bool all)
{
	const struct dkim_check *c = &v->checks[i];

	if (c->answered || c->result != DKIM_TEMPFAIL ||
	    c->why == out_of_memory || v->is_literal)
		return NULL;
	return c->aligned || all ? c->sig.record : NULL;
}

/* NULL, or why this record does not make the signature valid. */
static const char *try_record(const struct dkim_check *c,
			      const struct dkim_span *record)
{
	struct dkim_key key;
	const char *why = dkim_key_parse(&key, record->p, record->n);

	if (!why && key.algorithm != c->sig.algorithm)
		why = "key is of another type than a=";
	if (!why && key.same_domain && c->sig.subdomain)
		why = "key does not allow i= in a subdomain";
	if (!why && !dkim_key_verify(&key, c->hash, c->sig.sig,
				     c->sig.sig_len))
		why = "signature does not match the header";
	if (!why && key.testing)
		why = "key is for tests only";
	dkim_key_free(&key);
	return why;
}

void dkim_verifier_key(struct dkim_verifier *v, size_t i,
		       enum dkim_answer answer,
		       const struct dkim_span *records, size_t n)
{
	struct dkim_check *c = &v->checks[i];
	const char *why = NULL;

	if (c->answered || c->result != DKIM_TEMPFAIL ||
	    c->why == out_of_memory)
		return;
	c->answered = true;
	if (answer == DKIM_LOOKUP_FAILED) {
		set(c, DKIM_TEMPFAIL, "key could not be looked up");
		return;
	}
	set(c, DKIM_FAIL, "no key in the DNS");
	if (answer == DKIM_NO_RECORD)
		return;
	for (size_t r = 0; r < n && r < DKIM_RECORDS_MAX; r++) {
		why = try_record(c, &records[r]);
		if (!why) {
			set(c, DKIM_PASS, NULL);
			return;
		}
		/* of several records the first tells most */
		if (r == 0)
			set(c, DKIM_FAIL, why);
	}
}

bool dkim_verifier_forget_key(struct dkim_verifier *v, size_t i)
{
	struct dkim_check *c = &v->checks[i];

	if (!c->answered || c->result != DKIM_FAIL)
		return false;
	c->answered = false;
	set(c, DKIM_TEMPFAIL, "key was not looked up");
	return true;
}

/* Verdict */

/* The reason that says most of why none of the signatures counts. */
static const char *why_invalid(const struct dkim_verifier *v)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->checks[i].aligned)
			return v->checks[i].why;
	for (size_t i = 0; i < v->count; i++)
		if (!v->checks[i].sig.domain)
			return v->checks[i].why;
	return "not signed by the domain of From";
}

enum dkim_verdict dkim_verifier_verdict(const struct dkim_verifier *v,
					const char **why)
{
	const struct dkim_check *later = NULL;

	*why = v->error;
	if (v->error)
		return DKIM_MALFORMED;
	if (v->is_literal)
		return DKIM_EXEMPT;
	for (size_t i = 0; i < v->count; i++) {
		const struct dkim_check *c = &v->checks[i];

		if (c->aligned && c->result == DKIM_PASS)
			return DKIM_ACCEPTED;
		if (c->aligned && c->result == DKIM_TEMPFAIL && !later)
			later = c;
	}
	if (later) {
		*why = later->why;
		return DKIM_TEMPORARY;
	}
	*why = v->total ? why_invalid(v) : "not signed";
	return v->total ? DKIM_INVALID : DKIM_UNSIGNED;
}
