#include "host/applied.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

enum { NOTE_MAX = 1024 * 1024 };

static void note_path(struct buf *path, const char *dir, const char *service)
{
	buf_addf(path, "%s/%s", dir, service);
}

void applied_read(struct applied *a, const char *dir, const char *service)
{
	struct buf path = BUF_INIT;

	buf_init(&a->old);
	buf_init(&a->new);
	note_path(&path, dir, service);
	file_read(path.data, NOTE_MAX, &a->old);
	buf_free(&path);
}

void applied_free(struct applied *a)
{
	buf_free(&a->old);
	buf_free(&a->new);
}

static void add_fingerprint(struct buf *out, const void *data, size_t n)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	if (!data) {
		buf_addc(out, '-');
		return;
	}
	if (EVP_Digest(data, n, digest, &len, EVP_sha256(), NULL) != 1)
		bug("no SHA-256");
	for (unsigned i = 0; i < len; i++)
		buf_addf(out, "%02x", digest[i]);
}

static int has_line(const struct buf *text, const char *line, size_t n)
{
	const char *p = text->data;

	while ((p = strstr(p, line))) {
		if (p == text->data || p[-1] == '\n')
			return 1;
		p += n;
	}
	return 0;
}

int applied_add(struct applied *a, const char *name, const void *data,
		size_t n)
{
	size_t before = a->new.len;

	add_fingerprint(&a->new, data, n);
	buf_addf(&a->new, " %s\n", name);
	return !has_line(&a->old, a->new.data + before, a->new.len - before);
}

int applied_forget_all(struct applied *a, const char *dir,
		       const char *service, struct buf *err)
{
	struct buf path = BUF_INIT;
	int ret = 0;

	note_path(&path, dir, service);
	if (unlink(path.data) < 0 && errno != ENOENT) {
		buf_setf(err, "%s: %s", path.data, strerror(errno));
		ret = -1;
	}
	buf_reset(&a->old);
	buf_free(&path);
	return ret;
}

static int write_note(const char *dir, const char *service,
		      const struct buf *text, struct buf *err)
{
	struct buf path = BUF_INIT;
	int ret = 0;

	note_path(&path, dir, service);
	if (file_mkdirs(dir, 0700) < 0 ||
	    file_replace(path.data, text->data, text->len, 0600, 1) < 0) {
		buf_setf(err, "%s: %s", path.data, strerror(errno));
		ret = -1;
	}
	buf_free(&path);
	return ret;
}

int applied_forget(const char *dir, const char *service, const char *name,
		   struct buf *err)
{
	struct applied a;
	int ret = 0;

	applied_read(&a, dir, service);
	for (const char *p = a.old.data; *p;) {
		size_t n = strcspn(p, "\n"), digest = strcspn(p, " \n");

		n += p[n] == '\n';
		if (strncmp(p + digest, " ", 1) != 0 ||
		    strlen(name) + 2 != n - digest ||
		    strncmp(p + digest + 1, name, strlen(name)) != 0)
			buf_add(&a.new, p, n);
		p += n;
	}
	if (a.new.len != a.old.len)
		ret = write_note(dir, service, &a.new, err);
	applied_free(&a);
	return ret;
}

int applied_write(const struct applied *a, const char *dir,
		  const char *service, struct buf *err)
{
	if (a->old.len == a->new.len &&
	    memcmp(a->old.data, a->new.data, a->new.len) == 0)
		return 0;
	return write_note(dir, service, &a->new, err);
}
