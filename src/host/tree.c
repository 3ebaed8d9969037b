#include "host/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#define NEW_SUFFIX ".chatmail-new"

enum { COMPARE_MAX = 64 * 1024 * 1024, MODE_BITS = 07777 };

void tree_free(struct tree *t)
{
	free(t->entries);
	arena_free(&t->arena);
	*t = (struct tree) TREE_INIT;
}

static struct tree_entry *entry_at(struct tree *t, const char *path)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->entries[i].path, path) == 0)
			return &t->entries[i];
	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->entries = xrealloc(t->entries,
				      t->room * sizeof(*t->entries));
	}
	return &t->entries[t->count++];
}

static void add(struct tree *t, struct tree_entry e)
{
	char *data = arena_alloc(&t->arena, e.size + 1);

	if (e.size > 0)
		memcpy(data, e.data, e.size);
	e.data = data;
	e.path = arena_strdup(&t->arena, e.path);
	e.owner = arena_strdup(&t->arena, e.owner ? e.owner : "root");
	e.group = arena_strdup(&t->arena, e.group ? e.group : "root");
	*entry_at(t, e.path) = e;
}

void tree_put(struct tree *t, const char *path, const void *data, size_t n,
	      mode_t mode, const char *owner, const char *group)
{
	add(t, (struct tree_entry) {
		.kind = TREE_FILE, .path = path, .data = data, .size = n,
		.mode = mode, .owner = owner, .group = group,
	});
}

void tree_dir(struct tree *t, const char *path, mode_t mode,
	      const char *owner, const char *group)
{
	add(t, (struct tree_entry) {
		.kind = TREE_DIR, .path = path, .mode = mode, .owner = owner,
		.group = group,
	});
}

void tree_link(struct tree *t, const char *path, const char *target)
{
	add(t, (struct tree_entry) {
		.kind = TREE_LINK, .path = path, .data = target,
		.size = strlen(target),
	});
}

void tree_absent(struct tree *t, const char *path)
{
	add(t, (struct tree_entry) { .kind = TREE_ABSENT, .path = path });
}

void tree_seen(struct tree *t, const char *path)
{
	add(t, (struct tree_entry) { .kind = TREE_SEEN, .path = path });
}

/* ---- comparing -------------------------------------------------------------- */

static int find_owner(struct tree_entry *e, bool lenient, struct buf *err)
{
	const struct passwd *pw = getpwnam(e->owner);
	const struct group *gr = getgrnam(e->group);

	e->uid = pw ? pw->pw_uid : (uid_t)-1;
	e->gid = gr ? gr->gr_gid : (gid_t)-1;
	if ((pw && gr) || lenient)
		return 0;
	buf_setf(err, "%s: there is no %s %s", e->path,
		 pw ? "group" : "user", pw ? e->group : e->owner);
	return -1;
}

static const char *compare_contents(const struct tree_entry *e,
				    const struct stat *st)
{
	struct buf text = BUF_INIT;
	const char *how = NULL;

	if (!S_ISREG(st->st_mode) || (size_t)st->st_size != e->size ||
	    file_read(e->path, COMPARE_MAX, &text) < 0 ||
	    text.len != e->size || memcmp(text.data, e->data, e->size) != 0)
		how = "changed";
	buf_free(&text);
	return how;
}

static const char *compare_link(const struct tree_entry *e,
				const struct stat *st)
{
	char target[4096];
	ssize_t n;

	if (!S_ISLNK(st->st_mode))
		return "changed";
	n = readlink(e->path, target, sizeof(target));
	if (n < 0 || (size_t)n != e->size || memcmp(target, e->data, n) != 0)
		return "changed";
	return NULL;
}

/* A file that is a link is replaced by a file: nothing is written through a
 * link that somebody put there. A directory may be one. */
static const char *compare(const struct tree_entry *e)
{
	const char *how = NULL;
	struct stat st;
	int ret = e->kind == TREE_DIR ? stat(e->path, &st) :
					lstat(e->path, &st);

	if (e->kind == TREE_SEEN)
		return NULL;
	if (ret < 0)
		return e->kind == TREE_ABSENT ? NULL : "new";
	if (e->kind == TREE_ABSENT)
		return "removed";
	if (e->kind == TREE_LINK)
		return compare_link(e, &st);
	if (e->kind == TREE_FILE)
		how = compare_contents(e, &st);
	if (!how && (st.st_mode & MODE_BITS) != e->mode)
		how = "mode";
	if (!how && (st.st_uid != e->uid || st.st_gid != e->gid))
		how = "owner";
	return how;
}

int tree_compare(struct tree *t, bool lenient, struct buf *err)
{
	int changed = 0;

	for (size_t i = 0; i < t->count; i++) {
		struct tree_entry *e = &t->entries[i];

		if ((e->kind == TREE_FILE || e->kind == TREE_DIR) &&
		    find_owner(e, lenient, err) < 0)
			return -1;
		e->how = compare(e);
		e->changed = e->how != NULL;
		changed += e->changed;
	}
	return changed;
}

