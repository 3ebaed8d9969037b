#include "net/collect.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "net/conn.h"

static const double PATIENCE_SECS = 1.;

struct collect_answer {
	struct conn conn;
	struct collect *collect;
	struct buf text;
	bool open;
	const char *why;	/* it ended other than by itself */
};

static struct collect_answer *answer_of(struct conn *c)
{
	return container_of(c, struct collect_answer, conn);
}

static void finish(struct collect *c)
{
	ev_timer_stop(c->loop, &c->deadline);
	c->done(c);
	for (size_t i = 0; i < c->count; i++)
		buf_free(&c->answers[i].text);
	free(c->answers);
	c->answers = NULL;
}

/* ---- asking ----------------------------------------------------------------------- */

static int on_data(struct conn *c, const char *p, size_t n)
{
	struct collect_answer *a = answer_of(c);

	buf_add(&a->text, p, n);
	return a->text.len <= FIGURES_TEXT_MAX ? CONN_GO_ON : CONN_CLOSE;
}

/* A role that ends still gives the answer that it was asked for. */
static bool is_busy(struct conn *c)
{
	return true;
}

static void on_closed(struct conn *c, const char *why)
{
	struct collect_answer *a = answer_of(c);
	struct collect *collect = a->collect;

	a->open = false;
	a->why = why;
	if (!--collect->waiting)
		finish(collect);
}

static const struct conn_ops ops = {
	.data = on_data,
	.busy = is_busy,
	.closed = on_closed,
};

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct collect *c = container_of(w, struct collect, deadline);

	for (size_t i = 0; i < c->count; i++)
		if (c->answers[i].open)
			conn_close(&c->answers[i].conn, "no answer in time");
	if (!c->count)
		finish(c);
}

void collect_start(struct collect *c, struct ev_loop *loop)
{
	c->loop = loop;
	c->answers = xcalloc(c->count + 1, sizeof(*c->answers));
	c->waiting = c->count;
	ev_now_update(loop);
	ev_timer_init(&c->deadline, on_deadline, c->count ? PATIENCE_SECS : 0.,
		      0.);
	ev_timer_start(loop, &c->deadline);
	for (size_t i = 0; i < c->count; i++) {
		struct collect_answer *a = &c->answers[i];

		a->collect = c;
		a->open = true;
		buf_init(&a->text);
		conn_connect_unix(&a->conn, loop, c->sources[i].path, &ops);
		conn_body(&a->conn, true);
	}
}

void collect_run(struct collect *c)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);

	if (!loop)
		die("the event loop does not start");
	collect_start(c, loop);
	/* ends by itself: nothing is left to wait for */
	ev_run(loop, 0);
}

/* ---- adding ----------------------------------------------------------------------- */

/* Is the answer whole and right? Says why not. */
static bool is_good(const struct collect_source *s,
		    const struct collect_answer *a)
{
	struct figures scratch = { 0 };
	struct buf err = BUF_INIT;
	bool ok = figures_parse(&scratch, a->text.data, a->text.len, &err) == 0;

	if (!ok)
		log_warn("%s: %s: %s", s->role, s->path,
			 a->why ? a->why : err.data);
	figures_free(&scratch);
	buf_free(&err);
	return ok;
}

static bool is_missing(const struct collect_source *s)
{
	struct stat st;

	return stat(s->path, &st) < 0 && errno == ENOENT;
}

static void add_up(struct figures *f, const char *role, bool ok)
{
	struct buf label = BUF_INIT;

	figures_add_label(&label, "role", role);
	figures_add(f, FIGURES_GAUGE, "chatmail_up",
		    "Did the role answer its figures?", label.data, ok);
	buf_free(&label);
}

void collect_add(const struct collect *c, struct figures *f)
{
	struct buf err = BUF_INIT;
	bool ok[COLLECT_SOURCES_MAX];

	for (size_t i = 0; i < c->count; i++) {
		const struct collect_source *s = &c->sources[i];

		ok[i] = false;
		if (s->is_optional && !c->answers[i].text.len && is_missing(s))
			continue;
		ok[i] = is_good(s, &c->answers[i]);
		add_up(f, s->role, ok[i]);
	}
	for (size_t i = 0; i < c->count; i++) {
		const struct collect_answer *a = &c->answers[i];

		/* right by itself, but not beside the others */
		if (ok[i] && figures_parse(f, a->text.data, a->text.len,
					   &err) < 0)
			log_warn("%s: %s: %s", c->sources[i].role,
				 c->sources[i].path, err.data);
	}
	buf_free(&err);
}
