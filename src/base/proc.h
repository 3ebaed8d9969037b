/* Child processes: start one with its output on a pipe, run one to its end. */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

struct proc_spec {
	const char *const *argv;	/* NULL at the end */
	const char *file;	/* what is executed; NULL: argv[0] by PATH */
	const char *user;	/* run as that user and its groups; NULL: as we */
	/* Leads a session and process group of its own: a Ctrl-C on our
	 * terminal does not reach it. */
	bool session;
	/* Gets SIGTERM when the thread that started it ends, however that
	 * comes; forgotten by the kernel when a program changes its uid. */
	bool dies_with_us;
	/* For programs that do: a process of ours stands between, hands
	 * SIGTERM on and ends as the program does; with session, what the
	 * program leaves running gets SIGTERM then. The pid is that one's. */
	bool guarded;
	/* Its standard input and output are a socket, whose other end goes to
	 * *peer (non-blocking, close-on-exec, the caller's); what it says on
	 * stderr alone goes to *out. NULL: as below. */
	int *peer;
};

/* Start a child: stdin from /dev/null, stdout and stderr on one pipe, whose
 * read end goes to *out (non-blocking, close-on-exec, the caller's). Returns
 * the pid, or -1 with *err also when the program could not be executed. Of a
 * single-threaded process only. */
pid_t proc_start(const struct proc_spec *spec, int *out, struct buf *err);

/* Run to the end with its output appended to output. Returns its exit code,
 * 128 + the signal that ended it, or -1 with *err. */
int proc_run(const struct proc_spec *spec, struct buf *output,
	     struct buf *err);

/* Run a program by its name, as proc_find() finds it. Returns 0, or -1 with
 * *err unless its exit code is 0; what it said is in *err then. */
int proc_command(const char *const *argv, struct buf *err);

/* The program's file, looked for in PATH and then where servers are:
 * /usr/sbin, /sbin, /usr/local/sbin. Returns 0 with it appended to file, or
 * -1. */
int proc_find(const char *program, struct buf *file);

/* Pids of processes whose parent is pid, zombies included; at most max are
 * stored. Returns how many. */
size_t proc_children(pid_t pid, pid_t *children, size_t max);

/* Append "exit code 3" or "signal 9 (Killed)" for what wait(2) gave. */
void proc_add_status(struct buf *out, int status);

#endif
