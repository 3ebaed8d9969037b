/* What a terminal can show. */
#ifndef BASE_TERM_H
#define BASE_TERM_H

#include <stdbool.h>

/* May colours be written to fd? On a terminal that is not "dumb", unless the
 * user has set NO_COLOR (no-color.org). */
bool term_has_colour(int fd);

#endif
