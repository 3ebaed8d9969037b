/* Key records and private keys. */
#include "tap.h"

#include "base/str.h"
#include "text/dkim_key.h"
#include "dkim_vectors.h"

#define RSA "p=" RFC8463_RSA_P
#define ED "p=" RFC8463_ED25519_P

static const struct {
	const char *record, *want;	/* NULL: usable */
} cases[] = {
	{ RSA, NULL },
	{ "v=DKIM1; " RSA, NULL },
	{ "v=DKIM1;k=rsa;" RSA ";s=email;t=s", NULL },
	{ "v=DKIM1; k=ed25519; " ED, NULL },
	{ "k=rsa; h=sha1:sha256; " RSA, NULL },
	{ "h= sha1 : sha256 ; s=other: email; " RSA, NULL },
	{ "s=*;" RSA, NULL },
	{ "g=x; n=notes on it; " RSA " ;", NULL },
	{ "new=1; " RSA, NULL },
	{ "v=DKIM1; p=", "key is revoked" },
	{ "v=DKIM1; p= ;", "key is revoked" },
	{ "v=DKIM1; k=rsa", "key record without p=" },
	{ RSA "; v=DKIM1", "key record of another version" },
	{ "v=DKIM2; " RSA, "key record of another version" },
	{ "v=dkim1; " RSA, "key record of another version" },
	{ "v=; " RSA, "key record of another version" },
	{ "v=spf1 a ~all", "key record of another version" },
	{ "k=dsa; " RSA, "key of an unknown type" },
	{ "k=; " RSA, "key of an unknown type" },
	{ "h=sha1; " RSA, "key is not for sha256" },
	{ "h=; " RSA, "key is not for sha256" },
	{ "s=tlsrpt; " RSA, "key is not for e-mail" },
	{ "s=; " RSA, "key is not for e-mail" },
	{ "k=ed25519; " RSA, "malformed Ed25519 key" },
	{ "k=rsa; " ED, "malformed RSA key" },
	{ ED, "malformed RSA key" },
	{ "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg==", "malformed Ed25519 key" },
	{ "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
	  "malformed base64 in the key record" },
	{ "p=!", "malformed base64 in the key record" },
	{ "p=AAAA", "malformed RSA key" },
	{ RSA "; " RSA, "malformed key record" },
	{ "", "malformed key record" },
	{ "some other text", "malformed key record" },
};

static void test_cases(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dkim_key k;
		const char *why = dkim_key_parse(&k, cases[i].record,
						 strlen(cases[i].record));

		tap_is(why, cases[i].want, cases[i].record);
		tap_ok(!k.pkey == !!why, "key or reason");
		dkim_key_free(&k);
	}
}

static const struct {
	const char *flags;
	bool testing, same_domain;
} flag_cases[] = {
	{ "", false, false },
	{ "t=; ", false, false },
	{ "t=y; ", true, false },
	{ "t=s; ", false, true },
	{ "t= y : s ; ", true, true },
	{ "t=x:s:z; ", false, true },
	{ "t=ys; ", false, false },
};

static void test_flags(void)
{
	for (size_t i = 0; i < ARRAY_LEN(flag_cases); i++) {
		struct buf record = BUF_INIT;
		struct dkim_key k;
		const char *why;

		buf_addf(&record, "%s%s", flag_cases[i].flags, RSA);
		why = dkim_key_parse(&k, record.data, record.len);
		tap_ok(!why && k.testing == flag_cases[i].testing &&
		       k.same_domain == flag_cases[i].same_domain,
		       "flags \"%s\"", flag_cases[i].flags);
		dkim_key_free(&k);
		buf_free(&record);
	}
}

/* DER, written by hand: what is in b becomes an element of that type. */
static void der_wrap(struct buf *b, unsigned char type)
{
	struct buf out = BUF_INIT;

	buf_addc(&out, (char)type);
	if (b->len >= 256) {
		buf_addc(&out, (char)0x82);
		buf_addc(&out, (char)(b->len >> 8));
	} else if (b->len >= 128) {
		buf_addc(&out, (char)0x81);
	}
	buf_addc(&out, (char)b->len);
	buf_add(&out, b->data, b->len);
	buf_free(b);
	*b = out;
}

