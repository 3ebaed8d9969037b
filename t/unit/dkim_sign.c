/* The signer: the same bytes as OpenDKIM, and what it signs verifies. */
#include "tap.h"

#include "base/str.h"
#include "text/dkim.h"
#include "text/dkim_sign.h"
#include "dkim_vectors.h"

/* A message, and the field that OpenDKIM 2.11.0~beta2 put on top of it with
 * the relay's configuration and the RSA key of RFC 8463. */
enum { OPENDKIM_TIME = 1795249880 };
static const char opendkim_message[] =
	"Received: from x\r\n"
	"Reply-To: Joe <joe@football.example.com>\r\n"
	"FROM: Joe SixPack <joe@football.example.com>\r\n"
	"To: Suzie Q <suzie@shopping.example.net>,\r\n"
	"\tAnn <ann@shopping.example.net>\r\n"
	"Subject: Is dinner\r\n"
	"  ready?\r\n"
	"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
	"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
	"TO: second@shopping.example.net\r\n"
	"MIME-Version: 1.0\r\n"
	"Content-type: text/plain;  charset=utf-8\r\n"
	"Chat-Version: 1.0\r\n"
	"Autocrypt: addr=joe@football.example.com; keydata=AAAA\r\n"
	"References: <a@b>\r\n"
	" <c@d>\r\n"
	"In-Reply-To: <c@d>\r\n"
	"\r\n"
	"Hi.\r\n"
	"\r\n"
	"We lost the game.  Are you hungry yet?  \r\n"
	"\r\n"
	"Joe.\r\n"
	"\r\n"
	"\r\n";
static const char opendkim_field[] =
	"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=football.example.com;\r\n"
	"\ts=test; t=1795249880;\r\n"
	"\tbh=oFPgBLnVzMwabixiVV2AlmQfY8vFuSqOvZZoAwsaHsg=;\r\n"
	"\th=Reply-To:FROM:To:Subject:Date:TO:Content-type:Autocrypt:\r\n"
	"\t References:In-Reply-To:from:reply-to:subject:date:to:cc:\r\n"
	"\t resent-date:resent-from:resent-sender:resent-to:resent-cc:\r\n"
	"\t in-reply-to:references:list-id:list-help:list-unsubscribe:\r\n"
	"\t list-subscribe:list-post:list-owner:list-archive:autocrypt;\r\n"
	"\tb=RXz1qpBTQnNy/uZDriiy7dyy8dH6/0CNI8T+W8Z4R732JT5ep0kMjHj6mqBmbl30T\r\n"
	"\t qd8GJQEuyHUdyCP6A23lSQFWbcyfSc9dgi8XtMkJCOcj/+u9eGOMGVq+9RQyVi9qHj\r\n"
	"\t N1RZTFIt64KsIu4OJ94p2oEtY+wArotCfA+Hr/OQ=";

static void add(void *signer, const char *field, size_t n)
{
	dkim_signer_header(signer, field, n);
}

static void feed(struct dkim_signer *s, const char *msg, size_t n, size_t step)
{
	const char *end = msg + n, *p;

	dkim_signer_init(s);
	p = dkim_test_header(msg, end, add, s);
	dkim_signer_eoh(s);
	while (p < end) {
		size_t piece = (size_t)(end - p) < step ?
			       (size_t)(end - p) : step;

		dkim_signer_body(s, p, piece);
		p += piece;
	}
	dkim_signer_eom(s);
}

static void read_key(struct dkim_key *k, const char *pem)
{
	struct buf err = BUF_INIT;

	if (dkim_key_read(k, pem, strlen(pem), &err) < 0)
		tap_ok(false, "%s", err.data);
	buf_free(&err);
}

static void test_opendkim(void)
{
	struct dkim_identity id = { "football.example.com", "test",
				    OPENDKIM_TIME, NULL };
	struct buf field = BUF_INIT, err = BUF_INIT;
	struct dkim_key k;

	read_key(&k, rfc8463_rsa_pem);
	id.key = &k;
	for (size_t step = 1; step < 100; step += 13) {
		struct dkim_signer s;

		feed(&s, opendkim_message, strlen(opendkim_message), step);
		buf_reset(&field);
		tap_ok(dkim_signer_sign(&s, &id, &field, &err) == 0, "signed");
		tap_is(field.data, opendkim_field, "as OpenDKIM does");
		tap_is(s.domain.data, "football.example.com", "From's domain");
		dkim_signer_free(&s);
	}
	dkim_key_free(&k);
	buf_free(&field);
	buf_free(&err);
}

/* Where OpenDKIM ends lines with a d= of that length. */
static const struct {
	int length;
	const char *want;
} folds[] = {
	{ 15, "; d=000000000000000; s=s;\r\n\tt=1;" },
	{ 16, "; d=0000000000000000;\r\n\ts=s; t=1;" },
	{ 20, "; d=00000000000000000000;\r\n\ts=s; t=1;" },
	{ 21, ";\r\n\td=000000000000000000000; s=s; t=1;" },
};

