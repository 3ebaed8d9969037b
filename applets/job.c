/* chatmail job: what cron starts, as systemd would run it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "applet.h"
#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/jobnote.h"

enum { LINE_MAX_LOGGED = 4096 };

/* It names files. */
static bool is_name(const char *name)
{
	return *name && *name != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
	       strlen(name);
}

/* What it prints is a report, and belongs to the log as well; on a terminal
 * somebody waits for it. */
static void log_lines(int fd)
{
	struct buf line = BUF_INIT;
	char chunk[4096];
	ssize_t n;

	fcntl(fd, F_SETFL, 0);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		for (ssize_t i = 0; i < n; i++) {
			if (chunk[i] != '\n' && line.len < LINE_MAX_LOGGED)
				buf_addc(&line, chunk[i]);
			if (chunk[i] != '\n')
				continue;
			if (line.len)
				log_info("%s", line.data);
			buf_reset(&line);
		}
	}
	if (line.len)
		log_info("%s", line.data);
	buf_free(&line);
}

/* Returns its exit code, 128 + a signal. */
static int run(char **argv, const char *user)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct buf err = BUF_INIT;
	int fd, status;
	pid_t pid;

	if (n < 0)
		die_errno("/proc/self/exe");
	self[n] = '\0';
	argv[0] = self;
	pid = proc_start(&(struct proc_spec) {
		.argv = (const char *const *)argv, .file = self,
		.user = strcmp(user, "root") == 0 ? NULL : user,
		.dies_with_us = true }, &fd, &err);
	if (pid < 0)
		die("%s", err.data);
	log_lines(fd);
	close(fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die_errno("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   128 + WTERMSIG(status);
}

static int run_noted(char **argv, const char *name, const char *user)
{
	struct jobnote note = { .began = time(NULL) };
	struct buf err = BUF_INIT;

	if (jobnote_write(name, &note, &err) < 0)
		log_warn("%s", err.data);
	note.status = run(argv, user);
	note.ended = time(NULL);
	if (jobnote_write(name, &note, &err) < 0)
		log_warn("%s", err.data);
	if (note.status)
		log_warn("failed: exit code %d", note.status);
	buf_free(&err);
	return note.status;
}

static int job_main(int argc, char **argv)
{
	struct buf lock = BUF_INIT;
	int fd, ret;

	if (argc < 4 || !is_name(argv[1]))
		return applet_usage(&applet_job, "a name, a user and what to "
				    "run are needed");
	if (geteuid() != 0)
		die("cron runs it as root");
	if (!isatty(STDOUT_FILENO)) {
		setenv("CHATMAIL_SYSLOG", argv[1], 1);
		log_init(argv[1]);
	}
	buf_addf(&lock, "/run/chatmail-job-%s.lock", argv[1]);
	fd = file_lock(lock.data, 0);
	if (fd < 0 && errno == EWOULDBLOCK)
		die("it still runs since the last time");
	if (fd < 0)
		die_errno("%s", lock.data);
	ret = run_noted(argv + 2, argv[1], argv[2]);
	close(fd);
	buf_free(&lock);
	return ret;
}

DEFINE_APPLET(job) {
	.name = "job",
	.summary = "run a daily job where cron starts it",
	.args = "NAME USER PERSONALITY [ARGUMENT...]",
	.help =
"Runs another personality of this program as USER, sends what it says to the\n"
"system log under NAME, and notes when it ran and how it ended, for 'chatmail\n"
"status'. Without systemd, whose timers do the same, cron calls it. One that\n"
"still runs is not started a second time. The exit code is the job's.\n"
"\n"
"Example: chatmail job chatmail-expire vmail expire --remove\n",
	.main = job_main,
};
