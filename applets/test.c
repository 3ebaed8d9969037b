/* chatmail test: does the relay do what it has to, as apps, other servers and
 * browsers see it? */
#include "applets/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "applet.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"

/* In the order in which they are made: what others need comes first. */
const struct test_check test_checks[] = {
	{ "addresses", "every address of the domain answers at all ports",
	  test_addresses },
	{ "tls-smtp", "port 25 has STARTTLS with a good certificate",
	  test_tls_smtp },
	{ "tls-submission", "port 587 has STARTTLS with a good certificate",
	  test_tls_submission },
	{ "tls-smtps", "port 465 has TLS with a good certificate",
	  test_tls_smtps },
	{ "tls-imap", "port 143 has STARTTLS with a good certificate",
	  test_tls_imap },
	{ "tls-imaps", "port 993 has TLS with a good certificate",
	  test_tls_imaps },
	{ "tls-https", "port 443 has TLS with a good certificate",
	  test_tls_https },
	{ "alpn-imap", "port 443 is IMAP for who asks for it by ALPN",
	  test_alpn_imap },
	{ "alpn-smtp", "port 443 is SMTP for who asks for it by ALPN",
	  test_alpn_smtp },
	{ "alpn-http", "port 443 is HTTP for who asks for it by ALPN",
	  test_alpn_http },
	{ "no-tls-smtp", "port 25 takes no mail without TLS",
	  test_no_tls_smtp },
	{ "no-tls-submission", "port 587 lets nobody log in without TLS",
	  test_no_tls_submission },
	{ "no-tls-imap", "port 143 lets nobody log in without TLS",
	  test_no_tls_imap },

	{ "login", "the first login by IMAP makes an account", test_login },
	{ "login-again", "the same password is good again, also twice at once",
	  test_login_again },
	{ "login-smtp", "the first login by SMTP makes an account, and port "
	  "587 knows it", test_login_smtp },
	{ "login-starttls", "one can log in at port 143 after STARTTLS",
	  test_login_starttls },
	{ "wrong-password", "an account has one password, by IMAP and by SMTP",
	  test_wrong_password },
	{ "short-password", "a short password makes no account",
	  test_short_password },
	{ "bad-names", "a name against the rules makes no account",
	  test_bad_names },

	{ "capabilities", "apps know that this is a chatmail relay with push",
	  test_capabilities },
	{ "metadata", "apps get the relay's settings by METADATA",
	  test_metadata },
	{ "push-token", "apps can leave a token for push notifications",
	  test_push_token },
	{ "turn", "apps get credentials for calls", test_turn },
	{ "quota", "a mailbox has the limit of chatmail.ini", test_quota },

	{ "self-mail", "a message to oneself arrives", test_self_mail },
	{ "idle", "IDLE tells a connected app of new mail", test_idle },
	{ "subject", "a subject outside the encrypted part is hidden",
	  test_subject },
	{ "headers", "a message arrives without its sender's IP address and "
	  "program", test_headers },
	{ "expunge", "a message that was deleted is gone", test_expunge },
	{ "delivery", "a message to another user arrives", test_delivery },

	{ "cleartext", "mail that is not encrypted is refused with 523",
	  test_cleartext },
	{ "forged-from", "nobody writes in another's name",
	  test_forged_from },
	{ "forged-sender", "nobody sends as another (553)",
	  test_forged_sender },
	{ "size", "mail that is too large is refused with 552", test_size },
	{ "rate", "who sends too much is told to wait (450)", test_rate },
	{ "in-cleartext", "mail from outside that is not encrypted is refused "
	  "with 523", test_in_cleartext },
	{ "in-unsigned", "mail from outside without a DKIM signature is "
	  "refused", test_in_unsigned },
	{ "open-relay", "nobody sends to elsewhere without logging in",
	  test_open_relay },
	{ "vrfy", "VRFY does not tell who has an account", test_vrfy },

	{ "home-page", "the web page is shown", test_home_page },
	{ "http-redirect", "http leads to https", test_http_redirect },
	{ "www", "www. leads to the domain", test_www },
	{ "new-account", "POST /new gives an address and a password",
	  test_new_account },
	{ "new-link", "GET /new opens the app", test_new_link },
	{ "autoconfig", "apps find the ports by autoconfig", test_autoconfig },
	{ "mta-sts", "other servers find the policy for TLS", test_mta_sts },

	{ "to-second", "mail to the second relay arrives", test_to_second },
	{ "from-second", "mail from the second relay arrives",
	  test_from_second },
	{ "bounce", "the second relay takes this one's bounces",
	  test_bounce },
};
const size_t test_check_count = ARRAY_LEN(test_checks);

