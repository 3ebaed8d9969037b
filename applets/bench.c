/* chatmail bench: how fast is a relay? */
#include "applets/bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "applet.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "base/term.h"
#include "relay/relay.h"

enum {
	COUNT = 10, PARALLEL = 10, SECS = 20, PATIENCE = 120, SECS_MAX = 3600,
	STACK = 1024 * 1024,
};

/* How long the thread that measures has for its end after Ctrl-C. */
static const double GRACE_SECS = 3.;

struct bench_options {
	bool json;
	const char *only, *count, *parallel, *secs, *patience;
	const char *ini, *address, *second, *second_address, *ca_file;
};

/* ---- what is measured ------------------------------------------------------------- */

/* Is the name one of the comma-separated patterns? */
static bool is_chosen(const char *only, const char *name)
{
	struct buf word = BUF_INIT;
	bool chosen = !only;

	while (only && *only && !chosen) {
		size_t n = strcspn(only, ",");

		buf_reset(&word);
		buf_add(&word, only, n);
		chosen = str_glob(name, str_trim(word.data));
		only += n + (only[n] == ',');
	}
	buf_free(&word);
	return chosen;
}

/* A word of --only that chooses nothing is a mistake. */
static int check_only(const char *only, struct buf *err)
{
	struct buf word = BUF_INIT;
	int ret = 0;

	while (only && *only && ret == 0) {
		size_t n = strcspn(only, ","), i = 0;

		buf_reset(&word);
		buf_add(&word, only, n);
		while (i < bench_measurement_count &&
		       !str_glob(bench_measurements[i].name,
				 str_trim(word.data)))
			i++;
		if (i == bench_measurement_count) {
			buf_setf(err, "--only: there is no measurement \"%s\"",
				 word.data);
			ret = -1;
		}
		only += n + (only[n] == ',');
	}
	buf_free(&word);
	return ret;
}

static size_t wanted(const struct bench *b, const struct bench_measurement *m)
{
	if (m->is_parallel)
		return b->count * b->parallel;
	return m->is_slow ? (b->count + 1) / 2 : b->count;
}

static char *row_text(const struct bench *b, const struct bench_measurement *m,
		      const char *what)
{
	const char *number = m->is_parallel ? strstr(what, "%zu") : NULL;
	struct buf text = BUF_INIT;

	if (number)
		buf_addf(&text, "%.*s%zu%s", (int)(number - what), what,
			 b->parallel, number + strlen("%zu"));
	else
		buf_adds(&text, what);
	return buf_detach(&text);
}

static void add_rows(struct bench *b, const struct bench_measurement *m)
{
	struct benchreport *r = &b->report;

	for (int i = 0; i < BENCH_ROWS_MAX && m->rows[i].name; i++) {
		struct benchreport_row *row = &r->rows[r->row_count++];

		row->name = m->rows[i].name;
		row->what = row_text(b, m, m->rows[i].what);
		row->has_histogram = m->rows[i].has_histogram;
		for (size_t k = 0; k < b->site_count; k++)
			row->cells[k].wanted = wanted(b, m);
	}
}

static void choose(struct bench *b, const char *only)
{
	size_t all = bench_measurement_count;

	b->chosen = xcalloc(all, sizeof(*b->chosen));
	b->report.rows = xcalloc(all * BENCH_ROWS_MAX,
				 sizeof(*b->report.rows));
	for (size_t i = 0; i < all; i++) {
		const struct bench_measurement *m = &bench_measurements[i];

		if (!is_chosen(only, m->name))
			continue;
		b->chosen[b->chosen_count++] = m;
		add_rows(b, m);
	}
}

/* ---- the thread that measures -------------------------------------------------------- */

static bool has_ports(struct bench_site *s, const struct bench_measurement *m,
		      struct benchreport_cell **cells)
{
	struct buf why = BUF_INIT;
	bool ok = true;

	for (int i = 0; i < OUTSIDE_PORTS && ok; i++)
		ok = !m->ports[i] || !bench_port_is_dead(s, i, &why);
	for (int i = 0; i < BENCH_ROWS_MAX && m->rows[i].name && !ok; i++)
		bench_give_up(s, cells[i], why.data);
	buf_free(&why);
	return ok;
}

static void measure(struct bench *b, const struct bench_measurement *m,
		    size_t first, size_t site)
{
	struct benchreport_cell *cells[BENCH_ROWS_MAX];
	struct bench_site *s = &b->sites[site];

	for (int i = 0; i < BENCH_ROWS_MAX && m->rows[i].name; i++)
		cells[i] = &b->report.rows[first + (size_t)i].cells[site];
	pthread_mutex_lock(&b->lock);
	bench_show_progress(b, s, cells[0], NULL);
	pthread_mutex_unlock(&b->lock);
	if (has_ports(s, m, cells))
		m->run(s, cells);
}

