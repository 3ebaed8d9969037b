/* Removing a whole mailbox, so that an end at any moment leaves one that the
 * next run recognizes and removes. */
#ifndef RELAY_MAILBOX_REMOVE_H
#define RELAY_MAILBOX_REMOVE_H

#include "relay/mailbox.h"

/* Remove all files, then the password file, then the directory, none of them
 * when a login was noted since m was read; links are removed, not followed.
 * What cannot be removed is counted in trouble, and the password file stays
 * then. Returns 1 when the mailbox is gone, 0 when somebody has logged in, -1
 * when something is left. */
int mailbox_remove(const struct mailbox *m, struct mailbox_trouble *t);

/* Remove a mailbox in which nothing is, not even a password file; only look
 * when dry. Returns 1 when it is gone (would be), 0 when something is in it, -1
 * when it could not be removed. */
int mailbox_remove_empty(const struct mailbox *m, bool dry,
			 struct mailbox_trouble *t);

#endif