enum { WAIT_MAX = 86400 };

struct options {
	const char *ini, *only, *address, *ca_file, *second, *second_address,
		   *wait;
	uint64_t wait_secs;
	bool json, tap, list, slow;
};

/* ---- which checks -------------------------------------------------------- */

static const struct test_check *find_check(const char *name, size_t n)
{
	for (size_t i = 0; i < test_check_count; i++)
		if (strlen(test_checks[i].name) == n &&
		    memcmp(test_checks[i].name, name, n) == 0)
			return &test_checks[i];
	return NULL;
}

/* The names in a list with commas between them; NULL are all. Marks them and
 * returns how many, or -1 with *err. */
static int choose(const char *only, bool *wanted, struct buf *err)
{
	int count = 0;

	if (!only) {
		for (size_t i = 0; i < test_check_count; i++)
			wanted[i] = true;
		return (int)test_check_count;
	}
	while (*only) {
		size_t n = strcspn(only, ", ");
		const struct test_check *c = find_check(only, n);

		if (n && !c) {
			buf_setf(err, "--only: there is no check \"%.*s\"; "
				 "--list tells all", (int)n, only);
			return -1;
		}
		if (c && !wanted[c - test_checks]) {
			wanted[c - test_checks] = true;
			count++;
		}
		only += n + (only[n] != '\0');
	}
	if (!count)
		buf_setf(err, "--only: which check?");
	return count ? count : -1;
}

static int list(void)
{
	for (size_t i = 0; i < test_check_count; i++)
		printf("%-19s %s\n", test_checks[i].name,
		       test_checks[i].proves);
	return EXIT_OK;
}

/* ---- a run --------------------------------------------------------------- */

static void open_or_die(struct outside *o, const char *what,
			const char *address, const char *ca_file)
{
	struct outside_target target = { what, address, ca_file };
	struct buf warnings = BUF_INIT, err = BUF_INIT;

	if (outside_open(o, &target, &warnings, &err) < 0)
		die("%s", err.data);
	if (warnings.len)
		log_warn("%s", str_trim(warnings.data));
	buf_free(&warnings);
	buf_free(&err);
}

static bool run_checks(struct test *t, const struct options *o,
		       const bool *wanted, size_t count)
{
	struct test_show *s = test_show_new(o->tap ? TEST_TAP : o->json ?
					    TEST_JSON : TEST_TEXT, t, count);

	for (size_t i = 0; i < test_check_count; i++) {
		const struct test_check *c = &test_checks[i];
		enum test_result result;
		double began;

		if (!wanted[i])
			continue;
		test_show_begins(s, c);
		buf_reset(&t->said);
		t->took = 0;
		began = clock_secs();
		result = c->run(t);
		test_show_ends(s, c, result, t, clock_secs() - began);
	}
	return test_show_end(s);
}

static int run(const struct options *o, const bool *wanted, size_t count)
{
	struct test t = { .slow = o->slow, .wait = o->wait_secs };
	bool is_ok;

	/* a connection that ends is told of by write(2) */
	signal(SIGPIPE, SIG_IGN);
	open_or_die(&t.relay, relay_ini_of_operator(o->ini), o->address,
		    o->ca_file);
	t.has_second = o->second;
	if (o->second)
		open_or_die(&t.second, o->second, o->second_address,
			    o->ca_file);
	test_begin(&t);
	is_ok = run_checks(&t, o, wanted, count);
	test_end(&t);
	outside_free(&t.relay);
	if (t.has_second)
		outside_free(&t.second);
	return is_ok ? EXIT_OK : EXIT_FAIL;
}

