/* What runs that were killed have left in the place where a run's files are
 * put before it begins. */
#include "applets/deploy.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

enum { CMDLINE_MAX = 1024 * 1024 };

/* Does that process have the name in its command line? */
static bool names(const char *pid, const char *name)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	bool ret;

	buf_addf(&path, "/proc/%s/cmdline", pid);
	ret = file_read(path.data, CMDLINE_MAX, &text) == 0 &&
	      memmem(text.data, text.len, name, strlen(name));
	buf_free(&path);
	buf_free(&text);
	return ret;
}

/* Every run names what is its own: so does the shell that waits for it, and
 * the one that brings its files. */
static bool is_in_use(const char *name)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool found = !d;

	while (!found && (e = readdir(d)))
		found = isdigit((unsigned char)*e->d_name) &&
			names(e->d_name, name);
	if (d)
		closedir(d);
	return found;
}

void deploy_sweep(void)
{
	DIR *d = opendir(DEPLOY_PLACE);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		struct buf path = BUF_INIT;

		if ((str_starts(e->d_name, "in-") ||
		     str_starts(e->d_name, "chatmail.tmp-")) &&
		    !is_in_use(e->d_name)) {
			buf_addf(&path, DEPLOY_PLACE "/%s", e->d_name);
			file_remove_tree(path.data);
		}
		buf_free(&path);
	}
	if (d)
		closedir(d);
}
