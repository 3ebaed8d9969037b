/* The table, the histograms and the JSON of chatmail bench. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "text/benchreport.h"
#include "text/json.h"

enum { ROWS = 3 };

static struct benchreport_row rows[ROWS];
static struct benchreport report;

/* count values: from, from + step, ... */
static void add(struct benchreport_cell *c, size_t count, int64_t from,
		int64_t step)
{
	c->wanted = count;
	for (size_t i = 0; i < count; i++)
		samples_add(&c->samples, from + step * (int64_t)i);
}

static void begin(size_t relays)
{
	for (size_t i = 0; i < ROWS; i++)
		for (size_t k = 0; k < BENCHREPORT_RELAYS_MAX; k++)
			benchreport_free_cell(&rows[i].cells[k]);
	rows[0] = (struct benchreport_row){ .name = "tls", .what = "TLS" };
	rows[1] = (struct benchreport_row){ .name = "told",
		.what = "message: app is told", .has_histogram = true };
	rows[2] = (struct benchreport_row){ .name = "parallel",
		.what = "10 at once" };
	report = (struct benchreport){ .rows = rows, .row_count = ROWS,
		.relay_count = relays, .began = 1700000000,
		.took_us = 12345678 };
	report.relays[0] = (struct benchreport_relay){
		"chat.example.org", "192.0.2.1", 4 };
	report.relays[1] = (struct benchreport_relay){
		"other.example.net", "2001:db8::1", 5 };
	for (size_t k = 0; k < relays; k++) {
		add(&rows[0].cells[k], 10, 7410 + 1000 * (int64_t)k, 100);
		add(&rows[1].cells[k], 20, 31000, 1000 + (int64_t)k * 3000);
		add(&rows[2].cells[k], 40, 900000, 5000);
	}
}

static void is_table(const char *want, size_t width, const char *name)
{
	struct buf out = BUF_INIT;

	benchreport_add_table(&out, &report, width, false);
	tap_is(out.data, want, name);
	buf_free(&out);
}

static void test_table(void)
{
	begin(1);
	tap_ok(benchreport_is_complete(&report), "all is there");
	is_table(
"chat.example.org      count   median      p95      max  errors\n"
"TLS                      10  7.81 ms  8.31 ms  8.31 ms\n"
"message: app is told     20  40.0 ms  49.0 ms  50.0 ms\n"
"10 at once               40   995 ms   1.08 s   1.09 s\n", 80,
	"one relay");
}

static void test_two(void)
{
	static const char beside[] =
"                      chat.example.org                            "
"other.example.net\n"
"                      count   median      p95      max  errors    "
"count   median      p95      max  errors\n"
"TLS                      10  7.81 ms  8.31 ms  8.31 ms               "
"10  8.81 ms  9.31 ms  9.31 ms\n"
"message: app is told     20  40.0 ms  49.0 ms  50.0 ms               "
"20  67.0 ms   103 ms   107 ms\n"
"10 at once               40   995 ms   1.08 s   1.09 s               "
"40   995 ms   1.08 s   1.09 s\n";
	static const char below[] =
"                     count   median      p95      max  errors\n"
"TLS\n"
"  chat.example.org      10  7.81 ms  8.31 ms  8.31 ms\n"
"  other.example.net     10  8.81 ms  9.31 ms  9.31 ms\n"
"message: app is told\n"
"  chat.example.org      20  40.0 ms  49.0 ms  50.0 ms\n"
"  other.example.net     20  67.0 ms   103 ms   107 ms\n"
"10 at once\n"
"  chat.example.org      40   995 ms   1.08 s   1.09 s\n"
"  other.example.net     40   995 ms   1.08 s   1.09 s\n";

	begin(2);
	is_table(beside, 106, "two side by side");
	is_table(below, 105, "below each other where there is no room");
	is_table(below, 1, "and where there is none at all");
}

