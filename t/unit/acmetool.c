/* Accounts that acmetool has with an authority. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "host/acmetool.h"

static char top[] = "/tmp/chatmail-acmetool-XXXXXX";

/* The names are those that acmetool 0.2.2 makes. */
static const struct {
	const char *directory, *name;
} cases[] = {
	{ "https://acme-v02.api.letsencrypt.org/directory",
	  "acme-v02.api.letsencrypt.org%2fdirectory" },
	{ "https://acme.test:14000/dir", "acme.test%3a14000%2fdir" },
};

static void put_key(const char *name, const char *text)
{
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/old/accounts/%s/abcdef", top, name);
	file_mkdirs(path.data, 0700);
	buf_adds(&path, "/privkey");
	file_replace(path.data, text, strlen(text), 0600, 0);
	buf_free(&path);
}

static void test_take(const char *directory, const char *name)
{
	struct buf old = BUF_INIT, state = BUF_INIT, key = BUF_INIT;
	struct buf text = BUF_INIT, err = BUF_INIT;
	struct stat st;

	buf_addf(&old, "%s/old", top);
	buf_addf(&state, "%s/%s", top, name);
	buf_addf(&key, "%s/private/key.pem", state.data);
	tap_ok(acmetool_take_account(old.data, directory, state.data, &err) ==
	       0, "%s: there is none yet", directory);
	put_key(name, name);
	tap_ok(acmetool_take_account(old.data, directory, state.data, &err) ==
	       1, "%s: taken", directory);
	tap_ok(file_read(key.data, 4096, &text) == 0 &&
	       strcmp(text.data, name) == 0, "%s: its key", directory);
	tap_ok(stat(key.data, &st) == 0 && (st.st_mode & 0777) == 0600,
	       "%s: its owner's alone", directory);
	put_key(name, "other");
	tap_ok(acmetool_take_account(old.data, directory, state.data, &err) ==
	       0 && err.len == 0, "%s: once", directory);
	buf_free(&old);
	buf_free(&state);
	buf_free(&key);
	buf_free(&text);
	buf_free(&err);
}

int main(void)
{
	if (!mkdtemp(top))
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		test_take(cases[i].directory, cases[i].name);
	file_remove_tree(top);
	return tap_done();
}
