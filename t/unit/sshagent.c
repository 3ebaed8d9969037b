/* ssh-agent's messages, byte for byte. A real agent is in
 * t/1500-ssh-login.t. */
#include "tap.h"

#include "base/str.h"
#include "text/sshagent.h"
#include "text/sshkey.h"

#define LEN(s) (sizeof(s) - 1)
#define BYTES(s) s, LEN(s)

static const struct {
	const char *name, *input;
	size_t n;
	const char *want;
} lists[] = {
	{ "no keys", BYTES("\14\0\0\0\0"), "" },
	{ "a key", BYTES("\14\0\0\0\1" "\0\0\0\2ab" "\0\0\0\1c"), "ab:c " },
	{ "two", BYTES("\14\0\0\0\2" "\0\0\0\1a" "\0\0\0\0" "\0\0\0\0"
		       "\0\0\0\1\n"), "a: :\\x0a " },
	{ "failure", BYTES("\5"), "the agent refuses" },
	{ "nothing", "", 0, "the agent gives an answer of unknown kind" },
	{ "another answer", BYTES("\16\0\0\0\0"),
	  "the agent gives an answer of unknown kind" },
	{ "no count", BYTES("\14\0\0"), "the agent gives a broken list of keys" },
	{ "more than there are", BYTES("\14\0\0\0\2" "\0\0\0\2ab" "\0\0\0\1c"),
	  "the agent gives a broken list of keys" },
	{ "very many", BYTES("\14\xff\xff\xff\xff" "\0\0\0\2ab" "\0\0\0\1c"),
	  "the agent gives a broken list of keys" },
	{ "cut in a key", BYTES("\14\0\0\0\1" "\0\0\0\2ab" "\0\0\0\2c"),
	  "the agent gives a broken list of keys" },
}, signatures[] = {
	{ "a signature", BYTES("\16\0\0\0\13" "\0\0\0\1a" "\0\0\0\2bc"), "bc" },
	{ "of a token", BYTES("\16\0\0\0\21" "\0\0\0\4sk-a" "\0\0\0\1b" "\1xyz"),
	  "\0\0\0\1b\1xyz" },
	{ "failure", BYTES("\5"), "the agent refuses" },
	{ "nothing", "", 0, "the agent gives an answer of unknown kind" },
	{ "no signature", BYTES("\16"), "the agent gives a broken signature" },
	{ "an empty one", BYTES("\16\0\0\0\11" "\0\0\0\1a" "\0\0\0\0"),
	  "the agent gives a broken signature" },
	{ "cut", BYTES("\16\0\0\0\13" "\0\0\0\1a" "\0\0\0\2b"),
	  "the agent gives a broken signature" },
	{ "cut inside", BYTES("\16\0\0\0\12" "\0\0\0\1a" "\0\0\0\2b"),
	  "the agent gives a broken signature" },
};

static void test_lists(void)
{
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct buf got = BUF_INIT, err = BUF_INIT;
		struct arena a = ARENA_INIT;
		struct sshagent_keys keys;
		int ret = sshagent_parse_list(lists[i].input, lists[i].n, &a,
					      &keys, &err);

		for (size_t j = 0; ret == 0 && j < keys.count; j++) {
			buf_add(&got, keys.keys[j].blob, keys.keys[j].len);
			buf_addf(&got, ":%s ", keys.keys[j].comment);
		}
		tap_is(ret < 0 ? err.data : got.data, lists[i].want,
		       lists[i].name);
		arena_free(&a);
		buf_free(&got);
		buf_free(&err);
	}
}

static void test_signatures(void)
{
	for (size_t i = 0; i < ARRAY_LEN(signatures); i++) {
		struct buf sig = BUF_INIT, err = BUF_INIT;
		int ret = sshagent_parse_sign(signatures[i].input,
					      signatures[i].n, &sig, &err);
		const char *want = signatures[i].want;

		if (i == 1)
			tap_ok(sig.len == 9 && memcmp(sig.data, want, 9) == 0,
			       "%s", signatures[i].name);
		else
			tap_is(ret < 0 ? err.data : sig.data, want,
			       signatures[i].name);
		buf_free(&sig);
		buf_free(&err);
	}
}

/* What is signed to log in with some algorithm, and the flags that it makes. */
static const struct {
	const char *algorithm;
	char flags;
} flags[] = {
	{ "ssh-rsa", 0 }, { "rsa-sha2-256", 2 }, { "rsa-sha2-512", 4 },
	{ "ssh-ed25519", 0 }, { "rsa-sha2-999", 0 },
};

static void test_requests(void)
{
	const struct sshagent_key key = { "ab", 2, "c" };
	struct buf b = BUF_INIT, data = BUF_INIT;

	sshagent_add_list(&b);
	tap_ok(b.len == 5 && memcmp(b.data, "\0\0\0\1\13", 5) == 0, "list");
	buf_reset(&b);
	sshagent_add_sign(&b, &key, "xyz", 3);
	tap_ok(b.len == 22 && memcmp(b.data, "\0\0\0\22\15" "\0\0\0\2ab"
				     "\0\0\0\3xyz" "\0\0\0\0", 22) == 0,
	       "sign");
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		const char *alg = flags[i].algorithm;

		buf_reset(&b);
		buf_reset(&data);
		sshkey_add_string(&data, "session", 7);
		buf_addc(&data, 50);
		sshkey_add_string(&data, "root", 4);
		sshkey_add_string(&data, "ssh-connection", 14);
		sshkey_add_string(&data, "publickey", 9);
		buf_addc(&data, 1);
		sshkey_add_string(&data, alg, strlen(alg));
		sshagent_add_sign(&b, &key, data.data, data.len);
		tap_ok(b.data[b.len - 1] == flags[i].flags, "sign with %s", alg);
	}
	buf_free(&b);
	buf_free(&data);
}

int main(void)
{
	test_lists();
	test_signatures();
	test_requests();
	return tap_done();
}
