/* What filtermail has to know of a message before it lets it pass, found
 * while the bytes come in. Bounded memory (text/mime.h), no allocation beside
 * the header values; the verdict does not depend on how the bytes were cut.
 *
 * The input is the message as in DATA after dot-unstuffing: CRLF line ends.
 *
 * The rule behind all decisions: if encrypted is set, then any program that
 * shows the message can show nothing but its headers, ciphertext, and text
 * before and after the parts, which programs ignore and which upstream's
 * filter lets through too ("This is an OpenPGP/MIME encrypted message" is
 * what Thunderbird writes there). Hence everything that a program could read
 * as a different structure makes the message a cleartext one.
 */
#ifndef TEXT_MSGCHECK_H
#define TEXT_MSGCHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "text/mime.h"
#include "text/pgp.h"

struct msgcheck_result {
	/* multipart/encrypted of exactly two parts (RFC 3156 section 4), the
	 * second of which is armor around an encrypted message. */
	bool encrypted;
	/* A SecureJoin request in clear: header Secure-Join is "vc-request" or
	 * "vg-request", and the only text is "secure-join: " and one of
	 * them, as the message's body or as its single text/plain part. */
	bool securejoin;
	/* A bounce: Auto-Submitted is not empty, From is mailer-daemon@,
	 * the type multipart/report. For incoming mail. */
	bool mailer_daemon;
	/* Has the form of an Autocrypt Setup Message: by its Subject and
	 * multipart/mixed. For outgoing mail from a user to himself. */
	bool setup_message_form;

	/* The header could not be read without guessing: static text, or
	 * NULL. All of the above are false then. */
	const char *header_error;
	/* CR or LF alone, or a NUL, anywhere in the message; neither
	 * encrypted nor securejoin then. */
	bool bare_newline, nul;

	size_t from_fields;	/* From header fields */
	size_t from_count;	/* addresses in the first of them */
	/* The first address, "" if there is none, case as it came; not to be
	 * relied on if from_error is set. */
	const char *from;
	/* Why From is not one field with one address, or NULL. */
	const char *from_error;

	/* The first reason why it is not encrypted, or NULL; static text. */
	const char *why;
};

/* Text without the white space around it, as long as it is short. */
struct msgcheck_text {
	char data[64];
	size_t len;
	bool cut;
};

struct msgcheck {
	struct mime mime;
	struct armor armor;
	struct msgcheck_text text;	/* of the body being read */
	struct buf from, from_error;
	struct msgcheck_result result;
	bool outgoing, join_failed, header_seen;
};

/* outgoing: no "Version:" line in the armor. */
void msgcheck_init(struct msgcheck *m, bool outgoing);
void msgcheck_feed(struct msgcheck *m, const char *p, size_t n);
/* After the last byte. Strings in *r live until msgcheck_free(). */
void msgcheck_end(struct msgcheck *m, struct msgcheck_result *r);
void msgcheck_free(struct msgcheck *m);

/* It is certain by now that the first four of the result will be false. What
 * else is in the result, but bare_newline and nul, is then final as well. */
bool msgcheck_hopeless(const struct msgcheck *m);

#endif
