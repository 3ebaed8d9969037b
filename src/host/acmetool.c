#include "host/acmetool.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

enum { KEY_MAX = 65536 };

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || strchr("-._", c);
}

/* accounts/HOST%3aPORT%2fPATH/KEYID/privkey: the directory's URL without its
 * scheme, and everything but letters, digits and "-._" as %xx (as acmetool
 * 0.2.2 does it). */
static void account_dir(const char *acmetool_dir, const char *directory,
			struct buf *path)
{
	const char *p = strstr(directory, "://");

	buf_setf(path, "%s/accounts/", acmetool_dir);
	for (p = p ? p + 3 : directory; *p; p++) {
		if (is_plain(*p))
			buf_addc(path, *p);
		else
			buf_addf(path, "%%%02x", (unsigned char)*p);
	}
}

static bool find_key(const char *dir, struct buf *path)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		buf_setf(path, "%s/%s/privkey", dir, e->d_name);
		found = access(path->data, R_OK) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

static int copy_key(const char *from, const char *to_dir, const char *to,
		    struct buf *err)
{
	struct buf text = BUF_INIT;
	int ret = file_read(from, KEY_MAX, &text);

	if (ret == 0)
		ret = file_mkdirs(to_dir, 0700);
	if (ret == 0)
		ret = file_replace(to, text.data, text.len, 0600, 1);
	if (ret < 0)
		buf_setf(err, "%s to %s: %s", from, to, strerror(errno));
	explicit_bzero(text.data, text.len);
	buf_free(&text);
	return ret;
}

int acmetool_take_account(const char *acmetool_dir, const char *directory,
			  const char *state_dir, struct buf *err)
{
	struct buf dir = BUF_INIT, key = BUF_INIT, to_dir = BUF_INIT;
	struct buf to = BUF_INIT;
	int ret = 0;

	buf_addf(&to_dir, "%s/private", state_dir);
	buf_addf(&to, "%s/key.pem", to_dir.data);
	account_dir(acmetool_dir, directory, &dir);
	if (access(to.data, F_OK) < 0 && find_key(dir.data, &key))
		ret = copy_key(key.data, to_dir.data, to.data, err) < 0 ? -1 :
			1;
	buf_free(&dir);
	buf_free(&key);
	buf_free(&to_dir);
	buf_free(&to);
	return ret;
}
