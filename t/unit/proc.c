/* Children: what comes back of their output and their end. */
#include "tap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/str.h"

#define SH(text) { "sh", "-c", text, NULL }

static const struct {
	const char *name;
	const char *argv[4];
	int code;
	const char *want;	/* output, or the error when code is -1 */
} runs[] = {
	{ "both outputs", SH("echo a; echo b >&2"), 0, "a\nb\n" },
	{ "exit code", SH("exit 3"), 3, "" },
	{ "signal", SH("kill -9 $$"), 137, "" },
	{ "stdin is empty", SH("cat; echo end"), 0, "end\n" },
	{ "a blocked signal is not handed on", SH("kill -10 $$"), 138, "" },
	{ "much output", SH("head -c 100000 /dev/zero | tr '\\0' x | wc -c"),
	  0, "100000\n" },
	{ "no such program", { "/nonexistent", NULL }, -1,
	  "/nonexistent: executing it: No such file or directory" },
	{ "not a program", { "/etc/passwd", NULL }, -1,
	  "/etc/passwd: executing it: Permission denied" },
};

static void test_runs(bool guarded)
{
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		struct proc_spec spec = { .argv = runs[i].argv,
					  .guarded = guarded };
		struct buf out = BUF_INIT, err = BUF_INIT;
		int code = proc_run(&spec, &out, &err);

		tap_ok(code == runs[i].code, "%s%s: code %d", runs[i].name,
		       guarded ? ", guarded" : "", code);
		tap_is(code < 0 ? err.data : out.data, runs[i].want,
		       runs[i].name);
		buf_free(&out);
		buf_free(&err);
	}
}

static void test_unknown_user(void)
{
	const char *const argv[] = { "true", NULL };
	struct proc_spec spec = { .argv = argv, .user = "no-such-user" };
	struct buf err = BUF_INIT;
	int out;

	tap_ok(proc_start(&spec, &out, &err) < 0, "unknown user");
	tap_is(err.data, "true: there is no user no-such-user", "says who");
	buf_free(&err);
}

/* Waits for the end of output; false when it does not come. */
static bool output_ends(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char chunk[512];
	ssize_t n;

	while (poll(&p, 1, 5000) > 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
	}
	return false;
}

static void test_guard(void)
{
	const char *const argv[] = SH("exec sleep 60");
	struct proc_spec spec = { .argv = argv, .session = true,
				  .guarded = true };
	struct buf err = BUF_INIT;
	pid_t children[4];
	int out, status = 0;
	pid_t pid = proc_start(&spec, &out, &err);

	tap_ok(pid > 0, "a guarded child starts");
	tap_ok(proc_children(pid, children, ARRAY_LEN(children)) == 1,
	       "the program is the guard's child");
	kill(pid, SIGTERM);
	tap_ok(output_ends(out), "SIGTERM reaches the program");
	waitpid(pid, &status, 0);
	tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM,
	       "the guard ends as the program did");
	close(out);
	buf_free(&err);
}

static void test_guard_and_orphans(void)
{
	const char *const argv[] = SH("sleep 60 & kill -9 $$");
	struct proc_spec spec = { .argv = argv, .session = true,
				  .guarded = true };
	struct buf err = BUF_INIT;
	int out, status = 0;
	pid_t pid = proc_start(&spec, &out, &err);

	tap_ok(pid > 0 && output_ends(out), "what it leaves is ended");
	waitpid(pid, &status, 0);
	tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	       "and the guard ends as the program did");
	close(out);
	buf_free(&err);
}

/* The parent in between is killed: its child has to end by itself. */
static void test_dies_with_us(bool guarded)
{
	const char *const argv[] = SH("echo up; exec sleep 60");
	struct proc_spec spec = { .argv = argv, .session = true,
				  .dies_with_us = true, .guarded = guarded };
	int fds[2];
	pid_t parent;

	if (pipe(fds) < 0)
		return;
	parent = fork();
	if (parent == 0) {
		struct buf err = BUF_INIT;
		char c;
		int out;

		proc_start(&spec, &out, &err);
		while (read(out, &c, 1) < 0 && errno == EAGAIN)
			poll(NULL, 0, 10);
		kill(getpid(), SIGKILL);
	}
	close(fds[1]);
	waitpid(parent, NULL, 0);
	tap_ok(output_ends(fds[0]), "a child ends with its killed parent%s",
	       guarded ? ", guarded" : "");
	close(fds[0]);
}

static void test_find(void)
{
	struct buf file = BUF_INIT;

	buf_adds(&file, "=");
	tap_ok(proc_find("sh", &file) == 0 && str_starts(file.data, "=/") &&
	       str_ends(file.data, "/sh"), "sh is found");
	buf_reset(&file);
	tap_ok(proc_find("no-such-program", &file) < 0 && file.len == 0,
	       "another is not");
	buf_free(&file);
}

static void test_command(void)
{
	struct buf err = BUF_INIT;

	tap_ok(proc_command((const char *[]) { "true", NULL }, &err) == 0,
	       "a command");
	tap_ok(proc_command((const char *[]) { "sh", "-c",
			"echo why; exit 3", NULL }, &err) < 0,
	       "one that fails");
	tap_is(err.data, "sh: exit code 3: why", "with what it said");
	tap_ok(proc_command((const char *[]) { "no-such-program", NULL },
			    &err) < 0, "one that is not there");
	tap_is(err.data, "no-such-program is not installed", "and it is named");
	buf_free(&err);
}

int main(void)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	signal(SIGPIPE, SIG_IGN);
	test_runs(false);
	test_runs(true);
	test_unknown_user();
	test_guard();
	test_guard_and_orphans();
	test_dies_with_us(false);
	test_dies_with_us(true);
	test_find();
	test_command();
	return tap_done();
}
