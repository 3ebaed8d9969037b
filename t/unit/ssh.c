/* Uses src/host/ssh as an operator's command would, and says what happens, a
 * line each; t/1500-ssh-login.t and t/1510-ssh-run.t call it. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/opt.h"
#include "base/str.h"
#include "host/ask.h"
#include "host/ssh.h"

static const char *identity, *answer, *passphrase, *feed, *input, *mode;
static const char *connect_secs, *answer_secs, *silence_secs, *secs, *stop;
static bool as_root, on_tty, count_only;

static const struct opt opts[] = {
	{ "i", .value = &identity },
	{ "answer", .value = &answer },		/* to the host key question */
	{ "passphrase", .value = &passphrase },
	{ "tty", .flag = &on_tty },		/* ask there instead */
	{ "root", .flag = &as_root },
	{ "count", .flag = &count_only },	/* the output */
	{ "input", .value = &input },		/* for the commands */
	{ "feed", .value = &feed },		/* so many bytes instead */
	{ "stop", .value = &stop },		/* feeding after so many */
	{ "mode", .value = &mode },
	{ "connect-secs", .value = &connect_secs },
	{ "answer-secs", .value = &answer_secs },
	{ "silence-secs", .value = &silence_secs },
	{ "secs", .value = &secs },
	{ NULL }
};

static unsigned number(const char *text)
{
	uint64_t v = 0;

	if (text && str_to_u64(text, &v) < 0)
		exit(2);
	return (unsigned)v;
}

static void say(const char *what, const char *text)
{
	printf("%s: %s\n", what, text);
	fflush(stdout);
}

static bool confirm(const struct ssh_options *o, const char *question)
{
	if (on_tty)
		return ask_yes(question);
	say("question", question);
	return strcmp(answer, "yes") == 0;
}

static int give_passphrase(const struct ssh_options *o, const char *prompt,
			   struct buf *secret)
{
	if (on_tty)
		return ask_secret(prompt, secret);
	say("prompt", prompt);
	buf_setf(secret, "%s", passphrase);
	return 0;
}

static void notice(const struct ssh_options *o, const char *text)
{
	say("notice", text);
}

static uint64_t out_lines, out_bytes, fed;

static void on_stdout(struct ssh_command *c, char *line, size_t len)
{
	out_lines++;
	out_bytes += len + (len < SSH_LINE_MAX);
	if (!count_only)
		say("out", line);
}

static void on_stderr(struct ssh_command *c, char *line, size_t len)
{
	say("err", line);
}

static ssize_t on_input(struct ssh_command *c, char *p, size_t n,
			struct buf *err)
{
	uint64_t left = number(feed) - fed;

	if (stop && fed >= number(stop)) {
		buf_setf(err, "stopped");
		return -1;
	}
	if (left < n)
		n = (size_t)left;
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + (fed + i) % 23);
	fed += n;
	return (ssize_t)n;
}

static int run(struct ssh *s, const char *text, struct buf *err)
{
	struct ssh_command c = { .command = text, .as_root = as_root,
				 .secs = number(secs), .on_stdout = on_stdout,
				 .on_stderr = on_stderr };
	struct buf status = BUF_INIT;

	out_lines = out_bytes = fed = 0;
	if (feed)
		c.on_input = on_input;
	c.input = input;
	c.input_len = input ? strlen(input) : 0;
	if (ssh_run(s, &c, err) < 0)
		return -1;
	ssh_add_status(&status, &c);
	if (count_only)
		buf_addf(&status, ", %" PRIu64 " lines, %" PRIu64 " bytes",
			 out_lines, out_bytes);
	say("status", status.data);
	buf_free(&status);
	return 0;
}

static int run_all(struct ssh *s, int argc, char **argv, struct buf *err)
{
	for (int i = 0; i < argc; i++)
		if (run(s, argv[i], err) < 0)
			return -1;
	return 0;
}

static int output_all(struct ssh *s, int argc, char **argv, struct buf *err)
{
	struct buf out = BUF_INIT;

	for (int i = 0; i < argc; i++) {
		struct buf again = BUF_INIT;

		if (ssh_output(s, argv[i], as_root, 200000, &out, &again) < 0)
			say("failed", again.data);
		buf_free(&again);
	}
	printf("output: %zu\n%s", out.len, out.len < 1000 ? out.data : "");
	buf_free(&out);
	return 0;
}

static uint64_t progress;

static void on_progress(struct ssh_file *f, uint64_t sent)
{
	if (sent < progress)
		say("progress", "went back");
	progress = sent;
}

/* LOCAL REMOTE */
static int put(struct ssh *s, int argc, char **argv, struct buf *err)
{
	struct ssh_file f = { .path = argv[1], .as_root = as_root,
			      .mode = (unsigned)strtoul(mode ? mode : "644",
							NULL, 8),
			      .on_progress = on_progress };
	struct stat st;
	int ret;

	f.fd = open(argv[0], O_RDONLY);
	if (f.fd < 0 || fstat(f.fd, &st) < 0)
		exit(2);
	/* feed: what it says that it has; input: the bytes themselves */
	f.size = feed ? number(feed) : (uint64_t)st.st_size;
	if (input) {
		f.data = input;
		f.size = strlen(input);
	}
	ret = ssh_put(s, &f, err);
	close(f.fd);
	if (ret == 0)
		printf("put: %" PRIu64 " of %" PRIu64 "\n", progress, f.size);
	return ret;
}

static int login(struct ssh *s, int argc, char **argv, struct buf *err)
{
	printf("logged in: %s@%s\n", ssh_user(s), ssh_place(s));
	return 0;
}

static const struct {
	const char *name;
	int (*act)(struct ssh *s, int argc, char **argv, struct buf *err);
} actions[] = {
	{ "login", login }, { "run", run_all }, { "output", output_all },
	{ "put", put },
};

static int with_ssh(int argc, char **argv)
{
	struct ssh_options o = { .target = argv[2], .identity = identity,
				 .connect_secs = number(connect_secs),
				 .answer_secs = number(answer_secs),
				 .silence_secs = number(silence_secs),
				 .notice = notice };
	struct buf err = BUF_INIT;
	struct ssh *s;
	int ret = -1;

	if (answer || on_tty)
		o.confirm = confirm;
	if (passphrase || on_tty)
		o.passphrase = give_passphrase;
	s = ssh_connect(&o, &err);
	if (s && (!as_root || ssh_become_root(s, &err) == 0))
		for (size_t i = 0; i < ARRAY_LEN(actions); i++)
			if (strcmp(argv[1], actions[i].name) == 0)
				ret = actions[i].act(s, argc - 3, argv + 3,
						     &err);
	ssh_close(s);
	if (ret < 0)
		say("error", err.data);
	buf_free(&err);
	return ret < 0;
}

static int ask_on_tty(const char *what)
{
	struct buf secret = BUF_INIT;

	if (strcmp(what, "yes") == 0)
		say("answer", ask_yes("really? ") ? "yes" : "no");
	else if (ask_secret("secret: ", &secret) < 0)
		say("secret", "none");
	else
		printf("secret: [%s]\n", secret.data);
	buf_free(&secret);
	return 0;
}

int main(int argc, char **argv)
{
	struct buf err = BUF_INIT;

	if (argc == 1) {
		printf("1..0 # SKIP t/1500-ssh-login.t and t/1510-ssh-run.t call it\n");
		return 0;
	}
	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 3) {
		fprintf(stderr, "%s\n", err.data);
		return 2;
	}
	if (strcmp(argv[1], "ask") == 0)
		return ask_on_tty(argv[2]);
	return with_ssh(argc, argv);
}
