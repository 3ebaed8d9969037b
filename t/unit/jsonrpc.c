/* JSON-RPC: requests as they are written, answers as they are read. */
#include "tap.h"

#include "base/str.h"
#include "text/json.h"
#include "text/jsonrpc.h"

/* want: "ID result" or "ID error: text"; "none"; or what err begins with */
static const struct {
	const char *name, *line, *want;
} cases[] = {
	{ "a result", "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":[1,{\"a\":2}]}",
	  "7 [1,{\"a\":2}]" },
	{ "null is a result", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}",
	  "1 null" },
	{ "in another order, with spaces",
	  " { \"result\" : \"x\" , \"id\" : 0 , \"jsonrpc\" : \"2.0\" }\r",
	  "0 \"x\"" },
	{ "a large id", "{\"jsonrpc\":\"2.0\",\"id\":9007199254740992,"
	  "\"result\":1}", "9007199254740992 1" },
	{ "an error", "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-1,"
	  "\"message\":\"no such chat\"}}", "3 error: no such chat" },
	{ "an error with data", "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{"
	  "\"code\":-32601,\"message\":\"Method not found\",\"data\":[1]}}",
	  "3 error: Method not found" },
	{ "a notification", "{\"jsonrpc\":\"2.0\",\"method\":\"event\"}",
	  "none" },
	{ "a request of the server's",
	  "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"id\":1,\"params\":[]}",
	  "none" },
	{ "the server understood nothing", "{\"jsonrpc\":\"2.0\",\"id\":null,"
	  "\"error\":{\"code\":-32700,\"message\":\"Parse error\"}}",
	  "an answer without the id of a request" },
	{ "no id", "{\"jsonrpc\":\"2.0\",\"result\":1}",
	  "an answer without the id of a request" },
	{ "a negative id", "{\"jsonrpc\":\"2.0\",\"id\":-1,\"result\":1}",
	  "an answer without the id of a request" },
	{ "half an id", "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"result\":1}",
	  "an answer without the id of a request" },
	{ "an id too large", "{\"jsonrpc\":\"2.0\",\"id\":1e300,\"result\":1}",
	  "an answer without the id of a request" },
	{ "an id in quotes", "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":1}",
	  "an answer without the id of a request" },
	{ "neither result nor error", "{\"jsonrpc\":\"2.0\",\"id\":1}",
	  "an answer needs either a result or an error" },
	{ "both", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,"
	  "\"error\":{\"message\":\"x\"}}",
	  "an answer needs either a result or an error" },
	{ "an error without a message", "{\"jsonrpc\":\"2.0\",\"id\":1,"
	  "\"error\":{\"code\":1}}", "an error without a message" },
	{ "an error that is a text", "{\"jsonrpc\":\"2.0\",\"id\":1,"
	  "\"error\":\"x\"}", "an error without a message" },
	{ "JSON-RPC 1.0", "{\"id\":1,\"result\":1,\"error\":null}",
	  "no JSON-RPC 2.0" },
	{ "another version", "{\"jsonrpc\":\"3.0\",\"id\":1,\"result\":1}",
	  "no JSON-RPC 2.0" },
	{ "a batch", "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}]",
	  "no JSON object" },
	{ "a number", "1", "no JSON object" },
	{ "no JSON", "thread 'main' panicked", "not JSON" },
	{ "an empty line", "", "not JSON" },
	{ "cut", "{\"jsonrpc\":\"2.0\",\"id\":1,\"resu", "not JSON" },
	{ "two in a line", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}{}",
	  "something follows" },
};

static void show(struct buf *out, const struct jsonrpc_answer *a)
{
	buf_addf(out, "%llu ", (unsigned long long)a->id);
	if (a->error)
		buf_addf(out, "error: %s", a->error);
	else
		json_print(out, a->result);
}

static void test_answers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf err = BUF_INIT, out = BUF_INIT;
		struct jsonrpc_answer a;
		int ret = jsonrpc_parse(cases[i].line, strlen(cases[i].line),
					&a, &err);

		if (ret == 1) {
			show(&out, &a);
			jsonrpc_answer_free(&a);
		} else {
			buf_adds(&out, ret == 0 ? "none" : err.data);
		}
		tap_ok(str_starts(out.data, cases[i].want), "%s: %s",
		       cases[i].name, out.data);
		buf_free(&err);
		buf_free(&out);
	}
}

static void test_requests(void)
{
	cJSON *params = cJSON_CreateArray();
	struct buf out = BUF_INIT;

	jsonrpc_request(&out, 1, "get_system_info", NULL);
	tap_is(out.data, "{\"jsonrpc\":\"2.0\",\"id\":1,"
	       "\"method\":\"get_system_info\"}\n", "a request");
	buf_reset(&out);
	cJSON_AddItemToArray(params, cJSON_CreateNumber(4294967295.));
	cJSON_AddItemToArray(params, cJSON_CreateString("a\n\"b\"\001"));
	jsonrpc_request(&out, 9007199254740, "set", params);
	tap_is(out.data, "{\"jsonrpc\":\"2.0\",\"id\":9007199254740,"
	       "\"method\":\"set\",\"params\":[4294967295,"
	       "\"a\\n\\\"b\\\"\\u0001\"]}\n",
	       "parameters, on one line whatever is in them");
	tap_is(cJSON_GetArrayItem(params, 1)->valuestring, "a\n\"b\"\001",
	       "which stay the caller's");
	cJSON_Delete(params);
	buf_free(&out);
}

int main(void)
{
	test_answers();
	test_requests();
	return tap_done();
}
