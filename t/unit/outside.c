/* What is known of a relay before it is asked, and accounts by its rules. */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "relay/outside.h"

static char ini[] = "/tmp/outside-XXXXXX";

static bool open_it(struct outside *o, const char *what, const char *address,
		    struct buf *err)
{
	struct outside_target t = { what, address, NULL };
	struct buf warnings = BUF_INIT;
	int ret = outside_open(o, &t, &warnings, err);

	buf_free(&warnings);
	return ret == 0;
}

static void test_targets(void)
{
	static const struct {
		const char *what, *host, *domain;
		bool verifies;
	} good[] = {
		{ "chat.test", "chat.test", "chat.test", true },
		{ "_chat.test", "_chat.test", "_chat.test", false },
		{ "192.0.2.1", "192.0.2.1", "[192.0.2.1]", false },
	};
	static const char *const bad[] = {
		"", "a b.test", "/no/such.ini", "no.ini", "/tmp",
		"[192.0.2.1]",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct buf err = BUF_INIT;
		struct stream_peer peer;
		struct outside o;
		bool opened = open_it(&o, good[i].what, NULL, &err);

		tap_ok(opened && strcmp(o.host, good[i].host) == 0 &&
		       strcmp(o.name, good[i].what) == 0 && !o.is_known &&
		       strcmp(o.relay->mail_domain, good[i].domain) == 0 &&
		       trust_verifies(o.trust) == good[i].verifies, "%s %s",
		       good[i].what, err.data);
		outside_peer(&o, OUTSIDE_SUBMISSION, 3., &peer);
		tap_ok(peer.port == 587 && peer.security == STREAM_STARTTLS &&
		       peer.secs == 3., "a port of it");
		outside_free(&o);
		buf_free(&err);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf err = BUF_INIT;
		struct outside o;
		bool opened = open_it(&o, bad[i], NULL, &err);

		tap_ok(!opened && err.len, "\"%s\": %s", bad[i], err.data);
		outside_free(&o);
		buf_free(&err);
	}
}

static bool write_ini(const char *text)
{
	FILE *f = fopen(ini, "w");

	return f && fputs(text, f) >= 0 && fclose(f) == 0;
}

static void check_account(const struct outside *o, size_t min, size_t max,
			  size_t password)
{
	struct buf address = BUF_INIT, secret = BUF_INIT, other = BUF_INIT;
	size_t n;

	outside_account(o, &address, &secret);
	outside_account(o, &other, &secret);
	n = strcspn(address.data, "@");
	tap_ok(n >= min && n <= max && secret.len >= password &&
	       strcmp(address.data + n, "@_x.test") == 0,
	       "from %zu to %zu characters: %s", min, max, address.data);
	tap_ok((n >= 8) == str_starts(address.data, "ci-"),
	       "it is known as a test's if there is room");
	tap_ok(n < 4 || strcmp(address.data, other.data) != 0,
	       "the next is another");
	buf_free(&address);
	buf_free(&secret);
	buf_free(&other);
}

static void test_accounts(void)
{
	static const struct {
		unsigned min, max, password;
	} rules[] = {
		{ 9, 9, 9 }, { 1, 1, 1 }, { 3, 7, 1 }, { 8, 8, 40 },
		{ 1, 64, 9 }, { 20, 30, 9 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct buf text = BUF_INIT, err = BUF_INIT;
		struct outside o;

		buf_addf(&text, "[params]\nmail_domain = _x.test\n"
			 "username_min_length = %u\nusername_max_length = %u\n"
			 "password_min_length = %u\n", rules[i].min,
			 rules[i].max, rules[i].password);
		write_ini(text.data);
		if (tap_ok(open_it(&o, ini, "192.0.2.7", &err) && o.is_known &&
			   strcmp(o.host, "192.0.2.7") == 0,
			   "a chatmail.ini, and another address"))
			check_account(&o, rules[i].min, rules[i].max,
				      rules[i].password);
		outside_free(&o);
		buf_free(&text);
		buf_free(&err);
	}
}

int main(void)
{
	int fd = mkstemp(ini);

	test_targets();
	test_accounts();
	if (fd >= 0)
		close(fd);
	unlink(ini);
	return tap_done();
}
