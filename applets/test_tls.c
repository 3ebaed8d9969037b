/* Ports, TLS and certificates. */
#include "applets/test.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

/* ---- addresses ----------------------------------------------------------- */

static bool is_dead(const struct test *t)
{
	for (size_t i = 0; i < OUTSIDE_PORTS; i++)
		if (!reach_error(&t->reach, i))
			return false;
	return true;
}

/* Where a port answers at one address and not at another; ports that answer
 * nowhere are told of by their own checks, unless none does. */
static void add_silent(struct test *t, size_t a, struct buf *out)
{
	const char *comma = "";
	struct buf ports = BUF_INIT;
	bool dead = is_dead(t);

	for (size_t i = 0; i < OUTSIDE_PORTS; i++) {
		int error = t->reach.error[a][i];

		if (!error || error == ENETUNREACH ||
		    (!dead && reach_error(&t->reach, i)))
			continue;
		buf_addf(&ports, "%s%u", comma, t->relay.ports[i]);
		comma = ", ";
	}
	if (ports.len)
		buf_addf(out, "%s%s does not answer at port %s",
			 out->len ? "; " : "", t->reach.address[a], ports.data);
	buf_free(&ports);
}

static bool is_unreachable(const struct test *t, size_t a)
{
	for (size_t i = 0; i < OUTSIDE_PORTS; i++)
		if (t->reach.error[a][i] != ENETUNREACH)
			return false;
	return true;
}

enum test_result test_addresses(struct test *t)
{
	struct buf silent = BUF_INIT, all = BUF_INIT;
	enum test_result ret;

	if (test_reach(t) < 0)
		return test_failed(t, "%s: %s", t->relay.host,
				   t->reach_error.data);
	for (size_t a = 0; a < t->reach.count; a++) {
		buf_addf(&all, "%s%s%s", a ? ", " : "", t->reach.address[a],
			 is_unreachable(t, a) ?
			 " (not from this machine)" : "");
		add_silent(t, a, &silent);
	}
	ret = silent.len ? test_failed(t, "%s", silent.data) :
		test_ok(t, "%s", all.data);
	buf_free(&silent);
	buf_free(&all);
	return ret;
}

/* ---- certificates -------------------------------------------------------- */

static enum test_result describe(struct test *t, const struct stream *s)
{
	struct cert c;

	if (stream_cert(s, &c) < 0)
		return test_failed(t, "there is no certificate");
	if (trust_verifies(t->relay.trust))
		test_ok(t, "%s, certificate good for %d days",
			stream_tls_version(s), c.days_left);
	else
		test_ok(t, "%s, %s certificate, as apps accept it here",
			stream_tls_version(s), c.is_self_signed ?
			"self-signed" : "any");
	cert_free(&c);
	return TEST_OK;
}

static enum test_result tls_by_smtp(struct test *t, enum outside_port port)
{
	enum test_result ret;
	struct smtp_dialog d;

	if (test_smtp_open(t, port, NULL, &d) < 0)
		return TEST_FAILED;
	ret = describe(t, &d.stream);
	smtp_dialog_close(&d);
	return ret;
}

static enum test_result tls_by_imap(struct test *t, enum outside_port port)
{
	enum test_result ret;
	struct imap_client c;

	if (test_imap_open(t, port, NULL, &c) < 0)
		return TEST_FAILED;
	ret = describe(t, &c.stream);
	imap_client_close(&c);
	return ret;
}

enum test_result test_tls_smtp(struct test *t)
{
	return tls_by_smtp(t, OUTSIDE_SMTP);
}

enum test_result test_tls_submission(struct test *t)
{
	return tls_by_smtp(t, OUTSIDE_SUBMISSION);
}

enum test_result test_tls_smtps(struct test *t)
{
	return tls_by_smtp(t, OUTSIDE_SMTPS);
}

enum test_result test_tls_imap(struct test *t)
{
	return tls_by_imap(t, OUTSIDE_IMAP);
}

enum test_result test_tls_imaps(struct test *t)
{
	return tls_by_imap(t, OUTSIDE_IMAPS);
}

enum test_result test_tls_https(struct test *t)
{
	enum test_result ret;
	struct stream s;

	if (test_stream_open(t, OUTSIDE_HTTPS, NULL, &s) < 0)
		return TEST_FAILED;
	ret = describe(t, &s);
	stream_close(&s);
	return ret;
}

/* ---- one port for everything --------------------------------------------- */

