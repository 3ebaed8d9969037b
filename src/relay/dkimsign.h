/* Signing with all keys of the relay. */
#ifndef RELAY_DKIMSIGN_H
#define RELAY_DKIMSIGN_H

#include "relay/dkimkey.h"
#include "text/dkim_sign.h"

struct dkimsign_keys {
	struct dkim_key keys[DKIMKEY_KINDS];
	bool has[DKIMKEY_KINDS];
};

/* Read what there is in DIR. A missing key that is needed, and one that cannot
 * be read, is an error: -1 with *err and *k empty. */
int dkimsign_load(struct dkimsign_keys *k, const char *dir, struct buf *err);
void dkimsign_free(struct dkimsign_keys *k);

/* The signatures of a message whose end was seen, one after the other from the
 * bottom up: call with i from 0 until it returns 0. Appends the field "name:
 * value" to *field. Returns 1, 0 when there are no more, -1 with *err. */
int dkimsign_next(const struct dkimsign_keys *k, size_t *i,
		  struct dkim_signer *s, const char *domain, uint64_t now,
		  struct buf *field, struct buf *err);

/* May a message with this From leave in the name of domain? NULL, or the reply
 * that refuses it, as OpenDKIM words it. */
const char *dkimsign_refusal(const struct dkim_signer *s, const char *domain);

#endif
