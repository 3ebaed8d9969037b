/* Mail that has to be refused, each kind with its own reply: apps, other
 * servers and dashboards know them. */
#include "applets/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "relay/sample_mail.h"

/* Addresses that nobody has (RFC 2606). */
#define STRANGER "chatmail-test@example.org"
#define ELSEWHERE "chatmail-test@example.net"

/* ---- one message, one refusal -------------------------------------------- */

/* How a session that has just been refused something ends the check. */
static enum test_result judge(struct test *t, const struct smtp_dialog *d,
			      int code, const struct buf *err, int want,
			      const char *text)
{
	if (code < 0)
		return test_failed(t, "%s", err->len ? err->data :
				   t->said.data);
	if (code < 400)
		return test_failed(t, "it is accepted: %s", d->reply.data);
	if (code != want || !strstr(d->reply.data, text))
		return test_failed(t, "it is refused, but not with \"%d %s\": "
				   "%s", want, text, d->reply.data);
	return test_ok(t, "%s", d->reply.data);
}

/* A user sends to Alice; not always the same one, lest he sends too much. */
static enum test_result refused(struct test *t, enum test_user from,
				const struct buf *mail, int want,
				const char *text)
{
	const char *alice = t->accounts[TEST_ALICE].address.data;
	struct buf err = BUF_INIT;
	enum test_result ret;
	struct smtp_dialog d;
	int code;

	if (test_smtp(t, from, &d) < 0)
		return TEST_BLOCKED;
	code = test_send(t, &d, from, alice, mail);
	ret = judge(t, &d, code, &err, want, text);
	smtp_dialog_close(&d);
	buf_free(&err);
	return ret;
}

enum test_result test_cleartext(struct test *t)
{
	const char *alice = t->accounts[TEST_ALICE].address.data;
	struct sample_mail m = { .from = alice, .to = alice };
	struct buf mail = BUF_INIT;
	enum test_result ret;

	sample_mail_add_clear(&mail, &m);
	ret = refused(t, TEST_ALICE, &mail, 523, "Encryption Needed");
	buf_free(&mail);
	return ret;
}

enum test_result test_forged_from(struct test *t)
{
	struct sample_mail m = {
		.from = t->accounts[TEST_ALICE].address.data,
		.to = t->accounts[TEST_ALICE].address.data,
	};
	struct buf mail = BUF_INIT;
	enum test_result ret;

	sample_mail_add(&mail, &m);
	ret = refused(t, TEST_BOB, &mail, 500, "Invalid FROM");
	buf_free(&mail);
	return ret;
}

enum test_result test_forged_sender(struct test *t)
{
	const char *alice = t->accounts[TEST_ALICE].address.data;
	const char *bob = t->accounts[TEST_BOB].address.data;
	struct buf err = BUF_INIT;
	enum test_result ret;
	struct smtp_dialog d;
	int code;

	if (test_smtp(t, TEST_ALICE, &d) < 0)
		return TEST_BLOCKED;
	code = smtp_dialog_say(&d, &err, "MAIL FROM:<%s>", bob);
	if (code == 250)
		code = smtp_dialog_say(&d, &err, "RCPT TO:<%s>", alice);
	ret = judge(t, &d, code, &err, 553, "");
	smtp_dialog_close(&d);
	buf_free(&err);
	return ret;
}

/* ---- how much ------------------------------------------------------------ */

enum test_result test_size(struct test *t)
{
	const char *alice = t->accounts[TEST_ALICE].address.data;
	unsigned long long max = t->relay.relay->s.max_message_size, told = 0;
	struct buf err = BUF_INIT;
	enum test_result ret;
	struct smtp_dialog d;
	const char *size;
	size_t n;
	int code;

	if (test_smtp(t, TEST_ALICE, &d) < 0)
		return TEST_BLOCKED;
	size = smtp_dialog_keyword(&d, "SIZE", &n);
	if (size)
		told = strtoull(size, NULL, 10);
	if (!t->relay.is_known)
		max = told;
	if (!told) {
		smtp_dialog_close(&d);
		return test_failed(t, "the server tells no limit");
	}
	code = smtp_dialog_say(&d, &err, "MAIL FROM:<%s> SIZE=%llu", alice,
			       max + 1);
	ret = judge(t, &d, code, &err, 552, "");
	if (told != max)
		ret = test_failed(t, "the server tells that a message may have "
				  "%llu bytes, chatmail.ini %llu", told, max);
	smtp_dialog_close(&d);
	buf_free(&err);
	return ret;
}

