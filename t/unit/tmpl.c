/* The template language: what it renders, and what it refuses where. */
#include "tap.h"

#include "base/str.h"
#include "text/tmpl.h"

static const struct {
	const char *name, *value;
} values[] = {
	{ "domain", "chat.example" },
	{ "port", "25" },
	{ "empty", "" },
	{ "zero", "0" },
	{ "no", "no" },
	{ "false", "false" },
	{ "off", "Off" },
	{ "true", "true" },
	{ "braces", "{{ domain }}" },
	{ "config.port", "25" },
	{ "bad", "25" },
};

static const char *lookup(const struct tmpl_vars *v, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (strcmp(values[i].name, name) == 0)
			return values[i].value;
	return NULL;
}

static const struct {
	const char *name, *input, *want;
} cases[] = {
	{ "no tags", "a\nb", "a\nb" },
	{ "nothing", "", "" },
	{ "a value", "myhostname = {{ domain }}\n",
	  "myhostname = chat.example\n" },
	{ "no blanks", "{{domain}}:{{port}}", "chat.example:25" },
	{ "an empty value", "<{{ empty }}>", "<>" },
	{ "values are not templates", "{{ braces }}", "{{ domain }}" },
	{ "single braces stay", "a { b } ${1} %{user} }} %} {\n",
	  "a { b } ${1} %{user} }} %} {\n" },
	{ "if true", "{% if true %}a{% endif %}b", "ab" },
	{ "if empty", "{% if empty %}a{% endif %}b", "b" },
	{ "if 0", "{% if zero %}a{% endif %}b", "b" },
	{ "if no", "{% if no %}a{% endif %}b", "b" },
	{ "if false", "{% if false %}a{% endif %}b", "b" },
	{ "if Off", "{% if off %}a{% endif %}b", "b" },
	{ "if not", "{% if not empty %}a{% endif %}b", "ab" },
	{ "else", "{% if empty %}a{% else %}b{% endif %}", "b" },
	{ "else unused", "{% if true %}a{% else %}b{% endif %}", "a" },
	{ "equal", "{% if port == \"25\" %}a{% else %}b{% endif %}", "a" },
	{ "not equal", "{% if not port == \"25\" %}a{% else %}b{% endif %}",
	  "b" },
	{ "equal to a longer text", "{% if port == \"251\" %}a{% endif %}",
	  "" },
	{ "equal to nothing", "{% if empty == \"\" %}a{% endif %}", "a" },
	{ "equal without blanks", "{%if port==\"25\"%}a{%endif%}", "a" },
	{ "different", "{% if port != \"26\" %}a{% else %}b{% endif %}", "a" },
	{ "not different", "{% if port != \"25\" %}a{% else %}b{% endif %}",
	  "b" },
	{ "not not equal", "{% if not port != \"25\" %}a{% endif %}", "a" },
	{ "different from nothing", "{% if empty!=\"\" %}a{% endif %}b", "b" },
	{ "other quotes", "{% if port == '25' %}a{% endif %}"
	  "{% if port != '\"25\"' %}b{% endif %}", "ab" },
	{ "a dot in a name", "{{ config.port }}", "25" },
	{ "tag lines vanish", "a\n  {% if true %} \nb\n\t{% endif %}\nc\n",
	  "a\nb\nc\n" },
	{ "hidden lines vanish",
	  "a\n{% if empty %}\nb\n{% else %}\nc\n{% endif %}\nd\n",
	  "a\nc\nd\n" },
	{ "two tags in a line vanish", "{% if true %} {% if port %}\na\n"
	  "{% endif %}{% endif %}\nb", "a\nb" },
	{ "CRLF", "{% if true %}\r\na\r\n{% endif %}\r\n", "a\r\n" },
	{ "empty lines stay", "a\n\n{% if true %}\n\n{% endif %}\nb\n",
	  "a\n\n\nb\n" },
	{ "a tag beside text keeps the line", "{% if true %}a{% endif %}\n",
	  "a\n" },
	{ "nested", "{% if true %}{% if empty %}a{% else %}b{% endif %}c"
	  "{% endif %}", "bc" },
	{ "nested in a hidden branch", "{% if empty %}{% if true %}a"
	  "{% else %}b{% endif %}c{% endif %}d", "d" },
	{ "16 deep",
	  "{% if true %}{% if true %}{% if true %}{% if true %}"
	  "{% if true %}{% if true %}{% if true %}{% if true %}"
	  "{% if true %}{% if true %}{% if true %}{% if true %}"
	  "{% if true %}{% if true %}{% if true %}{% if true %}x"
	  "{% endif %}{% endif %}{% endif %}{% endif %}"
	  "{% endif %}{% endif %}{% endif %}{% endif %}"
	  "{% endif %}{% endif %}{% endif %}{% endif %}"
	  "{% endif %}{% endif %}{% endif %}{% endif %}", "x" },

	{ "unknown name", "a\n{{ nothing }}",
	  "main.cf:2: unknown name \"nothing\"" },
	{ "unknown name where nothing shows",
	  "{% if empty %}\n{{ nothing }}\n{% endif %}",
	  "main.cf:2: unknown name \"nothing\"" },
	{ "unknown name in an if", "{% if nothing %}{% endif %}",
	  "main.cf:1: unknown name \"nothing\"" },
	{ "two names", "{{ domain port }}",
	  "main.cf:1: {{ }} needs one name" },
	{ "no name", "{{ }}", "main.cf:1: {{ }} needs one name" },
	{ "a filter", "{{ domain|upper }}",
	  "main.cf:1: {{ }} needs one name" },
	{ "a name that is too long",
	  "{{ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  " }}", "main.cf:1: {{ }} needs one name" },
	{ "not closed", "\n\n{{ domain\n}}",
	  "main.cf:3: {{ is not closed in its line" },
	{ "tag not closed", "{% if domain",
	  "main.cf:1: {% is not closed in its line" },
	{ "empty tag", "{% %}", "main.cf:1: {% %} without a word" },
	{ "unknown tag", "{% for x %}", "main.cf:1: unknown tag \"for\"" },
	{ "if without name", "{% if %}", "main.cf:1: if needs a name" },
	{ "if not without name", "{% if not %}",
	  "main.cf:1: if not needs a name" },
	{ "if with two names", "{% if domain port %}",
	  "main.cf:1: expected == or != after the name" },
	{ "comparison without text", "{% if port == 25 %}",
	  "main.cf:1: expected \"text\" after ==" },
	{ "comparison without end", "{% if port == \"25 %}",
	  "main.cf:1: the text after == has no end" },
	{ "other quotes at the end", "{% if port == '25\" %}",
	  "main.cf:1: the text after == has no end" },
	{ "!= without text", "{% if port != 25 %}",
	  "main.cf:1: expected \"text\" after !=" },
	{ "! alone", "{% if port ! \"25\" %}",
	  "main.cf:1: expected == or != after the name" },
	{ "comparison and more", "{% if port == \"25\" and domain %}",
	  "main.cf:1: text after if" },
	{ "else with a word", "{% if port %}{% else if %}",
	  "main.cf:1: text after else" },
	{ "else alone", "{% else %}", "main.cf:1: else without if" },
	{ "two elses", "{% if port %}\n{% else %}\n{% else %}",
	  "main.cf:3: second else of the if in line 1" },
	{ "endif alone", "a\n{% endif %}", "main.cf:2: endif without if" },
	{ "no endif", "a\n{% if port %}\nb\n", "main.cf:2: if without endif" },
	{ "17 deep",
	  "{% if true %}{% if true %}{% if true %}{% if true %}"
	  "{% if true %}{% if true %}{% if true %}{% if true %}"
	  "{% if true %}{% if true %}{% if true %}{% if true %}"
	  "{% if true %}{% if true %}{% if true %}{% if true %}{% if true %}",
	  "main.cf:1: more than 16 ifs inside each other" },
};

