/* Command line options from a table: --name, --name VALUE, --name=VALUE, -x. */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdbool.h>

#include "base/buf.h"

struct opt {
	const char *name;	/* without dashes; one letter is "-x"; NULL ends */
	const char **value;	/* where the value goes, or NULL for a flag */
	bool *flag;		/* set to true; unused when value is set */
};

/* Takes the options out of argv and leaves the rest, argv[0] included, in
 * order; "--" ends options, "-" is an operand. Values are borrowed from argv.
 * Returns the number of what is left, or -1 with the reason in *err. */
int opt_parse(const struct opt *opts, int argc, char **argv, struct buf *err);

#endif
