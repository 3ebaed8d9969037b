/* What is made of commands: their output, files, root. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/rand.h"
#include "base/str.h"
#include "host/ssh_session.h"

enum { STDERR_MAX = 2000, SHORT_EXIT = 78, TMP_CHARS = 8, ASK_SECS = 60 };

/* ---- output ----------------------------------------------------------------- */

struct collect {
	struct ssh_command command;
	struct buf *out;	/* NULL: dropped */
	size_t max, taken;
	struct buf errors;
};

static void collect_stdout(struct ssh_command *c, char *line, size_t len)
{
	struct collect *k = container_of(c, struct collect, command);

	bool whole = len < SSH_LINE_MAX;

	k->taken += len + whole;
	if (!k->out || k->taken > k->max)
		return;
	buf_add(k->out, line, len);
	if (whole)
		buf_addc(k->out, '\n');
}

static void collect_stderr(struct ssh_command *c, char *line, size_t len)
{
	struct collect *k = container_of(c, struct collect, command);

	if (k->errors.len > STDERR_MAX)
		return;
	buf_adds(&k->errors, k->errors.len ? "; " : "");
	buf_add_printable(&k->errors, line, len);
	buf_truncate(&k->errors, STDERR_MAX);
}

/* Run it; what it wrote to stderr goes to errors. */
static int collect_run(struct ssh *s, struct collect *k, struct buf *err)
{
	k->command.on_stdout = collect_stdout;
	k->command.on_stderr = collect_stderr;
	return ssh_run(s, &k->command, err);
}

/* "PLACE: WHAT: exit code 1: what it said" */
static int fail_status(const struct ssh *s, const char *what,
		       const struct collect *k, struct buf *err)
{
	struct buf status = BUF_INIT;

	ssh_add_status(&status, &k->command);
	buf_setf(err, "%s: %s: %s%s%s", s->settings.place, what, status.data,
		 k->errors.len ? ": " : "", k->errors.data);
	buf_free(&status);
	return -1;
}

int ssh_output(struct ssh *s, const char *command, bool as_root, size_t max,
	       struct buf *out, struct buf *err)
{
	struct collect k = { .command = { .command = command,
					  .as_root = as_root },
			     .out = out, .max = max, .errors = BUF_INIT };
	struct buf what = BUF_INIT;
	size_t before = out->len;
	int ret = collect_run(s, &k, err);

	buf_add_printable(&what, command, strnlen(command, 80));
	if (ret == 0 && k.command.exit_code != 0) {
		ret = fail_status(s, what.data, &k, err);
	} else if (ret == 0 && k.taken > max) {
		buf_setf(err, "%s: %s: more than %zu bytes of output",
			 s->settings.place, what.data, max);
		ret = -1;
	}
	if (ret < 0)
		buf_truncate(out, before);
	buf_free(&what);
	buf_free(&k.errors);
	return ret;
}

/* ---- files ------------------------------------------------------------------ */

struct put {
	struct collect collect;
	struct ssh_file *file;
	uint64_t sent;
};

static ssize_t put_read(struct put *p, char *out, size_t n)
{
	ssize_t got;

	if (p->file->data) {
		memcpy(out, p->file->data + p->sent, n);
		return (ssize_t)n;
	}
	do
		got = read(p->file->fd, out, n);
	while (got < 0 && errno == EINTR);
	return got;
}

static ssize_t put_input(struct ssh_command *c, char *out, size_t n,
			 struct buf *err)
{
	struct put *p = container_of(c, struct put, collect.command);
	uint64_t left = p->file->size - p->sent;
	ssize_t got;

	if (!left)
		return 0;
	got = put_read(p, out, left < n ? (size_t)left : n);
	if (got <= 0) {
		buf_setf(err, "%s: %s", p->file->path, got < 0 ?
			 strerror(errno) : "what was to be copied has become "
			 "shorter");
		return -1;
	}
	p->sent += (uint64_t)got;
	if (p->file->on_progress)
		p->file->on_progress(p->file, p->sent);
	return got;
}

