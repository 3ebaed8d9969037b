/* Where and how to log in: the command line, then ~/.ssh/config, then
 * /etc/ssh/ssh_config, then what ssh(1) does without any. */
#ifndef HOST_SSH_SETTINGS_H
#define HOST_SSH_SETTINGS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "text/sshconfig.h"

/* What happens to a host whose key is not known. */
enum ssh_strict { SSH_STRICT_ASK, SSH_STRICT_REFUSE, SSH_STRICT_ACCEPT };

struct ssh_settings {
	struct arena arena;
	const char *home;
	const char *host, *user;
	unsigned port;
	const char *place;	/* host, with the port when it is not 22 */
	const char *known_name;	/* of the host in known_hosts */
	const char *known_plain;	/* the same without the port */
	int family;		/* AF_UNSPEC, AF_INET, AF_INET6 */
	unsigned connect_secs;	/* 0: not set */
	enum ssh_strict strict;
	/* The user's files come first; the first of them takes new keys. */
	struct sshconfig_words known_files;
	size_t user_known_count;
	/* Private key files; the first is the command line's if that has one. */
	struct sshconfig_words identities;
	bool identity_given;
	bool identities_only;
	const char *agent;	/* its socket, or NULL */
	struct buf warnings;	/* one a line */
};

/* Returns 0, or -1 with *err; ssh_settings_free() in both cases. */
int ssh_settings_load(struct ssh_settings *s, const char *target,
		      const char *identity, struct buf *err);
void ssh_settings_free(struct ssh_settings *s);
/* A path as people write it: with "~/" for the home directory. */
const char *ssh_settings_tilde(struct ssh_settings *s, const char *path);

#endif
