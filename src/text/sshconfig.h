/* ssh_config(5): what a user's ~/.ssh/config says about one host. The first
 * value of each setting wins, as with ssh(1); settings that are not listed
 * here are stepped over. */
#ifndef TEXT_SSHCONFIG_H
#define TEXT_SSHCONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

enum { SSHCONFIG_WORDS_MAX = 64, SSHCONFIG_DEPTH_MAX = 16 };

/* The words of one setting, or of all IdentityFile lines; as they stand. */
struct sshconfig_words {
	const char *words[SSHCONFIG_WORDS_MAX];
	size_t count;		/* 0: not set */
};

struct sshconfig {
	/* Filled in by the owner, and borrowed. */
	const char *host;	/* as it was asked for; Host lines match it */
	/* "Include PATTERN": give the files to sshconfig_parse(). NULL, or
	 * too deep: it becomes a warning. */
	int (*on_include)(struct sshconfig *c, const char *pattern,
			  struct buf *err);
	/* What was found; NULL, 0: not set. */
	const char *hostname, *user, *identities_only, *identity_agent;
	const char *host_key_alias, *strict_checking, *address_family;
	const char *proxy_jump, *proxy_command;
	unsigned port, connect_secs;
	struct sshconfig_words identity_files, user_known_hosts;
	struct sshconfig_words global_known_hosts;
	/* "FILE:LINE: what", one a line, for what changes the meaning and is not
	 * understood. */
	struct buf warnings;
	/* The parser's. */
	struct arena arena;
	unsigned depth;
};

/* Read a file's text; call it for each file in their order. Values live until
 * sshconfig_free(). Returns 0, or -1 with "FILE:LINE: what" in *err: a bad
 * value for this host, a quote that does not end. */
int sshconfig_parse(struct sshconfig *c, const char *file, const char *text,
		    size_t n, struct buf *err);
void sshconfig_free(struct sshconfig *c);

/* "yes" or "true", in any case. */
bool sshconfig_is_yes(const char *value);

/* What %h and its like stand for; NULL: it cannot be used in this setting. */
struct sshconfig_tokens {
	const char *home;	/* %d, and "~" at the start */
	const char *host;	/* %h */
	const char *asked;	/* %n: the host as it was asked for */
	const char *remote_user;	/* %r */
	const char *local_user;	/* %u */
	const char *port;	/* %p */
	/* ${NAME}; NULL for a name that is not set */
	const char *(*env)(const char *name);
};

/* Append value with tokens, "~/" and ${NAME} replaced. Returns 0, or -1 with
 * what cannot be replaced in *err, and then out is unchanged. */
int sshconfig_expand(struct buf *out, const char *value,
		     const struct sshconfig_tokens *t, struct buf *err);

#endif
