/* The echo bot's address and how it gets it: what the bot and doveauth know of
 * each other. */
#ifndef RELAY_ECHOBOT_H
#define RELAY_ECHOBOT_H

#include <stdbool.h>

#include "base/buf.h"
#include "relay/relay.h"

/* Where deploy puts the program that the bot runs. */
#define ECHOBOT_SERVER "/usr/local/lib/chatmail/deltachat-rpc-server"

/* Is it "echo@" the relay's domain? Nobody else may make that address. */
bool echobot_is_addr(const struct relay *r, const char *addr);

/* Write the password's hash to echobot_password_path, which only the bot can
 * write to, so that the address is its own with this password (upstream's
 * echo.py does the same). Returns 0, or -1 with *err. */
int echobot_put_hash(const struct relay *r, const char *password,
		     struct buf *err);
/* Append that hash. Returns 1, 0 when this relay has no echo bot or it has not
 * written any, -1 with errno. */
int echobot_get_hash(const struct relay *r, struct buf *out);

#endif
