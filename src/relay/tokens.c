#include "relay/tokens.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "text/json.h"

enum {
	VALID_SECS = 90 * 24 * 3600,
	AHEAD_SECS = 60,	/* a clock that was set back a little */
	FILE_MODE = 0644,	/* as upstream makes it */
};
static const char KEY[] = "devicetoken", FILE_NAME[] = "metadata.json";

bool token_is_valid(const char *token)
{
	size_t n = strnlen(token, TOKEN_BYTES_MAX + 1);

	if (n == 0 || n > TOKEN_BYTES_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (token[i] <= ' ' || token[i] > '~' || token[i] == '"' ||
		    token[i] == '\\')
			return false;
	return true;
}

void tokens_free(struct tokens *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->list[i].text);
	free(t->list);
	*t = (struct tokens){ 0 };
}

/* ---- the list ------------------------------------------------------------- */

static void tokens_drop(struct tokens *t, size_t at)
{
	free(t->list[at].text);
	t->count--;
	memmove(t->list + at, t->list + at + 1,
		(t->count - at) * sizeof(*t->list));
}

static void tokens_drop_oldest(struct tokens *t)
{
	size_t oldest = 0;

	for (size_t i = 1; i < t->count; i++)
		if (t->list[i].time < t->list[oldest].time)
			oldest = i;
	tokens_drop(t, oldest);
}

/* Index of the token, or count. */
static size_t tokens_find(const struct tokens *t, const char *token)
{
	size_t i = 0;

	while (i < t->count && strcmp(t->list[i].text, token) != 0)
		i++;
	return i;
}

/* Add or refresh; a refreshed token keeps its place. */
static void tokens_put(struct tokens *t, const char *token, int64_t when)
{
	size_t at = tokens_find(t, token);

	if (at < t->count) {
		t->stale = true;	/* a JSON object with one key twice */
		t->list[at].time = when;
		return;
	}
	if (!t->list)
		t->list = xcalloc(TOKENS_MAX + 1, sizeof(*t->list));
	t->list[t->count++] = (struct token){ xstrdup(token), when };
	if (t->count > TOKENS_MAX) {
		t->stale = true;
		tokens_drop_oldest(t);
	}
}

/* ---- the text ------------------------------------------------------------- */

static bool is_current(double when, int64_t now)
{
	return when > (double)now - VALID_SECS &&
	       when < (double)now + AHEAD_SECS;
}

static void take_entry(struct tokens *t, const char *token, double when,
		       int64_t now)
{
	if (token && token_is_valid(token) && is_current(when, now))
		tokens_put(t, token, (int64_t)when);
	else
		t->stale = true;
}

static void take_entries(struct tokens *t, const cJSON *entries, int64_t now)
{
	const cJSON *e;

	if (cJSON_IsArray(entries)) {
		t->stale = true;
		cJSON_ArrayForEach(e, entries)
			take_entry(t, cJSON_GetStringValue(e), (double)now, now);
	} else if (cJSON_IsObject(entries)) {
		cJSON_ArrayForEach(e, entries)
			take_entry(t, e->string, cJSON_IsNumber(e) ?
				   e->valuedouble : 0., now);
	}
}

/* NULL with the reason when the text is no JSON object. */
static cJSON *parse_object(const char *text, size_t n, struct buf *err)
{
	cJSON *root = json_parse(text, n, err);

	if (!root || cJSON_IsObject(root))
		return root;
	buf_setf(err, "not a JSON object");
	cJSON_Delete(root);
	return NULL;
}

int tokens_parse(struct tokens *t, const char *text, size_t n, int64_t now,
		 struct buf *err)
{
	cJSON *root = parse_object(text, n, err);

	*t = (struct tokens){ 0 };
	if (!root)
		return -1;
	take_entries(t, cJSON_GetObjectItemCaseSensitive(root, KEY), now);
	cJSON_Delete(root);
	return 0;
}

void tokens_print(struct buf *out, const struct tokens *t, const char *text,
		  size_t n)
{
	struct buf ignored = BUF_INIT;
	cJSON *root = parse_object(text, n, &ignored);
	cJSON *entries = cJSON_CreateObject();

	if (!root)
		root = cJSON_CreateObject();
	if (!root || !entries)
		abort();
	for (size_t i = 0; i < t->count; i++)
		cJSON_AddNumberToObject(entries, t->list[i].text,
					(double)t->list[i].time);
	/* all of them, should the key be there twice */
	while (cJSON_GetObjectItemCaseSensitive(root, KEY))
		cJSON_DeleteItemFromObjectCaseSensitive(root, KEY);
	cJSON_AddItemToObject(root, KEY, entries);
	json_print(out, root);
	cJSON_Delete(root);
	buf_free(&ignored);
}

