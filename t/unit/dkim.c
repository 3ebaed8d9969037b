/* The verifier: the RFCs' messages, each change of them, and attacks. */
#include "tap.h"

#include <openssl/evp.h>

#include "base/str.h"
#include "text/dkim.h"
#include "dkim_vectors.h"

static const char *const verdicts[] = {
	[DKIM_ACCEPTED] = "accepted", [DKIM_EXEMPT] = "exempt",
	[DKIM_MALFORMED] = "malformed", [DKIM_UNSIGNED] = "unsigned",
	[DKIM_INVALID] = "invalid", [DKIM_TEMPORARY] = "temporary",
};

static void show_verdict(const struct dkim_verifier *v, struct buf *out)
{
	const char *why;
	enum dkim_verdict verdict = dkim_verifier_verdict(v, &why);

	buf_setf(out, "%s%s%s", verdicts[verdict], why ? ": " : "",
		 why ? why : "");
}

static void verdict_of(const char *msg, size_t n, uint64_t now,
		       const struct dkim_zone *zone, struct buf *out)
{
	struct dkim_verifier v;

	dkim_test_message(&v, msg, n, 1000, now, zone);
	show_verdict(&v, out);
	dkim_verifier_free(&v);
}

static void feed_header(struct dkim_verifier *v, const char *msg)
{
	dkim_test_header(msg, msg + strlen(msg), dkim_test_add, v);
}

/* The RFCs' messages */

static const struct {
	const char *name, *msg;
	size_t count;
	const char *verdict;
} vectors[] = {
	/* signed by the parent domain: valid, but not enough for us */
	{ "RFC 6376", RFC6376_MESSAGE, 1,
	  "invalid: not signed by the domain of From" },
	{ "RFC 8463", RFC8463_MESSAGE, 2, "accepted" },
	{ "Ed25519 alone", RFC8463_ED25519 RFC_HEADER "\r\n" RFC_BODY, 1,
	  "accepted" },
	{ "RSA alone", RFC8463_RSA RFC_HEADER "\r\n" RFC_BODY, 1, "accepted" },
	{ "unsigned", RFC_HEADER "\r\n" RFC_BODY, 0, "unsigned: not signed" },
};

static void test_vectors(void)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		size_t n = strlen(vectors[i].msg);
		size_t bad = 0;
		struct buf got = BUF_INIT;

		for (size_t step = 1; step <= n; step += 1 + step / 8) {
			struct dkim_verifier v;

			dkim_test_message(&v, vectors[i].msg, n, step,
					  DKIM_TEST_NOW, rfc_zone);
			bad += v.count != vectors[i].count;
			for (size_t s = 0; s < v.count; s++)
				bad += v.checks[s].result != DKIM_PASS ||
				       v.checks[s].why;
			show_verdict(&v, &got);
			bad += strcmp(got.data, vectors[i].verdict) != 0;
			dkim_verifier_free(&v);
		}
		tap_ok(bad == 0, "%s: %s", vectors[i].name, got.data);
		buf_free(&got);
	}
}

/* Every byte of a signed message, changed, left out, doubled. own and len are
 * where signature s stands; the other's field is no part of what it signs. */

enum { CHANGE_BIT, CHANGE_HIGH, CHANGE_OMIT, CHANGE_DOUBLE, CHANGES };

static void change(struct buf *out, const char *msg, size_t at, int how)
{
	size_t n = strlen(msg);

	buf_reset(out);
	buf_add(out, msg, at + (how != CHANGE_OMIT));
	if (how == CHANGE_BIT)
		out->data[at] ^= 1;
	if (how == CHANGE_HIGH)
		out->data[at] ^= (char)0x80;
	if (how == CHANGE_DOUBLE)
		buf_addc(out, msg[at]);
	buf_add(out, msg + at + 1, n - at - 1);
}

/* A signature may stay valid where the canonical form may stay the same:
 * white space left out or doubled, if relaxed or in b=; CRLF at the end of the
 * body. */
