/* Questions to the person at the terminal, on /dev/tty as ssh(1) asks them. */
#ifndef HOST_ASK_H
#define HOST_ASK_H

#include <stdbool.h>

#include "base/buf.h"

/* Show the question and wait for a line: true only for "yes". Asks again when
 * it is neither yes nor no; false when there is no terminal. */
bool ask_yes(const char *question);
/* A line that is not shown while it is typed goes to secret, which the caller
 * wipes. Returns 0, or -1 when there is no terminal or nothing was typed. */
int ask_secret(const char *prompt, struct buf *secret);

#endif
