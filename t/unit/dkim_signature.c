/* DKIM-Signature fields: what is refused and why, and what they sign. */
#include "tap.h"

#include "base/str.h"
#include "text/dkim_signature.h"
#include "dkim_vectors.h"

#define NOW 1600000000
#define BH "bh=" RFC_BODY_HASH
#define S "v=1; a=rsa-sha256; s=x; d=b.example; " BH "; b=AAAA; "
#define REST "h=from; " BH "; b=AAAA"
#define L63 "a23456789012345678901234567890123456789012345678901234567890123"

static const struct {
	const char *value, *want;	/* record name, or ! and the reason */
} cases[] = {
	{ S "h=from", "x._domainkey.b.example" },
	{ S "h=FROM:to", "x._domainkey.b.example" },
	{ S "h=to :\r\n From ;", "x._domainkey.b.example" },
	{ S "h=from; new=tag; z=From:x=3Dy|To:z", "x._domainkey.b.example" },
	{ S "h=from; q=dns/txt", "x._domainkey.b.example" },
	{ S "h=from; q=other : dns/txt", "x._domainkey.b.example" },
	{ S "h=from; c=relaxed", "x._domainkey.b.example" },
	{ S "h=from; c=Relaxed/Simple", "x._domainkey.b.example" },
	{ S "h=from; l=0", "x._domainkey.b.example" },
	{ S "h=from; i=a@b.example", "x._domainkey.b.example" },
	{ S "h=from; i=@B.EXAMPLE", "x._domainkey.b.example" },
	{ S "h=from; i=\"a@c\"@sub.b.example", "x._domainkey.b.example" },
	{ S "h=from; t=1600000300", "x._domainkey.b.example" },
	{ S "h=from; t=0; x=99999999999999999999999",
	  "x._domainkey.b.example" },
	{ S "h=from; x=1599999700", "x._domainkey.b.example" },
	{ S "h=from; t=1600000000; x=1600000000", "x._domainkey.b.example" },
	{ "v=1; a=ED25519-sha256; d=B.Example; s=2024.Key_1; " REST,
	  "2024.key_1._domainkey.b.example" },
	{ "v=1; a=rsa-sha256; d=_b; s=x; " REST, "x._domainkey._b" },
	{ "v=1; a=rsa-sha256; d=" L63 "." L63 "; s=" L63 "; " REST,
	  L63 "._domainkey." L63 "." L63 },
	/* missing */
	{ "a=rsa-sha256; d=b; s=x; " REST, "! v= is missing" },
	{ "v=1; d=b; s=x; " REST, "! a= is missing" },
	{ "v=1; a=rsa-sha256; s=x; " REST, "! d= is missing" },
	{ "v=1; a=rsa-sha256; d=b; " REST, "! s= is missing" },
	{ "v=1; a=rsa-sha256; d=b; s=x; h=from; b=AAAA", "! bh= is missing" },
	{ "v=1; a=rsa-sha256; d=b; s=x; h=from; " BH, "! b= is missing" },
	{ S, "! h= is missing" },
	{ "", "! malformed tag list" },
	{ S "h=from; h=from", "! duplicate tag" },
	{ S "h=from; b=BBBB", "! duplicate tag" },
	/* wrong */
	{ "v=2; a=rsa-sha256; d=b; s=x; " REST, "! v= is not 1" },
	{ "v=; a=rsa-sha256; d=b; s=x; " REST, "! v= is not 1" },
	{ "v=1.0; a=rsa-sha256; d=b; s=x; " REST, "! v= is not 1" },
	{ "v=1; a=rsa-sha1; d=b; s=x; " REST,
	  "! a= is rsa-sha1, which is no longer valid" },
	{ "v=1; a=rsa; d=b; s=x; " REST, "! a= is unknown" },
	{ "v=1; a=ed25519-sha512; d=b; s=x; " REST, "! a= is unknown" },
	{ "v=1; a=rsa-sha256; d=; s=x; " REST, "! d= is no domain name" },
	{ "v=1; a=rsa-sha256; d=b.; s=x; " REST, "! d= is no domain name" },
	{ "v=1; a=rsa-sha256; d=.b; s=x; " REST, "! d= is no domain name" },
	{ "v=1; a=rsa-sha256; d=a..b; s=x; " REST, "! d= is no domain name" },
	{ "v=1; a=rsa-sha256; d=a b; s=x; " REST, "! d= is no domain name" },
	{ "v=1; a=rsa-sha256; d=a*b; s=x; " REST, "! d= is no domain name" },
	{ "v=1; a=rsa-sha256; d=[1.2.3.4]; s=x; " REST,
	  "! d= is no domain name" },
	{ "v=1; a=rsa-sha256; d=\xc3\xbc.de; s=x; " REST,
	  "! d= is no domain name" },
	{ "v=1; a=rsa-sha256; d=" L63 "4.example; s=x; " REST,
	  "! d= is no domain name" },
	{ "v=1; a=rsa-sha256; d=b; s=; " REST, "! s= is no selector" },
	{ "v=1; a=rsa-sha256; d=b; s=x.; " REST, "! s= is no selector" },
	{ "v=1; a=rsa-sha256; d=b; s=a/b; " REST, "! s= is no selector" },
	{ "v=1; a=rsa-sha256; d=b; s=" L63 "4; " REST, "! s= is no selector" },
	{ "v=1; a=rsa-sha256; d=" L63 "." L63 "." L63 "; s=" L63 "; " REST,
	  "! s= and d= are too long" },
	{ S "h=to", "! From is not signed" },
	{ S "h=", "! h= is malformed" },
	{ S "h=from:", "! h= is malformed" },
	{ S "h=from::to", "! h= is malformed" },
	{ S "h=from:a b", "! h= is malformed" },
	{ S "h=from:\xc3\xbc", "! h= is malformed" },
	{ S "h=xfrom:fromx", "! From is not signed" },
	{ "v=1; a=rsa-sha256; d=b; s=x; h=from; b=; " BH, "! b= is malformed" },
	{ "v=1; a=rsa-sha256; d=b; s=x; h=from; b=A; " BH,
	  "! b= is malformed" },
	{ "v=1; a=rsa-sha256; d=b; s=x; h=from; b=AAA!; " BH,
	  "! b= is malformed" },
	{ "v=1; a=rsa-sha256; d=b; s=x; h=from; b=AAAA; bh=AAAA",
	  "! bh= is malformed" },
	{ "v=1; a=rsa-sha256; d=b; s=x; h=from; b=AAAA; bh=",
	  "! bh= is malformed" },
	{ "v=1; a=rsa-sha256; d=b; s=x; h=from; b=AAAA; " BH "AAAA",
	  "! bh= is malformed" },
	{ S "h=from; c=", "! c= is unknown" },
	{ S "h=from; c=nowsp", "! c= is unknown" },
	{ S "h=from; c=relaxed/", "! c= is unknown" },
	{ S "h=from; c=relaxed / simple", "! c= is unknown" },
	{ S "h=from; c=simple/relaxed/simple", "! c= is unknown" },
	{ S "h=from; i=", "! i= is malformed" },
	{ S "h=from; i=b.example", "! i= is malformed" },
	{ S "h=from; i=a@", "! i= is malformed" },
	{ S "h=from; i=@example", "! i= is outside of d=" },
	{ S "h=from; i=@c.example", "! i= is outside of d=" },
	{ S "h=from; i=@xb.example", "! i= is outside of d=" },
	{ S "h=from; i=@b.example.com", "! i= is outside of d=" },
	{ S "h=from; i=@.b.example", "! i= is malformed" },
	{ S "h=from; l=", "! l= is malformed" },
	{ S "h=from; l=-1", "! l= is malformed" },
	{ S "h=from; l=1x", "! l= is malformed" },
	{ S "h=from; q=", "! q= is not dns/txt" },
	{ S "h=from; q=dns", "! q= is not dns/txt" },
	{ S "h=from; q=dns/txt/x", "! q= is not dns/txt" },
	{ S "h=from; t=x", "! t= is malformed" },
	{ S "h=from; t=", "! t= is malformed" },
	{ S "h=from; t=1600000301", "! signature is from the future" },
	{ S "h=from; t=18446744073709551616",
	  "! signature is from the future" },
	{ S "h=from; x=x", "! x= is malformed" },
	{ S "h=from; x=1599999699", "! signature has expired" },
	{ S "h=from; x=0", "! signature has expired" },
	{ S "h=from; t=1600000100; x=1600000099", "! x= is before t=" },
};

