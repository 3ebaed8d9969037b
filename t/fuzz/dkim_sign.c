/* What we sign, we accept: any message, with d= of its From domain. */
#include <assert.h>

#include "base/str.h"
#include "text/dkim.h"
#include "text/dkim_sign.h"
#include "t/unit/dkim_vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(void *signer, const char *field, size_t n)
{
	dkim_signer_header(signer, field, n);
}

static void check(const char *signed_field, const char *msg, size_t n,
		  const char *domain)
{
	struct buf all = BUF_INIT, record = BUF_INIT;
	struct dkim_zone zone[] = { { NULL, "k=ed25519; p=" RFC8463_ED25519_P },
				    { NULL, NULL } };
	struct dkim_verifier v;
	const char *why;

	buf_addf(&all, "%s\r\n", signed_field);
	buf_add(&all, msg, n);
	assert(!dkim_record_name(&record, (struct dkim_span){ "s", 1 },
		(struct dkim_span){ domain, strlen(domain) }));
	zone[0].name = record.data;
	dkim_test_message(&v, all.data, all.len, 7, DKIM_TEST_NOW, zone);
	assert(dkim_verifier_verdict(&v, &why) == DKIM_ACCEPTED);
	assert(v.checks[0].result == DKIM_PASS && v.checks[0].aligned);
	dkim_verifier_free(&v);
	buf_free(&all);
	buf_free(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *msg = (const char *)data, *end = msg + size, *body;
	struct buf field = BUF_INIT, err = BUF_INIT;
	struct dkim_signer s;
	struct dkim_key k;
	struct dkim_identity id = { NULL, "s", DKIM_TEST_NOW, &k };

	/* the new field would become part of a first line that is folded */
	if (size && (*msg == ' ' || *msg == '\t'))
		return 0;
	assert(dkim_key_read(&k, rfc8463_ed25519_pem,
			     strlen(rfc8463_ed25519_pem), &err) == 0);
	dkim_signer_init(&s);
	body = dkim_test_header(msg, end, add, &s);
	dkim_signer_eoh(&s);
	dkim_signer_body(&s, body, (size_t)(end - body));
	dkim_signer_eom(&s);
	id.domain = s.domain.data;
	if (dkim_signer_sign(&s, &id, &field, &err) == 0)
		check(field.data, msg, size, id.domain);
	else
		assert(err.len && !field.len);
	dkim_signer_free(&s);
	dkim_key_free(&k);
	buf_free(&field);
	buf_free(&err);
	return 0;
}
