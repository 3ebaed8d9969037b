#include "host/ssh_identity.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { FILE_MAX_BYTES = 64 * 1024 };

static void read_pub(struct ssh_identity *id)
{
	struct buf path = BUF_INIT, text = BUF_INIT;

	buf_addf(&path, "%s.pub", id->path);
	if (file_read(path.data, FILE_MAX_BYTES, &text) == 0)
		sshkey_parse_public(text.data, text.len, &id->blob);
	buf_free(&path);
	buf_free(&text);
}

static void inspect(struct ssh_identity *id)
{
	struct sshkey_file f;

	if (sshkey_inspect(&f, id->text.data, id->text.len) == 0) {
		id->encrypted = f.encrypted;
		buf_add(&id->blob, f.blob.data, f.blob.len);
	} else if (sshkey_parse_public(id->text.data, id->text.len,
				       &id->blob) == 0) {
		buf_setf(&id->problem, "is a public key, and the agent does "
			 "not have its private key");
		buf_reset(&id->text);
	} else {
		buf_setf(&id->problem, "is no private key");
	}
	sshkey_file_free(&f);
}

/* ssh(1) does not take a key that others could have read either. */
static void check_mode(struct ssh_identity *id)
{
	struct stat st;

	if (stat(id->path, &st) < 0 || st.st_uid != geteuid() ||
	    !(st.st_mode & 077) || !id->text.len)
		return;
	buf_setf(&id->problem, "may be read by others: chmod 600 %s", id->path);
}

void ssh_identity_load(struct ssh_identity *id, const char *path)
{
	*id = (struct ssh_identity){ .path = path, .text = BUF_INIT,
				     .blob = BUF_INIT, .problem = BUF_INIT };
	/* room for all, so that no copy is left behind */
	buf_reserve(&id->text, FILE_MAX_BYTES + 1);
	if (file_read(path, FILE_MAX_BYTES, &id->text) == 0) {
		inspect(id);
		check_mode(id);
	} else {
		id->missing = errno == ENOENT || errno == ENOTDIR;
		buf_setf(&id->problem, "cannot be read: %s", strerror(errno));
	}
	if (!id->blob.len)
		read_pub(id);
	if (id->blob.len)
		id->missing = false;
}

void ssh_identity_free(struct ssh_identity *id)
{
	explicit_bzero(id->text.data, id->text.cap ? id->text.cap : 0);
	buf_free(&id->text);
	buf_free(&id->blob);
	buf_free(&id->problem);
}
