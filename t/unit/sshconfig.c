/* ssh_config(5): what a file says about the host "relay". */
#include "tap.h"

#include "base/str.h"
#include "text/sshconfig.h"

static const struct {
	const char *name, *input, *want;
} cases[] = {
	{ "nothing", "", "" },
	{ "comments and empty lines", "\n # x\n\t\n#Host *\n", "" },
	{ "before any Host", "Port 2222\nUser me\n", "user=me port=2222 " },
	{ "a Host", "Host relay\n  HostName a.example\n",
	  "hostname=a.example " },
	{ "another Host", "Host other\nPort 1\n", "" },
	{ "several patterns", "Host other rel*\nPort 1\n", "port=1 " },
	{ "? in a pattern", "Host rela?\nPort 1\n", "port=1 " },
	{ "? is one byte", "Host relay?\nPort 1\n", "" },
	{ "negated", "Host * !relay\nPort 1\n", "" },
	{ "negated first", "Host !relay *\nPort 1\n", "" },
	{ "negated, not ours", "Host !other *\nPort 1\n", "port=1 " },
	{ "negated alone", "Host !other\nPort 1\n", "" },
	{ "the first value wins", "Host relay\nPort 1\nHost *\nPort 2\nUser u\n",
	  "user=u port=1 " },
	{ "case", "hOST relay\nPORT 1\n", "port=1 " },
	{ "a host's case", "Host RELAY\nPort 1\n", "" },
	{ "=", "Host=relay\nPort = 1\nUser =u\nHostName= h\n",
	  "hostname=h user=u port=1 " },
	{ "quotes", "Host \"relay\"\nIdentityFile \"a b\"\nUser 'x\"y'\n",
	  "user=x\"y id=a b " },
	{ "a quoted keyword", "\"Port\" 1\n", "port=1 " },
	{ "escapes", "IdentityFile a\\ b\nUser \"q\\\"q\"\n",
	  "user=q\"q id=a b " },
	{ "a backslash that is none", "User a\\b\n", "user=a\\b " },
	{ "a comment behind a value", "Port 1 # one\nUser u#v\n",
	  "user=u#v port=1 " },
	{ "CRLF", "Host relay\r\nPort 1\r\n", "port=1 " },
	{ "no newline at the end", "Port 1", "port=1 " },
	{ "several IdentityFile", "IdentityFile a\nHost relay\nIdentityFile b\n"
	  "Host *\nIdentityFile ~/c\n", "id=a id=b id=~/c " },
	{ "words", "UserKnownHostsFile a \"b c\"\nUserKnownHostsFile d\n"
	  "GlobalKnownHostsFile /dev/null\n", "known=a known=b c all=/dev/null " },
	{ "the rest", "IdentitiesOnly yes\nIdentityAgent none\n"
	  "HostKeyAlias k\nStrictHostKeyChecking accept-new\n"
	  "AddressFamily inet\nConnectTimeout 7\nProxyJump j\n"
	  "ProxyCommand nc it's %h\n",
	  "only=yes agent=none alias=k strict=accept-new family=inet secs=7 "
	  "jump=j command=nc it's %h " },
	{ "what is not known", "Nonsense \"x\nForwardAgent yes\nPort 1\n",
	  "port=1 " },
	{ "Match", "Match host relay\nPort 1\nHost relay\nUser u\n",
	  "user=u warn=f:1: Match is not supported, but for \"Match all\": "
	  "its settings are left out\n" },
	{ "Match all", "Match all\nPort 1\n", "port=1 " },
	{ "Match with ALL", "Match ALL\nPort 1\n", "port=1 " },
	{ "Include", "Include x\nPort 1\n",
	  "port=1 warn=f:1: Include is not supported here\n" },
	{ "Include for others", "Host other\nInclude x\n", "" },
	{ "bad values for others", "Host other\nPort x\n", "" },
	{ "a word of nothing", "User \"\"\n", "f:1: User has no value" },

	{ "not a port", "Port x\n", "f:1: expected a number from 1 to 65535, "
	  "got x" },
	{ "port 0", "\nPort 0\n", "f:2: expected a number from 1 to 65535, "
	  "got 0" },
	{ "port 65536", "Port 65536\n", "f:1: expected a number from 1 to "
	  "65535, got 65536" },
	{ "no value", "Port\n", "f:1: Port has no value" },
	{ "no value, =", "User =\n", "f:1: User has no value" },
	{ "a Host of nothing", "Host\n", "f:1: Host has no value" },
	{ "an open quote", "User \"x\n", "f:1: a quote does not end" },
	{ "an open quote in Host", "Host 'x\n", "f:1: a quote does not end" },
	{ "an open quote at the keyword", "\"Port 1\n",
	  "f:1: a quote does not end" },
};

static void describe(struct buf *out, const struct sshconfig *c)
{
	const struct {
		const char *name, *value;
	} words[] = {
		{ "hostname", c->hostname }, { "user", c->user },
		{ "only", c->identities_only }, { "agent", c->identity_agent },
		{ "alias", c->host_key_alias },
		{ "strict", c->strict_checking },
		{ "family", c->address_family },
	};
	const struct {
		const char *name;
		const struct sshconfig_words *list;
	} lists[] = {
		{ "id", &c->identity_files }, { "known", &c->user_known_hosts },
		{ "all", &c->global_known_hosts },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].value)
			buf_addf(out, "%s=%s ", words[i].name, words[i].value);
	if (c->port)
		buf_addf(out, "port=%u ", c->port);
	if (c->connect_secs)
		buf_addf(out, "secs=%u ", c->connect_secs);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (size_t j = 0; j < lists[i].list->count; j++)
			buf_addf(out, "%s=%s ", lists[i].name,
				 lists[i].list->words[j]);
	if (c->proxy_jump)
		buf_addf(out, "jump=%s ", c->proxy_jump);
	if (c->proxy_command)
		buf_addf(out, "command=%s ", c->proxy_command);
	if (c->warnings.len)
		buf_addf(out, "warn=%s", c->warnings.data);
}