static bool is_harmless(const char *msg, size_t at, int how)
{
	const char *body = strstr(msg, "\r\n\r\n"), *b = strstr(msg, " b=");

	if (how < CHANGE_OMIT)
		return false;
	if (msg[at] == ' ')
		return strstr(msg, "c=relaxed") ||
		       (msg + at > b && msg + at < strchr(b, ';'));
	return msg + at > body + 4 && at + 2 >= strlen(msg);
}

static void test_changes(const char *name, const char *msg, size_t own,
			 size_t other, size_t other_len)
{
	size_t bad = 0, tried = 0, n = strlen(msg);
	struct buf changed = BUF_INIT;

	for (size_t at = 0; at < n; at++) {
		for (int how = 0; how < CHANGES; how++) {
			struct dkim_verifier v;
			bool valid = false;

			if ((at >= other && at < other + other_len) ||
			    is_harmless(msg, at, how))
				continue;
			change(&changed, msg, at, how);
			dkim_test_message(&v, changed.data, changed.len, 1000,
					  DKIM_TEST_NOW, rfc_zone);
			for (size_t s = 0; s < v.count; s++)
				valid = valid ||
					(v.checks[s].result == DKIM_PASS &&
					 v.checks[s].sig.algorithm == own);
			if (valid)
				printf("# byte %zu '%c' how %d\n", at, msg[at],
				       how);
			bad += valid;
			tried++;
			dkim_verifier_free(&v);
		}
	}
	tap_ok(bad == 0, "%s: %zu changes, %zu of them verify", name, tried,
	       bad);
	buf_free(&changed);
}

/* Attacks: the message with Ed25519 signature, altered; or one made here. */

#define NAME "brisbane._domainkey.football.example.com"
#define KEY "p=" RFC8463_ED25519_P
#define GOOD "k=ed25519; " KEY

