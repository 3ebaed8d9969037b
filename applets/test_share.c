/* What the checks share: accounts, sessions, messages. Each is made when the
 * first check needs it, and what has failed once is not tried again, so that a
 * relay that is down is told of quickly. */
#include "applets/test.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "relay/sample_mail.h"

enum { SAID_MAX = 400, LOOK_SECS = 10 };

/* What the machines on which operators are may call themselves. */
static const char helo[] = "chatmail-test.invalid";

/* ---- results ------------------------------------------------------------- */

/* What servers say is bounded and has no control bytes. */
static void say(struct test *t, const char *fmt, va_list ap)
{
	struct buf text = BUF_INIT;

	buf_vaddf(&text, fmt, ap);
	buf_truncate(&text, SAID_MAX);
	buf_reset(&t->said);
	buf_add_printable(&t->said, text.data, text.len);
	buf_free(&text);
}

#define RESULT(name, value)						\
enum test_result test_##name(struct test *t, const char *fmt, ...)	\
{									\
	va_list ap;							\
									\
	va_start(ap, fmt);						\
	say(t, fmt, ap);						\
	va_end(ap);							\
	return value;							\
}
RESULT(ok, TEST_OK)
RESULT(failed, TEST_FAILED)
RESULT(blocked, TEST_BLOCKED)
RESULT(skipped, TEST_SKIPPED)

/* ---- life ---------------------------------------------------------------- */

void test_begin(struct test *t)
{
	for (int i = 0; i < OUTSIDE_PORTS; i++)
		outside_peer(&t->relay, i, TEST_SECS, &t->peers[i]);
	if (t->has_second) {
		outside_peer(&t->second, OUTSIDE_IMAPS, TEST_SECS,
			     &t->second_imaps);
		outside_peer(&t->second, OUTSIDE_SMTPS, TEST_SECS,
			     &t->second_smtps);
	}
	for (int i = 0; i < TEST_USERS; i++) {
		struct test_account *a = &t->accounts[i];

		buf_init(&a->address);
		buf_init(&a->password);
		if (i != TEST_DAVE || t->has_second)
			outside_account(i == TEST_DAVE ? &t->second :
					&t->relay, &a->address, &a->password);
	}
	for (int i = 0; i < OUTSIDE_PORTS; i++)
		buf_init(&t->silent[i]);
	buf_init(&t->no_accounts);
	buf_init(&t->no_second);
	buf_init(&t->reach_error);
	buf_init(&t->said);
	buf_init(&t->mail.header);
	buf_init(&t->mail.said);
}

void test_end(struct test *t)
{
	for (int i = 0; i < TEST_USERS; i++) {
		buf_free(&t->accounts[i].address);
		buf_free(&t->accounts[i].password);
	}
	for (int i = 0; i < OUTSIDE_PORTS; i++)
		buf_free(&t->silent[i]);
	test_attempts_free(t);
	buf_free(&t->no_accounts);
	buf_free(&t->no_second);
	buf_free(&t->reach_error);
	buf_free(&t->said);
	buf_free(&t->mail.header);
	buf_free(&t->mail.said);
}

/* ---- ports --------------------------------------------------------------- */

int test_reach(struct test *t)
{
	if (!t->was_reached) {
		t->was_reached = true;
		t->name_is_unknown = reach_try(&t->reach, t->relay.host,
					       t->relay.ports, OUTSIDE_PORTS,
					       TEST_REACH_SECS,
					       &t->reach_error) < 0;
	}
	return t->name_is_unknown ? -1 : 0;
}