/* ---- the file ------------------------------------------------------------- */

struct file {
	struct buf path, text;
	struct tokens tokens;
};

static void file_init(struct file *f, const char *dir)
{
	*f = (struct file){ .path = BUF_INIT, .text = BUF_INIT };
	buf_addf(&f->path, "%s/%s", dir, FILE_NAME);
}

static void file_free(struct file *f)
{
	buf_free(&f->path);
	buf_free(&f->text);
	tokens_free(&f->tokens);
}

static int fail(struct buf *err, const char *path)
{
	buf_setf(err, "%s: %s", path, strerror(errno));
	return -1;
}

static int file_load(struct file *f, struct buf *err)
{
	buf_reset(&f->text);
	tokens_free(&f->tokens);
	if (file_read(f->path.data, TOKENS_FILE_MAX, &f->text) < 0)
		return errno == ENOENT ? 0 : fail(err, f->path.data);
	if (tokens_parse(&f->tokens, f->text.data, f->text.len,
			 time(NULL), err) < 0)
		buf_prefixf(err, "%s counts as empty: ", f->path.data);
	return 0;
}

static int file_store(struct file *f, struct buf *err)
{
	struct buf text = BUF_INIT;
	int ret;

	tokens_print(&text, &f->tokens, f->text.data, f->text.len);
	ret = file_replace(f->path.data, text.data, text.len, FILE_MODE, 1);
	buf_free(&text);
	return ret < 0 ? fail(err, f->path.data) : 0;
}

/* An fd to close, TOKENS_BUSY as -2, or -1. */
static int file_take_lock(struct file *f, struct buf *err)
{
	struct buf path = BUF_INIT;
	int fd;

	buf_addf(&path, "%s.lock", f->path.data);
	fd = file_lock(path.data, 0);
	if (fd < 0 && (errno == EWOULDBLOCK || errno == EAGAIN))
		fd = -2;
	else if (fd < 0)
		fail(err, path.data);
	buf_free(&path);
	return fd;
}

/* Load, change, store. change is NULL to drop what no longer counts; it
 * returns whether there is something to store. */
static int modify(const char *dir, const char *token,
		  bool (*change)(struct tokens *t, const char *token),
		  struct buf *err)
{
	struct file f;
	int ret, lock;

	file_init(&f, dir);
	lock = file_take_lock(&f, err);
	if (lock < 0) {
		ret = lock == -2 ? TOKENS_BUSY : -1;
	} else {
		ret = file_load(&f, err);
		if (ret == 0 && ((change && change(&f.tokens, token)) ||
				 f.tokens.stale))
			ret = file_store(&f, err);
		close(lock);
	}
	file_free(&f);
	return ret;
}

int tokens_read(struct tokens *t, const char *dir, struct buf *err)
{
	struct buf why = BUF_INIT;
	struct file f;
	int ret;

	file_init(&f, dir);
	ret = file_load(&f, err);
	/* the answer does not depend on it */
	if (ret == 0 && f.tokens.stale && modify(dir, NULL, NULL, &why) < 0)
		buf_setf(err, "dropping expired tokens: %s", why.data);
	*t = f.tokens;
	f.tokens = (struct tokens){ 0 };
	file_free(&f);
	buf_free(&why);
	return ret;
}

static bool change_add(struct tokens *t, const char *token)
{
	tokens_put(t, token, time(NULL));
	return true;
}

static bool change_remove(struct tokens *t, const char *token)
{
	size_t at = tokens_find(t, token);

	if (at == t->count)
		return false;
	tokens_drop(t, at);
	return true;
}

static bool change_remove_all(struct tokens *t, const char *token)
{
	bool some = t->count > 0;

	while (t->count)
		tokens_drop(t, t->count - 1);
	return some;
}

int tokens_add(const char *dir, const char *token, struct buf *err)
{
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return fail(err, dir);
	return modify(dir, token, change_add, err);
}

int tokens_remove(const char *dir, const char *token, struct buf *err)
{
	return modify(dir, token, change_remove, err);
}

int tokens_remove_all(const char *dir, struct buf *err)
{
	return modify(dir, NULL, change_remove_all, err);
}
