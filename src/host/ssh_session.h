/* The parts of struct ssh, for src/host/ssh*.c alone. */
#ifndef HOST_SSH_SESSION_H
#define HOST_SSH_SESSION_H

/* newer ones prefer calls that Debian 12's does not have */
#define LIBSSH2_DISABLE_DEPRECATION
#include <libssh2.h>
#include <stdbool.h>

#include "base/buf.h"
#include "host/ssh.h"
#include "host/ssh_settings.h"
#include "text/knownhosts.h"

struct ssh {
	const struct ssh_options *options;
	struct ssh_settings settings;
	unsigned answer_secs, silence_secs;
	int fd;
	struct buf address;	/* the one that we are connected to */
	LIBSSH2_SESSION *session;
	struct buf farewell;	/* what the host said when it disconnected */
	double heard;		/* when it last sent or took something */
	bool logged_in;
	/* The connection cannot be used any more: a call ended in its midst. */
	bool broken;
	struct knownhosts known;	/* what is known under known_name */
	struct knownhosts known_plain;	/* and without the port */
	const char *root;	/* what makes a command root's, NULL: unknown */
};

/* Wait until the last call that gave LIBSSH2_ERROR_EAGAIN can go on. Returns
 * 0, or -1 with *err: the time is over (end, 0: never), or the host gives no
 * sign of life. doing: "logging in". */
int ssh_wait(struct ssh *s, double end, const char *doing, struct buf *err);
/* Why the last call of libssh2 failed; always returns -1. */
int ssh_fail(struct ssh *s, const char *doing, struct buf *err);
/* The host has closed the connection, or it broke. */
bool ssh_is_lost(const struct ssh *s);
/* When a step of logging in that begins now has to be over. */
double ssh_deadline(const struct ssh *s);
void ssh_notice(struct ssh *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* libssh2 before 1.11 knows RSA with SHA-1 alone, which OpenSSH since 8.8
 * refuses. */
bool ssh_rsa_is_old(void);

/* Before the handshake: read known_hosts and ask for a key of a type that is
 * known. After it: is the host's key right? */
int ssh_hostkey_prepare(struct ssh *s, struct buf *err);
int ssh_hostkey_check(struct ssh *s, struct buf *err);

int ssh_auth(struct ssh *s, struct buf *err);

#endif
