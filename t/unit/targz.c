/* One file out of archives, which tar(1) and gzip(1) or we have made. */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "text/tar.h"
#include "text/targz.h"

struct reader {
	struct targz t;
	struct buf got;
	bool refuses;
};

static int on_data(struct targz *t, const void *p, size_t n, struct buf *err)
{
	struct reader *r = container_of(t, struct reader, t);

	buf_add(&r->got, p, n);
	if (r->refuses)
		buf_setf(err, "no more");
	return r->refuses ? -1 : 0;
}

/* What feeding it in chunks of step bytes gives: the contents, or the error. */
static void read_member(const struct buf *gz, const char *member,
			uint64_t size_max, size_t step, struct buf *out)
{
	struct reader r = {
		.t = { .member = member, .size_max = size_max,
		       .data = on_data },
		.got = BUF_INIT,
	};
	struct buf err = BUF_INIT;
	int ret = targz_init(&r.t, &err);

	for (size_t i = 0; ret == 0 && i < gz->len; i += step)
		ret = targz_feed(&r.t, gz->data + i, gz->len - i < step ?
				 gz->len - i : step, &err);
	if (ret == 0)
		ret = targz_end(&r.t, &err);
	targz_free(&r.t);
	buf_setf(out, "%s%s", ret < 0 ? "error: " : "", ret < 0 ? err.data :
		 r.got.data);
	buf_free(&err);
	buf_free(&r.got);
}

static void compress_into(struct buf *gz, const void *p, size_t n)
{
	z_stream z = { 0 };

	deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	buf_reserve(gz, deflateBound(&z, n) + 64);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	z.next_out = (Bytef *)gz->data + gz->len;
	z.avail_out = (uInt)(gz->cap - gz->len);
	deflate(&z, Z_FINISH);
	gz->len = (size_t)((char *)z.next_out - gz->data);
	deflateEnd(&z);
}

static const struct {
	const char *name, *member;
	uint64_t size_max;
	const char *want;
} cases[] = {
	{ "the first", "a", 100, "first" },
	{ "one with ./ in the archive", "program", 100, "the program" },
	{ "one asked for with ./", "./a", 100, "first" },
	{ "an empty one", "empty", 100, "" },
	{ "one in a directory", "d/x", 100, "deep" },
	{ "one with a long path", "d/a-directory-with-a-name-of-forty-nine-"
	  "characters/a-directory-with-a-name-of-forty-nine-characters/long",
	  100, "long" },
	{ "as large as may be", "a", 5, "first" },
	{ "too large", "a", 4, "error: a has 5 bytes, more than 4" },
	{ "one that is not there", "no", 100,
	  "error: there is no file no in the archive" },
	{ "a directory", "d", 100, "error: there is no file d in the archive" },
	{ "a directory, as it is written", "d/", 100,
	  "error: there is no file d/ in the archive" },
	{ "a link", "link", 100,
	  "error: there is no file link in the archive" },
	{ "part of a name", "prog", 100,
	  "error: there is no file prog in the archive" },
};

static void make_archive(const char *dir, struct buf *gz)
{
	static const char script[] =
		"cd \"$1\" && mkdir -p d/$2/$2 && printf first >a && "
		"printf 'the program' >program && : >empty && "
		"printf deep >d/x && printf long >d/$2/$2/long && "
		"ln -s a link && tar --format=ustar -czf x.tar.gz a ./program "
		"empty d link";
	struct buf said = BUF_INIT, err = BUF_INIT, path = BUF_INIT;
	int code = proc_run(&(struct proc_spec) { .argv = (const char *[]) {
		"sh", "-c", script, "sh", dir,
		"a-directory-with-a-name-of-forty-nine-characters", NULL } },
		&said, &err);

	buf_addf(&path, "%s/x.tar.gz", dir);
	tap_ok(code == 0 && file_read(path.data, 100000, gz) == 0,
	       "tar makes an archive %s", said.data);
	buf_free(&said);
	buf_free(&err);
	buf_free(&path);
}

static void test_members(const struct buf *gz)
{
	static const size_t steps[] = { 1, 7, 100000 };
	struct buf got = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
			read_member(gz, cases[i].member, cases[i].size_max,
				    steps[s], &got);
			tap_is(got.data, cases[i].want, cases[i].name);
		}
	buf_free(&got);
}

