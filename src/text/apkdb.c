#include "text/apkdb.h"

#include <string.h>

struct package {
	const char *version;
	size_t version_len;
	bool is_it;
};

/* "name" or "name=1.2-r0", "name<2": is it that name? */
static bool is_named(const char *word, size_t n, const char *name)
{
	size_t len = 0;

	while (len < n && !memchr("=<>~", word[len], 4))
		len++;
	return len == strlen(name) && memcmp(word, name, len) == 0;
}

static bool is_provided(const char *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n;) {
		size_t len = 0;

		while (i + len < n && list[i + len] != ' ')
			len++;
		if (is_named(list + i, len, name))
			return true;
		i += len + 1;
	}
	return false;
}

static void take_line(struct package *p, const char *line, size_t n,
		      const char *name)
{
	const char *value = line + 2;

	if (n < 2 || line[1] != ':')
		return;
	n -= 2;
	switch (*line) {
	case 'P':
		p->is_it |= n == strlen(name) && memcmp(value, name, n) == 0;
		break;
	case 'p':
		p->is_it |= is_provided(value, n, name);
		break;
	case 'V':
		p->version = value;
		p->version_len = n;
		break;
	}
}

bool apkdb_version(const char *text, size_t n, const char *name,
		   struct buf *version)
{
	struct package p = { 0 };

	for (size_t i = 0; i <= n;) {
		const char *line = text + i;
		const char *lf = memchr(line, '\n', n - i);
		size_t len = lf ? (size_t)(lf - line) : n - i;

		if (len > 0) {
			take_line(&p, line, len, name);
		} else if (p.is_it) {
			break;
		} else {
			p = (struct package){ 0 };
		}
		i += len + 1;
	}
	if (p.is_it)
		buf_add(version, p.version, p.version_len);
	return p.is_it;
}
