/* known_hosts: every key that was taken is whole, and the line that says so
 * anew gives the same verdict. The first line of the input is the name. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "text/knownhosts.h"
#include "text/sshkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const struct knownhosts *k,
		      const struct knownhosts_key *key)
{
	enum knownhosts_verdict v;
	const struct knownhosts_key *found;
	struct buf line = BUF_INIT, type = BUF_INIT;
	struct knownhosts again = { 0 };

	assert(sshkey_type(key->blob, key->len, &type) == 0);
	assert(strcmp(type.data, key->type) == 0 && key->line > 0);
	v = knownhosts_check(k, key->blob, key->len, &found);
	assert(v == KNOWNHOSTS_SAME || v == KNOWNHOSTS_REVOKED);
	assert(found->len == key->len);
	assert(key->revoked || knownhosts_has_type(k, key->type));
	knownhosts_add_line(&line, "x.example", key->blob, key->len);
	knownhosts_take(&again, "again", line.data, line.len, "x.example");
	assert(again.count == 1);
	assert(knownhosts_check(&again, key->blob, key->len, &found) ==
	       KNOWNHOSTS_SAME);
	assert(knownhosts_check(&again, "other", 5, &found) ==
	       KNOWNHOSTS_CHANGED);
	knownhosts_free(&again);
	buf_free(&line);
	buf_free(&type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *nl = size ? memchr(text, '\n', size) : NULL;
	size_t n = nl ? (size_t)(nl - text) : 0;
	char *name = xstrndup(text, n);
	const struct knownhosts_key *found;
	struct knownhosts k = { 0 };

	str_lower(name);
	knownhosts_take(&k, "file", text + n, size - n, name);
	for (size_t i = 0; i < k.count && i < 50; i++)
		check_key(&k, &k.keys[i]);
	knownhosts_check(&k, "other", 5, &found);
	knownhosts_free(&k);
	free(name);
	return 0;
}