static void test_folds(void)
{
	struct buf domain = BUF_INIT, field = BUF_INIT, err = BUF_INIT;
	struct dkim_key k;
	struct dkim_signer s;

	read_key(&k, rfc8463_rsa_pem);
	feed(&s, RFC_HEADER "\r\n", strlen(RFC_HEADER "\r\n"), 10);
	for (size_t i = 0; i < ARRAY_LEN(folds); i++) {
		struct dkim_identity id = { NULL, "s", 1, &k };

		buf_setf(&domain, "%0*d", folds[i].length, 0);
		id.domain = domain.data;
		buf_reset(&field);
		dkim_signer_sign(&s, &id, &field, &err);
		tap_ok(strstr(field.data, folds[i].want),
		       "d= of %d bytes", folds[i].length);
	}
	dkim_signer_free(&s);
	dkim_key_free(&k);
	buf_free(&domain);
	buf_free(&field);
	buf_free(&err);
}

/* The message with both signatures on top. */
static void sign_twice(struct buf *out, const char *msg, size_t n)
{
	struct dkim_identity id = { "football.example.com", "test",
				    DKIM_TEST_NOW, NULL };
	struct dkim_key rsa, ed25519;
	struct buf err = BUF_INIT;
	struct dkim_signer s;

	read_key(&rsa, rfc8463_rsa_pem);
	read_key(&ed25519, rfc8463_ed25519_pem);
	feed(&s, msg, n, 77);
	id.key = &rsa;
	tap_ok(dkim_signer_sign(&s, &id, out, &err) == 0, "RSA %s", err.data);
	buf_adds(out, "\r\n");
	id.key = &ed25519;
	id.selector = "brisbane";
	tap_ok(dkim_signer_sign(&s, &id, out, &err) == 0, "Ed25519");
	buf_adds(out, "\r\n");
	buf_add(out, msg, n);
	dkim_signer_free(&s);
	dkim_key_free(&rsa);
	dkim_key_free(&ed25519);
	buf_free(&err);
}

#define FROM "From: joe@football.example.com\r\n"

static const struct {
	const char *name, *msg;
} messages[] = {
	{ "plain", RFC_HEADER "\r\n" RFC_BODY },
	{ "no body", FROM "\r\n" },
	{ "no body, no empty line", FROM },
	{ "empty lines", FROM "\r\n\r\n\r\n\r\n" },
	{ "no line end", FROM "\r\ntext" },
	{ "8 bits", "Subject: J\xc3\xb6rg \xff\r\n" FROM "\r\n\xff\x80\r\n" },
	{ "leading dots", FROM "\r\n.\r\n..\r\n.x\r\n" },
	{ "repeated fields", "To: a\r\nTO: b\r\nCc: c\r\nto : d\r\n" FROM
	  "cC:e\r\n\r\nx\r\n" },
	{ "folded", "From:\r\n joe@football.example.com\r\nSubject:\r\n\t\r\n"
	  " x\r\n \r\n\r\nx\r\n" },
	{ "empty values", "Subject:\r\nTo: \r\nCc:\t\r\n" FROM "\r\nx\r\n" },
	{ "signed already", RFC8463_MESSAGE },
};

static void test_messages(void)
{
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		struct buf out = BUF_INIT;
		struct dkim_verifier v;
		const char *why;

		sign_twice(&out, messages[i].msg, strlen(messages[i].msg));
		dkim_test_message(&v, out.data, out.len, 5, DKIM_TEST_NOW,
				  rfc_zone);
		tap_ok(dkim_verifier_verdict(&v, &why) == DKIM_ACCEPTED &&
		       v.checks[0].result == DKIM_PASS &&
		       v.checks[1].result == DKIM_PASS, "%s",
		       messages[i].name);
		dkim_verifier_free(&v);
		buf_free(&out);
	}
}

/* To a signed message no field can be added, whether there was one or not. */
static void test_oversigned(void)
{
	static const char *const names[] = {
		"From", "Reply-To", "Subject", "Date", "To", "Cc",
		"Resent-Date", "Resent-From", "Resent-Sender", "Resent-To",
		"Resent-Cc", "In-Reply-To", "References", "List-Id",
		"List-Help", "List-Unsubscribe", "List-Subscribe",
		"List-Post", "List-Owner", "List-Archive", "Autocrypt",
	};
	struct buf out = BUF_INIT, more = BUF_INIT;
	const char *why;

	sign_twice(&out, RFC_HEADER "\r\nx\r\n", strlen(RFC_HEADER) + 5);
	for (size_t i = 0; i < 2 * ARRAY_LEN(names); i++) {
		struct dkim_verifier v;

		buf_setf(&more, "%s: x\r\n%s", names[i / 2], out.data);
		if (i % 2) {
			/* before the body instead */
			char *body = strstr(out.data, "\r\n\r\n") + 2;

			buf_reset(&more);
			buf_add(&more, out.data, (size_t)(body - out.data));
			buf_addf(&more, "%s: x\r\n%s", names[i / 2], body);
		}
		dkim_test_message(&v, more.data, more.len, 500, DKIM_TEST_NOW,
				  rfc_zone);
		tap_ok(dkim_verifier_verdict(&v, &why) !=
		       DKIM_ACCEPTED, "added %s", names[i / 2]);
		dkim_verifier_free(&v);
	}
	buf_free(&out);
	buf_free(&more);
}

