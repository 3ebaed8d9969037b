/* Accept and Accept-Language: lists with weights. */
#include "tap.h"

#include "base/buf.h"
#include "base/str.h"
#include "text/accept.h"

static const struct {
	const char *list, *want;	/* name=weight of each item */
} lists[] = {
	{ "", "" },
	{ " , ;,\t", "" },
	{ "text/html", "text/html=1000" },
	{ "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	  "text/html=1000 application/xhtml+xml=1000 application/xml=900 "
	  "*/*=800" },
	{ "de-AT, de ;q=0.95 , en; q=0.025\t,*;q=0",
	  "de-AT=1000 de=950 en=25 *=0" },
	{ "a;level=1;q=0.5;x=\"q=1,;\", b", "a=500 b=1000" },
	{ "a;x=\"\\\",b\";q=0.5,c", "a=500 c=1000" },
	{ "a;x=\"never ends, b;q=0.1", "a=1000" },
	{ "a;x=\"\\", "a=1000" },
	{ "a;Q=0.1,b;q=1.000,c;q=1.", "a=100 b=1000 c=1000" },
	{ "a;q=,b;q=1.001,c;q=2,d;q=.5,e;q=0.1234,f;q=-1,g;q=0.x,h;q=1 1",
	  "a=0 b=0 c=0 d=0 e=0 f=0 g=0 h=0" },
	{ "a;q,b;qq=0.1,c;=0.1;;,d;", "a=1000 b=1000 c=1000 d=1000" },
};

static void test_lists(void)
{
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct buf got = BUF_INIT;
		const char *p = lists[i].list;
		struct accept_item item;

		while (accept_next(&p, &item))
			buf_addf(&got, "%s%.*s=%u", got.len ? " " : "",
				 (int)item.len, item.name, item.weight);
		tap_is(got.data, lists[i].want, lists[i].list);
		buf_free(&got);
	}
}

#define FIREFOX "text/html,application/xhtml+xml,application/xml;q=0.9," \
	"image/avif,image/webp,*/*;q=0.8"

static const struct {
	const char *list, *type;
	unsigned weight;
	bool named;
} types[] = {
	{ NULL, "text/html", 1000, false },
	{ "", "text/html", 0, false },
	{ "*/*", "text/html", 1000, false },
	{ "text/*;q=0.3,*/*", "text/html", 300, false },
	{ "*/*,text/*;q=0.3,text/html;q=0", "text/html", 0, false },
	{ "TEXT/HTML;q=0.7", "text/html", 700, true },
	{ "text/html;level=1;q=0.2,text/html;q=0.4", "text/html", 400, true },
	{ "text/htmlx,text/htm,text", "text/html", 0, false },
	{ "image/*", "text/html", 0, false },
	{ FIREFOX, "text/html", 1000, true },
	{ FIREFOX, "application/json", 800, false },
	{ "application/json, image/svg+xml", "image/svg+xml", 1000, true },
	{ "image/*", "image/svg+xml", 1000, false },
};

static void test_types(void)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const char *list = types[i].list;
		const char *name = list ? list : "no header";
		unsigned weight = accept_type(list, types[i].type);

		tap_ok(weight == types[i].weight, "%s: %s %u", name,
		       types[i].type, weight);
		tap_ok(accept_names(list, types[i].type) == types[i].named,
		       "%s: %s is %snamed", name, types[i].type,
		       types[i].named ? "" : "not ");
	}
}

static const struct {
	const char *list, *language;
	unsigned weight;
} languages[] = {
	{ NULL, "de", 0 }, { "", "de", 0 }, { "*", "de", 0 },
	{ "de", "de", 1000 }, { "DE-at", "de", 1000 },
	{ "deu,d,dee-x", "de", 0 },
	{ "de-AT;q=0.5,de;q=0.8,de-CH;q=0.1", "de", 800 },
	{ "fr,de;q=0", "de", 0 }, { "zh-Hans-CN;q=0.9", "zh", 900 },
};

static void test_languages(void)
{
	for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
		const char *list = languages[i].list;
		unsigned weight = accept_language(list,
						  languages[i].language);

		tap_ok(weight == languages[i].weight, "%s: %s %u",
		       list ? list : "no header", languages[i].language,
		       weight);
	}
}

int main(void)
{
	test_lists();
	test_types();
	test_languages();
	return tap_done();
}
