/* The messages of ssh-agent(1): draft-ietf-sshm-ssh-agent, sections 3.5, 3.6. */
#ifndef TEXT_SSHAGENT_H
#define TEXT_SSHAGENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

/* Longest message taken or made, as OpenSSH has it, and the most keys. */
enum { SSHAGENT_MAX = 256 * 1024, SSHAGENT_KEYS_MAX = 2048 };

struct sshagent_key {
	const char *blob;	/* public key, text/sshkey.h */
	size_t len;
	const char *comment;	/* printable */
};

struct sshagent_keys {
	struct sshagent_key *keys;
	size_t count;
};

/* Append a whole message, its length included: which keys are there? */
void sshagent_add_list(struct buf *out);
/* Sign data with a key; data is what a client signs to log in (RFC 4252
 * section 7), which tells whether rsa-sha2-256 or -512 is wanted. */
void sshagent_add_sign(struct buf *out, const struct sshagent_key *key,
		       const void *data, size_t n);

/* p is an answer without its length. The keys are allocated in the arena; they
 * are copies. Returns 0, or -1 with why in *err. */
int sshagent_parse_list(const char *p, size_t n, struct arena *a,
			struct sshagent_keys *keys, struct buf *err);
/* The signature, without the name of its algorithm, goes to sig; of a key of
 * a FIDO token with what follows it. */
int sshagent_parse_sign(const char *p, size_t n, struct buf *sig,
			struct buf *err);

#endif