/* An odd number with that many bits; 0: the integer zero. */
static void der_number(struct buf *out, unsigned bits, bool even)
{
	struct buf n = BUF_INIT;
	unsigned top = bits % 8 ? bits % 8 : 8;

	if (bits && top == 8)
		buf_addc(&n, 0);
	for (unsigned i = 0; i < (bits + 7) / 8; i++)
		buf_addc(&n, (char)0x5b);
	if (!bits)
		buf_addc(&n, 0);
	if (bits) {
		n.data[top == 8] = (char)(1 << (top - 1));
		n.data[n.len - 1] |= 1;
	}
	if (even)
		n.data[n.len - 1] &= ~1;
	der_wrap(&n, 0x02);
	buf_add(out, n.data, n.len);
	buf_free(&n);
}

static void der_rsa(struct buf *out, unsigned bits, unsigned e_bits,
		    bool even, bool bare)
{
	static const char algorithm[] = "\x30\x0d\x06\x09\x2a\x86\x48\x86"
		"\xf7\x0d\x01\x01\x01\x05\x00";
	struct buf key = BUF_INIT;

	der_number(&key, bits, even);
	der_number(&key, e_bits, false);
	der_wrap(&key, 0x30);
	if (!bare) {
		struct buf nul = BUF_INIT;

		buf_addc(&nul, 0);
		buf_add(&nul, key.data, key.len);
		der_wrap(&nul, 0x03);
		buf_reset(&key);
		buf_add(&key, algorithm, sizeof(algorithm) - 1);
		buf_add(&key, nul.data, nul.len);
		der_wrap(&key, 0x30);
		buf_free(&nul);
	}
	buf_adds(out, "p=");
	buf_add_base64(out, key.data, key.len);
	buf_free(&key);
}

static const struct {
	unsigned bits, e_bits;
	bool even;
	const char *want;
} rsa_cases[] = {
	{ 512, 17, false, "RSA key shorter than 1024 bits" },
	{ 1023, 17, false, "RSA key shorter than 1024 bits" },
	{ 1024, 17, false, NULL },
	{ 2048, 17, false, NULL },
	{ 2048, 17, true, "malformed RSA key" },
	{ 2047, 17, false, NULL },
	{ 4096, 17, false, NULL },
	{ 8192, 17, false, NULL },
	{ 8193, 17, false, "RSA key longer than 8192 bits" },
	{ 16384, 17, false, "malformed base64 in the key record" },
	{ 0, 17, false, "RSA key shorter than 1024 bits" },
	{ 2048, 0, false, "malformed RSA key" },
	{ 2048, 1, false, "malformed RSA key" },
	{ 2048, 2, false, NULL },	/* 3 */
	{ 2048, 32, false, NULL },
	{ 2048, 33, false, "RSA exponent too large" },
	{ 2048, 2048, false, "RSA exponent too large" },
};

static void test_rsa(void)
{
	for (size_t i = 0; i < 2 * ARRAY_LEN(rsa_cases); i++) {
		size_t c = i / 2;
		struct buf record = BUF_INIT;
		struct dkim_key k;
		const char *why;

		der_rsa(&record, rsa_cases[c].bits, rsa_cases[c].e_bits,
			rsa_cases[c].even, i % 2);
		why = dkim_key_parse(&k, record.data, record.len);
		tap_is(why, rsa_cases[c].want, i % 2 ? "bare" : "spki");
		dkim_key_free(&k);
		buf_free(&record);
	}
}

/* No byte of a key can be changed, left out or added without that the key is
 * refused or another one. */
static void test_changed(const char *start, const char *p, const char *pem)
{
	static const char digits[] = "ABCDabcd0123+/=: ;";
	const unsigned char hash[DKIM_HASH_SIZE] = "hash";
	struct buf record = BUF_INIT, sig = BUF_INIT, err = BUF_INIT;
	struct dkim_key k;
	size_t bad = 0, changed = 0;

	if (dkim_key_read(&k, pem, strlen(pem), &err) < 0 ||
	    dkim_key_sign(&k, hash, &sig, &err) < 0)
		tap_ok(false, "%s", err.data);
	dkim_key_free(&k);
	for (size_t i = 0; i < strlen(p); i++) {
		for (const char *d = digits; *d; d++) {
			buf_setf(&record, "%sp=%s", start, p);
			if (p[i] == *d || (*d == ' ' && p[i] == '='))
				continue;
			record.data[strlen(start) + 2 + i] = *d;
			dkim_key_parse(&k, record.data, record.len);
			bad += dkim_key_verify(&k, hash,
					       (unsigned char *)sig.data,
					       sig.len);
			changed++;
			dkim_key_free(&k);
		}
	}
	tap_ok(bad == 0, "%s%zu changed keys, %zu verify", start, changed, bad);
	buf_free(&record);
	buf_free(&sig);
	buf_free(&err);
}

