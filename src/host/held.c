#include "host/held.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static const char dir[] = "/run/chatmail-hold";

enum { NOTE_MAX = 256 };

int held_read(const char *root, const char *name, struct held *h)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	unsigned long long restarts;
	struct stat st;
	int pid, ready, holder, ret = -1;

	*h = (struct held){ 0 };
	buf_addf(&path, "%s%s/%s", root, dir, name);
	if (file_read(path.data, NOTE_MAX, &text) == 0 &&
	    stat(path.data, &st) == 0 &&
	    sscanf(text.data, "%d %llu %d %d", &pid, &restarts, &ready,
		   &holder) == 4) {
		*h = (struct held){ pid, restarts, ready, holder, st.st_mtime };
		ret = 0;
	}
	buf_free(&path);
	buf_free(&text);
	return ret;
}

int held_write(const char *name, const struct held *h, struct buf *err)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	int ret = 0;

	buf_addf(&path, "%s/%s", dir, name);
	buf_addf(&text, "%d %llu %d %d\n", (int)h->pid,
		 (unsigned long long)h->restarts, h->is_ready,
		 (int)h->holder);
	if (file_mkdirs(dir, 0755) < 0 ||
	    file_replace(path.data, text.data, text.len, 0644, 0) < 0) {
		buf_setf(err, "%s: %s", path.data, strerror(errno));
		ret = -1;
	}
	buf_free(&path);
	buf_free(&text);
	return ret;
}

void held_remove(const char *name)
{
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/%s", dir, name);
	unlink(path.data);
	buf_free(&path);
}
