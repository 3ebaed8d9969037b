/* The parts of applets/dkim*.c, for these alone. */
#ifndef DKIM_H
#define DKIM_H

#include <stdbool.h>

#include "relay/relay.h"

enum { EXIT_TEMPORARY = 75 };	/* sysexits.h: EX_TEMPFAIL */

/* Serve the milter until SIGTERM. */
int dkim_serve(const char *socket, const char *keys, const char *ini);

/* Verify or sign the message in FILE, "-" for stdin; the exit code. server is
 * the name server to ask, "" for those of resolv.conf. */
int dkim_verify_file(const char *file, const char *server);
int dkim_sign_file(const char *file, const char *keys, const struct relay *r);

/* Make the keys of DIR that are missing, an Ed25519 one if wanted too, and
 * print their DNS records for the domain. */
int dkim_genkey(const char *dir, const char *domain, bool ed25519);

#endif