static const struct {
	const char *name;
	const char *from, *to;	/* what is replaced in the message, by what */
	const char *txt[4];	/* the key records; none: rfc_zone's */
	const char *want;
} attacks[] = {
	{ "nothing changed", "", "", { GOOD }, "accepted" },
	{ "two From fields", "From: ", "From: evil@x.example\r\nFrom: ",
	  { NULL }, "malformed: more than one From field" },
	{ "two From fields, one below", "Subject:",
	  "FROM : evil@x.example\r\nSubject:", { NULL },
	  "malformed: more than one From field" },
	{ "From with two addresses", "com>\r\nTo", "com>, evil@x.example\r\nTo",
	  { NULL }, "malformed: more than one address in From" },
	{ "From with a group", "Joe SixPack <joe@football.example.com>",
	  "g: joe@football.example.com;", { NULL },
	  "malformed: group in From" },
	{ "no From", "From: Joe", "X-From: Joe", { NULL },
	  "malformed: no From field" },
	{ "From made to look like two", "Joe SixPack",
	  "evil@x.example", { NULL }, "malformed: malformed address in From" },
	{ "line that is no field", "Subject:", "Subject", { NULL },
	  "malformed: malformed header field" },
	{ "bare CR", "Is dinner", "Is\rdinner", { NULL },
	  "malformed: bare CR or LF in the header" },
	{ "bare LF", "Is dinner", "Is\n dinner", { NULL },
	  "malformed: bare CR or LF in the header" },
	{ "From of another domain", "<joe@football", "<joe@rugby", { NULL },
	  "invalid: not signed by the domain of From" },
	{ "From of the parent domain", "<joe@football.", "<joe@", { NULL },
	  "invalid: not signed by the domain of From" },
	{ "From of a sub-domain", "<joe@football", "<joe@a.football",
	  { NULL }, "invalid: not signed by the domain of From" },
	{ "another From, same domain", "<joe@football", "<jim@football",
	  { NULL }, "invalid: signature does not match the header" },
	{ "another display name", "Joe Six", "Jim Six", { NULL },
	  "invalid: signature does not match the header" },
	{ "second Subject on top", "From: ", "Subject: x\r\nFrom: ", { NULL },
	  "invalid: signature does not match the header" },
	{ "second To on top, not oversigned", "From: ", "To: x\r\nFrom: ",
	  { NULL }, "accepted" },
	{ "second To below", "Subject: ", "To: x\r\nSubject: ", { NULL },
	  "invalid: signature does not match the header" },
	{ "fields in another order", "From: Joe SixPack <joe@football.example"
	  ".com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\n",
	  "To: Suzie Q <suzie@shopping.example.net>\r\nFrom: Joe SixPack "
	  "<joe@football.example.com>\r\n", { NULL }, "accepted" },
	{ "folded in another way", "Is dinner", "Is\r\n\tdinner", { NULL },
	  "accepted" },
	{ "names in another case", "Subject:", "SUBJECT :", { NULL },
	  "accepted" },
	{ "text appended", "Joe.\r\n", "Joe.\r\nEvil.\r\n", { NULL },
	  "invalid: body hash does not match" },
	{ "text left out", "Joe.\r\n", "", { NULL },
	  "invalid: body hash does not match" },
	{ "h= without From", "h=from : to :\r\n subject : date : message-id "
	  ": from :", "h=to : fromm :", { NULL },
	  "invalid: From is not signed" },
	{ "SHA-1", "ed25519-sha256", "rsa-sha1", { NULL },
	  "invalid: a= is rsa-sha1, which is no longer valid" },
	{ "another algorithm", "ed25519-sha256", "rsa-sha256", { NULL },
	  "invalid: key is of another type than a=" },
	{ "future", "t=1528637909", "t=1528638210", { NULL },
	  "invalid: signature is from the future" },
	{ "expired", "q=dns/txt", "q=dns/txt; x=1528637909; t=1528637608",
	  { NULL }, "invalid: duplicate tag" },
	{ "expired", "t=1528637909", "t=1528637600; x=1528637608", { NULL },
	  "invalid: signature has expired" },
	{ "i= outside d=", "i=@football.example.com", "i=@example.com",
	  { NULL }, "invalid: i= is outside of d=" },
	{ "duplicate tag", "q=dns/txt", "q=dns/txt; d=football.example.com",
	  { NULL }, "invalid: duplicate tag" },
	{ "dot at the end of d=", "d=football.example.com;",
	  "d=football.example.com.;", { NULL },
	  "invalid: d= is no domain name" },
	{ "no key record", "s=brisbane", "s=none", { NULL },
	  "invalid: no key in the DNS" },
	{ "answer without records", "", "", { "" },
	  "invalid: malformed key record" },
	{ "another key", "", "",
	  { "k=ed25519; p=l1qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" },
	  "invalid: signature does not match the header" },
	{ "revoked key", "", "", { "v=DKIM1; k=ed25519; p=" },
	  "invalid: key is revoked" },
	{ "key for another service", "", "", { "s=tlsrpt; " GOOD },
	  "invalid: key is not for e-mail" },
	{ "key for another hash", "", "", { "h=sha1; " GOOD },
	  "invalid: key is not for sha256" },
	{ "key for tests", "", "", { "t=y; " GOOD },
	  "invalid: key is for tests only" },
	{ "key of 512 bits", "ed25519-sha256", "rsa-sha256",
	  { "p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMQO2sN5Zo2fO5cQ0TpPAb6BVYbP"
	    "YIkRjn3sNw0UQeEjTqSIp6ROQ8oQnM7Zq6vD3hVgmYXyRBlXG7Y4mV4zKxECAwEA"
	    "AQ==" }, "invalid: RSA key shorter than 1024 bits" },
	{ "key of an unknown type", "", "", { "k=x; " KEY },
	  "invalid: key of an unknown type" },
	{ "other record first", "", "", { "v=spf1 -all", GOOD }, "accepted" },
	{ "third record", "", "", { "v=spf1 -all", "k=ed25519; p=", GOOD },
	  "accepted" },
	{ "fourth record", "", "",
	  { "v=spf1 -all", "k=ed25519; p=", "x", GOOD },
	  "invalid: key record of another version" },
};

