/* An account that sends and receives as an app does. */
#include "applets/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "relay/sample_mail.h"

enum {
	STACK = 256 * 1024,
	MESSAGE_SIZE = 2800,	/* of Delta Chat's short ones */
};

/* How often the thread that receives looks whether it is to end. */
static const double LOOK_SECS = .1;

/* ---- state that threads share ----------------------------------------------------- */

static void set_idles(struct bench_client *c, bool idles)
{
	pthread_mutex_lock(&c->lock);
	c->idles = idles;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static bool is_ending(struct bench_client *c)
{
	bool ending;

	pthread_mutex_lock(&c->lock);
	ending = c->is_ending;
	pthread_mutex_unlock(&c->lock);
	return ending;
}

static void arrived(struct bench_client *c, const char *id, size_t n,
		    double told, double got)
{
	struct bench_arrival *a = xcalloc(1, sizeof(*a));

	a->id = xstrndup(id, n);
	a->told = told;
	a->got = got;
	pthread_mutex_lock(&c->lock);
	a->next = c->arrivals;
	c->arrivals = a;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static const struct bench_arrival *find(const struct bench_client *c,
					const char *id)
{
	const struct bench_arrival *a = c->arrivals;

	while (a && strcmp(a->id, id) != 0)
		a = a->next;
	return a;
}

/* With the lock held, until something changes or the deadline of clock_secs();
 * false then, and when it is all to end. */
static bool wait_change(struct bench_client *c, double deadline)
{
	double now = clock_secs(), until = now + LOOK_SECS;
	struct timespec t;

	if (now >= deadline || bench_is_stopping(c->site->bench))
		return false;
	if (until > deadline)
		until = deadline;
	t.tv_sec = (time_t)until;
	t.tv_nsec = (long)((until - (double)t.tv_sec) * 1e9);
	pthread_cond_timedwait(&c->changed, &c->lock, &t);
	return true;
}

/* ---- receiving ---------------------------------------------------------------------- */

/* Returns 0, or -1 with *err also for NO and BAD. */
static int must(struct bench_client *c, int ret, struct buf *err)
{
	if (ret > 0)
		buf_setf(err, "%s", c->imap.text.data);
	return ret ? -1 : 0;
}

static void note_exists(struct bench_client *c)
{
	struct imap_response r;

	imap_client_rewind(&c->imap);
	while (imap_client_find(&c->imap, "EXISTS", &r))
		if (r.has_number)
			c->exists = r.number;
}

/* The text between the angle brackets of Message-ID. */
static const char *message_id(const char *mail, size_t *n)
{
	static const char field[] = "Message-ID: <";
	const char *p = mail;

	while (*p && *p != '\r' && *p != '\n') {
		if (mem_eqi(p, field, strlen(field))) {
			p += strlen(field);
			*n = strcspn(p, ">\r\n");
			return p;
		}
		p += strcspn(p, "\n");
		p += *p == '\n';
	}
	*n = 0;
	return "";
}

static void take_mail(struct bench_client *c, const struct imap_response *r,
		      double told)
{
	struct imap_token uid, body;
	struct buf mail = BUF_INIT;
	uint64_t number;
	const char *id;
	size_t n;

	if (!imap_fetch_find(r, "UID", &uid) ||
	    imap_token_u64(&uid, &number) < 0 || number <= c->uid ||
	    !imap_fetch_find(r, "BODY[]", &body))
		return;
	c->uid = number;
	if (r->has_number && r->number > c->fetched)
		c->fetched = r->number;
	imap_token_add(&mail, &body);
	id = message_id(mail.data, &n);
	arrived(c, id, n, told, clock_secs());
	buf_free(&mail);
}

/* All that has come since the last time, as an app gets it. */
static int fetch_new(struct bench_client *c, double told, struct buf *err)
{
	while (c->exists > c->fetched) {
		uint64_t before = c->fetched;
		struct imap_response r;

		if (must(c, imap_client_command(
			    &c->imap, err, "UID FETCH %" PRIu64 ":* "
			    "(UID FLAGS BODY.PEEK[])", c->uid + 1), err) < 0)
			return -1;
		while (imap_client_find(&c->imap, "FETCH", &r))
			take_mail(c, &r, told);
		note_exists(c);
		told = clock_secs();
		/* the relay may have counted what it cannot give */
		if (c->fetched == before)
			break;
	}
	return 0;
}

/* Wait in IDLE until there is something new, or the end. */
static int wait_told(struct bench_client *c, double *told, struct buf *err)
{
	struct imap_response r;
	int ret = 0;

	if (must(c, imap_client_idle(&c->imap, err), err) < 0)
		return -1;
	set_idles(c, true);
	while (ret == 0 && !is_ending(c))
		ret = imap_client_idle_wait(&c->imap, "EXISTS", LOOK_SECS, &r,
					    err);
	*told = clock_secs();
	set_idles(c, false);
	if (ret < 0)
		return -1;
	if (ret > 0 && r.has_number)
		c->exists = r.number;
	if (must(c, imap_client_done(&c->imap, err), err) < 0)
		return -1;
	note_exists(c);
	return 0;
}

/* Nobody else reads this mailbox. */
static void delete_all(struct bench_client *c)
{
	struct buf err = BUF_INIT;

	if (c->exists &&
	    imap_client_command(&c->imap, &err, "UID STORE 1:* "
				"+FLAGS.SILENT (\\Deleted)") == 0)
		imap_client_command(&c->imap, &err, "EXPUNGE");
	buf_free(&err);
}

static void *receive(void *arg)
{
	struct bench_client *c = arg;
	struct buf err = BUF_INIT;
	double told = clock_secs();
	int ret = 0;

	while (ret == 0 && !is_ending(c)) {
		ret = wait_told(c, &told, &err);
		if (ret == 0)
			ret = fetch_new(c, told, &err);
	}
	if (ret == 0)
		delete_all(c);
	pthread_mutex_lock(&c->lock);
	c->has_ended = true;
	buf_setf(&c->why, "receiving: %s", err.data);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	buf_free(&err);
	return NULL;
}

/* ---- life ------------------------------------------------------------------------------ */

static enum bench_outcome open_imap(struct bench_client *c, struct buf *err)
{
	enum bench_outcome outcome = bench_open_imap(c->site, &c->imap, err);

	if (outcome == BENCH_DONE)
		outcome = bench_login_imap_as(&c->imap, c->account, err);
	if (outcome == BENCH_DONE &&
	    must(c, imap_client_command(&c->imap, err, "SELECT INBOX"),
		 err) < 0)
		outcome = BENCH_FAILED;
	if (outcome == BENCH_DONE)
		note_exists(c);
	else
		imap_client_close(&c->imap);
	return outcome;
}

static enum bench_outcome open_smtp(struct bench_client *c, struct buf *err)
{
	enum bench_outcome outcome = bench_open_smtp(c->site, &c->smtp, err);

	if (outcome == BENCH_DONE)
		outcome = bench_login_smtp_as(&c->smtp, c->account, err);
	if (outcome != BENCH_DONE)
		smtp_dialog_close(&c->smtp);
	return outcome;
}

/* Until it is no limit that keeps it from being opened. */
static int open_part(struct bench_client *c, struct benchreport_cell *cell,
		     enum bench_outcome (*open)(struct bench_client *,
						struct buf *),
		     struct buf *err)
{
	struct bench_patience patience = { 0 };
	enum bench_outcome outcome;

	do
		outcome = open(c, err);
	while (outcome == BENCH_LIMITED &&
	       bench_wait(c->site, cell, &patience, err->data));
	return outcome == BENCH_DONE ? 0 : -1;
}

static int start_thread(struct bench_client *c, struct buf *err)
{
	pthread_attr_t attr;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	ret = pthread_create(&c->thread, &attr, receive, c);
	pthread_attr_destroy(&attr);
	c->has_thread = ret == 0;
	if (ret)
		buf_setf(err, "no thread: %s", strerror(ret));
	return ret ? -1 : 0;
}

static void init(struct bench_client *c, struct bench_site *s)
{
	pthread_condattr_t attr;

	*c = (struct bench_client){ .site = s };
	c->smtp.stream.fd = c->imap.stream.fd = -1;
	buf_init(&c->why);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
}

int bench_client_open(struct bench_client *c, struct bench_site *s,
		      struct benchreport_cell *cell, bool sends, bool receives,
		      struct buf *err)
{
	init(c, s);
	c->account = bench_account_take(s, cell, err);
	if (!c->account ||
	    (receives && open_part(c, cell, open_imap, err) < 0) ||
	    (sends && open_part(c, cell, open_smtp, err) < 0))
		return -1;
	c->sends = sends;
	c->receives = receives;
	return receives ? start_thread(c, err) : 0;
}

void bench_client_close(struct bench_client *c)
{
	pthread_mutex_lock(&c->lock);
	c->is_ending = true;
	pthread_mutex_unlock(&c->lock);
	if (c->has_thread)
		pthread_join(c->thread, NULL);
	imap_client_close(&c->imap);
	smtp_dialog_close(&c->smtp);
	if (c->account)
		bench_account_give(c->site, c->account);
	while (c->arrivals) {
		struct bench_arrival *a = c->arrivals;

		c->arrivals = a->next;
		free(a->id);
		free(a);
	}
	buf_free(&c->why);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
}

/* ---- sending ------------------------------------------------------------------------------ */

static void write_mail(struct buf *out, const struct bench_client *c,
		       const struct bench_client *to, struct bench_sent *sent)
{
	struct buf id = BUF_INIT;
	const struct sample_mail mail = {
		.from = c->account->address.data,
		.to = to->account->address.data, .id = sent->id,
		.size = MESSAGE_SIZE,
	};

	sample_mail_add_id(&id);
	snprintf(sent->id, sizeof(sent->id), "%s", id.data);
	sample_mail_add(out, &mail);
	buf_free(&id);
}

enum bench_outcome bench_client_try(struct bench_client *c,
				    const struct bench_client *to,
				    struct bench_sent *sent, struct buf *err)
{
	struct buf mail = BUF_INIT;
	int code;

	buf_reset(err);
	/* the relay hung up after the message before */
	if (c->smtp.stream.fd < 0) {
		enum bench_outcome outcome = open_smtp(c, err);

		if (outcome != BENCH_DONE)
			return outcome;
	}
	write_mail(&mail, c, to, sent);
	sent->began = clock_secs();
	code = smtp_dialog_mail(&c->smtp, c->account->address.data,
				to->account->address.data, &mail, err);
	sent->taken = clock_secs();
	buf_free(&mail);
	if (code > 0)
		buf_setf(err, "%s", c->smtp.reply.data);
	if (code < 0 || code == 421)
		smtp_dialog_close(&c->smtp);
	return code < 0 ? BENCH_FAILED :
	       bench_smtp_outcome(code, code / 100 == 2);
}

int bench_client_send(struct bench_client *c, struct benchreport_cell *cell,
		      const struct bench_client *to, struct bench_sent *sent,
		      struct buf *err)
{
	struct bench_patience patience = { 0 };
	enum bench_outcome outcome;

	do
		outcome = bench_client_try(c, to, sent, err);
	while (outcome == BENCH_LIMITED &&
	       bench_wait(c->site, cell, &patience, err->data));
	return outcome == BENCH_DONE ? 0 : -1;
}

/* ---- waiting --------------------------------------------------------------------------------- */

int bench_client_wait_idle(struct bench_client *c, struct buf *err)
{
	double deadline = clock_secs() + c->site->bench->secs;
	int ret = 0;

	pthread_mutex_lock(&c->lock);
	while (!c->idles && !c->has_ended && wait_change(c, deadline))
		;
	if (c->has_ended)
		buf_setf(err, "%s", c->why.data);
	else if (!c->idles)
		buf_setf(err, "receiving: no answer in time");
	if (!c->idles)
		ret = -1;
	pthread_mutex_unlock(&c->lock);
	return ret;
}

int bench_client_wait(struct bench_client *c, const struct bench_sent *sent,
		      double *told, double *got, struct buf *err)
{
	double deadline = clock_secs() + c->site->bench->secs;
	const struct bench_arrival *a;

	pthread_mutex_lock(&c->lock);
	while (!(a = find(c, sent->id)) && !c->has_ended &&
	       wait_change(c, deadline))
		;
	if (a && told)
		*told = a->told;
	if (a && got)
		*got = a->got;
	if (!a && c->has_ended)
		buf_setf(err, "%s", c->why.data);
	else if (!a)
		buf_setf(err, "a message that was taken did not come in %.0f s",
			 c->site->bench->secs);
	pthread_mutex_unlock(&c->lock);
	return a ? 0 : -1;
}