static void test_cases(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = ARENA_INIT;
		struct dkim_signature s;
		struct buf text = BUF_INIT, got = BUF_INIT;
		struct dkim_field f;
		const char *why;

		buf_addf(&text, "%s: %s", DKIM_SIGNATURE_NAME,
			 cases[i].value);
		f = (struct dkim_field){ text.data, text.len, 14 };
		why = dkim_signature_parse(&s, &f, NOW, &arena);
		buf_addf(&got, "%s%s", why ? "! " : "", why ? why : s.record);
		tap_is(got.data, cases[i].want, cases[i].value);
		buf_free(&text);
		buf_free(&got);
		arena_free(&arena);
	}
}

static void test_values(void)
{
	static const char text[] = "DKIM-Signature:" S
		"h=from:to; c=relaxed/relaxed; l=77; i=@sub.b.example";
	struct dkim_field f = { text, sizeof(text) - 1, 14 };
	struct arena arena = ARENA_INIT;
	struct dkim_signature s;

	tap_is(dkim_signature_parse(&s, &f, NOW, &arena), NULL, "parses");
	tap_ok(s.algorithm == DKIM_RSA_SHA256 &&
	       s.header_canon == DKIM_RELAXED &&
	       s.body_canon == DKIM_RELAXED && s.has_length &&
	       s.length == 77 && s.subdomain, "values");
	tap_is(s.domain, "b.example", "d=");
	tap_is(s.selector, "x", "s=");
	tap_ok(s.sig_len == 3 && memcmp(s.sig, "\0\0", 3) == 0, "b=");
	tap_ok(s.body_hash[0] == 0xda && s.body_hash[31] == 0xff, "bh=");
	arena_free(&arena);
}

