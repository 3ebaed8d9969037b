/* Options from a table: what is taken, what is left, what is refused. */
#include "tap.h"

#include "base/opt.h"
#include "base/str.h"

static const struct {
	const char *name;
	const char *argv[8];
	const char *want;	/* "config|n|force|v|what is left", or the error */
} cases[] = {
	{ "nothing", { "x" }, "-|-|0|0|x" },
	{ "no argv at all", { NULL }, "-|-|0|0|" },
	{ "operands", { "x", "a", "b" }, "-|-|0|0|x a b" },
	{ "long", { "x", "--config", "f", "a" }, "f|-|0|0|x a" },
	{ "long with =", { "x", "--config=f", "a" }, "f|-|0|0|x a" },
	{ "long with = and nothing", { "x", "--config=" }, "|-|0|0|x" },
	{ "= in the value", { "x", "--config=a=b" }, "a=b|-|0|0|x" },
	{ "short", { "x", "-n", "5" }, "-|5|0|0|x" },
	{ "short with =", { "x", "-n=5" }, "-|5|0|0|x" },
	{ "flags", { "x", "--force", "-v" }, "-|-|1|1|x" },
	{ "between operands", { "x", "a", "--force", "b" }, "-|-|1|0|x a b" },
	{ "the last counts", { "x", "-n", "1", "-n", "2" }, "-|2|0|0|x" },
	{ "a value that looks like an option", { "x", "-n", "-v" },
	  "-|-v|0|0|x" },
	{ "--", { "x", "-v", "--", "-v", "--force" }, "-|-|0|1|x -v --force" },
	{ "-- as a value", { "x", "-n", "--", "-v" }, "-|--|0|1|x" },
	{ "-- alone", { "x", "--" }, "-|-|0|0|x" },
	{ "-", { "x", "-", "a" }, "-|-|0|0|x - a" },
	{ "an empty operand", { "x", "", "a" }, "-|-|0|0|x  a" },

	{ "unknown", { "x", "--nothing" }, "unknown option --nothing" },
	{ "unknown with =", { "x", "--nothing=1" },
	  "unknown option --nothing=1" },
	{ "a prefix", { "x", "--conf", "f" }, "unknown option --conf" },
	{ "longer", { "x", "--configs", "f" }, "unknown option --configs" },
	{ "long with one dash", { "x", "-config", "f" },
	  "unknown option -config" },
	{ "short with two", { "x", "--v" }, "unknown option --v" },
	{ "two in one", { "x", "-vn" }, "unknown option -vn" },
	{ "only =", { "x", "-=" }, "unknown option -=" },
	{ "only --=", { "x", "--=f" }, "unknown option --=f" },
	{ "no value", { "x", "--config" }, "option --config needs a value" },
	{ "no short value", { "x", "a", "-n" }, "option -n needs a value" },
	{ "a flag's value", { "x", "--force=1" },
	  "option force takes no value" },
};

static void run(size_t i)
{
	const char *config = NULL, *n = NULL;
	bool force = false, v = false;
	const struct opt opts[] = {
		{ "config", &config, NULL }, { "n", &n, NULL },
		{ "force", NULL, &force }, { "v", NULL, &v }, { 0 },
	};
	struct buf err = BUF_INIT, got = BUF_INIT;
	char *argv[9] = { 0 };
	int argc = 0, left;

	for (; cases[i].argv[argc]; argc++)
		argv[argc] = (char *)cases[i].argv[argc];
	left = opt_parse(opts, argc, argv, &err);
	if (left < 0) {
		buf_adds(&got, err.data);
	} else {
		buf_addf(&got, "%s|%s|%d|%d|", config ? config : "-",
			 n ? n : "-", force, v);
		for (int a = 0; a < left; a++)
			buf_addf(&got, "%s%s", a ? " " : "", argv[a]);
		tap_ok(argv[left] == NULL, "%s: ended by NULL", cases[i].name);
	}
	tap_is(got.data, cases[i].want, cases[i].name);
	buf_free(&err);
	buf_free(&got);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run(i);
	return tap_done();
}