static void replace(struct buf *out, const char *text, const char *what,
		    const char *with)
{
	const char *at = strstr(text, what);

	buf_reset(out);
	buf_add(out, text, (size_t)(at - text));
	buf_adds(out, with);
	buf_adds(out, at + strlen(what));
}

static void test_attacks(void)
{
	static const char msg[] = RFC8463_ED25519 RFC_HEADER "\r\n" RFC_BODY;

	for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
		struct dkim_zone zone[5] = { { NULL, NULL } };
		struct buf altered = BUF_INIT, got = BUF_INIT;

		for (int r = 0; r < 4 && attacks[i].txt[r]; r++)
			zone[r] = (struct dkim_zone){ NAME,
						      attacks[i].txt[r] };
		replace(&altered, msg, attacks[i].from, attacks[i].to);
		verdict_of(altered.data, altered.len, DKIM_TEST_NOW,
			   zone[0].name ? zone : rfc_zone, &got);
		tap_is(got.data, attacks[i].want, attacks[i].name);
		buf_free(&altered);
		buf_free(&got);
	}
}

/* Messages signed here, with whatever in the signature: "@" stands for bh=
 * and "#" for b=. The body hash is that of the first `hashed` bytes. */

static void sign(struct buf *out, const char *field, const char *header,
		 const char *body, size_t hashed)
{
	struct dkim_header h = DKIM_HEADER_INIT;
	struct arena arena = ARENA_INIT;
	struct buf text = BUF_INIT, value = BUF_INIT, err = BUF_INIT;
	struct dkim_signature s;
	unsigned char hash[DKIM_HASH_SIZE];
	struct dkim_key k;
	const char *p = header;

	EVP_Q_digest(NULL, "SHA256", NULL, body, hashed, hash, NULL);
	buf_add_base64(&value, hash, sizeof(hash));
	replace(&text, field, "@", value.data);
	replace(out, text.data, "#", "AAAA");
	dkim_header_add(&h, out->data, out->len);
	while (*p) {
		size_t n = (size_t)(strstr(p, "\r\n") + 2 - p);

		dkim_header_add(&h, p, n);
		p += n;
	}
	dkim_header_end(&h);
	if (h.error ||
	    dkim_signature_parse(&s, &h.fields[0], DKIM_TEST_NOW, &arena) ||
	    dkim_signature_hash(&s, &h.fields[0], &h, hash) < 0)
		tap_ok(false, "cannot sign: %s", field);
	dkim_key_read(&k, rfc8463_ed25519_pem, strlen(rfc8463_ed25519_pem),
		      &err);
	buf_reset(&value);
	dkim_key_sign(&k, hash, &value, &err);
	buf_reset(&err);
	buf_add_base64(&err, value.data, value.len);
	replace(out, text.data, "#", err.data);
	buf_addf(out, "\r\n%s\r\n%s", header, body);
	dkim_key_free(&k);
	dkim_header_free(&h);
	arena_free(&arena);
	buf_free(&text);
	buf_free(&value);
	buf_free(&err);
}

#define SIG(d) "DKIM-Signature: v=1; a=ed25519-sha256; d=" d "; s=x; bh=@; b=#"
#define FROM_B "From: a@b.example\r\n"

