#include "relay/dkimsign.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

int dkimsign_load(struct dkimsign_keys *k, const char *dir, struct buf *err)
{
	memset(k, 0, sizeof(*k));
	for (size_t i = 0; i < DKIMKEY_KINDS; i++) {
		const struct dkimkey_kind *kind = &dkimkey_kinds[i];

		if (dkimkey_load(kind, dir, &k->keys[i], err) == 0) {
			k->has[i] = true;
		} else if (kind->is_needed || errno != ENOENT) {
			dkimsign_free(k);
			return -1;
		}
	}
	buf_reset(err);
	return 0;
}

void dkimsign_free(struct dkimsign_keys *k)
{
	for (size_t i = 0; i < DKIMKEY_KINDS; i++)
		if (k->has[i])
			dkim_key_free(&k->keys[i]);
	memset(k, 0, sizeof(*k));
}

int dkimsign_next(const struct dkimsign_keys *k, size_t *i,
		  struct dkim_signer *s, const char *domain, uint64_t now,
		  struct buf *field, struct buf *err)
{
	/* the last one is put on top of the others: RSA, which all know */
	while (*i < DKIMKEY_KINDS) {
		size_t at = DKIMKEY_KINDS - 1 - (*i)++;
		const struct dkim_identity id = {
			.domain = domain,
			.selector = dkimkey_kinds[at].selector,
			.now = now,
			.key = &k->keys[at],
		};

		if (k->has[at])
			return dkim_signer_sign(s, &id, field, err) < 0 ? -1 : 1;
	}
	return 0;
}

const char *dkimsign_refusal(const struct dkim_signer *s, const char *domain)
{
	if (s->out_of_memory)
		return "451 4.7.1 mail cannot be signed now";
	if (s->error || !str_eqi(s->domain.data, domain))
		return "550 5.7.0 no DKIM signature data";
	return NULL;
}
