/* Files that a killed process has left in mailboxes. */
#ifndef RELAY_MAILBOX_LEFTOVERS_H
#define RELAY_MAILBOX_LEFTOVERS_H

#include "relay/mailbox.h"

/* Is it the name of a temporary file of file_replace(), "NAME.tmp-PID-N", for
 * one of our own files of a mailbox? */
bool mailbox_is_leftover(const char *name);

/* Call each() for the leftovers in a mailbox that were not changed since
 * before; it may remove them. What cannot be read goes to t. */
void mailbox_leftovers(const struct mailbox_dir *box, struct timespec before,
		       void (*each)(const struct mailbox_file *f),
		       struct mailbox_trouble *t);

#endif
