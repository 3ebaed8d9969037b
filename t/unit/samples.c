/* Order statistics by nearest rank, reasons, bins of histograms, times. */
#include "tap.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "text/samples.h"

enum { VALUES = 12 };

static const struct {
	const char *name;
	size_t count;
	int64_t values[VALUES];
	int64_t p0, p50, p95, p100;
} orders[] = {
	{ "none", 0, { 0 }, -1, -1, -1, -1 },
	{ "one", 1, { 7 }, 7, 7, 7, 7 },
	{ "two", 2, { 9, 7 }, 7, 7, 9, 9 },
	{ "three", 3, { 3, 1, 2 }, 1, 2, 3, 3 },
	{ "four", 4, { 4, 1, 3, 2 }, 1, 2, 4, 4 },
	{ "equal ones", 5, { 5, 5, 5, 5, 5 }, 5, 5, 5, 5 },
	{ "ten", 10, { 10, 9, 8, 7, 6, 5, 4, 3, 2, 1 }, 1, 5, 10, 10 },
	{ "beyond 32 bits", 3, { INT64_MAX, 1, 5000000000 }, 1, 5000000000,
	  INT64_MAX, INT64_MAX },
	{ "from before the beginning", 2, { -5, 3 }, 0, 0, 3, 3 },
};

static void fill(struct samples *s, const int64_t *values, size_t count)
{
	*s = (struct samples){ 0 };
	for (size_t i = 0; i < count; i++)
		samples_add(s, values[i]);
}

static void test_orders(void)
{
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct samples s;

		fill(&s, orders[i].values, orders[i].count);
		tap_ok(samples_percentile(&s, 0) == orders[i].p0 &&
		       samples_percentile(&s, 50) == orders[i].p50 &&
		       samples_percentile(&s, 95) == orders[i].p95 &&
		       samples_percentile(&s, 100) == orders[i].p100,
		       "percentiles of %s", orders[i].name);
		samples_free(&s);
	}
}

/* The definition, counted out: at least so many percent do not exceed it, and
 * of the next smaller value that is not true. */
static bool is_percentile(const struct samples *s, unsigned percent,
			  int64_t value)
{
	size_t up_to = 0, below = 0;
	bool there = false;

	for (size_t i = 0; i < s->count; i++) {
		up_to += s->us[i] <= value;
		below += s->us[i] < value;
		there |= s->us[i] == value;
	}
	return there && up_to * 100 >= s->count * percent &&
	       (below == 0 || below * 100 < s->count * percent);
}

static void test_definition(void)
{
	bool right = true, ordered = true, kept = true;

	srand(1);
	for (size_t n = 1; n < 250; n++) {
		struct samples s = { 0 };
		int64_t last = -1, first;

		for (size_t i = 0; i < n; i++)
			samples_add(&s, rand() % 60);
		first = s.us[0];
		for (unsigned p = 0; p <= 100; p++) {
			int64_t value = samples_percentile(&s, p);

			right &= is_percentile(&s, p, value);
			ordered &= value >= last;
			last = value;
		}
		kept &= s.us[0] == first;
		samples_free(&s);
	}
	tap_ok(right, "every percentile of 249 sets is what it is said to be");
	tap_ok(ordered, "they are in order");
	tap_ok(kept, "the values stay in the order in which they came");
}

/* ---- reasons ------------------------------------------------------------- */

static const struct {
	const char *text, *want;
} reasons[] = {
	{ "450 4.7.1: Too much mail from ci-12ab@chat.example.org",
	  "450 4.7.1: Too much mail from <address>" },
	{ "<a@b>: no such user", "<address>: no such user" },
	{ "500 Invalid FROM <a@b> for <c@[192.0.2.1]>.",
	  "500 Invalid FROM <address> for <address>." },
	{ "(a@b, c@d)", "(<address>, <address>)" },
	{ " connection refused\r\n", "connection refused" },
	{ "a\tb\033[31mc\x7f" "d", "a b [31mc d" },
	{ "\xc3\xa4\xff", "\xc3\xa4\xff" },
	{ "", "" },
};

static void test_reasons(void)
{
	struct samples s = { 0 };
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		samples_fail(&s, reasons[i].text);
		tap_is(s.reasons[i].text, reasons[i].want, "a reason");
	}
	samples_fail(&s, "<someone@else>: no such user");
	tap_ok(s.reason_count == ARRAY_LEN(reasons) &&
	       s.reasons[1].count == 2 && s.failures == s.reason_count + 1,
	       "the same of another address is counted with it");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	samples_fail(&s, text);
	tap_ok(strlen(s.reasons[s.reason_count - 1].text) ==
	       SAMPLES_REASON_MAX, "a long one is cut");
	samples_free(&s);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "reason %d", i);
		samples_fail(&s, text);
	}
	tap_ok(s.reason_count == SAMPLES_REASONS_MAX && s.failures == 100,
	       "a hundred different ones are kept in bounds, and all counted");
	tap_is(s.reasons[s.reason_count - 1].text, "other reasons",
	       "those that found no place");
	tap_ok(s.reasons[s.reason_count - 1].count ==
	       100 - SAMPLES_REASONS_MAX + 1, "are together");
	samples_free(&s);
}

/* ---- histograms ------------------------------------------------------------ */

