#include "text/figures.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

/* Integers up to there are exact. */
static const double EXACT_MAX = 9007199254740992.;

void figures_free(struct figures *f)
{
	arena_free(&f->arena);
	*f = (struct figures){ 0 };
}

/* ---- adding --------------------------------------------------------------------- */

static struct figures_family *family(struct figures *f, enum figures_type type,
				     const char *name, const char *help)
{
	struct figures_family *i = f->families;

	while (i && strcmp(i->name, name) != 0)
		i = i->next;
	if (i)
		return i;
	i = arena_alloc(&f->arena, sizeof(*i));
	i->name = arena_strdup(&f->arena, name);
	i->help = arena_strdup(&f->arena, help);
	i->type = type;
	if (f->last)
		f->last->next = i;
	else
		f->families = i;
	f->last = i;
	return i;
}

static struct figures_sample *sample(struct figures *f,
				     struct figures_family *of,
				     const char *labels)
{
	struct figures_sample *i = of->samples;

	while (i && strcmp(i->labels, labels) != 0)
		i = i->next;
	if (i || f->count == FIGURES_SAMPLES_MAX)
		return i;
	i = arena_alloc(&f->arena, sizeof(*i));
	i->labels = arena_strdup(&f->arena, labels);
	if (of->last)
		of->last->next = i;
	else
		of->samples = i;
	of->last = i;
	f->count++;
	return i;
}

int figures_add(struct figures *f, enum figures_type type, const char *name,
		const char *help, const char *labels, double value)
{
	struct figures_family *of = family(f, type, name, help);
	struct figures_sample *s;

	if (of->type != type)
		return -1;
	s = sample(f, of, labels);
	if (!s || !isfinite(s->value + value))
		return -1;
	s->value += value;
	return 0;
}

void figures_add_label(struct buf *out, const char *name, const char *value)
{
	buf_addf(out, "%s%s=\"", out->len ? "," : "", name);
	for (; *value; value++) {
		if (*value == '\n')
			buf_adds(out, "\\n");
		else if (*value == '\\' || *value == '"')
			buf_addf(out, "\\%c", *value);
		else
			buf_addc(out, *value);
	}
	buf_addc(out, '"');
}

/* ---- printing ------------------------------------------------------------------- */

static void print_value(struct buf *out, double v)
{
	if (v == rint(v) && fabs(v) <= EXACT_MAX)
		buf_addf(out, "%.0f", v);
	else
		buf_addf(out, "%.15g", v);
}

static void print_samples(struct buf *out, const struct figures_family *f)
{
	for (const struct figures_sample *s = f->samples; s; s = s->next) {
		bool has_labels = *s->labels;

		buf_addf(out, "%s%s%s%s%s ", f->name,
			 f->type == FIGURES_COUNTER ? "_total" : "",
			 has_labels ? "{" : "", s->labels,
			 has_labels ? "}" : "");
		print_value(out, s->value);
		buf_addc(out, '\n');
	}
}

/* OpenMetrics wants to hear the unit that a name ends in. */
static void print_unit(struct buf *out, const char *name)
{
	static const char *const units[] = { "seconds", "bytes" };

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t n = strlen(name), len = strlen(units[i]);

		if (n > len && name[n - len - 1] == '_' &&
		    str_ends(name, units[i]))
			buf_addf(out, "# UNIT %s %s\n", name, units[i]);
	}
}

static void print_openmetrics(struct buf *out, const struct figures_family *f)
{
	static const char *const types[] = {
		[FIGURES_COUNTER] = "counter", [FIGURES_GAUGE] = "gauge",
		[FIGURES_UNKNOWN] = "unknown",
	};

	buf_addf(out, "# TYPE %s %s\n", f->name, types[f->type]);
	print_unit(out, f->name);
	if (*f->help)
		buf_addf(out, "# HELP %s %s\n", f->name, f->help);
	print_samples(out, f);
}

static void print_prometheus(struct buf *out, const struct figures_family *f)
{
	static const char *const types[] = {
		[FIGURES_COUNTER] = "counter", [FIGURES_GAUGE] = "gauge",
		[FIGURES_UNKNOWN] = "untyped",
	};
	const char *suffix = f->type == FIGURES_COUNTER ? "_total" : "";

	if (*f->help)
		buf_addf(out, "# HELP %s%s %s\n", f->name, suffix, f->help);
	buf_addf(out, "# TYPE %s%s %s\n", f->name, suffix, types[f->type]);
	print_samples(out, f);
}

/* Labels were checked or made by us: NAME="VALUE", by commas. */
static void print_json_labels(struct buf *out, const char *p)
{
	struct buf value = BUF_INIT;

	for (const char *comma = ""; *p; comma = ", ") {
		size_t n = strcspn(p, "=");

		buf_addf(out, "%s\"%.*s\": ", comma, (int)n, p);
		buf_reset(&value);
		for (p += n + 2; *p != '"'; p++) {
			bool is_escaped = *p == '\\';

			p += is_escaped;
			buf_addc(&value, is_escaped && *p == 'n' ? '\n' : *p);
		}
		buf_add_json(out, value.data);
		p += 1 + (p[1] == ',');
	}
	buf_free(&value);
}

static void print_json(struct buf *out, const struct figures_family *f)
{
	const char *comma = "";

	buf_addf(out, "\"%s%s\": [", f->name,
		 f->type == FIGURES_COUNTER ? "_total" : "");
	for (const struct figures_sample *s = f->samples; s; s = s->next) {
		buf_addf(out, "%s{\"labels\": {", comma);
		print_json_labels(out, s->labels);
		buf_adds(out, "}, \"value\": ");
		print_value(out, s->value);
		buf_addc(out, '}');
		comma = ", ";
	}
	buf_addc(out, ']');
}

void figures_print(const struct figures *f, enum figures_format format,
		   struct buf *out)
{
	static const struct {
		void (*print)(struct buf *out, const struct figures_family *f);
		const char *before, *between, *after;
	} formats[] = {
		[FIGURES_OPENMETRICS] = { print_openmetrics, "", "", "# EOF\n" },
		[FIGURES_PROMETHEUS] = { print_prometheus, "", "", "" },
		[FIGURES_JSON] = { print_json, "{", ",\n", "}\n" },
	};
	bool is_first = true;

	buf_adds(out, formats[format].before);
	for (const struct figures_family *i = f->families; i; i = i->next) {
		if (!i->samples)
			continue;
		if (!is_first)
			buf_adds(out, formats[format].between);
		is_first = false;
		formats[format].print(out, i);
	}
	buf_adds(out, formats[format].after);
}
