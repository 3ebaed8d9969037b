/* What a commit would change, for people: by diff(1), which every host has. */
#include "host/tree.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/str.h"

enum { DIFF_MAX = 256 * 1024 };

static bool is_text(const char *p, size_t n)
{
	return n <= DIFF_MAX && !memchr(p, '\0', n) && utf8_is_valid(p, n);
}

/* New contents that diff can open by a path, without a file on disk. */
static int text_fd(const struct tree_entry *e)
{
	int fd = memfd_create("new", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, e->data, e->size) != (ssize_t)e->size) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void add_text_diff(const struct tree_entry *e, struct buf *out)
{
	struct buf path = BUF_INIT, err = BUF_INIT;
	const char *old = strcmp(e->how, "new") == 0 ? "/dev/null" : e->path;
	int fd = text_fd(e);

	buf_addf(&path, "/proc/%ld/fd/%d", (long)getpid(), fd);
	if (fd < 0 || proc_run(&(struct proc_spec) {
			.argv = (const char *[]) {
				"diff", "-u", "-L", e->path, "-L", e->path,
				old, path.data, NULL } }, out, &err) < 0)
		buf_addf(out, "%s: %s\n", e->path, e->how);
	if (fd >= 0)
		close(fd);
	buf_free(&path);
	buf_free(&err);
}

static void add_entry(const struct tree_entry *e, struct buf *out)
{
	static const char *const kinds[] = {
		"file", "directory", "link", "file",
	};

	if (e->kind == TREE_FILE && !(e->mode & 0004)) {
		buf_addf(out, "%s: %s (not shown, as it is secret)\n",
			 e->path, e->how);
		return;
	}
	if (e->kind == TREE_FILE && is_text(e->data, e->size) &&
	    (strcmp(e->how, "new") == 0 || strcmp(e->how, "changed") == 0)) {
		add_text_diff(e, out);
		return;
	}
	buf_addf(out, "%s: %s %s", e->path, kinds[e->kind], e->how);
	if (e->kind == TREE_LINK)
		buf_addf(out, ", to %s", e->data);
	else if (e->kind == TREE_FILE && strcmp(e->how, "mode") != 0)
		buf_addf(out, ", %zu bytes", e->size);
	if (e->kind == TREE_FILE || e->kind == TREE_DIR)
		buf_addf(out, ", %s:%s %04o", e->owner, e->group,
			 (unsigned)e->mode);
	buf_addc(out, '\n');
}

void tree_diff(const struct tree *t, struct buf *out)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->entries[i].changed)
			add_entry(&t->entries[i], out);
}
