#include "text/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* a postal address is the longest value there is */
enum { VALUE_MAX = 16 * 1024 };

struct parser {
	struct config *config;
	const char *file, *section;
	unsigned line;
	size_t room;
	struct buf *err;
};

static int fail(const struct parser *p, const char *what, const char *detail)
{
	buf_setf(p->err, "%s:%u: %s%s", p->file, p->line, what, detail);
	return -1;
}

static int parse_section(struct parser *p, char *line)
{
	char *end = strchr(line, ']');

	if (!end)
		return fail(p, "a section needs a closing ]", "");
	*end++ = '\0';
	end += strspn(end, " \t");
	if (*end && *end != '#' && *end != ';')
		return fail(p, "only a comment may follow a section: ", end);
	p->section = arena_strdup(&p->config->arena, str_trim(line + 1));
	return 0;
}

static const struct config_entry *find(const struct parser *p,
				       const char *name)
{
	for (size_t i = 0; i < p->config->count; i++) {
		const struct config_entry *e = &p->config->entries[i];

		if (strcmp(e->section, p->section) == 0 &&
		    strcmp(e->name, name) == 0)
			return e;
	}
	return NULL;
}

static int parse_setting(struct parser *p, char *line)
{
	struct config *c = p->config;
	char *sep = strpbrk(line, "=:");
	const struct config_entry *twin;
	char *name;

	if (!p->section)
		return fail(p, "a setting before any [section]", "");
	if (!sep)
		return fail(p, "expected name = value, got: ", line);
	*sep = '\0';
	name = str_trim(line);
	if (!*name)
		return fail(p, "a setting without a name", "");
	twin = find(p, name);
	if (twin) {
		buf_setf(p->err, "%s:%u: %s was set before, in line %u",
			 p->file, p->line, name, twin->line);
		return -1;
	}
	if (c->count == p->room) {
		p->room = p->room ? p->room * 2 : 64;
		c->entries = xrealloc(c->entries,
				      p->room * sizeof(*c->entries));
	}
	c->entries[c->count++] = (struct config_entry){
		.section = p->section,
		.name = arena_strdup(&c->arena, name),
		.value = arena_strdup(&c->arena, str_trim(sep + 1)),
		.line = p->line,
	};
	return 0;
}

static int parse_continuation(struct parser *p, char *text)
{
	struct config *c = p->config;
	struct config_entry *e;

	if (!c->count || c->entries[c->count - 1].section != p->section)
		return fail(p, "an indented line that continues nothing", "");
	e = &c->entries[c->count - 1];
	if (strlen(e->value) > VALUE_MAX)
		return fail(p, "the value is too long: ", e->name);
	e->value = *e->value ? arena_printf(&c->arena, "%s\n%s", e->value, text)
			     : arena_strdup(&c->arena, text);
	return 0;
}

static int parse_line(struct parser *p, char *line)
{
	bool indented = *line == ' ' || *line == '\t';
	char *text = str_trim(line);

	if (!*text || *text == '#' || *text == ';')
		return 0;
	if (indented)
		return parse_continuation(p, text);
	if (*text == '[')
		return parse_section(p, text);
	return parse_setting(p, text);
}

int config_parse(struct config *c, const char *file, const char *text,
		 size_t n, struct buf *err)
{
	struct parser p = { .config = c, .file = file, .err = err };
	const char *end = text + n;

	*c = (struct config){ 0 };
	while (text < end) {
		const char *nl = memchr(text, '\n', end - text);
		size_t len = (nl ? nl : end) - text;
		char *line;
		int ret;

		p.line++;
		if (memchr(text, '\0', len))
			return fail(&p, "a NUL byte", "");
		if (!utf8_is_valid(text, len))
			return fail(&p, "not valid UTF-8", "");
		line = xstrndup(text, len);
		ret = parse_line(&p, line);
		free(line);
		if (ret < 0)
			return -1;
		text += len + 1;
	}
	return 0;
}

void config_free(struct config *c)
{
	free(c->entries);
	arena_free(&c->arena);
	*c = (struct config){ 0 };
}
