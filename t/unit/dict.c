/* Dovecot's dict protocol: escaping, fields, keys. */
#include "tap.h"

#include <stdlib.h>

#include "base/str.h"
#include "text/dict.h"

static const struct {
	const char *name, *escaped, *plain;	/* plain NULL: refused */
} escapes[] = {
	{ "nothing", "", "" },
	{ "plain", "a b", "a b" },
	{ "all four", "\001" "1\001t\001r\001n", "\001\t\r\n" },
	{ "twice", "\001" "11", "\0011" },
	{ "UTF-8 and bytes", "\xc3\xa9\xff", "\xc3\xa9\xff" },
	{ "backslashes are plain", "\\t", "\\t" },
};

/* What only a careless peer sends. */
static const struct {
	const char *name, *input, *want;
} unescapes[] = {
	{ "an unknown letter stands for itself", "a\001xb", "axb" },
	{ "0x01 0x01", "a\001\001b", "a\001b" },
	{ "a lone one at the end", "a\001", "a" },
	{ "nothing else", "\001", "" },
	{ "an escaped NUL", "a\001" "0", NULL },
	{ "a raw TAB", "a\tb", "a\tb" },
};

static void test_escapes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
		char *copy = xstrdup(escapes[i].escaped);
		struct buf b = BUF_INIT;

		dict_escape(&b, escapes[i].plain);
		tap_is(b.data, escapes[i].escaped, escapes[i].name);
		tap_ok(dict_unescape(copy, strlen(copy)) == 0, "%s: back",
		       escapes[i].name);
		tap_is(copy, escapes[i].plain, escapes[i].name);
		buf_free(&b);
		free(copy);
	}
	for (size_t i = 0; i < ARRAY_LEN(unescapes); i++) {
		char *copy = xstrdup(unescapes[i].input);
		int ret = dict_unescape(copy, strlen(copy));

		tap_is(ret < 0 ? NULL : copy, unescapes[i].want,
		       unescapes[i].name);
		free(copy);
	}
	tap_ok(dict_unescape((char[]){ 'a', 0, 'b', 0 }, 3) < 0, "a NUL");
	tap_ok(dict_unescape((char[]){ 1, 0, 'b', 0 }, 3) < 0,
	       "a NUL behind 0x01");
}

static const struct {
	const char *name, *input, *want;	/* fields in <>, or NULL */
} splits[] = {
	{ "nothing", "", "<>" },
	{ "one", "abc", "<abc>" },
	{ "hello", "3\t2\t0\t\tauth", "<3><2><0><><auth>" },
	{ "a field at the end is empty", "k\t", "<k><>" },
	{ "escapes end at their field", "a\001\tb", "<a><b>" },
	{ "escaped TABs do not split", "a\001tb\tc", "<a\tb><c>" },
	{ "fields shrink", "\001n\001n\t\001r", "<\n\n><\r>" },
	{ "16 fields", "1\t2\t3\t4\t5\t6\t7\t8\t9\t10\t11\t12\t13\t14\t15\t16",
	  "<1><2><3><4><5><6><7><8><9><10><11><12><13><14><15><16>" },
	{ "17 fields", "1\t2\t3\t4\t5\t6\t7\t8\t9\t10\t11\t12\t13\t14\t15\t16\t",
	  NULL },
	{ "an escaped NUL", "a\tb\001" "0\tc", NULL },
};

static void test_splits(void)
{
	for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
		char *copy = xstrdup(splits[i].input);
		char *fields[DICT_FIELDS_MAX];
		struct buf b = BUF_INIT;
		int n = dict_split(copy, strlen(copy), fields);

		for (int f = 0; f < n; f++)
			buf_addf(&b, "<%s>", fields[f]);
		tap_is(n < 0 ? NULL : b.data, splits[i].want, splits[i].name);
		buf_free(&b);
		free(copy);
	}
	tap_ok(dict_split((char[]){ 'a', '\t', 0, 0 }, 3,
			  (char *[DICT_FIELDS_MAX]){ 0 }) < 0, "a NUL field");
}

static const struct {
	const char *name, *input, *want;
} keys[] = {
	{ "userdb", "shared/userdb/a@b", "<shared><userdb><a@b>" },
	{ "slashes in the rest", "shared/passdb/a/b//\"c", "<shared><passdb>"
	  "<a/b//\"c>" },
	{ "empty parts", "//", "<><><>" },
	{ "no rest", "shared/userdb/", "<shared><userdb><>" },
	{ "one slash", "shared/userdb", NULL },
	{ "none", "", NULL },
};

/* PASSWORD"USER as Dovecot's %E writes it. */
static const struct {
	const char *name, *input, *want;
} quotes[] = {
	{ "plain", "secret\"a@b", "<secret><a@b>" },
	{ "the captured one", "a/b\\\"c\\'d\\\\e f\xc3\xa9\"a@b",
	  "<a/b\"c'd\\e f\xc3\xa9><a@b>" },
	{ "no password", "\"a@b", "<><a@b>" },
	{ "no user", "secret\"", "<secret><>" },
	{ "neither", "\"", "<><>" },
	{ "no separator", "a@b", "<a@b>-" },
	{ "nothing", "", "<>-" },
	{ "a user with quotes", "x\"\\\"a\\\\\\\"", "<x><\"a\\\">" },
	{ "an escaped separator", "a\\\"b", "<a\"b>-" },
	{ "any character may be escaped", "\\a\\ \"\\b", "<a ><b>" },
	{ "unescaped '", "a'b\"c", "<a'b><c>" },
	{ "percent", "%25\"%u", "<%25><%u>" },
	{ "two separators", "a\"b\"c", NULL },
	{ "two at the end", "a\"\"", NULL },
	{ "a backslash at the end", "a\"b\\", NULL },
	{ "only a backslash", "\\", NULL },
};

static void test_keys(void)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		char *copy = xstrdup(keys[i].input), *a, *b, *c;
		struct buf got = BUF_INIT;
		int ret = dict_key_split(copy, &a, &b, &c);

		if (ret == 0)
			buf_addf(&got, "<%s><%s><%s>", a, b, c);
		tap_is(ret < 0 ? NULL : got.data, keys[i].want, keys[i].name);
		buf_free(&got);
		free(copy);
	}
	for (size_t i = 0; i < ARRAY_LEN(quotes); i++) {
		char *copy = xstrdup(quotes[i].input), *a, *b;
		struct buf got = BUF_INIT;
		int ret = dict_quoted_split(copy, &a, &b);

		if (ret == 0 && b)
			buf_addf(&got, "<%s><%s>", a, b);
		else if (ret == 0)
			buf_addf(&got, "<%s>-", a);
		tap_is(ret < 0 ? NULL : got.data, quotes[i].want,
		       quotes[i].name);
		buf_free(&got);
		free(copy);
	}
}

int main(void)
{
	test_escapes();
	test_splits();
	test_keys();
	return tap_done();
}
