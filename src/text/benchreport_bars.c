/* Histograms of "#" signs. */
#include "text/benchreport.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum {
	BINS_MIN = 9, BINS_MAX = 14,
	EDGES_WIDTH = 21,	/* "  12.5 ms - 15.0 ms |" */
	BAR_MIN = 10, BAR_MAX = 50,
};

struct bars {
	const struct benchreport *report;
	const struct benchreport_row *row;
	struct histogram h;
	size_t counts[BENCHREPORT_RELAYS_MAX][HISTOGRAM_BINS_MAX];
	size_t most;		/* values in one bin */
	size_t bar, number;	/* columns of a bar and of the count behind */
};

static size_t digits(size_t n)
{
	size_t count = 1;

	while (n >= 10) {
		n /= 10;
		count++;
	}
	return count;
}

/* Few values in many bins show nothing. */
static size_t bins_for(size_t values)
{
	size_t bins = BINS_MIN;

	while (bins < BINS_MAX && bins * bins < values)
		bins++;
	return bins;
}

static bool count_bins(struct bars *b)
{
	const struct samples *sets[BENCHREPORT_RELAYS_MAX];
	size_t relays = b->report->relay_count, most = 0;

	for (size_t k = 0; k < relays; k++) {
		sets[k] = &b->row->cells[k].samples;
		if (sets[k]->count > most)
			most = sets[k]->count;
	}
	histogram_choose(&b->h, sets, relays, bins_for(most));
	b->most = 0;
	for (size_t k = 0; k < relays; k++) {
		histogram_fill(&b->h, sets[k], b->counts[k]);
		for (size_t i = 0; i < b->h.bins; i++)
			if (b->counts[k][i] > b->most)
				b->most = b->counts[k][i];
	}
	return b->h.bins > 0;
}

/* Bars share what the edges leave of the line. */
static void measure(struct bars *b, size_t width)
{
	size_t relays = b->report->relay_count, room;

	b->number = digits(b->most) + 3;
	room = width > EDGES_WIDTH ? (width - EDGES_WIDTH) / relays : 0;
	b->bar = room > b->number ? room - b->number : 0;
	if (b->bar < BAR_MIN)
		b->bar = BAR_MIN;
	if (b->bar > BAR_MAX)
		b->bar = BAR_MAX;
}

static void add_edge(struct buf *out, int64_t us)
{
	samples_add_time(out, us);
}

static void add_edges(struct buf *out, const struct bars *b, size_t bin)
{
	int64_t low = b->h.first + (int64_t)bin * b->h.width;
	struct buf text = BUF_INIT;

	if (b->h.has_rest && bin == b->h.bins - 1) {
		buf_adds(&text, "from ");
		add_edge(&text, low);
	} else {
		add_edge(&text, low);
		buf_adds(&text, " - ");
		add_edge(&text, low + b->h.width);
	}
	buf_addf(out, "%*s |", EDGES_WIDTH - 2, text.data);
	buf_free(&text);
}

/* What is not 0 is seen. */
static void add_bar(struct buf *out, const struct bars *b, size_t count)
{
	size_t n = b->most ? count * b->bar / b->most : 0;
	struct buf text = BUF_INIT;

	if (count && !n)
		n = 1;
	for (size_t i = 0; i < n; i++)
		buf_addc(&text, '#');
	if (count)
		buf_addf(&text, " %zu", count);
	buf_addf(out, "%-*s", (int)(b->bar + b->number), text.data);
	buf_free(&text);
}

static void end_line(struct buf *out)
{
	while (out->len && out->data[out->len - 1] == ' ')
		buf_truncate(out, out->len - 1);
	buf_addc(out, '\n');
}

static void add_names(struct buf *out, const struct bars *b)
{
	buf_addf(out, "%*s", EDGES_WIDTH, "");
	for (size_t k = 0; k < b->report->relay_count; k++) {
		const char *name = b->report->relays[k].name;
		struct buf text = BUF_INIT;

		buf_add_printable(&text, name, strlen(name));
		buf_truncate(&text, b->bar + b->number - 1);
		buf_addf(out, "%-*s", (int)(b->bar + b->number), text.data);
		buf_free(&text);
	}
	end_line(out);
}

static void add_one(struct buf *out, struct bars *b, size_t width, bool colour)
{
	if (!count_bins(b))
		return;
	measure(b, width);
	buf_addf(out, "\n%s%s%s\n", colour ? "\033[1m" : "", b->row->what,
		 colour ? "\033[0m" : "");
	if (b->report->relay_count > 1)
		add_names(out, b);
	for (size_t i = 0; i < b->h.bins; i++) {
		add_edges(out, b, i);
		for (size_t k = 0; k < b->report->relay_count; k++)
			add_bar(out, b, b->counts[k][i]);
		end_line(out);
	}
}

void benchreport_add_histograms(struct buf *out, const struct benchreport *r,
				size_t width, bool colour)
{
	for (size_t i = 0; i < r->row_count; i++) {
		struct bars b = { .report = r, .row = &r->rows[i] };

		if (b.row->has_histogram)
			add_one(out, &b, width, colour);
	}
}
