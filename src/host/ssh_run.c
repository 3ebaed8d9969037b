/* Commands on the host, over one channel each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "host/ssh_session.h"

enum {
	CHUNK = 32 * 1024,	/* what libssh2 sends in one packet */
	CLOSE_SECS = 10,
	STDOUT = 0, STDERR = SSH_EXTENDED_DATA_STDERR,
};

/* A call that libssh2 has begun and has to be given again before any other. */
enum stuck { NOTHING, WRITING, READING };

struct output {
	struct buf line;
	void (*on_line)(struct ssh_command *c, char *line, size_t len);
};

struct run {
	struct ssh *ssh;
	struct ssh_command *command;
	LIBSSH2_CHANNEL *channel;
	double end;		/* 0: none */
	char *chunk;		/* for input and output */
	/* Input that was taken and not yet sent. */
	const char *pending;
	size_t pending_len;
	char *input_chunk;
	bool input_over, eof_sent;
	enum stuck stuck;
	struct output out, errors;
};

static const char running[] = "running a command";

/* ---- input ------------------------------------------------------------------ */

static int take_input(struct run *r, struct buf *err)
{
	struct ssh_command *c = r->command;
	ssize_t n;

	if (!c->on_input) {
		r->pending = c->input;
		r->pending_len = c->input_len;
		r->input_over = true;
		return 0;
	}
	n = c->on_input(c, r->input_chunk, CHUNK, err);
	if (n < 0)
		return -1;
	r->pending = r->input_chunk;
	r->pending_len = (size_t)n;
	r->input_over = n == 0;
	return 0;
}

/* 1 something was sent, 0 nothing can be just now, -1 *err. */
static int send_some(struct run *r, struct buf *err)
{
	ssize_t n;

	if (!r->pending_len && !r->input_over && take_input(r, err) < 0)
		return -1;
	r->stuck = NOTHING;
	if (r->pending_len)
		n = libssh2_channel_write(r->channel, r->pending,
					  r->pending_len);
	else
		n = libssh2_channel_send_eof(r->channel);
	if (n == LIBSSH2_ERROR_EAGAIN) {
		if (libssh2_session_block_directions(r->ssh->session) &
		    LIBSSH2_SESSION_BLOCK_OUTBOUND)
			r->stuck = WRITING;
		return 0;
	}
	if (n < 0)
		return ssh_fail(r->ssh, running, err);
	if (!r->pending_len) {
		r->eof_sent = true;
		return 1;
	}
	r->pending += n;
	r->pending_len -= (size_t)n;
	return n > 0;
}

/* ---- output ----------------------------------------------------------------- */

static void give_line(struct run *r, struct output *o)
{
	if (o->on_line)
		o->on_line(r->command, o->line.data, o->line.len);
	buf_reset(&o->line);
}

static void take_output(struct run *r, struct output *o, const char *p,
			size_t n)
{
	while (n) {
		const char *nl = memchr(p, '\n', n);
		size_t len = nl ? (size_t)(nl - p) : n;
		size_t room = SSH_LINE_MAX - o->line.len;
		bool full = len >= room;

		if (full)
			len = room;
		buf_add(&o->line, p, len);
		p += len;
		n -= len;
		if (full) {
			give_line(r, o);
		} else if (nl) {
			give_line(r, o);
			p++;
			n--;
		}
	}
}

/* 1 something came, 0 nothing just now, -1 *err. */
static int receive_some(struct run *r, int stream, struct output *o,
			struct buf *err)
{
	ssize_t n = libssh2_channel_read_ex(r->channel, stream, r->chunk,
					    CHUNK);

	r->stuck = NOTHING;
	if (n == LIBSSH2_ERROR_EAGAIN) {
		if (libssh2_session_block_directions(r->ssh->session) &
		    LIBSSH2_SESSION_BLOCK_OUTBOUND)
			r->stuck = READING;
		return 0;
	}
	if (n < 0)
		return ssh_fail(r->ssh, running, err);
	take_output(r, o, r->chunk, (size_t)n);
	return n > 0;
}

/* Reading one stream takes in the other's data from the socket as well, and
 * then nobody would wake us for it. */
static bool has_queued(struct run *r)
{
	unsigned long queued = 0;

	libssh2_channel_window_read_ex(r->channel, &queued, NULL);
	return queued > 0;
}

/* ---- the end ---------------------------------------------------------------- */

/* The host has closed the channel: 1, not yet: 0, or -1 with *err. */
static int is_closed(struct run *r, struct buf *err)
{
	int code;

	if (!libssh2_channel_eof(r->channel))
		return 0;
	code = libssh2_channel_wait_closed(r->channel);
	if (code == LIBSSH2_ERROR_EAGAIN)
		return 0;
	return code ? ssh_fail(r->ssh, running, err) : 1;
}

static void take_status(struct run *r)
{
	struct ssh_command *c = r->command;
	char *name = NULL, *text = NULL, *lang = NULL;
	size_t n = 0, text_len = 0, lang_len = 0;

	libssh2_channel_get_exit_signal(r->channel, &name, &n, &text,
					&text_len, &lang, &lang_len);
	if (name && n > 0) {
		snprintf(c->signal, sizeof(c->signal), "%.*s", (int)n, name);
		c->exit_code = -1;
	} else {
		c->exit_code = libssh2_channel_get_exit_status(r->channel);
	}
	libssh2_free(r->ssh->session, name);
	libssh2_free(r->ssh->session, text);
	libssh2_free(r->ssh->session, lang);
}