static void test_out_is_kept_on_error(const struct tmpl_vars *vars)
{
	struct buf out = BUF_INIT, err = BUF_INIT;

	buf_adds(&out, "before ");
	tmpl_render(&out, "x", "new {{ nothing }}", 17, vars, &err);
	tap_is(out.data, "before ", "an error leaves out as it was");
	tmpl_render(&out, "x", "{{ port }}", 10, vars, &err);
	tap_is(out.data, "before 25", "rendering appends");
	buf_free(&out);
	buf_free(&err);
}

static void add_in_brackets(const struct tmpl_vars *v, struct buf *out,
			    const char *name, const char *value)
{
	buf_addf(out, "[%s=%s]", name, value);
}

static const char *refuse_bad(const struct tmpl_vars *v, const char *text,
			      size_t n)
{
	return memmem(text, n, "bad", 3) ? "no bad text" : NULL;
}

static void test_own_ways(void)
{
	const struct tmpl_vars vars = {
		.lookup = lookup, .add = add_in_brackets,
		.refuse = refuse_bad,
	};
	static const char good[] = "a {{ domain }}\n{% if empty %}\nbad\n"
				   "{% endif %}\n{{ bad }}\n";
	static const char bad[] = "a\n{% if bad %}\nx {{ port }}bad\n{% endif %}";
	struct buf out = BUF_INIT, err = BUF_INIT;

	tmpl_render(&out, "x", good, strlen(good), &vars, &err);
	tap_is(out.data, "a [domain=chat.example]\n[bad=25]\n",
	       "values are added in the owner's way");
	tap_ok(tmpl_render(&out, "x", bad, strlen(bad), &vars, &err) < 0,
	       "text is refused where it would be shown");
	tap_is(err.data, "x:3: no bad text", "with its line");
	buf_free(&out);
	buf_free(&err);
}

int main(void)
{
	const struct tmpl_vars vars = { .lookup = lookup };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = BUF_INIT, err = BUF_INIT;
		int rc = tmpl_render(&out, "main.cf", cases[i].input,
				     strlen(cases[i].input), &vars, &err);

		tap_is(rc < 0 ? err.data : out.data, cases[i].want,
		       cases[i].name);
		buf_free(&out);
		buf_free(&err);
	}
	test_out_is_kept_on_error(&vars);
	test_own_ways();
	return tap_done();
}