static void *run(void *arg)
{
	struct bench *b = arg;
	size_t row = 0;

	for (size_t k = 0; k < b->site_count; k++)
		bench_site_find(&b->sites[k]);
	for (size_t i = 0; i < b->chosen_count && !bench_is_stopping(b); i++) {
		const struct bench_measurement *m = b->chosen[i];
		size_t next = row;

		while (next - row < BENCH_ROWS_MAX && m->rows[next - row].name)
			next++;
		pthread_mutex_lock(&b->lock);
		b->measurement = m;
		b->number = i + 1;
		b->shown = 0;
		pthread_mutex_unlock(&b->lock);
		for (size_t k = 0; k < b->site_count; k++)
			if (!bench_is_stopping(b))
				measure(b, m, row, k);
		pthread_mutex_lock(&b->lock);
		if (!bench_is_stopping(b))
			bench_show_rows(b, next);
		pthread_mutex_unlock(&b->lock);
		row = next;
	}
	atomic_store(&b->is_done, true);
	return NULL;
}

/* ---- the thread that waits ------------------------------------------------------------ */

static void block_signals(sigset_t *set)
{
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* Until it is done, or has had its time to end after a signal, or after a
 * second one. */
static void wait_done(struct bench *b, const sigset_t *set)
{
	static const struct timespec look = { 0, 50 * 1000 * 1000 };
	double end = 0;

	while (!atomic_load(&b->is_done) && (end <= 0 || clock_secs() < end)) {
		if (sigtimedwait(set, NULL, &look) < 0)
			continue;
		if (end > 0)
			return;
		end = clock_secs() + GRACE_SECS;
		atomic_store(&b->stopping, true);
	}
}

static void start(struct bench *b, pthread_t *thread)
{
	pthread_attr_t attr;
	int ret;

	pthread_attr_init(&attr);
	/* libcurl wants more than musl gives */
	pthread_attr_setstacksize(&attr, STACK);
	ret = pthread_create(thread, &attr, run, b);
	if (ret)
		die("no thread: %s", strerror(ret));
	pthread_attr_destroy(&attr);
}

static int run_all(struct bench *b)
{
	pthread_t thread;
	sigset_t set;
	int ret;

	block_signals(&set);
	b->began = clock_secs();
	b->report.began = (int64_t)time(NULL);
	start(b, &thread);
	wait_done(b, &set);
	if (atomic_load(&b->is_done))
		pthread_join(thread, NULL);
	pthread_mutex_lock(&b->lock);
	b->report.interrupted = bench_is_stopping(b);
	ret = bench_show_end(b);
	/* threads that still wait for an answer must not see memory go */
	if (!atomic_load(&b->is_done))
		_exit(ret);
	pthread_mutex_unlock(&b->lock);
	return ret;
}

/* ---- the command line --------------------------------------------------------------------- */

static int number(const char *name, const char *text, uint64_t max,
		  uint64_t *out, struct buf *err)
{
	if (!text)
		return 0;
	if (str_to_u64(text, out) == 0 && *out >= 1 && *out <= max)
		return 0;
	buf_setf(err, "--%s: expected a number from 1 to %llu, got \"%s\"",
		 name, (unsigned long long)max, text);
	return -1;
}

static int take_options(struct bench *b, const struct bench_options *o,
			struct buf *err)
{
	uint64_t count = COUNT, parallel = PARALLEL, secs = SECS,
		 patience = PATIENCE;

	if (number("count", o->count, BENCH_COUNT_MAX, &count, err) < 0 ||
	    number("parallel", o->parallel, BENCH_PARALLEL_MAX, &parallel,
		   err) < 0 ||
	    number("timeout", o->secs, SECS_MAX, &secs, err) < 0 ||
	    number("wait", o->patience, SECS_MAX, &patience, err) < 0 ||
	    check_only(o->only, err) < 0)
		return -1;
	b->count = count;
	b->parallel = parallel;
	b->secs = (double)secs;
	b->patience = (double)patience;
	b->json = o->json;
	b->width = term_width(STDOUT_FILENO);
	b->colour = term_has_colour(STDOUT_FILENO);
	b->is_live = isatty(STDERR_FILENO);
	return 0;
}

/* What cannot be read ends the process. */
static void open_site(struct bench *b, const char *what, const char *address,
		      const char *ca_file)
{
	const struct outside_target target = {
		.what = what, .address = address, .ca_file = ca_file,
	};
	struct buf warnings = BUF_INIT, err = BUF_INIT;
	struct bench_site *s = &b->sites[b->site_count];

	if (bench_site_open(s, b, &target, &warnings, &err) < 0)
		die("%s", err.data);
	if (warnings.len)
		log_warn("%s", str_trim(warnings.data));
	b->report.relays[b->site_count++].name = s->outside.name;
	buf_free(&warnings);
	buf_free(&err);
}

static void free_all(struct bench *b)
{
	for (size_t i = 0; i < b->report.row_count; i++) {
		struct benchreport_row *row = &b->report.rows[i];

		for (size_t k = 0; k < b->site_count; k++)
			benchreport_free_cell(&row->cells[k]);
		free((char *)row->what);
	}
	for (size_t k = 0; k < b->site_count; k++)
		bench_site_free(&b->sites[k]);
	free(b->report.rows);
	free(b->chosen);
}

/* The relays by name, then the second as "chatmail test" has it. */
static void open_sites(struct bench *b, const struct bench_options *o,
		       char **what, size_t n)
{
	if (!n)
		open_site(b, relay_ini_of_operator(o->ini), o->address,
			  o->ca_file);
	for (size_t i = 0; i < n; i++)
		open_site(b, what[i], i ? NULL : o->address, o->ca_file);
	if (o->second)
		open_site(b, o->second, o->second_address, o->ca_file);
	b->report.relay_count = b->site_count;
}

static int bench_sites(const struct bench_options *o, char **what, size_t n)
{
	struct bench b = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct buf err = BUF_INIT;
	int ret;

	if (take_options(&b, o, &err) < 0) {
		ret = applet_usage(&applet_bench, "%s", err.data);
		buf_free(&err);
		return ret;
	}
	open_sites(&b, o, what, n);
	choose(&b, o->only);
	ret = run_all(&b);
	free_all(&b);
	buf_free(&err);
	return ret;
}

static int bench_main(int argc, char **argv)
{
	struct bench_options o = { 0 };
	const struct opt opts[] = {
		{ "json", NULL, &o.json }, { "only", &o.only, NULL },
		{ "count", &o.count, NULL }, { "parallel", &o.parallel, NULL },
		{ "timeout", &o.secs, NULL }, { "wait", &o.patience, NULL },
		{ "address", &o.address, NULL }, { "ca-file", &o.ca_file, NULL },
		{ "second", &o.second, NULL },
		{ "second-address", &o.second_address, NULL },
		{ "config", &o.ini, NULL }, { 0 },
	};
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc > 1 && o.ini)
		buf_setf(&err, "--config, or relays?");
	else if (argc - 1 + (o.second != NULL) > BENCHREPORT_RELAYS_MAX)
		buf_setf(&err, "at most %d relays", BENCHREPORT_RELAYS_MAX);
	if (err.len)
		ret = applet_usage(&applet_bench, "%s", err.data);
	else
		ret = bench_sites(&o, argv + 1, (size_t)(argc - 1));
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(bench) {
	.name = "bench",
	.summary = "measure how fast a relay is, from outside",
	.args = "[--json] [--count N] [--only LIST] [OPTION...] [RELAY...]",
	.help =
"Uses a relay as apps do, again and again, and shows how long it took: count,\n"
"median, 95th percentile and maximum. RELAY is a chatmail.ini, the domain of any\n"
"relay, or a sandbox's directory. It defaults to $CHATMAIL_INI, else\n"
"./chatmail.ini, else /etc/chatmail/chatmail.ini. Several are measured row by row\n"
"and shown side by side.\n"
"\n"
"  tls-imap, tls-smtp, tls-https   a connection with its TLS handshake\n"
"  address   POST /new, which gives an address and a password\n"
"  new-imap, new-smtp, login-imap, login-smtp   connection and login of an\n"
"            account that comes into being by that, and of others\n"
"  online    all that a new app does until mail can come and go: login, INBOX,\n"
"            IDLE, and another login by SMTP\n"
"  deliver   a message of 2.8 kB, from MAIL on, until the relay has taken it,\n"
"            until an app in IDLE is told of it, and until that has it\n"
"  pingpong  a message, and an answer to it\n"
"  ten       ten messages in a row, until all are there\n"
"  parallel  many accounts at once, of which each sends to the next\n"
"\n"
"  --only LIST    these alone; as in --only 'tls-*,deliver'\n"
"  --count N      values of each row, default 10; half as many of online and ten;\n"
"                 of parallel, messages that each account sends\n"
"  --parallel N   accounts of parallel, default 10\n"
"  --json         a JSON object on one line, with every value\n"
"  --timeout SECS longest wait for an answer or a message, default 20\n"
"  --wait SECS    longest wait for a limit of the relay (\"450 Too much mail\", any\n"
"                 4xx, HTTP 429), default 120. No value has that time in it\n"
"  --address ADDRESS   connect to the first relay there, whatever the DNS says\n"
"  --ca-file FILE accept certificates of these authorities too (PEM)\n"
"  --second RELAY, --second-address ADDRESS, --config INI   as of chatmail test\n"
"\n"
"With the defaults some 25 accounts are made. Their names begin with \"ci-\", as\n"
"those of tests do; what they receive is deleted, and they are when they have not\n"
"been used for long enough. The exit code is 0 when all could be measured, else\n"
"1, also after Ctrl-C, which shows what was measured so far.\n"
"\n"
"Example: chatmail bench\n"
"         chatmail bench --only deliver --count 50 chat.example.org nine.example\n",
	.main = bench_main,
};
