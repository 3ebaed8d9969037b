#include "base/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

/* What the child reports when it cannot become the program. */
struct failure {
	int error;
	const char *what;	/* literal: the same address in both processes */
};

/* What a child is connected by; -1 where there is none. */
struct ends {
	int output[2];		/* pipe from the child */
	int report[2];		/* pipe for a struct failure */
	int ours, theirs;	/* with spec->peer: the socket */
};

static int become_user(const struct passwd *pw)
{
	if (initgroups(pw->pw_name, pw->pw_gid) < 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0)
		return -1;
	return setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid);
}

/* Handlers vanish by themselves at exec, a blocked or ignored signal stays. */
static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *child_setup(const struct proc_spec *spec,
			       const struct passwd *pw, pid_t parent,
			       const struct ends *e)
{
	int null = open("/dev/null", O_RDWR);
	int in = spec->peer ? e->theirs : null;

	reset_signals();
	if (in < 0 || dup2(in, 0) < 0 ||
	    dup2(spec->peer ? e->theirs : e->output[1], 1) < 0 ||
	    dup2(e->output[1], 2) < 0)
		return "its standard files";
	if (null > 2)
		close(null);
	if (spec->session && setsid() < 0)
		return "setsid";
	if (pw && become_user(pw) < 0)
		return "changing the user";
	/* after the change of user, which forgets it */
	if (spec->dies_with_us && prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return "prctl";
	if (spec->dies_with_us && getppid() != parent)
		_exit(1);
	return NULL;
}

__attribute__((noreturn))
static void end_like(int status)
{
	sigset_t all;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	signal(WTERMSIG(status), SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	raise(WTERMSIG(status));
	_exit(128 + WTERMSIG(status));
}

/* SIGTERM goes on to the program; what ends it ends us. Signals are blocked,
 * so that none is missed between fork and here. */
__attribute__((noreturn))
static void guard(pid_t program, bool session, const sigset_t *signals)
{
	int sig, status;

	for (;;) {
		if (sigwait(signals, &sig) != 0)
			continue;
		if (sig == SIGTERM)
			kill(program, SIGTERM);
		if (waitpid(program, &status, WNOHANG) != program)
			continue;
		if (session)
			kill(-program, SIGTERM);
		end_like(status);
	}
}

/* Returns in the process that becomes the program. */
static const char *guard_fork(const struct proc_spec *spec, int report)
{
	sigset_t signals;
	pid_t program;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	program = fork();
	if (program > 0) {
		close(report);
		guard(program, spec->session, &signals);
	}
	if (program < 0)
		return "fork";
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	if (spec->session && setsid() < 0)
		return "setsid";
	return NULL;
}

__attribute__((noreturn))
static void child_run(const struct proc_spec *spec, const struct passwd *pw,
		      pid_t parent, const struct ends *e)
{
	struct failure f = { .what = child_setup(spec, pw, parent, e) };
	int report = e->report[1];
	ssize_t n;

	if (!f.what && spec->guarded)
		f.what = guard_fork(spec, report);
	if (!f.what) {
		f.what = "executing it";
		if (spec->file)
			execv(spec->file, (char *const *)spec->argv);
		else
			execvp(spec->argv[0], (char *const *)spec->argv);
	}
	f.error = errno;
	n = write(report, &f, sizeof(f));
	(void)n;
	_exit(127);
}

/* Waits until the child is the program, or has said why not. */
static int await_exec(pid_t pid, int report, const char *name,
		      struct buf *err)
{
	struct failure f;
	ssize_t n;

	do
		n = read(report, &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(f))
		return 0;
	waitpid(pid, NULL, 0);
	buf_setf(err, "%s: %s: %s", name, f.what, strerror(f.error));
	return -1;
}

static const struct passwd *find_user(const struct proc_spec *spec,
				      struct buf *err)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(spec->user);
	if (!pw)
		buf_setf(err, "%s: there is no user %s", spec->argv[0],
			 spec->user);
	return pw;
}

static void close_ends(const struct ends *e)
{
	const int fds[] = { e->output[0], e->output[1], e->report[0],
			    e->report[1], e->ours, e->theirs };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int open_ends(const struct proc_spec *spec, struct ends *e,
		     struct buf *err)
{
	int pair[2] = { -1, -1 };

	*e = (struct ends) { { -1, -1 }, { -1, -1 }, -1, -1 };
	if (pipe2(e->output, O_CLOEXEC) < 0 ||
	    pipe2(e->report, O_CLOEXEC) < 0 ||
	    (spec->peer && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				      pair) < 0)) {
		buf_setf(err, "%s: pipe: %s", spec->argv[0], strerror(errno));
		close_ends(e);
		return -1;
	}
	e->ours = pair[0];
	e->theirs = pair[1];
	return 0;
}

/* The caller gets his ends, the others are closed. */
static void hand_over(const struct proc_spec *spec, struct ends *e, int *out)
{
	fcntl(e->output[0], F_SETFL, O_NONBLOCK);
	*out = e->output[0];
	e->output[0] = -1;
	if (spec->peer) {
		fcntl(e->ours, F_SETFL, O_NONBLOCK);
		*spec->peer = e->ours;
		e->ours = -1;
	}
}

pid_t proc_start(const struct proc_spec *spec, int *out, struct buf *err)
{
	const struct passwd *pw = NULL;
	pid_t parent = getpid(), pid;
	struct ends e;

	if (spec->user && !(pw = find_user(spec, err)))
		return -1;
	if (open_ends(spec, &e, err) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		child_run(spec, pw, parent, &e);
	close(e.report[1]);
	e.report[1] = -1;
	if (pid < 0)
		buf_setf(err, "%s: fork: %s", spec->argv[0], strerror(errno));
	else if (await_exec(pid, e.report[0], spec->argv[0], err) < 0)
		pid = -1;
	if (pid > 0)
		hand_over(spec, &e, out);
	close_ends(&e);
	return pid;
}

static void read_to_end(int fd, struct buf *output)
{
	char chunk[4096];
	ssize_t n;

	fcntl(fd, F_SETFL, 0);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n > 0)
			buf_add(output, chunk, (size_t)n);
		else if (errno != EINTR)
			return;
	}
}