static const struct {
	const char *name;
	size_t max, count;
	int64_t values[VALUES];
	int64_t first, width;
	size_t bins;
	bool has_rest;
	const char *counts;
} histograms[] = {
	{ "nothing", 10, 0, { 0 }, 0, 1, 0, false, "" },
	{ "one value", 10, 1, { 12345 }, 12345, 1, 1, false, " 1" },
	{ "equal values", 10, 3, { 7, 7, 7 }, 7, 1, 1, false, " 3" },
	{ "small differences", 10, 3, { 100, 104, 108 }, 100, 1, 9, false,
	  " 1 0 0 0 1 0 0 0 1" },
	{ "the edge of two bins", 4, 4, { 0, 9, 10, 19 }, 0, 10, 2, false,
	  " 2 2" },
	{ "a step of two", 10, 2, { 10, 20 }, 10, 2, 6, false,
	  " 1 0 0 0 0 1" },
	{ "a step of five", 5, 3, { 1, 9, 14 }, 0, 5, 3, false, " 1 1 1" },
	{ "thousands", 4, 3, { 1500, 2500, 3999 }, 1000, 1000, 3, false,
	  " 1 1 1" },
	{ "zero", 2, 2, { 0, 0 }, 0, 1, 1, false, " 2" },
};

static void print_counts(struct buf *out, const struct histogram *h,
			 const struct samples *s)
{
	size_t counts[HISTOGRAM_BINS_MAX];

	buf_reset(out);
	histogram_fill(h, s, counts);
	for (size_t i = 0; i < h->bins; i++)
		buf_addf(out, " %zu", counts[i]);
}

static void test_histograms(void)
{
	struct buf counts = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(histograms); i++) {
		const struct samples *set;
		struct histogram h;
		struct samples s;

		set = &s;
		fill(&s, histograms[i].values, histograms[i].count);
		histogram_choose(&h, &set, 1, histograms[i].max);
		tap_ok(h.first == histograms[i].first &&
		       h.width == histograms[i].width &&
		       h.bins == histograms[i].bins &&
		       h.has_rest == histograms[i].has_rest,
		       "%s: %zu bins of %" PRId64 " from %" PRId64 "%s",
		       histograms[i].name, h.bins, h.width, h.first,
		       h.has_rest ? " and a rest" : "");
		print_counts(&counts, &h, &s);
		tap_is(counts.data, histograms[i].counts, "its counts");
		samples_free(&s);
	}
	buf_free(&counts);
}

static void test_rest(void)
{
	struct samples s = { 0 }, fast = { 0 }, none = { 0 };
	const struct samples *sets[] = { &none, &s, &fast };
	struct buf counts = BUF_INIT;
	struct histogram h;

	for (int i = 0; i < 40; i++)
		samples_add(&s, 1000 + 10 * i);
	samples_add(&s, 90000);
	samples_add(&fast, 100);
	histogram_choose(&h, sets, ARRAY_LEN(sets), 10);
	tap_ok(h.first == 0 && h.width == 200 && h.bins == 8 && h.has_rest,
	       "what is rare and large does not make the bins wide");
	print_counts(&counts, &h, &s);
	tap_is(counts.data, " 0 0 0 0 0 20 20 1", "it is in the last one");
	print_counts(&counts, &h, &fast);
	tap_is(counts.data, " 1 0 0 0 0 0 0 0", "another set in the same bins");
	samples_free(&s);
	samples_free(&fast);
	buf_free(&counts);
}

static void test_bounds(void)
{
	bool bounded = true, whole = true;

	for (size_t max = 2; max <= HISTOGRAM_BINS_MAX; max++)
		for (int64_t top = 1; top > 0 && top < INT64_MAX / 13;
		     top = top * 13 + 5) {
			size_t counts[HISTOGRAM_BINS_MAX], sum = 0;
			struct samples s = { 0 };
			const struct samples *set = &s;
			struct histogram h;

			for (int64_t i = 0; i <= 50; i++)
				samples_add(&s, top / 50 * i);
			histogram_choose(&h, &set, 1, max);
			bounded &= h.bins <= max && h.bins > 0;
			histogram_fill(&h, &s, counts);
			for (size_t i = 0; i < h.bins; i++)
				sum += counts[i];
			whole &= sum == s.count;
			samples_free(&s);
		}
	tap_ok(bounded, "never more bins than asked for");
	tap_ok(whole, "no value is lost");
}

/* ---- times ------------------------------------------------------------------ */

static const struct {
	int64_t us;
	const char *want;
} times[] = {
	{ 0, "0 ms" }, { 740, "740 us" }, { 999, "999 us" },
	{ 1000, "1.00 ms" }, { 7414, "7.41 ms" }, { 9994, "9.99 ms" },
	{ 9995, "10.0 ms" }, { 74149, "74.1 ms" }, { 99949, "99.9 ms" },
	{ 99950, "100 ms" }, { 741490, "741 ms" }, { 999499, "999 ms" },
	{ 999500, "1.00 s" }, { 7414900, "7.41 s" }, { 59949000, "59.9 s" },
	{ 741490000, "741 s" }, { 3600000000, "3600 s" },
};

static void test_times(void)
{
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct buf out = BUF_INIT;

		samples_add_time(&out, times[i].us);
		tap_is(out.data, times[i].want, times[i].want);
		buf_free(&out);
	}
}

int main(void)
{
	test_orders();
	test_definition();
	test_reasons();
	test_histograms();
	test_rest();
	test_bounds();
	test_times();
	return tap_done();
}
