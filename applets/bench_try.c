/* Attempts, failures, and limits of the relay that are waited for. */
#include "applets/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static const double PAUSE_MIN = 1., PAUSE_MAX = 16., SLICE = .05;
static const char TRY_AGAIN[] = "try again in ";

bool bench_is_stopping(const struct bench *b)
{
	return atomic_load(&b->stopping);
}

void bench_sleep(struct bench *b, double secs)
{
	double end = clock_secs() + secs, left;

	while ((left = end - clock_secs()) > 0 && !bench_is_stopping(b)) {
		double slice = left < SLICE ? left : SLICE;
		struct timespec t = { 0, (long)(slice * 1e9) };

		nanosleep(&t, NULL);
	}
}

int64_t bench_us(double from, double to)
{
	return llround((to - from) * 1e6);
}

/* ---- what is noted -------------------------------------------------------------- */

void bench_note(struct bench_site *s, struct benchreport_cell *c, int64_t us)
{
	pthread_mutex_lock(&s->bench->lock);
	samples_add(&c->samples, us);
	bench_show_progress(s->bench, s, c, NULL);
	pthread_mutex_unlock(&s->bench->lock);
}

void bench_fail(struct bench_site *s, struct benchreport_cell *c,
		const char *reason)
{
	/* what fails because it is all to end is no failure */
	if (bench_is_stopping(s->bench))
		return;
	pthread_mutex_lock(&s->bench->lock);
	samples_fail(&c->samples, reason);
	bench_show_progress(s->bench, s, c, NULL);
	pthread_mutex_unlock(&s->bench->lock);
}

void bench_give_up(struct bench_site *s, struct benchreport_cell *c,
		   const char *why)
{
	if (bench_is_stopping(s->bench))
		return;
	pthread_mutex_lock(&s->bench->lock);
	if (!c->why)
		c->why = xstrdup(why);
	pthread_mutex_unlock(&s->bench->lock);
}

/* ---- limits ---------------------------------------------------------------------- */

enum bench_outcome bench_smtp_outcome(int code, bool is_wanted)
{
	if (is_wanted)
		return BENCH_DONE;
	return code / 100 == 4 ? BENCH_LIMITED : BENCH_FAILED;
}

/* "450 4.7.1: Too much mail from <…>, try again in 3 s", as our filtermail says
 * it; 0 when it is not said. */
static double told_pause(const char *reason)
{
	const char *p = strstr(reason, TRY_AGAIN);

	return p ? strtod(p + strlen(TRY_AGAIN), NULL) : 0;
}

/* What the relay says, else longer each time, at first the time after which one
 * more message may be sent, if the relay's settings are known. */
static double next_pause(const struct bench_site *s,
			 const struct bench_patience *p, const char *reason)
{
	double told = told_pause(reason), pause = 2 * p->pause;

	if (told > 0)
		return told;
	if (pause <= 0)
		pause = 60. /
			(double)s->outside.relay->s.max_user_send_per_minute;
	return pause < PAUSE_MIN ? PAUSE_MIN : pause > PAUSE_MAX ? PAUSE_MAX :
	       pause;
}

bool bench_wait(struct bench_site *s, struct benchreport_cell *c,
		struct bench_patience *p, const char *reason)
{
	struct bench *b = s->bench;
	double began = clock_secs(), spent;

	p->pause = next_pause(s, p, reason);
	if (p->spent + p->pause > b->patience || bench_is_stopping(b))
		return false;
	pthread_mutex_lock(&b->lock);
	bench_show_progress(b, s, c, reason);
	pthread_mutex_unlock(&b->lock);
	bench_sleep(b, p->pause);
	spent = clock_secs() - began;
	p->spent += spent;
	pthread_mutex_lock(&b->lock);
	c->waits++;
	c->waited_us += bench_us(0, spent);
	pthread_mutex_unlock(&b->lock);
	return !bench_is_stopping(b);
}

/* ---- values of a row --------------------------------------------------------------- */

static bool take_value(struct bench_site *s, struct benchreport_cell *c,
		       bench_attempt *attempt, void *arg)
{
	struct bench_patience patience = { 0 };
	struct buf err = BUF_INIT;
	enum bench_outcome outcome;
	int64_t us = 0;

	do
		outcome = attempt(s, arg, &us, &err);
	while (outcome == BENCH_LIMITED &&
	       bench_wait(s, c, &patience, err.data));
	if (outcome == BENCH_DONE)
		bench_note(s, c, us);
	else
		bench_fail(s, c, err.data);
	buf_free(&err);
	return outcome == BENCH_DONE;
}

void bench_each(struct bench_site *s, struct benchreport_cell *c,
		bench_attempt *attempt, void *arg)
{
	unsigned failures = 0;

	for (size_t i = 0; i < c->wanted && !bench_is_stopping(s->bench); i++) {
		failures = take_value(s, c, attempt, arg) ? 0 : failures + 1;
		if (failures == BENCH_FAILURES_MAX) {
			bench_give_up(s, c, "given up after "
				      "three failures in a row");
			break;
		}
	}
}
