#include "text/syslines.h"

#include <stdbool.h>
#include <string.h>

enum {
	WORDS_BEFORE = 6,	/* day, month, time, host, facility: at most */
};

/* Is that word the tag we look for? */
static bool is_tag(const char *word, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len > n && memcmp(word, name, n) == 0 &&
	       strchr("[:/", word[n]);
}

static bool is_of(const char *line, size_t n, const char *name)
{
	size_t i = 0;

	for (int word = 0; word < WORDS_BEFORE && i < n; word++) {
		size_t len = 0;

		while (i < n && line[i] == ' ')
			i++;
		while (i + len < n && line[i + len] != ' ')
			len++;
		if (is_tag(line + i, len, name))
			return true;
		/* what follows is text */
		if (len > 0 && line[i + len - 1] == ':')
			return false;
		i += len;
	}
	return false;
}

/* From the end, so that a large log costs no more than its end. */
void syslines_last(const char *text, size_t n, const char *name,
		   unsigned count, struct buf *out)
{
	size_t end = n, first = n;
	unsigned found = 0;

	while (end > 0 && found < count) {
		size_t start = end - 1;

		while (start > 0 && text[start - 1] != '\n')
			start--;
		if (is_of(text + start, end - start -
			  (text[end - 1] == '\n'), name)) {
			found++;
			first = start;
		}
		end = start;
	}
	while (first < n) {
		const char *line = text + first;
		const char *lf = memchr(line, '\n', n - first);
		size_t len = lf ? (size_t)(lf - line) : n - first;

		if (is_of(line, len, name)) {
			buf_add(out, line, len);
			buf_addc(out, '\n');
		}
		first += len + 1;
	}
}
