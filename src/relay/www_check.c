#include "relay/www_check.h"

#include <string.h>

#include "base/str.h"

static const char their_domain[] = "testrun.org";

static const struct {
	const char *word, *why;
	bool is_domain;
} theirs[] = {
	{ "merlinux", "names another relay's operator (merlinux)", false },
	{ "schmieder", "names another relay's operator (schmieder)", false },
	{ their_domain, "names another relay's domain (testrun.org)", true },
};

static bool is_label_char(char c)
{
	c = ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* The word at any place, a domain where a label begins. */
static bool contains(const char *text, size_t n, const char *word,
		     bool is_domain)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= n; i++) {
		if (!mem_eqi(text + i, word, len))
			continue;
		if (!is_domain)
			return true;
		if ((i == 0 || !is_label_char(text[i - 1])) &&
		    (i + len == n || !is_label_char(text[i + len])))
			return true;
	}
	return false;
}

static bool is_theirs(const char *domain)
{
	size_t n = strlen(domain), len = strlen(their_domain);

	return n >= len && strcmp(domain + n - len, their_domain) == 0 &&
	       (n == len || domain[n - len - 1] == '.');
}

const char *www_refuse(const struct relay *r, const char *text, size_t n)
{
	if (is_theirs(r->mail_domain_bare))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		if (contains(text, n, theirs[i].word, theirs[i].is_domain))
			return theirs[i].why;
	return NULL;
}

int www_check_settings(const struct relay *r, struct buf *err)
{
	static const int ids[] = {
		SETTING_privacy_postal, SETTING_privacy_mail,
		SETTING_privacy_pdo, SETTING_privacy_supervisor,
	};

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const char *value = r->text[ids[i]];
		const char *why = www_refuse(r, value, strlen(value));

		if (!why)
			continue;
		buf_setf(err, "%s:%u: %s: %s", r->path, r->line[ids[i]],
			 setting_docs[ids[i]].name, why);
		return -1;
	}
	return 0;
}

/* The line at *p; moves *p behind it. Returns its length, line end and a CR
 * before it not counted. */
static size_t next_line(const char **p, const char *end, const char **line)
{
	const char *newline = memchr(*p, '\n', (size_t)(end - *p));
	size_t n = (size_t)((newline ? newline : end) - *p);

	*line = *p;
	*p = newline ? newline + 1 : end;
	return n && (*line)[n - 1] == '\r' ? n - 1 : n;
}

int www_check_lines(const struct relay *r, const char *shown, const char *text,
		    size_t n, struct buf *err)
{
	const char *end = text + n, *line, *why;

	for (unsigned number = 1; text < end; number++) {
		size_t len = next_line(&text, end, &line);

		why = www_refuse(r, line, len);
		if (why) {
			buf_setf(err, "%s:%u: %s", shown, number, why);
			return -1;
		}
	}
	return 0;
}

/* What follows the mark is a name, or nothing. */
static bool is_mark(const char *line, size_t n, const char *mark)
{
	return n >= 7 && memcmp(line, mark, 7) == 0 &&
	       (n == 7 || line[7] == ' ');
}

int www_check_conflict(const char *shown, const char *text, size_t n,
		       struct buf *err)
{
	const char *end = text + n, *line;
	bool has_middle = false, has_end = false;
	unsigned number, first = 0;

	for (number = 0; text < end && !has_end; number++) {
		size_t len = next_line(&text, end, &line);

		if (!first && is_mark(line, len, "<<<<<<<"))
			first = number + 1;
		else if (is_mark(line, len, "======="))
			has_middle = true;
		else
			has_end = has_middle && is_mark(line, len, ">>>>>>>");
	}
	if (first && has_end)
		buf_setf(err, "%s:%u: a merge conflict begins here; it ends in "
			 "line %u", shown, first, number);
	else if (first)
		buf_setf(err, "%s:%u: a merge conflict begins here", shown,
			 first);
	else if (has_end)
		buf_setf(err, "%s:%u: a merge conflict ends here", shown,
			 number);
	return first || has_end ? -1 : 0;
}

int www_check_utf8(const char *shown, const char *text, size_t n,
		   struct buf *err)
{
	const char *end = text + n, *line;

	for (unsigned number = 1; text < end; number++) {
		size_t len = next_line(&text, end, &line);

		if (utf8_is_valid(line, len) && !memchr(line, '\0', len))
			continue;
		buf_setf(err, "%s:%u: not UTF-8 text", shown, number);
		return -1;
	}
	return 0;
}
