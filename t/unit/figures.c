/* A relay's figures: what is read, what is written in each format. */
#include "tap.h"

#include <stdlib.h>

#include "base/str.h"
#include "text/figures.h"

#define EOF_ "# EOF\n"

/* text, what is wrong with it; or NULL and the OpenMetrics text again */
static const struct {
	const char *name, *text, *error, *want;
} cases[] = {
	{ "nothing", EOF_, NULL, EOF_ },
	{ "a gauge", "# TYPE a gauge\n# HELP a b c\na -1.5\n" EOF_, NULL,
	  "# TYPE a gauge\n# HELP a b c\na -1.5\n" EOF_ },
	{ "a counter", "# TYPE a counter\na_total 5\n" EOF_, NULL,
	  "# TYPE a counter\na_total 5\n" EOF_ },
	{ "HELP first, as Prometheus has it",
	  "# HELP a b\n# TYPE a gauge\na 1e3\n" EOF_, NULL,
	  "# TYPE a gauge\n# HELP a b\na 1000\n" EOF_ },
	{ "a unit", "# TYPE a_bytes gauge\na_bytes 1\n" EOF_, NULL,
	  "# TYPE a_bytes gauge\n# UNIT a_bytes bytes\na_bytes 1\n" EOF_ },
	{ "a counter's unit", "# TYPE a_seconds counter\n"
	  "# UNIT a_seconds seconds\na_seconds_total .5\n" EOF_, NULL,
	  "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n"
	  "a_seconds_total 0.5\n" EOF_ },
	{ "no TYPE", "# HELP a b\na 1\n" EOF_, NULL,
	  "# TYPE a unknown\n# HELP a b\na 1\n" EOF_ },
	{ "no samples", "# TYPE a gauge\n" EOF_, NULL, EOF_ },
	{ "labels", "# TYPE a gauge\na{b=\"c\",d=\"\"} 1\na{b=\"e\"} 2\n" EOF_,
	  NULL, "# TYPE a gauge\na{b=\"c\",d=\"\"} 1\na{b=\"e\"} 2\n" EOF_ },
	{ "escapes", "# TYPE a gauge\n# HELP a \\\\ \\n\n"
	  "a{b=\"\\\\n\\\"\\n}\"} 1\n" EOF_, NULL,
	  "# TYPE a gauge\n# HELP a \\\\ \\n\n"
	  "a{b=\"\\\\n\\\"\\n}\"} 1\n" EOF_ },
	{ "a sum", "# TYPE a counter\na_total 1\n# TYPE b gauge\nb 2\n"
	  "# TYPE a counter\na_total 4\n" EOF_, NULL,
	  "# TYPE a counter\na_total 5\n# TYPE b gauge\nb 2\n" EOF_ },
	{ "a time", "# TYPE a_seconds gauge\na_seconds 1700000000.123\n" EOF_,
	  NULL, "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n"
	  "a_seconds 1700000000.123\n" EOF_ },
	{ "a large number", "# TYPE a counter\na_total 9007199254740991\n" EOF_,
	  NULL, "# TYPE a counter\na_total 9007199254740991\n" EOF_ },

	{ "empty", "", "line 0: no end", NULL },
	{ "no end", "# TYPE a gauge\na 1\n", "line 2: no end", NULL },
	{ "half a line", "# TYPE a gauge\na 1", "line 2: half a line", NULL },
	{ "half an end", "# EOF", "line 1: half a line", NULL },
	{ "more behind the end", EOF_ "\n", "line 2: something after the end",
	  NULL },
	{ "an empty line", "\n" EOF_,
	  "line 1: a sample outside of its family", NULL },
	{ "a comment", "# hello\n" EOF_, "line 1: a comment", NULL },
	{ "HTTP", "HTTP/1.1 200 OK\r\n" EOF_,
	  "line 1: a sample outside of its family", NULL },
	{ "a histogram", "# TYPE a histogram\n" EOF_,
	  "line 1: a type that is not known here", NULL },
	{ "two types", "# TYPE a gauge\n# TYPE a gauge\n" EOF_,
	  "line 2: a second TYPE", NULL },
	{ "two helps", "# HELP a b\n# HELP a b\n" EOF_,
	  "line 2: a second HELP", NULL },
	{ "another type later", "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n"
	  "# TYPE a unknown\na 1\n" EOF_,
	  "line 6: another type than elsewhere, or too many samples", NULL },
	{ "a family called _total", "# TYPE a_total counter\n" EOF_,
	  "line 1: a family is named without _total", NULL },
	{ "a counter without _total", "# TYPE a counter\na 1\n" EOF_,
	  "line 2: a counter without _total", NULL },
	{ "a gauge with _total", "# TYPE a gauge\na_total 1\n" EOF_,
	  "line 2: a sample outside of its family", NULL },
	{ "a late TYPE", "# HELP a b\na 1\n# TYPE a gauge\n" EOF_,
	  "line 3: a description after samples", NULL },
	{ "a wrong unit", "# TYPE a_bytes gauge\n# UNIT a_bytes seconds\n" EOF_,
	  "line 2: a unit that is not in the name", NULL },
	{ "a name with a digit first", "# TYPE 1a gauge\n" EOF_,
	  "line 1: no name", NULL },
	{ "no value", "# TYPE a gauge\na \n" EOF_, "line 2: a wrong value", NULL },
	{ "two values", "# TYPE a gauge\na 1 2\n" EOF_, "line 2: a wrong value",
	  NULL },
	{ "two blanks", "# TYPE a gauge\na  1\n" EOF_, "line 2: a wrong value",
	  NULL },
	{ "hexadecimal", "# TYPE a gauge\na 0x1\n" EOF_, "line 2: a wrong value",
	  NULL },
	{ "infinity", "# TYPE a gauge\na +Inf\n" EOF_, "line 2: a wrong value",
	  NULL },
	{ "too large", "# TYPE a gauge\na 1e999\n" EOF_, "line 2: a wrong value",
	  NULL },
	{ "a counter below zero", "# TYPE a counter\na_total -1\n" EOF_,
	  "line 2: a wrong value", NULL },
	{ "empty labels", "# TYPE a gauge\na{} 1\n" EOF_,
	  "line 2: a wrong label", NULL },
	{ "no quote", "# TYPE a gauge\na{b=c} 1\n" EOF_,
	  "line 2: a wrong label", NULL },
	{ "an open quote", "# TYPE a gauge\na{b=\"c} 1\n" EOF_,
	  "line 2: a wrong label", NULL },
	{ "an open brace", "# TYPE a gauge\na{b=\"c\" 1\n" EOF_,
	  "line 2: a wrong label", NULL },
	{ "a comma last", "# TYPE a gauge\na{b=\"c\",} 1\n" EOF_,
	  "line 2: a wrong label", NULL },
	{ "a wrong escape", "# TYPE a gauge\na{b=\"\\t\"} 1\n" EOF_,
	  "line 2: a wrong label", NULL },
	{ "a label twice", "# TYPE a gauge\na{b=\"c\",b=\"d\"} 1\n" EOF_,
	  "line 2: a label twice", NULL },
	{ "a wrong escape in HELP", "# HELP a \\t\n" EOF_,
	  "line 1: a wrong escape", NULL },
	{ "invalid UTF-8", "# HELP a \xff\n" EOF_, "line 1: not UTF-8 text",
	  NULL },
};