int proc_run(const struct proc_spec *spec, struct buf *output,
	     struct buf *err)
{
	int fd, status = 0;
	pid_t pid = proc_start(spec, &fd, err);

	if (pid < 0)
		return -1;
	read_to_end(fd, output);
	close(fd);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			buf_setf(err, "%s: waitpid: %s", spec->argv[0],
				 strerror(errno));
			return -1;
		}
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) :
		128 + WTERMSIG(status);
}

static bool find_in(const char *dir, size_t n, const char *program,
		    struct buf *file)
{
	size_t before = file->len;

	buf_addf(file, "%.*s/%s", (int)n, dir, program);
	if (n > 0 && access(file->data + before, X_OK) == 0)
		return true;
	buf_truncate(file, before);
	return false;
}

int proc_find(const char *program, struct buf *file)
{
	static const char servers[] = "/usr/sbin:/sbin:/usr/local/sbin";
	const char *env = getenv("PATH");
	const char *paths[] = { env ? env : "", servers };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		const char *p = paths[i];

		while (*p) {
			size_t n = strcspn(p, ":");

			if (find_in(p, n, program, file))
				return 0;
			p += n + (p[n] == ':');
		}
	}
	return -1;
}

/* The fourth word of /proc/PID/stat; the second is a name in brackets that
 * may hold anything. */
static pid_t parent_of(const char *pid)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	const char *bracket;
	int parent = -1;

	buf_addf(&path, "/proc/%s/stat", pid);
	if (file_read(path.data, 4096, &text) == 0) {
		bracket = strrchr(text.data, ')');
		if (!bracket || sscanf(bracket, ") %*c %d", &parent) != 1)
			parent = -1;
	}
	buf_free(&path);
	buf_free(&text);
	return parent;
}

size_t proc_children(pid_t pid, pid_t *children, size_t max)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	size_t n = 0;

	while (d && n < max && (e = readdir(d))) {
		uint64_t number;

		if (str_to_u64(e->d_name, &number) == 0 &&
		    parent_of(e->d_name) == pid)
			children[n++] = (pid_t)number;
	}
	if (d)
		closedir(d);
	return n;
}

void proc_add_status(struct buf *out, int status)
{
	if (WIFSIGNALED(status))
		buf_addf(out, "signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		buf_addf(out, "exit code %d", WEXITSTATUS(status));
}

int proc_command(const char *const *argv, struct buf *err)
{
	struct buf said = BUF_INIT, file = BUF_INIT;
	int code = -1;

	if (proc_find(argv[0], &file) < 0)
		buf_setf(err, "%s is not installed", argv[0]);
	else
		code = proc_run(&(struct proc_spec) {
			.argv = argv, .file = file.data }, &said, err);
	if (code > 0)
		buf_setf(err, "%s: exit code %d: %s", argv[0], code,
			 str_trim(said.data));
	buf_free(&said);
	buf_free(&file);
	return code == 0 ? 0 : -1;
}
