/* What deploy prints: a live list of steps for people, lines of JSON for
 * programs. */
#include "applets/deploy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "text/json.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + t.tv_nsec / 1e9;
}

/* ---- JSON ------------------------------------------------------------------- */

static void add_text(struct buf *out, const char *name, const char *value)
{
	buf_addc(out, ',');
	buf_add_json(out, name);
	buf_addc(out, ':');
	buf_add_json(out, value);
}

static const char *const text_names[] = {
	[PLAN_BEGINS] = "progress", [PLAN_UNCHANGED] = "changes",
	[PLAN_CHANGED] = "changes", [PLAN_FAILED] = "error",
};

static void print_json(const struct plan_event *e)
{
	struct buf out = BUF_INIT;

	buf_addf(&out, "{\"stage\":\"%s\"", plan_stage_names[e->stage]);
	add_text(&out, "step", e->step);
	add_text(&out, "result", plan_result_names[e->result]);
	buf_addf(&out, ",\"seconds\":%.3f", e->secs);
	if (*e->text)
		add_text(&out, text_names[e->result], e->text);
	if (*e->warnings)
		add_text(&out, "warnings", e->warnings);
	printf("%s}\n", out.data);
	buf_free(&out);
}

/* ---- people ----------------------------------------------------------------- */

static const char *colour_of(const struct deploy *d, enum plan_result result)
{
	static const char *const colours[] = {
		[PLAN_BEGINS] = "\033[2m", [PLAN_UNCHANGED] = "\033[2m",
		[PLAN_CHANGED] = "\033[32m", [PLAN_FAILED] = "\033[31m",
	};

	return d->colour ? colours[result] : "";
}

static void print_lines(const struct deploy *d, const char *mark,
			const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		struct buf line = BUF_INIT;

		buf_add_printable(&line, text, n);
		if (n > 0)
			printf("             %s%s\n", mark, line.data);
		buf_free(&line);
		text += n;
		text += *text == '\n';
	}
}

static const char *word_for(const struct deploy *d, enum plan_result result)
{
	if (result == PLAN_CHANGED && d->dry_run)
		return "would change";
	return plan_result_names[result];
}

static void print_step(const struct deploy *d, const struct plan_event *e)
{
	const char *end = d->colour ? "\033[0m" : "";

	if (e->result == PLAN_BEGINS) {
		if (d->live)
			printf("\r\033[K  ...        %-10s %-20s %s",
			       plan_stage_names[e->stage], e->step, e->text);
		fflush(stdout);
		return;
	}
	if (d->live)
		printf("\r\033[K");
	printf("  %s%-12s%s %-10s %-20s %6.1f s\n", colour_of(d, e->result),
	       word_for(d, e->result), end, plan_stage_names[e->stage],
	       e->step, e->secs);
	print_lines(d, e->result == PLAN_FAILED ? "" : "- ", e->text);
	print_lines(d, "warning: ", e->warnings);
	fflush(stdout);
}

void deploy_show(struct deploy *d, const struct plan_event *e)
{
	d->failed += e->result == PLAN_FAILED;
	if (d->json)
		print_json(e);
	else
		print_step(d, e);
	fflush(stdout);
}

static void print_end(const struct deploy *d, int changes, const char *diff)
{
	double secs = now() - d->began;

	if (*diff)
		printf("\n%s", diff);
	if (changes < 0)
		printf("\nFailed after %.1f s.\n", secs);
	else if (changes == 0)
		printf("\nNothing to change, after %.1f s.\n", secs);
	else
		printf("\n%d step%s %s, after %.1f s.\n", changes,
		       changes == 1 ? "" : "s", d->dry_run ?
		       "would change something" : "changed something", secs);
}

void deploy_show_end(struct deploy *d, int changes, const char *diff)
{
	struct buf out = BUF_INIT;

	d->has_ended = true;
	if (!d->json) {
		print_end(d, changes, diff);
	} else {
		buf_addf(&out, "{\"end\":\"%s\",\"changes\":%d,"
			 "\"seconds\":%.3f", changes < 0 ? "failed" : "ok",
			 changes < 0 ? 0 : changes, now() - d->began);
		if (*diff)
			add_text(&out, "diff", diff);
		printf("%s}\n", out.data);
	}
	fflush(stdout);
	buf_free(&out);
}

void deploy_fail(struct deploy *d, const char *fmt, ...)
{
	struct buf text = BUF_INIT, out = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	d->has_ended = true;
	if (d->live)
		printf("\r\033[K");
	fflush(stdout);
	if (d->json) {
		buf_adds(&out, "{\"end\":\"failed\"");
		add_text(&out, "error", text.data);
		printf("%s}\n", out.data);
		fflush(stdout);
	} else {
		fprintf(stderr, "chatmail deploy: %s\n", text.data);
	}
	buf_free(&text);
	buf_free(&out);
}

/* ---- what a host prints ----------------------------------------------------- */

static const char *text_of(const cJSON *o, const char *name)
{
	const char *s = cJSON_GetStringValue(
		cJSON_GetObjectItemCaseSensitive(o, name));

	return s ? s : "";
}

static double number_of(const cJSON *o, const char *name)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, name);

	return cJSON_IsNumber(n) ? n->valuedouble : 0;
}

static int index_of(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static bool show_step(struct deploy *d, const cJSON *o)
{
	int stage = index_of(plan_stage_names, PLAN_STAGES,
			     text_of(o, "stage"));
	int result = index_of(plan_result_names, PLAN_FAILED + 1,
			      text_of(o, "result"));

	if (stage < 0 || result < 0)
		return false;
	deploy_show(d, &(struct plan_event) {
		.stage = (enum plan_stage)stage,
		.result = (enum plan_result)result,
		.step = text_of(o, "step"), .secs = number_of(o, "seconds"),
		.text = text_of(o, text_names[result]),
		.warnings = text_of(o, "warnings") });
	return true;
}

static bool show_end(struct deploy *d, const cJSON *o)
{
	const char *end = text_of(o, "end");

	if (!*end)
		return false;
	if (*text_of(o, "error"))
		deploy_fail(d, "%s", text_of(o, "error"));
	else
		deploy_show_end(d, strcmp(end, "ok") == 0 ?
				(int)number_of(o, "changes") : -1,
				text_of(o, "diff"));
	return true;
}

void deploy_show_line(struct deploy *d, const char *line)
{
	struct buf err = BUF_INIT, safe = BUF_INIT;
	cJSON *o = json_parse(line, strlen(line), &err);

	if (!o || (!show_step(d, o) && !show_end(d, o))) {
		buf_add_printable(&safe, line, strlen(line));
		fprintf(stderr, "%s\n", safe.data);
	}
	cJSON_Delete(o);
	buf_free(&err);
	buf_free(&safe);
}
