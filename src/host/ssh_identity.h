/* A private key file as far as it is known before its passphrase. */
#ifndef HOST_SSH_IDENTITY_H
#define HOST_SSH_IDENTITY_H

#include <stdbool.h>

#include "base/buf.h"
#include "text/sshkey.h"

struct ssh_identity {
	const char *path;	/* borrowed */
	bool missing;		/* neither it nor its .pub is there */
	struct buf text;	/* of the private key, empty when there is none */
	bool encrypted;
	struct buf blob;	/* public key, empty when it is not known */
	struct buf problem;	/* why the private key cannot be used, or "" */
};

/* Read it, and PATH.pub if the file does not tell its public key. It may be a
 * public key itself, of one that only the agent has. */
void ssh_identity_load(struct ssh_identity *id, const char *path);
void ssh_identity_free(struct ssh_identity *id);

#endif
