/* What the RFCs print, and how tests and fuzz targets feed a message. */
#ifndef DKIM_VECTORS_H
#define DKIM_VECTORS_H

#include <stdint.h>
#include <string.h>

#include "text/dkim.h"

enum { DKIM_TEST_NOW = 1528637909 };	/* t= in RFC 8463 */

#define RFC_HEADER \
	"From: Joe SixPack <joe@football.example.com>\r\n" \
	"To: Suzie Q <suzie@shopping.example.net>\r\n" \
	"Subject: Is dinner ready?\r\n" \
	"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n" \
	"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
#define RFC_BODY \
	"Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n"
#define RFC_BODY_HASH "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="

/* RFC 6376 appendix A.2 */
#define RFC6376_MESSAGE \
	"DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n" \
	"      c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n" \
	"      h=Received : From : To : Subject : Date : Message-ID;\r\n" \
	"      bh=" RFC_BODY_HASH ";\r\n" \
	"      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n" \
	"      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n" \
	"      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n" \
	"      4bmp/YzhwvcubU4=;\r\n" \
	"Received: from client1.football.example.com  [192.0.2.1]\r\n" \
	"      by submitserver.example.com with SUBMISSION;\r\n" \
	"      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n" \
	RFC_HEADER "\r\n" RFC_BODY

/* RFC 8463 appendix A.3 */
#define RFC8463_ED25519 \
	"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n" \
	" d=football.example.com; i=@football.example.com;\r\n" \
	" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n" \
	" subject : date : message-id : from : subject : date;\r\n" \
	" bh=" RFC_BODY_HASH ";\r\n" \
	" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n" \
	" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
#define RFC8463_RSA \
	"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n" \
	" d=football.example.com; i=@football.example.com;\r\n" \
	" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n" \
	" date : message-id : from : subject : date;\r\n" \
	" bh=" RFC_BODY_HASH ";\r\n" \
	" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n" \
	" DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n" \
	" dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
#define RFC8463_MESSAGE \
	RFC8463_ED25519 RFC8463_RSA RFC_HEADER "\r\n" RFC_BODY

#define RFC8463_RSA_P \
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" \
	"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC" \
	"DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3" \
	"Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
#define RFC8463_ED25519_P "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

/* RFC 8463 appendix A.1: the RSA key as printed, the Ed25519 key in PEM */
__attribute__((unused))
static const char rfc8463_rsa_pem[] =
	"-----BEGIN RSA PRIVATE KEY-----\n"
	"MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n"
	"Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n"
	"KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"
	"AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n"
	"6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n"
	"zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n"
	"6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n"
	"uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n"
	"WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n"
	"WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n"
	"licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n"
	"o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n"
	"uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"
	"-----END RSA PRIVATE KEY-----\n";
__attribute__((unused))
static const char rfc8463_ed25519_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
	"-----END PRIVATE KEY-----\n";

struct dkim_zone {
	const char *name, *txt;		/* txt NULL: the look-up fails */
};

__attribute__((unused))
static const struct dkim_zone rfc_zone[] = {
	{ "brisbane._domainkey.example.com",
	  "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9"
	  "ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od"
	  "+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToI"
	  "MmPSPDdQPNUYckcQ2QIDAQAB" },
	{ "brisbane._domainkey.football.example.com",
	  "v=DKIM1; k=ed25519; p=" RFC8463_ED25519_P },
	{ "test._domainkey.football.example.com",
	  "v=DKIM1; k=rsa; p=" RFC8463_RSA_P },
	{ NULL, NULL }
};

/* Fields of the header at p go to add(); returns where the body begins. */
__attribute__((unused))
static const char *dkim_test_header(const char *p, const char *end,
	void (*add)(void *owner, const char *field, size_t n), void *owner)
{
	while (p < end && !(end - p >= 2 && memcmp(p, "\r\n", 2) == 0)) {
		const char *q = p, *nl;

		do {
			nl = memmem(q, (size_t)(end - q), "\r\n", 2);
			q = nl ? nl + 2 : end;
		} while (q < end && (*q == ' ' || *q == '\t'));
		add(owner, p, (size_t)(q - p));
		p = q;
	}
	return p < end ? p + 2 : end;
}

__attribute__((unused))
static void dkim_test_add(void *verifier, const char *field, size_t n)
{
	dkim_verifier_header(verifier, field, n);
}

/* Answer for every signature that asks. */
__attribute__((unused))
static void dkim_test_answer(struct dkim_verifier *v,
			     const struct dkim_zone *zone)
{
	for (size_t i = 0; i < v->count; i++) {
		const char *name = dkim_verifier_record(v, i, true);
		enum dkim_answer answer = DKIM_NO_RECORD;
		struct dkim_span found[8];
		size_t n = 0;

		for (const struct dkim_zone *z = zone; name && z->name; z++) {
			if (strcmp(z->name, name) != 0)
				continue;
			answer = z->txt ? DKIM_FOUND : DKIM_LOOKUP_FAILED;
			if (z->txt)
				found[n++] = (struct dkim_span){
					z->txt, strlen(z->txt) };
		}
		if (name)
			dkim_verifier_key(v, i, answer, found, n);
	}
}

/* A whole message, its body in pieces of step bytes. v is initialised here
 * and freed by the caller. */
__attribute__((unused))
static void dkim_test_message(struct dkim_verifier *v, const char *msg,
			      size_t n, size_t step, uint64_t now,
			      const struct dkim_zone *zone)
{
	const char *end = msg + n, *p;

	dkim_verifier_init(v, now);
	p = dkim_test_header(msg, end, dkim_test_add, v);
	dkim_verifier_eoh(v);
	/* keys come before, while or after the body does */
	if (step % 2)
		dkim_test_answer(v, zone);
	while (p < end) {
		size_t piece = (size_t)(end - p) < step ?
			       (size_t)(end - p) : step;

		dkim_verifier_body(v, p, piece);
		p += piece;
	}
	dkim_verifier_eom(v);
	dkim_test_answer(v, zone);
}

#endif
