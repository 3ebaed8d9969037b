/* Sample messages are what the filter lets pass, or not, at any size. */
#include "tap.h"

#include "base/str.h"
#include "relay/sample_mail.h"
#include "text/msgcheck.h"

static void check(const struct buf *mail, struct msgcheck_result *r,
		  struct msgcheck *m, bool outgoing)
{
	msgcheck_init(m, outgoing);
	msgcheck_feed(m, mail->data, mail->len);
	msgcheck_end(m, r);
}

static void test_sizes(void)
{
	static const size_t sizes[] = { 0, 1, 1499, 1500, 1501, 4000, 65536,
					1000000 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct sample_mail s = { .from = "a@b.test", .to = "c@d.test",
					 .size = sizes[i] };
		struct buf mail = BUF_INIT;
		struct msgcheck_result r;
		struct msgcheck m;

		sample_mail_add(&mail, &s);
		check(&mail, &r, &m, i % 2);
		tap_ok(r.encrypted && !r.header_error && !r.bare_newline &&
		       r.from_fields == 1 && strcmp(r.from, s.from) == 0,
		       "%zu bytes: encrypted (%s)", sizes[i], r.why ? r.why :
		       "yes");
		tap_ok(mail.len <= (sizes[i] > SAMPLE_MAIL_MIN ? sizes[i] :
				    SAMPLE_MAIL_MIN) &&
		       mail.len + 100 >= sizes[i], "about as asked: %zu",
		       mail.len);
		msgcheck_free(&m);
		buf_free(&mail);
	}
}

static void test_fields(void)
{
	struct sample_mail s = {
		.from = "a@[1.2.3.4]", .to = "c@d.test", .subject = "secret",
		.id = "x@y", .more = "User-Agent: none\r\n",
	};
	struct buf one = BUF_INIT, two = BUF_INIT, clear = BUF_INIT;
	struct msgcheck_result r;
	struct msgcheck m;

	sample_mail_add(&one, &s);
	sample_mail_add(&two, &s);
	sample_mail_add_clear(&clear, &s);
	tap_ok(strstr(one.data, "\r\nSubject: secret\r\n") &&
	       strstr(one.data, "\r\nMessage-ID: <x@y>\r\n") &&
	       strstr(one.data, "\r\nUser-Agent: none\r\n"), "fields as asked");
	tap_ok(strcmp(one.data, two.data) != 0, "no two are the same");
	check(&clear, &r, &m, true);
	tap_ok(!r.encrypted && !r.securejoin && !r.header_error &&
	       !r.setup_message_form, "in clear");
	msgcheck_free(&m);
	buf_free(&one);
	buf_free(&two);
	buf_free(&clear);
}

int main(void)
{
	test_sizes();
	test_fields();
	return tap_done();
}
