/* Where to log in: "user|host|port", or the error. */
#include "tap.h"

#include "base/str.h"
#include "text/sshtarget.h"

#define EXPECTED(s) "\"" s "\": expected [user@]host[:port]: "

static const struct {
	const char *input, *want;
} cases[] = {
	{ "chat.example.org", "-|chat.example.org|0" },
	{ "chat.example.org:2222", "-|chat.example.org|2222" },
	{ "alice@chat.example.org", "alice|chat.example.org|0" },
	{ "alice@chat.example.org:22", "alice|chat.example.org|22" },
	{ "192.0.2.1", "-|192.0.2.1|0" },
	{ "192.0.2.1:65535", "-|192.0.2.1|65535" },
	{ "::1", "-|::1|0" },
	{ "[::1]", "-|::1|0" },
	{ "[::1]:2222", "-|::1|2222" },
	{ "root@[2001:db8::1]:1", "root|2001:db8::1|1" },
	{ "root@2001:db8::1", "root|2001:db8::1|0" },
	{ "fe80::1%eth0", "-|fe80::1%eth0|0" },
	{ "[chat.example.org]:22", "-|chat.example.org|22" },
	{ "a@b@host", "a@b|host|0" },
	{ "ssh://a@host:1/", "a|host|1" },
	{ "ssh://host", "-|host|0" },
	{ "relay", "-|relay|0" },
	{ "_chat.test", "-|_chat.test|0" },

	{ "", EXPECTED("") "this is no host" },
	{ "@", EXPECTED("@") "this is no host" },
	{ "a@", EXPECTED("a@") "this is no host" },
	{ "@a", EXPECTED("@a") "this is no user" },
	{ "host:", EXPECTED("host:") "the port is no number from 1 to 65535" },
	{ "host:0", EXPECTED("host:0") "the port is no number from 1 to 65535" },
	{ "host:65536", EXPECTED("host:65536")
	  "the port is no number from 1 to 65535" },
	{ "host:22x", EXPECTED("host:22x")
	  "the port is no number from 1 to 65535" },
	{ "host:-1", EXPECTED("host:-1")
	  "the port is no number from 1 to 65535" },
	{ "[::1", EXPECTED("[::1") "a ] is missing" },
	{ "[::1]22", EXPECTED("[::1]22") "only :port may follow ]" },
	{ "[]:22", EXPECTED("[]:22") "this is no host" },
	{ ":22", EXPECTED(":22") "this is no host" },
	{ "-oProxyCommand=x", EXPECTED("-oProxyCommand=x") "this is no host" },
	{ "-l@host", EXPECTED("-l@host") "this is no user" },
	{ "[host:22]", EXPECTED("[host:22]") "this is no host" },
	{ "x:y:z", EXPECTED("x:y:z") "this is no host" },
	{ "::x", EXPECTED("::x") "this is no host" },
	{ "\xc3\xa9", EXPECTED("\xc3\xa9") "this is no host" },
	{ "a b", EXPECTED("a b") "this is no host" },
	{ "a;b@host", EXPECTED("a;b@host") "this is no user" },
	{ "host/path", EXPECTED("host/path") "this is no host" },
	{ "a\nb", EXPECTED("a\\x0ab") "this is no host" },
	{ "ssh://", EXPECTED("ssh://") "this is no host" },
};

static const struct {
	const char *host;
	unsigned port;
	const char *want;
} places[] = {
	{ "a.b", 0, "a.b" }, { "a.b", 22, "a.b" }, { "a.b", 23, "a.b:23" },
	{ "::1", 22, "::1" }, { "::1", 23, "[::1]:23" },
};

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf got = BUF_INIT, err = BUF_INIT;
		struct arena a = ARENA_INIT;
		struct sshtarget t;

		if (sshtarget_parse(&t, &a, cases[i].input, &err) < 0)
			buf_adds(&got, err.data);
		else
			buf_addf(&got, "%s|%s|%u", t.user ? t.user : "-",
				 t.host, t.port);
		tap_is(got.data, cases[i].want, "target");
		arena_free(&a);
		buf_free(&got);
		buf_free(&err);
	}
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct buf got = BUF_INIT;

		sshtarget_add_place(&got, places[i].host, places[i].port);
		tap_is(got.data, places[i].want, "place");
		buf_free(&got);
	}
	return tap_done();
}
