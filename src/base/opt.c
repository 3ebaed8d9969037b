#include "base/opt.h"

#include <string.h>

/* The option that arg names, and behind a "=" its value. */
static const struct opt *opt_match(const struct opt *o, const char *arg,
				   const char **value)
{
	bool is_long = arg[1] == '-';
	const char *name = arg + 1 + is_long;
	size_t n = strcspn(name, "=");

	for (; o->name; o++) {
		if (strlen(o->name) != n || memcmp(o->name, name, n) != 0)
			continue;
		if (is_long != (n > 1))
			continue;
		*value = name[n] ? name + n + 1 : NULL;
		return o;
	}
	return NULL;
}

int opt_parse(const struct opt *opts, int argc, char **argv, struct buf *err)
{
	int left = argc > 0 ? 1 : 0;
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const struct opt *o;
		const char *value;

		if (argv[i][0] != '-' || !argv[i][1]) {
			argv[left++] = argv[i];
			continue;
		}
		o = opt_match(opts, argv[i], &value);
		if (!o) {
			buf_setf(err, "unknown option %s", argv[i]);
			return -1;
		}
		if (!o->value) {
			if (value) {
				buf_setf(err, "option %s takes no value",
					 o->name);
				return -1;
			}
			*o->flag = true;
			continue;
		}
		if (!value && i + 1 < argc)
			value = argv[++i];
		if (!value) {
			buf_setf(err, "option %s needs a value", argv[i]);
			return -1;
		}
		*o->value = value;
	}
	for (i++; i < argc; i++)
		argv[left++] = argv[i];
	argv[left] = NULL;
	return left;
}
