/* A connection to ssh-agent(1): each wait has an end. */
#ifndef HOST_SSH_AGENT_H
#define HOST_SSH_AGENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "text/sshagent.h"

struct ssh_agent {
	int fd;			/* -1: not connected */
};

/* Returns 0, or -1 with why in *err. ssh_agent_close() in both cases. */
int ssh_agent_open(struct ssh_agent *a, const char *path, struct buf *err);
void ssh_agent_close(struct ssh_agent *a);
/* Its keys, allocated in the arena. */
int ssh_agent_list(struct ssh_agent *a, struct arena *arena,
		   struct sshagent_keys *keys, struct buf *err);
/* Sign what a log-in signs; the agent may ask its user and is given a
 * minute. */
int ssh_agent_sign(struct ssh_agent *a, const struct sshagent_key *key,
		   const void *data, size_t n, struct buf *sig,
		   struct buf *err);

#endif