enum {
	PER_SESSION = 50,	/* more RSETs make Postfix slow down */
	RATE_SECS = 20,		/* for all attempts */
	RATE_SLOW_SECS = 600,	/* with --slow */
	RATE_EXTRA = 5,
};

/* One message, up to its recipient: no mail comes of it. */
static int begin_mail(struct smtp_dialog *d, const char *from, const char *to,
		      struct buf *err)
{
	int code = smtp_dialog_say(d, err, "MAIL FROM:<%s>", from);

	if (code == 250)
		code = smtp_dialog_say(d, err, "RCPT TO:<%s>", to);
	return code;
}

struct rate {
	double began, secs;
	unsigned long long sent, burst, per_minute;
};

/* So many may have been accepted by now, whichever way they are counted: a
 * bucket that fills again, or a minute's window. */
static bool is_enough(const struct rate *r)
{
	double most = (double)(r->burst + r->per_minute) +
		(clock_secs() - r->began) * (double)r->per_minute / 60.;

	return (double)r->sent > most + RATE_EXTRA;
}

static enum test_result judge_rate(struct test *t, const struct rate *r,
				   const struct smtp_dialog *d, int code,
				   const struct buf *err)
{
	unsigned long long least = r->burst;

	if (code < 0)
		return test_failed(t, "%s", err->data);
	if (code == 250 && is_enough(r) && !t->relay.is_known)
		return test_skipped(t, "%llu messages in %.0f s are accepted, "
				    "which may be right: its settings are not "
				    "known", r->sent, clock_secs() - r->began);
	if (code == 250 && is_enough(r))
		return test_failed(t, "%llu messages in %.0f s are accepted",
				   r->sent, clock_secs() - r->began);
	if (code == 250)
		return test_skipped(t, "%llu a minute are more than can be "
				    "tried in %.0f s (--slow)", r->per_minute,
				    r->secs);
	if (code != 450 || !strstr(d->reply.data, "Too much mail"))
		return test_failed(t, "message %llu is refused, but not with "
				   "\"450 Too much mail\": %s", r->sent + 1,
				   d->reply.data);
	if (t->relay.is_known && r->sent < least)
		return test_failed(t, "message %llu is refused, "
				   "max_user_send_burst_size is %llu: %s",
				   r->sent + 1, least, d->reply.data);
	return test_ok(t, "after %llu: %s", r->sent, d->reply.data);
}

enum test_result test_rate(struct test *t)
{
	const struct settings *s = &t->relay.relay->s;
	const char *carol = t->accounts[TEST_CAROL].address.data;
	struct rate r = {
		.secs = t->slow ? RATE_SLOW_SECS : RATE_SECS,
		.burst = s->max_user_send_burst_size,
		.per_minute = s->max_user_send_per_minute,
	};
	struct buf err = BUF_INIT;
	enum test_result ret;
	struct smtp_dialog d;
	int code;

	if (test_smtp(t, TEST_CAROL, &d) < 0)
		return TEST_BLOCKED;
	r.began = clock_secs();
	for (;;) {
		code = begin_mail(&d, carol, carol, &err);
		r.sent += code == 250;
		if (code != 250 || is_enough(&r) ||
		    clock_secs() - r.began > r.secs)
			break;
		if (r.sent % PER_SESSION) {
			smtp_dialog_say(&d, &err, "RSET");
			continue;
		}
		smtp_dialog_close(&d);
		if (test_smtp(t, TEST_CAROL, &d) < 0)
			return TEST_BLOCKED;
	}
	ret = judge_rate(t, &r, &d, code, &err);
	smtp_dialog_close(&d);
	buf_free(&err);
	return ret;
}

/* ---- from other servers -------------------------------------------------- */

/* Alice's account has to exist, as a relay may refuse others sooner. */
static enum test_result refused_from_outside(struct test *t,
					     const struct buf *mail, int want,
					     const char *text)
{
	const char *alice = t->accounts[TEST_ALICE].address.data;
	struct buf err = BUF_INIT;
	enum test_result ret;
	struct imap_client c;
	struct smtp_dialog d;
	int code;

	if (test_port(t, OUTSIDE_SMTP) < 0 || test_imap(t, TEST_ALICE, &c) < 0)
		return TEST_BLOCKED;
	imap_client_close(&c);
	if (test_smtp_open(t, OUTSIDE_SMTP, NULL, &d) < 0)
		return TEST_BLOCKED;
	code = smtp_dialog_mail(&d, STRANGER, alice, mail, &err);
	ret = judge(t, &d, code, &err, want, text);
	smtp_dialog_close(&d);
	buf_free(&err);
	return ret;
}

