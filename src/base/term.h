/* What a terminal can show. */
#ifndef BASE_TERM_H
#define BASE_TERM_H

#include <stdbool.h>
#include <stddef.h>

/* May colours be written to fd? On a terminal that is not "dumb", unless the
 * user has set NO_COLOR (no-color.org). */
bool term_has_colour(int fd);

/* Columns of the terminal at fd; of what is no terminal, $COLUMNS, else 80. */
size_t term_width(int fd);

#endif
