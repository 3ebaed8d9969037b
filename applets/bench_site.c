/* A relay that is measured: where it is, which ports are dead, accounts. */
#include "applets/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/reach.h"

static void set_peers(struct bench_site *s)
{
	for (int i = 0; i < OUTSIDE_PORTS; i++)
		outside_peer(&s->outside, i, s->bench->secs, &s->peers[i]);
}

int bench_site_open(struct bench_site *s, struct bench *b,
		    const struct outside_target *t, struct buf *warnings,
		    struct buf *err)
{
	s->bench = b;
	s->last = &s->accounts;
	buf_init(&s->address);
	for (int i = 0; i < OUTSIDE_PORTS; i++)
		buf_init(&s->why[i]);
	if (outside_open(&s->outside, t, warnings, err) < 0)
		return -1;
	set_peers(s);
	return 0;
}

void bench_site_free(struct bench_site *s)
{
	while (s->accounts) {
		struct bench_account *a = s->accounts;

		s->accounts = a->next;
		bench_account_free(a);
	}
	for (int i = 0; i < OUTSIDE_PORTS; i++)
		buf_free(&s->why[i]);
	buf_free(&s->address);
	outside_free(&s->outside);
}

/* The address at which the first of those ports that answers, if any does. */
static const char *find_address(const struct reach *r, size_t ports)
{
	for (size_t i = 0; i < r->count; i++)
		for (size_t k = 0; k < ports; k++)
			if (!r->error[i][k])
				return r->address[i];
	return NULL;
}

void bench_site_find(struct bench_site *s)
{
	const unsigned ports[] = {
		s->peers[OUTSIDE_IMAPS].port, s->peers[OUTSIDE_SMTPS].port,
		s->peers[OUTSIDE_HTTPS].port,
	};
	const char *address = NULL;
	struct buf err = BUF_INIT;
	struct reach reach;

	if (reach_try(&reach, s->outside.host, ports, ARRAY_LEN(ports),
		      s->bench->secs, &err) == 0)
		address = find_address(&reach, ARRAY_LEN(ports));
	buf_free(&err);
	if (!address)
		return;
	pthread_mutex_lock(&s->bench->lock);
	buf_adds(&s->address, address);
	pthread_mutex_unlock(&s->bench->lock);
	s->outside.host = s->address.data;
	set_peers(s);
}

/* ---- ports ------------------------------------------------------------------ */

void bench_port_opened(struct bench_site *s, enum outside_port port,
		       const struct buf *err)
{
	pthread_mutex_lock(&s->bench->lock);
	s->failures[port] = err ? s->failures[port] + 1 : 0;
	if (err)
		buf_setf(&s->why[port], "port %u: %s", s->peers[port].port,
			 err->data);
	pthread_mutex_unlock(&s->bench->lock);
}

bool bench_port_is_dead(struct bench_site *s, enum outside_port port,
			struct buf *why)
{
	bool dead;

	pthread_mutex_lock(&s->bench->lock);
	dead = s->failures[port] >= BENCH_FAILURES_MAX;
	if (dead)
		buf_adds(why, s->why[port].data);
	pthread_mutex_unlock(&s->bench->lock);
	return dead;
}

/* ---- accounts ---------------------------------------------------------------- */

struct bench_account *bench_account_new(struct bench_site *s)
{
	struct bench_account *a = xcalloc(1, sizeof(*a));

	buf_init(&a->address);
	buf_init(&a->password);
	outside_account(&s->outside, &a->address, &a->password);
	return a;
}

void bench_account_free(struct bench_account *a)
{
	buf_free(&a->address);
	explicit_bzero(a->password.data, a->password.len);
	buf_free(&a->password);
	free(a);
}

void bench_account_made(struct bench_site *s)
{
	pthread_mutex_lock(&s->bench->lock);
	s->account_count++;
	pthread_mutex_unlock(&s->bench->lock);
}

void bench_account_give(struct bench_site *s, struct bench_account *a)
{
	pthread_mutex_lock(&s->bench->lock);
	a->next = NULL;
	*s->last = a;
	s->last = &a->next;
	pthread_mutex_unlock(&s->bench->lock);
}

static struct bench_account *take(struct bench_site *s)
{
	struct bench_account *a;

	pthread_mutex_lock(&s->bench->lock);
	a = s->accounts;
	if (a) {
		s->accounts = a->next;
		if (!s->accounts)
			s->last = &s->accounts;
	}
	pthread_mutex_unlock(&s->bench->lock);
	return a;
}

/* Make one by a login that nobody measures. */
static struct bench_account *make(struct bench_site *s,
				  struct benchreport_cell *c, struct buf *err)
{
	struct bench_account *a = bench_account_new(s);
	struct bench_patience patience = { 0 };
	enum bench_outcome outcome;
	int64_t us;

	do
		outcome = bench_try_imap(s, a, &us, err);
	while (outcome == BENCH_LIMITED &&
	       bench_wait(s, c, &patience, err->data));
	if (outcome == BENCH_DONE) {
		bench_account_made(s);
		return a;
	}
	buf_prefixf(err, "no account: ");
	bench_account_free(a);
	return NULL;
}

struct bench_account *bench_account_take(struct bench_site *s,
					 struct benchreport_cell *c,
					 struct buf *err)
{
	struct bench_account *a = take(s);

	return a ? a : make(s, c, err);
}
