/* An address of this relay and its mailbox directory. Layout and rules are
 * those of upstream's chatmaild (user.py, doveauth.py). */
#ifndef RELAY_USER_H
#define RELAY_USER_H

#include <stdbool.h>

#include "base/buf.h"
#include "relay/relay.h"

/* May addr stand in a path and belong to this relay: one @ and our domain
 * behind it, no slash, no control byte, at most 255 bytes? Whether there is
 * such a user is another question. */
bool user_is_ours(const struct relay *r, const char *addr);

/* Append the mailbox directory, and a file in it when file is not NULL. */
void user_path(struct buf *out, const struct relay *r, const char *addr,
	       const char *file);

/* Append the stored hash, "{SHA512-CRYPT}$6$…". Returns 1, 0 when there is no
 * such user (or the file is empty, as an interrupted write of upstream leaves
 * it), -1 with errno when it could not be read. addr is ours. */
int user_password(const struct relay *r, const char *addr, struct buf *out);

/* The same for a file at any path that holds a hash. */
int user_read_hash(const char *path, struct buf *out);

/* Append "{SHA512-CRYPT}$6$…" of the password with a fresh salt. Slow. Returns
 * 0, or -1 with *err. */
int user_hash_password(const char *password, struct buf *out, struct buf *err);

enum user_refusal {
	USER_MAY_COME,		/* none */
	USER_NOCREATE,		/* the nocreate file exists */
	USER_BAD_PASSWORD,
	USER_NOT_OURS,		/* another domain, or no address */
	USER_BAD_LOCALPART,	/* or the echo bot's */
};

/* May this address come into being with this password? If not, *why has the
 * reason for the log, which never holds the password. */
enum user_refusal user_creation_refusal(const struct relay *r,
					const char *addr, const char *password,
					struct buf *why);

/* Is creation switched off by the nocreate file? */
bool user_creation_is_blocked(const struct relay *r);

enum { USER_THERE, USER_CREATED, USER_BUSY };

/* Make the mailbox directory dir with the hash of the password; safe against
 * other threads and processes by dir/password.lock, which is not waited for.
 * When the process dies at any point there is no user or a whole one. Returns
 * USER_CREATED, USER_THERE when there was one already, USER_BUSY when another
 * process has the lock, -1 with *err. Slow: for a worker thread. */
int user_create(const char *dir, const char *password, struct buf *err);

/* The same for the echo bot, whose hash is known and may change: the mailbox is
 * made, or gets that hash if it was made here before. USER_THERE also when it
 * is a person's. */
int user_create_bot(const char *dir, const char *hash, struct buf *err);

/* Note a login at the day of secs (Unix time) as the mtime of the password
 * file. Returns 1, 0 when there is no such user, -1 with errno. */
int user_note_login(const struct relay *r, const char *addr, uint64_t secs);

#endif
