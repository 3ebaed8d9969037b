/* Logging in, and what has to be refused there. */
#include "applets/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* ---- what has to go well ------------------------------------------------- */

enum test_result test_login(struct test *t)
{
	struct imap_client c;
	int ret = test_imap(t, TEST_ALICE, &c);

	if (ret < 0)
		return ret == -2 ? TEST_FAILED : TEST_BLOCKED;
	imap_client_close(&c);
	return test_ok(t, "%s", t->accounts[TEST_ALICE].address.data);
}

enum test_result test_login_again(struct test *t)
{
	struct imap_client one, two;
	enum test_result ret = TEST_FAILED;

	if (test_imap(t, TEST_ALICE, &one) < 0)
		return TEST_BLOCKED;
	if (test_imap(t, TEST_ALICE, &two) == 0) {
		imap_client_close(&two);
		ret = test_ok(t, "two sessions at once");
	}
	imap_client_close(&one);
	return ret;
}

/* At smtps for the first time, which makes Bob's account, then at submission
 * with the same password. */
enum test_result test_login_smtp(struct test *t)
{
	const struct test_account *bob = &t->accounts[TEST_BOB];
	enum test_result ret = TEST_FAILED;
	struct buf err = BUF_INIT;
	struct smtp_dialog d;
	int code = test_smtp(t, TEST_BOB, &d);

	if (code < 0)
		return code == -2 ? TEST_FAILED : TEST_BLOCKED;
	smtp_dialog_close(&d);
	if (test_smtp_open(t, OUTSIDE_SUBMISSION, NULL, &d) < 0)
		return TEST_BLOCKED;
	code = smtp_dialog_login(&d, bob->address.data, bob->password.data,
				 &err);
	if (code == 235)
		ret = test_ok(t, "%s", bob->address.data);
	else
		test_failed(t, "port %u: %s", d.stream.peer->port,
			    code < 0 ? err.data : d.reply.data);
	smtp_dialog_close(&d);
	buf_free(&err);
	return ret;
}

enum test_result test_login_starttls(struct test *t)
{
	const struct test_account *alice = &t->accounts[TEST_ALICE];
	enum test_result ret = TEST_FAILED;
	struct buf err = BUF_INIT;
	struct imap_client c;
	int code;

	if (t->no_accounts.len)
		return test_blocked(t, "%s", t->no_accounts.data);
	if (test_imap_open(t, OUTSIDE_IMAP, NULL, &c) < 0)
		return TEST_BLOCKED;
	code = imap_client_login(&c, alice->address.data, alice->password.data,
				 &err);
	if (code == 0)
		ret = test_ok(t, "%s", alice->address.data);
	else
		test_failed(t, "%s", code < 0 ? err.data : c.text.data);
	imap_client_close(&c);
	buf_free(&err);
	return ret;
}

/* ---- what has to be refused ------------------------------------------------
 * A relay lets wait for a refusal, two seconds and more. So all of them are
 * asked for at once, and waited for by the first check that wants to know. */

enum attempt_kind { WRONG_PASSWORD, SHORT_PASSWORD, BAD_NAME };

struct test_attempt {
	enum attempt_kind kind;
	const char *what;	/* "a name that is too long" */
	bool by_smtp;
	struct buf address, password;
	bool is_open;
	struct imap_client imap;
	/* how it went */
	enum { REFUSED, ACCEPTED, OTHERWISE, UNKNOWN } outcome;
	struct buf text;
};

enum { ATTEMPTS_MAX = 10 };

static struct test_attempt *attempt_add(struct test_attempt *all,
					enum attempt_kind kind, bool by_smtp,
					const char *what)
{
	size_t i = 0;

	while (all[i].what)
		i++;
	all[i] = (struct test_attempt){
		.kind = kind, .what = what, .by_smtp = by_smtp,
		.outcome = UNKNOWN, .address = BUF_INIT, .password = BUF_INIT,
		.text = BUF_INIT,
	};
	return &all[i];
}

/* Another name of that length, with a good password. */
static void attempt_name(const struct test *t, struct test_attempt *a,
			 size_t length, const char *domain)
{
	struct buf fresh = BUF_INIT;

	outside_account(&t->relay, &fresh, &a->password);
	*strrchr(fresh.data, '@') = '\0';
	while (a->address.len < length)
		buf_addc(&a->address, fresh.data[a->address.len %
						 strlen(fresh.data)]);
	buf_addf(&a->address, "@%s", domain);
	buf_free(&fresh);
}

static void choose_passwords(const struct test *t, struct test_attempt *all)
{
	const struct test_account *alice = &t->accounts[TEST_ALICE];
	uint64_t least = t->relay.relay->s.password_min_length;

	for (int by_smtp = 0; by_smtp < 2; by_smtp++) {
		struct test_attempt *a;

		a = attempt_add(all, WRONG_PASSWORD, by_smtp,
				"a wrong password");
		buf_adds(&a->address, alice->address.data);
		buf_addf(&a->password, "%sx", alice->password.data);
		if (least < 2)
			continue;
		a = attempt_add(all, SHORT_PASSWORD, by_smtp,
				"a password that is too short");
		outside_account(&t->relay, &a->address, &a->password);
		buf_truncate(&a->password, least - 1);
	}
}

