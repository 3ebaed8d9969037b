#include "relay/dkimcheck.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void dkimcheck_init(struct dkimcheck *c, uint64_t now,
		    void (*done)(struct dkimcheck *c))
{
	memset(c, 0, sizeof(*c));
	c->done = done;
	dkim_verifier_init(&c->verifier, now);
}

void dkimcheck_free(struct dkimcheck *c)
{
	for (size_t i = 0; i < ARRAY_LEN(c->queries); i++) {
		resolver_cancel(&c->queries[i].query);
		free(c->queries[i].name);
		c->queries[i].name = NULL;
	}
	dkim_verifier_free(&c->verifier);
}

static void ask(struct dkimcheck_query *q)
{
	resolver_txt(q->check->resolver, q->name, &q->query);
}

static void answer(struct dkimcheck_query *q, const struct resolver_answer *a)
{
	static const enum dkim_answer answers[] = {
		[RESOLVER_FOUND] = DKIM_FOUND,
		[RESOLVER_NOT_FOUND] = DKIM_NO_RECORD,
		[RESOLVER_FAILED] = DKIM_LOOKUP_FAILED,
	};
	struct dkim_span records[DKIM_RECORDS_MAX];
	size_t i = q - q->check->queries, n = 0;

	for (; n < a->count && n < DKIM_RECORDS_MAX; n++)
		records[n] = (struct dkim_span){ a->texts[n].data,
						 a->texts[n].len };
	dkim_verifier_key(&q->check->verifier, i, answers[a->status], records,
			  n);
}

static void on_answer(struct resolver_query *query,
		      const struct resolver_answer *a)
{
	struct dkimcheck_query *q = container_of(query, struct dkimcheck_query,
						 query);
	struct dkimcheck *c = q->check;

	answer(q, a);
	/* the domain may have a new key since it was cached */
	if (a->cached && !q->again &&
	    dkim_verifier_forget_key(&c->verifier, q - c->queries)) {
		q->again = true;
		resolver_forget(c->resolver, q->name);
		ask(q);
		return;
	}
	if (--c->waiting == 0)
		c->done(c);
}

void dkimcheck_start(struct dkimcheck *c, struct resolver *resolver)
{
	c->resolver = resolver;
	c->waiting = 1;		/* ourselves, until all are asked */
	for (size_t i = 0; i < c->verifier.count; i++) {
		struct dkimcheck_query *q = &c->queries[i];
		const char *name = dkim_verifier_record(&c->verifier, i, false);

		if (!name)
			continue;
		q->check = c;
		q->name = xstrdup(name);
		q->query.done = on_answer;
		c->waiting++;
		ask(q);
	}
	if (--c->waiting == 0)
		c->done(c);
}

enum dkim_verdict dkimcheck_verdict(const struct dkimcheck *c,
				    struct buf *reply, const char **why)
{
	enum dkim_verdict v = dkim_verifier_verdict(&c->verifier, why);

	switch (v) {
	case DKIM_ACCEPTED:
	case DKIM_EXEMPT:
		break;
	case DKIM_UNSIGNED:
		buf_setf(reply, "554 5.7.1 No DKIM signature found");
		break;
	case DKIM_MALFORMED:
	case DKIM_INVALID:
		buf_setf(reply, "554 5.7.1 No valid DKIM signature found: %s",
			 *why);
		break;
	case DKIM_TEMPORARY:
		buf_setf(reply, "451 4.7.5 DKIM signature cannot be verified "
			 "now: %s", *why);
		break;
	}
	return v;
}
