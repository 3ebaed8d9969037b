#include "host/remote.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "host/ask.h"

enum { NOT_FOUND = 127 };	/* exit code of a shell for no such command */

bool remote_is_here(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "@local") == 0;
}

static bool confirm(const struct ssh_options *o, const char *question)
{
	return ask_yes(question);
}

static int passphrase(const struct ssh_options *o, const char *prompt,
		      struct buf *secret)
{
	return ask_secret(prompt, secret);
}

static void notice(const struct ssh_options *o, const char *text)
{
	fprintf(stderr, "%s\n", text);
}

struct ssh *remote_connect(const char *target, const char *identity,
			   struct buf *err)
{
	const struct ssh_options o = {
		.target = target, .identity = identity, .confirm = confirm,
		.passphrase = passphrase, .notice = notice,
	};
	struct ssh *s = ssh_connect(&o, err);

	if (s && ssh_become_root(s, err) < 0) {
		ssh_close(s);
		s = NULL;
	}
	return s;
}

struct answer {
	struct ssh_command command;
	struct buf *out;
	size_t max;
	struct buf said;
};

static void add_line(struct buf *out, size_t max, const char *line, size_t n)
{
	if (out->len + n + 1 > max)
		return;
	buf_add(out, line, n);
	if (n < SSH_LINE_MAX)	/* else it goes on */
		buf_addc(out, '\n');
}

static void on_stdout(struct ssh_command *c, char *line, size_t n)
{
	struct answer *a = container_of(c, struct answer, command);

	add_line(a->out, a->max, line, n);
}

static void on_stderr(struct ssh_command *c, char *line, size_t n)
{
	struct answer *a = container_of(c, struct answer, command);

	add_line(&a->said, 4096, line, n);
}

static int ask(struct ssh *s, struct answer *a, struct buf *err)
{
	if (ssh_run(s, &a->command, err) < 0)
		return -1;
	if (a->command.exit_code == NOT_FOUND)
		buf_setf(err, "%s: there is no chatmail on this host; 'chatmail "
			 "deploy' brings it", ssh_place(s));
	else if (a->out->len == 0)
		buf_setf(err, "%s: %s", ssh_place(s), a->said.len ?
			 str_trim(a->said.data) : "chatmail answers nothing");
	else
		return 0;
	return -1;
}

int remote_ask(const char *target, const char *identity, const char *args,
	       size_t max, struct buf *out, int *exit_code, struct buf *err)
{
	struct buf command = BUF_INIT;
	struct ssh *s = remote_connect(target, identity, err);
	struct answer a = {
		.command = {
			.as_root = true, .on_stdout = on_stdout,
			.on_stderr = on_stderr,
		},
		.out = out, .max = max, .said = BUF_INIT,
	};
	int ret = -1;

	if (s) {
		buf_addf(&command, "/usr/local/bin/chatmail %s", args);
		a.command.command = command.data;
		ret = ask(s, &a, err);
		*exit_code = a.command.exit_code;
	}
	ssh_close(s);
	buf_free(&command);
	buf_free(&a.said);
	return ret;
}