static void test_notes(void)
{
	begin(1);
	rows[0].cells[0].wanted = 12;
	samples_fail(&rows[0].cells[0].samples, "connection refused");
	samples_fail(&rows[0].cells[0].samples, "connection refused");
	rows[1].cells[0].waits = 4;
	rows[1].cells[0].waited_us = 8000000;
	samples_free(&rows[2].cells[0].samples);
	rows[2].cells[0].why = xstrdup("no answer\non port 465");
	rows[1].cells[0].per_second = 3.14;
	tap_ok(!benchreport_is_complete(&report), "not all is there");
	is_table(
"chat.example.org      count   median      p95      max  errors\n"
"TLS                      10  7.81 ms  8.31 ms  8.31 ms       2\n"
"message: app is told     20  40.0 ms  49.0 ms  50.0 ms\n"
"10 at once                0        -        -        -\n"
"\nThroughput:\n"
"  message: app is told: 3.1 messages a second\n"
"\nThe relay's limits were waited for, outside the figures:\n"
"  message: app is told: 4 times, 8.00 s in all\n"
"\nNot all could be measured:\n"
"  TLS: 2 x connection refused\n"
"  TLS: 10 of 12 measured\n"
"  10 at once: 0 of 40 measured; no answer\\x0aon port 465\n", 80,
	"what went wrong and what was waited for");
	begin(2);
	rows[0].cells[1].waits = 1;
	rows[2].cells[1].wanted = 1000;
	samples_fail(&rows[2].cells[1].samples, "no <a@b>");
	report.interrupted = true;
	tap_ok(!benchreport_is_complete(&report), "an interrupted one is not");
	{
		struct buf out = BUF_INIT;

		benchreport_add_notes(&out, &report, false);
		tap_is(out.data,
"\nThe relay's limits were waited for, outside the figures:\n"
"  TLS, other.example.net: 1 time, 0 ms in all\n"
"\nNot all could be measured:\n"
"  10 at once, other.example.net: 1 x no <address>\n"
"\nInterrupted: these are the figures so far.\n", "each says where");
		buf_free(&out);
	}
}

static void test_alike(void)
{
	struct buf out = BUF_INIT;

	begin(1);
	for (int i = 0; i < 3; i++) {
		samples_free(&rows[i].cells[0].samples);
		rows[i].cells[0].wanted = i ? 5 : 6;
		samples_fail(&rows[i].cells[0].samples, "no");
	}
	benchreport_add_notes(&out, &report, false);
	tap_is(out.data,
"\nNot all could be measured:\n"
"  TLS: 1 x no\n"
"  TLS: 0 of 6 measured\n"
"  message: app is told: 1 x no\n"
"  message: app is told: 0 of 5 measured\n"
"  10 at once: the same\n", "what is the same is said once");
	buf_free(&out);
}

static void test_colour(void)
{
	struct buf plain = BUF_INIT, colour = BUF_INIT, bare = BUF_INIT;

	begin(2);
	rows[0].cells[1].wanted = 99;
	samples_fail(&rows[0].cells[0].samples, "x");
	benchreport_add_table(&plain, &report, 120, false);
	benchreport_add_histograms(&plain, &report, 120, false);
	benchreport_add_table(&colour, &report, 120, true);
	benchreport_add_histograms(&colour, &report, 120, true);
	tap_ok(!strchr(plain.data, '\033'), "no colour when there shall be none");
	tap_ok(strstr(colour.data, "\033[31m") && strstr(colour.data, "\033[1m"),
	       "colours");
	for (const char *p = colour.data; *p; p++) {
		if (*p == '\033')
			p += strcspn(p, "m");
		else
			buf_addc(&bare, *p);
	}
	tap_is(bare.data, plain.data, "are all that is different");
	buf_free(&plain);
	buf_free(&colour);
	buf_free(&bare);
}

static void is_histograms(const char *want, size_t width, const char *name)
{
	struct buf out = BUF_INIT;

	benchreport_add_histograms(&out, &report, width, false);
	tap_is(out.data, want, name);
	buf_free(&out);
}

