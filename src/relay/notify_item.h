/* One notification as a file, in upstream's format (chatmaild's notifier.py):
 * "DIR/NAME" with NAME 32 hex digits holds "ADDR\nSTART\nTOKEN"; START is Unix
 * time. Written as NAME.tmp and renamed. All of this but parsing does blocking
 * I/O and may be called in any thread. */
#ifndef RELAY_NOTIFY_ITEM_H
#define RELAY_NOTIFY_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { NOTIFY_NAME = 32, NOTIFY_FILE_MAX = 8192 };

struct notify_item {
	struct notify_item *next;
	double when;		/* earliest time of the next try */
	int64_t start;		/* Unix time of the message */
	unsigned tries;		/* that have failed */
	char name[NOTIFY_NAME + 1];
	const char *addr, *token;	/* in text */
	char text[];
};

/* The bytes that an item takes in memory. */
size_t notify_item_size(const struct notify_item *i);

/* Could a file of the queue directory have this name? */
bool notify_item_is_name(const char *name);

/* An item from the file's text; NULL with the reason when it is none. Free
 * with free(3). */
struct notify_item *notify_item_parse(const char *name, const char *text,
				      size_t n, struct buf *err);

/* Put a new notification into the queue directory. NULL with the reason, and
 * no file, when it cannot be kept. */
struct notify_item *notify_item_create(const char *dir, const char *addr,
				       const char *token, int64_t start,
				       struct buf *err);
/* Read one. NULL with the reason: *is_bad when the file is no notification,
 * else it could not be read. */
struct notify_item *notify_item_read(const char *dir, const char *name,
				     bool *is_bad, struct buf *err);
/* Remove a file of the directory: 0, also when it was gone, or -1 with
 * *err. */
int notify_item_unlink(const char *dir, const char *name, struct buf *err);

#endif
