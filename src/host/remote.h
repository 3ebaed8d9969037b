/* A relay's host as root, from the operator's machine. */
#ifndef HOST_REMOTE_H
#define HOST_REMOTE_H

#include <stdbool.h>

#include "base/buf.h"
#include "host/ssh.h"

/* Is that --ssh-host this machine itself ("localhost", "@local")? */
bool remote_is_here(const char *host);

/* Log in and find out how to be root; questions are asked on the terminal,
 * notices go to stderr. identity may be NULL. NULL with *err. */
struct ssh *remote_connect(const char *target, const char *identity,
			   struct buf *err);

/* Run the program that is installed on that host, as "dns --collect", and
 * append what it prints, at most max bytes. Its exit code goes to *exit_code.
 * Returns 0, or -1 with *err, also when the host has no chatmail. */
int remote_ask(const char *target, const char *identity, const char *args,
	       size_t max, struct buf *out, int *exit_code, struct buf *err);

#endif
