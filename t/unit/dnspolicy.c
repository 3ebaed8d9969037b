/* DNS texts that mean the same, and such that do not. */
#include "tap.h"

#include "base/str.h"
#include "text/dkim_key.h"
#include "text/dnspolicy.h"

#define SPF "v=spf1 a ~all"
#define DMARC "v=DMARC1;p=reject;adkim=s;aspf=s"
#define STS "v=STSv1; id=202611251200"
#define ADSP "dkim=discardable"
#define ACCOUNT "https://acme.example/acct/1"
#define CAA "letsencrypt.org;accounturi=" ACCOUNT

enum { SAME = DNSPOLICY_SAME, DIFF = DNSPOLICY_DIFFERENT,
       OTHER = DNSPOLICY_OTHER };

static const struct {
	dnspolicy_fn *policy;
	const char *want, *got;
	int is;
} cases[] = {
	{ dnspolicy_spf, SPF, SPF, SAME },
	{ dnspolicy_spf, SPF, "V=SPF1 A ~ALL", SAME },
	{ dnspolicy_spf, SPF, "v=spf1   +a   ~all  ", SAME },
	{ dnspolicy_spf, SPF, "v=spf1 a:Chat.Example ~all", SAME },
	{ dnspolicy_spf, SPF, "v=spf1 a:chat.example. ~all", SAME },
	{ dnspolicy_spf, SPF, "v=spf1 mx a ~all", SAME },
	{ dnspolicy_spf, SPF, "v=spf1 a a/32//128 ~all", SAME },
	{ dnspolicy_spf, SPF, "v=spf1 exp=why.example a ~all", SAME },
	{ dnspolicy_spf, SPF, "v=spf1 redirect=x.example a ~all", SAME },
	{ dnspolicy_spf, SPF, "v=spf1 a ~all -all ip4:192.0.2.1", SAME },
	{ dnspolicy_spf, SPF, "v=spf1 a x=y ~all", SAME },
	{ dnspolicy_spf, SPF, "v=spf1 a -all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a ?all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 ~all a", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 ~a ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a:other.example ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a:xchat.example ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a:chat.example.org ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a/24 ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a include:x.example ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 -ip4:192.0.2.1 a ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a redirect=x.example", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 redirect=x redirect=y a ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a nonsense ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a ~all nonsense", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 a\t~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf1 + ~all", DIFF },
	{ dnspolicy_spf, SPF, "v=spf10 a ~all", OTHER },
	{ dnspolicy_spf, SPF, "v=spf1\ta ~all", OTHER },
	{ dnspolicy_spf, SPF, "google-site-verification=x", OTHER },
	{ dnspolicy_spf, SPF, " v=spf1 a ~all", OTHER },
	{ dnspolicy_spf, SPF, "\"v=spf1 a ~all\"", OTHER },
	{ dnspolicy_spf, SPF, "", OTHER },

	{ dnspolicy_dmarc, DMARC, DMARC, SAME },
	{ dnspolicy_dmarc, DMARC, "v=DMARC1; aspf=S; adkim=s; p=Reject;", SAME },
	{ dnspolicy_dmarc, DMARC, "v = DMARC1 ; p = reject; adkim=s;aspf=s",
	  SAME },
	{ dnspolicy_dmarc, DMARC, DMARC ";rua=mailto:a@b.example;fo=1", SAME },
	{ dnspolicy_dmarc, DMARC, DMARC ";pct=100;sp=reject", SAME },
	{ dnspolicy_dmarc, DMARC, DMARC ";pct=50", DIFF },
	{ dnspolicy_dmarc, DMARC, DMARC ";sp=none", DIFF },
	{ dnspolicy_dmarc, DMARC, "v=DMARC1;p=reject;adkim=s", DIFF },
	{ dnspolicy_dmarc, DMARC, "v=DMARC1;p=none;adkim=s;aspf=s", DIFF },
	{ dnspolicy_dmarc, DMARC, "v=DMARC1;adkim=s;aspf=s", DIFF },
	{ dnspolicy_dmarc, DMARC, "v=dmarc1;p=reject;adkim=s;aspf=s", DIFF },
	{ dnspolicy_dmarc, DMARC, DMARC ";p=none", DIFF },
	{ dnspolicy_dmarc, DMARC, "p=reject;v=DMARC1;adkim=s;aspf=s", OTHER },
	{ dnspolicy_dmarc, DMARC, "hello", OTHER },

	{ dnspolicy_sts, STS, STS, SAME },
	{ dnspolicy_sts, STS, "v=STSv1;id=A1;", SAME },
	{ dnspolicy_sts, STS, "v=STSv1; x=y; id=1", SAME },
	{ dnspolicy_sts, STS, "v=STSv1; id=12345678901234567890123456789012",
	  SAME },
	{ dnspolicy_sts, STS, "v=STSv1; id=123456789012345678901234567890123",
	  DIFF },
	{ dnspolicy_sts, STS, "v=STSv1; id=", DIFF },
	{ dnspolicy_sts, STS, "v=STSv1;", DIFF },
	{ dnspolicy_sts, STS, "v=STSv1; id=2026-11-25", DIFF },
	{ dnspolicy_sts, STS, "v=stsv1; id=1", DIFF },
	{ dnspolicy_sts, STS, "id=1; v=STSv1", OTHER },

	{ dnspolicy_adsp, ADSP, ADSP, SAME },
	{ dnspolicy_adsp, ADSP, "dkim = Discardable;", SAME },
	{ dnspolicy_adsp, ADSP, "dkim=all", DIFF },
	{ dnspolicy_adsp, ADSP, "x=y; dkim=discardable", DIFF },
	{ dnspolicy_adsp, ADSP, "discardable", DIFF },

	{ dnspolicy_caa, CAA, CAA, SAME },
	{ dnspolicy_caa, CAA, " LetsEncrypt.org ; accounturi = " ACCOUNT " ; ",
	  SAME },
	{ dnspolicy_caa, CAA, "letsencrypt.org;validationmethods=dns-01, "
	  "HTTP-01;accounturi=" ACCOUNT, SAME },
	{ dnspolicy_caa, "letsencrypt.org", CAA, SAME },
	{ dnspolicy_caa, "letsencrypt.org", "letsencrypt.org", SAME },
	{ dnspolicy_caa, CAA, "letsencrypt.org", DIFF },
	{ dnspolicy_caa, CAA, CAA "2", DIFF },
	{ dnspolicy_caa, CAA, CAA ";accounturi=" ACCOUNT, DIFF },
	{ dnspolicy_caa, CAA, "ca.example;accounturi=" ACCOUNT, DIFF },
	{ dnspolicy_caa, CAA, CAA ";validationmethods=dns-01", DIFF },
	{ dnspolicy_caa, CAA, CAA ";validationmethods=", DIFF },
	{ dnspolicy_caa, CAA, CAA ";policy=ev", DIFF },
	{ dnspolicy_caa, CAA, CAA ";nonsense", DIFF },
	{ dnspolicy_caa, CAA, ";", DIFF },
	{ dnspolicy_caa, CAA, "", DIFF },
};

static int judge(dnspolicy_fn *policy, const char *want, const char *got,
		 size_t n, const char **why)
{
	char *exact = xmalloc(n);	/* so that reading past it is seen */
	struct dnspolicy_case c = { "chat.example", want, exact, n };
	int is;

	memcpy(exact, got, n);
	*why = "unset";
	is = (int)policy(&c, why);
	free(exact);
	return is;
}

static void test_cases(void)
{
	const char *why;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int is = judge(cases[i].policy, cases[i].want, cases[i].got,
			       strlen(cases[i].got), &why);

		tap_ok(is == cases[i].is, "%s: %s", cases[i].got,
		       why ? why : "-");
		if (is != DIFF && why)
			tap_ok(false, "a reason though it is not different");
	}
	tap_ok(judge(dnspolicy_caa, CAA, "a\0b", 3, &why) == DIFF,
	       "a NUL byte in a CAA value");
	tap_ok(judge(dnspolicy_spf, SPF, "v=spf1 a\0 ~all", 14, &why) == DIFF,
	       "a NUL byte in an SPF record");
}

