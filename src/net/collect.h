/* Asks all roles of a relay for their figures (net/metrics.h), at once. */
#ifndef NET_COLLECT_H
#define NET_COLLECT_H

#include <ev.h>
#include <stdbool.h>

#include "text/figures.h"

enum { COLLECT_SOURCES_MAX = 16 };

struct collect_source {
	const char *role;
	const char *path;	/* borrowed, as role is */
	bool is_optional;	/* not missed while there is no socket */
};

struct collect_answer;

struct collect {
	/* The owner's. */
	struct collect_source sources[COLLECT_SOURCES_MAX];
	size_t count;
	void (*done)(struct collect *c);
	/* Its own. */
	struct ev_loop *loop;
	ev_timer deadline;
	struct collect_answer *answers;
	size_t waiting;
};

/* Ask; done() comes from the loop, after a second at the latest. Once more only
 * after that. */
void collect_start(struct collect *c, struct ev_loop *loop);
/* The same on a loop of its own until done() was called. */
void collect_run(struct collect *c);
/* In done(): add what the roles have answered, in the order of the sources, to
 * *f, chatmail_up{role="…"} first: 1, or 0 for a role that gave no whole
 * answer within the second. Says in the log what was wrong with others. */
void collect_add(const struct collect *c, struct figures *f);

#endif
