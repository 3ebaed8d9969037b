#include "text/dict.h"

#include <string.h>

int dict_unescape(char *s, size_t n)
{
	char *out = s;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '\0')
			return -1;
		if (c == '\001') {
			if (++i == n)
				break;
			c = s[i];
			if (c == '0' || c == '\0')
				return -1;
			if (c == '1')
				c = '\001';
			else if (c == 't')
				c = '\t';
			else if (c == 'r')
				c = '\r';
			else if (c == 'n')
				c = '\n';
		}
		*out++ = c;
	}
	*out = '\0';
	return 0;
}

void dict_escape(struct buf *b, const char *s)
{
	for (; *s; s++) {
		static const char special[] = "\001\t\r\n", letters[] = "1trn";
		const char *at = strchr(special, *s);

		if (at) {
			buf_addc(b, '\001');
			buf_addc(b, letters[at - special]);
		} else {
			buf_addc(b, *s);
		}
	}
}

int dict_split(char *fields, size_t n, char *out[DICT_FIELDS_MAX])
{
	char *end = fields + n;
	int count = 0;

	for (;;) {
		char *tab = memchr(fields, '\t', end - fields);
		size_t len = (tab ? tab : end) - fields;

		if (count == DICT_FIELDS_MAX)
			return -1;
		out[count++] = fields;
		if (dict_unescape(fields, len) < 0)
			return -1;
		if (!tab)
			return count;
		fields[len] = '\0';
		fields = tab + 1;
	}
}

int dict_key_split(char *key, char **space, char **type, char **rest)
{
	char *first = strchr(key, '/');
	char *second = first ? strchr(first + 1, '/') : NULL;

	if (!second)
		return -1;
	*first = *second = '\0';
	*space = key;
	*type = first + 1;
	*rest = second + 1;
	return 0;
}

int dict_quoted_split(char *s, char **first, char **user)
{
	char *out = s;

	*first = s;
	*user = NULL;
	for (; *s; s++) {
		if (*s == '"') {
			if (*user)
				return -1;
			*out++ = '\0';
			*user = out;
			continue;
		}
		if (*s == '\\' && !*++s)
			return -1;
		*out++ = *s;
	}
	*out = '\0';
	return 0;
}
