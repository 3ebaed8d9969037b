/* A resident role of the binary that is measured: its files, its start and
 * end, its CPU time and memory. */
#ifndef BENCH_ROLE_H
#define BENCH_ROLE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/proc.h"
#include "t/bench/bench.h"

#define BENCH_DOMAIN "bench.example"

struct role {
	pid_t pid;
	double start_secs;	/* from fork(2) to READY=1, which follows
				 * listen(2) */
};

/* ---- files ------------------------------------------------------------------ */

/* A path in the benchmark's directory, to be freed. */
__attribute__((format(printf, 1, 2)))
static inline char *bench_path(const char *fmt, ...)
{
	struct buf path = BUF_INIT;
	va_list ap;

	buf_addf(&path, "%s/", bench.dir);
	va_start(ap, fmt);
	buf_vaddf(&path, fmt, ap);
	va_end(ap);
	return buf_detach(&path);
}

static inline void write_file(const char *path, const char *text)
{
	if (file_replace(path, text, strlen(text), 0644, 0) < 0)
		die_errno("%s", path);
}

/* chatmail.ini and the directory of the mailboxes. No limit stands in the way:
 * the load of the benchmark itself must not stop the creation of accounts. */
static inline void make_ini(const char *settings)
{
	char *path = bench_path("chatmail.ini"), *mail = bench_path("mail");
	struct buf ini = BUF_INIT;

	if (file_mkdirs(mail, 0755) < 0)
		die_errno("%s", mail);
	buf_addf(&ini, "[params]\nmail_domain = " BENCH_DOMAIN "\n"
		 "mailboxes_dir = %s\nnocreate_file = %s/nocreate\n"
		 "max_load_1m = 100000\nmin_available_memory = 1\n"
		 "min_free_disk_space = 1\n"
		 "max_user_send_per_minute = 1000000\n"
		 "max_user_send_burst_size = 1000000\n%s", mail, bench.dir,
		 settings);
	write_file(path, ini.data);
	buf_free(&ini);
	free(mail);
	free(path);
}

/* An account as it is on disk; the hash is not looked at. */
static inline void make_user(const char *name)
{
	char *dir = bench_path("mail/%s@" BENCH_DOMAIN, name);
	char *password = bench_path("mail/%s@" BENCH_DOMAIN "/password", name);

	if (file_mkdirs(dir, 0755) < 0)
		die_errno("%s", dir);
	write_file(password, "{SHA512-CRYPT}$6$abcdefghijklmnop$"
		   "1ywE3Z8GsVZ4Vq0RhjKBnF0Yx8WmE0mVZ6sZ1K5hZxqkZ7kX0mB5i"
		   "9Z0dG1xq3Vb7nT2cUe4LwRyP6oAtSuHf0");
	free(dir);
	free(password);
}

/* A port of 127.0.0.1 that nobody listens on at the moment. */
static inline unsigned free_port(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		die_errno("a free port");
	close(fd);
	return ntohs(a.sin_port);
}

/* ---- start and end ------------------------------------------------------------ */

/* Is the role in the binary? Only before threads are started. */
static inline bool has_role(const char *name)
{
	const char *argv[] = { bench.program, "--list", NULL };
	const struct proc_spec spec = { .argv = argv };
	struct buf list = BUF_INIT, err = BUF_INIT, line = BUF_INIT;
	bool found;

	if (proc_run(&spec, &list, &err) != 0)
		die("%s --list: %s", bench.program, err.data);
	buf_addf(&line, "%s\n", name);
	found = strstr(list.data, line.data) != NULL;
	buf_free(&list);
	buf_free(&line);
	return found;
}

/* Where the role tells that it is ready, as it tells systemd. */
static inline int notify_socket(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval tick = { .tv_usec = 100000 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	unlink(path);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) < 0)
		die_errno("%s", path);
	return fd;
}

static inline void role_exec(const char *const *argv, const char *notify)
{
	char *path = bench_path("log");
	int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("NOTIFY_SOCKET", notify, 1);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execv(bench.program, (char *const *)argv);
	_exit(127);
}

static inline void show_log(void)
{
	char *path = bench_path("log");
	struct buf text = BUF_INIT;

	if (file_read(path, 1 << 30, &text) == 0)
		fputs(text.data + (text.len > 2000 ? text.len - 2000 : 0),
		      stderr);
	buf_free(&text);
	free(path);
}

/* args stand after the program's name, NULL at the end. Ends the benchmark when the role does not start. Of the main thread
 * only: the role dies with the thread that started it. */
static inline void role_start(struct role *r, const char *const *args)
{
	const char *argv[8] = { bench.program };
	char *path = bench_path("notify"), text[64];
	int fd = notify_socket(path);
	double start = now();
	ssize_t n;

	for (size_t i = 0; i + 2 < ARRAY_LEN(argv) && args[i]; i++)
		argv[i + 1] = args[i];
	r->pid = fork();
	if (r->pid < 0)
		die_errno("fork");
	if (!r->pid)
		role_exec(argv, path);
	while ((n = recv(fd, text, sizeof(text), 0)) < 0)
		if (waitpid(r->pid, NULL, WNOHANG) != 0 || now() > start + 10) {
			show_log();
			die("%s does not start", args[0]);
		}
	r->start_secs = now() - start;
	if (n < 7 || memcmp(text, "READY=1", 7) != 0)
		die("%s says %.*s at its start", args[0], (int)n, text);
	close(fd);
	free(path);
}

static inline void role_stop(struct role *r, const char *name)
{
	int status;

	if (waitpid(r->pid, &status, WNOHANG) == 0) {
		kill(r->pid, SIGTERM);
		waitpid(r->pid, &status, 0);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		show_log();
		failed("%s ended with status %d", name, status);
	}
}

/* ---- figures ------------------------------------------------------------------ */

/* CPU seconds of all threads so far. */
static inline double role_cpu(const struct role *r)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (clock_getcpuclockid(r->pid, &clock) == 0)
		clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* "KEY:  123 kB" of a file of /proc/PID. */
static inline double role_kb(const struct role *r, const char *file,
			     const char *key)
{
	char path[64], line[256];
	double kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)r->pid, file);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			kb = strtod(line + strlen(key), NULL);
	if (f)
		fclose(f);
	if (!kb)
		failed("%s has no %s", path, key);
	return kb;
}

static inline double role_rss(const struct role *r)
{
	return role_kb(r, "smaps_rollup", "Rss:");
}

static inline double role_pss(const struct role *r)
{
	return role_kb(r, "smaps_rollup", "Pss:");
}

/* Largest RSS since role_reset_peak(). */
static inline double role_peak(const struct role *r)
{
	return role_kb(r, "status", "VmHWM:");
}

static inline void role_reset_peak(const struct role *r)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)r->pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "5", 1) != 1)
		failed("%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

#endif
