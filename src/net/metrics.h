/* A resident role's figures: counted in a table, answered as OpenMetrics on a
 * unix socket to who connects: `socat - UNIX:/run/doveauth/doveauth.metrics`. */
#ifndef NET_METRICS_H
#define NET_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/daemon.h"

/* One sample. The help is that of the family's first row. Names, labels and
 * helps stand in the text as they are. */
struct metric {
	/* A counter's without _total; NULL: this row is none. */
	const char *name;
	const char *labels;	/* reason="password"; NULL: none */
	const char *help;
	/* The names under which upstream's mtail program counts the same, by
	 * spaces; several rows may add to one. NULL: none. */
	const char *mtail;
	bool is_gauge;
	uint64_t value;		/* changed on the loop's thread only */
};

struct metrics {
	const char *role;
	struct metric *rows;
	size_t count;
	/* Before each answer: bring the gauges up to date. May be NULL. */
	void (*refresh)(void);
};

/* Answer in the file ROLE.metrics, for owner and group: in the directory dir
 * if that is not "", else in systemd's $RUNTIME_DIRECTORY, else beside the
 * role's own socket, which may be NULL: then nowhere. What cannot be had is
 * logged, and the role does without. Once in a process, after the role's
 * own listener stands; *m is borrowed for good. With the role's rows come those that every role has: connections,
 * the loop's work, CPU time, start.
 *
 * It costs two readings of the clock for each turn of the loop, and no timer:
 * a turn is what events had to wait for. */
void metrics_serve(struct daemon *d, const struct metrics *m, const char *dir,
		   const char *socket);

#endif
