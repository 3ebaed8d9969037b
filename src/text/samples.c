#include "text/samples.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const char OTHER[] = "other reasons", ADDRESS[] = "<address>";

/* Letters of an address as servers quote it, and what stands around it. */
static const char AROUND[] = " \t\"'(),;";

void samples_free(struct samples *s)
{
	for (size_t i = 0; i < s->reason_count; i++)
		free(s->reasons[i].text);
	free(s->reasons);
	free(s->us);
	*s = (struct samples){ 0 };
}

void samples_add(struct samples *s, int64_t us)
{
	if (s->count == SAMPLES_MAX)
		return;
	if (s->count == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 16;
		s->us = xrealloc(s->us, s->cap * sizeof(*s->us));
	}
	s->us[s->count++] = us > 0 ? us : 0;
}

/* ---- reasons ------------------------------------------------------------ */

static void add_word(struct buf *out, const char *word, size_t n)
{
	size_t tail = 0;

	if (!memchr(word, '@', n)) {
		buf_add(out, word, n);
		return;
	}
	/* what ends the sentence is not the address's */
	while (tail < n && strchr(":.", word[n - 1 - tail]))
		tail++;
	buf_adds(out, ADDRESS);
	buf_add(out, word + n - tail, tail);
}

static void add_reason(struct buf *out, const char *text)
{
	struct buf clean = BUF_INIT;
	const char *p;

	buf_adds(&clean, text);
	for (size_t i = 0; i < clean.len; i++)
		if ((unsigned char)clean.data[i] < ' ' || clean.data[i] == 127)
			clean.data[i] = ' ';
	p = str_trim(clean.data);
	while (*p) {
		size_t n = strcspn(p, AROUND);

		add_word(out, p, n);
		p += n;
		n = strspn(p, AROUND);
		buf_add(out, p, n);
		p += n;
	}
	buf_truncate(out, SAMPLES_REASON_MAX);
	buf_free(&clean);
}

static struct samples_reason *find_reason(struct samples *s, const char *text)
{
	for (size_t i = 0; i < s->reason_count; i++)
		if (strcmp(s->reasons[i].text, text) == 0)
			return &s->reasons[i];
	return NULL;
}

static struct samples_reason *new_reason(struct samples *s, const char *text)
{
	struct samples_reason *r;

	s->reasons = xrealloc(s->reasons, (s->reason_count + 1) *
			      sizeof(*s->reasons));
	r = &s->reasons[s->reason_count++];
	*r = (struct samples_reason){ .text = xstrdup(text) };
	return r;
}

void samples_fail(struct samples *s, const char *reason)
{
	struct buf text = BUF_INIT;
	struct samples_reason *r;

	add_reason(&text, reason);
	r = find_reason(s, text.data);
	/* the last place is for all others */
	if (!r && s->reason_count >= SAMPLES_REASONS_MAX - 1) {
		buf_setf(&text, "%s", OTHER);
		r = find_reason(s, text.data);
	}
	if (!r)
		r = new_reason(s, text.data);
	r->count++;
	s->failures++;
	buf_free(&text);
}

/* ---- order --------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t samples_percentile(const struct samples *s, unsigned percent)
{
	size_t rank = (s->count * percent + 99) / 100;
	int64_t *sorted, found;

	if (s->count == 0)
		return -1;
	sorted = xcalloc(s->count, sizeof(*sorted));
	memcpy(sorted, s->us, s->count * sizeof(*sorted));
	qsort(sorted, s->count, sizeof(*sorted), compare);
	found = sorted[rank ? rank - 1 : 0];
	free(sorted);
	return found;
}

/* ---- histogram ------------------------------------------------------------ */

static bool has_values(const struct samples *const *sets, size_t count,
		       int64_t *low, int64_t *high, int64_t *top)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		int64_t min = samples_percentile(sets[i], 0);
		int64_t most = samples_percentile(sets[i], 95);
		int64_t max = samples_percentile(sets[i], 100);

		if (min < 0)
			continue;
		*low = any && *low < min ? *low : min;
		*high = any && *high > most ? *high : most;
		*top = any && *top > max ? *top : max;
		any = true;
	}
	return any;
}

static int64_t next_width(int64_t width)
{
	int64_t digit = width;

	while (digit >= 10)
		digit /= 10;
	return digit == 2 ? width / 2 * 5 : width * 2;
}

void histogram_choose(struct histogram *h, const struct samples *const *sets,
		      size_t count, size_t bins_max)
{
	int64_t low = 0, high = 0, top = 0, width = 1;

	*h = (struct histogram){ .width = 1 };
	if (!has_values(sets, count, &low, &high, &top))
		return;
	/* one is kept for what is larger */
	while (high / width - low / width + 2 > (int64_t)bins_max)
		width = next_width(width);
	h->width = width;
	h->first = low / width * width;
	h->bins = (size_t)(high / width - low / width + 1);
	h->has_rest = top / width > high / width;
	h->bins += h->has_rest;
}

void histogram_fill(const struct histogram *h, const struct samples *s,
		    size_t *counts)
{
	for (size_t i = 0; i < h->bins; i++)
		counts[i] = 0;
	for (size_t i = 0; i < s->count && h->bins; i++) {
		int64_t past = s->us[i] - h->first;
		size_t bin = past > 0 ? (size_t)(past / h->width) : 0;

		counts[bin < h->bins ? bin : h->bins - 1]++;
	}
}

/* ---- text ------------------------------------------------------------------ */

void samples_add_time(struct buf *out, int64_t us)
{
	const char *unit = us < 1000 * 1000 ? "ms" : "s";
	double value = (double)us / (us < 1000 * 1000 ? 1e3 : 1e6);

	/* 999.6 ms is 1.00 s, not 1000 ms */
	if (us < 1000)
		buf_addf(out, us ? "%" PRId64 " us" : "0 ms", us);
	else if (us >= 999500 && us < 1000 * 1000)
		buf_adds(out, "1.00 s");
	else
		buf_addf(out, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ?
			 1 : 0, value, unit);
}
