/* Files with a known hash, from a directory. With arguments this is the program
 * that t/1600-download.t runs against web servers:
 *   download URL SHA256 PATH [NAME=VALUE...]
 * which prints "progress HAVE TOTAL" lines, then "result N", and the error. */
#include "tap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "host/download.h"
#include "text/tar.h"
#include "text/targz.h"

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

/* ---- the program ---------------------------------------------------------------- */

static void on_progress(struct download *d, uint64_t have, uint64_t total)
{
	printf("progress %llu %llu\n", (unsigned long long)have,
	       (unsigned long long)total);
	fflush(stdout);
}

static const char *value_of(char **argv, const char *name, const char *def)
{
	size_t n = strlen(name);

	for (; *argv; argv++)
		if (strncmp(*argv, name, n) == 0 && (*argv)[n] == '=')
			return *argv + n + 1;
	return def;
}

static unsigned long number_of(char **argv, const char *name, const char *def)
{
	uint64_t n = 0;

	str_to_u64(value_of(argv, name, def), &n);
	return n;
}

static int run(char **argv)
{
	struct download d = {
		.url = argv[1], .sha256 = argv[2], .path = argv[3],
		.mode = (mode_t)strtoul(value_of(argv, "mode", "755"), NULL, 8),
		.member = value_of(argv, "member", NULL),
		.size_max = number_of(argv, "size_max", "100000000"),
		.cache_dir = value_of(argv, "cache", NULL),
		.work_dir = value_of(argv, "work", NULL),
		.proxy = value_of(argv, "proxy", NULL),
		.connect_secs = (unsigned)number_of(argv, "connect", "0"),
		.stall_secs = (unsigned)number_of(argv, "stall", "0"),
		.pause_msecs = (unsigned)number_of(argv, "pause", "10"),
		.progress = on_progress,
	};
	struct buf err = BUF_INIT;
	int ret = download_get(&d, &err);

	printf("result %d\n%s", ret, err.data);
	buf_free(&err);
	return 0;
}

/* ---- the tests ------------------------------------------------------------------ */

static char dir[] = "/tmp/chatmail-download-XXXXXX";

static const char *in_dir(const char *name)
{
	static struct buf paths[8];
	static unsigned next;
	struct buf *b = &paths[next++ % 8];

	if (!b->cap)
		buf_init(b);
	buf_setf(b, "%s/%s", dir, name);
	return b->data;
}

static void put(const char *name, const char *text, size_t n)
{
	file_replace(in_dir(name), text, n, 0644, 0);
}

/* No server answers there. */
static int get(const char *member, struct buf *err)
{
	struct download d = {
		.url = "http://127.0.0.1:1/programs/hello-1.tar.gz?x=y/z",
		.sha256 = HELLO, .path = in_dir("bin/hello"), .mode = 0755,
		.member = member, .size_max = 1000,
		.cache_dir = in_dir("cache"), .work_dir = in_dir("work"),
	};

	buf_reset(err);
	return download_get(&d, err);
}

static void check_file(const char *name)
{
	struct buf text = BUF_INIT;
	struct stat st = { 0 };

	file_read(in_dir("bin/hello"), 1000, &text);
	stat(in_dir("bin/hello"), &st);
	tap_is(text.data, "hello", name);
	tap_ok((st.st_mode & 07777) == 0755, "it may be executed");
	tap_ok(access(in_dir("bin/hello.chatmail-new"), F_OK) < 0,
	       "nothing is left beside it");
	buf_free(&text);
}

static void begin_anew(void)
{
	file_remove_tree(dir);
	file_mkdirs(in_dir("cache"), 0755);
}

static void test_by_hash(void)
{
	struct buf err = BUF_INIT;

	begin_anew();
	put("cache/" HELLO, "hello", 5);
	tap_ok(get(NULL, &err) == 1, "from a directory, by its hash %s",
	       err.data);
	check_file("it is there");
	chmod(in_dir("bin/hello"), 0600);
	tap_ok(get(NULL, &err) == 0, "it is there already %s", err.data);
	check_file("its mode is set");
	put("bin/hello", "changed", 7);
	tap_ok(get(NULL, &err) == 1, "somebody has changed it");
	check_file("it is as it was");
	buf_free(&err);
}

static void put_archive(const char *name, const char *text)
{
	struct buf tar = BUF_INIT, gz = BUF_INIT, err = BUF_INIT;
	z_stream z = { 0 };

	tar_add_file(&tar, "./hello", 0644, text, strlen(text), &err);
	tar_end(&tar);
	deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	buf_reserve(&gz, 4096);
	z.next_in = (Bytef *)tar.data;
	z.avail_in = (uInt)tar.len;
	z.next_out = (Bytef *)gz.data;
	z.avail_out = 4096;
	deflate(&z, Z_FINISH);
	put(name, gz.data, 4096 - z.avail_out);
	deflateEnd(&z);
	buf_free(&tar);
	buf_free(&gz);
	buf_free(&err);
}

static void test_by_name(void)
{
	struct buf err = BUF_INIT;

	begin_anew();
	put_archive("cache/hello-1.tar.gz", "hello");
	tap_ok(get("hello", &err) == 1, "an archive, by its name %s", err.data);
	check_file("what is in it is there");
	tap_ok(access(in_dir("work"), F_OK) < 0, "the network was not needed");
	begin_anew();
	put("cache/hello-1.tar.gz", "hello", 5);
	tap_ok(get("hello", &err) == 1, "the file itself by that name %s",
	       err.data);
	check_file("is taken as well");
	buf_free(&err);
}

static void test_wrong(void)
{
	struct buf err = BUF_INIT;

	begin_anew();
	file_mkdirs(in_dir("bin"), 0755);
	put("bin/hello", "the old one", 11);
	put("cache/" HELLO, "hellO", 5);
	put_archive("cache/hello-1.tar.gz", "hullo");
	tap_ok(get("hello", &err) == -1, "both are wrong");
	tap_ok(strstr(err.data, "127.0.0.1") && strstr(err.data, "cache/2cf") &&
	       strstr(err.data, "cache/hello-1.tar.gz") &&
	       strstr(err.data, "instead of " HELLO), "it is told: %s",
	       err.data);
	buf_reset(&err);
	file_read(in_dir("bin/hello"), 100, &err);
	tap_is(err.data, "the old one", "the old file stays");
	put_archive("cache/hello-1.tar.gz", "hello");
	tap_ok(get("hello", &err) == 1, "one of them is right");
	check_file("it is taken");
	buf_free(&err);
}

static void test_size(void)
{
	struct buf err = BUF_INIT;
	char large[1001];

	begin_anew();
	memset(large, 'x', sizeof(large));
	put("cache/" HELLO, large, sizeof(large));
	tap_ok(get(NULL, &err) == -1 && strstr(err.data, "larger than 1000"),
	       "too large: %s", err.data);
	buf_free(&err);
}

static void test_hashes(void)
{
	tap_ok(download_is_sha256(HELLO), "a hash");
	tap_ok(!download_is_sha256(HELLO "0"), "too long for one");
	tap_ok(!download_is_sha256(HELLO + 1), "too short for one");
	tap_ok(!download_is_sha256("x"), "no hash");
}

int main(int argc, char **argv)
{
	if (argc > 3)
		return run(argv);
	/* nobody's proxy */
	setenv("no_proxy", "*", 1);
	if (!mkdtemp(dir))
		return 1;
	test_by_hash();
	test_by_name();
	test_wrong();
	test_size();
	test_hashes();
	file_remove_tree(dir);
	return tap_done();
}
