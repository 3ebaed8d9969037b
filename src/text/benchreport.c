#include "text/benchreport.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum {
	COUNT_WIDTH = 6, TIME_WIDTH = 9, ERRORS_WIDTH = 8,
	CELL_WIDTH = COUNT_WIDTH + 3 * TIME_WIDTH + ERRORS_WIDTH,
	GAP = 3,		/* between two relays' columns */
};

static const char BOLD[] = "\033[1m", RED[] = "\033[31m",
		  YELLOW[] = "\033[33m", PLAIN[] = "\033[0m";

void benchreport_free_cell(struct benchreport_cell *c)
{
	samples_free(&c->samples);
	free(c->why);
	*c = (struct benchreport_cell){ 0 };
}

static bool is_whole(const struct benchreport_cell *c)
{
	return c->samples.count >= c->wanted && !c->why;
}

bool benchreport_is_complete(const struct benchreport *r)
{
	for (size_t i = 0; i < r->row_count; i++)
		for (size_t k = 0; k < r->relay_count; k++)
			if (!is_whole(&r->rows[i].cells[k]))
				return false;
	return !r->interrupted;
}

/* ---- columns -------------------------------------------------------------- */

static size_t text_width(const char *text)
{
	return utf8_length(text, strlen(text));
}

/* Of the first column. */
static size_t label_width(const struct benchreport *r)
{
	size_t width = 0;

	for (size_t i = 0; i < r->row_count; i++)
		if (text_width(r->rows[i].what) > width)
			width = text_width(r->rows[i].what);
	return width + 1;
}

static size_t name_width(const struct benchreport *r)
{
	size_t width = 0;

	for (size_t k = 0; k < r->relay_count; k++)
		if (text_width(r->relays[k].name) > width)
			width = text_width(r->relays[k].name);
	return width + 3;
}

static bool is_side_by_side(const struct benchreport *r, size_t width)
{
	return r->relay_count == 1 ||
	       label_width(r) + r->relay_count * (CELL_WIDTH + GAP) <=
	       width + GAP;
}

static void add_left(struct buf *out, const char *text, size_t width)
{
	size_t n = text_width(text);

	buf_add_printable(out, text, strlen(text));
	buf_addf(out, "%*s", n < width ? (int)(width - n) : 1, "");
}

static void add_right(struct buf *out, const char *text, size_t width,
		      const char *colour)
{
	size_t n = text_width(text);

	buf_addf(out, "%*s%s%s%s", n < width ? (int)(width - n) : 0, "",
		 colour, text, *colour ? PLAIN : "");
}

static void trim_end(struct buf *out)
{
	while (out->len && out->data[out->len - 1] == ' ')
		buf_truncate(out, out->len - 1);
}

/* ---- the table ------------------------------------------------------------- */

static void add_titles(struct buf *out)
{
	add_right(out, "count", COUNT_WIDTH, "");
	add_right(out, "median", TIME_WIDTH, "");
	add_right(out, "p95", TIME_WIDTH, "");
	add_right(out, "max", TIME_WIDTH, "");
	add_right(out, "errors", ERRORS_WIDTH, "");
}

static void add_time(struct buf *out, const struct samples *s,
		     unsigned percent)
{
	struct buf text = BUF_INIT;

	if (s->count)
		samples_add_time(&text, samples_percentile(s, percent));
	else
		buf_adds(&text, "-");
	add_right(out, text.data, TIME_WIDTH, "");
	buf_free(&text);
}

static void add_number(struct buf *out, size_t n, size_t width,
		       const char *colour)
{
	struct buf text = BUF_INIT;

	buf_addf(&text, "%zu", n);
	add_right(out, text.data, width, colour);
	buf_free(&text);
}

static void add_cell(struct buf *out, const struct benchreport_cell *c,
		     bool colour)
{
	const struct samples *s = &c->samples;
	const char *mark = is_whole(c) ? "" : s->count ? YELLOW : RED;

	add_number(out, s->count, COUNT_WIDTH, colour ? mark : "");
	add_time(out, s, 50);
	add_time(out, s, 95);
	add_time(out, s, 100);
	if (s->failures)
		add_number(out, s->failures, ERRORS_WIDTH, colour ? RED : "");
	else
		add_right(out, "", ERRORS_WIDTH, "");
}

static void begin_bold(struct buf *out, bool colour)
{
	if (colour)
		buf_adds(out, BOLD);
}

static void end_bold(struct buf *out, bool colour)
{
	trim_end(out);
	if (colour)
		buf_adds(out, PLAIN);
	buf_addc(out, '\n');
}

void benchreport_add_head(struct buf *out, const struct benchreport *r,
			  size_t width, bool colour)
{
	size_t label = label_width(r);

	begin_bold(out, colour);
	if (!is_side_by_side(r, width)) {
		add_left(out, "", name_width(r));
		add_titles(out);
		end_bold(out, colour);
		return;
	}
	add_left(out, r->relay_count == 1 ? r->relays[0].name : "", label);
	if (r->relay_count > 1) {
		for (size_t k = 0; k < r->relay_count; k++) {
			buf_adds(out, " ");
			add_left(out, r->relays[k].name,
				 CELL_WIDTH + GAP - 1);
		}
		trim_end(out);
		buf_addc(out, '\n');
		add_left(out, "", label);
	}
	for (size_t k = 0; k < r->relay_count; k++) {
		buf_addf(out, "%*s", k ? GAP : 0, "");
		add_titles(out);
	}
	end_bold(out, colour);
}

