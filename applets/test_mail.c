/* Mail that has to arrive, and as what. */
#include "applets/test.h"

#include <string.h>

#include "base/str.h"
#include "relay/sample_mail.h"

static const char subject[] = "chatmail test: not for others to see";
/* What tells of a sender's device and network. */
static const char traces[] =
	"Received: from phone.invalid ([192.0.2.1]) by nowhere.invalid; "
	"Thu, 1 Jan 2026 00:00:00 +0000\r\n"
	"User-Agent: chatmail-test\r\n"
	"X-Mailer: chatmail-test\r\n"
	"X-Originating-IP: [192.0.2.1]\r\n";

/* ---- a message of Alice to herself --------------------------------------- */

static enum test_result send_and_wait(struct test *t, struct imap_client *c,
				      struct smtp_dialog *d,
				      const struct buf *mail, const char *id)
{
	const char *alice = t->accounts[TEST_ALICE].address.data;
	struct test_mail *m = &t->mail;
	int code = test_send(t, d, TEST_ALICE, alice, mail);

	if (code != 250)
		return code < 0 ? TEST_FAILED :
			test_failed(t, "it is refused: %s", d->reply.data);
	m->uid = test_wait_mail(t, c, id, &m->header, &m->was_told);
	m->took = t->took;
	return m->uid ? test_ok(t, "in %.0f ms", t->took * 1000.) : TEST_FAILED;
}

static enum test_result try_mail(struct test *t)
{
	const char *alice = t->accounts[TEST_ALICE].address.data;
	struct sample_mail sample = { .from = alice, .to = alice,
				      .subject = subject, .more = traces };
	struct buf mail = BUF_INIT, id = BUF_INIT;
	enum test_result ret = TEST_BLOCKED;
	struct imap_client c;
	struct smtp_dialog d;

	sample_mail_add_id(&id);
	sample.id = id.data;
	sample_mail_add(&mail, &sample);
	if (test_watch(t, TEST_ALICE, &c) == 0) {
		if (test_smtp(t, TEST_ALICE, &d) == 0) {
			ret = send_and_wait(t, &c, &d, &mail, id.data);
			smtp_dialog_close(&d);
		}
		imap_client_close(&c);
	}
	buf_free(&mail);
	buf_free(&id);
	return ret;
}

/* Once; the result is that of self-mail, whoever wanted it first. */
static const struct test_mail *own_mail(struct test *t)
{
	struct test_mail *m = &t->mail;

	if (!m->was_tried) {
		m->was_tried = true;
		m->result = try_mail(t);
		buf_setf(&m->said, "%s", t->said.data);
		t->took = 0;	/* it is told of by self-mail alone */
	}
	return m;
}

/* For those who look at it: why they cannot. */
static const struct test_mail *need_mail(struct test *t)
{
	const struct test_mail *m = own_mail(t);

	if (m->result == TEST_OK)
		return m;
	test_blocked(t, "there is no message to look at: %s", m->said.data);
	return NULL;
}

enum test_result test_self_mail(struct test *t)
{
	const struct test_mail *m = own_mail(t);

	t->took = m->took;
	buf_setf(&t->said, "%s", m->said.data);
	return m->result;
}

enum test_result test_idle(struct test *t)
{
	const struct test_mail *m = need_mail(t);

	if (!m)
		return TEST_BLOCKED;
	return m->was_told ? test_ok(t, "IDLE tells of new mail") :
		test_failed(t, "a message was there, but IDLE did not tell");
}

/* ---- what it looks like when it arrives ---------------------------------- */

/* The beginning of a field's line in a header, or NULL. */
static const char *field(const char *header, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = header; *p; p += *p == '\n') {
		if (strlen(p) > n && mem_eqi(p, name, n) && p[n] == ':')
			return p;
		p += strcspn(p, "\n");
	}
	return NULL;
}

enum test_result test_subject(struct test *t)
{
	const struct test_mail *m = need_mail(t);
	const char *line;

	if (!m)
		return TEST_BLOCKED;
	line = field(m->header.data, "Subject");
	if (!line)
		return test_failed(t, "there is none at all");
	if (str_starts(line, "Subject: [...]"))
		return test_ok(t, "it is \"[...]\"");
	return test_failed(t, "it arrives as \"%.*s\"",
			   (int)strcspn(line, "\r\n"), line);
}

enum test_result test_headers(struct test *t)
{
	static const char *const names[] = {
		"Received", "User-Agent", "X-Mailer", "X-Originating-IP",
		"DKIM-Signature", "Authentication-Results",
	};
	const struct test_mail *m = need_mail(t);
	struct buf left = BUF_INIT;
	enum test_result ret;