/* ---- the command line ---------------------------------------------------- */

static int test_main(int argc, char **argv)
{
	struct options o = { .second = getenv("CHATMAIL_DOMAIN2"),
			     .wait_secs = TEST_WAIT_SECS };
	const struct opt opts[] = {
		{ "json", NULL, &o.json }, { "tap", NULL, &o.tap },
		{ "list", NULL, &o.list }, { "slow", NULL, &o.slow },
		{ "only", &o.only, NULL }, { "config", &o.ini, NULL },
		{ "address", &o.address, NULL },
		{ "ca-file", &o.ca_file, NULL },
		{ "second", &o.second, NULL },
		{ "second-address", &o.second_address, NULL },
		{ "wait", &o.wait, NULL },
		{ 0 },
	};
	bool wanted[ARRAY_LEN(test_checks)] = { false };
	struct buf err = BUF_INIT;
	int count = 0, ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc > 2 || (argc == 2 && o.ini))
		buf_setf(&err, "at most one INI is needed");
	else if (argc > 0 && o.json && o.tap)
		buf_setf(&err, "--json or --tap?");
	else if (argc > 0 && o.wait && (str_to_u64(o.wait, &o.wait_secs) < 0 ||
					!o.wait_secs || o.wait_secs > WAIT_MAX))
		buf_setf(&err, "--wait: expected seconds, got \"%s\"", o.wait);
	else if (argc > 0)
		count = choose(o.only, wanted, &err);
	if (o.second && !*o.second)
		o.second = NULL;
	if (argc == 2)
		o.ini = argv[1];
	if (err.len)
		ret = applet_usage(&applet_test, "%s", err.data);
	else
		ret = o.list ? list() : run(&o, wanted, (size_t)count);
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(test) {
	.name = "test",
	.summary = "try from outside whether the relay works",
	.args = "[--json | --tap] [--only CHECK,...] [OPTION...] [INI]",
	.help =
"Uses the relay of chatmail.ini as apps, other servers and browsers do, from\n"
"this machine: its ports and certificates, logins, mail that has to arrive and\n"
"how long it takes, mail that has to be refused, pages. Each check is a line:\n"
"ok, FAILED with the reason, blocked when it could not be made because something\n"
"else does not work, or skipped when it does not concern this relay. The exit\n"
"code is 0 when nothing has failed or was blocked. It takes about ten seconds,\n"
"and less for a relay that is down. A relay that cmdeploy has set up can be\n"
"tried too.\n"
"\n"
"  --list             print the checks and what each proves\n"
"  --only CHECK,...   make these alone, and what they need\n"
"  --json             one JSON object at the end\n"
"  --tap              Test Anything Protocol, a line as each check ends\n"
"  --second RELAY     try mail to and from that one as well: a domain, or its\n"
"                     chatmail.ini. Default: $CHATMAIL_DOMAIN2\n"
"  --address ADDRESS  connect there, whatever the DNS says;\n"
"  --second-address ADDRESS   the same for the second\n"
"  --ca-file FILE     accept certificates of these authorities too (PEM)\n"
"  --wait SECS        longest wait for a message to arrive; default 60\n"
"  --slow             look for the limit of sending for ten minutes; without\n"
"                     it, 20 s have to do\n"
"  --config INI       the same as INI\n"
"\n"
"INI may also be the directory of a sandbox that runs, or a domain alone: then\n"
"its settings are not known, and what depends on them is not compared. It\n"
"defaults to $CHATMAIL_INI, else ./chatmail.ini, else\n"
"/etc/chatmail/chatmail.ini.\n"
"\n"
"Three accounts are made, or four with a second relay. Their names begin with\n"
"\"ci-\" where the rules for names leave room, as those of all tests do, and\n"
"they go when they have not been used for a while. No mail leaves the relays.\n"
"\n"
"Example: chatmail test --second nine.example.org\n",
	.main = test_main,
};
