#include "text/tmpl.h"

#include "base/str.h"

struct frame {
	bool parent_shows;	/* what stands around the if is shown */
	bool shows;		/* this branch is */
	bool has_else;
	unsigned line;		/* of the if, for a missing endif */
};

struct render {
	struct buf *out, *err;
	const struct tmpl_vars *vars;
	const char *file;
	unsigned line;
	unsigned depth;
	struct frame stack[TMPL_DEPTH_MAX];
};

/* The inside of one tag, read from the left. */
struct cursor {
	const char *p, *end;
};

__attribute__((format(printf, 3, 4)))
static int fail(struct render *r, unsigned line, const char *fmt, ...)
{
	va_list ap;

	buf_reset(r->err);
	va_start(ap, fmt);
	buf_vaddf(r->err, fmt, ap);
	va_end(ap);
	buf_prefixf(r->err, "%s:%u: ", r->file, line);
	return -1;
}

static bool shows(const struct render *r)
{
	return r->depth == 0 || r->stack[r->depth - 1].shows;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '.';
}

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && is_blank(*c->p))
		c->p++;
}

static bool at_end(struct cursor *c)
{
	skip_blanks(c);
	return c->p == c->end;
}

/* The next word into name; false when there is none or it is too long. */
static bool take_name(struct cursor *c, char name[TMPL_NAME_MAX + 1])
{
	size_t n = 0;

	skip_blanks(c);
	while (c->p < c->end && is_name_char(*c->p)) {
		if (n == TMPL_NAME_MAX)
			return false;
		name[n++] = *c->p++;
	}
	name[n] = '\0';
	return n > 0;
}

static int take_value(struct render *r, const char *name, const char **value)
{
	*value = r->vars->lookup(r->vars, name);
	if (!*value)
		return fail(r, r->line, "unknown name \"%s\"", name);
	return 0;
}

/* == "text" or != "text" after a name: 1 there and true, 0 there and not, -1
 * error, 2 nothing there. */
static int take_comparison(struct render *r, struct cursor *c,
			   const char *value)
{
	const char *operator, *text;
	bool equal;
	size_t n;

	if (at_end(c))
		return 2;
	if (c->end - c->p < 2 || c->p[1] != '=' ||
	    (c->p[0] != '=' && c->p[0] != '!'))
		return fail(r, r->line, "expected == or != after the name");
	operator = *c->p == '=' ? "==" : "!=";
	c->p += 2;
	skip_blanks(c);
	if (c->p == c->end || (*c->p != '"' && *c->p != '\''))
		return fail(r, r->line, "expected \"text\" after %s", operator);
	text = c->p++;
	while (c->p < c->end && *c->p != *text)
		c->p++;
	if (c->p == c->end)
		return fail(r, r->line, "the text after %s has no end",
			    operator);
	n = (size_t)(c->p++ - ++text);
	equal = strlen(value) == n && memcmp(value, text, n) == 0;
	return equal == (*operator == '=');
}

static int take_condition(struct render *r, struct cursor *c, bool *result)
{
	char name[TMPL_NAME_MAX + 1];
	bool negated = false;
	const char *value;
	int equal;

	if (!take_name(c, name))
		return fail(r, r->line, "if needs a name");
	if (strcmp(name, "not") == 0) {
		negated = true;
		if (!take_name(c, name))
			return fail(r, r->line, "if not needs a name");
	}
	if (take_value(r, name, &value) < 0)
		return -1;
	equal = take_comparison(r, c, value);
	if (equal < 0)
		return -1;
	*result = (equal == 2 ? tmpl_is_true(value) : equal) != negated;
	return 0;
}

static int tag_if(struct render *r, struct cursor *c)
{
	bool visible = shows(r);
	bool result = false;

	if (take_condition(r, c, &result) < 0)
		return -1;
	if (r->depth == TMPL_DEPTH_MAX)
		return fail(r, r->line, "more than %d ifs inside each other",
			    TMPL_DEPTH_MAX);
	r->stack[r->depth++] = (struct frame) {
		.parent_shows = visible,
		.shows = visible && result,
		.line = r->line,
	};
	return 0;
}

static int tag_else(struct render *r, struct cursor *c)
{
	struct frame *f;

	(void)c;
	if (r->depth == 0)
		return fail(r, r->line, "else without if");
	f = &r->stack[r->depth - 1];
	if (f->has_else)
		return fail(r, r->line, "second else of the if in line %u",
			    f->line);
	f->has_else = true;
	f->shows = f->parent_shows && !f->shows;
	return 0;
}