static void test_histograms(void)
{
	struct samples *s = &rows[1].cells[0].samples;

	begin(1);
	for (int i = 0; i < 6; i++)
		samples_add(s, 33000);
	samples_add(s, 900000);
	is_histograms(
"\nmessage: app is told\n"
"  30.0 ms - 35.0 ms |################ 10\n"
"  35.0 ms - 40.0 ms |######## 5\n"
"  40.0 ms - 45.0 ms |######## 5\n"
"  45.0 ms - 50.0 ms |######## 5\n"
"  50.0 ms - 55.0 ms |# 1\n"
"       from 55.0 ms |# 1\n", 42, "one relay");
	begin(2);
	is_histograms(
"\nmessage: app is told\n"
"                     chat.example.o other.example.\n"
"  30.0 ms - 40.0 ms |######### 9    ### 3\n"
"  40.0 ms - 50.0 ms |########## 10  ## 2\n"
"  50.0 ms - 60.0 ms |# 1            ### 3\n"
"  60.0 ms - 70.0 ms |               ## 2\n"
"  70.0 ms - 80.0 ms |               ### 3\n"
"  80.0 ms - 90.0 ms |               ## 2\n"
"   90.0 ms - 100 ms |               ### 3\n"
"    100 ms - 110 ms |               ## 2\n", 0, "two in the same bins, and no room");
	begin(1);
	samples_free(s);
	is_histograms("", 80, "nothing of no values");
}

/* ---- JSON ---------------------------------------------------------------------- */

static const cJSON *at(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

static double number(const cJSON *o, const char *name)
{
	return cJSON_IsNumber(at(o, name)) ? at(o, name)->valuedouble : -999;
}

static void test_json(void)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	const cJSON *row, *relay;
	cJSON *made, *o;

	begin(2);
	samples_free(&rows[2].cells[1].samples);
	samples_fail(&rows[2].cells[1].samples, "450 no \"more\" \x01\xff");
	rows[2].cells[1].why = xstrdup("gave up");
	made = benchreport_json(&report);
	json_print(&text, made);
	o = json_parse(text.data, text.len, &err);
	tap_is(err.data, "", "valid JSON");
	tap_ok(cJSON_IsFalse(at(o, "complete")) &&
	       cJSON_IsFalse(at(o, "interrupted")) &&
	       number(o, "took_ms") == 12345.678 &&
	       number(o, "time") == 1700000000, "about all");
	relay = cJSON_GetArrayItem(at(o, "relays"), 1);
	tap_ok(cJSON_GetArraySize(at(o, "relays")) == 2 &&
	       strcmp(cJSON_GetStringValue(at(relay, "relay")),
		      "other.example.net") == 0 &&
	       number(relay, "accounts") == 5, "about a relay");
	row = cJSON_GetArrayItem(at(relay, "rows"), 0);
	tap_ok(number(row, "count") == 10 && number(row, "wanted") == 10 &&
	       number(row, "min_ms") == 8.41 && number(row, "p95_ms") == 9.31 &&
	       number(row, "median_ms") == 8.81 && number(row, "max_ms") == 9.31,
	       "a row");
	tap_ok(cJSON_GetArraySize(at(row, "values_ms")) == 10 &&
	       cJSON_GetArrayItem(at(row, "values_ms"), 1)->valuedouble == 8.51,
	       "its values");
	row = cJSON_GetArrayItem(at(relay, "rows"), 2);
	tap_ok(number(row, "count") == 0 && cJSON_IsNull(at(row, "median_ms")),
	       "one without values");
	tap_is(cJSON_GetStringValue(at(cJSON_GetArrayItem(at(row, "errors"), 0),
				       "reason")),
	       "450 no \"more\"  \xff", "its error");
	tap_is(cJSON_GetStringValue(at(row, "ended")), "gave up", "and its end");
	cJSON_Delete(o);
	cJSON_Delete(made);
	buf_free(&text);
	buf_free(&err);
}

int main(void)
{
	test_table();
	test_two();
	test_notes();
	test_alike();
	test_colour();
	test_histograms();
	test_json();
	begin(0);
	return tap_done();
}