enum test_result test_in_cleartext(struct test *t)
{
	struct sample_mail m = {
		.from = STRANGER, .to = t->accounts[TEST_ALICE].address.data,
	};
	struct buf mail = BUF_INIT;
	enum test_result ret;

	sample_mail_add_clear(&mail, &m);
	ret = refused_from_outside(t, &mail, 523, "Encryption Needed");
	buf_free(&mail);
	return ret;
}

enum test_result test_in_unsigned(struct test *t)
{
	struct sample_mail m = {
		.from = STRANGER, .to = t->accounts[TEST_ALICE].address.data,
	};
	struct buf mail = BUF_INIT;
	enum test_result ret;

	sample_mail_add(&mail, &m);
	ret = refused_from_outside(t, &mail, 554, "No DKIM signature found");
	buf_free(&mail);
	return ret;
}

/* A recipient that is not the relay's, for somebody who has not logged in. */
static bool is_refused(struct test *t, struct smtp_dialog *d, const char *to)
{
	struct buf err = BUF_INIT;
	int code = begin_mail(d, STRANGER, to, &err);

	if (code < 0)
		test_failed(t, "%s", err.data);
	else if (code < 400)
		test_failed(t, "port %u takes mail for <%s> from anybody: %s",
			    d->stream.peer->port, to, d->reply.data);
	else
		test_ok(t, "%s", d->reply.data);
	if (code >= 0)
		smtp_dialog_say(d, &err, "RSET");
	buf_free(&err);
	return code >= 400;
}

enum test_result test_open_relay(struct test *t)
{
	static const enum outside_port ports[] = {
		OUTSIDE_SMTP, OUTSIDE_SUBMISSION, OUTSIDE_SMTPS,
	};
	struct buf routed = BUF_INIT;
	bool ok = true;

	buf_addf(&routed, "chatmail-test%%example.net@%s",
		 t->relay.relay->mail_domain);
	for (size_t i = 0; ok && i < ARRAY_LEN(ports); i++) {
		struct smtp_dialog d;

		if (test_smtp_open(t, ports[i], NULL, &d) < 0) {
			buf_free(&routed);
			return TEST_BLOCKED;
		}
		ok = is_refused(t, &d, ELSEWHERE) &&
		     is_refused(t, &d, routed.data);
		smtp_dialog_close(&d);
	}
	buf_free(&routed);
	return ok ? TEST_OK : TEST_FAILED;
}

/* ---- who is there -------------------------------------------------------- */

/* Code and enhanced code, which have no address in them. */
static void vrfy(struct smtp_dialog *d, const char *who, struct buf *answer,
		 struct buf *err)
{
	int code = smtp_dialog_say(d, err, "VRFY %s", who);
	size_t n = strcspn(d->reply.data, " ");

	buf_reset(answer);
	if (code < 0)
		return;
	n += strspn(d->reply.data + n, " ");
	n += strspn(d->reply.data + n, "0123456789.");
	buf_add(answer, d->reply.data, n);
}

enum test_result test_vrfy(struct test *t)
{
	const char *alice = t->accounts[TEST_ALICE].address.data;
	struct buf nobody = BUF_INIT, unused = BUF_INIT, one = BUF_INIT,
		   two = BUF_INIT, err = BUF_INIT;
	enum test_result ret = TEST_BLOCKED;
	struct imap_client c;
	struct smtp_dialog d;

	if (test_port(t, OUTSIDE_SMTP) < 0 || test_imap(t, TEST_ALICE, &c) < 0)
		return TEST_BLOCKED;
	imap_client_close(&c);
	outside_account(&t->relay, &nobody, &unused);
	if (test_smtp_open(t, OUTSIDE_SMTP, NULL, &d) == 0) {
		vrfy(&d, alice, &one, &err);
		vrfy(&d, nobody.data, &two, &err);
		ret = !one.len || !two.len ? test_failed(t, "%s", err.data) :
			strcmp(one.data, two.data) == 0 ?
			test_ok(t, "%s for everybody", one.data) :
			test_failed(t, "\"%s\" for who is there, \"%s\" for "
				    "who is not", one.data, two.data);
		smtp_dialog_close(&d);
	}
	buf_free(&nobody);
	buf_free(&unused);
	buf_free(&one);
	buf_free(&two);
	buf_free(&err);
	return ret;
}
