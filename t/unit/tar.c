/* Archives, read by tar(1). */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "text/tar.h"

#define D49 "a-directory-with-a-name-of-forty-nine-characters/"

static const struct {
	const char *name, *data;
	unsigned mode;
} files[] = {
	{ "chatmail.ini", "[params]\n", 0600 },
	{ "www/empty", "", 0644 },
	{ "www/d\303\274/x.html", "<p>", 0644 },
	{ D49 D49 "x", "99 bytes of a name", 0644 },
	{ D49 D49 "ab", "100 bytes", 0644 },
	{ D49 D49 "abc", "101 bytes", 0755 },
	{ D49 D49 D49 D49 "deep", "200 bytes", 0644 },
};

static void test_read_back(const char *dir)
{
	struct buf out = BUF_INIT, err = BUF_INIT, path = BUF_INIT;
	struct buf said = BUF_INIT;
	int bad = 0;

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		bad += tar_add_file(&out, files[i].name, files[i].mode,
				    files[i].data, strlen(files[i].data),
				    &err) != 0;
	tar_end(&out);
	tap_ok(bad == 0 && out.len % 512 == 0, "made of blocks");
	buf_addf(&path, "%s/x.tar", dir);
	file_replace(path.data, out.data, out.len, 0600, 0);
	tap_ok(proc_run(&(struct proc_spec) { .argv = (const char *[]) {
		"tar", "-xpf", path.data, "-C", dir, NULL } }, &said, &err) ==
	       0 && said.len == 0, "tar reads it %s", said.data);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct buf text = BUF_INIT;

		buf_setf(&path, "%s/%s", dir, files[i].name);
		file_read(path.data, 1000, &text);
		tap_ok(access(path.data, R_OK) == 0 &&
		       strcmp(text.data, files[i].data) == 0, "%s",
		       files[i].name);
		buf_free(&text);
	}
	buf_free(&out);
	buf_free(&err);
	buf_free(&path);
	buf_free(&said);
}

static void test_too_long(void)
{
	struct buf out = BUF_INIT, err = BUF_INIT;

	tap_ok(tar_add_file(&out, D49 D49 "a-name-of-more-than-one-hundred-"
			    "characters-which-has-no-slash-to-cut-it-at-and-"
			    "so-does-not-fit-at-all", 0644, "", 0, &err) < 0 &&
	       strstr(err.data, "too long"), "no slash to cut at");
	buf_reset(&err);
	tap_ok(tar_add_file(&out, D49 D49 D49 D49 D49 D49 "x", 0644, "", 0,
			    &err) < 0 && strstr(err.data, "too long"),
	       "more than 255 bytes");
	tap_ok(out.len == 0, "nothing is appended then");
	buf_free(&out);
	buf_free(&err);
}

int main(void)
{
	char dir[] = "/tmp/chatmail-tar-XXXXXX";

	if (!mkdtemp(dir))
		return 1;
	test_read_back(dir);
	test_too_long();
	return tap_done();
}
