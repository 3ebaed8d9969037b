/* Device tokens of a mailbox: "metadata.json" in its directory, as upstream's
 * chatmaild writes it (metadata.py, filedict.py):
 *
 *	{"devicetoken":{"TOKEN":UNIX_TIME, ...}, ...}
 *
 * An older file has a list of tokens, which are as new as its first reading.
 * Other keys of the file are kept. A token counts from 90 days ago to one
 * minute ahead. A file that is not JSON counts as empty and is replaced; one
 * that cannot be read is an error and stays.
 *
 * All of this does blocking file I/O: for worker threads. */
#ifndef RELAY_TOKENS_H
#define RELAY_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	TOKEN_BYTES_MAX = 4096,	/* longest token, as the apps' core has it */
	TOKENS_MAX = 100,	/* a mailbox keeps the newest of them */
	TOKENS_FILE_MAX = 4 * 1024 * 1024,
	TOKENS_BUSY = 1,	/* another process has the file's lock */
};

struct token {
	char *text;
	int64_t time;
};

/* Valid tokens in the order of the file; at most TOKENS_MAX, the newest. */
struct tokens {
	struct token *list;
	size_t count;
	bool stale;	/* the file holds more or other things than these */
};

void tokens_free(struct tokens *t);

/* Is this something that we keep: 1 to TOKEN_BYTES_MAX printable ASCII
 * characters without space, " and \ ? */
bool token_is_valid(const char *token);

/* What n bytes of metadata.json say at a time. Always yields a list; -1 with
 * the reason in *err when the text is no such file. Never does I/O. */
int tokens_parse(struct tokens *t, const char *text, size_t n, int64_t now,
		 struct buf *err);
/* Append the file's text with these tokens in place of its own; what is no
 * JSON object is dropped. */
void tokens_print(struct buf *out, const struct tokens *t, const char *text,
		  size_t n);

/* The valid tokens of the mailbox directory dir: none when there is no such
 * directory or file. When the file is stale and its lock is free, it is
 * written anew; nobody waits for that. 0, or -1 with *err. A corrupt file
 * gives 0 and a warning in *err. */
int tokens_read(struct tokens *t, const char *dir, struct buf *err);

/* Change the file under its lock, which is not waited for: 0, TOKENS_BUSY, or
 * -1 with *err. tokens_add() makes a missing mailbox directory, as upstream does,
 * for a user who logged in before his mailbox was removed. A warning in
 * *err may come with 0. */
int tokens_add(const char *dir, const char *token, struct buf *err);
int tokens_remove(const char *dir, const char *token, struct buf *err);
int tokens_remove_all(const char *dir, struct buf *err);

#endif
