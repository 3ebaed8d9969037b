/* Work on the files of mailboxes, done by threads: one piece after the other
 * for each mailbox, so that a client finds what it has just set; side by side
 * for different mailboxes. Nobody waits in a thread for another process's
 * lock: such a piece is tried again by the loop, for up to 5 seconds. */
#ifndef RELAY_MAILBOX_JOBS_H
#define RELAY_MAILBOX_JOBS_H

#include <stdbool.h>

#include "base/buf.h"
#include "net/jobs.h"

enum { MAILBOX_BUSY = 1 };

struct mailbox_jobs;

struct mailbox_job {
	/* In a worker thread: 0, MAILBOX_BUSY (called again), or -1 with the
	 * reason in err; err together with 0 is a warning. */
	int (*step)(struct mailbox_job *j);
	/* On the loop, exactly once, never inside mailbox_jobs_submit(): ret
	 * is 0 or -1, err what step said or "". May free the job. */
	void (*done)(struct mailbox_job *j, int ret, const char *err);
	char *dir;		/* of the mailbox; lives until done() returns */
	struct buf err;		/* for step */
	/* The rest is the pool's. */
	struct job job;
	struct mailbox_jobs *pool;
	struct mailbox_job *next_mailbox, *next, **tail;
	ev_timer again;
	ev_tstamp deadline;
	int ret;
};

/* Lives until the process ends; ends the process when no thread can be had. */
struct mailbox_jobs *mailbox_jobs_new(struct ev_loop *loop);
/* Queue a job whose step and done are set; dir becomes the pool's. */
void mailbox_jobs_submit(struct mailbox_jobs *p, struct mailbox_job *j,
			 char *dir);
/* Is there any job that has not ended? */
bool mailbox_jobs_pending(const struct mailbox_jobs *p);

#endif