static const struct {
	const char *name, *field, *header;
	size_t hashed;		/* of "text\r\nmore\r\n"; 0: all */
	const char *flags;	/* at the record's beginning */
	const char *want;
} signed_cases[] = {
	{ "simple/simple", SIG("b.example") "; h=from", FROM_B, 0, "",
	  "accepted" },
	{ "relaxed/relaxed", SIG("b.example") "; h=from; c=relaxed/relaxed",
	  FROM_B, 0, "", "accepted" },
	{ "d= in capitals", SIG("B.EXAMPLE") "; h=from", FROM_B, 0, "",
	  "accepted" },
	{ "From in capitals", SIG("b.example") "; h=from",
	  "From: a@B.Example\r\n", 0, "", "accepted" },
	{ "by a sub-domain", SIG("a.b.example") "; h=from", FROM_B, 0, "",
	  "invalid: not signed by the domain of From" },
	{ "by the parent domain", SIG("example") "; h=from", FROM_B, 0, "",
	  "invalid: not signed by the domain of From" },
	{ "by a stranger", SIG("evil.example") "; h=from", FROM_B, 0, "",
	  "invalid: not signed by the domain of From" },
	{ "l= of all", SIG("b.example") "; h=from; l=12", FROM_B, 0, "",
	  "accepted" },
	{ "l= with appended text", SIG("b.example") "; h=from; l=6", FROM_B,
	  6, "", "invalid: l= leaves part of the body unsigned" },
	{ "l= one short", SIG("b.example") "; h=from; l=11", FROM_B, 11, "",
	  "invalid: l= leaves part of the body unsigned" },
	{ "l=0", SIG("b.example") "; h=from; l=0", FROM_B, 0, "",
	  "invalid: l= leaves part of the body unsigned" },
	{ "l= too long", SIG("b.example") "; h=from; l=13", FROM_B, 0, "",
	  "invalid: l= is longer than the body" },
	{ "l= much too long", SIG("b.example")
	  "; h=from; l=99999999999999999999999", FROM_B, 0, "",
	  "invalid: l= is longer than the body" },
	{ "i= in a sub-domain", SIG("b.example") "; h=from; i=@x.b.example",
	  FROM_B, 0, "", "accepted" },
	{ "and t=s", SIG("b.example") "; h=from; i=@x.b.example", FROM_B, 0,
	  "t=s; ", "invalid: key does not allow i= in a subdomain" },
	{ "t=s and i= of d=", SIG("b.example") "; h=from; i=x@B.example",
	  FROM_B, 0, "t=s; ", "accepted" },
	{ "t=s without i=", SIG("b.example") "; h=from", FROM_B, 0, "t=s; ",
	  "accepted" },
	{ "within the clock's tolerance", SIG("b.example")
	  "; h=from; t=1528638209", FROM_B, 0, "", "accepted" },
	{ "just not expired", SIG("b.example") "; h=from; x=1528637609",
	  FROM_B, 0, "", "accepted" },
	{ "many names in h=", SIG("b.example") "; h=from:from:x:y:from:z:x",
	  FROM_B, 0, "", "accepted" },
	{ "literal", SIG("b.example") "; h=from", "From: a@[1.2.3.4]\r\n", 0,
	  "", "exempt" },
};

static void test_signed(void)
{
	static const char body[] = "text\r\nmore\r\n";

	for (size_t i = 0; i < ARRAY_LEN(signed_cases); i++) {
		struct buf msg = BUF_INIT, txt = BUF_INIT, got = BUF_INIT;
		struct dkim_zone zone[] = {
			{ "x._domainkey.b.example", NULL },
			{ "x._domainkey.a.b.example", NULL },
			{ "x._domainkey.example", NULL },
			{ "x._domainkey.evil.example", NULL },
			{ NULL, NULL } };

		buf_addf(&txt, "%s%s", signed_cases[i].flags, GOOD);
		for (int z = 0; zone[z].name; z++)
			zone[z].txt = txt.data;
		sign(&msg, signed_cases[i].field, signed_cases[i].header, body,
		     signed_cases[i].hashed ? signed_cases[i].hashed :
		     strlen(body));
		verdict_of(msg.data, msg.len, DKIM_TEST_NOW, zone, &got);
		tap_is(got.data, signed_cases[i].want, signed_cases[i].name);
		buf_free(&msg);
		buf_free(&txt);
		buf_free(&got);
	}
}

/* Look-ups that fail */

