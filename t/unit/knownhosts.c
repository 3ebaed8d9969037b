/* known_hosts: what the files say about a key; keys and hashes were made by
 * ssh-keygen. */
#include "tap.h"

#include "base/str.h"
#include "text/knownhosts.h"
#include "text/sshkey.h"

#define ED "AAAAC3NzaC1lZDI1NTE5AAAAIBnep4bPPLbnmi53ic9gcbHr5rAM12Z65sEXtEO3" \
	"tktv"
#define ED2 "AAAAC3NzaC1lZDI1NTE5AAAAIMJUvISbOROuAoJ9K13YgGt+Hk45BnK5AbhMJzIl" \
	"oMFD"
#define EC "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMJATSujW9Sr" \
	"9jjTxBceMKLrzzhne9y65QPWVPqVjluVA/aElkVMU7ZXb6XlDcdaWlfjyA59MX8+HeHs" \
	"YX4w+eE="
#define OURS "ssh-ed25519 " ED
#define OTHER "ssh-ed25519 " ED2
#define ECDSA "ecdsa-sha2-nistp256 " EC
#define HASHED "|1|VfizZUt/Yea1Y2aW1haRBNnn3vI=|serGXPBDb7AA4XjzPA0EfVUbhzU="
#define HASHED_PORT \
	"|1|JUASa2OrWaLiNoQmrP7ZvchRB40=|RDG0080OaaXNIsp/LGsVoZT7yYk="
#define HASHED_V6 "|1|cLOOztgHO9LIv8DJ3qZWeVEiGCs=|klOfY+d35qihFO7ipkHvfYHMA24="

static const char host[] = "chat.example.org";
static const char with_port[] = "[chat.example.org]:2222";

/* What is said of OURS: the verdict and its line. */
static const struct {
	const char *name, *host, *input, *want;
} cases[] = {
	{ "nothing", host, "", "unknown" },
	{ "the key", host, "chat.example.org " OURS "\n", "same 1" },
	{ "with a comment", host, "chat.example.org " OURS " me@x y\n",
	  "same 1" },
	{ "CRLF", host, "chat.example.org " OURS "\r\n", "same 1" },
	{ "no newline", host, "chat.example.org " OURS, "same 1" },
	{ "blanks", host, " \tchat.example.org\t " OURS "\n", "same 1" },
	{ "another host", host, "b.example.org " OURS "\n", "unknown" },
	{ "a part of the name", host, "chat.example " OURS "\n", "unknown" },
	{ "case of the name", host, "Chat.Example.ORG " OURS "\n", "same 1" },
	{ "a list", host, "a,chat.example.org,192.0.2.1 " OURS "\n", "same 1" },
	{ "a pattern", host, "*.example.org " OURS "\n", "same 1" },
	{ "one byte", host, "chat.example.or? " OURS "\n", "same 1" },
	{ "negated", host, "*.example.org,!chat.example.org " OURS "\n",
	  "unknown" },
	{ "negated first", host, "!chat.*,*.example.org " OURS "\n",
	  "unknown" },
	{ "another negated", host, "!x.*,*.example.org " OURS "\n", "same 1" },
	{ "empty parts of a list", host, ",,chat.example.org,! " OURS "\n",
	  "same 1" },
	{ "another key", host, "chat.example.org " OTHER "\n", "changed 1" },
	{ "another type", host, "\nchat.example.org " ECDSA "\n",
	  "changed 2" },
	{ "another key after another type", host, "chat.example.org " ECDSA "\n"
	  "chat.example.org " OTHER "\nchat.example.org " OTHER "\n",
	  "changed 2" },
	{ "two types", host, "chat.example.org " ECDSA "\n"
	  "chat.example.org " OURS "\n", "same 2" },
	{ "two keys", host, "chat.example.org " OTHER "\n"
	  "chat.example.org " OURS "\n", "same 2" },
	{ "revoked", host, "@revoked chat.example.org " OURS "\n",
	  "revoked 1" },
	{ "known and revoked", host, "chat.example.org " OURS "\n"
	  "@revoked * " OURS "\n", "revoked 2" },
	{ "another key is revoked", host, "@revoked * " OTHER "\n"
	  "chat.example.org " OURS "\n", "same 2" },
	{ "only another is revoked", host, "@revoked * " OTHER "\n",
	  "unknown" },
	{ "an authority", host, "@cert-authority * " OURS "\n",
	  "unknown, an authority" },
	{ "an authority and a key", host, "@cert-authority * " OTHER "\n"
	  "chat.example.org " OURS "\n", "same 2, an authority" },
	{ "an unknown marker", host, "@x chat.example.org " OURS "\n",
	  "unknown" },
	{ "a comment", host, "#chat.example.org " OURS "\n"
	  "# chat.example.org " OURS "\n", "unknown" },
	{ "hashed", host, HASHED " " OURS "\n", "same 1" },
	{ "hashed, another key", host, HASHED " " OTHER "\n", "changed 1" },
	{ "hashed, revoked", host, "@revoked " HASHED " " OURS "\n",
	  "revoked 1" },
	{ "hashed, another host", host, HASHED_PORT " " OURS "\n",
	  "unknown" },
	{ "hashed with a port", with_port, HASHED_PORT " " OURS "\n",
	  "same 1" },
	{ "hashed IPv6", "::1", HASHED_V6 " " OURS "\n", "same 1" },
	{ "broken hashes", host, "|1| " OURS "\n|2" HASHED " " OURS "\n"
	  "|1|VfizZUt/Yea1Y2aW1haRBNnn3vI=|serGXPBDb7AA4XjzPA0EfVUbhz== "
	  OURS "\n|1|====|==== " OURS "\n| " OURS "\n", "unknown" },
	{ "a port", with_port, "chat.example.org " OTHER "\n"
	  "[chat.example.org]:2222 " OURS "\n", "same 2" },
	{ "another port", with_port, "[chat.example.org]:22 " OURS "\n",
	  "unknown" },
	{ "brackets are no pattern", "c]:2222", "[chat.example.org]:2222 " OURS
	  "\n", "unknown" },
	{ "IPv6", "::1", "::1 " OURS "\n", "same 1" },

	{ "a wrong type", host, "chat.example.org ssh-rsa " ED "\n",
	  "unknown" },
	{ "SSH 1", host, "chat.example.org 1024 35 12345678901234567890\n",
	  "unknown" },
	{ "no key", host, "chat.example.org ssh-ed25519\nchat.example.org\n",
	  "unknown" },
	{ "not base64", host, "chat.example.org ssh-ed25519 A*\n", "unknown" },
	{ "half a key", host, "chat.example.org ssh-ed25519 AAAAC3Nz\n",
	  "unknown" },
	{ "a broken line does not hide another", host,
	  "chat.example.org ssh-ed25519 x\n@revoked\n\n   \n"
	  "chat.example.org " OURS "\n", "same 5" },
};

