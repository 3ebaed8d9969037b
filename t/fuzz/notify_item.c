/* A queue file may be anything; what is taken is what was written. */
#include <assert.h>
#include <stdint.h>

#include "relay/notify_item.h"
#include "relay/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char name[] = "0123456789abcdef0123456789abcdef";
	struct buf err = BUF_INIT, text = BUF_INIT;
	struct notify_item *i, *again;

	i = notify_item_parse(name, (const char *)data, size, &err);
	assert(!i == !!err.len);
	if (i) {
		assert(token_is_valid(i->token) && *i->addr && i->start >= 0);
		buf_addf(&text, "%s\n%lld\n%s", i->addr, (long long)i->start,
			 i->token);
		again = notify_item_parse(name, text.data, text.len, &err);
		assert(again && again->start == i->start);
		assert(strcmp(again->addr, i->addr) == 0);
		assert(strcmp(again->token, i->token) == 0);
		free(again);
	}
	free(i);
	buf_free(&text);
	buf_free(&err);
	return 0;
}
