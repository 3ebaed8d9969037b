/* The relay's DKIM keys: PEM files in one directory, under the names and
 * selectors of the relays that use OpenDKIM. */
#ifndef RELAY_DKIMKEY_H
#define RELAY_DKIMKEY_H

#include "base/buf.h"
#include "text/dkim_key.h"

#define DKIMKEY_DIR "/etc/dkimkeys"

struct dkimkey_kind {
	enum dkim_algorithm algorithm;
	const char *selector;	/* "opendkim" */
	const char *file;	/* "opendkim.private" */
	bool is_needed;		/* nothing leaves without its signature */
};
enum { DKIMKEY_KINDS = 2 };
extern const struct dkimkey_kind dkimkey_kinds[DKIMKEY_KINDS];

/* Read DIR/FILE of that kind into *key. Returns 0, or -1 with *err; errno is
 * ENOENT when there is no such file. Free with dkim_key_free(). */
int dkimkey_load(const struct dkimkey_kind *kind, const char *dir,
		 struct dkim_key *key, struct buf *err);

/* Make a new key and write DIR/FILE, readable by its owner alone; one that is
 * there is never replaced. Returns 0, or -1 with *err. */
int dkimkey_make(const struct dkimkey_kind *kind, const char *dir,
		 struct buf *err);

#endif
