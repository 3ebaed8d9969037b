/* known_hosts files, as sshd(8) describes them: which keys a host has. */
#ifndef TEXT_KNOWNHOSTS_H
#define TEXT_KNOWNHOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

struct knownhosts_key {
	const char *file;	/* borrowed from knownhosts_take() */
	unsigned line;		/* from 1 */
	bool revoked;
	const char *type;	/* "ssh-ed25519" */
	const char *blob;
	size_t len;
};

/* What one or more files say about one host. */
struct knownhosts {
	struct arena arena;
	struct knownhosts_key *keys;	/* in the order of the files */
	size_t count;
	/* A line gives a certificate authority for the host; those lines are
	 * not used. */
	bool has_authority;
};

enum knownhosts_verdict {
	KNOWNHOSTS_UNKNOWN,	/* no key of the host is known */
	KNOWNHOSTS_SAME,
	KNOWNHOSTS_CHANGED,	/* it has keys, of whatever type; not this one */
	KNOWNHOSTS_REVOKED,	/* the key is marked so */
};

/* Take the lines of a file that are about name: a host in lower case or an
 * address, with a port other than 22 "[host]:port". Names are compared as
 * patterns or as hashes. What is no line of this format is stepped over, as
 * ssh(1) does. */
void knownhosts_take(struct knownhosts *k, const char *file, const char *text,
		     size_t n, const char *name);
void knownhosts_free(struct knownhosts *k);

/* *key becomes the line that decided, if several do one with a key of the same
 * type, or NULL when it is unknown. */
enum knownhosts_verdict knownhosts_check(const struct knownhosts *k,
					 const void *blob, size_t len,
					 const struct knownhosts_key **key);
/* A key of this type is known that is not revoked. */
bool knownhosts_has_type(const struct knownhosts *k, const char *type);
/* Append a line for the file, without its end. */
void knownhosts_add_line(struct buf *out, const char *name, const void *blob,
			 size_t len);

#endif