static void test_parse(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct figures f = { 0 };
		struct buf out = BUF_INIT, err = BUF_INIT;
		int ret = figures_parse(&f, cases[i].text,
					strlen(cases[i].text), &err);

		if (ret == 0)
			figures_print(&f, FIGURES_OPENMETRICS, &out);
		tap_is(ret < 0 ? err.data : out.data, cases[i].error ?
		       cases[i].error : cases[i].want, cases[i].name);
		figures_free(&f);
		buf_free(&out);
		buf_free(&err);
	}
}

static void test_nul(void)
{
	static const char text[] = "# HELP a b\0c\n" EOF_;
	struct figures f = { 0 };
	struct buf err = BUF_INIT;

	tap_ok(figures_parse(&f, text, sizeof(text) - 1, &err) < 0, "a NUL");
	figures_free(&f);
	buf_free(&err);
}

static void test_bounds(void)
{
	struct figures f = { 0 };
	struct buf text = BUF_INIT, err = BUF_INIT;
	int i;

	for (i = 0; i < FIGURES_SAMPLES_MAX; i++) {
		struct buf label = BUF_INIT;

		figures_add_label(&label, "n", "x");
		buf_addf(&label, ",m=\"%d\"", i);
		if (figures_add(&f, FIGURES_GAUGE, "a", "", label.data, 1) < 0)
			break;
		buf_free(&label);
	}
	tap_ok(i == FIGURES_SAMPLES_MAX, "as many samples as there may be");
	tap_ok(figures_add(&f, FIGURES_GAUGE, "a", "", "", 1) < 0, "one more");
	tap_ok(figures_add(&f, FIGURES_GAUGE, "b", "", "", 1) < 0,
	       "one of another family");
	tap_ok(figures_add(&f, FIGURES_COUNTER, "a", "", "", 1) < 0,
	       "another type");
	figures_print(&f, FIGURES_PROMETHEUS, &text);
	tap_ok(!strstr(text.data, "# TYPE b"), "no family without samples");
	figures_free(&f);

	buf_reset(&text);
	while (text.len <= FIGURES_TEXT_MAX)
		buf_adds(&text, "# TYPE a gauge\n");
	tap_ok(figures_parse(&f, text.data, text.len, &err) < 0 &&
	       strcmp(err.data, "line 0: too long") == 0, "a long text");
	figures_free(&f);
	buf_free(&text);
	buf_free(&err);
}

