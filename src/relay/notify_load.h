/* What an earlier process left in the queue directory. */
#ifndef RELAY_NOTIFY_LOAD_H
#define RELAY_NOTIFY_LOAD_H

#include "relay/mailbox_jobs.h"
#include "relay/notify_item.h"

struct notify_loader {
	/* Some items, on the loop; called several times. */
	void (*loaded)(struct notify_loader *l, struct notify_item *list);
};

/* Remove NAME.tmp files and list the others of dir, now; what is put there
 * afterwards is not among them. Their contents are read by threads and given
 * to l->loaded(). A file that is no notification is removed, one that cannot
 * be read is left; both are logged. dir and l are borrowed for good. Returns
 * 0, or -1 with *err. */
int notify_load(struct notify_loader *l, const char *dir,
		struct mailbox_jobs *jobs, struct buf *err);

#endif
