#include "text/unitshow.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"

static unsigned digits(const char *p, unsigned n)
{
	unsigned value = 0;

	while (n-- > 0)
		value = 10 * value + (unsigned)(*p++ - '0');
	return value;
}

/* Since 1970-01-01, by years that begin in March. */
static uint64_t days_until(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month < 3 ? year - 1 : year;
	unsigned m = month < 3 ? month + 9 : month - 3;

	return 365u * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 +
	       day - 719469u;
}

/* "Wed 2026-11-25 18:15:16 UTC" */
static int to_time(const char *value, uint64_t *out)
{
	static const char shape[] = "0000-00-00 00:00:00 UTC";
	const char *p = value + strcspn(value, " ");
	unsigned year, month, day;
	size_t n = 0;

	p += *p == ' ';
	while (shape[n] && (shape[n] == '0' ? p[n] >= '0' && p[n] <= '9' :
					      p[n] == shape[n]))
		n++;
	if (shape[n] || p[n])
		return -1;
	year = digits(p, 4);
	month = digits(p + 5, 2);
	day = digits(p + 8, 2);
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31)
		return -1;
	*out = days_until(year, month, day) * 86400 +
	       digits(p + 11, 2) * 3600 + digits(p + 14, 2) * 60 +
	       digits(p + 17, 2);
	return 0;
}

/* Numbers and times; "[not set]" and "n/a" are what systemd says for none. */
static int to_number(const char *value, uint64_t *out)
{
	if (*value >= 'A' && *value <= 'Z')
		return to_time(value, out);
	if (*value == '@')
		value++;
	if (!*value || strcmp(value, "[not set]") == 0 ||
	    strcmp(value, "n/a") == 0)
		return 0;
	return to_time(value, out) == 0 ? 0 : str_to_u64(value, out);
}

static const struct {
	const char *name;
	size_t word, number;	/* where it goes; one of them is 0 */
} properties[] = {
#define WORD(name, field) { name, offsetof(struct unitshow, field) + 1, 0 }
#define NUMBER(name, field) { name, 0, offsetof(struct unitshow, field) + 1 }
	WORD("Id", id),
	WORD("LoadState", load),
	WORD("ActiveState", active),
	WORD("SubState", sub),
	WORD("UnitFileState", file),
	WORD("Result", result),
	NUMBER("MainPID", pid),
	NUMBER("NRestarts", restarts),
	NUMBER("ActiveEnterTimestamp", up),
	NUMBER("InactiveEnterTimestamp", down),
	NUMBER("LastTriggerUSec", triggered),
	NUMBER("ExecMainStartTimestamp", began),
	NUMBER("ExecMainExitTimestamp", ended),
#undef WORD
#undef NUMBER
};

/* A property that nobody asked for is no error. */
static int set(struct unitshow *u, const char *name, const char *value,
	       struct buf *err)
{
	for (size_t i = 0; i < ARRAY_LEN(properties); i++) {
		if (strcmp(properties[i].name, name) != 0)
			continue;
		if (properties[i].word) {
			*(const char **)((char *)u + properties[i].word - 1) =
				value;
		} else if (to_number(value, (uint64_t *)((char *)u +
				     properties[i].number - 1)) < 0) {
			buf_setf(err, "%s: expected a number, got \"%.60s\"",
				 name, value);
			return -1;
		}
		return 0;
	}
	return 0;
}

/* Cut the line at *text off; NULL at the end. */
static char *next_line(char **text)
{
	char *line = *text;
	size_t n = strcspn(line, "\n");

	if (!*line)
		return NULL;
	*text = line + n + (line[n] == '\n');
	line[n] = '\0';
	return line;
}

int unitshow_next(char **text, struct unitshow *u, struct buf *err)
{
	char *line, *equals;

	*u = (struct unitshow){ .id = "", .load = "", .active = "", .sub = "",
				.file = "", .result = "" };
	while (**text == '\n')
		++*text;
	if (!**text)
		return 0;
	while ((line = next_line(text)) && *line) {
		equals = strchr(line, '=');
		if (!equals) {
			buf_setf(err, "expected NAME=VALUE, got \"%.60s\"",
				 line);
			return -1;
		}
		*equals = '\0';
		if (set(u, line, equals + 1, err) < 0)
			return -1;
	}
	if (!*u->id) {
		buf_setf(err, "a unit without an Id");
		return -1;
	}
	return 1;
}
