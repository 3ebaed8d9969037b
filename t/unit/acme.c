/* Certificates of an ACME authority: when one is due, what is put where.
 * t/9300 has uacme and an authority. */
#include "tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "host/acme.h"
#include "host/acmetool.h"
#include "net/cert.h"

static char top[] = "/tmp/chatmail-acme-XXXXXX";

static const char *at(const char *name)
{
	static struct buf path[4] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT };
	static unsigned next;
	struct buf *b = &path[next++ % 4];

	buf_setf(b, "%s/%s", top, name);
	return b->data;
}

static bool holds(const char *name, const char *want)
{
	struct buf text = BUF_INIT;
	bool ret = file_read(at(name), 65536, &text) == 0 &&
		strcmp(text.data, want) == 0;

	buf_free(&text);
	return ret;
}

static void test_hook(void)
{
	static const struct {
		const char *type, *token, *auth;
		int want;
	} cases[] = {
		{ "http-01", "aZ09-_", "aZ09-_.thumb_print-1", 0 },
		{ "dns-01", "aZ09-_", "abc", -1 },
		{ "tls-alpn-01", "aZ09-_", "abc", -1 },
		{ "http-01", "../../etc/passwd", "abc.def", -1 },
		{ "http-01", "", "abc.def", -1 },
		{ "http-01", "abc", "", -1 },
		{ "http-01", "abc", "a b", -1 },
		{ "http-01", "a/b", "abc.def", -1 },
	};
	struct buf err = BUF_INIT;
	const char *path;
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *args[5] = { (char *)"begin", (char *)cases[i].type,
				  (char *)"x.test", (char *)cases[i].token,
				  (char *)cases[i].auth };

		tap_ok(acme_hook(at("web"), args, &err) == cases[i].want,
		       "%s with token \"%s\"", cases[i].type, cases[i].token);
	}
	path = "web/.well-known/acme-challenge/aZ09-_";
	tap_ok(holds(path, "aZ09-_.thumb_print-1"), "the answer is there");
	tap_ok(stat(at(path), &st) == 0 && (st.st_mode & 0777) == 0644,
	       "for nginx to read");
	tap_ok(acme_hook(at("web"), (char *[]) { (char *)"done",
			(char *)"http-01", (char *)"x.test", (char *)"aZ09-_",
			(char *)"a.b" }, &err) == 0 &&
	       access(at(path), F_OK) < 0, "and goes when it is done");
	buf_free(&err);
}

static bool is_due(const struct acme *a, const char *why)
{
	struct buf got = BUF_INIT;
	bool due = acme_is_due(a, &got);
	bool ret = why ? due && strstr(got.data, why) : !due;

	if (!ret)
		printf("# %s: %s\n", due ? "due" : "not due", got.data);
	buf_free(&got);
	return ret;
}

static void test_due(const struct acme *a)
{
	struct buf err = BUF_INIT;
	char target[64] = "";

	tap_ok(is_due(a, "there is none"), "without a certificate");
	tap_ok(acme_bootstrap(a, &err) == 1, "bootstrap");
	tap_ok(readlink(at("acme/live/x.test"), target, sizeof(target)) > 0 &&
	       str_starts(target, "../certs/"), "live is a link");
	tap_ok(acme_bootstrap(a, &err) == 0, "once is enough");
	tap_ok(is_due(a, "signed by itself"), "what is signed by itself");
	unlink(at("acme/live/x.test/privkey"));
	tap_ok(is_due(a, "its key is not there"), "without its key");
	tap_ok(acme_bootstrap(a, &err) == 1, "which is made anew");
	buf_free(&err);
}

/* A directory that somebody made is not lost. */
static void test_directory_in_the_way(const struct acme *a)
{
	struct buf err = BUF_INIT;

	file_remove_tree(at("acme/live/x.test"));
	unlink(at("acme/live/x.test"));
	file_mkdirs(at("acme/live/x.test"), 0755);
	file_replace(at("acme/live/x.test/note"), "mine", 4, 0644, 0);
	tap_ok(acme_bootstrap(a, &err) == 1, "in a directory's place");
	tap_ok(holds("acme/live/x.test.before-chatmail/note", "mine"),
	       "which is kept under another name");
	buf_free(&err);
}

static void test_account(const struct acme *a)
{
	static const char dir[] = "acme/accounts/ca.test%2fa%2fdir/KEYID";
	struct buf err = BUF_INIT, url = BUF_INIT, path = BUF_INIT;

	tap_ok(acme_account_url(a, &url) < 0, "no account yet");
	tap_ok(acmetool_take_account(a->live_dir, a->directory, a->state_dir,
				     &err) == 0, "acmetool has none");
	file_mkdirs(at(dir), 0755);
	buf_addf(&path, "%s/privkey", dir);
	file_replace(at(path.data), "KEY", 3, 0600, 0);
	tap_ok(acmetool_take_account(a->live_dir, "https://other.test/dir",
				     a->state_dir, &err) == 0,
	       "nor one with another authority");
	tap_ok(acmetool_take_account(a->live_dir, a->directory, a->state_dir,
				     &err) == 1 &&
	       holds("uacme/private/key.pem", "KEY"), "its key is taken");
	file_replace(at("uacme/private/key.pem"), "OURS", 4, 0600, 0);
	tap_ok(acmetool_take_account(a->live_dir, a->directory, a->state_dir,
				     &err) == 0 &&
	       holds("uacme/private/key.pem", "OURS"), "ours is never lost");
	file_replace(at("acme/account-url"), "https://ca.test/1\n", 18, 0644,
		     0);
	file_replace(at("uacme/directory-url"), "https://ca.test/a/dir\n", 22,
		     0644, 0);
	tap_ok(acme_account_url(a, &url) == 0, "a noted account");
	tap_is(url.data, "https://ca.test/1", "without its line end");
	file_replace(at("uacme/directory-url"), "https://else.test/\n", 19,
		     0644, 0);
	tap_ok(acme_account_url(a, &url) < 0, "not of another authority");
	buf_free(&err);
	buf_free(&url);
	buf_free(&path);
}

int main(void)
{
	struct buf acme = BUF_INIT, uacme = BUF_INIT;
	struct acme a = { .directory = "https://ca.test/a/dir", .email = "",
			  .domain = "x.test", .hook = "/bin/false" };

	if (!mkdtemp(top))
		return 1;
	buf_addf(&acme, "%s/acme", top);
	buf_addf(&uacme, "%s/uacme", top);
	a.live_dir = acme.data;
	a.state_dir = uacme.data;
	test_hook();
	test_due(&a);
	test_directory_in_the_way(&a);
	test_account(&a);
	file_remove_tree(top);
	buf_free(&acme);
	buf_free(&uacme);
	return tap_done();
}
