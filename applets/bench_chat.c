/* Messages between two accounts. */
#include "applets/bench.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

enum { TEN = 10 };

/* What is between two messages: the relay may come to rest. */
static const double REST_SECS = .05;

struct talk {
	struct bench_site *site;
	struct benchreport_cell **cells;
	size_t cell_count;
	struct bench_client a, b;	/* a sends and b receives, at least */
	bool is_open;
};

/* ---- two accounts ---------------------------------------------------------------- */

static void talk_close(struct talk *t)
{
	if (!t->is_open)
		return;
	bench_client_close(&t->a);
	bench_client_close(&t->b);
	t->is_open = false;
}

static int talk_open(struct talk *t, bool both, struct buf *err)
{
	struct bench_client *a = &t->a, *b = &t->b;

	if (t->is_open)
		return 0;
	if (bench_client_open(b, t->site, t->cells[0], both, true, err) < 0) {
		bench_client_close(b);
		return -1;
	}
	t->is_open = true;
	if (bench_client_open(a, t->site, t->cells[0], true, both, err) == 0)
		return 0;
	talk_close(t);
	return -1;
}

/* Take values, with new connections after a failure; step() returns 0, or -1
 * with *err. */
static void talk_each(struct talk *t, bool both, bool renew,
		      int (*step)(struct talk *t, struct buf *err))
{
	size_t wanted = t->cells[0]->wanted;
	struct buf err = BUF_INIT;
	unsigned failures = 0;

	for (size_t i = 0; i < wanted && failures < BENCH_FAILURES_MAX &&
	     !bench_is_stopping(t->site->bench); i++) {
		bool ok = talk_open(t, both, &err) == 0 && step(t, &err) == 0;

		failures = ok ? 0 : failures + 1;
		for (size_t k = 0; k < t->cell_count && !ok; k++)
			bench_fail(t->site, t->cells[k], err.data);
		if (!ok || renew)
			talk_close(t);
		else
			bench_sleep(t->site->bench, REST_SECS);
	}
	for (size_t k = 0; k < t->cell_count &&
	     failures == BENCH_FAILURES_MAX; k++)
		bench_give_up(t->site, t->cells[k],
			      "given up after three failures in a row");
	talk_close(t);
	buf_free(&err);
}

/* ---- one message ------------------------------------------------------------------- */

static int deliver(struct talk *t, struct buf *err)
{
	struct bench_sent sent;
	double told, got;

	if (bench_client_wait_idle(&t->b, err) < 0 ||
	    bench_client_send(&t->a, t->cells[0], &t->b, &sent, err) < 0 ||
	    bench_client_wait(&t->b, &sent, &told, &got, err) < 0)
		return -1;
	bench_note(t->site, t->cells[0], bench_us(sent.began, sent.taken));
	bench_note(t->site, t->cells[1], bench_us(sent.began, told));
	bench_note(t->site, t->cells[2], bench_us(sent.began, got));
	return 0;
}

void bench_deliver(struct bench_site *s, struct benchreport_cell **cells)
{
	struct talk t = { .site = s, .cells = cells, .cell_count = 3 };

	talk_each(&t, false, false, deliver);
}

/* ---- a message and its answer --------------------------------------------------------- */

static int pingpong(struct talk *t, struct buf *err)
{
	struct bench_sent ping, pong;
	double there, back;

	if (bench_client_wait_idle(&t->b, err) < 0 ||
	    bench_client_wait_idle(&t->a, err) < 0 ||
	    bench_client_send(&t->a, t->cells[0], &t->b, &ping, err) < 0 ||
	    bench_client_wait(&t->b, &ping, NULL, &there, err) < 0 ||
	    bench_client_send(&t->b, t->cells[0], &t->a, &pong, err) < 0 ||
	    bench_client_wait(&t->a, &pong, NULL, &back, err) < 0)
		return -1;
	/* between the two a limit may have been waited for */
	bench_note(t->site, t->cells[0], bench_us(ping.began, there) +
		   bench_us(pong.began, back));
	return 0;
}

void bench_pingpong(struct bench_site *s, struct benchreport_cell **cells)
{
	struct talk t = { .site = s, .cells = cells, .cell_count = 1 };

	talk_each(&t, true, false, pingpong);
}

/* ---- many at once -------------------------------------------------------------------- */

struct ten {
	struct bench_sent sent[TEN];
	size_t count;
	double paused;		/* seconds in which nothing was under way */
};

/* Until all that were sent are there; *last is when the last was. */
static int wait_all(struct talk *t, const struct ten *ten, double *last,
		    struct buf *err)
{
	*last = 0;
	for (size_t i = 0; i < ten->count; i++) {
		double got;

		if (bench_client_wait(&t->b, &ten->sent[i], NULL, &got,
				      err) < 0)
			return -1;
		if (got > *last)
			*last = got;
	}
	return 0;
}

/* At a limit the clock stops when all before is there, and goes on when the
 * relay takes the next. */
static int send_next(struct talk *t, struct ten *ten, struct buf *err)
{
	struct bench_sent *next = &ten->sent[ten->count];
	struct bench_patience patience = { 0 };
	enum bench_outcome outcome;
	double stopped = 0;

	for (;;) {
		outcome = bench_client_try(&t->a, &t->b, next, err);
		if (outcome != BENCH_LIMITED)
			break;
		if (!stopped && wait_all(t, ten, &stopped, err) < 0)
			return -1;
		if (!bench_wait(t->site, t->cells[0], &patience, err->data))
			return -1;
	}
	if (stopped > 0 && ten->count)
		ten->paused += next->began - stopped;
	ten->count++;
	return outcome == BENCH_DONE ? 0 : -1;
}

static int send_ten(struct talk *t, struct buf *err)
{
	struct ten ten = { 0 };
	double last;

	if (bench_client_wait_idle(&t->b, err) < 0)
		return -1;
	while (ten.count < TEN)
		if (send_next(t, &ten, err) < 0)
			return -1;
	if (wait_all(t, &ten, &last, err) < 0)
		return -1;
	bench_note(t->site, t->cells[0],
		   bench_us(ten.sent[0].began + ten.paused, last));
	return 0;
}

/* Each time by other accounts, which have rested. */
void bench_ten(struct bench_site *s, struct benchreport_cell **cells)
{
	struct talk t = { .site = s, .cells = cells, .cell_count = 1 };

	talk_each(&t, false, true, send_ten);
}
