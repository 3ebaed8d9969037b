#include "relay/dkimkey.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { RSA_BITS = 2048, PEM_MAX = 64 * 1024 };

const struct dkimkey_kind dkimkey_kinds[DKIMKEY_KINDS] = {
	{ DKIM_RSA_SHA256, "opendkim", "opendkim.private", true },
	{ DKIM_ED25519_SHA256, "ed25519", "ed25519.private", false },
};

static int check_kind(const struct dkimkey_kind *kind, struct dkim_key *key,
		      struct buf *err)
{
	if (key->algorithm == kind->algorithm)
		return 0;
	buf_setf(err, "a key for %s, expected one for %s",
		 dkim_algorithm_name(key->algorithm),
		 dkim_algorithm_name(kind->algorithm));
	dkim_key_free(key);
	return -1;
}

int dkimkey_load(const struct dkimkey_kind *kind, const char *dir,
		 struct dkim_key *key, struct buf *err)
{
	struct buf path = BUF_INIT, pem = BUF_INIT;
	int saved = 0, ret = -1;

	*key = (struct dkim_key)DKIM_KEY_INIT;
	buf_addf(&path, "%s/%s", dir, kind->file);
	if (file_read(path.data, PEM_MAX, &pem) < 0) {
		saved = errno;
		buf_setf(err, "%s", strerror(errno));
	} else if (dkim_key_read(key, pem.data, pem.len, err) == 0) {
		ret = check_kind(kind, key, err);
	}
	if (ret < 0)
		buf_prefixf(err, "%s: ", path.data);
	explicit_bzero(pem.data, pem.len);
	buf_free(&pem);
	buf_free(&path);
	errno = saved;
	return ret;
}

/* O_EXCL: a key whose record stands in the DNS must not be lost. */
static int write_new(const char *path, const char *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool good;

	if (fd < 0)
		return -1;
	good = write(fd, data, n) == (ssize_t)n && fsync(fd) == 0;
	if (close(fd) < 0 || !good) {
		unlink(path);
		return -1;
	}
	return 0;
}

int dkimkey_make(const struct dkimkey_kind *kind, const char *dir,
		 struct buf *err)
{
	struct dkim_key key = DKIM_KEY_INIT;
	struct buf path = BUF_INIT, pem = BUF_INIT;
	int ret = dkim_key_generate(&key, kind->algorithm, RSA_BITS, err);

	buf_addf(&path, "%s/%s", dir, kind->file);
	if (ret == 0)
		ret = dkim_key_pem(&key, &pem, err);
	if (ret == 0) {
		ret = write_new(path.data, pem.data, pem.len);
		if (ret < 0)
			buf_setf(err, "%s: %s", path.data, strerror(errno));
	}
	explicit_bzero(pem.data, pem.len);
	dkim_key_free(&key);
	buf_free(&path);
	buf_free(&pem);
	return ret;
}
