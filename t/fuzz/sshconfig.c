/* ssh_config: an error or values within their bounds; a second reading of the
 * same text changes no value that is single. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "text/sshconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *text;
static size_t text_len;
static unsigned includes;

/* Every file includes the whole, within reason. */
static int include_all(struct sshconfig *c, const char *pattern,
		       struct buf *err)
{
	assert(c->depth <= SSHCONFIG_DEPTH_MAX);
	if (++includes > 64)
		return 0;
	return sshconfig_parse(c, pattern, text, text_len, err);
}

static const char *env(const char *name)
{
	return *name == 'A' ? "a" : NULL;
}

static void check_expand(const char *value)
{
	const struct sshconfig_tokens t = { "/h", "host", "asked", "r", "u",
					    "22", env };
	struct buf out = BUF_INIT, err = BUF_INIT;

	buf_adds(&out, "=");
	if (sshconfig_expand(&out, value, &t, &err) < 0)
		assert(err.len && out.len == 1);
	else
		assert(!err.len);
	buf_free(&out);
	buf_free(&err);
}

static void check(const struct sshconfig *c)
{
	assert(c->port <= 65535 && c->depth == 0);
	assert(c->identity_files.count <= SSHCONFIG_WORDS_MAX);
	for (size_t i = 0; i < c->identity_files.count; i++)
		check_expand(c->identity_files.words[i]);
	for (size_t i = 0; i < c->user_known_hosts.count; i++)
		check_expand(c->user_known_hosts.words[i]);
	assert(!c->hostname || *c->hostname);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sshconfig c = { .host = "relay", .warnings = BUF_INIT };
	struct buf err = BUF_INIT;

	text = (const char *)data;
	text_len = size;
	includes = 0;
	if (size && data[0] == '+')
		c.on_include = include_all;
	if (sshconfig_parse(&c, "f", text, size, &err) < 0) {
		assert(err.len);
	} else {
		const char *hostname = c.hostname, *user = c.user;
		unsigned port = c.port;

		assert(!err.len);
		check(&c);
		assert(sshconfig_parse(&c, "f", text, size, &err) == 0);
		/* what was set stays; Include may be used up meanwhile */
		assert(!hostname || hostname == c.hostname);
		assert(!user || user == c.user);
		assert(!port || port == c.port);
	}
	sshconfig_free(&c);
	buf_free(&err);
	return 0;
}
