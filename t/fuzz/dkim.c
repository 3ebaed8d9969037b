/* Whole messages: in pieces or not, with keys early or late, the verdict is
 * the same; and there is one. */
#include <assert.h>

#include "base/str.h"
#include "text/dkim.h"
#include "t/unit/dkim_vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum dkim_verdict run(const char *msg, size_t n, size_t step,
			     const char **why)
{
	struct dkim_verifier v;
	enum dkim_verdict verdict;

	dkim_test_message(&v, msg, n, step, DKIM_TEST_NOW, rfc_zone);
	assert(v.count <= DKIM_CHECKS_MAX && v.count <= v.total);
	assert(!v.header.fields);
	for (size_t i = 0; i < v.count; i++) {
		const struct dkim_check *c = &v.checks[i];

		assert(!c->why == (c->result == DKIM_PASS));
		assert(c->result != DKIM_TEMPFAIL || v.is_literal);
		assert(!c->aligned || c->sig.domain);
	}
	verdict = dkim_verifier_verdict(&v, why);
	assert(!*why == (verdict <= DKIM_EXEMPT));
	assert(verdict != DKIM_TEMPORARY);
	dkim_verifier_free(&v);
	return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why, *again;
	enum dkim_verdict verdict = run((const char *)data, size, 1, &why);

	assert(run((const char *)data, size, 64, &again) == verdict);
	assert(why == again);
	return 0;
}