static int tag_endif(struct render *r, struct cursor *c)
{
	(void)c;
	if (r->depth == 0)
		return fail(r, r->line, "endif without if");
	r->depth--;
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct render *r, struct cursor *c);
} tags[] = {
	{ "if", tag_if },
	{ "else", tag_else },
	{ "endif", tag_endif },
};

static int run_tag(struct render *r, struct cursor *c)
{
	char name[TMPL_NAME_MAX + 1];

	if (!take_name(c, name))
		return fail(r, r->line, "{%% %%} without a word");
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		if (strcmp(tags[i].name, name) != 0)
			continue;
		if (tags[i].run(r, c) < 0)
			return -1;
		if (!at_end(c))
			return fail(r, r->line, "text after %s", name);
		return 0;
	}
	return fail(r, r->line, "unknown tag \"%s\"", name);
}

static int run_value(struct render *r, struct cursor *c)
{
	char name[TMPL_NAME_MAX + 1];
	const char *value;

	if (!take_name(c, name) || !at_end(c))
		return fail(r, r->line, "{{ }} needs one name");
	if (take_value(r, name, &value) < 0)
		return -1;
	if (!shows(r))
		return 0;
	if (r->vars->add)
		r->vars->add(r->vars, r->out, name, value);
	else
		buf_adds(r->out, value);
	return 0;
}

/* Where the two bytes stand at or after p, or NULL. */
static const char *find_pair(const char *p, const char *end, const char *pair)
{
	for (; end - p >= 2; p++)
		if (p[0] == pair[0] && p[1] == pair[1])
			return p;
	return NULL;
}

static const char *find_opening(const char *p, const char *end)
{
	for (; end - p >= 2; p++)
		if (p[0] == '{' && (p[1] == '{' || p[1] == '%'))
			return p;
	return NULL;
}

/* True when p..end is tags and white space, with at least one tag. */
static bool is_tag_line(const char *p, const char *end)
{
	bool seen = false;

	for (; p < end; p++) {
		if (is_blank(*p))
			continue;
		if (end - p < 2 || p[0] != '{' || p[1] != '%')
			return false;
		p = find_pair(p + 2, end, "%}");
		if (!p)
			return false;
		p++;
		seen = true;
	}
	return seen;
}

static int show_text(struct render *r, const char *p, size_t n)
{
	const char *why = NULL;

	if (r->vars->refuse && n)
		why = r->vars->refuse(r->vars, p, n);
	if (why)
		return fail(r, r->line, "%s", why);
	buf_add(r->out, p, n);
	return 0;
}

/* One line without its line end; text between tags is kept when asked. */
static int render_line(struct render *r, const char *p, const char *end,
		       bool keep_text)
{
	while (p < end) {
		const char *open = find_opening(p, end);
		const char *close;
		struct cursor c;
		bool is_value;

		if (keep_text && shows(r) &&
		    show_text(r, p, (size_t)((open ? open : end) - p)) < 0)
			return -1;
		if (!open)
			return 0;
		is_value = open[1] == '{';
		close = find_pair(open + 2, end, is_value ? "}}" : "%}");
		if (!close)
			return fail(r, r->line, "%s is not closed in its line",
				    is_value ? "{{" : "{%");
		c = (struct cursor) { .p = open + 2, .end = close };
		if ((is_value ? run_value(r, &c) : run_tag(r, &c)) < 0)
			return -1;
		p = close + 2;
	}
	return 0;
}

static int render_all(struct render *r, const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *line_end = newline ? newline : end;
		bool tags_alone = is_tag_line(p, line_end);

		r->line++;
		if (render_line(r, p, line_end, !tags_alone) < 0)
			return -1;
		if (newline && !tags_alone && shows(r))
			buf_addc(r->out, '\n');
		p = newline ? newline + 1 : end;
	}
	if (r->depth > 0)
		return fail(r, r->stack[r->depth - 1].line, "if without endif");
	return 0;
}

bool tmpl_is_true(const char *value)
{
	return *value && !str_eqi(value, "false") && !str_eqi(value, "no") &&
	       !str_eqi(value, "off") && strcmp(value, "0") != 0;
}

int tmpl_render(struct buf *out, const char *file, const char *text,
		size_t len, const struct tmpl_vars *vars, struct buf *err)
{
	struct render r = { .out = out, .err = err, .vars = vars, .file = file };
	size_t before = out->len;

	if (render_all(&r, text, len) == 0)
		return 0;
	buf_truncate(out, before);
	return -1;
}
