#include "relay/dns_probe.h"

#include <string.h>

#include "base/str.h"
#include "text/dkim.h"

/* The field at p, with the lines that go on with it; what follows. */
static const char *field_end(const char *p, const char *end)
{
	do {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		p = nl ? nl + 1 : end;
	} while (p < end && (*p == ' ' || *p == '\t'));
	return p;
}

static void feed(struct dkim_verifier *v, const char *message)
{
	const char *body = strstr(message, "\r\n\r\n");
	const char *end = body ? body + 2 : message + strlen(message);

	for (const char *p = message; p < end;) {
		const char *next = field_end(p, end);

		dkim_verifier_header(v, p, (size_t)(next - p));
		p = next;
	}
	dkim_verifier_eoh(v);
	if (body)
		dkim_verifier_body(v, body + 4, strlen(body + 4));
	dkim_verifier_eom(v);
}

static void hand_in_key(struct dkim_verifier *v, size_t i, struct authority *a)
{
	static const enum dkim_answer answers[] = {
		[AUTHORITY_FOUND] = DKIM_FOUND,
		[AUTHORITY_NONE] = DKIM_NO_RECORD,
		[AUTHORITY_FAILED] = DKIM_LOOKUP_FAILED,
	};
	const char *name = dkim_verifier_record(v, i, false);
	struct dkim_span records[DKIM_RECORDS_MAX];
	struct authority_answer answer;
	size_t n = 0;

	if (!name)
		return;
	authority_ask(a, name, DNS_TYPE_TXT, &answer);
	for (; n < answer.count && n < DKIM_RECORDS_MAX; n++)
		records[n] = (struct dkim_span){ answer.data[n].text,
						 answer.data[n].len };
	dkim_verifier_key(v, i, answers[answer.status], records, n);
}

enum dns_probe dns_probe_verify(const char *message, const char *domain,
				struct authority *a, uint64_t now,
				const char **why)
{
	enum dns_probe probe = DNS_PROBE_INVALID;
	enum dkim_verdict verdict;
	struct dkim_verifier v;

	dkim_verifier_init(&v, now);
	feed(&v, message);
	for (size_t i = 0; i < v.count; i++)
		hand_in_key(&v, i, a);
	verdict = dkim_verifier_verdict(&v, why);
	if (verdict == DKIM_TEMPORARY)
		probe = DNS_PROBE_UNKNOWN;
	else if (verdict == DKIM_ACCEPTED && str_eqi(v.domain.data, domain))
		probe = DNS_PROBE_VALID;
	else if (verdict == DKIM_ACCEPTED)
		*why = "the message is of another domain";
	dkim_verifier_free(&v);
	return probe;
}
