#include "net/watch.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

enum {
	EVENTS = IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE |
		 IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF |
		 IN_MOVE_SELF,
	DEPTH_MAX = 32,
};
static const double SETTLE_SECS = .1, PATIENCE_SECS = 1.;

/* What an event of a watch descriptor may be about. */
struct watch_place {
	int wd;
	char *name;	/* only this name in the directory; NULL: any */
};

static void forget(struct watch *w)
{
	if (w->io.fd >= 0) {
		ev_io_stop(w->loop, &w->io);
		close(w->io.fd);
		ev_io_set(&w->io, -1, EV_READ);
	}
	for (size_t i = 0; i < w->count; i++)
		free(w->places[i].name);
	w->count = 0;
}

/* ---- events -------------------------------------------------------------- */

static bool concerns(const struct watch *w, const struct inotify_event *e)
{
	const char *name = e->len ? e->name : "";

	if (e->mask & IN_Q_OVERFLOW)
		return true;
	if (e->mask & IN_IGNORED)
		return false;
	for (size_t i = 0; i < w->count; i++) {
		const struct watch_place *p = &w->places[i];

		if (p->wd != e->wd)
			continue;
		if (p->name ? strcmp(p->name, name) == 0 : !w->ignores(name))
			return true;
	}
	return false;
}

static void on_settled(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct watch *w = container_of(timer, struct watch, settle);

	w->first = 0;
	w->changed(w);
}

static void wait_a_little(struct watch *w)
{
	double now = ev_now(w->loop), left;

	if (w->first == 0)
		w->first = now;
	left = w->first + PATIENCE_SECS - now;
	ev_timer_stop(w->loop, &w->settle);
	ev_timer_set(&w->settle, left > SETTLE_SECS ? SETTLE_SECS :
		     left > 0 ? left : 0., 0.);
	ev_timer_start(w->loop, &w->settle);
}

static void on_events(struct ev_loop *loop, ev_io *io, int revents)
{
	struct watch *w = container_of(io, struct watch, io);
	_Alignas(struct inotify_event) char data[16 * 1024];
	ssize_t n = read(io->fd, data, sizeof(data));
	bool any = false;

	for (ssize_t off = 0; off < n;) {
		const struct inotify_event *e =
			(const struct inotify_event *)(data + off);

		any |= concerns(w, e);
		off += (ssize_t)sizeof(*e) + e->len;
	}
	if (any)
		wait_a_little(w);
}

/* ---- places ---------------------------------------------------------------- */

static int add_place(struct watch *w, const char *path, const char *name,
		     struct buf *err)
{
	int wd = inotify_add_watch(w->io.fd, path, EVENTS);

	if (wd < 0) {
		/* it went away: its parent tells when it comes back */
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		buf_setf(err, "watching %s: %s", path, strerror(errno));
		return -1;
	}
	if (w->count == w->room) {
		w->room = w->room ? 2 * w->room : 16;
		w->places = xrealloc(w->places, w->room * sizeof(*w->places));
	}
	w->places[w->count++] = (struct watch_place){
		.wd = wd, .name = name ? xstrdup(name) : NULL,
	};
	return 0;
}

/* The name of a path in its directory. */
static int add_named(struct watch *w, const char *path, struct buf *err)
{
	const char *slash, *name;
	char *copy = xstrdup(path), *dir;
	size_t n = strlen(copy);
	int ret;

	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	dir = slash == copy ? xstrdup("/") : slash ?
	      xstrndup(copy, (size_t)(slash - copy)) : xstrdup(".");
	ret = add_place(w, dir, name, err);
	free(dir);
	free(copy);
	return ret;
}

static int add_tree(struct watch *w, const char *path, int depth,
		    struct buf *err)
{
	int ret = add_place(w, path, NULL, err);
	DIR *d = depth < DEPTH_MAX ? opendir(path) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		struct buf sub = BUF_INIT;
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0 || w->ignores(e->d_name))
			continue;
		buf_addf(&sub, "%s/%s", path, e->d_name);
		if (lstat(sub.data, &st) == 0 && S_ISDIR(st.st_mode))
			ret |= add_tree(w, sub.data, depth + 1, err);
		buf_free(&sub);
	}
	if (d)
		closedir(d);
	return ret;
}

/* ---- public ---------------------------------------------------------------- */

void watch_init(struct watch *w, struct ev_loop *loop,
		bool (*ignores)(const char *name),
		void (*changed)(struct watch *w))
{
	*w = (struct watch){
		.loop = loop, .ignores = ignores, .changed = changed,
	};
	ev_io_init(&w->io, on_events, -1, EV_READ);
	ev_timer_init(&w->settle, on_settled, 0., 0.);
}

int watch_paths(struct watch *w, const char *tree, const char *file,
		struct buf *err)
{
	int fd, ret = 0;

	forget(w);
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0) {
		buf_setf(err, "inotify: %s", strerror(errno));
		return -1;
	}
	ev_io_set(&w->io, fd, EV_READ);
	ev_io_start(w->loop, &w->io);
	if (tree) {
		ret |= add_named(w, tree, err);
		ret |= add_tree(w, tree, 0, err);
	}
	ret |= add_named(w, file, err);
	/* it may be a link to a file elsewhere */
	ret |= add_place(w, file, NULL, err);
	return ret;
}

void watch_close(struct watch *w)
{
	forget(w);
	ev_timer_stop(w->loop, &w->settle);
	free(w->places);
	w->places = NULL;
	w->room = 0;
}
