/* What the benchmarks share. Each t/bench/NAME.c becomes a program of its own
 * that links src/ but not its neighbours, hence all of this in headers.
 *
 *	NAME CHATMAIL DIR
 *
 * measures the binary CHATMAIL with its files in the new directory DIR and
 * prints one line a figure, fields separated by TAB: what, value, unit,
 * target, "ok", "over", "" or "skipped". t/bench/run makes a table of it. The
 * exit code is 0 unless something did not work. */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"

static struct {
	const char *program, *dir;
	bool terminal, failed;
} bench;

/* ---- figures ---------------------------------------------------------------- */

/* What runs now, on one line of a terminal. */
__attribute__((format(printf, 1, 2)))
static inline void progress(const char *fmt, ...)
{
	va_list ap;

	if (!bench.terminal)
		return;
	fprintf(stderr, "\r\033[K");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

/* Something did not work; the figures go on. */
__attribute__((format(printf, 1, 2)))
static inline void failed(const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	progress("%s", "");
	log_warn("%s", text.data);
	buf_free(&text);
	bench.failed = true;
}

static inline void print_number(double v)
{
	printf("%.*f", v >= 100 || v == 0 ? 0 : v >= 10 ? 1 : 2, v);
}

/* A figure; target is its largest good value, 0 for none. */
__attribute__((format(printf, 4, 5)))
static inline void row(double value, const char *unit, double target,
		       const char *fmt, ...)
{
	va_list ap;

	progress("%s", "");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\t');
	print_number(value);
	printf("\t%s\t", unit);
	if (target > 0)
		print_number(target);
	printf("\t%s\n", target <= 0 ? "" : value <= target ? "ok" : "over");
	fflush(stdout);
}

/* A row that says why there is no figure. */
__attribute__((format(printf, 1, 2)))
static inline void row_skipped(const char *fmt, ...)
{
	va_list ap;

	progress("%s", "");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\t\t\t\tskipped\n");
	fflush(stdout);
}

/* ---- time ------------------------------------------------------------------- */

/* Monotonic, in seconds. */
static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static inline void sleep_until(double when)
{
	double left = when - now();
	struct timespec t = { (time_t)left, (left - (time_t)left) * 1e9 };

	if (left > 0)
		nanosleep(&t, NULL);
}

static inline void sleep_secs(double secs)
{
	sleep_until(now() + secs);
}

/* ---- samples ---------------------------------------------------------------- */

struct samples {
	double *list;
	size_t count, cap;
};

static inline void samples_add(struct samples *s, double v)
{
	if (s->count == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 1024;
		s->list = xrealloc(s->list, s->cap * sizeof(*s->list));
	}
	s->list[s->count++] = v;
}

static inline int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The value that a share q of all does not exceed. Sorts. */
static inline double samples_quantile(struct samples *s, double q)
{
	if (!s->count)
		return 0;
	qsort(s->list, s->count, sizeof(*s->list), compare_doubles);
	return s->list[(size_t)(q * (s->count - 1) + .5)];
}

static inline void samples_free(struct samples *s)
{
	free(s->list);
	*s = (struct samples){ 0 };
}

/* ---- the program -------------------------------------------------------------- */

static inline void raise_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static inline unsigned long files_max(void)
{
	struct rlimit r = { 0 };

	getrlimit(RLIMIT_NOFILE, &r);
	return r.rlim_cur;
}

/* A run that hangs is ended by SIGALRM after secs. */
static inline void bench_init(int argc, char **argv, unsigned secs)
{
	log_init(argv[0]);
	if (argc != 3)
		die("usage: %s CHATMAIL DIR", argv[0]);
	bench.program = argv[1];
	bench.dir = argv[2];
	bench.terminal = isatty(STDERR_FILENO);
	raise_limit();
	alarm(secs);
}

static inline void start_thread(pthread_t *t, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 512 * 1024);
	if (pthread_create(t, &attr, run, arg) != 0)
		die("no thread can be started");
	pthread_attr_destroy(&attr);
}

static inline int bench_end(void)
{
	progress("%s", "");
	return bench.failed ? EXIT_FAIL : EXIT_OK;
}

#endif
