#include "net/jobs.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

struct queue {
	struct job *first, **tail;
};

struct jobs {
	struct ev_loop *loop;
	ev_async wake;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct queue todo, finished;	/* under lock */
};

static void push(struct queue *q, struct job *j)
{
	j->next = NULL;
	*q->tail = j;
	q->tail = &j->next;
}

static struct job *pop(struct queue *q)
{
	struct job *j = q->first;

	if (j) {
		q->first = j->next;
		if (!q->first)
			q->tail = &q->first;
	}
	return j;
}

static void *worker(void *arg)
{
	struct jobs *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct job *j = pop(&p->todo);

		if (!j) {
			pthread_cond_wait(&p->more, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		j->run(j);
		pthread_mutex_lock(&p->lock);
		push(&p->finished, j);
		ev_async_send(p->loop, &p->wake);
	}
	return NULL;
}

static void on_wake(struct ev_loop *loop, ev_async *w, int revents)
{
	struct jobs *p = container_of(w, struct jobs, wake);

	for (;;) {
		struct job *j;

		pthread_mutex_lock(&p->lock);
		j = pop(&p->finished);
		pthread_mutex_unlock(&p->lock);
		if (!j)
			return;
		j->done(j);
	}
}

struct jobs *jobs_new(struct ev_loop *loop, unsigned threads)
{
	struct jobs *p = xcalloc(1, sizeof(*p));
	pthread_attr_t attr;
	sigset_t every, old;
	unsigned started = 0;

	p->loop = loop;
	p->todo.tail = &p->todo.first;
	p->finished.tail = &p->finished.first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	ev_async_init(&p->wake, on_wake);
	ev_async_start(loop, &p->wake);
	ev_unref(loop);
	pthread_attr_init(&attr);
	/* crypt(3) keeps 32 KB on the stack, musl's default is 128 KB */
	pthread_attr_setstacksize(&attr, 256 * 1024);
	/* signals belong to the loop's thread */
	sigfillset(&every);
	pthread_sigmask(SIG_BLOCK, &every, &old);
	for (unsigned i = 0; i < threads; i++) {
		pthread_t t;

		if (pthread_create(&t, &attr, worker, p) != 0)
			break;
		pthread_detach(t);
		started++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (started)
		return p;
	ev_ref(loop);
	ev_async_stop(loop, &p->wake);
	free(p);
	return NULL;
}

void jobs_submit(struct jobs *p, struct job *j)
{
	pthread_mutex_lock(&p->lock);
	push(&p->todo, j);
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

unsigned jobs_default_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 2 ? 2 : n > 8 ? 8 : (unsigned)n;
}
