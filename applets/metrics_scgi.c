/* The figures over SCGI, for nginx. One collection at a time, for all who wait
 * for it; fsreport's walk is a worker thread's, and what it found lasts. */
#include "applets/metrics.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "net/daemon.h"
#include "net/jobs.h"
#include "net/scgi_server.h"
#include "relay/reload.h"

enum { FSREPORT_SECS = 3600 };

struct waiter {
	struct waiter *next;
	struct scgi_request *request;
	enum figures_format format;
};

struct walk {
	struct job job;
	char *dir;
	struct buf text, err;
	int ret;
};

static struct {
	struct daemon daemon;
	struct relay_file ini;
	const enum figures_format *format;	/* NULL: as the client asks */
	struct collect collect;
	struct arena arena;	/* its sources */
	struct waiter *waiters;	/* for the collection under way */
	/* fsreport's, NULL without */
	struct jobs *jobs;
	struct buf report;	/* the last one, "" before */
	time_t reported;	/* when it was begun, 0: never; monotonic */
} metrics;

static const char *const types[] = {
	[FIGURES_OPENMETRICS] =
		"application/openmetrics-text; version=1.0.0; charset=utf-8",
	[FIGURES_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
	[FIGURES_JSON] = "application/json",
};

/* ---- fsreport ------------------------------------------------------------------------ */

static void run_walk(struct job *j)
{
	struct walk *w = container_of(j, struct walk, job);

	w->ret = metrics_fsreport(w->dir, &w->text, &w->err);
}

static void on_walked(struct job *j)
{
	struct walk *w = container_of(j, struct walk, job);

	if (w->ret < 0) {
		log_warn("%s", w->err.data);
	} else {
		buf_reset(&metrics.report);
		buf_add(&metrics.report, w->text.data, w->text.len);
	}
	buf_free(&w->text);
	buf_free(&w->err);
	free(w->dir);
	free(w);
}

static void refresh_report(void)
{
	struct timespec now;
	struct walk *w;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!metrics.jobs || (metrics.reported && now.tv_sec <
			      metrics.reported + FSREPORT_SECS))
		return;
	metrics.reported = now.tv_sec;
	w = xcalloc(1, sizeof(*w));
	w->dir = xstrdup(metrics.ini.relay->s.mailboxes_dir);
	w->job.run = run_walk;
	w->job.done = on_walked;
	buf_init(&w->text);
	buf_init(&w->err);
	jobs_submit(metrics.jobs, &w->job);
}

/* ---- requests ------------------------------------------------------------------------ */

static void answer(const struct waiter *w, const struct figures *f)
{
	struct buf out = BUF_INIT;

	buf_addf(&out, "Content-Type: %s\r\nCache-Control: no-store\r\n\r\n",
		 types[w->format]);
	figures_print(f, w->format, &out);
	scgi_reply(w->request, &out);
	buf_free(&out);
}

static void on_collected(struct collect *c)
{
	struct figures f = { 0 };
	struct buf err = BUF_INIT;

	collect_add(c, &f);
	if (metrics.report.len &&
	    figures_parse(&f, metrics.report.data, metrics.report.len,
			  &err) < 0)
		log_warn("fsreport: %s", err.data);
	while (metrics.waiters) {
		struct waiter *w = metrics.waiters;

		metrics.waiters = w->next;
		answer(w, &f);
		free(w);
	}
	figures_free(&f);
	buf_free(&err);
	arena_free(&metrics.arena);
}

static enum figures_format wanted_format(const struct scgi *head)
{
	const char *accept = scgi_header(head, "HTTP_ACCEPT");

	if (metrics.format)
		return *metrics.format;
	return accept && strstr(accept, "application/openmetrics-text") ?
	       FIGURES_OPENMETRICS : FIGURES_PROMETHEUS;
}

static void refuse(struct scgi_request *r, const char *status)
{
	struct buf out = BUF_INIT;

	buf_addf(&out, "Status: %s\r\nContent-Type: text/plain\r\n\r\n%s\n",
		 status, status);
	scgi_reply(r, &out);
	buf_free(&out);
}

static void on_request(struct scgi_request *r, const struct scgi *head)
{
	const char *method = scgi_header(head, "REQUEST_METHOD");
	bool is_first = !metrics.waiters;
	struct waiter *w;

	if (method && strcmp(method, "GET") != 0 &&
	    strcmp(method, "HEAD") != 0) {
		refuse(r, "405 Method Not Allowed");
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->request = r;
	w->format = wanted_format(head);
	w->next = metrics.waiters;
	metrics.waiters = w;
	refresh_report();
	if (!is_first)
		return;
	metrics_sources(&metrics.collect, metrics.ini.relay, &metrics.arena);
	collect_start(&metrics.collect, metrics.daemon.loop);
}

static void on_too_long(struct scgi_request *r)
{
	refuse(r, "413 Content Too Large");
}

static const struct scgi_ops ops = {
	.body_max = 4096,
	.request = on_request,
	.too_long = on_too_long,
};

/* ---- the role ------------------------------------------------------------------------ */

static void on_accepted(struct daemon *d, int fd)
{
	scgi_serve(d, fd, &ops);
}

static int reload(struct daemon *d, struct buf *err)
{
	return relay_file_reload(&metrics.ini, err);
}

int metrics_serve_scgi(const char *socket, const char *ini, bool fsreport,
		       const enum figures_format *format)
{
	struct buf err = BUF_INIT;

	relay_file_open(&metrics.ini, ini);
	daemon_init(&metrics.daemon);
	metrics.daemon.reload = reload;
	metrics.format = format;
	metrics.collect.done = on_collected;
	buf_init(&metrics.report);
	if (fsreport) {
		metrics.jobs = jobs_new(metrics.daemon.loop, 1);
		if (!metrics.jobs)
			die("no worker thread can be started");
		refresh_report();
	}
	/* nginx connects as www-data */
	if (daemon_listen_unix(&metrics.daemon, socket, 0666, on_accepted,
			       &err) < 0)
		die("%s", err.data);
	return daemon_run(&metrics.daemon);
}
