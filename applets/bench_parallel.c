/* Many accounts that chat at once: each sends to the next, and waits until his
 * message is there before he sends another. */
#include "applets/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { STACK = 256 * 1024, CELLS = 2 };

struct chatter {
	struct bench_site *site;
	struct benchreport_cell **cells;
	struct bench_client client;
	struct bench_client *to;
	bool is_open, has_given_up;
	size_t count;		/* messages that came */
	double active;		/* seconds in which one was under way */
	pthread_t thread;
	bool has_thread;
};

static void fail(struct chatter *c, const char *reason)
{
	for (int i = 0; i < CELLS; i++)
		bench_fail(c->site, c->cells[i], reason);
}

/* ---- what each thread does --------------------------------------------------------- */

static void *log_in(void *arg)
{
	struct chatter *c = arg;
	struct buf err = BUF_INIT;

	c->is_open = bench_client_open(&c->client, c->site, c->cells[0], true,
				       true, &err) == 0;
	if (!c->is_open) {
		fail(c, err.data);
		bench_client_close(&c->client);
	}
	buf_free(&err);
	return NULL;
}

static int say(struct chatter *c, struct buf *err)
{
	struct bench_sent sent;
	double told, got;

	if (bench_client_wait_idle(c->to, err) < 0 ||
	    bench_client_send(&c->client, c->cells[0], c->to, &sent, err) < 0 ||
	    bench_client_wait(c->to, &sent, &told, &got, err) < 0)
		return -1;
	bench_note(c->site, c->cells[0], bench_us(sent.began, told));
	bench_note(c->site, c->cells[1], bench_us(sent.began, got));
	c->active += got - sent.began;
	c->count++;
	return 0;
}

static void *chat(void *arg)
{
	struct chatter *c = arg;
	struct buf err = BUF_INIT;
	unsigned failures = 0;

	for (size_t i = 0; i < c->site->bench->count &&
	     failures < BENCH_FAILURES_MAX &&
	     !bench_is_stopping(c->site->bench); i++) {
		failures = say(c, &err) == 0 ? 0 : failures + 1;
		if (failures)
			fail(c, err.data);
	}
	c->has_given_up = failures == BENCH_FAILURES_MAX;
	buf_free(&err);
	return NULL;
}

static void *log_out(void *arg)
{
	struct chatter *c = arg;

	bench_client_close(&c->client);
	return NULL;
}

/* ---- all of them ---------------------------------------------------------------------- */

/* Everybody whose client is as open as that does it at the same time. */
static void all_do(struct chatter *all, size_t n, bool open,
		   void *(*what)(void *))
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (size_t i = 0; i < n; i++) {
		struct chatter *c = &all[i];

		/* what the thread does with is_open is its own business */
		c->has_thread = false;
		if (c->is_open != open)
			continue;
		c->has_thread = pthread_create(&c->thread, &attr, what, c) == 0;
		if (!c->has_thread)
			fail(c, "no thread");
	}
	for (size_t i = 0; i < n; i++)
		if (all[i].has_thread)
			pthread_join(all[i].thread, NULL);
	pthread_attr_destroy(&attr);
}

/* Each to the next that is there, a single one to himself. */
static void form_ring(struct chatter *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t k = (i + 1) % n;

		while (!all[k].is_open && k != i)
			k = (k + 1) % n;
		all[i].to = &all[k].client;
	}
}

static void sum_up(struct chatter *all, size_t n)
{
	struct bench_site *s = all[0].site;
	struct benchreport_cell **cells = all[0].cells;
	size_t given_up = 0, closed = 0;
	struct buf why = BUF_INIT;
	double rate = 0;

	for (size_t i = 0; i < n; i++) {
		if (all[i].active > 0)
			rate += (double)all[i].count / all[i].active;
		given_up += all[i].has_given_up;
		closed += !all[i].is_open;
	}
	pthread_mutex_lock(&s->bench->lock);
	cells[1]->per_second = rate;
	pthread_mutex_unlock(&s->bench->lock);
	if (closed)
		buf_addf(&why, "%zu of %zu accounts could not log in", closed,
			 n);
	if (given_up)
		buf_addf(&why, "%s%zu gave up after three failures in a row",
			 closed ? ", " : "", given_up);
	for (int i = 0; i < CELLS && why.len; i++)
		bench_give_up(s, cells[i], why.data);
	buf_free(&why);
}

void bench_parallel(struct bench_site *s, struct benchreport_cell **cells)
{
	size_t n = s->bench->parallel;
	struct chatter *all = xcalloc(n, sizeof(*all));

	for (size_t i = 0; i < n; i++) {
		all[i].site = s;
		all[i].cells = cells;
	}
	all_do(all, n, false, log_in);
	form_ring(all, n);
	all_do(all, n, true, chat);
	sum_up(all, n);
	all_do(all, n, true, log_out);
	free(all);
}
