#include "net/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "net/conn.h"

enum {
	BACKLOG = 4096,		/* the kernel cuts it to somaxconn */
	ACCEPT_BURST = 8,	/* taken at a wake-up: others wait meanwhile */
	SD_FIRST_FD = 3,	/* SD_LISTEN_FDS_START */
};
static const double STOP_SECS = 5., GRACE_SECS = 1., PAUSE_SECS = .2;

union address {
	struct sockaddr sa;
	struct sockaddr_un un;
	struct sockaddr_in in;
};

/* ---- systemd -------------------------------------------------------------- */

/* sd_notify(3): one datagram to $NOTIFY_SOCKET; silently nothing without. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n < 2 || n >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, n);
	if (*path == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		   (struct sockaddr *)&addr,
		   offsetof(struct sockaddr_un, sun_path) + n) < 0)
		log_warn("telling systemd %s: %s", state, strerror(errno));
	close(fd);
}

/* sd_listen_fds(3): how many sockets systemd passed to this process. */
static int inherited_count(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t p, n;

	if (!pid || !fds || str_to_u64(pid, &p) < 0 || str_to_u64(fds, &n) < 0)
		return 0;
	if (p != (uint64_t)getpid() || n > 64)
		return 0;
	for (int fd = SD_FIRST_FD; fd < SD_FIRST_FD + (int)n; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return (int)n;
}

static bool same_address(const union address *a, const union address *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_UNIX)
		return strcmp(a->un.sun_path, b->un.sun_path) == 0;
	return a->in.sin_port == b->in.sin_port;
}

/* The inherited socket that listens on this address, or -1. */
static int inherited_find(const struct daemon *d, const union address *want)
{
	for (int fd = SD_FIRST_FD; fd < SD_FIRST_FD + d->inherited; fd++) {
		union address a = { 0 };
		socklen_t len = sizeof(a);

		if (getsockname(fd, &a.sa, &len) == 0 &&
		    same_address(&a, want)) {
			fcntl(fd, F_SETFL, O_NONBLOCK);
			return fd;
		}
	}
	return -1;
}

/* ---- listeners ------------------------------------------------------------ */

