#include "net/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "net/conn.h"
#include "text/figures.h"

enum { WINDOW_SECS = 60 };

static struct {
	const struct metrics *m;
	size_t asking;		/* connections that are no work of the role */
	double started;		/* Unix time */
	/* the loop, in seconds of the monotonic clock */
	ev_check after_poll;
	ev_prepare before_poll;
	double turn_began, busy;
	double longest, longest_before;	/* in this window, in the last one */
	double window;		/* number of this window */
	uint64_t turns;
} own;

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the loop --------------------------------------------------------------------- */

static void next_window(double t)
{
	double window = (double)(uint64_t)(t / WINDOW_SECS);

	if (window == own.window)
		return;
	own.longest_before = window == own.window + 1 ? own.longest : 0;
	own.longest = 0;
	own.window = window;
}

static void on_after_poll(struct ev_loop *loop, ev_check *w, int revents)
{
	own.turn_began = now(CLOCK_MONOTONIC);
}

static void on_before_poll(struct ev_loop *loop, ev_prepare *w, int revents)
{
	double t = now(CLOCK_MONOTONIC);
	double turn = t - own.turn_began;

	next_window(t);
	own.turns++;
	own.busy += turn;
	if (turn > own.longest)
		own.longest = turn;
}

/* First after the poll and last before it, so that all callbacks are between
 * them. */
static void watch_loop(struct ev_loop *loop)
{
	own.turn_began = now(CLOCK_MONOTONIC);
	ev_check_init(&own.after_poll, on_after_poll);
	ev_set_priority(&own.after_poll, EV_MAXPRI);
	ev_check_start(loop, &own.after_poll);
	ev_unref(loop);
	ev_prepare_init(&own.before_poll, on_before_poll);
	ev_set_priority(&own.before_poll, EV_MINPRI);
	ev_prepare_start(loop, &own.before_poll);
	ev_unref(loop);
}

/* ---- the answer -------------------------------------------------------------------- */

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* What every role has; the label says whose it is. */
static void add_common(struct figures *f)
{
	double longest = own.longest > own.longest_before ? own.longest :
			 own.longest_before;
	const struct {
		enum figures_type type;
		const char *name, *help;
		double value;
	} rows[] = {
		{ FIGURES_GAUGE, "chatmail_connections",
		  "Connections that are open, from and to the role.",
		  (double)(conn_count() - own.asking) },
		{ FIGURES_COUNTER, "chatmail_loop_turns",
		  "Times that the role woke up.", (double)own.turns },
		{ FIGURES_COUNTER, "chatmail_loop_busy_seconds",
		  "Time that events had to wait for others.", own.busy },
		{ FIGURES_GAUGE, "chatmail_loop_lag_max_seconds",
		  "Longest that an event waited for others, in the last one to "
		  "two minutes.", longest },
		{ FIGURES_COUNTER, "chatmail_cpu_seconds",
		  "CPU time of the role.", cpu_seconds() },
		{ FIGURES_GAUGE, "chatmail_start_time_seconds",
		  "Unix time of the role's start.", own.started },
	};
	struct buf label = BUF_INIT;

	figures_add_label(&label, "role", own.m->role);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		figures_add(f, rows[i].type, rows[i].name, rows[i].help,
			    label.data, rows[i].value);
	figures_add_label(&label, "version", CHATMAIL_VERSION);
	figures_add(f, FIGURES_GAUGE, "chatmail_build_info",
		    "The program that the role runs.", label.data, 1);
	buf_free(&label);
}

static void add_mtail(struct figures *f, const struct metric *row)
{
	const char *word = row->mtail;

	while (word && *word) {
		size_t n = strcspn(word, " ");
		char *name = xstrndup(word, n);

		figures_add(f, FIGURES_UNKNOWN, name, "As mtail counts it.", "",
			    (double)row->value);
		free(name);
		word += n + (word[n] == ' ');
	}
}

static void make_figures(struct figures *f)
{
	const struct metrics *m = own.m;

	if (m->refresh)
		m->refresh();
	for (size_t i = 0; i < m->count; i++) {
		const struct metric *row = &m->rows[i];

		if (row->name)
			figures_add(f, row->is_gauge ? FIGURES_GAUGE :
				    FIGURES_COUNTER, row->name,
				    row->help ? row->help : "",
				    row->labels ? row->labels : "",
				    (double)row->value);
	}
	for (size_t i = 0; i < m->count; i++)
		add_mtail(f, &m->rows[i]);
	next_window(now(CLOCK_MONOTONIC));
	add_common(f);
}

/* ---- the socket -------------------------------------------------------------------- */

static int on_data(struct conn *c, const char *p, size_t n)
{
	return CONN_GO_ON;
}

static void on_closed(struct conn *c, const char *why)
{
	own.asking--;
	free(c);
}

static const struct conn_ops asking_ops = {
	.idle_secs = 10,
	.data = on_data,
	.closed = on_closed,
};

static void on_accepted(struct daemon *d, int fd)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct figures f = { 0 };
	struct buf text = BUF_INIT;

	conn_start(c, d->loop, fd, &asking_ops);
	own.asking++;
	conn_body(c, true);
	make_figures(&f);
	figures_print(&f, FIGURES_OPENMETRICS, &text);
	figures_free(&f);
	conn_write_buf(c, &text);
	buf_free(&text);
	conn_finish(c);
}

/* Where the socket should be; "" for nowhere. */
static void choose_path(struct buf *path, const char *dir, const char *socket)
{
	const char *runtime = getenv("RUNTIME_DIRECTORY");
	const char *slash = socket ? strrchr(socket, '/') : NULL;

	if (*dir)
		buf_addf(path, "%s/", dir);
	else if (runtime && *runtime == '/')	/* several are by colons */
		buf_addf(path, "%.*s/", (int)strcspn(runtime, ":"), runtime);
	else if (slash)
		buf_add(path, socket, (size_t)(slash - socket) + 1);
	else if (!socket)
		return;
	buf_addf(path, "%s.metrics", own.m->role);
}

void metrics_serve(struct daemon *d, const struct metrics *m, const char *dir,
		   const char *socket)
{
	struct buf path = BUF_INIT, err = BUF_INIT;

	own.m = m;
	own.started = now(CLOCK_REALTIME);
	choose_path(&path, dir, socket);
	if (path.len) {
		watch_loop(d->loop);
		if (daemon_listen_unix(d, path.data, 0660, on_accepted,
				       &err) < 0)
			log_warn("no metrics: %s", err.data);
	}
	buf_free(&path);
	buf_free(&err);
}
