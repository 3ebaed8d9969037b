#include "relay/echobot.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "relay/user.h"

bool echobot_is_addr(const struct relay *r, const char *addr)
{
	return str_starts(addr, "echo@") &&
	       strcmp(addr + strlen("echo@"), r->mail_domain) == 0;
}

int echobot_put_hash(const struct relay *r, const char *password,
		     struct buf *err)
{
	const char *path = r->s.echobot_password_path;
	struct buf hash = BUF_INIT;
	int ret = user_hash_password(password, &hash, err);

	/* doveauth reads it as another user. The password is long and random,
	 * so that its hash helps nobody. */
	if (ret == 0 &&
	    (file_replace(path, hash.data, hash.len, 0600, 0) < 0 ||
	     chmod(path, 0644) < 0)) {
		buf_setf(err, "%s: %s", path, strerror(errno));
		ret = -1;
	}
	buf_free(&hash);
	return ret;
}

int echobot_get_hash(const struct relay *r, struct buf *out)
{
	return r->s.echobot ?
	       user_read_hash(r->s.echobot_password_path, out) : 0;
}