static void run(const char *name, const char *input, size_t n,
		const char *want)
{
	struct sshconfig c = { .host = "relay", .warnings = BUF_INIT };
	struct buf err = BUF_INIT, got = BUF_INIT;
	char *exact = xmalloc(n); /* reading past it is seen */

	memcpy(exact, input, n);
	if (sshconfig_parse(&c, "f", exact, n, &err) < 0)
		buf_adds(&got, err.data);
	else
		describe(&got, &c);
	tap_is(got.data, want, name);
	sshconfig_free(&c);
	buf_free(&got);
	buf_free(&err);
	free(exact);
}

static int include_one(struct sshconfig *c, const char *pattern,
		       struct buf *err)
{
	static const char inner[] = "Port 5\nHost other\nUser no\n";
	static const char loop[] = "Include loop\n";

	if (strcmp(pattern, "loop") == 0)
		return sshconfig_parse(c, "loop", loop, strlen(loop), err);
	return sshconfig_parse(c, pattern, inner, strlen(inner), err);
}

static void test_include(void)
{
	struct sshconfig c = { .host = "relay", .warnings = BUF_INIT,
			       .on_include = include_one };
	static const char text[] = "Host relay\nInclude inner\nUser yes\n"
				   "Include loop\nConnectTimeout 9\n";
	struct buf err = BUF_INIT, got = BUF_INIT;

	tap_ok(sshconfig_parse(&c, "f", text, strlen(text), &err) == 0,
	       "Include");
	describe(&got, &c);
	tap_is(got.data, "user=yes port=5 secs=9 "
	       "warn=loop:1: Include goes too deep\n",
	       "the lines around it are about the same host as before");
	sshconfig_free(&c);
	buf_free(&got);
	buf_free(&err);
}

static const char *env(const char *name)
{
	return strcmp(name, "KEYS") == 0 ? "/keys" : NULL;
}

static void test_expand(void)
{
	static const struct {
		const char *value, *want;
	} expansions[] = {
		{ "", "" }, { "/a/b", "/a/b" }, { "~/x", "/home/me/x" },
		{ "~", "/home/me" }, { "a~", "a~" }, { "%d/%h", "/home/me/h" },
		{ "%n-%r-%u-%p-%%", "n-r-u-22-%" }, { "%h.example", "h.example" },
		{ "${KEYS}/a", "/keys/a" }, { "$KEYS", "$KEYS" },
		{ "~/%h${KEYS}", "/home/me/h/keys" },
		{ "~other/x", "\"~\" is supported only as \"~/\"" },
		{ "%C", "%C is not supported" }, { "%", "%% is not supported" },
		{ "${NO}", "the environment has no NO" },
		{ "x${KEYS", "a } is missing" },
	};
	const struct sshconfig_tokens t = { "/home/me", "h", "n", "r", "u",
					    "22", env };

	for (size_t i = 0; i < ARRAY_LEN(expansions); i++) {
		struct buf out = BUF_INIT, err = BUF_INIT;
		int ret = sshconfig_expand(&out, expansions[i].value, &t, &err);

		tap_is(ret < 0 ? err.data : out.data, expansions[i].want,
		       expansions[i].value);
		tap_ok(ret == 0 || out.len == 0, "nothing is left");
		buf_free(&out);
		buf_free(&err);
	}
}

static void test_bounds(void)
{
	struct buf text = BUF_INIT;
	struct sshconfig c = { .host = "relay", .warnings = BUF_INIT };
	struct buf err = BUF_INIT;

	run("a NUL", "Port 1\n\0\n", 9, "f:2: a NUL byte");
	buf_adds(&text, "User ");
	for (int i = 0; i < 5000; i++)
		buf_addc(&text, 'x');
	run("a long line", text.data, text.len, "f:1: the line is too long");
	buf_setf(&text, "UserKnownHostsFile");
	for (int i = 0; i < 65; i++)
		buf_adds(&text, " x");
	run("many words", text.data, text.len,
	    "f:1: more words than there may be");
	buf_reset(&text);
	for (int i = 0; i < 1000; i++)
		buf_adds(&text, "IdentityFile x\n");
	tap_ok(sshconfig_parse(&c, "f", text.data, text.len, &err) == 0 &&
	       c.identity_files.count == SSHCONFIG_WORDS_MAX,
	       "many IdentityFile");
	sshconfig_free(&c);
	buf_free(&text);
	buf_free(&err);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run(cases[i].name, cases[i].input, strlen(cases[i].input),
		    cases[i].want);
	test_include();
	test_expand();
	test_bounds();
	tap_ok(sshconfig_is_yes("Yes") && sshconfig_is_yes("true") &&
	       !sshconfig_is_yes("no") && !sshconfig_is_yes(NULL), "yes");
	return tap_done();
}