static const struct {
	const char *name;
	struct dkim_zone zone[3];
	const char *body, *want;
} dns_cases[] = {
	{ "both keys", { { NAME, GOOD } }, RFC_BODY, "accepted" },
	{ "no answer", { { NAME, NULL },
			 { "test._domainkey.football.example.com", NULL } },
	  RFC_BODY, "temporary: key could not be looked up" },
	{ "one fails, one is good",
	  { { NAME, GOOD },
	    { "test._domainkey.football.example.com", NULL } },
	  RFC_BODY, "accepted" },
	{ "one fails, one is bad",
	  { { NAME, "k=ed25519; p=" },
	    { "test._domainkey.football.example.com", NULL } },
	  RFC_BODY, "temporary: key could not be looked up" },
	{ "no answer, but another body", { { NAME, NULL } }, "x\r\n",
	  "invalid: body hash does not match" },
	{ "no records", { { NULL, NULL } }, RFC_BODY,
	  "invalid: no key in the DNS" },
};

static void test_dns(void)
{
	struct buf msg = BUF_INIT, got = BUF_INIT;
	struct dkim_verifier v;

	for (size_t i = 0; i < ARRAY_LEN(dns_cases); i++) {
		buf_setf(&msg, "%s\r\n%s", RFC8463_ED25519 RFC8463_RSA
			 RFC_HEADER, dns_cases[i].body);
		verdict_of(msg.data, msg.len, DKIM_TEST_NOW,
			   dns_cases[i].zone, &got);
		tap_is(got.data, dns_cases[i].want, dns_cases[i].name);
	}
	/* whether the keys come before the body (odd steps) or after it */
	for (size_t step = 1; step <= 2; step++) {
		struct dkim_zone revoked[] = { { NAME, "p=" }, { NULL, NULL } };

		buf_setf(&msg, "%s\r\nx\r\n", RFC8463_ED25519 RFC_HEADER);
		dkim_test_message(&v, msg.data, msg.len, step, DKIM_TEST_NOW,
				  revoked);
		show_verdict(&v, &got);
		tap_is(got.data, "invalid: body hash does not match",
		       "bad key and bad body");
		dkim_verifier_free(&v);
	}

	dkim_verifier_init(&v, DKIM_TEST_NOW);
	feed_header(&v, RFC8463_MESSAGE);
	dkim_verifier_eoh(&v);
	dkim_verifier_body(&v, RFC_BODY, strlen(RFC_BODY));
	dkim_verifier_eom(&v);
	show_verdict(&v, &got);
	tap_is(got.data, "temporary: key was not looked up", "never asked");
	dkim_verifier_free(&v);

	/* who signed it otherwise is not looked up */
	dkim_verifier_init(&v, DKIM_TEST_NOW);
	feed_header(&v, RFC6376_MESSAGE);
	dkim_verifier_eoh(&v);
	tap_ok(v.count == 1 && !v.checks[0].aligned &&
	       !dkim_verifier_record(&v, 0, false), "only the From domain");
	tap_is(dkim_verifier_record(&v, 0, true),
	       "brisbane._domainkey.example.com", "unless asked for");
	dkim_verifier_free(&v);
	buf_free(&msg);
	buf_free(&got);
}

/* Too much of something */

static void test_many(size_t before, const char *want)
{
	struct buf msg = BUF_INIT, got = BUF_INIT;
	struct dkim_verifier v;

	for (size_t i = 0; i < before; i++)
		buf_addf(&msg, "DKIM-Signature: v=1; a=rsa-sha256; s=s%zu; "
			 "d=football.example.com; h=from; bh=" RFC_BODY_HASH
			 "; b=AAAA\r\n", i);
	buf_adds(&msg, RFC8463_ED25519);
	for (size_t i = before + 1; i < 100; i++)
		buf_adds(&msg, "DKIM-Signature: v=1\r\n");
	buf_adds(&msg, RFC_HEADER "\r\n" RFC_BODY);
	dkim_test_message(&v, msg.data, msg.len, 100, DKIM_TEST_NOW, rfc_zone);
	show_verdict(&v, &got);
	tap_is(got.data, want, "100 signatures");
	tap_ok(v.total == 100 && v.count == DKIM_CHECKS_MAX,
	       "10 of %zu looked at", v.total);
	dkim_verifier_free(&v);
	buf_free(&msg);
	buf_free(&got);
}

