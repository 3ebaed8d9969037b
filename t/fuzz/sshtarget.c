/* Where to log in: what was taken is plain, and written anew is the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "text/sshtarget.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct sshtarget *t)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct sshtarget again;

	if (t->user)
		buf_addf(&text, "%s@", t->user);
	sshtarget_add_place(&text, t->host, t->port);
	assert(sshtarget_parse(&again, &a, text.data, &err) == 0);
	assert(strcmp(again.host, t->host) == 0);
	assert(again.port == (t->port == 22 ? 0 : t->port));
	assert(!again.user == !t->user);
	assert(!t->user || strcmp(again.user, t->user) == 0);
	arena_free(&a);
	buf_free(&text);
	buf_free(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct buf err = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct sshtarget t;

	if (sshtarget_parse(&t, &a, text, &err) == 0) {
		assert(sshtarget_is_plain(t.host) && t.port <= 65535);
		assert(!t.user || sshtarget_is_plain(t.user));
		assert(!err.len);
		check_again(&t);
	} else {
		assert(err.len && utf8_is_valid(err.data, err.len));
	}
	arena_free(&a);
	buf_free(&err);
	free(text);
	return 0;
}