static void accept_some(struct listener *l, int max)
{
	struct ev_loop *loop = l->daemon->loop;

	for (int i = 0; i < max; i++) {
		int fd = accept4(l->io.fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->accepted(l->daemon, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		/* EMFILE and the like: the caller waits in the backlog */
		log_warn("accept: %s; trying again in %.1f s", strerror(errno),
			 PAUSE_SECS);
		ev_io_stop(loop, &l->io);
		ev_timer_set(&l->pause, PAUSE_SECS, 0.);
		ev_timer_start(loop, &l->pause);
		return;
	}
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	accept_some(container_of(w, struct listener, io), ACCEPT_BURST);
}

static void on_pause_end(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct listener *l = container_of(w, struct listener, pause);

	ev_io_start(loop, &l->io);
}

static void add_listener(struct daemon *d, int fd, const char *path,
			 void (*accepted)(struct daemon *d, int fd))
{
	struct listener *l = xcalloc(1, sizeof(*l));
	struct stat st;

	l->daemon = d;
	l->accepted = accepted;
	if (path && stat(path, &st) == 0) {
		l->path = xstrdup(path);
		l->ino = st.st_ino;
	}
	ev_io_init(&l->io, on_accept, fd, EV_READ);
	ev_timer_init(&l->pause, on_pause_end, 0., 0.);
	ev_io_start(d->loop, &l->io);
	l->next = d->listeners;
	d->listeners = l;
}

static int listen_fail(struct buf *err, int fd, const char *where)
{
	buf_setf(err, "listening on %s: %s", where, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Remove what a dead process left; another kind of file is somebody's. */
static int remove_stale(const char *path, struct buf *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		buf_setf(err, "listening on %s: there is a file that is no "
			 "socket", path);
		return -1;
	}
	unlink(path);
	return 0;
}

int daemon_listen_unix(struct daemon *d, const char *path, unsigned mode,
		       void (*accepted)(struct daemon *d, int fd),
		       struct buf *err)
{
	union address a = { .un.sun_family = AF_UNIX };
	mode_t old;
	int fd, ret;

	if (strlen(path) >= sizeof(a.un.sun_path)) {
		errno = ENAMETOOLONG;
		return listen_fail(err, -1, path);
	}
	memcpy(a.un.sun_path, path, strlen(path));
	fd = inherited_find(d, &a);
	if (fd >= 0) {
		add_listener(d, fd, NULL, accepted);
		return 0;
	}
	if (remove_stale(path, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return listen_fail(err, fd, path);
	old = umask(~mode & 0777);
	ret = bind(fd, &a.sa, sizeof(a.un));
	umask(old);
	if (ret < 0 || listen(fd, BACKLOG) < 0)
		return listen_fail(err, fd, path);
	add_listener(d, fd, path, accepted);
	return 0;
}

int daemon_listen_tcp(struct daemon *d, const char *ip, unsigned port,
		      void (*accepted)(struct daemon *d, int fd),
		      struct buf *err)
{
	union address a = { .in = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	} };
	char where[64];
	int on = 1;
	int fd;

	snprintf(where, sizeof(where), "%s:%u", ip, port);
	errno = EINVAL;
	if (inet_pton(AF_INET, ip, &a.in.sin_addr) != 1)
		return listen_fail(err, -1, where);
	fd = inherited_find(d, &a);
	if (fd < 0) {
		fd = socket(AF_INET,
			    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			return listen_fail(err, fd, where);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, &a.sa, sizeof(a.in)) < 0 ||
		    listen(fd, BACKLOG) < 0)
			return listen_fail(err, fd, where);
	}
	add_listener(d, fd, NULL, accepted);
	return 0;
}

static void close_listeners(struct daemon *d, bool take_backlog)
{
	struct listener *l = d->listeners;

	while (l) {
		struct listener *next = l->next;
		struct stat st;

		/* who connected before we stopped is served; the backlog of an
		 * inherited socket waits for our successor */
		if (take_backlog && l->path)
			accept_some(l, BACKLOG);
		ev_io_stop(d->loop, &l->io);
		ev_timer_stop(d->loop, &l->pause);
		/* one that took our place keeps its socket */
		if (l->path && stat(l->path, &st) == 0 && st.st_ino == l->ino)
			unlink(l->path);
		close(l->io.fd);
		free(l->path);
		free(l);
		l = next;
	}
	d->listeners = NULL;
}

/* ---- signals -------------------------------------------------------------- */

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	log_warn("stopping with %zu connections open", conn_count());
	ev_break(loop, EVBREAK_ALL);
}

static void on_grace_end(struct ev_loop *loop, ev_timer *w, int revents)
{
	conn_stop_all(false);
}

static void on_idle_check(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct daemon *d = container_of(w, struct daemon, idle_check);

	if (d->stopping && !conn_count() && !(d->busy && d->busy(d)))
		ev_break(loop, EVBREAK_ALL);
}

static void stop(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	notify("STOPPING=1");
	close_listeners(d, true);
	if (d->stop)
		d->stop(d);
	/* a client that has connected will not ask our successor */
	conn_stop_all(true);
	ev_timer_set(&d->grace, GRACE_SECS, 0.);
	ev_timer_start(d->loop, &d->grace);
	ev_timer_set(&d->deadline, STOP_SECS, 0.);
	ev_timer_start(d->loop, &d->deadline);
}

static void on_term(struct ev_loop *loop, ev_signal *w, int revents)
{
	stop(container_of(w, struct daemon, on_term));
}

static void on_int(struct ev_loop *loop, ev_signal *w, int revents)
{
	stop(container_of(w, struct daemon, on_int));
}

static void on_hup(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct daemon *d = container_of(w, struct daemon, on_hup);
	struct buf err = BUF_INIT;

	notify("RELOADING=1");
	if (d->reload && d->reload(d, &err) < 0)
		log_warn("keeping the old configuration: %s", err.data);
	else
		log_info("configuration read again");
	notify("READY=1");
	buf_free(&err);
}

static void start_signal(struct daemon *d, ev_signal *w, int number,
			 void (*cb)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(w, cb, number);
	ev_signal_start(d->loop, w);
	ev_unref(d->loop);
}

static void raise_fd_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &r) < 0)
			log_warn("raising the limit of open files: %s",
				 strerror(errno));
	}
}

void daemon_init(struct daemon *d)
{
	*d = (struct daemon){ .loop = ev_default_loop(EVFLAG_AUTO) };
	if (!d->loop)
		die("the event loop does not start");
	raise_fd_limit();
	signal(SIGPIPE, SIG_IGN);
#ifdef M_MMAP_THRESHOLD
	/* glibc: keep message buffers out of the heap, so that their memory
	 * goes back when they are freed, and threads in one arena */
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	mallopt(M_TRIM_THRESHOLD, 128 * 1024);
	mallopt(M_ARENA_MAX, 2);
#endif
	start_signal(d, &d->on_term, SIGTERM, on_term);
	start_signal(d, &d->on_int, SIGINT, on_int);
	start_signal(d, &d->on_hup, SIGHUP, on_hup);
	ev_timer_init(&d->grace, on_grace_end, 0., 0.);
	ev_timer_init(&d->deadline, on_deadline, 0., 0.);
	ev_prepare_init(&d->idle_check, on_idle_check);
	ev_prepare_start(d->loop, &d->idle_check);
	ev_unref(d->loop);
	d->inherited = inherited_count();
}

int daemon_run(struct daemon *d)
{
	log_info("ready");
	notify("READY=1");
	ev_run(d->loop, 0);
	close_listeners(d, false);
	log_info("stopped");
	return EXIT_OK;
}