/* The header is fed on and on, 10 MB of it. */
static void test_large_header(size_t field_size)
{
	struct buf field = BUF_INIT, got = BUF_INIT;
	struct dkim_verifier v;
	size_t most = 0;

	buf_addf(&field, "X: %0*d", (int)field_size, 0);
	dkim_verifier_init(&v, DKIM_TEST_NOW);
	feed_header(&v, RFC8463_MESSAGE);
	for (size_t fed = 0; fed < 10 * 1024 * 1024; fed += field.len) {
		dkim_verifier_header(&v, field.data, field.len);
		if (v.header.arena.used > most)
			most = v.header.arena.used;
	}
	dkim_verifier_eoh(&v);
	dkim_verifier_body(&v, RFC_BODY, strlen(RFC_BODY));
	dkim_verifier_eom(&v);
	show_verdict(&v, &got);
	tap_is(got.data, "malformed: header too large", "10 MB of header");
	tap_ok(most < 2 * DKIM_HEADER_BYTES, "%zu bytes kept", most);
	dkim_verifier_free(&v);
	buf_free(&field);
	buf_free(&got);
}

/* h= as long as a field may be, over as many fields as a header may have. */
static void test_long_names(void)
{
	struct buf msg = BUF_INIT, got = BUF_INIT;

	for (int i = 0; i < DKIM_CHECKS_MAX; i++) {
		buf_adds(&msg, "DKIM-Signature: v=1; a=rsa-sha256; s=s; "
			 "d=football.example.com; bh=" RFC_BODY_HASH
			 "; b=AAAA; h=from");
		for (int n = 0; n < 30000; n++)
			buf_adds(&msg, ":A");
		buf_adds(&msg, "\r\n");
	}
	for (int n = 0; n < 4000; n++)
		buf_adds(&msg, "A:\r\n");
	buf_adds(&msg, RFC_HEADER "\r\n" RFC_BODY);
	verdict_of(msg.data, msg.len, DKIM_TEST_NOW, rfc_zone, &got);
	tap_is(got.data, "invalid: no key in the DNS", "long lists of names");
	buf_free(&msg);
	buf_free(&got);
}

/* What is kept while the body comes in does not grow with the header. */
static void test_let_go(void)
{
	struct dkim_verifier v;

	dkim_verifier_init(&v, DKIM_TEST_NOW);
	feed_header(&v, RFC8463_MESSAGE);
	dkim_verifier_eoh(&v);
	tap_ok(v.header.arena.used == 0 && !v.header.fields,
	       "header is let go at its end");
	tap_ok(v.arena.used < 2048 && sizeof(v) < 8192,
	       "%zu + %zu bytes stay", sizeof(v), v.arena.used);
	dkim_verifier_free(&v);
	dkim_verifier_free(&v);
}

int main(void)
{
	size_t ed = strlen(RFC8463_ED25519), rsa = strlen(RFC8463_RSA);

	test_vectors();
	test_changes("RFC 8463, Ed25519", RFC8463_MESSAGE,
		     DKIM_ED25519_SHA256, ed, rsa);
	test_changes("RFC 8463, RSA", RFC8463_MESSAGE, DKIM_RSA_SHA256, 0, ed);
	test_changes("RFC 6376", RFC6376_MESSAGE, DKIM_RSA_SHA256, 0, 0);
	test_attacks();
	test_signed();
	test_dns();
	test_many(0, "accepted");
	test_many(9, "accepted");
	test_many(10, "invalid: no key in the DNS");
	test_large_header(100);
	test_large_header(100000);
	test_large_header(1048560);
	test_long_names();
	test_let_go();
	return tap_done();
}
