#include "relay/mailbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"

/* ---- directories -------------------------------------------------------------- */

int mailbox_dir_open(struct mailbox_dir *d, const struct mailbox_dir *parent,
		     const char *name, bool links)
{
	*d = (struct mailbox_dir){ .parent = parent, .name = name };
	d->fd = openat(parent ? parent->fd : AT_FDCWD, name, O_RDONLY |
		       O_DIRECTORY | O_CLOEXEC | O_NONBLOCK |
		       (links ? 0 : O_NOFOLLOW));
	return d->fd < 0 ? -1 : 0;
}

void mailbox_dir_close(struct mailbox_dir *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

void mailbox_dir_path(struct buf *out, const struct mailbox_dir *d,
		      const char *name)
{
	if (d->parent)
		mailbox_dir_path(out, d->parent, d->name);
	else
		buf_adds(out, d->name);
	if (name)
		buf_addf(out, "/%s", name);
}

/* ---- what goes wrong ---------------------------------------------------------- */

static void say(struct mailbox_trouble *t, const struct mailbox_dir *d,
		const char *name, const char *why)
{
	struct buf path = BUF_INIT;

	mailbox_dir_path(&path, d, name);
	t->say(path.data, why);
	buf_free(&path);
}

void mailbox_unread(struct mailbox_trouble *t, const struct mailbox_dir *d,
		    const char *name, int error)
{
	if (error == ENOENT) {
		t->vanished++;
		return;
	}
	t->unread++;
	say(t, d, name, strerror(error));
}

void mailbox_unremoved(struct mailbox_trouble *t, const struct mailbox_dir *d,
		       const char *name, int error)
{
	struct buf why = BUF_INIT;

	if (error == ENOENT) {
		t->vanished++;
		return;
	}
	t->unremoved++;
	buf_addf(&why, "not removed: %s", strerror(error));
	say(t, d, name, why.data);
	buf_free(&why);
}

void mailbox_is_link(struct mailbox_trouble *t, const struct mailbox_dir *d,
		     const char *name)
{
	say(t, d, name, "a symbolic link, not followed");
}

/* ---- what is in a directory --------------------------------------------------- */

/* getdents64(2); libcs differ in their names for it. */
struct dirent_64 {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

void mailbox_list_start(struct mailbox_list *l, const struct mailbox_dir *d)
{
	l->fd = d->fd;
	l->pos = l->len = 0;
	lseek(l->fd, 0, SEEK_SET);
}

static bool is_dots(const char *name)
{
	return name[0] == '.' &&
	       (!name[1] || (name[1] == '.' && !name[2]));
}

/* For file systems that leave the type out. */
static unsigned char type_of(int fd, const char *name)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return IFTODT(st.st_mode);
}

int mailbox_list_next(struct mailbox_list *l, const char **name,
		      unsigned char *type)
{
	for (;;) {
		const struct dirent_64 *e;
		long n;

		if (l->pos == l->len) {
			n = syscall(SYS_getdents64, l->fd, l->data,
				    sizeof(l->data));
			if (n <= 0)
				return (int)n;
			l->len = (size_t)n;
			l->pos = 0;
		}
		e = (const void *)(l->data + l->pos);
		l->pos += e->reclen;
		if (is_dots(e->name))
			continue;
		*name = e->name;
		*type = e->type != DT_UNKNOWN ? e->type :
			type_of(l->fd, e->name);
		return 1;
	}
}

/* ---- the walk ----------------------------------------------------------------- */

enum mailbox_sub mailbox_sub(const char *name)
{
	static const char *const names[] = { "cur", "new", "tmp" };

	for (int i = 0; i < MAILBOX_OTHER; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return MAILBOX_OTHER;
}

int mailbox_file_stat(struct mailbox_file *f, struct mailbox_trouble *t)
{
	struct stat st;

	if (fstatat(f->dir->fd, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		int error = errno;

		mailbox_unread(t, f->dir, f->name, error);
		return error == ENOENT ? 0 : -1;
	}
	f->mtime = st.st_mtim;
	f->size = (uint64_t)st.st_size;
	return S_ISREG(st.st_mode);
}

static struct mailbox_list *list_at(struct mailbox_walk *w, int depth,
				    const struct mailbox_dir *d)
{
	if (!w->lists[depth])
		w->lists[depth] = xmalloc(sizeof(*w->lists[depth]));
	mailbox_list_start(w->lists[depth], d);
	return w->lists[depth];
}

static void walk_file(struct mailbox_walk *w, const struct mailbox_dir *d,
		      const char *name, enum mailbox_sub sub, bool inbox)
{
	struct mailbox_file f = {
		.dir = d, .name = name, .sub = sub, .inbox = inbox,
	};

	if (mailbox_file_stat(&f, w->trouble) > 0)
		w->file(w, &f);
}

/* A directory cur, new or tmp; what stands in it is not entered. */
static void walk_messages(struct mailbox_walk *w, const struct mailbox_dir *d,
			  enum mailbox_sub sub, bool inbox, int depth)
{
	struct mailbox_list *l = list_at(w, depth, d);
	unsigned char type;
	const char *name;
	int ret;

	while ((ret = mailbox_list_next(l, &name, &type)) > 0) {
		if (type == DT_REG)
			walk_file(w, d, name, sub, inbox);
		else if (type == DT_LNK)
			mailbox_is_link(w->trouble, d, name);
	}
	if (ret < 0)
		mailbox_unread(w->trouble, d, NULL, errno);
}

static void walk_folder(struct mailbox_walk *w, const struct mailbox_dir *d,
			bool inbox, int depth);

static void walk_dir(struct mailbox_walk *w, const struct mailbox_dir *parent,
		     const char *name, bool inbox, int depth)
{
	enum mailbox_sub sub = mailbox_sub(name);
	struct mailbox_dir d;

	if (depth == MAILBOX_DEPTH_MAX) {
		mailbox_unread(w->trouble, parent, name, ENAMETOOLONG);
		return;
	}
	if (mailbox_dir_open(&d, parent, name, false) < 0)
		mailbox_unread(w->trouble, parent, name, errno);
	else if (sub == MAILBOX_OTHER)
		walk_folder(w, &d, false, depth);
	else
		walk_messages(w, &d, sub, inbox, depth);
	mailbox_dir_close(&d);
}

/* The mailbox itself, or a directory in it. */
static void walk_folder(struct mailbox_walk *w, const struct mailbox_dir *d,
			bool inbox, int depth)
{
	struct mailbox_list *l = list_at(w, depth, d);
	unsigned char type;
	const char *name;
	int ret;

	while ((ret = mailbox_list_next(l, &name, &type)) > 0) {
		if (type == DT_DIR)
			walk_dir(w, d, name, inbox, depth + 1);
		else if (type == DT_LNK)
			mailbox_is_link(w->trouble, d, name);
		else if (type == DT_REG && w->others)
			walk_file(w, d, name, MAILBOX_OTHER, inbox);
	}
	if (ret < 0)
		mailbox_unread(w->trouble, d, NULL, errno);
}

/* Returns 0, or -1 when it cannot be told whether there is a password. */
static int look_at_password(struct mailbox *m, struct mailbox_trouble *t)
{
	struct mailbox_file f = { .dir = &m->dir, .name = "password" };
	int ret = mailbox_file_stat(&f, t);

	m->has_password = ret > 0;
	m->last_login = f.mtime;
	return ret < 0 ? -1 : 0;
}

static void walk_mailbox(struct mailbox_walk *w, const struct mailbox_dir *root,
			 const char *name)
{
	struct mailbox m;

	if (mailbox_dir_open(&m.dir, root, name, false) < 0) {
		mailbox_unread(w->trouble, root, name, errno);
		return;
	}
	if (look_at_password(&m, w->trouble) == 0 && w->enter(w, &m)) {
		walk_folder(w, &m.dir, true, 1);
		if (w->leave)
			w->leave(w, &m);
	}
	mailbox_dir_close(&m.dir);
}

int mailbox_walk(struct mailbox_walk *w, const char *mailboxes_dir)
{
	struct mailbox_dir root;
	struct mailbox_list *l;
	unsigned char type;
	const char *name;
	int ret = 0;

	if (mailbox_dir_open(&root, NULL, mailboxes_dir, true) < 0)
		return -1;
	l = list_at(w, 0, &root);
	for (uint64_t i = 0; i < w->max; i++) {
		ret = mailbox_list_next(l, &name, &type);
		if (ret <= 0)
			break;
		if (!strchr(name, '@'))
			continue;
		if (type == DT_LNK)
			mailbox_is_link(w->trouble, &root, name);
		else if (type == DT_DIR || type == DT_UNKNOWN)
			walk_mailbox(w, &root, name);
	}
	if (ret < 0)
		mailbox_unread(w->trouble, &root, NULL, errno);
	mailbox_dir_close(&root);
	for (int i = 0; i < MAILBOX_DEPTH_MAX; i++) {
		free(w->lists[i]);
		w->lists[i] = NULL;
	}
	return 0;
}

/* ---- time --------------------------------------------------------------------- */

bool mailbox_is_before(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec :
	       a.tv_nsec < b.tv_nsec;
}

struct timespec mailbox_days_before(struct timespec t, uint64_t days)
{
	const uint64_t most = 10000000;

	t.tv_sec -= (time_t)(days < most ? days : most) * 86400;
	return t;
}
