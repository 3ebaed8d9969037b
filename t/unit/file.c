/* Whole files: read, replaced atomically, locked. */
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

static char top[] = "/tmp/chatmail-file-XXXXXX";

static const char *at(const char *name)
{
	static struct buf path[4] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT };
	static unsigned next;
	struct buf *b = &path[next++ % 4];

	buf_setf(b, "%s/%s", top, name);
	return b->data;
}

static int entries(void)
{
	DIR *d = opendir(top);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static void test_read(void)
{
	struct buf out = BUF_INIT;
	int fd;

	buf_adds(&out, "before ");
	tap_ok(file_read(at("none"), 10, &out) < 0 && errno == ENOENT, "none");
	tap_ok(file_read(top, 10, &out) < 0 && errno == EISDIR, "a directory");
	mkfifo(at("fifo"), 0600);
	tap_ok(file_read(at("fifo"), 10, &out) < 0 && errno == EINVAL,
	       "a fifo does not block");
	unlink(at("fifo"));
	tap_ok(file_read("/dev/zero", 10, &out) < 0 && errno == EINVAL,
	       "a device");
	tap_is(out.data, "before ", "what is there stays");
	fd = open(at("f"), O_WRONLY | O_CREAT, 0600);
	tap_ok(file_read(at("f"), 0, &out) == 0, "an empty file");
	tap_ok(write(fd, "0123\0" "56789", 10) == 10, "ten bytes");
	tap_ok(file_read(at("f"), 9, &out) < 0 && errno == EFBIG, "too long");
	tap_is(out.data, "before ", "still as before");
	tap_ok(file_read(at("f"), 10, &out) == 0 && out.len == 17 &&
	       memcmp(out.data, "before 0123\0" "56789", 18) == 0, "just so");
	buf_reset(&out);
	tap_ok(ftruncate(fd, 300000) == 0 &&
	       file_read(at("f"), 300000, &out) == 0 && out.len == 300000,
	       "several chunks");
	tap_ok(file_read("/proc/self/status", 100000, &out) == 0 &&
	       out.len > 300000, "a file without a size");
	close(fd);
	unlink(at("f"));
	buf_free(&out);
}

static void test_replace(void)
{
	struct buf out = BUF_INIT;
	struct stat st;
	mode_t old = umask(022);

	tap_ok(file_replace(at("r"), "one", 3, 0640, 1) == 0 &&
	       file_read(at("r"), 10, &out) == 0, "made");
	tap_is(out.data, "one", "with its contents");
	tap_ok(stat(at("r"), &st) == 0 && (st.st_mode & 0777) == 0640, "mode");
	buf_reset(&out);
	tap_ok(file_replace(at("r"), "", 0, 0600, 0) == 0 &&
	       file_read(at("r"), 10, &out) == 0 && out.len == 0, "replaced");
	tap_ok(file_replace(at("no/r"), "x", 1, 0600, 0) < 0 &&
	       errno == ENOENT, "no such directory");
	mkdir(at("dir"), 0700);
	tap_ok(file_replace(at("dir"), "x", 1, 0600, 0) < 0 &&
	       errno == EISDIR, "a directory in its place");
	rmdir(at("dir"));
	tap_ok(entries() == 1, "no temporary file is left");
	unlink(at("r"));
	umask(old);
	buf_free(&out);
}

/* One process replaces, the other never sees a part. */
static void test_replace_is_atomic(void)
{
	static char a[50000], b[50000];
	struct buf out = BUF_INIT;
	int odd = 0;
	pid_t pid;

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	file_replace(at("x"), a, sizeof(a), 0600, 0);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 1000; i++)
			file_replace(at("x"), i % 2 ? a : b, sizeof(a), 0600, 0);
		_exit(0);
	}
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		buf_reset(&out);
		odd += file_read(at("x"), sizeof(a), &out) < 0 ||
		       out.len != sizeof(a) ||
		       memcmp(out.data, out.data[0] == 'a' ? a : b,
			      sizeof(a)) != 0;
	}
	tap_ok(odd == 0, "readers see the old or the new, never a part");
	unlink(at("x"));
	buf_free(&out);
}

static void test_mkdirs(void)
{
	struct stat st;

	tap_ok(file_mkdirs(at("a/b/c"), 0700) == 0 &&
	       stat(at("a/b/c"), &st) == 0 && S_ISDIR(st.st_mode), "mkdirs");
	tap_ok(file_mkdirs(at("a/b/c"), 0700) == 0, "mkdirs again");
	tap_ok(file_mkdirs(at("a//b/c/d/"), 0700) == 0 &&
	       stat(at("a/b/c/d"), &st) == 0, "with slashes to spare");
	close(open(at("a/f"), O_WRONLY | O_CREAT, 0600));
	tap_ok(file_mkdirs(at("a/f/x"), 0700) < 0 && errno == ENOTDIR,
	       "a file in the way");
	tap_ok(file_mkdirs("/proc/none/x", 0700) < 0, "where nothing can be");
	rmdir(at("a/b/c/d"));
	rmdir(at("a/b/c"));
	rmdir(at("a/b"));
	unlink(at("a/f"));
	rmdir(at("a"));
}