int test_port(struct test *t, enum outside_port port)
{
	unsigned number = t->relay.ports[port];
	int error;

	if (test_reach(t) < 0) {
		test_blocked(t, "%s: %s", t->relay.host, t->reach_error.data);
		return -1;
	}
	error = reach_error(&t->reach, port);
	if (!error && !t->silent[port].len)
		return 0;
	if (!error) {
		test_blocked(t, "%s", t->silent[port].data);
		return -1;
	}
	test_blocked(t, "port %u: %s%s", number, error == ETIMEDOUT ?
		     "no answer" : strerror(error),
		     error == ETIMEDOUT && number == 25 ? "; many networks let "
		     "nothing out to port 25: try from a server" : "");
	return -1;
}

/* Something at a port did not go well: say so. If it has taken long since
 * began, it is not tried again, and the other ports are given less time: a
 * relay all of whose ports are silent is told of in a minute. */
static void failed_at(struct test *t, enum outside_port port, double began,
		      const char *what, const struct buf *err)
{
	test_blocked(t, "port %u: %s%s", t->relay.ports[port], what, err->data);
	if (clock_secs() - began < t->peers[port].secs * .9)
		return;
	buf_setf(&t->silent[port], "%s", t->said.data);
	for (int i = 0; i < OUTSIDE_PORTS; i++)
		t->peers[i].secs = TEST_HURRY_SECS;
}

/* ---- sessions ------------------------------------------------------------ */

/* Where the reason is kept why nobody can log in there. */
static struct buf *no_accounts(struct test *t, enum test_user user)
{
	return user == TEST_DAVE ? &t->no_second : &t->no_accounts;
}

static int may_try(struct test *t, enum test_user user, enum outside_port port)
{
	struct buf *why = no_accounts(t, user);

	if (why->len) {
		test_blocked(t, "%s", why->data);
		return -1;
	}
	return user == TEST_DAVE ? 0 : test_port(t, port);
}

/* Not even tried with an account, and at the second relay never again. */
static void no_session(struct test *t, enum test_user user,
		       enum outside_port port, double began,
		       const struct buf *err)
{
	if (user != TEST_DAVE) {
		failed_at(t, port, began, "", err);
		return;
	}
	test_blocked(t, "%s port %u: %s", t->second.host,
		     t->second.ports[port], err->data);
	buf_setf(&t->no_second, "%s", t->said.data);
}

int test_imap(struct test *t, enum test_user user, struct imap_client *c)
{
	const struct test_account *a = &t->accounts[user];
	double began = clock_secs();
	struct buf err = BUF_INIT;
	int ret;

	if (may_try(t, user, OUTSIDE_IMAPS) < 0)
		return -1;
	if (imap_client_open(c, user == TEST_DAVE ? &t->second_imaps :
			     &t->peers[OUTSIDE_IMAPS], &err) < 0) {
		no_session(t, user, OUTSIDE_IMAPS, began, &err);
		buf_free(&err);
		return -1;
	}
	ret = imap_client_login(c, a->address.data, a->password.data, &err);
	if (ret) {
		buf_setf(no_accounts(t, user), "%s cannot log in by IMAP: %s",
			 a->address.data, ret > 0 ? c->text.data : err.data);
		test_blocked(t, "%s", no_accounts(t, user)->data);
		imap_client_close(c);
	}
	buf_free(&err);
	return ret ? -2 : 0;
}

int test_smtp(struct test *t, enum test_user user, struct smtp_dialog *d)
{
	const struct test_account *a = &t->accounts[user];
	double began = clock_secs();
	struct buf err = BUF_INIT;
	int code;

	if (may_try(t, user, OUTSIDE_SMTPS) < 0)
		return -1;
	if (smtp_dialog_open(d, user == TEST_DAVE ? &t->second_smtps :
			     &t->peers[OUTSIDE_SMTPS], helo, &err) < 0) {
		no_session(t, user, OUTSIDE_SMTPS, began, &err);
		buf_free(&err);
		return -1;
	}
	code = smtp_dialog_login(d, a->address.data, a->password.data, &err);
	if (code > 0)
		buf_setf(&err, "%s", d->reply.data);
	if (code != 235) {
		buf_prefixf(&err, "%s cannot log in by SMTP: ",
			    a->address.data);
		no_session(t, user, OUTSIDE_SMTPS, began, &err);
		smtp_dialog_close(d);
	}
	buf_free(&err);
	return code == 235 ? 0 : -2;
}