static void test_sign(const struct dkim_key *private)
{
	const unsigned char hash[DKIM_HASH_SIZE] = "some hash";
	const unsigned char other[DKIM_HASH_SIZE] = "some hasg";
	struct buf sig = BUF_INIT, err = BUF_INIT, txt = BUF_INIT;
	struct dkim_key k;
	const unsigned char *s;
	size_t bad = 0;

	tap_ok(dkim_key_record(private, &txt, &err) == 0, "%s", txt.data);
	tap_is(dkim_key_parse(&k, txt.data, txt.len), NULL, "its record");
	tap_ok(k.same_domain && !k.testing &&
	       k.algorithm == private->algorithm, "is as made");
	tap_ok(dkim_key_sign(private, hash, &sig, &err) == 0, "signs");
	s = (const unsigned char *)sig.data;
	tap_ok(dkim_key_verify(&k, hash, s, sig.len), "verifies");
	tap_ok(!dkim_key_verify(&k, other, s, sig.len), "another hash");
	tap_ok(!dkim_key_verify(&k, hash, s, sig.len - 1), "cut");
	tap_ok(!dkim_key_verify(&k, hash, s, 0), "empty");
	for (size_t i = 0; i < sig.len; i++) {
		sig.data[i] ^= 1;
		bad += dkim_key_verify(&k, hash, s, sig.len);
		sig.data[i] ^= 1;
	}
	buf_addc(&sig, 0);
	s = (const unsigned char *)sig.data;
	tap_ok(!dkim_key_verify(&k, hash, s, sig.len), "longer");
	tap_ok(bad == 0, "%zu of %zu changed signatures", bad, sig.len - 1);
	dkim_key_free(&k);
	tap_ok(!dkim_key_verify(&k, hash, s, sig.len), "no key");
	buf_free(&sig);
	buf_free(&err);
	buf_free(&txt);
}

static void test_generate(enum dkim_algorithm a, unsigned bits)
{
	struct buf pem = BUF_INIT, err = BUF_INIT;
	struct dkim_key k, again;

	tap_ok(dkim_key_generate(&k, a, bits, &err) == 0, "generate %s",
	       dkim_algorithm_name(a));
	test_sign(&k);
	tap_ok(dkim_key_pem(&k, &pem, &err) == 0 &&
	       str_starts(pem.data, "-----BEGIN PRIVATE KEY-----\n"), "PEM");
	tap_ok(dkim_key_read(&again, pem.data, pem.len, &err) == 0 &&
	       again.algorithm == a, "is read again");
	dkim_key_free(&k);
	dkim_key_free(&again);
	buf_free(&pem);
	buf_free(&err);
}