/* Cut anywhere it gives the whole contents or an error. */
static void test_cut(const struct buf *gz)
{
	struct buf got = BUF_INIT;
	unsigned wrong = 0, whole = 0;

	for (size_t n = 0; n < gz->len; n++) {
		struct buf part = { .data = gz->data, .len = n };

		read_member(&part, "program", 100, 64, &got);
		if (strcmp(got.data, "the program") == 0)
			whole++;
		else
			wrong += !str_starts(got.data, "error: ");
	}
	tap_ok(wrong == 0, "cut at each byte, an error tells (%u)", wrong);
	tap_ok(whole > 0 && whole < gz->len, "unless the file was before it");
	buf_free(&got);
}

static void check_error(const struct buf *gz, const char *part,
			const char *name)
{
	struct buf got = BUF_INIT;

	read_member(gz, "a", 1000, 1000, &got);
	tap_ok(str_starts(got.data, "error: ") && strstr(got.data, part),
	       "%s: %s", name, got.data);
	buf_free(&got);
}

static void test_bad(void)
{
	struct buf tar = BUF_INIT, gz = BUF_INIT, err = BUF_INIT;

	check_error(&gz, "cut short", "nothing at all");
	buf_adds(&gz, "<html>not found</html>");
	check_error(&gz, "no gzip", "a page");
	buf_reset(&gz);
	for (int i = 0; i < 40; i++)
		buf_adds(&tar, "this is text and no archive, ");
	compress_into(&gz, tar.data, tar.len);
	check_error(&gz, "no tar", "compressed text");
	buf_reset(&gz);
	buf_reset(&tar);
	tar_add_file(&tar, "a", 0644, "first", 5, &err);
	tar.data[124] = '9';	/* not octal; and the sum is wrong */
	compress_into(&gz, tar.data, tar.len);
	check_error(&gz, "no tar", "a damaged header");
	buf_reset(&gz);
	buf_reset(&tar);
	tar_add_file(&tar, "b", 0644, "first", 5, &err);
	compress_into(&gz, tar.data, tar.len);
	check_error(&gz, "cut short", "an archive without its end");
	buf_free(&tar);
	buf_free(&gz);
	buf_free(&err);
}

/* 100 MB of zeros before the file: a few hundred KB. */
static void test_bomb(void)
{
	struct buf tar = BUF_INIT, gz = BUF_INIT, err = BUF_INIT;
	char *zeros = xcalloc(1, 100 << 20);

	tar_add_file(&tar, "zeros", 0644, zeros, 100 << 20, &err);
	tar_add_file(&tar, "a", 0644, "first", 5, &err);
	tar_end(&tar);
	compress_into(&gz, tar.data, tar.len);
	tap_ok(gz.len < 1 << 20, "an archive grows from %zu bytes", gz.len);
	check_error(&gz, "too large", "and is refused");
	free(zeros);
	buf_free(&tar);
	buf_free(&gz);
	buf_free(&err);
}

/* Two gzip files in one are one (RFC 1952 section 2.2). */
static void test_joined(void)
{
	struct buf tar = BUF_INIT, gz = BUF_INIT, err = BUF_INIT;
	struct buf got = BUF_INIT;

	tar_add_file(&tar, "b", 0644, "other", 5, &err);
	tar_add_file(&tar, "a", 0644, "first", 5, &err);
	tar_end(&tar);
	compress_into(&gz, tar.data, 1300);
	compress_into(&gz, tar.data + 1300, tar.len - 1300);
	read_member(&gz, "a", 100, 1, &got);
	tap_is(got.data, "first", "two gzip members");
	buf_free(&tar);
	buf_free(&gz);
	buf_free(&err);
	buf_free(&got);
}

static void test_refusal(const struct buf *gz)
{
	struct reader r = {
		.t = { .member = "a", .size_max = 100, .data = on_data },
		.got = BUF_INIT, .refuses = true,
	};
	struct buf err = BUF_INIT;
	int ret = targz_init(&r.t, &err);

	ret = targz_feed(&r.t, gz->data, gz->len, &err);
	tap_ok(ret == -1, "who takes the contents may end it");
	tap_is(err.data, "no more", "and says why");
	targz_free(&r.t);
	buf_free(&r.got);
	buf_free(&err);
}

int main(void)
{
	char dir[] = "/tmp/chatmail-targz-XXXXXX";
	struct buf gz = BUF_INIT;

	if (!mkdtemp(dir))
		return 1;
	make_archive(dir, &gz);
	test_members(&gz);
	test_cut(&gz);
	test_bad();
	test_bomb();
	test_joined();
	test_refusal(&gz);
	file_remove_tree(dir);
	buf_free(&gz);
	return tap_done();
}
