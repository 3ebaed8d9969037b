/* chatmail hold: keeps a role's socket open while the role is started again,
 * as systemd's socket units do; and runs it as a user with groups. It accepts
 * and reads nothing itself. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "applet.h"
#include "base/log.h"
#include "base/str.h"
#include "host/held.h"

enum {
	BACKLOG = 4096,		/* the kernel cuts it to somaxconn */
	LISTEN_FD = 3,		/* SD_LISTEN_FDS_START of sd_listen_fds(3) */
	GROUPS_MAX = 16,
	STOP_SECS = 15,		/* a role finishes open work in five */
	PAUSE_MSECS = 1000,	/* after one that lived for less */
};

static struct hold {
	char **argv;			/* of this program, to become it anew */
	const char *name, *user, *groups, *address, *owner;
	char **role;			/* its arguments */
	int fd, signals, notes;		/* listening; signalfd; sd_notify's */
	char note_name[108];		/* of notes, "@..." */
	struct held held;
	int64_t started;		/* ms, monotonic */
	bool stopping, again;		/* the end; to become ourselves anew */
	int64_t deadline;		/* ms: then SIGKILL; 0 none */
	int64_t start_at;		/* ms: then the role is started; 0 none */
} hold;

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void note(void)
{
	struct buf err = BUF_INIT;

	if (held_write(hold.name, &hold.held, &err) < 0)
		log_warn("%s", err.data);
	buf_free(&err);
}

/* ---- the socket ------------------------------------------------------------------ */

static gid_t group_id(const char *name)
{
	const struct group *g = getgrnam(name);

	if (!g)
		die("there is no group %s", name);
	return g->gr_gid;
}

static const struct passwd *find_user(const char *name)
{
	const struct passwd *pw = getpwnam(name);

	if (!pw)
		die("there is no user %s", name);
	return pw;
}

/* "USER:GROUP", who may connect beside root. */
static void give_away(const char *path)
{
	char *user = xstrdup(hold.owner), *colon = strchr(user, ':');

	if (!colon)
		die("expected USER:GROUP, got %s", user);
	*colon = '\0';
	if (chown(path, find_user(user)->pw_uid, group_id(colon + 1)) < 0 ||
	    chmod(path, 0660) < 0)
		die_errno("%s", path);
	free(user);
}

static int listen_unix(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;
	mode_t old;

	if (strlen(hold.address) >= sizeof(a.sun_path))
		die("%s: too long", hold.address);
	memcpy(a.sun_path, hold.address, strlen(hold.address));
	if (lstat(hold.address, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(hold.address);
	old = umask(0777);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		die_errno("listening on %s", hold.address);
	umask(old);
	give_away(hold.address);
	return fd;
}

static int listen_tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	char *ip = xstrdup(hold.address), *colon = strrchr(ip, ':');
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	uint64_t port;

	if (!colon || str_to_u64(colon + 1, &port) < 0 || port > 65535)
		die("expected a path or IP:PORT, got %s", hold.address);
	*colon = '\0';
	a.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die("expected a path or IP:PORT, got %s", hold.address);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		die_errno("listening on %s", hold.address);
	free(ip);
	return fd;
}

/* The one that we had before we became ourselves anew; it is the only one
 * that anybody hands to us. */
static int inherited(void)
{
	const char *pid = getenv("LISTEN_PID");
	uint64_t n;

	if (!pid || str_to_u64(pid, &n) < 0 || n != (uint64_t)getpid())
		return -1;
	fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC);
	return LISTEN_FD;
}