static const struct {
	const char *name, *msg, *domain, *selector, *want;
} refused[] = {
	{ "no From", "To: a@b\r\n\r\n", "b", "s", "no From field" },
	{ "two From", FROM FROM "\r\n", "b", "s", "more than one From field" },
	{ "two addresses", "From: a@b, c@d\r\n\r\n", "b", "s",
	  "more than one address in From" },
	{ "malformed", FROM "x\r\n\r\n", "b", "s", "malformed header field" },
	{ "domain", FROM "\r\n", "b;c", "s", "d= is no domain name" },
	{ "selector", FROM "\r\n", "b", "", "s= is no selector" },
};

static void test_refused(void)
{
	struct buf field = BUF_INIT, err = BUF_INIT;
	struct dkim_key k;

	read_key(&k, rfc8463_ed25519_pem);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct dkim_identity id = { refused[i].domain,
					    refused[i].selector, 0, &k };
		struct dkim_signer s;

		feed(&s, refused[i].msg, strlen(refused[i].msg), 100);
		tap_ok(dkim_signer_sign(&s, &id, &field, &err) < 0 &&
		       field.len == 0, "%s", refused[i].name);
		tap_is(err.data, refused[i].want, "reason");
		dkim_signer_free(&s);
	}
	dkim_key_free(&k);
	buf_free(&field);
	buf_free(&err);
}

static void test_too_many(void)
{
	struct buf msg = BUF_INIT;
	struct dkim_signer s;

	buf_adds(&msg, FROM);
	for (int i = 0; i < 3000; i++)
		buf_adds(&msg, "Subject: x\r\n");
	feed(&s, msg.data, msg.len, 100);
	tap_is(s.error, "too many header fields to sign", "3000 Subjects");
	dkim_signer_free(&s);
	for (int i = 0; i < 3000; i++)
		buf_adds(&msg, "X: x\r\n");
	feed(&s, msg.data, msg.len, 100);
	tap_is(s.error, "header too large", "6001 fields");
	dkim_signer_free(&s);
	buf_free(&msg);
}

/* RFC 8463's two fields, signed again with its keys: both algorithms give the
 * same signature each time. */
static void test_rfc8463(const char *field, const char *pem)
{
	struct dkim_header h = DKIM_HEADER_INIT;
	struct arena arena = ARENA_INIT;
	struct buf sig = BUF_INIT, err = BUF_INIT;
	unsigned char hash[DKIM_HASH_SIZE];
	const char *p = RFC_HEADER;
	struct dkim_signature s;
	struct dkim_key k;

	dkim_header_add(&h, field, strlen(field));
	while (*p) {
		const char *end = strstr(p, "\r\n") + 2;

		dkim_header_add(&h, p, (size_t)(end - p));
		p = end;
	}
	dkim_header_end(&h);
	read_key(&k, pem);
	tap_is(dkim_signature_parse(&s, &h.fields[0], DKIM_TEST_NOW, &arena),
	       NULL, "RFC 8463's field");
	tap_ok(dkim_signature_hash(&s, &h.fields[0], &h, hash) == 0 &&
	       dkim_key_sign(&k, hash, &sig, &err) == 0 &&
	       sig.len == s.sig_len && memcmp(sig.data, s.sig, sig.len) == 0,
	       "is signed as printed");
	dkim_key_free(&k);
	dkim_header_free(&h);
	arena_free(&arena);
	buf_free(&sig);
	buf_free(&err);
}

/* Our bh= is the RFC's, and Ed25519 signs the same way each time. */
static void test_body_hash(void)
{
	struct buf a = BUF_INIT, b = BUF_INIT;

	sign_twice(&a, RFC_HEADER "\r\n" RFC_BODY,
		   strlen(RFC_HEADER "\r\n" RFC_BODY));
	sign_twice(&b, RFC_HEADER "\r\n" RFC_BODY,
		   strlen(RFC_HEADER "\r\n" RFC_BODY));
	tap_ok(strstr(a.data, "bh=" RFC_BODY_HASH ";"), "bh= of the RFCs");
	tap_is(a.data, b.data, "signed twice to the same");
	buf_free(&a);
	buf_free(&b);
}

int main(void)
{
	test_opendkim();
	test_folds();
	test_messages();
	test_oversigned();
	test_refused();
	test_too_many();
	test_rfc8463(RFC8463_ED25519, rfc8463_ed25519_pem);
	test_rfc8463(RFC8463_RSA, rfc8463_rsa_pem);
	test_body_hash();
	return tap_done();
}