/* ---- DKIM --------------------------------------------------------------------- */

static const char *make(struct buf *record, enum dkim_algorithm a)
{
	struct buf err = BUF_INIT;
	struct dkim_key key = DKIM_KEY_INIT;

	buf_reset(record);
	if (dkim_key_generate(&key, a, 2048, &err) < 0 ||
	    dkim_key_record(&key, record, &err) < 0)
		tap_ok(false, "%s", err.data);
	dkim_key_free(&key);
	buf_free(&err);
	return record->data;
}

/* The value of p= alone. */
static char *public_part(const char *record)
{
	const char *p = strstr(record, "p=") + 2;

	return xstrndup(p, strcspn(p, ";"));
}

static void test_dkim(enum dkim_algorithm a, const char *k)
{
	static const struct {
		const char *before, *after;
		int is;
	} rows[] = {
		{ "v=DKIM1;k=%s;p=", ";s=email;t=s", SAME },
		{ "v=DKIM1; t=s; s=email; k=%s; p=", "", SAME },
		{ "k=%s;p=", "", SAME },
		{ "v=DKIM1;k=%s;h=sha256:sha1;s=*;n=note;p=", ";", SAME },
		{ "v=DKIM1;k=%s;p= ", "", SAME },
		{ "v=DKIM1;k=%s;t=y;p=", "", DIFF },
		{ "v=DKIM1;k=%s;t=s:y;p=", "", DIFF },
		{ "v=DKIM1;k=%s;h=sha1;p=", "", DIFF },
		{ "v=DKIM1;k=%s;s=tlsrpt;p=", "", DIFF },
		{ "k=%s;v=DKIM1;p=", "", DIFF },
		{ "v=DKIM2;k=%s;p=", "", DIFF },
		{ "v=DKIM1;k=x%s;p=", "", DIFF },
		{ "\"v=DKIM1;k=%s;p=", "\"", DIFF },
		{ "v=DKIM1\\;k=%s\\;p=", "", DIFF },
		{ "v=DKIM1;k=%s;p=", "A", DIFF },
	};
	struct buf record = BUF_INIT, other = BUF_INIT, text = BUF_INIT;
	const char *want = make(&record, a), *why;
	char *p = public_part(want);
	int is;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = strcspn(rows[i].before, "%");

		buf_reset(&text);
		buf_addf(&text, "%.*s%s%s%s%s", (int)n, rows[i].before, k,
			 rows[i].before + n + 2, p, rows[i].after);
		is = judge(dnspolicy_dkim, want, text.data, text.len, &why);
		tap_ok(is == rows[i].is, "%sKEY%s: %s", rows[i].before,
		       rows[i].after, why ? why : "-");
	}
	make(&other, a);
	is = judge(dnspolicy_dkim, want, other.data, other.len, &why);
	tap_ok(is == DIFF, "another key: %s", why);
	is = judge(dnspolicy_dkim, want, "v=DKIM1;p=", 10, &why);
	tap_ok(is == DIFF, "a revoked key: %s", why);
	free(p);
	buf_free(&record);
	buf_free(&other);
	buf_free(&text);
}

static void test_sts_id(void)
{
	struct buf id = BUF_INIT;

	tap_ok(dnspolicy_sts_id(STS, strlen(STS), &id) == 0, "an id");
	tap_is(id.data, "202611251200", "as it is there");
	tap_ok(dnspolicy_sts_id("v=STSv1", 7, &id) < 0, "no id");
	buf_free(&id);
}

int main(void)
{
	test_cases();
	test_dkim(DKIM_RSA_SHA256, "rsa");
	test_dkim(DKIM_ED25519_SHA256, "ed25519");
	test_sts_id();
	return tap_done();
}