	if (!m)
		return TEST_BLOCKED;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (field(m->header.data, names[i]))
			buf_addf(&left, "%s%s", left.len ? ", " : "", names[i]);
	ret = left.len ? test_failed(t, "it arrives with %s", left.data) :
		test_ok(t, "Received and User-Agent are gone");
	buf_free(&left);
	return ret;
}

/* ---- deleting ------------------------------------------------------------ */

/* Is it gone for other sessions too? Returns 1, 0, -1 with *err. */
static int is_gone(struct imap_client *c, uint64_t uid, struct buf *err)
{
	struct imap_response r;
	int ret = imap_client_command(c, err, "SELECT INBOX");

	if (ret == 0)
		ret = imap_client_command(c, err, "UID FETCH %llu (UID)",
					  (unsigned long long)uid);
	if (ret > 0)
		buf_setf(err, "%s", c->text.data);
	return ret ? -1 : !imap_client_find(c, "FETCH", &r);
}

static int delete(struct imap_client *c, uint64_t uid, struct buf *err)
{
	int ret = imap_client_command(c, err, "SELECT INBOX");

	if (ret == 0)
		ret = imap_client_command(c, err, "UID STORE %llu "
					  "+FLAGS.SILENT (\\Deleted)",
					  (unsigned long long)uid);
	if (ret == 0)
		ret = imap_client_command(c, err, "EXPUNGE");
	if (ret > 0)
		buf_setf(err, "%s", c->text.data);
	return ret;
}

enum test_result test_expunge(struct test *t)
{
	const struct test_mail *m = need_mail(t);
	struct buf err = BUF_INIT;
	enum test_result ret = TEST_FAILED;
	struct imap_client c;
	int code;

	if (!m || test_imap(t, TEST_ALICE, &c) < 0)
		return TEST_BLOCKED;
	code = delete(&c, m->uid, &err);
	imap_client_close(&c);
	if (code) {
		test_failed(t, "%s", err.data);
	} else if (test_imap(t, TEST_ALICE, &c) < 0) {
		ret = TEST_BLOCKED;
	} else {
		code = is_gone(&c, m->uid, &err);
		imap_client_close(&c);
		ret = code > 0 ? test_ok(t, "a message is deleted, and gone") :
			test_failed(t, "%s", code < 0 ? err.data :
				    "a deleted message is still there");
	}
	buf_free(&err);
	return ret;
}

/* ---- to others ----------------------------------------------------------- */

enum test_result test_delivery(struct test *t)
{
	return test_deliver(t, TEST_BOB, TEST_ALICE);
}

static enum test_result no_second(struct test *t)
{
	return test_skipped(t, "no second relay is given (--second)");
}

enum test_result test_to_second(struct test *t)
{
	return t->has_second ? test_deliver(t, TEST_ALICE, TEST_DAVE) :
		no_second(t);
}

enum test_result test_from_second(struct test *t)
{
	return t->has_second ? test_deliver(t, TEST_DAVE, TEST_ALICE) :
		no_second(t);
}

/* Dave writes to an address of the relay that nobody has, and waits for the
 * relay's bounce, which his relay takes only if it is signed. */
static enum test_result bounce(struct test *t, struct imap_client *c,
			       struct smtp_dialog *d)
{
	const char *dave = t->accounts[TEST_DAVE].address.data;
	struct buf nobody = BUF_INIT, daemon = BUF_INIT, mail = BUF_INIT,
		   header = BUF_INIT;
	struct sample_mail m = { .from = dave };
	enum test_result ret = TEST_FAILED;
	int code;

	outside_account(&t->relay, &nobody, &daemon);
	buf_setf(&daemon, "MAILER-DAEMON@%s", t->relay.relay->mail_domain);
	m.to = nobody.data;
	sample_mail_add(&mail, &m);
	code = test_send(t, d, TEST_DAVE, nobody.data, &mail);
	if (code > 0 && code != 250)
		test_failed(t, "it is refused: %s", d->reply.data);
	else if (code == 250 &&
		 test_wait_mail(t, c, daemon.data, &header, NULL))
		ret = test_ok(t, "in %.0f ms", t->took * 1000.);
	buf_free(&nobody);
	buf_free(&daemon);
	buf_free(&mail);
	buf_free(&header);
	return ret;
}

enum test_result test_bounce(struct test *t)
{
	enum test_result ret = TEST_BLOCKED;
	struct imap_client c;
	struct smtp_dialog d;

	if (!t->has_second)
		return no_second(t);
	if (test_watch(t, TEST_DAVE, &c) < 0)
		return TEST_BLOCKED;
	if (test_smtp(t, TEST_DAVE, &d) == 0) {
		ret = bounce(t, &c, &d);
		smtp_dialog_close(&d);
	}
	imap_client_close(&c);
	return ret;
}
