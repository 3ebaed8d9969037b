/* Tells when a directory tree or a file changes, by inotify(7). */
#ifndef NET_WATCH_H
#define NET_WATCH_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Embedded by the owner, who finds itself again with container_of(). */
struct watch {
	struct ev_loop *loop;
	/* Files and directories of these names are nobody's business. */
	bool (*ignores)(const char *name);
	/* Something changed, and then nothing for a tenth of a second, or a
	 * second has gone by. To see all that follows, the owner calls
	 * watch_paths() first and reads the files afterwards. */
	void (*changed)(struct watch *w);
	ev_io io;
	ev_timer settle;
	double first;		/* when it began, 0 while nothing has */
	struct watch_place *places;
	size_t count, room;
};

void watch_init(struct watch *w, struct ev_loop *loop,
		bool (*ignores)(const char *name),
		void (*changed)(struct watch *w));
/* Watch these from now on and nothing else: the files and directories below
 * tree, which may be NULL and need not exist yet, and a file, replaced files
 * and moved directories included. Returns 0, or -1 with *err: what could be had
 * is watched all the same. */
int watch_paths(struct watch *w, const char *tree, const char *file,
		struct buf *err);
void watch_close(struct watch *w);

#endif
