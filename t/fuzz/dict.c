/* The dict protocol: what is split and unescaped can be escaped and joined
 * again, and gives the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/dict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(const char *data, size_t size)
{
	char *fields[DICT_FIELDS_MAX], *again[DICT_FIELDS_MAX];
	char *copy = xstrndup(data, size);
	int n = dict_split(copy, size, fields);

	assert(n == -1 || (n >= 1 && n <= DICT_FIELDS_MAX));
	if (n > 0) {
		struct buf joined = BUF_INIT;

		assert(!memchr(data, '\0', size));
		for (int i = 0; i < n; i++) {
			if (i)
				buf_addc(&joined, '\t');
			dict_escape(&joined, fields[i]);
		}
		assert(!strpbrk(joined.data, "\r\n"));
		assert(dict_split(joined.data, joined.len, again) == n);
		for (int i = 0; i < n; i++)
			assert(strcmp(fields[i], again[i]) == 0);
		buf_free(&joined);
	}
	free(copy);
}

/* Any text goes there and back. */
static void check_round_trip(const char *text)
{
	struct buf escaped = BUF_INIT;

	dict_escape(&escaped, text);
	assert(!strpbrk(escaped.data, "\t\r\n"));
	assert(dict_unescape(escaped.data, escaped.len) == 0);
	assert(strcmp(escaped.data, text) == 0);
	buf_free(&escaped);
}

static void check_key(const char *text)
{
	char *key = xstrdup(text), *space, *type, *rest;

	if (dict_key_split(key, &space, &type, &rest) == 0) {
		struct buf joined = BUF_INIT;

		assert(!strchr(space, '/') && !strchr(type, '/'));
		buf_addf(&joined, "%s/%s/%s", space, type, rest);
		assert(strcmp(joined.data, text) == 0);
		buf_free(&joined);
	}
	free(key);
}

/* As Dovecot's %E. */
static void add_quoted(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (strchr("\"'\\", *s))
			buf_addc(b, '\\');
		buf_addc(b, *s);
	}
}

static void check_quoted(const char *text)
{
	char *copy = xstrdup(text), *first, *user, *again, *again_user;

	if (dict_quoted_split(copy, &first, &user) == 0) {
		struct buf joined = BUF_INIT;

		assert(!!user == (strchr(text, '"') && user));
		add_quoted(&joined, first);
		if (user) {
			buf_addc(&joined, '"');
			add_quoted(&joined, user);
		}
		assert(dict_quoted_split(joined.data, &again,
					 &again_user) == 0);
		assert(strcmp(first, again) == 0 && !user == !again_user);
		assert(!user || strcmp(user, again_user) == 0);
		buf_free(&joined);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);

	check_fields((const char *)data, size);
	check_round_trip(text);
	check_key(text);
	check_quoted(text);
	free(text);
	return 0;
}
