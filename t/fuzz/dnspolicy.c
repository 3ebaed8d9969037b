/* DNS texts compared: what is wanted means the same as itself, and nothing is
 * read that is not there. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/dnspolicy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	dnspolicy_fn *policy;
	const char *want;
} kinds[] = {
	{ dnspolicy_spf, "v=spf1 a ~all" },
	{ dnspolicy_dmarc, "v=DMARC1;p=reject;adkim=s;aspf=s" },
	{ dnspolicy_sts, "v=STSv1; id=202611251200" },
	{ dnspolicy_adsp, "dkim=discardable" },
	{ dnspolicy_dkim, "v=DKIM1;k=ed25519;p="
	  "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=;s=email;t=s" },
	{ dnspolicy_caa, "letsencrypt.org;accounturi=https://a.example/1" },
};

static enum dnspolicy judge(size_t kind, const char *got, size_t n)
{
	struct dnspolicy_case c = { "chat.example", kinds[kind].want, got, n };
	const char *why = NULL;
	enum dnspolicy is = kinds[kind].policy(&c, &why);

	assert(is == DNSPOLICY_DIFFERENT || !why);
	return is;
}

/* The first byte chooses the kind, the rest is the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf id = BUF_INIT;
	size_t kind;
	char *copy;

	if (!size)
		return 0;
	kind = data[0] % ARRAY_LEN(kinds);
	copy = xmalloc(size - 1);	/* so that reading past it is seen */
	memcpy(copy, data + 1, size - 1);
	assert(judge(kind, kinds[kind].want, strlen(kinds[kind].want)) ==
	       DNSPOLICY_SAME);
	judge(kind, copy, size - 1);
	if (dnspolicy_sts_id(copy, size - 1, &id) == 0)
		assert(id.len >= 1 && id.len <= 32);
	buf_free(&id);
	free(copy);
	return 0;
}
