#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "relay/notify_item.h"
#include "relay/tokens.h"

enum { NOW = 1800000000, DAY = 86400 };

/* want: the tokens with spaces between, or what err says */
static const struct {
	const char *name, *text, *want;
	bool stale;
} parse_cases[] = {
	{ "empty object", "{}", "", false },
	{ "two tokens in order",
	  "{\"devicetoken\": {\"b\": 1799999999, \"a\": 1799999998}}", "b a",
	  false },
	{ "the older list", "{\"devicetoken\": [\"x\", \"y\"]}", "x y", true },
	{ "list with other things", "{\"devicetoken\": [1, \"y\", null, \"y\"]}",
	  "y", true },
	{ "89 days old", "{\"devicetoken\": {\"a\": 1792310400}}", "a", false },
	{ "90 days old", "{\"devicetoken\": {\"a\": 1792224000}}", "", true },
	{ "a second younger", "{\"devicetoken\": {\"a\": 1792224001}}", "a",
	  false },
	{ "59 s ahead", "{\"devicetoken\": {\"a\": 1800000059}}", "a", false },
	{ "a minute ahead", "{\"devicetoken\": {\"a\": 1800000060}}", "", true },
	{ "time is a text", "{\"devicetoken\": {\"a\": \"1800000000\"}}", "",
	  true },
	{ "time with a fraction", "{\"devicetoken\": {\"a\": 1799999999.5}}",
	  "a", false },
	{ "huge time", "{\"devicetoken\": {\"a\": 1e400}}", "", true },
	{ "token with a space", "{\"devicetoken\": {\"a b\": 1799999999}}", "",
	  true },
	{ "empty token", "{\"devicetoken\": {\"\": 1799999999}}", "", true },
	{ "no object inside", "{\"devicetoken\": 7}", "", false },
	{ "key in other case", "{\"DeviceToken\": {\"a\": 1799999999}}", "",
	  false },
	{ "white space around", " \n{}\t\n", "", false },
	{ "nothing", "", "not JSON", false },
	{ "cut", "{\"devicetoken\": {\"a\": 17999", "not JSON", false },
	{ "a list", "[]", "not a JSON object", false },
	{ "more behind it", "{} {}", "something follows", false },
	{ "33 levels", "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]"
	  "]]]]]]]]]]]]]]]]}", "levels deep", false },
	{ "brackets in a string", "{\"a\": \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
	  "\\\"[[\"}", "", false },
};

static void join(struct buf *out, const struct tokens *t)
{
	buf_reset(out);
	for (size_t i = 0; i < t->count; i++)
		buf_addf(out, "%s%s", i ? " " : "", t->list[i].text);
}

static void test_parse(void)
{
	for (size_t i = 0; i < ARRAY_LEN(parse_cases); i++) {
		const char *text = parse_cases[i].text;
		struct buf err = BUF_INIT, got = BUF_INIT;
		struct tokens t;

		if (tokens_parse(&t, text, strlen(text), NOW, &err) < 0) {
			tap_ok(strstr(err.data, parse_cases[i].want) &&
			       *parse_cases[i].want && !t.count,
			       "%s: %s", parse_cases[i].name, err.data);
		} else {
			join(&got, &t);
			tap_is(got.data, parse_cases[i].want,
			       parse_cases[i].name);
			tap_ok(t.stale == parse_cases[i].stale, "%s: stale",
			       parse_cases[i].name);
		}
		tokens_free(&t);
		buf_free(&err);
		buf_free(&got);
	}
}

static void test_valid(void)
{
	static const struct {
		const char *token;
		bool want;
	} cases[] = {
		{ "openpgp:wV4D+/=", true }, { "!~", true }, { "", false },
		{ "a b", false }, { "a\"b", false }, { "a\\b", false },
		{ "a\nb", false }, { "a\177", false }, { "\303\244", false },
	};
	char *longest = xmalloc(TOKEN_BYTES_MAX + 2);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_ok(token_is_valid(cases[i].token) == cases[i].want,
		       "validity of token %zu", i);
	memset(longest, 'x', TOKEN_BYTES_MAX + 1);
	longest[TOKEN_BYTES_MAX + 1] = '\0';
	tap_ok(!token_is_valid(longest), "4097 bytes are too many");
	tap_ok(token_is_valid(longest + 1), "4096 bytes are not");
	free(longest);
}

static void test_print(void)
{
	static const char text[] =
		"{\"a\": [1, {\"b\": null}], \"devicetoken\": {\"old\": 1},"
		" \"z\": \"\\u00e4\", \"devicetoken\": 1}";
	struct token list[] = { { (char *)"t", 4102444800 } };
	struct tokens t = { .list = list, .count = 1 };
	struct buf out = BUF_INIT;

	tokens_print(&out, &t, text, strlen(text));
	tap_is(out.data, "{\"a\":[1,{\"b\":null}],\"z\":\"\303\244\","
	       "\"devicetoken\":{\"t\":4102444800}}", "other keys are kept");
	buf_reset(&out);
	tokens_print(&out, &t, "{\"a\":", 5);
	tap_is(out.data, "{\"devicetoken\":{\"t\":4102444800}}",
	       "a corrupt text is replaced");
	buf_free(&out);
}

static void test_newest(void)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	struct tokens t;

	buf_adds(&text, "{\"devicetoken\":{");
	for (int i = 0; i < 150; i++)
		buf_addf(&text, "%s\"t%d\":%d", i ? "," : "", i,
			 NOW - (i % 2 ? i : 1000 + i));
	buf_adds(&text, "}}");
	tap_ok(tokens_parse(&t, text.data, text.len, NOW, &err) == 0 &&
	       t.count == TOKENS_MAX && t.stale,
	       "of 150 tokens 100 are kept");
	tap_is(t.list[0].text, "t0", "those in even places are older");
	tap_is(t.list[TOKENS_MAX - 1].text, "t149", "the newest are there");
	tokens_free(&t);
	buf_free(&text);
	buf_free(&err);
}