/* Where b= stands and how it is written is of no matter: each of these signs
 * itself. The field is given with "@" for b='s value. */
static const char *const b_cases[] = {
	"v=1; a=ed25519-sha256; c=C; d=b; s=x; h=from; " BH "; b=@",
	"v=1; a=ed25519-sha256; c=C; d=b; s=x; h=from; " BH "; b=@;",
	"b=@; v=1; a=ed25519-sha256; c=C; d=b; s=x; h=from; " BH,
	"v=1; a=ed25519-sha256; c=C; d=b; s=x; b = @ ; h=from; " BH,
	"v=1; a=ed25519-sha256; c=C; d=b; s=x; h=from; " BH ";\r\n\tb=@\r\n\t",
	"v=1; a=ed25519-sha256; c=C; d=b; s=x; h=from;\r\n b\r\n =\r\n @ ;\r\n "
	BH,
	"v=1; a=ed25519-sha256; c=C; d=b; s=x; h=from; x_b=b=; b=@; " BH,
	"  v=1; a=ed25519-sha256; c=C; d=b; s=x; h=from:b:bh; " BH "; b=@",
};

static void replace(struct buf *b, const char *what, const char *with)
{
	char *at = strstr(b->data, what);
	struct buf rest = BUF_INIT;

	buf_adds(&rest, at + strlen(what));
	buf_truncate(b, (size_t)(at - b->data));
	buf_adds(b, with);
	buf_add(b, rest.data, rest.len);
	buf_free(&rest);
}

static bool hash_of(const char *field, unsigned char *hash)
{
	struct dkim_header h = DKIM_HEADER_INIT;
	struct arena arena = ARENA_INIT;
	struct dkim_signature s;
	bool ok;

	dkim_header_add(&h, field, strlen(field));
	dkim_header_add(&h, "From: a@b", 9);
	dkim_header_end(&h);
	ok = !h.error && !dkim_signature_parse(&s, &h.fields[0], NOW, &arena) &&
	     dkim_signature_hash(&s, &h.fields[0], &h, hash) == 0;
	dkim_header_free(&h);
	arena_free(&arena);
	return ok;
}