static const struct {
	const char *name, *pem, *want;	/* NULL: taken */
} private_cases[] = {
	{ "RSA", rfc8463_rsa_pem, NULL },
	{ "Ed25519", rfc8463_ed25519_pem, NULL },
	{ "nothing", "", "no private key in PEM format" },
	{ "text", "text", "no private key in PEM format" },
	{ "cut", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v\n",
	  "no private key in PEM format" },
	{ "public key", "-----BEGIN PUBLIC KEY-----\n"
	  "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
	  "-----END PUBLIC KEY-----\n", "no private key in PEM format" },
	{ "X25519", "-----BEGIN PRIVATE KEY-----\n"
	  "MC4CAQAwBQYDK2VuBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
	  "-----END PRIVATE KEY-----\n", "neither an RSA nor an Ed25519 key" },
	{ "512 bits", "-----BEGIN PRIVATE KEY-----\n"
	  "MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEAk3hiwLomCvH2Wdll\n"
	  "oJqkxTWvom6QPg8c5ArD4r5UqUWh8I+0uD5aMnvxFsJMSdZ6MiLUDKnHS54mLhRC\n"
	  "MBkTZQIDAQABAkBTQuMuwWr9PwPCUvYIKYfiOJ+DbD1QbKP5NQLIIIIYV3bgMhis\n"
	  "oDiGIN/Kjh5HPxdpkOLlPgqu4rax5IwzBIcBAiEAw4vvcsVvYtDofBX122H+iwJl\n"
	  "W/FW0ZExQ3jT1lqwr2ECIQDBD5AMYU4mHtR97pbw6r1j5dWK4f2SW4/6tg83RP+2\n"
	  "hQIhAKVS+e6e3b09wlCmgGYqQ3pjXC6PrEch6fSRgwgHRLoBAiEAghi9pkoQAoo2\n"
	  "ASK9Xl2hAGeJrgw59t1yuazjtgfuFY0CIQCP8LZj+Xhoc8J0DNb13hrJIMk1PWKh\n"
	  "qusw/l/ECpPkLw==\n"
	  "-----END PRIVATE KEY-----\n", "RSA key shorter than 1024 bits" },
	{ "with passphrase", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	  "MIIBvTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQICoynVWn0elACAggA\n"
	  "MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBALY4NfPu7uJCcRrBqrIjjDBIIB\n"
	  "YJZWeCbl/MN7C2MRAze+7WBTV2UC0PGcKHT/4PBFp5IFkdMWFbJVaEBA6wO42Efg\n"
	  "TmnIk1y90aoPfPhKBOvA3YW3mRFIn+6nHsDjusaRwNJO6b3lyajzMhVhB8Vwpdp/\n"
	  "LW8rHRGPA7Gx7zyFb3OaWC+txZUfvx7DBYMGigo2zSxSYc2KN1TB5f87LvfWaO6d\n"
	  "2flnTI+VmjILdAP6UhT3MD8Sfl7oL7vizsFpYoRuKw7TN2xDES2+OVMS2ATOcZKQ\n"
	  "JeFdD/rFi6yNzOVCN9VUEJjxazFjBQ+LAWS0M2MMhSMn5tjZJP19p55GRRN3qefK\n"
	  "5WSaxj1xDaMDALJU2vt1SSdXgiGW0Smm5ksFHM5UMbTO2bLtT5j+LuaX4MsAhpuX\n"
	  "R8DsnfmRm05MXRySGT0Jhk1ppCg8alovhvu8/upt49sHwZBhFgmNqEEdLF4LnaAL\n"
	  "2PpJv0WBhYkEtXs8k/gp+f8=\n"
	  "-----END ENCRYPTED PRIVATE KEY-----\n",
	  "no private key in PEM format" },
};

static void test_private(void)
{
	struct buf err = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(private_cases); i++) {
		const char *pem = private_cases[i].pem;
		struct dkim_key k;

		buf_reset(&err);
		tap_ok((dkim_key_read(&k, pem, strlen(pem), &err) == 0) ==
		       !private_cases[i].want && !k.pkey ==
		       !!private_cases[i].want, "%s", private_cases[i].name);
		tap_is(err.data, private_cases[i].want ?
		       private_cases[i].want : "", "reason");
		if (k.pkey)
			test_sign(&k);
		dkim_key_free(&k);
	}
	buf_free(&err);
}

static void test_refused(void)
{
	struct buf out = BUF_INIT, err = BUF_INIT;
	struct dkim_key k;

	tap_ok(dkim_key_generate(&k, DKIM_RSA_SHA256, 512, &err) < 0,
	       "no short key is made");
	tap_is(err.data, "RSA key shorter than 1024 bits", "says why");
	tap_ok(dkim_key_generate(&k, DKIM_RSA_SHA256, 8193, &err) < 0,
	       "nor a long one");
	tap_ok(dkim_key_pem(&k, &out, &err) < 0 &&
	       dkim_key_record(&k, &out, &err) < 0 &&
	       dkim_key_sign(&k, (unsigned char[DKIM_HASH_SIZE]){ 0 }, &out,
			     &err) < 0 && out.len == 0 && err.len,
	       "no key does nothing");
	buf_free(&out);
	buf_free(&err);
}

int main(void)
{
	test_cases();
	test_flags();
	test_rsa();
	test_private();
	test_generate(DKIM_RSA_SHA256, 1024);
	test_generate(DKIM_ED25519_SHA256, 0);
	test_refused();
	test_changed("", RFC8463_RSA_P, rfc8463_rsa_pem);
	test_changed("k=ed25519; ", RFC8463_ED25519_P, rfc8463_ed25519_pem);
	return tap_done();
}
