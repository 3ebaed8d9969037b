#include "text/unitshow.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Days from 1970-01-01 to a day of the Gregorian calendar, whose years begin in
 * March here, so that the leap day is their last. */
static uint64_t days(unsigned year, unsigned month, unsigned day)
{
	unsigned y = year - (month < 3), m = (month + 9) % 12;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day -
	       1 - 719468;
}

/* "Wed 2026-11-25 18:24:15 UTC": systemd 252 prints LastTriggerUSec so, whatever
 * was asked for. */
static int to_time(const char *value, uint64_t *out)
{
	unsigned y, mon, d, h, min, s;
	int end = 0;

	if (sscanf(value, "%*3[A-Za-z] %4u-%2u-%2u %2u:%2u:%2u UTC%n", &y,
		   &mon, &d, &h, &min, &s, &end) != 6 || !end || value[end] ||
	    y < 1970 || y > 9999 || mon < 1 || mon > 12 || d < 1 || d > 31)
		return -1;
	*out = ((days(y, mon, d) * 24 + h) * 60 + min) * 60 + s;
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
