/* Work that would hold up the loop, done by threads: hashing, slow disks. */
#ifndef NET_JOBS_H
#define NET_JOBS_H

#include <ev.h>

struct job {
	struct job *next;
	void (*run)(struct job *j);	/* in a worker thread: no shared state */
	void (*done)(struct job *j);	/* on the loop; may free the job */
};

struct jobs;

/* Start threads (at least one); the loop is woken for each result. NULL only
 * when no thread can be had. Lives until the process ends. */
struct jobs *jobs_new(struct ev_loop *loop, unsigned threads);
/* Queue a job; it is the pool's until done(). Jobs start in order. */
void jobs_submit(struct jobs *p, struct job *j);

/* A sensible number of threads for this machine: its CPUs, 2 to 8. */
unsigned jobs_default_threads(void);

#endif
