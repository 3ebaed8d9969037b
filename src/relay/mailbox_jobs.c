#include "relay/mailbox_jobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

enum { BUCKETS = 1024 };
static const double LOCK_SECS = 5., AGAIN_SECS = .02;

struct mailbox_jobs {
	struct ev_loop *loop;
	struct jobs *jobs;
	size_t pending;
	/* the job at work of each mailbox; those behind it hang on it */
	struct mailbox_job *buckets[BUCKETS];
};

struct mailbox_jobs *mailbox_jobs_new(struct ev_loop *loop)
{
	struct mailbox_jobs *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->jobs = jobs_new(loop, jobs_default_threads());
	if (!p->jobs)
		die("no thread can be started");
	return p;
}

/* Where the job at work of that mailbox is linked, or would be. */
static struct mailbox_job **find(struct mailbox_jobs *p, const char *dir)
{
	uint32_t hash = 2166136261u;	/* FNV-1a */
	struct mailbox_job **at;

	for (const char *s = dir; *s; s++)
		hash = (hash ^ (unsigned char)*s) * 16777619u;
	at = &p->buckets[hash % BUCKETS];
	while (*at && strcmp((*at)->dir, dir) != 0)
		at = &(*at)->next_mailbox;
	return at;
}

static void on_run(struct job *job)
{
	struct mailbox_job *j = container_of(job, struct mailbox_job, job);

	j->ret = j->step(j);
}

/* The next job of the same mailbox takes the place of one that has ended. */
static void promote(struct mailbox_jobs *p, struct mailbox_job *j)
{
	struct mailbox_job **at = find(p, j->dir), *next = j->next;

	if (next) {
		next->next_mailbox = j->next_mailbox;
		next->tail = j->tail;
		*at = next;
		jobs_submit(p->jobs, &next->job);
	} else {
		*at = j->next_mailbox;
	}
	p->pending--;
}

static void on_done(struct job *job)
{
	struct mailbox_job *j = container_of(job, struct mailbox_job, job);
	struct mailbox_jobs *p = j->pool;
	struct buf err;
	char *dir;

	if (j->ret == MAILBOX_BUSY && ev_now(p->loop) < j->deadline) {
		ev_timer_set(&j->again, AGAIN_SECS, 0.);
		ev_timer_start(p->loop, &j->again);
		return;
	}
	if (j->ret == MAILBOX_BUSY) {
		buf_setf(&j->err, "%s: another process holds the lock", j->dir);
		j->ret = -1;
	}
	promote(p, j);
	/* the job may be gone afterwards */
	err = j->err;
	dir = j->dir;
	j->done(j, j->ret, err.data);
	buf_free(&err);
	free(dir);
}

static void on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct mailbox_job *j = container_of(w, struct mailbox_job, again);

	jobs_submit(j->pool->jobs, &j->job);
}

void mailbox_jobs_submit(struct mailbox_jobs *p, struct mailbox_job *j,
			 char *dir)
{
	struct mailbox_job **at;

	buf_init(&j->err);
	j->dir = dir;
	j->pool = p;
	j->job.run = on_run;
	j->job.done = on_done;
	j->next = j->next_mailbox = NULL;
	j->tail = &j->next;
	j->deadline = ev_now(p->loop) + LOCK_SECS;
	ev_timer_init(&j->again, on_again, 0., 0.);
	p->pending++;
	at = find(p, dir);
	if (*at) {
		*(*at)->tail = j;
		(*at)->tail = &j->next;
	} else {
		*at = j;
		jobs_submit(p->jobs, &j->job);
	}
}

bool mailbox_jobs_pending(const struct mailbox_jobs *p)
{
	return p->pending > 0;
}
