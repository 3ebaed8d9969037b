#include "relay/filter.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "relay/user.h"

static const char needs_encryption[] =
	"523 Encryption Needed: Invalid Unencrypted Mail";

bool filter_is_sender(const char *sender)
{
	const char *at = strchr(sender, '@');

	return at && !strchr(at + 1, '@');
}

/* 1 when the mailbox has the file, 0 when not, -1 when we cannot look. */
static int has_enforce_file(const struct relay *r, const char *addr)
{
	struct buf path = BUF_INIT;
	int ret = 1;

	user_path(&path, r, addr, "enforceE2EEincoming");
	if (access(path.data, F_OK) < 0)
		ret = errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	buf_free(&path);
	return ret;
}

/* Postfix and Dovecot deliver "User+tag@domain" to "user@domain", so both are
 * looked at. */
static int recipient_enforces(const struct relay *r, const char *recipient)
{
	char *addr = xstrdup(recipient);
	char *at, *plus;
	int ret;

	str_lower(addr);
	if (!*addr || *addr == '.' || strchr(addr, '/') || strlen(addr) > 255) {
		free(addr);
		return 1;
	}
	ret = has_enforce_file(r, addr);
	plus = strchr(addr, '+');
	at = strrchr(addr, '@');
	if (ret == 0 && plus && at && plus < at) {
		memmove(plus, at, strlen(at) + 1);
		ret = has_enforce_file(r, addr);
	}
	free(addr);
	return ret;
}

int filter_cleartext_is_ok(const struct relay *r, const struct smtp_envelope *e)
{
	/* a file system that is not mounted holds no file either */
	if (access(r->s.mailboxes_dir, X_OK) < 0)
		return -1;
	for (const struct smtp_recipient *to = e->recipients; to;
	     to = to->next) {
		int enforces = recipient_enforces(r, to->addr);

		if (enforces)
			return enforces < 0 ? -1 : 0;
	}
	return 1;
}

static enum filter_verdict malformed(struct buf *reply, const char *what,
				     const char *why)
{
	buf_setf(reply, "500 %s: %s", what, why);
	return FILTER_MALFORMED;
}

/* Nobody may write in another's name, encrypted or not. */
static enum filter_verdict check_from(const struct smtp_envelope *e,
				      const struct msgcheck_result *m,
				      struct buf *reply)
{
	if (m->header_error)
		return malformed(reply, "Failed to parse message",
				 m->header_error);
	if (m->from_error)
		return malformed(reply, "Invalid FROM header", m->from_error);
	if (!str_eqi(m->from, e->sender)) {
		buf_setf(reply, "500 Invalid FROM <%.200s> for <%.200s>",
			 m->from, e->sender);
		return FILTER_MALFORMED;
	}
	return FILTER_ENCRYPTED;
}

/* An Autocrypt Setup Message: from a user to himself alone. */
static bool is_setup_message(const struct smtp_envelope *e,
			     const struct msgcheck_result *m)
{
	return m->setup_message_form && e->count == 1 &&
	       str_eqi(e->recipients->addr, e->sender);
}

static enum filter_verdict outgoing_verdict(const struct smtp_envelope *e,
					    const struct msgcheck_result *m,
					    struct buf *reply)
{
	enum filter_verdict v = check_from(e, m, reply);

	if (v != FILTER_ENCRYPTED)
		return v;
	if (m->encrypted || m->securejoin)
		return FILTER_ENCRYPTED;
	if (is_setup_message(e, m))
		return FILTER_CLEARTEXT;
	buf_setf(reply, "%s", needs_encryption);
	return FILTER_NEEDS_ENCRYPTION;
}

static enum filter_verdict incoming_verdict(const struct relay *r,
					    const struct smtp_envelope *e,
					    const struct msgcheck_result *m,
					    struct buf *reply)
{
	int ok;

	if (m->encrypted || m->securejoin)
		return FILTER_ENCRYPTED;
	if (m->mailer_daemon)
		return FILTER_MAILER_DAEMON;
	ok = filter_cleartext_is_ok(r, e);
	if (ok > 0)
		return FILTER_CLEARTEXT;
	if (ok < 0) {
		buf_setf(reply, "451 4.3.0 Error: mailboxes cannot be read");
		return FILTER_TEMPORARY;
	}
	buf_setf(reply, "%s", needs_encryption);
	return FILTER_NEEDS_ENCRYPTION;
}

enum filter_verdict filter_verdict(const struct relay *r, bool outgoing,
				   const struct smtp_envelope *e,
				   const struct msgcheck_result *m,
				   struct buf *reply)
{
	if (m->nul || m->bare_newline)
		return malformed(reply, "Invalid DATA", m->nul ?
				 "NUL byte" : "bare CR or LF");
	return outgoing ? outgoing_verdict(e, m, reply) :
			  incoming_verdict(r, e, m, reply);
}
