#include "relay/notify.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "net/http.h"
#include "relay/notify_load.h"
#include "relay/tokens.h"
#include "relay/user.h"

enum { DROP_SECS = 5 * 3600 };
static const double delays[] = { 8., 64., 512., 4096. };
static const double TIMEOUT_SECS = 60., STOP_SECS = 3., LOG_SECS = 1.;

/* A binary heap, the earliest item first. */
struct heap {
	struct notify_item **items;
	size_t count, cap;
};

struct notify {
	struct ev_loop *loop;
	const struct relay_file *ini;
	struct mailbox_jobs *jobs;
	struct notify_loader loader;
	struct http *http;
	char *dir;
	struct notify_item *fresh, **fresh_tail;	/* never tried */
	struct heap retries;
	ev_timer due;
	unsigned posts, retry_posts;	/* on the wire */
	unsigned ending;		/* answered, not yet settled */
	size_t items, bytes;
	struct notify_figures figures;	/* what has been */
	double scale;
	double logged_at;
	unsigned unlogged;
	bool stopping, stop_over;
};

/* An item on the wire, then on its way out. */
struct post {
	struct http_request http;
	struct mailbox_job job;
	struct notify *notify;
	struct notify_item *item;
	bool is_retry;
};

static void pump(struct notify *n);

/* Not the wall clock, which may be set; arbitrary origin. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* ---- the heap --------------------------------------------------------------- */

static void heap_push(struct heap *h, struct notify_item *item)
{
	size_t at = h->count++;

	if (h->count > h->cap) {
		h->cap = h->cap ? 2 * h->cap : 64;
		h->items = xrealloc(h->items, h->cap * sizeof(*h->items));
	}
	while (at && h->items[(at - 1) / 2]->when > item->when) {
		h->items[at] = h->items[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	h->items[at] = item;
}

static struct notify_item *heap_pop(struct heap *h)
{
	struct notify_item *first = h->items[0], *last = h->items[--h->count];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < h->count &&
		    h->items[child + 1]->when < h->items[child]->when)
			child++;
		if (child >= h->count || h->items[child]->when >= last->when)
			break;
		h->items[at] = h->items[child];
		at = child;
	}
	h->items[at] = last;
	if (!h->count) {
		free(h->items);
		*h = (struct heap){ 0 };
	}
	return first;
}

/* ---- the end of an item -------------------------------------------------------- */

static void item_free(struct notify *n, struct notify_item *i)
{
	n->items--;
	n->bytes -= notify_item_size(i);
	free(i);
}

static int step_unlink(struct mailbox_job *j)
{
	const struct post *p = container_of(j, struct post, job);

	return notify_item_unlink(p->notify->dir, p->item->name, &j->err);
}

static void done_unlink(struct mailbox_job *j, int ret, const char *err)
{
	struct post *p = container_of(j, struct post, job);
	struct notify *n = p->notify;

	if (ret < 0)
		log_warn("removing a notification that is done: %s", err);
	n->ending--;
	item_free(n, p->item);
	free(p);
}

/* The file has a queue of its own: nothing must hold this up. */
static void remove_item(struct post *p)
{
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/%s", p->notify->dir, p->item->name);
	p->job.step = step_unlink;
	p->job.done = done_unlink;
	mailbox_jobs_submit(p->notify->jobs, &p->job, buf_detach(&path));
}

static int step_remove_token(struct mailbox_job *j)
{
	const struct post *p = container_of(j, struct post, job);

	return tokens_remove(j->dir, p->item->token, &j->err);
}

static void done_remove_token(struct mailbox_job *j, int ret, const char *err)
{
	struct post *p = container_of(j, struct post, job);

	if (*err)
		log_warn("removing a token of %s: %s", p->item->addr, err);
	remove_item(p);
}

static void remove_token(struct post *p)
{
	const struct relay *relay = p->notify->ini->relay;
	struct buf dir = BUF_INIT;

	if (!user_is_ours(relay, p->item->addr)) {
		remove_item(p);
		return;
	}
	user_path(&dir, relay, p->item->addr, NULL);
	p->job.step = step_remove_token;
	p->job.done = done_remove_token;
	mailbox_jobs_submit(p->notify->jobs, &p->job, buf_detach(&dir));
}

static void give_up(struct post *p, const char *why)
{
	p->notify->figures.dropped++;
	log_warn("notification exceeded deadline: for %s, tries: %u, last: %s",
		 p->item->addr, p->item->tries, why);
	remove_item(p);
}

/* ---- tries --------------------------------------------------------------------- */

/* A dead server must not fill the log as well. */
static void log_failure(struct notify *n, const struct notify_item *i,
			const char *why, double delay)
{
	if (n->logged_at && now() - n->logged_at < LOG_SECS) {
		n->unlogged++;
		return;
	}
	log_warn("notification request failed: for %s: %s; next try in %.3g s",
		 i->addr, why, delay);
	if (n->unlogged)
		log_warn("notification request failed: %u more",
			 n->unlogged);
	n->unlogged = 0;
	n->logged_at = now();
}

static bool is_too_late(const struct notify_item *i, double delay)
{
	return (double)time(NULL) + delay > (double)i->start + DROP_SECS;
}

static double retry_delay(const struct notify *n, const struct notify_item *i)
{
	double jitter = .9 + .2 * rand_below(1u << 20) / (1u << 20);

	return delays[i->tries - 1] * jitter * n->scale;
}

static void try_again_later(struct post *p, const char *why)
{
	struct notify *n = p->notify;
	struct notify_item *i = p->item;
	double delay;

	i->tries++;
	delay = i->tries <= ARRAY_LEN(delays) ? retry_delay(n, i) : INFINITY;
	if (is_too_late(i, delay)) {
		give_up(p, why);
		return;
	}
	n->figures.retried++;
	log_failure(n, i, why, delay);
	i->when = now() + delay;
	heap_push(&n->retries, i);
	n->ending--;
	free(p);
}