/* How opening a session has gone: told of if it has not. */
static int opened(struct test *t, enum outside_port port, double began, int ret,
		  struct buf *err)
{
	if (ret < 0)
		failed_at(t, port, began, "", err);
	buf_free(err);
	return ret;
}

int test_smtp_open(struct test *t, enum outside_port port,
		   const struct stream_peer *peer, struct smtp_dialog *d)
{
	double began = clock_secs();
	struct buf err = BUF_INIT;

	if (test_port(t, port) < 0)
		return -1;
	return opened(t, port, began, smtp_dialog_open(
		d, peer ? peer : &t->peers[port], helo, &err), &err);
}

int test_imap_open(struct test *t, enum outside_port port,
		   const struct stream_peer *peer, struct imap_client *c)
{
	double began = clock_secs();
	struct buf err = BUF_INIT;

	if (test_port(t, port) < 0)
		return -1;
	return opened(t, port, began, imap_client_open(
		c, peer ? peer : &t->peers[port], &err), &err);
}

int test_stream_open(struct test *t, enum outside_port port,
		     const struct stream_peer *peer, struct stream *s)
{
	double began = clock_secs();
	struct buf err = BUF_INIT;

	if (test_port(t, port) < 0)
		return -1;
	return opened(t, port, began, stream_open(
		s, peer ? peer : &t->peers[port], &err), &err);
}

int test_web(struct test *t, const struct web_request *request,
	     struct web_answer *a)
{
	enum outside_port port = str_starts(request->url, "https") ?
		OUTSIDE_HTTPS : OUTSIDE_HTTP;
	struct web_request r = *request;
	double began = clock_secs();
	struct buf err = BUF_INIT;
	int code;

	r.connect_to = t->relay.host;
	r.port = t->relay.ports[port];
	r.trust = t->relay.trust;
	r.secs = t->peers[port].secs;
	if (test_port(t, port) < 0)
		return -1;
	code = web_ask(a, &r, &err);
	if (code < 0)
		web_answer_free(a);
	return opened(t, port, began, code, &err);
}

/* ---- messages ------------------------------------------------------------ */

/* How long until one more message may be sent, at the latest. */
static double pause_secs(const struct test *t, enum test_user from)
{
	const struct outside *o = from == TEST_DAVE ? &t->second : &t->relay;
	double pause = 60. / (double)o->relay->s.max_user_send_per_minute;

	return pause < 1. ? 1. : pause + .5;
}

int test_send(struct test *t, struct smtp_dialog *d, enum test_user from,
	      const char *to, const struct buf *mail)
{
	const char *sender = t->accounts[from].address.data;
	double began = clock_secs();
	struct buf err = BUF_INIT;
	int code;

	t->sent = began;
	code = smtp_dialog_mail(d, sender, to, mail, &err);
	if (code == 450 && strstr(d->reply.data, "Too much mail")) {
		double pause = pause_secs(t, from);

		usleep((useconds_t)(pause * 1e6));
		t->sent = clock_secs();
		code = smtp_dialog_mail(d, sender, to, mail, &err);
	}
	if (code < 0 && from != TEST_DAVE)
		failed_at(t, OUTSIDE_SMTPS, began, "sending: ", &err);
	else if (code < 0)
		test_failed(t, "sending: %s", err.data);
	buf_free(&err);
	return code;
}

/* The UID of the message with that id, and its header; 0 when it is not there,
 * -1 with *err. */
static int64_t find_mail(struct imap_client *c, const char *id,
			 struct buf *header, struct buf *err)
{
	struct imap_response r;

