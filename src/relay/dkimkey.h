/* The relay's DKIM keys: PEM files in one directory, under the names and
 * selectors of the relays that use OpenDKIM. */
#ifndef RELAY_DKIMKEY_H
#define RELAY_DKIMKEY_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "base/buf.h"

#define DKIMKEY_DIR "/etc/dkimkeys"

/* What there is; the array ends with a NULL selector. */
struct dkimkey_kind {
	const char *selector;	/* "opendkim" */
	const char *file;	/* "opendkim.private" */
	const char *k;		/* tag of the record: "rsa" */
	bool is_needed;		/* without it nothing is signed */
};
extern const struct dkimkey_kind dkimkey_kinds[];

/* Read DIR/FILE of that kind. NULL with *err; errno is ENOENT when there is no
 * such file. Free with EVP_PKEY_free(). */
EVP_PKEY *dkimkey_load(const struct dkimkey_kind *kind, const char *dir,
		       struct buf *err);

/* Make a new key and write DIR/FILE, readable by its owner alone; one that is
 * there is never replaced. Returns 0, or -1 with *err. */
int dkimkey_make(const struct dkimkey_kind *kind, const char *dir,
		 struct buf *err);

/* Append the text of the TXT record at SELECTOR._domainkey.DOMAIN (RFC 6376
 * section 3.6.1): "v=DKIM1;k=rsa;p=…;s=email;t=s". */
int dkimkey_record(const struct dkimkey_kind *kind, const EVP_PKEY *key,
		   struct buf *out, struct buf *err);

/* Append a record's text as quoted strings of at most 255 bytes, as zone files
 * have it (RFC 1035 section 3.3.14). */
void dkimkey_quote(struct buf *out, const char *record);

#endif