static void test_labels(void)
{
	struct buf b = BUF_INIT;

	figures_add_label(&b, "a", "x");
	figures_add_label(&b, "b", "\"\\\n}");
	tap_is(b.data, "a=\"x\",b=\"\\\"\\\\\\n}\"", "labels are escaped");
	buf_free(&b);
}

static void test_formats(void)
{
	static const char *const want[] = {
		[FIGURES_OPENMETRICS] =
		"# TYPE a counter\n# HELP a Help.\na_total{l=\"\\\\n\\n\"} 3\n"
		"# TYPE old_count unknown\nold_count 3\n"
		"# TYPE b_bytes gauge\n# UNIT b_bytes bytes\nb_bytes 0.25\n"
		EOF_,
		[FIGURES_PROMETHEUS] =
		"# HELP a_total Help.\n# TYPE a_total counter\n"
		"a_total{l=\"\\\\n\\n\"} 3\n"
		"# TYPE old_count untyped\nold_count 3\n"
		"# TYPE b_bytes gauge\nb_bytes 0.25\n",
		[FIGURES_JSON] =
		"{\"a_total\": [{\"labels\": {\"l\": \"\\\\n\\n\"}, "
		"\"value\": 3}],\n"
		"\"old_count\": [{\"labels\": {}, \"value\": 3}],\n"
		"\"b_bytes\": [{\"labels\": {}, \"value\": 0.25}]}\n",
	};
	static const char *const names[] = { "OpenMetrics", "Prometheus",
					     "JSON" };
	struct figures f = { 0 };

	figures_add(&f, FIGURES_COUNTER, "a", "Help.", "l=\"\\\\n\\n\"", 1);
	figures_add(&f, FIGURES_UNKNOWN, "old_count", "", "", 3);
	figures_add(&f, FIGURES_COUNTER, "a", "", "l=\"\\\\n\\n\"", 2);
	figures_add(&f, FIGURES_GAUGE, "b_bytes", "", "", .25);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct buf out = BUF_INIT;

		figures_print(&f, (enum figures_format)i, &out);
		tap_is(out.data, want[i], names[i]);
		buf_free(&out);
	}
	figures_free(&f);
}

int main(void)
{
	test_parse();
	test_nul();
	test_bounds();
	test_labels();
	test_formats();
	return tap_done();
}
