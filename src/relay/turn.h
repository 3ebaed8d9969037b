/* Time-limited credentials for TURN, which a TURN server checks that knows the
 * same secret ("TURN REST API", draft-uberti-behave-turn-rest-00; coturn's
 * use-auth-secret), and what chatmail.ini says of it. */
#ifndef RELAY_TURN_H
#define RELAY_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define TURN_SECRET_FILE "/etc/chatmail-turn/secret"

/* How long credentials are good for, in seconds: as chatmail-turn has it. Apps
 * ask for new ones when less than half a day is left. */
enum { TURN_VALID_SECS = 5 * 24 * 3600 };

/* Where TURN is served: clients are told host and port in one value. */
enum { TURN_PORT = 3478 };

/* "FIRST-LAST", ports from 1024 on. Returns 0, or -1 when it is none. */
int turn_ports_parse(const char *text, unsigned *first, unsigned *last);
/* An IPv4 address, or "PUBLIC/OWN" of them, as coturn's external-ip has it. */
bool turn_external_is_valid(const char *text);

/* Append a new secret: random, letters and digits. */
void turn_secret_make(struct buf *out);
/* Can that text be a secret of ours? Then it can stand in coturn's
 * configuration as it is. */
bool turn_secret_is_valid(const char *text);
/* Read a secret, of one line, from a file into *out. Returns 0, or -1 with
 * *err; errno is ENOENT when there is no such file. */
int turn_secret_load(const char *path, struct buf *out, struct buf *err);

/* Append "USERNAME:PASSWORD", good until expiry (Unix time): the username is
 * expiry in decimal, the password base64(HMAC-SHA1(secret, username)). */
void turn_credentials(struct buf *out, const char *secret, int64_t expiry);

#endif
