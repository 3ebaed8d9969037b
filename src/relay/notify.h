/* The queue of push notifications: on disk as notify_item.h says, in memory by
 * time. Each is a POST of the bare device token to notification_url:
 *
 *	200		done
 *	410		done, and the user's token is removed
 *	anything else	tried again after 8, 64, 512 and 4096 seconds (give or
 *			take a tenth); given up after the fifth try, or when the
 *			next one would be later than 5 hours after the message
 *
 * A file is removed when its notification is done and not before, so that none
 * is lost whenever the process ends; those on the wire then are sent again.
 * Retries take at most half of the requests at a time, so that new
 * notifications pass them. */
#ifndef RELAY_NOTIFY_H
#define RELAY_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/mailbox_jobs.h"
#include "relay/notify_item.h"
#include "relay/reload.h"

enum {
	/* What is in memory; more is refused until there is room. What was on
	 * disk at the start is always taken in. */
	NOTIFY_ITEMS_MAX = 100 * 1000,
	NOTIFY_BYTES_MAX = 64 * 1024 * 1024,
};

struct notify;

/* What has been since the start, and what is now. */
struct notify_figures {
	uint64_t sent;			/* answered with 200 */
	uint64_t retried;		/* tries that failed and were put off */
	uint64_t dropped;		/* given up: too late, too many tries */
	uint64_t tokens_gone;		/* answered with 410 */
	uint64_t waiting, bytes;	/* in memory, on the wire included */
	uint64_t on_wire;		/* requests */
};

/* Make "MAILBOXES_DIR/pending_notifications" and take in what is there, in
 * the background. The directory stays the same until the process ends;
 * *ini and the pool are borrowed as long. NULL with *err.
 *
 * The environment's CHATMAIL_NOTIFY_SCALE, for tests, multiplies the waits and
 * the 60 s that a request may take. */
struct notify *notify_new(struct ev_loop *loop, const struct relay_file *ini,
			  struct mailbox_jobs *jobs, struct buf *err);
/* Where notify_item_create() should put new ones. */
const char *notify_dir(const struct notify *n);
bool notify_is_full(const struct notify *n);
struct notify_figures notify_figures(const struct notify *n);
/* Take over a list of new items, whose files are there. */
void notify_add(struct notify *n, struct notify_item *list);
/* Begin no more requests: the process ends. */
void notify_stop(struct notify *n);
/* Should the end wait for requests on the wire? For at most 3 seconds. */
bool notify_is_busy(const struct notify *n);

#endif