/* ---- with files ------------------------------------------------------------- */

static char dir[] = "/tmp/tokens-test-XXXXXX";

static const char *in_dir(const char *name)
{
	static struct buf path = BUF_INIT;

	buf_setf(&path, "%s/%s", dir, name);
	return path.data;
}

static void put(const char *text)
{
	if (file_replace(in_dir("metadata.json"), text, strlen(text), 0644,
			 0) < 0)
		perror("metadata.json");
}

/* The file is JSON with these tokens. */
static void have(const char *want, const char *name)
{
	struct buf err = BUF_INIT, got = BUF_INIT;
	struct tokens t;
	int ret = tokens_read(&t, dir, &err);

	join(&got, &t);
	tap_is(ret < 0 ? err.data : got.data, want, name);
	tokens_free(&t);
	buf_free(&err);
	buf_free(&got);
}

/* err is read after ok was found, whatever the order of arguments. */
static bool said(bool ok, const struct buf *err, const char *name)
{
	return tap_ok(ok, "%s: %s", name, err->data);
}

static void test_changes(struct buf *err)
{
	have("", "no file, no tokens");
	said(tokens_add(dir, "one", err) == 0, err, "add");
	said(tokens_add(dir, "two", err) == 0, err, "add");
	have("one two", "both are there");
	said(tokens_add(dir, "one", err) == 0, err, "refresh");
	have("one two", "a refreshed token keeps its place");
	tap_ok(tokens_remove(dir, "three", err) == 0, "remove an unknown one");
	said(tokens_remove(dir, "one", err) == 0, err, "remove");
	have("two", "the other is left");
	tap_ok(tokens_remove_all(dir, err) == 0, "remove all");
	have("", "none is left");
	put("{\"devicetoken\": [\"x\", \"y\"], \"k\": 1}");
	have("x y", "a list is read");
	put("{\"devicetoken\": {\"gone\": 1}, \"k\": 1}");
	have("", "an expired token does not count");
	tap_ok(tokens_add(dir, "new", err) == 0, "add after it");
	have("new", "the expired one is gone");
	put("{ cut in the mid");
	have("", "a corrupt file counts as empty");
	said(tokens_add(dir, "n", err) == 0 && strstr(err->data, "empty"),
	     err, "and is replaced with a warning");
	have("n", "by the new token");
}

static void test_stale_is_rewritten(void)
{
	struct buf text = BUF_INIT;

	put("{\"devicetoken\": {\"gone\": 1}, \"k\": 1}");
	have("", "reading drops what has expired");
	file_read(in_dir("metadata.json"), 1000, &text);
	tap_is(text.data, "{\"k\":1,\"devicetoken\":{}}", "from the file too");
	buf_free(&text);
}

static void test_trouble(struct buf *err)
{
	struct tokens t;
	int lock = open(in_dir("metadata.json.lock"), O_RDWR | O_CREAT, 0644);

	flock(lock, LOCK_EX);
	tap_ok(tokens_add(dir, "x", err) == TOKENS_BUSY, "locked: busy");
	put("{\"devicetoken\": [\"l\"]}");
	have("l", "reading does not wait for the lock");
	close(lock);
	said(tokens_add("/nonexistent/x", "x", err) < 0 &&
	       strstr(err->data, "No such file"), err, "no mailbox");
	unlink(in_dir("metadata.json"));
	mkdir(in_dir("metadata.json"), 0755);
	said(tokens_read(&t, dir, err) < 0, err, "no file");
	said(tokens_add(dir, "x", err) < 0, err, "nor for adding");
	rmdir(in_dir("metadata.json"));
	lock = open(in_dir("metadata.json"), O_WRONLY | O_CREAT, 0644);
	tap_ok(ftruncate(lock, TOKENS_FILE_MAX + 1) == 0, "a file too large");
	close(lock);
	said(tokens_add(dir, "x", err) < 0 && strstr(err->data, "too large"),
	     err, "is left alone");
	unlink(in_dir("metadata.json"));
}

static void test_item(struct buf *err)
{
	struct notify_item *i, *again;
	bool is_bad;

	i = notify_item_create(dir, "a@b", "tok", 1234, err);
	if (!tap_ok(i && notify_item_is_name(i->name) && i->name[12] == '4',
		    "a notification is kept under a random UUID"))
		return;
	again = notify_item_read(dir, i->name, &is_bad, err);
	tap_ok(again && again->start == 1234 && !strcmp(again->token, "tok") &&
	       !strcmp(again->addr, "a@b"), "and reads back the same");
	free(again);
	tap_ok(notify_item_unlink(dir, i->name, err) == 0, "is removed");
	tap_ok(notify_item_unlink(dir, i->name, err) == 0, "twice too");
	said(!notify_item_read(dir, i->name, &is_bad, err) && !is_bad,
	     err, "a missing one is not bad");
	said(!notify_item_read(dir, "x", &is_bad, err) && is_bad,
	     err, "another name is");
	said(!notify_item_create("/nonexistent", "a@b", "t", 1, err),
	     err, "no directory");
	free(i);
}

int main(void)
{
	struct buf err = BUF_INIT;

	test_valid();
	test_parse();
	test_print();
	test_newest();
	if (!mkdtemp(dir))
		return 1;
	test_changes(&err);
	test_stale_is_rewritten();
	test_trouble(&err);
	test_item(&err);
	unlink(in_dir("metadata.json.lock"));
	tap_ok(rmdir(dir) == 0, "nothing is left behind");
	buf_free(&err);
	return tap_done();
}
