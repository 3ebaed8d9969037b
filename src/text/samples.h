/* How long something took, measured again and again: order statistics, what
 * kept it from being measured, and how the values are spread. All times are
 * whole microseconds. */
#ifndef TEXT_SAMPLES_H
#define TEXT_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	SAMPLES_MAX = 1000000,		/* values; more are not kept */
	SAMPLES_REASONS_MAX = 20,	/* different ones; more are "other" */
	SAMPLES_REASON_MAX = 200,	/* bytes of a reason; the rest is cut */
	HISTOGRAM_BINS_MAX = 40,
};

/* What went wrong, and how often. */
struct samples_reason {
	char *text;
	size_t count;
};

/* All zero is empty. */
struct samples {
	int64_t *us;		/* in the order in which they were taken */
	size_t count, cap;
	struct samples_reason *reasons;	/* in the order of their first time */
	size_t reason_count;
	size_t failures;	/* sum of their counts */
};

void samples_free(struct samples *s);
/* A value; a negative one, which no monotonic clock gives, counts as 0. */
void samples_add(struct samples *s, int64_t us);
/* One that could not be had. Reasons that differ in mail addresses alone are
 * the same: what has an @ is written as "<address>". Control bytes become
 * spaces. */
void samples_fail(struct samples *s, const char *reason);

/* The percentile by nearest rank: the smallest value that at least so many
 * percent of all values do not exceed, that is the value of rank
 * ceil(percent / 100 * count), counted from 1, when they are sorted. So it is
 * always a value that was measured; of an even count, 50 gives the lower of the
 * two in the middle; 0 gives the smallest, 100 the largest. percent is at most
 * 100. Returns -1 when there are none. */
int64_t samples_percentile(const struct samples *s, unsigned percent);

/* Bins of equal width. */
struct histogram {
	int64_t first;		/* where the first begins, a multiple of width */
	int64_t width;		/* 1, 2 or 5 times a power of ten */
	size_t bins;		/* 0 when there were no values */
	bool has_rest;		/* the last bin has no end */
};

/* The finest bins, at most bins_max of them (2 to HISTOGRAM_BINS_MAX), that
 * span several sets from the smallest value to the largest 95th percentile;
 * what is larger is in a last bin without an end. */
void histogram_choose(struct histogram *h, const struct samples *const *sets,
		      size_t count, size_t bins_max);
/* Count the values of a set by bin; counts has h->bins elements. What is
 * smaller than the first bin's begin counts there. */
void histogram_fill(const struct histogram *h, const struct samples *s,
		    size_t *counts);

/* Append a time with a unit that suits it, three digits and more: "0 ms",
 * "740 us", "7.41 ms", "74.1 ms", "741 ms", "7.41 s", "74.1 s", "741 s". */
void samples_add_time(struct buf *out, int64_t us);

#endif
