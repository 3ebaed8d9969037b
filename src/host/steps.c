#include "host/steps.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

const char *const plan_stage_names[PLAN_STAGES] = {
	"check", "install", "configure", "activate",
};
const char *const plan_result_names[PLAN_FAILED + 1] = {
	"begins", "unchanged", "changed", "failed",
};

/* Between two lines of progress. */
static const double PROGRESS_SECS = .5;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + t.tv_nsec / 1e9;
}

void plan_tell(struct plan *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&p->told, fmt, ap);
	va_end(ap);
	buf_addc(&p->told, '\n');
}

void plan_warn(struct plan *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&p->warned, fmt, ap);
	va_end(ap);
	buf_addc(&p->warned, '\n');
}

void plan_progress(struct plan *p, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	double t = now();
	va_list ap;

	if (t < p->running.shown + PROGRESS_SECS)
		return;
	p->running.shown = t;
	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	p->on_event(p, &(struct plan_event) {
		.stage = p->running.stage, .step = p->running.name,
		.result = PLAN_BEGINS, .secs = t - p->running.began,
		.text = text.data, .warnings = "" });
	buf_free(&text);
}

bool plan_wants(const struct plan *p, const char *when)
{
	return layout_holds(&p->layout, when);
}

/* ---- steps ------------------------------------------------------------------ */

struct step step_begin(struct plan *p, enum plan_stage stage,
		       const char *name)
{
	struct step s = { p, stage, name, now() };

	buf_reset(&p->told);
	buf_reset(&p->warned);
	p->running.stage = stage;
	p->running.name = name;
	p->running.began = p->running.shown = s.began;
	p->on_event(p, &(struct plan_event) {
		.stage = stage, .step = name, .result = PLAN_BEGINS,
		.text = "", .warnings = "" });
	return s;
}

int step_end(struct step *s, int ret, const struct buf *err)
{
	struct plan *p = s->p;

	if (ret == 0 && p->told.len > 0)
		p->changes++;
	p->on_event(p, &(struct plan_event) {
		.stage = s->stage, .step = s->name, .secs = now() - s->began,
		.result = ret < 0 ? PLAN_FAILED :
			  p->told.len > 0 ? PLAN_CHANGED : PLAN_UNCHANGED,
		.text = ret < 0 ? err->data : p->told.data,
		.warnings = p->warned.data });
	return ret;
}

bool plan_may_change(const struct plan *p)
{
	return !p->dry_run && !p->is_collecting;
}
