/* The parts of applets/test*.c, for these alone. */
#ifndef APPLETS_TEST_H
#define APPLETS_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/imap_client.h"
#include "net/reach.h"
#include "net/smtp_dialog.h"
#include "relay/outside.h"

enum test_result {
	TEST_OK,
	TEST_FAILED,	/* what it is about does not work */
	TEST_BLOCKED,	/* not tried, as something else does not work */
	TEST_SKIPPED,	/* does not concern this relay or this call */
};

struct test;

struct test_check {
	const char *name;
	const char *proves;	/* what is known when it is ok */
	/* Says why, or what it has found, in t->said. */
	enum test_result (*run)(struct test *t);
};

/* In the order in which they are made. */
extern const struct test_check test_checks[];
extern const size_t test_check_count;

/* Accounts, each made by its first login. */
enum test_user {
	TEST_ALICE, TEST_BOB,
	TEST_CAROL,	/* sends too much; never gets mail */
	TEST_DAVE,	/* at the second relay */
	TEST_USERS
};

struct test_account {
	struct buf address, password;
};

/* A message of Alice to herself, which several checks look at. */
struct test_mail {
	bool was_tried;
	enum test_result result;
	struct buf said;	/* with that */
	struct buf header;	/* as it arrived */
	uint64_t uid;
	double took;
	bool was_told;		/* IDLE has told of it */
};

/* A login that the relay has to refuse. */
struct test_attempt;

struct test {
	struct outside relay, second;
	bool has_second, slow;
	double wait;			/* longest for a message, seconds */
	struct test_account accounts[TEST_USERS];
	struct stream_peer peers[OUTSIDE_PORTS];	/* of relay */
	struct stream_peer second_imaps, second_smtps;
	struct reach reach;		/* of relay */
	bool was_reached, name_is_unknown;
	/* why a port is not tried again; "" if it is */
	struct buf silent[OUTSIDE_PORTS];
	/* why nobody can log in at the one and the other; "" if not so */
	struct buf no_accounts, no_second;
	struct buf reach_error;
	struct buf said;
	double sent;		/* when the latest message began to be sent */
	double took;		/* secs that its message took; 0: none */
	struct test_mail mail;
	struct test_attempt *attempts;	/* NULL: not made yet */
};

/* Set what is said of the check, and return the result. */
enum test_result test_ok(struct test *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
enum test_result test_failed(struct test *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
enum test_result test_blocked(struct test *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
enum test_result test_skipped(struct test *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- what checks share: test_share.c ------------------------------------- */

enum {
	TEST_SECS = 30,		/* longest wait for an answer */
	TEST_HURRY_SECS = 5,	/* once somebody has let wait for so long */
	TEST_REACH_SECS = 7,	/* for a connection */
	TEST_WAIT_SECS = 60,	/* for a message; --wait changes it */
};

void test_begin(struct test *t);
void test_end(struct test *t);
/* Try all ports, once. -1 with t->reach_error when the name is not known. */
int test_reach(struct test *t);
/* Does the port answer? If not: -1 with the reason in said. */
int test_port(struct test *t, enum outside_port port);
/* A session of the user by IMAP or SMTP with TLS from the first byte, logged
 * in. -1 when there is no connection, -2 when he may not log in, with the
 * reason in said; nothing is open then. */
int test_imap(struct test *t, enum test_user user, struct imap_client *c);
int test_smtp(struct test *t, enum test_user user, struct smtp_dialog *d);
/* At a port of the relay, without logging in, and as peer says instead of as
 * usual unless it is NULL; it has to stay while the session is open. -1 with
 * the reason in said. */
int test_smtp_open(struct test *t, enum outside_port port,
		   const struct stream_peer *peer, struct smtp_dialog *d);
int test_imap_open(struct test *t, enum outside_port port,
		   const struct stream_peer *peer, struct imap_client *c);
int test_stream_open(struct test *t, enum outside_port port,
		     const struct stream_peer *peer, struct stream *s);
/* A request of url and post; the rest of it is filled in. -1 with the reason in
 * said; web_answer_free() else. */
int test_web(struct test *t, const struct web_request *request,
	     struct web_answer *a);
/* Send a message through a session of the user; when he has sent too much for
 * now, wait. Returns the reply's code, or -1 with the reason in said. */
int test_send(struct test *t, struct smtp_dialog *d, enum test_user from,
	      const char *to, const struct buf *mail);
/* A session for test_wait_mail(): logged in, INBOX selected, in IDLE. -1 with
 * the reason in said. */
int test_watch(struct test *t, enum test_user user, struct imap_client *c);
/* Wait until a message with that id, or some other text of the header, is in
 * the INBOX of that session. Returns its UID, or 0 with the reason in said when
 * it does not come within t->wait since test_send() began. Its header goes to
 * *header, t->took is how long it took, *told whether IDLE has told of it (may
 * be NULL). */
uint64_t test_wait_mail(struct test *t, struct imap_client *c, const char *id,
			struct buf *header, bool *told);
/* Send one from user to user and wait for it; the check's result. */
enum test_result test_deliver(struct test *t, enum test_user from,
			      enum test_user to);
/* What became of the logins that have to be refused, see test_login.c. */
void test_attempts_free(struct test *t);

/* ---- how it is shown: test_show.c ---------------------------------------- */

enum test_format { TEST_TEXT, TEST_JSON, TEST_TAP };

struct test_show;

struct test_show *test_show_new(enum test_format format, const struct test *t,
				size_t count);
void test_show_begins(struct test_show *s, const struct test_check *c);
void test_show_ends(struct test_show *s, const struct test_check *c,
		    enum test_result result, const struct test *t, double secs);
/* Returns whether all is well. */
bool test_show_end(struct test_show *s);

/* ---- the checks ---------------------------------------------------------- */

#define TEST_CHECKS(C)							\
	C(addresses) C(tls_smtp) C(tls_submission) C(tls_smtps)		\
	C(tls_imap) C(tls_imaps) C(tls_https) C(alpn_imap) C(alpn_smtp)	\
	C(alpn_http) C(no_tls_smtp) C(no_tls_submission) C(no_tls_imap)	\
	C(login) C(login_again) C(login_smtp) C(login_starttls)		\
	C(wrong_password) C(short_password) C(bad_names)		\
	C(capabilities) C(metadata) C(push_token) C(turn) C(quota)	\
	C(self_mail) C(idle) C(subject) C(headers) C(expunge)		\
	C(delivery)							\
	C(cleartext) C(forged_from) C(forged_sender) C(size) C(rate)	\
	C(in_cleartext) C(in_unsigned) C(open_relay) C(vrfy)		\
	C(home_page) C(http_redirect) C(www) C(new_account) C(new_link)	\
	C(autoconfig) C(mta_sts) C(to_second) C(from_second) C(bounce)

#define C(name) enum test_result test_##name(struct test *t);
TEST_CHECKS(C)
#undef C

#endif
