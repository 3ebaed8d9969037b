#include "text/crontab.h"

#include <string.h>

#include "base/str.h"

enum { TIME_FIELDS = 5 };

/* Bytes up to the command of an entry; 0 of what is none. */
static size_t time_length(const char *line, size_t n)
{
	size_t i = 0;

	if (n == 0 || *line == '#')
		return 0;
	for (int field = 0; field < TIME_FIELDS; field++) {
		size_t start;

		while (i < n && (line[i] == ' ' || line[i] == '\t'))
			i++;
		for (start = i; i < n && line[i] != ' ' && line[i] != '\t';)
			i++;
		if (i == start || i == n)
			return 0;
	}
	while (i < n && (line[i] == ' ' || line[i] == '\t'))
		i++;
	return i < n ? i : 0;
}

/* Take the next line off text, without its end; false at the end. */
static bool next_line(const char **text, const char **line, size_t *n)
{
	if (!**text)
		return false;
	*line = *text;
	*n = strcspn(*text, "\n");
	*text += *n + ((*text)[*n] == '\n');
	return true;
}

void crontab_add_user(struct buf *out, const char *text, const char *user)
{
	const char *line;
	size_t n;

	while (next_line(&text, &line, &n)) {
		size_t time = time_length(line, n);

		buf_add(out, line, time);
		if (time)
			buf_addf(out, "%s ", user);
		buf_add(out, line + time, n - time);
		buf_addc(out, '\n');
	}
}

static bool is_mark(const char *line, size_t n, const char *what,
		    const char *owner)
{
	struct buf mark = BUF_INIT;
	bool ret;

	buf_addf(&mark, "# %s: %s", owner, what);
	ret = n == mark.len && memcmp(line, mark.data, n) == 0;
	buf_free(&mark);
	return ret;
}

/* Only what is between both marks is ours: one without the other is a line
 * like any other. */
static bool has_end(const char *text, const char *owner)
{
	const char *line;
	size_t n;

	while (next_line(&text, &line, &n))
		if (is_mark(line, n, "end", owner))
			return true;
	return false;
}

void crontab_replace(struct buf *out, const char *table, const char *owner,
		     const char *entries)
{
	const char *line;
	bool inside = false;
	size_t n;

	while (next_line(&table, &line, &n)) {
		if (inside) {
			inside = !is_mark(line, n, "end", owner);
			continue;
		}
		inside = is_mark(line, n, "begin", owner) &&
			 has_end(table, owner);
		if (!inside) {
			buf_add(out, line, n);
			buf_addc(out, '\n');
		}
	}
	if (!*entries)
		return;
	buf_addf(out, "# %s: begin\n%s", owner, entries);
	if (entries[strlen(entries) - 1] != '\n')
		buf_addc(out, '\n');
	buf_addf(out, "# %s: end\n", owner);
}

bool crontab_has_word(const char *table, const char *word)
{
	const char *line;
	size_t n;

	while (next_line(&table, &line, &n)) {
		size_t i = time_length(line, n);
		bool found = false;

		while (i > 0 && i < n && !found) {
			size_t len = 0;

			while (i + len < n && line[i + len] != ' ')
				len++;
			found = len == strlen(word) &&
				memcmp(line + i, word, len) == 0;
			i += len + 1;
		}
		if (found)
			return true;
	}
	return false;
}
