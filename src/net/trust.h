/* Whose certificates a TLS client accepts. */
#ifndef NET_TRUST_H
#define NET_TRUST_H

#include <stdbool.h>

#include "base/buf.h"

struct trust;

/* verify: certificates have to be of the system's authorities (SSL_CERT_FILE
 * and SSL_CERT_DIR name others) or of those in ca_file (PEM, may be NULL), and
 * for the name that is asked for; else any is accepted, as Delta Chat does with
 * domains that begin with "_". NULL with *err. It may be shared by threads. */
struct trust *trust_new(bool verify, const char *ca_file, struct buf *err);
void trust_free(struct trust *t);	/* NULL is fine */

/* What it was made with. */
bool trust_verifies(const struct trust *t);
const char *trust_ca_file(const struct trust *t);
/* OpenSSL's SSL_CTX, borrowed: for stream.c. */
struct ssl_ctx_st *trust_ctx(const struct trust *t);

#endif