	/* FETCH alone shows what the session knows already; and without a
	 * message "1:*" may be an error */
	if (imap_client_command(c, err, "NOOP") < 0 ||
	    imap_client_command(c, err, "UID FETCH 1:* (UID "
				"BODY.PEEK[HEADER])") < 0)
		return -1;
	while (imap_client_find(c, "FETCH", &r)) {
		struct imap_token uid, text;
		uint64_t number;

		if (!imap_fetch_find(&r, "UID", &uid) ||
		    !imap_fetch_find(&r, "BODY[HEADER]", &text) ||
		    imap_token_u64(&uid, &number) < 0)
			continue;
		buf_reset(header);
		imap_token_add(header, &text);
		if (strstr(header->data, id))
			return (int64_t)number;
	}
	buf_reset(header);
	return 0;
}

int test_watch(struct test *t, enum test_user user, struct imap_client *c)
{
	struct buf err = BUF_INIT;
	int ret;

	if (test_imap(t, user, c) < 0)
		return -1;
	ret = imap_client_command(c, &err, "SELECT INBOX");
	if (ret == 0)
		ret = imap_client_idle(c, &err);
	if (ret)
		test_failed(t, "SELECT and IDLE: %s", ret > 0 ? c->text.data :
			    err.data);
	if (ret)
		imap_client_close(c);
	buf_free(&err);
	return ret ? -1 : 0;
}

/* Until the server tells of something new, or it is time to look all the same.
 * Returns 1 if it has told, 0, or -1 with *err; IDLE is over then. */
static int wait_for_news(struct imap_client *c, double left, struct buf *err)
{
	struct imap_response r;
	int told = imap_client_idle_wait(c, "EXISTS", left < LOOK_SECS ? left :
					 LOOK_SECS, &r, err);

	return told < 0 || imap_client_done(c, err) < 0 ? -1 : told;
}

uint64_t test_wait_mail(struct test *t, struct imap_client *c, const char *id,
			struct buf *header, bool *told)
{
	struct buf err = BUF_INIT;
	int64_t uid = 0;

	for (;;) {
		int news = wait_for_news(c, t->sent + t->wait -
					 clock_secs(), &err);

		t->took = clock_secs() - t->sent;
		if (told)
			*told = news > 0;
		uid = news < 0 ? -1 : find_mail(c, id, header, &err);
		if (uid || t->took >= t->wait || imap_client_idle(c, &err))
			break;
	}
	if (uid < 0)
		test_failed(t, "waiting for it: %s", err.data);
	else if (!uid)
		test_failed(t, "it did not arrive within %.0f s", t->wait);
	buf_free(&err);
	return uid > 0 ? (uint64_t)uid : 0;
}

enum test_result test_deliver(struct test *t, enum test_user from,
			      enum test_user to)
{
	const char *address = t->accounts[to].address.data;
	struct buf mail = BUF_INIT, id = BUF_INIT, header = BUF_INIT;
	struct sample_mail m = { .from = t->accounts[from].address.data,
				 .to = address };
	enum test_result ret = TEST_BLOCKED;
	struct imap_client c;
	struct smtp_dialog d;
	int code;

	sample_mail_add_id(&id);
	m.id = id.data;
	sample_mail_add(&mail, &m);
	if (test_watch(t, to, &c) == 0) {
		if (test_smtp(t, from, &d) == 0) {
			code = test_send(t, &d, from, address, &mail);
			ret = code == 250 ? TEST_OK : TEST_FAILED;
			if (code > 0 && code != 250)
				test_failed(t, "it is refused: %s",
					    d.reply.data);
			if (ret == TEST_OK &&
			    !test_wait_mail(t, &c, id.data, &header, NULL))
				ret = TEST_FAILED;
			smtp_dialog_close(&d);
		}
		imap_client_close(&c);
	}
	if (ret == TEST_OK)
		test_ok(t, "in %.0f ms", t->took * 1000.);
	buf_free(&mail);
	buf_free(&id);
	buf_free(&header);
	return ret;
}