static enum test_result greeted(struct test *t, struct stream *s,
				const char *ask, const char *want)
{
	enum test_result ret = TEST_FAILED;
	struct buf line = BUF_INIT, err = BUF_INIT;

	if (stream_write(s, ask, strlen(ask), &err) < 0 ||
	    stream_line(s, &line, 4096, &err) < 0)
		test_failed(t, "port %u: %s", s->peer->port, err.data);
	else if (!str_starts(line.data, want))
		test_failed(t, "port %u with ALPN \"%s\" says \"%s\"",
			    s->peer->port, s->peer->alpn, line.data);
	else
		ret = test_ok(t, "\"%.40s\"", line.data);
	buf_free(&line);
	buf_free(&err);
	return ret;
}

/* Who asks for that protocol by ALPN, and says ask, is greeted so. */
static enum test_result alpn(struct test *t, const char *protocol,
			     const char *ask, const char *want)
{
	struct stream_peer peer = t->peers[OUTSIDE_HTTPS];
	enum test_result ret;
	struct stream s;

	if (test_port(t, OUTSIDE_HTTPS) < 0)
		return TEST_BLOCKED;
	peer.alpn = protocol;
	if (test_stream_open(t, OUTSIDE_HTTPS, &peer, &s) < 0)
		return test_failed(t, "with ALPN \"%s\": %s", protocol,
				   t->said.data);
	ret = greeted(t, &s, ask, want);
	stream_close(&s);
	return ret;
}

enum test_result test_alpn_imap(struct test *t)
{
	return alpn(t, "imap", "", "* OK ");
}

enum test_result test_alpn_smtp(struct test *t)
{
	return alpn(t, "smtp", "", "220 ");
}

enum test_result test_alpn_http(struct test *t)
{
	struct buf ask = BUF_INIT;
	enum test_result ret;

	buf_addf(&ask, "HEAD / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
		 "\r\n", t->relay.name);
	ret = alpn(t, "http/1.1", ask.data, "HTTP/1.1 200");
	buf_free(&ask);
	return ret;
}

/* ---- nothing in clear ---------------------------------------------------- */

/* Without TLS there is no login, and no mail is taken. */
static enum test_result no_tls(struct test *t, enum outside_port port)
{
	struct stream_peer peer = t->peers[port];
	struct buf err = BUF_INIT;
	struct smtp_dialog d;
	size_t n;
	int code;

	peer.security = STREAM_CLEAR;
	if (test_smtp_open(t, port, &peer, &d) < 0)
		return TEST_BLOCKED;
	code = smtp_dialog_say(&d, &err, "MAIL FROM:<>");
	if (code < 0)
		test_failed(t, "%s", err.data);
	else if (code != 530)
		test_failed(t, "without TLS, MAIL gets \"%s\", not 530",
			    d.reply.data);
	else if (smtp_dialog_keyword(&d, "AUTH", &n))
		code = -1, test_failed(t, "without TLS, AUTH is offered");
	else
		test_ok(t, "%s", d.reply.data);
	smtp_dialog_close(&d);
	buf_free(&err);
	return code == 530 ? TEST_OK : TEST_FAILED;
}

enum test_result test_no_tls_smtp(struct test *t)
{
	return no_tls(t, OUTSIDE_SMTP);
}

enum test_result test_no_tls_submission(struct test *t)
{
	return no_tls(t, OUTSIDE_SUBMISSION);
}

/* With credentials that nobody has, as they go over the wire in clear. */
enum test_result test_no_tls_imap(struct test *t)
{
	struct stream_peer peer = t->peers[OUTSIDE_IMAP];
	struct buf address = BUF_INIT, password = BUF_INIT, err = BUF_INIT;
	enum test_result ret = TEST_FAILED;
	struct imap_client c;
	int code;

	peer.security = STREAM_CLEAR;
	if (test_imap_open(t, OUTSIDE_IMAP, &peer, &c) < 0)
		return TEST_BLOCKED;
	outside_account(&t->relay, &address, &password);
	code = imap_client_login(&c, address.data, password.data, &err);
	if (code < 0)
		test_failed(t, "%s", err.data);
	else if (code == 0 && stream_is_local(&c.stream))
		/* as Dovecot does, whatever "ssl = required" says */
		ret = test_skipped(t, "from the relay's own machine one may: "
				   "try from another one");
	else if (code == 0)
		test_failed(t, "without TLS, one can log in");
	else if (strstr(c.text.data, "AUTHENTICATIONFAILED"))
		test_failed(t, "without TLS, passwords are looked at: %s",
			    c.text.data);
	else
		ret = test_ok(t, "%s", c.text.data);
	imap_client_close(&c);
	buf_free(&address);
	buf_free(&password);
	buf_free(&err);
	return ret;
}
