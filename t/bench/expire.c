/* expire, looking through many mailboxes, against find(1) on the same files:
 * CPU time, and the memory that it takes. */
#include "t/bench/role.h"

enum { RUNS = 5, DAYS = 15 };
static const double TARGET = 1.5;

/* Both trees are measured, one after the other. */
static const struct {
	int mailboxes, messages;
} trees[] = { { 10000, 5 }, { 1000, 500 } };

/* ---- the files ------------------------------------------------------------------ */

/* A message as Dovecot names it, younger than what is deleted. */
static void make_message(int dir, int box, int i, time_t at)
{
	struct timespec times[2] = { { .tv_sec = at }, { .tv_sec = at } };
	char name[128];
	int fd;

	snprintf(name, sizeof(name), "cur/%lld.M%06dP%d.chat,S=%d,W=%d:2,S",
		 (long long)at, i, 1000 + box, 3000 + i, 3050 + i);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 3000 + i) < 0 || futimens(fd, times) < 0)
		die_errno("%s", name);
	close(fd);
}

static void make_box(const char *root, int box, int messages)
{
	static const char *const subs[] = { "cur", "new", "tmp" };
	static const char *const files[] = {
		"password", "maildirsize", "dovecot-uidlist", "dovecot.index.log",
	};
	struct buf path = BUF_INIT;
	time_t now = time(NULL);
	int dir;

	buf_addf(&path, "%s/u%08d@" BENCH_DOMAIN, root, box);
	if (file_mkdirs(path.data, 0755) < 0)
		die_errno("%s", path.data);
	dir = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(subs); i++)
		if (mkdirat(dir, subs[i], 0755) < 0)
			die_errno("%s/%s", path.data, subs[i]);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		close(openat(dir, files[i], O_WRONLY | O_CREAT | O_CLOEXEC,
			     0600));
	for (int i = 0; i < messages; i++)
		make_message(dir, box, i,
			     now - (time_t)i * DAYS * 86400 / messages);
	close(dir);
	buf_free(&path);
}

/* ---- the runs ------------------------------------------------------------------- */

/* Run a program with its output thrown away; adds its CPU time in ms. Returns
 * its greatest memory in KB. */
static long run(const char *const *argv, struct samples *ms)
{
	struct rusage used;
	int status, null;
	pid_t pid = fork();

	if (pid == 0) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid)
		die_errno("%s", argv[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		failed("%s did not work", argv[0]);
		return 0;
	}
	samples_add(ms, (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 +
		    (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3);
	return used.ru_maxrss;
}

static void measure(const char *what, const char *root, const char *ini)
{
	const char *find[] = {
		"find", root, "-type", "f", "-printf", "%T@ %s\n", NULL,
	};
	const char *expire[] = { bench.program, "expire", ini, NULL };
	struct samples theirs = { 0 }, ours = { 0 }, ignored = { 0 };
	double find_ms, expire_ms;
	long rss = 0;

	/* both once before, so that the cache has everything */
	run(find, &ignored);
	run(expire, &ignored);
	for (int i = 0; i < RUNS; i++) {
		progress("%s: run %d of %d", what, i + 1, RUNS);
		run(find, &theirs);
		rss = run(expire, &ours);
	}
	find_ms = samples_quantile(&theirs, .5);
	expire_ms = samples_quantile(&ours, .5);
	row(find_ms, "ms", 0, "%s: CPU of find -printf '%%T@ %%s'", what);
	row(expire_ms, "ms", 0, "%s: CPU of expire, median of %d", what, RUNS);
	if (find_ms > 0)
		row(expire_ms / find_ms, "times", TARGET, "%s: expire / find",
		    what);
	row(rss, "KB", 0, "%s: peak RSS of expire", what);
	samples_free(&theirs);
	samples_free(&ours);
	samples_free(&ignored);
}

static void measure_tree(int mailboxes, int messages)
{
	char *root = bench_path("mail%d", messages);
	char *ini = bench_path("expire%d.ini", messages);
	struct buf text = BUF_INIT, what = BUF_INIT;

	for (int i = 0; i < mailboxes; i++) {
		progress("making mailbox %d of %d", i + 1, mailboxes);
		make_box(root, i, messages);
	}
	buf_addf(&text, "[params]\nmail_domain = " BENCH_DOMAIN "\n"
		 "mailboxes_dir = %s\n", root);
	write_file(ini, text.data);
	buf_addf(&what, "expire: %d x %d messages", mailboxes, messages);
	measure(what.data, root, ini);
	buf_free(&text);
	buf_free(&what);
	free(root);
	free(ini);
}

int main(int argc, char **argv)
{
	bench_init(argc, argv, 300);
	if (!has_role("expire")) {
		row_skipped("expire: not in this binary");
		return bench_end();
	}
	for (size_t i = 0; i < ARRAY_LEN(trees); i++)
		measure_tree(trees[i].mailboxes, trees[i].messages);
	return bench_end();
}
