/* Whole messages: the verdict does not depend on the cuts, and "encrypted" is
 * confirmed by the simple check. Bare LFs are made CRLF if the first byte says
 * so, which lets mutations keep their lines. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "t/unit/msgcheck_oracle.h"

#include "base/str.h"
#include "text/msgcheck.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct buf *out, const struct buf *b, bool outgoing,
		  size_t step)
{
	struct msgcheck m;
	struct msgcheck_result r;
	bool hopeless = false;

	msgcheck_init(&m, outgoing);
	for (size_t i = 0; i < b->len; i += step) {
		msgcheck_feed(&m, b->data + i,
			      b->len - i < step ? b->len - i : step);
		hopeless = hopeless || msgcheck_hopeless(&m);
	}
	msgcheck_end(&m, &r);
	if (r.encrypted != !r.why || (r.encrypted && r.securejoin) ||
	    strlen(r.from) > 20000 || (!r.from_error && !*r.from))
		abort();
	if ((hopeless || r.header_error) &&
	    (r.encrypted || r.securejoin || r.mailer_daemon ||
	     r.setup_message_form))
		abort();
	if (r.encrypted && !oracle_encrypted(b->data, b->len, outgoing))
		abort();
	buf_addf(out, "%d%d%d%d%d%d %s %zu %zu %s %s %s", r.encrypted,
		 r.securejoin, r.mailer_daemon, r.setup_message_form,
		 r.bare_newline, r.nul,
		 r.header_error ? r.header_error : "", r.from_fields,
		 r.from_count, r.from, r.from_error ? r.from_error : "",
		 r.why ? r.why : "");
	msgcheck_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1, 2, 31 };
	struct buf b = BUF_INIT, whole = BUF_INIT;
	bool outgoing, crlf;

	if (!size)
		return 0;
	outgoing = data[0] & 1;
	crlf = data[0] & 2;
	for (size_t i = 1; i < size; i++) {
		if (crlf && data[i] == '\n' && data[i - 1] != '\r')
			buf_addc(&b, '\r');
		buf_addc(&b, (char)data[i]);
	}
	check(&whole, &b, outgoing, SIZE_MAX / 2);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct buf again = BUF_INIT;

		check(&again, &b, outgoing, steps[i]);
		if (strcmp(whole.data, again.data) != 0)
			abort();
		buf_free(&again);
	}
	buf_free(&whole);
	buf_free(&b);
	return 0;
}
