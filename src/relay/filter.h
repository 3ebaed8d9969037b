/* May a message pass? The rules of a chatmail relay, for both directions. */
#ifndef RELAY_FILTER_H
#define RELAY_FILTER_H

#include <stdbool.h>

#include "base/buf.h"
#include "net/smtp_server.h"
#include "relay/relay.h"
#include "text/msgcheck.h"

enum filter_verdict {
	FILTER_ENCRYPTED,	/* passes; a SecureJoin request too */
	FILTER_MAILER_DAEMON,	/* passes: a bounce for one of ours */
	FILTER_CLEARTEXT,	/* passes by an exception */
	FILTER_NEEDS_ENCRYPTION,	/* refused with 523 */
	FILTER_MALFORMED,	/* refused with 500 and what is wrong */
	FILTER_TEMPORARY,	/* refused with 451: a check could not be made */
};

/* The verdict on a whole message; *reply is filled when it is refused. */
enum filter_verdict filter_verdict(const struct relay *r, bool outgoing,
				   const struct smtp_envelope *e,
				   const struct msgcheck_result *m,
				   struct buf *reply);

/* May outgoing mail have this sender at all: one @? */
bool filter_is_sender(const char *sender);

/* Do all recipients take unencrypted mail from outside, which is so when
 * their mailboxes lack the file enforceE2EEincoming? 1 yes, 0 no, -1 when it
 * cannot be known now. */
int filter_cleartext_is_ok(const struct relay *r, const struct smtp_envelope *e);

#endif