static void test_lock(void)
{
	int one = file_lock(at("lock"), 0), two;

	tap_ok(one >= 0 && (fcntl(one, F_GETFD) & FD_CLOEXEC), "lock");
	tap_ok(file_lock(at("lock"), 0) < 0 && errno == EWOULDBLOCK,
	       "held: at once");
	tap_ok(file_lock(at("lock"), 50) < 0 && errno == EWOULDBLOCK,
	       "held: after a wait");
	tap_ok(file_lock(at("no/lock"), 0) < 0 && errno == ENOENT,
	       "no such directory");
	close(one);
	one = file_lock(at("lock"), 0);
	tap_ok(one >= 0, "free again");

	/* as newer versions of filelock do, and who deletes a mailbox */
	unlink(at("lock"));
	two = file_lock(at("lock"), 0);
	tap_ok(two >= 0, "removed by its holder: a new one is made");
	close(one);
	tap_ok(file_lock(at("lock"), 0) < 0, "and holds");
	close(two);
}

/* The holder puts another file there while we wait for it. */
static void test_lock_removed(void)
{
	int old = open(at("lock"), O_RDWR), fresh, got;
	struct stat st, there;
	pid_t pid;

	flock(old, LOCK_EX);
	pid = fork();
	if (pid == 0) {
		usleep(50 * 1000);
		/* nobody can have the new one before we do */
		fresh = open(at("fresh"), O_RDWR | O_CREAT | O_EXCL, 0600);
		flock(fresh, LOCK_EX);
		rename(at("fresh"), at("lock"));
		flock(old, LOCK_UN);
		usleep(200 * 1000);
		_exit(flock(fresh, LOCK_UN));
	}
	close(old);
	got = file_lock(at("lock"), 5000);
	tap_ok(got >= 0 && fstat(got, &st) == 0 &&
	       stat(at("lock"), &there) == 0 && st.st_ino == there.st_ino,
	       "a lock on a file that was replaced is none");
	waitpid(pid, NULL, 0);
	close(got);
	unlink(at("lock"));
}

static void put(const char *name)
{
	close(open(at(name), O_WRONLY | O_CREAT, 0600));
}

static void test_remove_tree(void)
{
	tap_ok(file_remove_tree(at("none")) == 0, "nothing to remove");
	put("f");
	tap_ok(file_remove_tree(at("f")) == 0 && entries() == 0, "a file");
	mkdir(at("keep"), 0700);
	put("keep/f");
	file_mkdirs(at("d/e/f"), 0700);
	put("d/a");
	put("d/e/.b");
	mkfifo(at("d/e/f/fifo"), 0600);
	tap_ok(symlink(at("keep"), at("d/e/link")) == 0 &&
	       symlink("/nowhere", at("d/dangling")) == 0, "links");
	tap_ok(file_remove_tree(at("d")) == 0 && access(at("d"), F_OK) < 0,
	       "a tree");
	tap_ok(access(at("keep/f"), F_OK) == 0, "links are not followed");
	tap_ok(symlink("keep", at("link")) == 0 &&
	       file_remove_tree(at("link")) == 0 &&
	       access(at("keep/f"), F_OK) == 0, "not even the first");
	tap_ok(file_remove_tree(at("keep")) == 0 && entries() == 0, "all gone");
	tap_ok(file_remove_tree("/proc/self/status") < 0 && errno,
	       "what cannot be removed");
}

struct names {
	struct file_walk walk;
	unsigned dirs, files;
	size_t bytes;
};

static int count_file(struct file_walk *w, const char *name,
		      const struct buf *data, struct buf *err)
{
	struct names *n = container_of(w, struct names, walk);

	n->files += strcmp(name, "a/b/x") == 0 || strcmp(name, "y") == 0;
	n->bytes += data->len;
	return 0;
}

static int count_dir(struct file_walk *w, const char *name, struct buf *err)
{
	struct names *n = container_of(w, struct names, walk);

	n->dirs += strcmp(name, "a") == 0 || strcmp(name, "a/b") == 0;
	return 0;
}

static void test_walk(void)
{
	struct names n = { .walk = { .file = count_file, .dir = count_dir,
				     .size_max = 4 } };
	struct buf err = BUF_INIT;

	file_mkdirs(at("walk/a/b"), 0755);
	file_replace(at("walk/a/b/x"), "1234", 4, 0644, 0);
	file_replace(at("walk/y"), "12", 2, 0644, 0);
	tap_ok(file_walk(&n.walk, at("walk"), &err) == 0 && n.dirs == 2 &&
	       n.files == 2 && n.bytes == 6, "walk");
	file_replace(at("walk/a/b/x"), "12345", 5, 0644, 0);
	tap_ok(file_walk(&n.walk, at("walk"), &err) < 0 &&
	       strstr(err.data, "a/b/x: File too large"), "a file too large");
	tap_ok(file_walk(&n.walk, at("walk/none"), &err) < 0 &&
	       strstr(err.data, "No such file"), "no such directory");
	file_remove_tree(at("walk"));
	buf_free(&err);
}

int main(void)
{
	if (!mkdtemp(top))
		return 1;
	test_read();
	test_replace();
	test_replace_is_atomic();
	test_mkdirs();
	test_lock();
	test_lock_removed();
	test_remove_tree();
	tap_ok(rmdir(top) == 0, "nothing is left");
	test_walk();
	return tap_done();
}
