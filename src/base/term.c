#include "base/term.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool term_has_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}