void ssh_add_status(struct buf *out, const struct ssh_command *c)
{
	if (*c->signal)
		buf_addf(out, "signal %s", c->signal);
	else
		buf_addf(out, "exit code %d", c->exit_code);
}

/* ---- the channel ------------------------------------------------------------ */

/* One round; 1 the command has ended, 0 wait, 2 go round again, -1 *err. */
static int step(struct run *r, struct buf *err)
{
	bool moved = false;
	int got, closed;

	if (r->stuck != READING && !r->eof_sent) {
		got = send_some(r, err);
		if (got < 0)
			return -1;
		moved = got > 0;
		if (r->stuck == WRITING)
			return 0;
	}
	for (int i = 0; i < 2; i++) {
		got = receive_some(r, i ? STDERR : STDOUT,
				   i ? &r->errors : &r->out, err);
		if (got < 0)
			return -1;
		moved |= got > 0;
		if (r->stuck == READING)
			return 0;
	}
	closed = is_closed(r, err);
	if (closed)
		return closed;
	return moved || has_queued(r) ? 2 : 0;
}

static int run_to_end(struct run *r, struct buf *err)
{
	for (;;) {
		int got = step(r, err);

		if (got == 1 || got < 0)
			return got < 0 ? -1 : 0;
		if (got == 2)
			r->ssh->heard = clock_secs();
		if (got == 2 && (!r->end || r->ssh->heard < r->end))
			continue;
		if (ssh_wait(r->ssh, r->end, running, err) < 0)
			return -1;
	}
}

static int open_channel(struct run *r, struct buf *err)
{
	double end = ssh_deadline(r->ssh);

	while (!(r->channel = libssh2_channel_open_session(r->ssh->session))) {
		if (libssh2_session_last_errno(r->ssh->session) !=
		    LIBSSH2_ERROR_EAGAIN)
			return ssh_fail(r->ssh, "starting a command", err);
		if (ssh_wait(r->ssh, end, "starting a command", err) < 0)
			return -1;
	}
	return 0;
}

/* The login shell may be any: sh gets the script as one word. */
static void add_shell(struct buf *out, const struct ssh *s,
		      const struct ssh_command *c)
{
	if (c->as_root && s->root)
		buf_adds(out, s->root);
	buf_adds(out, "sh -c ");
	buf_add_shell(out, c->command);
}

static int start(struct run *r, struct buf *err)
{
	struct buf command = BUF_INIT;
	double end = ssh_deadline(r->ssh);
	int code, ret = 0;

	add_shell(&command, r->ssh, r->command);
	while ((code = libssh2_channel_process_startup(
			r->channel, "exec", 4, command.data,
			(unsigned)command.len)) == LIBSSH2_ERROR_EAGAIN) {
		ret = ssh_wait(r->ssh, end, "starting a command", err);
		if (ret < 0)
			break;
	}
	buf_free(&command);
	if (ret == 0 && code)
		ret = ssh_fail(r->ssh, "starting a command", err);
	return ret;
}

static void free_channel(struct run *r)
{
	struct buf ignored = BUF_INIT;
	double end = clock_secs() + CLOSE_SECS;

	while (r->channel && !r->ssh->broken &&
	       libssh2_channel_free(r->channel) == LIBSSH2_ERROR_EAGAIN)
		ssh_wait(r->ssh, end, running, &ignored);
	buf_free(&ignored);
}

static int run_in(struct run *r, struct buf *err)
{
	unsigned secs = r->command->secs;

	if (open_channel(r, err) < 0 || start(r, err) < 0)
		return -1;
	r->end = secs ? clock_secs() + secs : 0;
	if (run_to_end(r, err) < 0)
		return -1;
	if (r->out.line.len)
		give_line(r, &r->out);
	if (r->errors.line.len)
		give_line(r, &r->errors);
	take_status(r);
	return 0;
}

int ssh_run(struct ssh *s, struct ssh_command *c, struct buf *err)
{
	struct run r = { .ssh = s, .command = c,
			 .out = { BUF_INIT, c->on_stdout },
			 .errors = { BUF_INIT, c->on_stderr } };
	int ret = -1;

	c->exit_code = -1;
	c->signal[0] = '\0';
	if (s->broken || (c->as_root && !s->root)) {
		buf_setf(err, "%s: %s", s->settings.place, s->broken ?
			 "the connection was lost before" :
			 "it is not known how to be root there");
		return -1;
	}
	r.chunk = xmalloc(CHUNK);
	r.input_chunk = c->on_input ? xmalloc(CHUNK) : NULL;
	s->heard = clock_secs();
	ret = run_in(&r, err);
	/* in its midst a channel cannot be closed without waiting for it */
	if (ret < 0)
		s->broken = true;
	free_channel(&r);
	free(r.chunk);
	free(r.input_chunk);
	buf_free(&r.out.line);
	buf_free(&r.errors.line);
	return ret;
}
