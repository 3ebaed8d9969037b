#include "text/figures.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { NUMBER_MAX = 32 };

/* The family whose lines are being read. */
struct reader {
	struct figures *to;
	char *name;		/* NULL: none yet */
	char *help;
	enum figures_type type;
	bool has_type, has_help, has_samples, eof;
};

static bool is_name_byte(char c, bool is_first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!is_first && c >= '0' && c <= '9');
}

/* Length of the name at p, 0 when none is. */
static size_t name_length(const char *p)
{
	size_t n = 0;

	while (is_name_byte(p[n], n == 0))
		n++;
	return n;
}

/* ---- descriptions ----------------------------------------------------------------- */

static void reader_forget(struct reader *r)
{
	free(r->name);
	free(r->help);
	*r = (struct reader){ .to = r->to };
}

static bool reader_is_at(const struct reader *r, const char *p, size_t n)
{
	return r->name && strlen(r->name) == n && memcmp(r->name, p, n) == 0;
}

static const char *read_type(struct reader *r, const char *value)
{
	static const char *const types[] = {
		[FIGURES_COUNTER] = "counter", [FIGURES_GAUGE] = "gauge",
		[FIGURES_UNKNOWN] = "unknown",
	};

	if (r->has_type)
		return "a second TYPE";
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(value, types[i]) != 0)
			continue;
		r->type = (enum figures_type)i;
		r->has_type = true;
		return NULL;
	}
	return "a type that is not known here";
}

static const char *read_help(struct reader *r, const char *value)
{
	if (r->has_help)
		return "a second HELP";
	for (const char *p = value; *p; p++)
		if (*p == '\\' && *++p != '\\' && *p != 'n')
			return "a wrong escape";
	r->help = xstrdup(value);
	r->has_help = true;
	return NULL;
}

static const char *read_unit(struct reader *r, const char *value)
{
	size_t n = strlen(r->name), len = strlen(value);

	if (!len || n <= len || r->name[n - len - 1] != '_' ||
	    !str_ends(r->name, value))
		return "a unit that is not in the name";
	return NULL;
}

static const struct {
	const char *word;
	const char *(*read)(struct reader *r, const char *value);
} descriptions[] = {
	{ "# TYPE ", read_type },
	{ "# HELP ", read_help },
	{ "# UNIT ", read_unit },
};

/* A line that begins with #. NULL, or what is wrong. */
static const char *read_description(struct reader *r, const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(descriptions); i++) {
		const char *p = line + strlen(descriptions[i].word);
		size_t n;

		if (!str_starts(line, descriptions[i].word))
			continue;
		n = name_length(p);
		if (!n || p[n] != ' ')
			return "no name";
		if (!reader_is_at(r, p, n)) {
			reader_forget(r);
			r->name = xstrndup(p, n);
			r->type = FIGURES_UNKNOWN;
		}
		if (str_ends(r->name, "_total"))
			return "a family is named without _total";
		if (r->has_samples)
			return "a description after samples";
		return descriptions[i].read(r, p + n + 1);
	}
	return "a comment";
}

/* ---- samples ------------------------------------------------------------------------ */

/* The label at p; its length, or 0 when it is none. */
static size_t label_length(const char *p)
{
	size_t n = name_length(p);

	if (!n || p[n] != '=' || p[n + 1] != '"')
		return 0;
	for (n += 2; p[n] != '"'; n++) {
		bool is_escaped = p[n] == '\\';

		n += is_escaped;
		if (!p[n] || (is_escaped && !strchr("\\\"n", p[n])))
			return 0;
	}
	return n + 1;
}

static bool is_same_name(const char *a, const char *b)
{
	size_t n = name_length(a);

	return n == name_length(b) && memcmp(a, b, n) == 0;
}

/* Behind the brace: NULL with where the labels end, or what is wrong. */
static const char *read_labels(const char *p, const char **end)
{
	const char *seen[FIGURES_LABELS_MAX];
	size_t count = 0;

	for (;;) {
		size_t n = label_length(p);

		if (!n)
			return "a wrong label";
		if (count == FIGURES_LABELS_MAX)
			return "too many labels";
		for (size_t i = 0; i < count; i++)
			if (is_same_name(seen[i], p))
				return "a label twice";
		seen[count++] = p;
		p += n;
		if (*p == '}')
			break;
		if (*p++ != ',')
			return "a wrong label";
	}
	*end = p;
	return NULL;
}

static bool read_number(const char *p, double *value)
{
	char *end;

	/* strtod(3) knows more than OpenMetrics: hexadecimal, blanks */
	if (!*p || strlen(p) > NUMBER_MAX ||
	    p[strspn(p, "0123456789.eE+-")])
		return false;
	*value = strtod(p, &end);
	return !*end && isfinite(*value);
}

static const char *read_sample(struct reader *r, const char *line)
{
	size_t n = name_length(line), full = n;
	const char *p = line + n, *end = p, *wrong = NULL;
	char *labels;
	double value;
	int ret;

	if (r->type == FIGURES_COUNTER && r->has_type) {
		if (n < 6 || memcmp(line + n - 6, "_total", 6) != 0)
			return "a counter without _total";
		full = n - 6;
	}
	if (!n || !reader_is_at(r, line, full))
		return "a sample outside of its family";
	if (*p == '{') {
		wrong = read_labels(++p, &end);
		if (wrong)
			return wrong;
	}
	labels = xstrndup(p, (size_t)(end - p));
	p = end + (*end == '}');
	if (*p != ' ' || !read_number(p + 1, &value) ||
	    (r->type != FIGURES_GAUGE && value < 0)) {
		free(labels);
		return "a wrong value";
	}
	r->has_samples = true;
	ret = figures_add(r->to, r->type, r->name, r->help ? r->help : "",
			  labels, value);
	free(labels);
	return ret < 0 ? "another type than elsewhere, or too many samples" :
			 NULL;
}

/* ---- the text ----------------------------------------------------------------------- */

static const char *read_line(struct reader *r, const char *line, size_t n)
{
	if (r->eof)
		return "something after the end";
	if (strlen(line) != n || !utf8_is_valid(line, n))
		return "not UTF-8 text";
	if (strcmp(line, "# EOF") == 0) {
		r->eof = true;
		return NULL;
	}
	return *line == '#' ? read_description(r, line) : read_sample(r, line);
}

int figures_parse(struct figures *f, const char *text, size_t n,
		  struct buf *err)
{
	struct reader r = { .to = f };
	const char *wrong = n > FIGURES_TEXT_MAX ? "too long" : NULL;
	unsigned number = 0;

	while (!wrong && n) {
		const char *lf = memchr(text, '\n', n);
		size_t len = lf ? (size_t)(lf - text) : n;
		char *line = xstrndup(text, len);

		number++;
		wrong = lf ? read_line(&r, line, len) : "half a line";
		free(line);
		text += len + !!lf;
		n -= len + !!lf;
	}
	if (!wrong && !r.eof)
		wrong = "no end";
	if (wrong)
		buf_setf(err, "line %u: %s", number, wrong);
	reader_forget(&r);
	return wrong ? -1 : 0;
}
