/* The last lines of a service in a system log. */
#include "tap.h"

#include <string.h>

#include "text/syslines.h"

static const char text[] =
/* busybox's syslogd */
"Nov 30 00:29:56 relay daemon.info chatmail-dkim[8553]: ready\n"
"Nov 30 00:29:56 relay daemon.info supervise-daemon[8560]: Child command line: "
"/usr/local/bin/chatmail filtermail x incoming \n"
"Nov 30 00:29:56 relay daemon.info filtermail-incoming[8560]: ready\n"
"Nov 30 00:29:57 relay mail.info postfix/smtpd[8563]: connect from x\n"
"Nov 30 00:30:00 relay mail.info dovecot: master: Dovecot starts\n"
"Nov 30 00:30:00 relay daemon.notice unbound: [8562:0] notice: dovecot: x\n"
/* rsyslog's, of two kinds */
"Nov  9 00:30:01 relay filtermail[9]: one\n"
"2026-11-30T00:30:01.1+00:00 relay filtermail[9]: two\n"
"Nov 30 00:30:02 relay daemon.info filtermail[9]: the last";

static const struct {
	const char *name;
	unsigned count;
	const char *want;
} cases[] = {
	{ "chatmail-dkim", 10, "Nov 30 00:29:56 relay daemon.info "
	  "chatmail-dkim[8553]: ready\n" },
	{ "filtermail-incoming", 10, "Nov 30 00:29:56 relay daemon.info "
	  "filtermail-incoming[8560]: ready\n" },
	{ "postfix", 10, "Nov 30 00:29:57 relay mail.info "
	  "postfix/smtpd[8563]: connect from x\n" },
	/* unbound's line has the word as well */
	{ "dovecot", 10, "Nov 30 00:30:00 relay mail.info dovecot: master: "
	  "Dovecot starts\n" },
	{ "filtermail", 10, "Nov  9 00:30:01 relay filtermail[9]: one\n"
	  "2026-11-30T00:30:01.1+00:00 relay filtermail[9]: two\n"
	  "Nov 30 00:30:02 relay daemon.info filtermail[9]: the last\n" },
	{ "filtermail", 1, "Nov 30 00:30:02 relay daemon.info filtermail[9]: "
	  "the last\n" },
	{ "filtermail", 0, "" },
	{ "lastlogin", 10, "" },
	{ "mail", 10, "" },
};

int main(void)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&out);
		syslines_last(text, strlen(text), cases[i].name,
			      cases[i].count, &out);
		tap_is(out.data, cases[i].want, cases[i].name);
	}
	buf_reset(&out);
	syslines_last("", 0, "x", 10, &out);
	syslines_last("\n\n\n", 3, "x", 10, &out);
	tap_is(out.data, "", "nothing in nothing");
	buf_free(&out);
	return tap_done();
}