void benchreport_add_row(struct buf *out, const struct benchreport *r,
			 const struct benchreport_row *row, size_t width,
			 bool colour)
{
	bool beside = is_side_by_side(r, width);

	add_left(out, row->what, beside ? label_width(r) : 0);
	for (size_t k = 0; k < r->relay_count; k++) {
		if (!beside) {
			trim_end(out);
			buf_adds(out, "\n  ");
			add_left(out, r->relays[k].name, name_width(r) - 2);
		} else if (k) {
			buf_addf(out, "%*s", GAP, "");
		}
		add_cell(out, &row->cells[k], colour);
	}
	trim_end(out);
	buf_addc(out, '\n');
}

/* ---- notes ------------------------------------------------------------------- */

static void add_place(struct buf *out, const struct benchreport *r,
		      const struct benchreport_row *row, size_t relay)
{
	buf_addf(out, "  %s", row->what);
	if (r->relay_count > 1) {
		buf_adds(out, ", ");
		buf_add_printable(out, r->relays[relay].name,
				  strlen(r->relays[relay].name));
	}
	buf_adds(out, ": ");
}

/* "1.5 messages", "40 messages". */
static void add_rates(struct buf *out, const struct benchreport *r,
		      const struct benchreport_row *row, size_t relay)
{
	double rate = row->cells[relay].per_second;

	if (rate <= 0)
		return;
	add_place(out, r, row, relay);
	buf_addf(out, "%.*f messages a second\n", rate < 10 ? 1 : 0, rate);
}

/* Rows that are measured together mostly fail together. */
static bool failed_alike(const struct benchreport_cell *a,
			 const struct benchreport_cell *b)
{
	const struct samples *s = &a->samples, *t = &b->samples;

	if (s->count != t->count || a->wanted != b->wanted ||
	    s->reason_count != t->reason_count || s->failures != t->failures ||
	    strcmp(a->why ? a->why : "", b->why ? b->why : "") != 0)
		return false;
	for (size_t i = 0; i < s->reason_count; i++)
		if (s->reasons[i].count != t->reasons[i].count ||
		    strcmp(s->reasons[i].text, t->reasons[i].text) != 0)
			return false;
	return true;
}

static void add_errors(struct buf *out, const struct benchreport *r,
		       const struct benchreport_row *row, size_t relay)
{
	const struct benchreport_cell *c = &row->cells[relay];

	if (row > r->rows && failed_alike(c, &row[-1].cells[relay]) &&
	    (c->samples.failures || (!is_whole(c) && !r->interrupted))) {
		add_place(out, r, row, relay);
		buf_adds(out, "the same\n");
		return;
	}
	for (size_t i = 0; i < c->samples.reason_count; i++) {
		const struct samples_reason *reason = &c->samples.reasons[i];

		add_place(out, r, row, relay);
		buf_addf(out, "%zu x ", reason->count);
		buf_add_printable(out, reason->text, strlen(reason->text));
		buf_addc(out, '\n');
	}
	/* that the rest is missing is no surprise then */
	if (is_whole(c) || r->interrupted)
		return;
	add_place(out, r, row, relay);
	buf_addf(out, "%zu of %zu measured", c->samples.count, c->wanted);
	if (c->why) {
		buf_adds(out, "; ");
		buf_add_printable(out, c->why, strlen(c->why));
	}
	buf_addc(out, '\n');
}

static void add_waits(struct buf *out, const struct benchreport *r,
		      const struct benchreport_row *row, size_t relay)
{
	const struct benchreport_cell *c = &row->cells[relay];

	if (!c->waits)
		return;
	add_place(out, r, row, relay);
	buf_addf(out, "%zu time%s, ", c->waits, c->waits == 1 ? "" : "s");
	samples_add_time(out, c->waited_us);
	buf_adds(out, " in all\n");
}

static void add_section(struct buf *out, const struct benchreport *r,
			const char *title, const char *mark,
			void (*add)(struct buf *, const struct benchreport *,
				    const struct benchreport_row *, size_t))
{
	struct buf lines = BUF_INIT;

	for (size_t i = 0; i < r->row_count; i++)
		for (size_t k = 0; k < r->relay_count; k++)
			add(&lines, r, &r->rows[i], k);
	if (lines.len)
		buf_addf(out, "\n%s%s%s\n%s", mark, title, *mark ? PLAIN : "",
			 lines.data);
	buf_free(&lines);
}

void benchreport_add_notes(struct buf *out, const struct benchreport *r,
			   bool colour)
{
	add_section(out, r, "Throughput:", colour ? BOLD : "", add_rates);
	add_section(out, r, "The relay's limits were waited for, outside the "
		    "figures:", colour ? BOLD : "", add_waits);
	add_section(out, r, "Not all could be measured:", colour ? RED : "",
		    add_errors);
	if (r->interrupted)
		buf_adds(out, "\nInterrupted: these are the figures so far.\n");
}

void benchreport_add_table(struct buf *out, const struct benchreport *r,
			   size_t width, bool colour)
{
	benchreport_add_head(out, r, width, colour);
	for (size_t i = 0; i < r->row_count; i++)
		benchreport_add_row(out, r, &r->rows[i], width, colour);
	benchreport_add_notes(out, r, colour);
}