static const char *const verdicts[] = {
	[KNOWNHOSTS_UNKNOWN] = "unknown", [KNOWNHOSTS_SAME] = "same",
	[KNOWNHOSTS_CHANGED] = "changed", [KNOWNHOSTS_REVOKED] = "revoked",
};

static void run(const char *name, const char *asked, const char *input,
		size_t n, const char *want)
{
	struct knownhosts k = { 0 };
	struct buf got = BUF_INIT, ours = BUF_INIT;
	const struct knownhosts_key *key;
	char *exact = xmalloc(n);

	memcpy(exact, input, n);
	sshkey_decode(ED, strlen(ED), &ours);
	knownhosts_take(&k, "file", exact, n, asked);
	buf_adds(&got, verdicts[knownhosts_check(&k, ours.data, ours.len,
						 &key)]);
	if (key)
		buf_addf(&got, " %u", key->line);
	if (k.has_authority)
		buf_adds(&got, ", an authority");
	tap_is(got.data, want, name);
	knownhosts_free(&k);
	buf_free(&got);
	buf_free(&ours);
	free(exact);
}

static void test_types(void)
{
	static const char text[] = "chat.example.org " ECDSA "\n"
				   "@revoked chat.example.org " OURS "\n";
	struct knownhosts k = { 0 };
	struct buf blob = BUF_INIT, line = BUF_INIT;

	knownhosts_take(&k, "file", text, strlen(text), host);
	tap_ok(knownhosts_has_type(&k, "ecdsa-sha2-nistp256"), "a type");
	tap_ok(!knownhosts_has_type(&k, "ssh-ed25519"), "a revoked type");
	sshkey_decode(ED, strlen(ED), &blob);
	knownhosts_add_line(&line, with_port, blob.data, blob.len);
	tap_is(line.data, "[chat.example.org]:2222 " OURS, "a new line");
	knownhosts_free(&k);
	buf_free(&blob);
	buf_free(&line);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run(cases[i].name, cases[i].host, cases[i].input,
		    strlen(cases[i].input), cases[i].want);
	run("a NUL", host, "chat.example.org\0 " OURS "\n",
	    strlen("chat.example.org" OURS) + 3, "unknown");
	test_types();
	return tap_done();
}
