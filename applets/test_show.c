/* How a run is shown: to people while it goes on, as TAP, as JSON. */
#include "applets/test.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/term.h"
#include "text/json.h"

enum { NAME_WIDTH = 19 };

struct test_show {
	enum test_format format;
	const struct test *test;
	bool is_terminal, colour;
	double began;
	size_t count[TEST_SKIPPED + 1], done;
	cJSON *checks;
};

static const struct {
	const char *json, *text, *colour;
} results[] = {
	[TEST_OK] = { "ok", "ok", "\033[32m" },
	[TEST_FAILED] = { "failed", "FAILED", "\033[31m" },
	[TEST_BLOCKED] = { "blocked", "blocked", "\033[33m" },
	[TEST_SKIPPED] = { "skipped", "skipped", "\033[36m" },
};

struct test_show *test_show_new(enum test_format format, const struct test *t,
				size_t count)
{
	struct test_show *s = xcalloc(1, sizeof(*s));

	s->format = format;
	s->test = t;
	s->began = clock_secs();
	s->is_terminal = format == TEST_TEXT && isatty(STDOUT_FILENO);
	s->colour = format == TEST_TEXT && term_has_colour(STDOUT_FILENO);
	s->checks = cJSON_CreateArray();
	if (format == TEST_TAP)
		printf("1..%zu\n", count);
	if (format == TEST_TEXT)
		printf("%s%s%s%s\n\n", t->relay.name,
		       t->relay.host != t->relay.name ? " at " : "",
		       t->relay.host != t->relay.name ? t->relay.host : "",
		       t->relay.is_sandbox ? ", a sandbox" : "");
	fflush(stdout);
	return s;
}

void test_show_begins(struct test_show *s, const struct test_check *c)
{
	if (!s->is_terminal)
		return;
	printf("  ...      %s", c->name);
	fflush(stdout);
}

static void show_text(struct test_show *s, const struct test_check *c,
		      enum test_result result, const char *said)
{
	if (s->is_terminal)
		fputs("\r\033[K", stdout);
	printf("  %s%-8s%s %-*s %s\n", s->colour ? results[result].colour : "",
	       results[result].text, s->colour ? "\033[0m" : "", NAME_WIDTH,
	       c->name, said);
	if (result == TEST_FAILED)
		printf("%*s it should be: %s\n", NAME_WIDTH + 11, "",
		       c->proves);
}

static void show_tap(const struct test_show *s, const struct test_check *c,
		     enum test_result result, const char *said)
{
	bool is_ok = result == TEST_OK || result == TEST_SKIPPED;

	printf("%s %zu - %s: %s%s%s\n", is_ok ? "ok" : "not ok", s->done,
	       c->name, c->proves, result == TEST_SKIPPED ? " # SKIP " : "",
	       result == TEST_SKIPPED ? said : "");
	if (result != TEST_SKIPPED && *said)
		printf("# %s%s\n", result == TEST_BLOCKED ? "not tried: " : "",
		       said);
}

static void keep_json(struct test_show *s, const struct test_check *c,
		      enum test_result result, const char *said, double secs)
{
	double ms = (double)(long long)(s->test->took * 1e6) / 1e3;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddItemToArray(s->checks, o);
	cJSON_AddStringToObject(o, "name", c->name);
	cJSON_AddStringToObject(o, "proves", c->proves);
	cJSON_AddStringToObject(o, "result", results[result].json);
	cJSON_AddStringToObject(o, "said", said);
	cJSON_AddNumberToObject(o, "secs",
				(double)(long long)(secs * 1e3) / 1e3);
	if (s->test->took > 0 && result == TEST_OK)
		cJSON_AddNumberToObject(o, "delivery_ms", ms);
}

void test_show_ends(struct test_show *s, const struct test_check *c,
		    enum test_result result, const struct test *t, double secs)
{
	s->count[result]++;
	s->done++;
	switch (s->format) {
	case TEST_TEXT:
		show_text(s, c, result, t->said.data);
		break;
	case TEST_TAP:
		show_tap(s, c, result, t->said.data);
		break;
	case TEST_JSON:
		keep_json(s, c, result, t->said.data, secs);
		break;
	}
	fflush(stdout);
}

static void print_json(const struct test_show *s, bool is_ok, double secs)
{
	cJSON *o = cJSON_CreateObject();
	struct buf out = BUF_INIT;

	cJSON_AddStringToObject(o, "domain", s->test->relay.name);
	if (s->test->has_second)
		cJSON_AddStringToObject(o, "second",
					s->test->second.name);
	cJSON_AddBoolToObject(o, "ok", is_ok);
	for (size_t i = 0; i < ARRAY_LEN(s->count); i++)
		if (i != TEST_OK)
			cJSON_AddNumberToObject(o, results[i].json,
						(double)s->count[i]);
	cJSON_AddNumberToObject(o, "passed", (double)s->count[TEST_OK]);
	cJSON_AddNumberToObject(o, "secs",
				(double)(long long)(secs * 1e3) / 1e3);
	cJSON_AddItemToObject(o, "checks", cJSON_Duplicate(s->checks, true));
	json_print(&out, o);
	puts(out.data);
	buf_free(&out);
	cJSON_Delete(o);
}

static void print_text(const struct test_show *s, bool is_ok, double secs)
{
	const char *comma = "";

	putchar('\n');
	for (size_t i = 0; i < ARRAY_LEN(s->count); i++) {
		if (!s->count[i])
			continue;
		printf("%s%zu %s", comma, s->count[i], results[i].json);
		comma = ", ";
	}
	printf(", in %.1f s%s\n", secs, is_ok ? "" :
	       ": the relay does not work as it should");
}

bool test_show_end(struct test_show *s)
{
	bool is_ok = !s->count[TEST_FAILED] && !s->count[TEST_BLOCKED];
	double secs = clock_secs() - s->began;

	if (s->format == TEST_JSON)
		print_json(s, is_ok, secs);
	if (s->format == TEST_TEXT)
		print_text(s, is_ok, secs);
	cJSON_Delete(s->checks);
	free(s);
	return is_ok;
}
