/* What is shown: the rows as they come, a live line under them, the rest at the
 * end. */
#include "applets/bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "applet.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/term.h"
#include "text/json.h"

static const double SHOW_SECS = .1;

/* To sort more again and again would disturb what is measured. */
enum { MEDIAN_MAX = 5000 };

static void flush_out(const struct buf *out)
{
	fwrite(out->data, 1, out->len, stdout);
	fflush(stdout);
}

/* ---- the live line, on stderr -------------------------------------------------------- */

static void add_line(struct buf *out, const struct bench *b,
		     const struct bench_site *s,
		     const struct benchreport_cell *c, const char *waits)
{
	buf_addf(out, "[%zu/%zu] ", b->number, b->chosen_count);
	if (b->site_count > 1)
		buf_addf(out, "%s, ", s->outside.name);
	buf_addf(out, "%s: %zu of %zu", b->measurement->name,
		 c->samples.count, c->wanted);
	if (c->samples.count && c->samples.count <= MEDIAN_MAX) {
		buf_adds(out, ", median ");
		samples_add_time(out, samples_percentile(&c->samples, 50));
	}
	if (waits) {
		buf_adds(out, "; waits for the relay's limit: ");
		buf_add_printable(out, waits, strlen(waits));
	}
}

void bench_show_progress(struct bench *b, const struct bench_site *s,
			 const struct benchreport_cell *c, const char *waits)
{
	struct buf line = BUF_INIT;
	double now = clock_secs();

	if (!b->is_live || (!waits && now - b->shown < SHOW_SECS))
		return;
	b->shown = now;
	add_line(&line, b, s, c, waits);
	/* a longer one would not go away */
	buf_truncate(&line, term_width(STDERR_FILENO) - 1);
	fprintf(stderr, "\r\033[K%s", line.data);
	fflush(stderr);
	buf_free(&line);
}

void bench_show_clear(struct bench *b)
{
	if (b->is_live)
		fprintf(stderr, "\r\033[K");
	fflush(stderr);
	b->shown = 0;
}

/* ---- the table, on stdout --------------------------------------------------------------- */

/* Nothing was even tried. */
static bool is_empty(const struct bench *b, const struct benchreport_row *row)
{
	for (size_t k = 0; k < b->site_count; k++)
		if (row->cells[k].samples.count ||
		    row->cells[k].samples.failures)
			return false;
	return true;
}

void bench_show_rows(struct bench *b, size_t n)
{
	struct benchreport *r = &b->report;
	struct buf out = BUF_INIT;

	if (b->json)
		return;
	bench_show_clear(b);
	if (!b->printed)
		benchreport_add_head(&out, r, b->width, b->colour);
	for (; b->printed < n; b->printed++)
		if (!r->interrupted || !is_empty(b, &r->rows[b->printed]))
			benchreport_add_row(&out, r, &r->rows[b->printed],
					    b->width, b->colour);
	flush_out(&out);
	buf_free(&out);
}

static void take_facts(struct bench *b)
{
	struct benchreport *r = &b->report;

	r->took_us = bench_us(b->began, clock_secs());
	for (size_t k = 0; k < b->site_count; k++) {
		r->relays[k].address = b->sites[k].address.data;
		r->relays[k].accounts = b->sites[k].account_count;
	}
}

static void add_accounts(struct buf *out, const struct bench *b)
{
	for (size_t k = 0; k < b->site_count; k++)
		buf_addf(out, "%s%zu account%s made at %s", k ? ", " : "\n",
			 b->sites[k].account_count,
			 b->sites[k].account_count == 1 ? " was" : "s were",
			 b->report.relays[k].name);
	buf_addf(out, "; it took %.0f s.\n", (double)b->report.took_us / 1e6);
}

int bench_show_end(struct bench *b)
{
	struct buf out = BUF_INIT;
	bool ok;

	take_facts(b);
	if (b->json) {
		cJSON *json = benchreport_json(&b->report);

		json_print(&out, json);
		buf_addc(&out, '\n');
		cJSON_Delete(json);
		bench_show_clear(b);
	} else {
		bench_show_rows(b, b->report.row_count);
		benchreport_add_histograms(&out, &b->report, b->width,
					   b->colour);
		benchreport_add_notes(&out, &b->report, b->colour);
		add_accounts(&out, b);
	}
	flush_out(&out);
	buf_free(&out);
	ok = !ferror(stdout) && benchreport_is_complete(&b->report);
	return ok ? EXIT_OK : EXIT_FAIL;
}
