/* metadata.json may come from another program, or cut in the middle. What is
 * written must read back as the same tokens. */
#include <assert.h>
#include <stdint.h>

#include "relay/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000000 };

static void check_list(const struct tokens *t)
{
	assert(t->count <= TOKENS_MAX);
	for (size_t i = 0; i < t->count; i++) {
		assert(token_is_valid(t->list[i].text));
		assert(t->list[i].time <= NOW + 60);
		for (size_t k = 0; k < i; k++)
			assert(strcmp(t->list[k].text, t->list[i].text) != 0);
	}
}

static void check_same(const struct tokens *a, const struct tokens *b)
{
	assert(a->count == b->count && !b->stale);
	for (size_t i = 0; i < a->count; i++) {
		assert(strcmp(a->list[i].text, b->list[i].text) == 0);
		assert(a->list[i].time == b->list[i].time);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf err = BUF_INIT, text = BUF_INIT;
	struct tokens first, second;

	if (tokens_parse(&first, (const char *)data, size, NOW, &err) < 0)
		assert(err.len > 0 && first.count == 0);
	check_list(&first);
	tokens_print(&text, &first, (const char *)data, size);
	assert(!memchr(text.data, '\n', text.len));
	assert(tokens_parse(&second, text.data, text.len, NOW, &err) == 0);
	check_same(&first, &second);
	tokens_free(&first);
	tokens_free(&second);
	buf_free(&text);
	buf_free(&err);
	return 0;
}
