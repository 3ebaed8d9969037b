/* Making room in a mailbox: its oldest messages go. The rule is upstream's
 * (chatmaild/expire.py, expire_to_target): what counts is the time of delivery
 * and the S= size that Dovecot writes into a file's name; the mailbox's own
 * cur and new are looked at, folders are not; what is younger than a day
 * stays, whatever its size. */
#ifndef RELAY_MAILBOX_QUOTA_H
#define RELAY_MAILBOX_QUOTA_H

#include "relay/mailbox.h"

/* Read "1775324677.M448978P3029757.host,S=3235,W=3305:2,S". The last ",S="
 * counts, of the first line; upstream's expression has it so. false for other
 * names, which neither count nor go. */
bool mailbox_name_parse(const char *name, uint64_t *secs, uint64_t *size);

struct mailbox_shrink {
	/* set by the caller */
	struct mailbox_trouble *trouble;
	uint64_t target;	/* bytes */
	struct timespec now;
	bool dry;		/* count only */
	/* May be NULL. Messages that are gone already, if only in a dry run:
	 * they neither count nor go. */
	bool (*is_gone)(const struct mailbox_shrink *s,
			const struct mailbox_file *f);
	/* results, added to */
	uint64_t removed;
};

/* Remove messages, oldest first, until the sum of their sizes is at most the
 * target. Dovecot's maildirsize goes before the first of them and again after
 * the last. Needs memory for the names of the messages that may go. */
void mailbox_shrink(struct mailbox_shrink *s, const struct mailbox_dir *box);

/* Let Dovecot count the mailbox anew: remove its maildirsize. Before a change,
 * so that a run that ends in the midst leaves no wrong sum, and after it. */
void mailbox_forget_size(const struct mailbox_dir *box,
			 struct mailbox_trouble *t);

#endif
