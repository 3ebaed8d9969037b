/* What is printed reads back, and prints the same again, on one line. */
#include <assert.h>
#include <stdint.h>

#include "text/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf err = BUF_INIT, first = BUF_INIT, second = BUF_INIT;
	cJSON *v = json_parse((const char *)data, size, &err), *again;

	assert(!v == !!err.len);
	if (v) {
		json_print(&first, v);
		assert(!memchr(first.data, '\n', first.len));
		again = json_parse(first.data, first.len, &err);
		assert(again);
		json_print(&second, again);
		assert(strcmp(first.data, second.data) == 0);
		cJSON_Delete(again);
	}
	cJSON_Delete(v);
	buf_free(&err);
	buf_free(&first);
	buf_free(&second);
	return 0;
}
