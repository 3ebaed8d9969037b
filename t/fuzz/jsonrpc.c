/* Answers of a JSON-RPC server: each is an answer, none, or refused for a
 * reason; what was an answer can be asked for again as parameters. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "text/json.h"
#include "text/jsonrpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const struct jsonrpc_answer *a)
{
	struct buf out = BUF_INIT, err = BUF_INIT;
	struct jsonrpc_answer none;

	jsonrpc_request(&out, a->id, "m", a->result);
	assert(memchr(out.data, '\n', out.len) == out.data + out.len - 1);
	/* as deep as can be read, and one more */
	assert(jsonrpc_parse(out.data, out.len, &none, &err) <= 0);
	buf_free(&out);
	buf_free(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf err = BUF_INIT;
	struct jsonrpc_answer a;
	int ret = jsonrpc_parse((const char *)data, size, &a, &err);

	assert((ret < 0) == !!err.len);
	if (ret == 1) {
		assert(!a.result == !!a.error);
		check_request(&a);
		jsonrpc_answer_free(&a);
	}
	buf_free(&err);
	return 0;
}