static void test_b(size_t i, const char *canon)
{
	static const char *const values[] = { "AAAA", "A A\r\n\tAA ", "BBBB" };
	unsigned char hash[ARRAY_LEN(values) + 1][DKIM_HASH_SIZE];
	struct buf field = BUF_INIT;
	bool ok = true;

	for (size_t v = 0; v < ARRAY_LEN(values); v++) {
		buf_setf(&field, "DKIM-Signature: %s", b_cases[i]);
		replace(&field, "c=C", canon);
		replace(&field, "@", values[v]);
		ok = ok && hash_of(field.data, hash[v]) &&
		     memcmp(hash[0], hash[v], DKIM_HASH_SIZE) == 0;
	}
	tap_ok(ok, "b= of case %zu, %s", i, canon);
	/* but all else counts */
	replace(&field, "s=x", "s=y");
	tap_ok(hash_of(field.data, hash[3]) &&
	       memcmp(hash[0], hash[3], DKIM_HASH_SIZE) != 0, "and s=");
	buf_free(&field);
}

/* Which fields are hashed, and in which order. */
static const struct {
	const char *names;
	const char *fields[5];
	const char *same_names;
	const char *same[5];
	bool want;	/* the two hash to the same, but for h= */
} pick_cases[] = {
	{ "from", { "From: a@b" }, "from", { "From: a@b", "To: x" }, true },
	{ "from", { "From: a@b" }, "from", { "FROM:  a@b " }, true },
	{ "from", { "From: a@b" }, "from", { "From: a@c" }, false },
	{ "from:to", { "From: a@b" }, "from:to", { "From: a@b", "To: x" },
	  false },
	/* the lowest is picked */
	{ "from:to", { "From: a@b", "To: x" },
	  "from:to", { "From: a@b", "To: y", "To: x" }, true },
	{ "from:to", { "From: a@b", "To: x" },
	  "from:to", { "From: a@b", "To: x", "To: y" }, false },
	{ "from:to:to", { "From: a@b", "To: x" },
	  "from:to:to", { "To: y", "From: a@b", "To: x" }, false },
	{ "from:to:to", { "From: a@b", "To: x", "To: y" },
	  "from:to:to", { "To: x", "To: y", "From: a@b" }, true },
	/* other signatures can be signed, one's own cannot */
	{ "from:dkim-signature", { "From: a@b" },
	  "from:dkim-signature", { "DKIM-Signature: x", "From: a@b" }, false },
};

static bool pick_hash(const char *names, const char *const *fields, int own,
		      unsigned char *hash)
{
	struct dkim_header h = DKIM_HEADER_INIT;
	struct arena arena = ARENA_INIT;
	struct dkim_signature s;
	struct buf field = BUF_INIT;
	bool ok;
	int at = 0;

	buf_addf(&field, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed; d=b; "
		 "s=x; " BH "; b=AAAA; h=%s", names);
	for (int i = 0; i < 5 && (i <= own || fields[i]); i++) {
		if (i == own) {
			at = (int)h.count;
			dkim_header_add(&h, field.data, field.len);
		}
		if (fields[i])
			dkim_header_add(&h, fields[i], strlen(fields[i]));
	}
	dkim_header_end(&h);
	ok = !dkim_signature_parse(&s, &h.fields[at], NOW, &arena) &&
	     dkim_signature_hash(&s, &h.fields[at], &h, hash) == 0;
	dkim_header_free(&h);
	arena_free(&arena);
	buf_free(&field);
	return ok;
}

static void test_picks(void)
{
	for (size_t i = 0; i < ARRAY_LEN(pick_cases); i++) {
		unsigned char a[DKIM_HASH_SIZE], b[DKIM_HASH_SIZE];
		unsigned char c[DKIM_HASH_SIZE];
		bool ok = pick_hash(pick_cases[i].names, pick_cases[i].fields,
				    0, a) &&
			  pick_hash(pick_cases[i].same_names,
				    pick_cases[i].same, 0, b) &&
			  pick_hash(pick_cases[i].names,
				    pick_cases[i].fields, 1, c);

		tap_ok(ok && (memcmp(a, b, sizeof(a)) == 0) ==
		       pick_cases[i].want, "pick %zu", i);
		tap_ok(ok && memcmp(a, c, sizeof(a)) == 0,
		       "wherever the signature stands");
	}
}

int main(void)
{
	test_cases();
	test_values();
	for (size_t i = 0; i < ARRAY_LEN(b_cases); i++) {
		test_b(i, "c=simple");
		test_b(i, "c=relaxed");
	}
	test_picks();
	return tap_done();
}