/* When the connection breaks, cat(1) sees the end of its input like any other:
 * only the size tells. */
static void add_script(struct buf *out, const struct ssh_file *f)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	char random[TMP_CHARS + 1];
	struct buf tmp = BUF_INIT;

	rand_string(random, TMP_CHARS, letters);
	buf_addf(&tmp, "%s.tmp-%s", f->path, random);
	buf_adds(out, "p=");
	buf_add_shell(out, f->path);
	buf_adds(out, " t=");
	buf_add_shell(out, tmp.data);
	buf_addf(out, "\n"
		 "umask 077\n"
		 "[ ! -d \"$p\" ] || { echo \"$p is a directory\" >&2; exit 1; }\n"
		 "trap 'rm -f \"$t\"' EXIT\n"
		 "trap 'exit 1' HUP INT TERM\n"
		 "cat > \"$t\" || exit 1\n"
		 "[ $(($(wc -c < \"$t\"))) -eq %" PRIu64 " ] || exit %d\n"
		 "chmod %04o \"$t\" && mv -f \"$t\" \"$p\"\n", f->size,
		 SHORT_EXIT, f->mode & 07777);
	buf_free(&tmp);
}

int ssh_put(struct ssh *s, struct ssh_file *f, struct buf *err)
{
	struct put p = { .file = f, .collect = { .errors = BUF_INIT } };
	struct ssh_command *c = &p.collect.command;
	struct buf script = BUF_INIT, what = BUF_INIT;
	int ret;

	add_script(&script, f);
	c->command = script.data;
	c->as_root = f->as_root;
	c->on_input = put_input;
	ret = collect_run(s, &p.collect, err);
	buf_addf(&what, "copying %s", f->path);
	if (ret == 0 && c->exit_code == SHORT_EXIT) {
		buf_setf(err, "%s: %s: not all of it arrived",
			 s->settings.place, what.data);
		ret = -1;
	} else if (ret == 0 && c->exit_code != 0) {
		ret = fail_status(s, what.data, &p.collect, err);
	}
	buf_free(&script);
	buf_free(&what);
	buf_free(&p.collect.errors);
	return ret;
}

/* ---- root ------------------------------------------------------------------- */

static const struct {
	const char *answer, *prefix;
} ways[] = {
	{ "chatmail-root:we", "" },
	{ "chatmail-root:sudo", "sudo -n " },
	{ "chatmail-root:doas", "doas -n " },
};

/* The answer is looked for: a login shell may greet before it. */
static const char root_script[] =
	"is='[ \"$(id -u)\" = 0 ]'\n"
	"if sh -c \"$is\"; then echo chatmail-root:we\n"
	"elif sudo -n sh -c \"$is\" 2>/dev/null </dev/null; then\n"
	"	echo chatmail-root:sudo\n"
	"elif doas -n sh -c \"$is\" 2>/dev/null </dev/null; then\n"
	"	echo chatmail-root:doas\n"
	"else echo chatmail-root:no; fi\n";

int ssh_become_root(struct ssh *s, struct buf *err)
{
	struct buf out = BUF_INIT;
	struct collect k = { .command = { .command = root_script,
					  .secs = ASK_SECS },
			     .out = &out, .max = 1 << 20, .errors = BUF_INIT };
	int ret = collect_run(s, &k, err);

	for (size_t i = 0; ret == 0 && i < ARRAY_LEN(ways); i++)
		if (strstr(out.data, ways[i].answer))
			s->root = ways[i].prefix;
	if (ret == 0 && !s->root && strstr(out.data, "chatmail-root:no"))
		buf_setf(err, "%s: %s is not root, and neither sudo nor doas "
			 "lets %s run commands without a password",
			 s->settings.place, s->settings.user,
			 s->settings.user);
	else if (ret == 0 && !s->root)
		fail_status(s, "finding out how to be root", &k, err);
	buf_free(&out);
	buf_free(&k.errors);
	return s->root ? 0 : -1;
}