/* ---- changing --------------------------------------------------------------- */

static int fail(const struct tree_entry *e, struct buf *err)
{
	buf_setf(err, "%s: %s", e->path, strerror(errno));
	return -1;
}

static int make_parents(const struct tree_entry *e, struct buf *err)
{
	char *dir = xstrdup(e->path);
	char *slash = strrchr(dir, '/');
	int ret = 0;

	if (slash && slash != dir) {
		*slash = '\0';
		if (access(dir, F_OK) < 0)
			ret = file_mkdirs(dir, 0755);
	}
	if (ret < 0)
		fail(e, err);
	free(dir);
	return ret;
}

static int make_dir(const struct tree_entry *e, struct buf *err)
{
	struct stat st;

	if (make_parents(e, err) < 0)
		return -1;
	if (mkdir(e->path, 0700) < 0 && errno != EEXIST)
		return fail(e, err);
	if (stat(e->path, &st) < 0)
		return fail(e, err);
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return fail(e, err);
	}
	if (chown(e->path, e->uid, e->gid) < 0 || chmod(e->path, e->mode) < 0)
		return fail(e, err);
	return 0;
}

static void new_path(struct buf *path, const struct tree_entry *e)
{
	buf_setf(path, "%s" NEW_SUFFIX, e->path);
}

/* Postfix waits for a configuration that is younger than two seconds, as it
 * might still be being written; ours comes by rename and is whole. */
static int backdate(int fd)
{
	struct timespec times[2];

	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= 5;
	times[1] = times[0];
	return futimens(fd, times);
}

static int write_new(const struct tree_entry *e, const char *path)
{
	struct stat st;
	int fd, ret, saved;

	/* found out now, as the rename would come too late */
	if (lstat(e->path, &st) == 0 && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	unlink(path);
	if (e->kind == TREE_LINK)
		return symlink(e->data, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	ret = file_write_all(fd, e->data, e->size);
	if (ret == 0)
		ret = fchown(fd, e->uid, e->gid);
	if (ret == 0)
		ret = fchmod(fd, e->mode);
	if (ret == 0)
		ret = backdate(fd);
	if (ret == 0)
		ret = fsync(fd);
	saved = errno;
	if (close(fd) < 0 && ret == 0)
		return -1;
	errno = saved;
	return ret;
}

static bool has_new_file(const struct tree_entry *e)
{
	return e->changed && (e->kind == TREE_FILE || e->kind == TREE_LINK);
}

static int write_all_new(struct tree *t, struct buf *err)
{
	struct buf path = BUF_INIT;
	int ret = 0;

	for (size_t i = 0; i < t->count && ret == 0; i++) {
		const struct tree_entry *e = &t->entries[i];

		if (!has_new_file(e))
			continue;
		ret = make_parents(e, err);
		if (ret < 0)
			break;
		new_path(&path, e);
		if (write_new(e, path.data) < 0)
			ret = fail(e, err);
	}
	buf_free(&path);
	return ret;
}

static void remove_all_new(const struct tree *t)
{
	struct buf path = BUF_INIT;

	for (size_t i = 0; i < t->count; i++) {
		if (!has_new_file(&t->entries[i]))
			continue;
		new_path(&path, &t->entries[i]);
		unlink(path.data);
	}
	buf_free(&path);
}

/* Of a run that was killed, where nothing is written this time. */
static void remove_leftovers(const struct tree *t)
{
	struct buf path = BUF_INIT;

	for (size_t i = 0; i < t->count; i++) {
		const struct tree_entry *e = &t->entries[i];

		if (e->kind == TREE_DIR || has_new_file(e))
			continue;
		new_path(&path, e);
		unlink(path.data);
	}
	buf_free(&path);
}

static int put_in_place(const struct tree_entry *e, struct buf *err)
{
	struct buf path = BUF_INIT;
	int ret = 0;

	if (e->kind == TREE_ABSENT) {
		if (unlink(e->path) < 0 && errno != ENOENT)
			ret = fail(e, err);
	} else if (has_new_file(e)) {
		new_path(&path, e);
		if (rename(path.data, e->path) < 0)
			ret = fail(e, err);
	}
	buf_free(&path);
	return ret;
}

int tree_commit(struct tree *t, struct buf *err)
{
	int ret = 0;

	remove_leftovers(t);
	for (size_t i = 0; i < t->count && ret == 0; i++)
		if (t->entries[i].kind == TREE_DIR && t->entries[i].changed)
			ret = make_dir(&t->entries[i], err);
	if (ret == 0)
		ret = write_all_new(t, err);
	for (size_t i = 0; i < t->count && ret == 0; i++)
		if (t->entries[i].changed)
			ret = put_in_place(&t->entries[i], err);
	if (ret < 0)
		remove_all_new(t);
	return ret;
}
