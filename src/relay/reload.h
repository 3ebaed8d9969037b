/* The configuration of a resident role: read at start, again on SIGHUP. */
#ifndef RELAY_RELOAD_H
#define RELAY_RELOAD_H

#include "relay/relay.h"

/* relay_load() for an applet's start: warnings go to the log, an error ends
 * the process. */
struct relay *relay_load_or_die(const char *path);

struct relay_file {
	const char *path;	/* borrowed */
	struct relay *relay;	/* changes on reload: never keep it */
};

/* Read the file, or end the process with the reason. Warnings are logged. */
void relay_file_open(struct relay_file *f, const char *path);
/* Read it again: 0, or -1 with *err and the old relay kept. */
int relay_file_reload(struct relay_file *f, struct buf *err);

#endif