static void choose_names(const struct test *t, struct test_attempt *all)
{
	const struct relay *r = t->relay.relay;
	size_t max = (size_t)r->s.username_max_length;
	size_t min = (size_t)r->s.username_min_length;

	if (max <= 60)
		attempt_name(t, attempt_add(all, BAD_NAME, false,
					    "a name that is too long"),
			     max + 1, r->mail_domain);
	if (min > 1)
		attempt_name(t, attempt_add(all, BAD_NAME, false,
					    "a name that is too short"),
			     min - 1, r->mail_domain);
	if (max <= 60) {
		struct test_attempt *a = attempt_add(all, BAD_NAME, false,
						     "a name with a plus sign");

		attempt_name(t, a, max, r->mail_domain);
		a->address.data[max / 2] = '+';
	}
	attempt_name(t, attempt_add(all, BAD_NAME, false, "another domain"),
		     max, "chatmail-test.invalid");
}

static void attempt_begin(struct test *t, struct test_attempt *a)
{
	struct buf err = BUF_INIT;

	a->is_open = imap_client_open(&a->imap, &t->peers[OUTSIDE_IMAPS],
				      &err) == 0;
	if (!a->is_open ||
	    imap_client_login_send(&a->imap, a->address.data, a->password.data,
				   &err) < 0)
		buf_setf(&a->text, "%s", err.data);
	buf_free(&err);
}

static void attempt_end(struct test_attempt *a)
{
	struct buf err = BUF_INIT;
	int ret;

	if (!a->is_open)
		return;
	ret = a->text.len ? -1 : imap_client_wait(&a->imap, TEST_SECS, &err);
	if (ret >= 0) {
		buf_setf(&a->text, "%s", a->imap.text.data);
		a->outcome = ret == 0 ? ACCEPTED :
			strstr(a->text.data, "AUTHENTICATIONFAILED") ?
			REFUSED : OTHERWISE;
	} else if (err.len) {
		buf_setf(&a->text, "%s", err.data);
	}
	imap_client_close(&a->imap);
	buf_free(&err);
}

/* On a connection of its own, as one client may not be allowed many. */
static void attempt_smtp(struct test *t, struct test_attempt *a)
{
	struct buf err = BUF_INIT;
	struct smtp_dialog d;
	int code;

	if (test_smtp_open(t, OUTSIDE_SMTPS, NULL, &d) < 0) {
		buf_setf(&a->text, "%s", t->said.data);
		return;
	}
	code = smtp_dialog_login(&d, a->address.data, a->password.data, &err);
	buf_setf(&a->text, "%s", code < 0 ? err.data : d.reply.data);
	if (code >= 0)
		a->outcome = code == 235 ? ACCEPTED :
			code == 535 ? REFUSED : OTHERWISE;
	smtp_dialog_close(&d);
	buf_free(&err);
}

static void make_attempts(struct test *t)
{
	struct test_attempt *all = xcalloc(ATTEMPTS_MAX + 1, sizeof(*all));

	t->attempts = all;
	choose_passwords(t, all);
	choose_names(t, all);
	for (size_t i = 0; all[i].what; i++)
		if (!all[i].by_smtp)
			attempt_begin(t, &all[i]);
	for (size_t i = 0; all[i].what; i++)
		if (all[i].by_smtp)
			attempt_smtp(t, &all[i]);
	for (size_t i = 0; all[i].what; i++)
		if (!all[i].by_smtp)
			attempt_end(&all[i]);
}

void test_attempts_free(struct test *t)
{
	for (size_t i = 0; t->attempts && t->attempts[i].what; i++) {
		buf_free(&t->attempts[i].address);
		buf_free(&t->attempts[i].password);
		buf_free(&t->attempts[i].text);
	}
	free(t->attempts);
	t->attempts = NULL;
}

static enum test_result judge(struct test *t, const struct test_attempt *a)
{
	const char *by = a->by_smtp ? "SMTP" : "IMAP";

	switch (a->outcome) {
	case REFUSED:
		return TEST_OK;
	case ACCEPTED:
		return test_failed(t, "%s (%s) is accepted by %s", a->what,
				   a->address.data, by);
	case OTHERWISE:
		return test_failed(t, "%s is refused by %s, but not for that: "
				   "%s", a->what, by, a->text.data);
	default:
		return test_blocked(t, "%s, by %s: %s", a->what, by,
				    a->text.data);
	}
}

static enum test_result refused(struct test *t, enum attempt_kind kind)
{
	struct imap_client c;
	size_t n = 0;

	if (!t->attempts) {
		/* a wrong password needs an account */
		if (test_imap(t, TEST_ALICE, &c) < 0)
			return TEST_BLOCKED;
		imap_client_close(&c);
		make_attempts(t);
	}
	for (size_t i = 0; t->attempts[i].what; i++) {
		enum test_result ret = TEST_OK;

		if (t->attempts[i].kind == kind)
			ret = judge(t, &t->attempts[i]);
		if (ret != TEST_OK)
			return ret;
		n += t->attempts[i].kind == kind;
	}
	return n ? test_ok(t, "%zu logins are refused", n) :
		test_skipped(t, "any will do here");
}

enum test_result test_wrong_password(struct test *t)
{
	return refused(t, WRONG_PASSWORD);
}

enum test_result test_short_password(struct test *t)
{
	return refused(t, SHORT_PASSWORD);
}

enum test_result test_bad_names(struct test *t)
{
	return refused(t, BAD_NAME);
}