static void open_sockets(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n;

	hold.fd = inherited();
	if (strcmp(hold.address, "-") == 0)
		hold.fd = -1;
	else if (hold.fd < 0)
		hold.fd = *hold.address == '/' ? listen_unix() : listen_tcp();
	/* an abstract one: no file is left of it */
	snprintf(hold.note_name, sizeof(hold.note_name), "@chatmail-hold/%s/%ld",
		 hold.name, (long)getpid());
	n = strlen(hold.note_name);
	memcpy(a.sun_path, hold.note_name, n);
	a.sun_path[0] = '\0';
	hold.notes = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			    0);
	if (hold.notes < 0 || bind(hold.notes, (struct sockaddr *)&a,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		die_errno("%s", hold.note_name);
}

/* ---- the role -------------------------------------------------------------------- */

static void become_user(const struct passwd *pw)
{
	gid_t groups[GROUPS_MAX];
	char *list = xstrdup(hold.groups), *rest;
	size_t n = 0;

	for (char *p = strtok_r(list, ",", &rest); p && n < GROUPS_MAX;
	     p = strtok_r(NULL, ",", &rest))
		groups[n++] = group_id(p);
	free(list);
	if (n == 0 || setgroups(n, groups) < 0 ||
	    setresgid(groups[0], groups[0], groups[0]) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		die_errno("becoming %s", hold.user);
}

/* The socket where sd_listen_fds(3) looks for it, and nothing else but stdio. */
static void hand_over(int fd)
{
	char pid[32];

	if (fd < 0)
		return;
	if (fd != LISTEN_FD && dup2(fd, LISTEN_FD) < 0)
		die_errno("dup2");
	fcntl(LISTEN_FD, F_SETFD, 0);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
}

__attribute__((noreturn))
static void become_role(pid_t parent)
{
	const struct passwd *pw = find_user(hold.user);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setenv("NOTIFY_SOCKET", hold.note_name, 1);
	hand_over(hold.fd);
	become_user(pw);
	umask(0077);
	/* no program that it runs gets more rights than it has */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		die_errno("prctl");
	if (getppid() != parent)
		_exit(EXIT_FAIL);
	hold.role[-1] = hold.argv[0];
	execv(hold.argv[0], hold.role - 1);
	die_errno("%s", hold.argv[0]);
}

static void start_role(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		become_role(parent);
	hold.start_at = pid < 0 ? now() + PAUSE_MSECS : 0;
	hold.started = now();
	hold.held.pid = pid < 0 ? 0 : pid;
	hold.held.is_ready = false;
	if (pid < 0)
		log_warn("fork: %s", strerror(errno));
	note();
}

/* What is connected waits at the socket meanwhile. */
static void on_child(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		bool early = now() - hold.started < PAUSE_MSECS;

		if (pid != hold.held.pid)
			continue;
		hold.held.pid = 0;
		hold.held.is_ready = false;
		if (hold.stopping)
			continue;
		if (WIFSIGNALED(status))
			log_warn("ended by signal %d, is started again",
				 WTERMSIG(status));
		else
			log_warn("ended with exit code %d, is started again",
				 WEXITSTATUS(status));
		hold.held.restarts++;
		hold.start_at = now() + (early ? PAUSE_MSECS : 0);
		note();
	}
}

static void stop(void)
{
	hold.stopping = true;
	hold.start_at = 0;
	hold.deadline = now() + STOP_SECS * 1000;
	if (hold.held.pid)
		kill(hold.held.pid, SIGTERM);
}

static void on_signal(void)
{
	struct signalfd_siginfo s;

	while (read(hold.signals, &s, sizeof(s)) == sizeof(s)) {
		switch (s.ssi_signo) {
		case SIGCHLD:
			on_child();
			break;
		case SIGHUP:
			if (hold.held.pid)
				kill(hold.held.pid, SIGHUP);
			break;
		case SIGUSR2:
			hold.again = true;
			stop();
			break;
		default:
			hold.again = false;
			stop();
		}
	}
}

static void on_note(void)
{
	char text[512];
	ssize_t n;

	while ((n = recv(hold.notes, text, sizeof(text) - 1, 0)) > 0) {
		text[n] = '\0';
		if (str_starts(text, "READY=1") && !hold.held.is_ready) {
			hold.held.is_ready = true;
			note();
		}
	}
}

/* Milliseconds until something is due; -1 for nothing. */
static int patience(void)
{
	int64_t due = hold.start_at ? hold.start_at : hold.deadline;

	if (!due)
		return -1;
	due -= now();
	return due < 0 ? 0 : (int)due;
}

static void serve(void)
{
	while (!hold.stopping || hold.held.pid) {
		struct pollfd fds[] = {
			{ .fd = hold.signals, .events = POLLIN },
			{ .fd = hold.notes, .events = POLLIN },
		};

		if (poll(fds, 2, patience()) < 0 && errno != EINTR)
			die_errno("poll");
		on_signal();
		on_note();
		if (hold.start_at && now() >= hold.start_at)
			start_role();
		if (hold.deadline && now() >= hold.deadline && hold.held.pid)
			kill(hold.held.pid, SIGKILL);
	}
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	hold.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (hold.signals < 0)
		die_errno("signalfd");
}

/* A new program, perhaps, with the old socket. */
__attribute__((noreturn))
static void become_anew(void)
{
	char *path = hold.argv[0];

	/* a signal that comes now is for the new one */
	hand_over(hold.fd);
	execv(path, hold.argv);
	die_errno("%s", path);
}

static int hold_main(int argc, char **argv)
{
	struct held left;

	if (argc < 7)
		return applet_usage(&applet_hold, "more arguments are needed");
	hold.argv = xcalloc((size_t)argc + 2, sizeof(*hold.argv));
	/* this program by its path, as main() has taken that away */
	hold.argv[0] = xstrdup(getenv("CHATMAIL_BIN") ? getenv("CHATMAIL_BIN") :
			       "/usr/local/bin/chatmail");
	hold.argv[1] = xstrdup("hold");
	memcpy(hold.argv + 2, argv + 1, (size_t)(argc - 1) * sizeof(*argv));
	hold.name = argv[1];
	hold.user = argv[2];
	hold.groups = argv[3];
	hold.address = argv[4];
	hold.owner = argv[5];
	hold.role = hold.argv + 7;
	hold.held.holder = getpid();
	block_signals();
	open_sockets();
	start_role();
	serve();
	if (held_read("", hold.name, &left) == 0 && left.holder == getpid())
		held_remove(hold.name);
	if (hold.again)
		become_anew();
	return EXIT_OK;
}

DEFINE_APPLET(hold) {
	.name = "hold",
	.summary = "keep a role's socket open while the role is started again",
	.args = "NAME USER GROUP[,...] ADDRESS OWNER ROLE [ARG...]",
	.help =
"Opens a socket, ADDRESS, and starts a role of this program with it as USER:\n"
"what systemd does for its units, where systemd is not. ADDRESS is a path, where\n"
"OWNER, as USER:GROUP, may connect, or IP:PORT, or \"-\" for no socket. A role that\n"
"ends is started again, and who connects meanwhile waits. The role gets the\n"
"groups named, no capability, and a umask of 0077.\n"
"\n"
"At SIGHUP the role reads its configuration again; at SIGUSR2 it ends its work,\n"
"and is started again from the program that is there now, $CHATMAIL_BIN.\n"
"\n"
"Example: chatmail hold doveauth vmail vmail /run/doveauth/doveauth.socket\n"
"         vmail:vmail doveauth /run/doveauth/doveauth.socket\n",
	.main = hold_main,
};
