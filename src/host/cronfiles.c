#include "host/cronfiles.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "text/crontab.h"

enum { TABLE_MAX = 1024 * 1024 };

static const char owner[] = "chatmail";

static void job_path(struct buf *path, const char *root, const char *job)
{
	buf_setf(path, "%s/etc/cron.d/%s", root, job);
}

bool cronfiles_has(const char *root, const char *job)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	bool ret;

	job_path(&path, root, job);
	if (file_read(path.data, TABLE_MAX, &text) < 0) {
		buf_setf(&path, "%s" CRONFILES_TABLE, root);
		file_read(path.data, TABLE_MAX, &text);
	}
	ret = crontab_has_word(text.data, job);
	buf_free(&path);
	buf_free(&text);
	return ret;
}

/* busybox's crond does not look into /etc/cron.d, should it be there. */
void cronfiles_begin(struct cronfiles *c)
{
	struct stat st;

	buf_init(&c->entries);
	c->has_directory = stat(CRONFILES_TABLE, &st) < 0;
}

void cronfiles_add(struct cronfiles *c, struct tree *t, const char *job,
		   const char *text)
{
	struct buf path = BUF_INIT, with_user = BUF_INIT;

	if (!c->has_directory) {
		buf_adds(&c->entries, text ? text : "");
		return;
	}
	job_path(&path, "", job);
	if (text) {
		crontab_add_user(&with_user, text, "root");
		tree_put(t, path.data, with_user.data, with_user.len, 0644,
			 NULL, NULL);
	} else {
		tree_absent(t, path.data);
	}
	buf_free(&path);
	buf_free(&with_user);
}

void cronfiles_end(struct cronfiles *c, struct tree *t)
{
	struct buf old = BUF_INIT, new = BUF_INIT;

	if (!c->has_directory) {
		file_read(CRONFILES_TABLE, TABLE_MAX, &old);
		crontab_replace(&new, old.data, owner, c->entries.data);
		tree_put(t, CRONFILES_TABLE, new.data, new.len, 0600, NULL,
			 NULL);
	}
	buf_free(&old);
	buf_free(&new);
	buf_free(&c->entries);
}
