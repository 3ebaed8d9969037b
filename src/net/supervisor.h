/* Keeps a set of programs running: their output line by line, a restart for
 * what dies, an end for all at SIGINT, SIGTERM and SIGHUP. There is one at
 * most in a process, on libev's default loop, and it reaps every child of the
 * process. */
#ifndef NET_SUPERVISOR_H
#define NET_SUPERVISOR_H

#include <ev.h>
#include <stdbool.h>

#include "base/proc.h"

struct supervisor;

struct child {
	/* Filled in by the owner, who keeps them until the supervisor ends. */
	const char *name;
	struct proc_spec spec;
	/* The supervisor's. */
	struct supervisor *s;
	struct child *next;
	pid_t pid;		/* 0: does not run */
	unsigned deaths;	/* in a row, each soon after its start */
	double started;
	struct buf line;	/* output without its LF yet */
	ev_io out;
	ev_timer restart;
};

struct supervisor {
	/* Filled in by the owner. A line of output, without its LF; long ones
	 * come in pieces. */
	void (*on_line)(struct supervisor *s, struct child *c,
			const char *line);
	/* A child ended or did not start, for the reason why; retry_secs is
	 * when it is started again. May call supervisor_stop(). */
	void (*on_death)(struct supervisor *s, struct child *c,
			 const char *why, double retry_secs);
	/* A child runs; may be NULL. With spec.peer its socket is there. */
	void (*on_start)(struct supervisor *s, struct child *c);
	/* A signal has come, supervisor_stop() follows. */
	void (*on_signal)(struct supervisor *s, int sig);
	/* The supervisor's; others may use the loop. */
	struct ev_loop *loop;
	struct child *children;
	bool stopping;
	unsigned stop_checks;
	ev_child reaper;
	ev_signal signals[3];
	ev_timer stop_timer;
};

/* Begin on the default loop; orphans of children become ours, and the limit of
 * open files is raised for all. Returns 0, or -1 with errno. */
int supervisor_start(struct supervisor *s);
/* Start a program and keep it running. */
void supervisor_add(struct supervisor *s, struct child *c);
/* Run the loop until supervisor_stop() was called and every process has
 * ended. */
void supervisor_run(struct supervisor *s);
/* SIGTERM to all; SIGKILL to what is there after six seconds, as roles of ours
 * take up to five to finish, grandchildren included. A second call kills at
 * once. */
void supervisor_stop(struct supervisor *s);
/* Give back what the children hold, after supervisor_run(). */
void supervisor_free(struct supervisor *s);

#endif