static void on_answer(struct http_request *r, long status, const char *error)
{
	struct post *p = container_of(r, struct post, http);
	struct notify *n = p->notify;
	char text[32];

	n->posts--;
	n->retry_posts -= p->is_retry;
	n->ending++;
	if (status == 200) {
		n->figures.sent++;
		remove_item(p);
	} else if (status == 410) {
		n->figures.tokens_gone++;
		remove_token(p);
	} else {
		snprintf(text, sizeof(text), "HTTP status %ld", status);
		try_again_later(p, status ? text : error);
	}
	pump(n);
}

static void start_post(struct notify *n, struct notify_item *i)
{
	struct post *p = xcalloc(1, sizeof(*p));

	p->notify = n;
	p->item = i;
	p->is_retry = i->tries > 0;
	if (is_too_late(i, 0.)) {
		n->ending++;
		give_up(p, "none in time");
		return;
	}
	n->posts++;
	n->retry_posts += p->is_retry;
	p->http.url = n->ini->relay->s.notification_url;
	p->http.body = i->token;
	p->http.body_len = strlen(i->token);
	/* not 0, which means for ever */
	p->http.timeout = fmax(TIMEOUT_SECS * n->scale, .001);
	p->http.done = on_answer;
	http_post(n->http, &p->http);
}

/* What should be sent next, or NULL: a retry that is due while they take less
 * than half of the room, else the oldest new one. */
static struct notify_item *take_next(struct notify *n, unsigned room)
{
	struct notify_item *i = n->fresh;

	if (n->retries.count && n->retries.items[0]->when <= now() &&
	    n->retry_posts < (n->posts + room) / 2)
		return heap_pop(&n->retries);
	if (i) {
		n->fresh = i->next;
		if (!n->fresh)
			n->fresh_tail = &n->fresh;
	}
	return i;
}

static void pump(struct notify *n)
{
	struct notify_item *i;
	unsigned room;
	double wait;

	if (n->stopping)
		return;
	while ((room = http_room(n->http)) > 0 && (i = take_next(n, room)))
		start_post(n, i);
	ev_timer_stop(n->loop, &n->due);
	if (!n->retries.count)
		return;
	/* one that is due already waits for the end of another request */
	wait = n->retries.items[0]->when - now();
	if (wait > 0.) {
		ev_now_update(n->loop);
		ev_timer_set(&n->due, wait, 0.);
		ev_timer_start(n->loop, &n->due);
	}
}

static void on_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	pump(container_of(w, struct notify, due));
}

void notify_add(struct notify *n, struct notify_item *list)
{
	while (list) {
		struct notify_item *i = list;

		list = i->next;
		i->next = NULL;
		*n->fresh_tail = i;
		n->fresh_tail = &i->next;
		n->items++;
		n->bytes += notify_item_size(i);
	}
	pump(n);
}

static void on_loaded(struct notify_loader *l, struct notify_item *list)
{
	notify_add(container_of(l, struct notify, loader), list);
}

/* ---- public ------------------------------------------------------------------ */

static int scale_from_env(double *scale, struct buf *err)
{
	const char *text = getenv("CHATMAIL_NOTIFY_SCALE");
	char *end;

	*scale = 1.;
	if (!text || !*text)
		return 0;
	*scale = strtod(text, &end);
	if (!*end && *scale > 0. && *scale <= 1000.)
		return 0;
	buf_setf(err, "CHATMAIL_NOTIFY_SCALE: expected a number above 0, got "
		 "\"%s\"", text);
	return -1;
}

struct notify *notify_new(struct ev_loop *loop, const struct relay_file *ini,
			  struct mailbox_jobs *jobs, struct buf *err)
{
	struct notify *n = xcalloc(1, sizeof(*n));
	struct buf dir = BUF_INIT;

	buf_addf(&dir, "%s/pending_notifications", ini->relay->s.mailboxes_dir);
	n->loop = loop;
	n->ini = ini;
	n->jobs = jobs;
	n->dir = buf_detach(&dir);
	n->fresh_tail = &n->fresh;
	n->loader.loaded = on_loaded;
	ev_timer_init(&n->due, on_due, 0., 0.);
	if (scale_from_env(&n->scale, err) < 0) {
		/* said already */
	} else if (mkdir(n->dir, 0755) < 0 && errno != EEXIST) {
		buf_setf(err, "%s: %s", n->dir, strerror(errno));
	} else if (notify_load(&n->loader, n->dir, jobs, err) == 0) {
		n->http = http_new(loop);
		return n;
	}
	free(n->dir);
	free(n);
	return NULL;
}

const char *notify_dir(const struct notify *n)
{
	return n->dir;
}

bool notify_is_full(const struct notify *n)
{
	return n->items >= NOTIFY_ITEMS_MAX || n->bytes >= NOTIFY_BYTES_MAX;
}

struct notify_figures notify_figures(const struct notify *n)
{
	struct notify_figures f = n->figures;

	f.waiting = n->items;
	f.bytes = n->bytes;
	f.on_wire = n->posts;
	return f;
}

static void on_stop_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct notify *n = container_of(w, struct notify, due);

	n->stop_over = true;
}

void notify_stop(struct notify *n)
{
	n->stopping = true;
	ev_timer_stop(n->loop, &n->due);
	ev_timer_init(&n->due, on_stop_over, STOP_SECS, 0.);
	ev_timer_start(n->loop, &n->due);
}

bool notify_is_busy(const struct notify *n)
{
	return (n->posts || n->ending) && !n->stop_over;
}
