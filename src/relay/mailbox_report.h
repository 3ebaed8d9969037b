/* How much the mailboxes store and how many accounts are in use: figures,
 * names and rules of upstream's chatmaild/fsreport.py. */
#ifndef RELAY_MAILBOX_REPORT_H
#define RELAY_MAILBOX_REPORT_H

#include "relay/mailbox.h"

enum { REPORT_SIZES = 7, REPORT_DAYS = 7 };

extern const uint64_t report_sizes[REPORT_SIZES];	/* bytes, from 0 up */
extern const unsigned report_days[REPORT_DAYS];

struct mailbox_report {
	struct mailbox_walk walk;	/* trouble and max are the caller's */
	/* set by the caller */
	struct timespec now;
	uint64_t min_login_age;	/* days; younger logins are not in messages */
	enum mailbox_sub only;	/* messages of that one; MAILBOX_OTHER: all */
	/* results */
	uint64_t message_bytes;		/* of all mailboxes, also unused ones */
	uint64_t other_bytes;		/* what is no message */
	struct {
		uint64_t bytes, count;
	} messages[REPORT_SIZES];	/* that size or larger */
	uint64_t accounts;		/* that have a password file */
	uint64_t ci_accounts;		/* of these, for tests: "ci-…" */
	uint64_t active[REPORT_DAYS];	/* others, used in so many days */
	/* its own */
	bool counts_messages;
};

/* Walk over all mailboxes. Returns 0, or -1 with errno when mailboxes_dir
 * cannot be read. */
int mailbox_report_run(struct mailbox_report *r, const char *mailboxes_dir);

/* Append the figures in Prometheus' text format; the second with the names of
 * upstream's older metrics.py. untyped is the format's word for what is neither
 * counter nor gauge: "untyped", or "unknown" for OpenMetrics. */
void mailbox_report_metrics(struct buf *out, const struct mailbox_report *r,
			    const char *untyped);
void mailbox_report_legacy(struct buf *out, const struct mailbox_report *r);
/* Append them as a JSON object on one line. */
void mailbox_report_json(struct buf *out, const struct mailbox_report *r);

#endif
