#include "tap.h"

#include "base/str.h"
#include "text/json.h"

/* want: the text in its shortest form, or what err says */
static const struct {
	const char *name, *text, *want;
} cases[] = {
	{ "an object", "{ \"a\" : [ 1 , true, null ] }",
	  "{\"a\":[1,true,null]}" },
	{ "a number alone", " 4294967295\r\n", "4294967295" },
	{ "a line end in a string", "\"a\\nb\\u0001\"", "\"a\\nb\\u0001\"" },
	{ "UTF-8", "\"\303\244\\u00e4\"", "\"\303\244\303\244\"" },
	{ "brackets in strings do not nest",
	  "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"",
	  "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"" },
	{ "brackets side by side do not either",
	  "[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
	  "[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]",
	  "[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
	  "[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]" },
	{ "nothing", "", "not JSON from byte 0 on" },
	{ "cut", "{\"a\":", "not JSON" },
	{ "no quotes", "{a:1}", "not JSON from byte 2 on" },
	{ "a second value", "{} 1", "something follows the JSON value at byte 3" },
	{ "33 levels",
	  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
	  "more than 32 levels deep" },
};

int main(void)
{
	struct buf err = BUF_INIT, out = BUF_INIT;
	cJSON *v;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		v = json_parse(cases[i].text, strlen(cases[i].text), &err);
		buf_reset(&out);
		if (v) {
			json_print(&out, v);
			tap_is(out.data, cases[i].want, cases[i].name);
		} else {
			tap_ok(str_starts(err.data, cases[i].want), "%s: %s",
			       cases[i].name, err.data);
		}
		cJSON_Delete(v);
	}
	v = json_parse("1\0", 2, &err);
	tap_ok(!v, "a NUL byte behind it");
	cJSON_Delete(v);
	buf_free(&err);
	buf_free(&out);
	return tap_done();
}
