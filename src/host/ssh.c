#include "host/ssh.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "host/ssh_session.h"
#include "net/dial.h"

enum {
	CONNECT_SECS = 15,
	ANSWER_SECS = 30,
	SILENCE_SECS = 60,
	ALIVE_PARTS = 4,	/* of the silence, when we ask for a sign */
	FREE_TRIES = 100,
};

void ssh_notice(struct ssh *s, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	if (s->options->notice)
		s->options->notice(s->options, text.data);
	buf_free(&text);
}

bool ssh_rsa_is_old(void)
{
	return !libssh2_version(0x010b00);
}

const char *ssh_place(const struct ssh *s)
{
	return s->settings.place;
}

const char *ssh_user(const struct ssh *s)
{
	return s->settings.user;
}

double ssh_deadline(const struct ssh *s)
{
	return clock_secs() + s->answer_secs;
}

/* ---- waiting and failing ---------------------------------------------------- */

bool ssh_is_lost(const struct ssh *s)
{
	char c;
	ssize_t n = recv(s->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static int fail_lost(struct ssh *s, const char *doing, const char *why,
		     struct buf *err)
{
	s->broken = true;
	buf_setf(err, "%s: the connection is lost while %s%s%s", s->settings.place,
		 doing, *why ? ": " : "", why);
	return -1;
}

int ssh_fail(struct ssh *s, const char *doing, struct buf *err)
{
	char *text = NULL;
	int code = libssh2_session_last_error(s->session, &text, NULL, 0);
	struct buf shown = BUF_INIT;

	if (s->farewell.len || code == LIBSSH2_ERROR_SOCKET_DISCONNECT ||
	    code == LIBSSH2_ERROR_SOCKET_SEND ||
	    code == LIBSSH2_ERROR_SOCKET_RECV || ssh_is_lost(s)) {
		buf_add_printable(&shown, s->farewell.data, s->farewell.len);
		fail_lost(s, doing, shown.data, err);
	} else {
		s->broken = true;
		buf_setf(err, "%s: %s: %s", s->settings.place, doing,
			 text ? text : "it failed");
	}
	buf_free(&shown);
	return -1;
}

/* Ask for a sign of life. Never while a packet has been sent in part: libssh2
 * would mix up the two. */
static void ask_alive(struct ssh *s)
{
	int dirs = libssh2_session_block_directions(s->session), next;

	if (s->logged_in && !(dirs & LIBSSH2_SESSION_BLOCK_OUTBOUND))
		libssh2_keepalive_send(s->session, &next);
}

/* Milliseconds that may be waited now. */
static int wait_ms(const struct ssh *s, double now, double end)
{
	double until = now + (double)s->silence_secs / ALIVE_PARTS;

	if (end > 0 && end < until)
		until = end;
	return until > now ? (int)((until - now) * 1000) + 1 : 0;
}

static int fail_time(struct ssh *s, const char *doing, struct buf *err)
{
	s->broken = true;
	buf_setf(err, "%s: %s takes too long", s->settings.place, doing);
	return -1;
}

int ssh_wait(struct ssh *s, double end, const char *doing, struct buf *err)
{
	struct buf why = BUF_INIT;

	for (;;) {
		int dirs = libssh2_session_block_directions(s->session);
		struct pollfd p = { .fd = s->fd };
		double now = clock_secs();

		if (end > 0 && now >= end)
			return fail_time(s, doing, err);
		if (s->logged_in && now - s->heard >= s->silence_secs)
			break;
		if (dirs & LIBSSH2_SESSION_BLOCK_OUTBOUND)
			p.events |= POLLOUT;
		if (dirs & LIBSSH2_SESSION_BLOCK_INBOUND || !p.events)
			p.events |= POLLIN;
		if (poll(&p, 1, wait_ms(s, now, end)) > 0) {
			s->heard = clock_secs();
			return 0;
		}
		ask_alive(s);
	}
	buf_addf(&why, "no answer for %u s", s->silence_secs);
	fail_lost(s, doing, why.data, err);
	buf_free(&why);
	return -1;
}

/* ---- the connection --------------------------------------------------------- */

static LIBSSH2_DISCONNECT_FUNC(on_disconnect)
{
	struct ssh *s = *abstract;

	if (message && message_len > 0 && message_len < 1024)
		buf_setf(&s->farewell, "%.*s", message_len, message);
}

static int set_up(struct ssh *s, struct buf *err)
{
	s->session = libssh2_session_init_ex(NULL, NULL, NULL, s);
	if (!s->session) {
		buf_setf(err, "%s: libssh2 cannot make a session",
			 s->settings.place);
		return -1;
	}
	libssh2_session_set_blocking(s->session, 0);
	libssh2_session_callback_set(s->session, LIBSSH2_CALLBACK_DISCONNECT,
				     (void *)on_disconnect);
	libssh2_keepalive_config(s->session, 1, 1);
	return 0;
}

/* What speaks there, if it is no SSH server; it may be long or binary. */
static bool is_no_server(struct ssh *s, struct buf *err)
{
	const char *banner = libssh2_session_banner_get(s->session);
	struct buf shown = BUF_INIT;

	if (!banner || str_starts(banner, "SSH-"))
		return false;
	buf_add_printable(&shown, banner, strnlen(banner, 60));
	buf_setf(err, "%s: there is no SSH server on port %u, it says \"%s\"",
		 s->settings.place, s->settings.port, shown.data);
	buf_free(&shown);
	return true;
}

static int fail_handshake(struct ssh *s, int code, struct buf *err)
{
	if (is_no_server(s, err))
		return -1;
	if (!libssh2_session_banner_get(s->session) &&
	    code == LIBSSH2_ERROR_BANNER_RECV) {
		buf_setf(err, "%s: there is no SSH server on port %u",
			 s->settings.place, s->settings.port);
		return -1;
	}
	if (code == LIBSSH2_ERROR_KEX_FAILURE && !ssh_is_lost(s)) {
		buf_setf(err, "%s: it shares no way to encrypt, or no type of "
			 "host key, with this program (libssh2 %s)",
			 s->settings.place, libssh2_version(0));
		return -1;
	}
	return ssh_fail(s, "greeting the host", err);
}

static int shake_hands(struct ssh *s, struct buf *err)
{
	double end = ssh_deadline(s);
	int code;

	while ((code = libssh2_session_handshake(s->session, s->fd)) ==
	       LIBSSH2_ERROR_EAGAIN) {
		if (ssh_wait(s, end, "greeting the host", err) < 0) {
			if (!is_no_server(s, err) &&
			    !libssh2_session_banner_get(s->session))
				buf_setf(err, "%s: port %u is open, but no SSH "
					 "server answers on it",
					 s->settings.place, s->settings.port);
			return -1;
		}
	}
	return code ? fail_handshake(s, code, err) : 0;
}

static int connect_to(struct ssh *s, struct buf *err)
{
	unsigned secs = s->options->connect_secs;

	if (!secs)
		secs = s->settings.connect_secs;
	s->fd = dial_tcp(s->settings.host, s->settings.port,
				   s->settings.family,
				   secs ? secs : CONNECT_SECS, &s->address,
				   err);
	if (s->fd >= 0)
		return 0;
	buf_prefixf(err, "%s: cannot connect to port %u: ",
		    s->settings.host, s->settings.port);
	return -1;
}

static void show_warnings(struct ssh *s)
{
	char *line = s->settings.warnings.data, *end;

	for (; (end = strchr(line, '\n')); line = end + 1)
		ssh_notice(s, "%.*s", (int)(end - line), line);
}

static int log_in(struct ssh *s, struct buf *err)
{
	const struct ssh_options *o = s->options;

	if (ssh_settings_load(&s->settings, o->target, o->identity, err) < 0)
		return -1;
	show_warnings(s);
	if (connect_to(s, err) < 0 || set_up(s, err) < 0 ||
	    ssh_hostkey_prepare(s, err) < 0 || shake_hands(s, err) < 0 ||
	    ssh_hostkey_check(s, err) < 0 || ssh_auth(s, err) < 0)
		return -1;
	s->logged_in = true;
	s->heard = clock_secs();
	return 0;
}

struct ssh *ssh_connect(const struct ssh_options *o, struct buf *err)
{
	struct ssh *s = xcalloc(1, sizeof(*s));

	s->options = o;
	s->fd = -1;
	s->answer_secs = o->answer_secs ? o->answer_secs : ANSWER_SECS;
	s->silence_secs = o->silence_secs ? o->silence_secs : SILENCE_SECS;
	buf_init(&s->address);
	buf_init(&s->farewell);
	buf_init(&s->settings.warnings);
	libssh2_init(0);
	if (log_in(s, err) == 0)
		return s;
	ssh_close(s);
	return NULL;
}

static void free_session(struct ssh *s)
{
	if (!s->broken)
		libssh2_session_disconnect(s->session, "bye");
	/* with a dead socket nothing is waited for */
	if (s->fd >= 0)
		shutdown(s->fd, SHUT_RDWR);
	for (int i = 0; i < FREE_TRIES; i++)
		if (libssh2_session_free(s->session) != LIBSSH2_ERROR_EAGAIN)
			return;
}

void ssh_close(struct ssh *s)
{
	if (!s)
		return;
	if (s->session)
		free_session(s);
	if (s->fd >= 0)
		close(s->fd);
	libssh2_exit();
	knownhosts_free(&s->known);
	knownhosts_free(&s->known_plain);
	ssh_settings_free(&s->settings);
	buf_free(&s->address);
	buf_free(&s->farewell);
	free(s);
}
