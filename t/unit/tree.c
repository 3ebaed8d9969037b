/* Files that a host shall have: compared, shown, changed together. */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "host/tree.h"

static char top[] = "/tmp/chatmail-tree-XXXXXX";

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
	bool ret = file_read(at(name), 4096, &text) == 0 &&
		strcmp(text.data, want) == 0;

	buf_free(&text);
	return ret;
}

/* A tree with one of each kind. */
static void fill(struct tree *t, const char *text)
{
	tree_dir(t, at("dir"), 0750, NULL, NULL);
	tree_put(t, at("dir/file"), text, strlen(text), 0644, NULL, NULL);
	tree_put(t, at("secret"), "hush", 4, 0600, NULL, NULL);
	tree_put(t, at("deep/in/there"), "x\n", 2, 0755, NULL, NULL);
	tree_link(t, at("link"), "dir/file");
	tree_absent(t, at("gone"));
}

static void test_commit(void)
{
	struct tree t = TREE_INIT;
	struct buf err = BUF_INIT, diff = BUF_INIT;
	struct stat st;
	char target[16] = "";

	file_replace(at("gone"), "old", 3, 0644, 0);
	fill(&t, "one\ntwo\n");
	tap_ok(tree_compare(&t, false, &err) == 6, "all six differ");
	tree_diff(&t, &diff);
	tap_ok(strstr(diff.data, "+two\n") != NULL, "a new text is shown");
	tap_ok(!strstr(diff.data, "hush"), "what is secret is not");
	tap_ok(access(at("dir"), F_OK) < 0, "comparing changes nothing");
	tap_ok(tree_commit(&t, &err) == 0 && err.len == 0, "commit");
	tap_ok(holds("dir/file", "one\ntwo\n") && holds("secret", "hush") &&
	       holds("deep/in/there", "x\n"), "files are there");
	tap_ok(stat(at("dir"), &st) == 0 && (st.st_mode & 07777) == 0750,
	       "a directory's mode");
	tap_ok(stat(at("secret"), &st) == 0 && (st.st_mode & 07777) == 0600,
	       "a file's mode");
	tap_ok(readlink(at("link"), target, sizeof(target)) == 8 &&
	       strcmp(target, "dir/file") == 0, "a link");
	tap_ok(access(at("gone"), F_OK) < 0, "what shall not be there is gone");
	tap_ok(tree_compare(&t, false, &err) == 0, "then nothing differs");
	tree_free(&t);
	buf_free(&err);
	buf_free(&diff);
}

static void test_differences(void)
{
	struct tree t = TREE_INIT;
	struct buf err = BUF_INIT, diff = BUF_INIT;

	fill(&t, "one\nTWO\n");
	chmod(at("secret"), 0644);
	unlink(at("deep/in/there"));
	if (symlink("/etc/passwd", at("deep/in/there")) < 0)
		tap_ok(false, "symlink");
	tap_ok(tree_compare(&t, false, &err) == 3, "three differ");
	tree_diff(&t, &diff);
	tap_ok(strstr(diff.data, "-two\n+TWO\n") != NULL, "as a diff");
	tap_ok(tree_commit(&t, &err) == 0 && holds("deep/in/there", "x\n"),
	       "a link in a file's place is replaced, not written through");
	tap_ok(tree_compare(&t, false, &err) == 0, "then nothing differs");
	tree_free(&t);
	buf_free(&err);
	buf_free(&diff);
}

static void test_failures(void)
{
	struct tree t = TREE_INIT;
	struct buf err = BUF_INIT;

	tree_put(&t, at("dir/file"), "new", 3, 0644, NULL, NULL);
	tree_put(&t, at("dir"), "a file", 6, 0644, NULL, NULL);
	tap_ok(tree_compare(&t, false, &err) == 2, "a directory is no file");
	tap_ok(tree_commit(&t, &err) < 0 && strstr(err.data, "directory"),
	       "and the commit says so");
	tap_ok(holds("dir/file", "one\nTWO\n"), "then nothing is changed");
	tap_ok(access(at("dir/file.chatmail-new"), F_OK) < 0,
	       "and nothing left behind");
	tree_free(&t);
	tree_put(&t, at("x"), "", 0, 0644, "no-such-user", "root");
	tap_ok(tree_compare(&t, false, &err) < 0 &&
	       strstr(err.data, "there is no user no-such-user"),
	       "an unknown owner is named");
	tap_ok(tree_compare(&t, true, &err) == 1, "leniently it differs");
	tree_free(&t);
	buf_free(&err);
}

static void test_full_disk(void)
{
	struct tree t = TREE_INIT;
	struct buf err = BUF_INIT;

	file_replace(at("a"), "old", 3, 0644, 0);
	tree_put(&t, at("a"), "new", 3, 0644, NULL, NULL);
	/* writing there fails as on a full disk */
	tree_put(&t, "/dev/full/x", "new", 3, 0644, NULL, NULL);
	tree_compare(&t, false, &err);
	tap_ok(tree_commit(&t, &err) < 0 && holds("a", "old"),
	       "one that cannot be written leaves all as they were");
	tree_free(&t);
	buf_free(&err);
}

/* A run was killed before it put the new files in place, and what it wanted
 * is wanted no more. */
static void test_leftovers(void)
{
	struct tree t = TREE_INIT;
	struct buf err = BUF_INIT;

	file_replace(at("b.chatmail-new"), "half", 4, 0600, 0);
	file_replace(at("c.chatmail-new"), "half", 4, 0600, 0);
	file_replace(at("b"), "as it is", 8, 0644, 0);
	tree_put(&t, at("b"), "as it is", 8, 0644, NULL, NULL);
	tree_absent(&t, at("c"));
	tap_ok(tree_compare(&t, false, &err) == 0, "nothing differs");
	tap_ok(tree_commit(&t, &err) == 0 && holds("b", "as it is"),
	       "a file stays");
	tap_ok(access(at("b.chatmail-new"), F_OK) < 0 &&
	       access(at("c.chatmail-new"), F_OK) < 0,
	       "what a killed run has left is taken away");
	tree_free(&t);
	buf_free(&err);
}

static void test_replaced(void)
{
	struct tree t = TREE_INIT;

	tree_put(&t, "/x", "1", 1, 0644, NULL, NULL);
	tree_put(&t, "/x", "2", 1, 0644, NULL, NULL);
	tap_ok(t.count == 1 && t.entries[0].data[0] == '2',
	       "the last one of a path counts");
	tree_free(&t);
}

int main(void)
{
	if (geteuid() != 0) {
		puts("1..0 # SKIP not root");
		return 0;
	}
	if (!mkdtemp(top))
		return 1;
	test_commit();
	test_differences();
	test_failures();
	test_full_disk();
	test_leftovers();
	test_replaced();
	return tap_done();
}
