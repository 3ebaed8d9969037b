#include "host/jobnote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

static const char dir[] = "/var/lib/chatmail/jobs";

enum { NOTE_MAX = 256 };

int jobnote_read(const char *root, const char *job, struct jobnote *n)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	long long began, ended;
	int status, ret = -1;

	*n = (struct jobnote){ 0 };
	buf_addf(&path, "%s%s/%s", root, dir, job);
	if (file_read(path.data, NOTE_MAX, &text) == 0 &&
	    sscanf(text.data, "%lld %lld %d", &began, &ended, &status) == 3) {
		*n = (struct jobnote){ began, ended, status };
		ret = 0;
	}
	buf_free(&path);
	buf_free(&text);
	return ret;
}

int jobnote_write(const char *job, const struct jobnote *n, struct buf *err)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	int ret = 0;

	buf_addf(&path, "%s/%s", dir, job);
	buf_addf(&text, "%lld %lld %d\n", (long long)n->began,
		 (long long)n->ended, n->status);
	if (file_mkdirs(dir, 0755) < 0 ||
	    file_replace(path.data, text.data, text.len, 0644, 0) < 0) {
		buf_setf(err, "%s: %s", path.data, strerror(errno));
		ret = -1;
	}
	buf_free(&path);
	buf_free(&text);
	return ret;
}
