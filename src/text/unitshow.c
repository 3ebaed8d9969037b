#include "text/unitshow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Days from 1970-01-01 in the Gregorian calendar, the year begun in March. */
static uint64_t to_days(unsigned year, unsigned month, unsigned day)
{
	year -= month < 3;
	month = (month + 9) % 12;
	return (uint64_t)year * 365 + year / 4 - year / 100 + year / 400 +
		(153 * month + 2) / 5 + day - 1 - 719468;
}

/* systemd 252 prints when a timer went off for people, whatever is asked for. */
static bool is_date(const char *value, uint64_t *out)
{
	unsigned year, month, day, hour, min, sec;
	int n = 0;

	if (sscanf(value, "%*3[A-Za-z] %4u-%2u-%2u %2u:%2u:%2u UTC%n", &year,
		   &month, &day, &hour, &min, &sec, &n) != 6 || !n ||
	    value[n] || year < 1970 || month < 1 || month > 12 || day < 1)
		return false;
	*out = to_days(year, month, day) * 86400 + hour * 3600 + min * 60 + sec;
	return true;
}

/* Numbers and times; "[not set]" and "n/a" are what systemd says for none. */
static int to_number(const char *value, uint64_t *out)
{
	if (is_date(value, out))
		return 0;
	if (*value == '@')
		value++;
	if (!*value || strcmp(value, "[not set]") == 0 ||
	    strcmp(value, "n/a") == 0)
		return 0;
	return str_to_u64(value, out);
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
