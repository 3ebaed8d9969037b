#include "net/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/dial.h"
#include "net/ssl_lib.h"

enum { CHUNK = 16 * 1024, ALPN_MAX = 64 };

/* ---- waiting ------------------------------------------------------------- */

void stream_within(struct stream *s, double secs)
{
	s->deadline = clock_secs() + secs;
}

/* Returns 1 when the socket is ready, 0 when it is too late. */
static int wait_for(const struct stream *s, short events)
{
	struct pollfd p = { s->fd, events, 0 };

	for (;;) {
		double left = s->deadline - clock_secs();
		int n;

		if (left <= 0)
			return 0;
		n = poll(&p, 1, left > 1000. ? 1000000 :
			 (int)(left * 1000.) + 1);
		if (n > 0)
			return 1;
		if (n < 0 && errno != EINTR)
			return 1;	/* recv(2) will say why */
	}
}

static int too_late(bool *late, struct buf *err)
{
	if (late)
		*late = true;
	buf_setf(err, "no answer in time");
	return -1;
}

/* Why OpenSSL is not content; nothing of it stays for the next call. */
static int tls_failed(const char *what, struct buf *err)
{
	const char *why = ERR_reason_error_string(ERR_peek_error());

	buf_setf(err, "%s: %s", what, why ? why : errno ? strerror(errno) :
		 "the connection was closed");
	ERR_clear_error();
	return -1;
}

/* After a call of OpenSSL that gave ret <= 0. Returns 1 to try again, 0 at the
 * end of the stream, -1 with *err. */
static int tls_again(struct stream *s, int ret, const char *what, bool *late,
		     struct buf *err)
{
	switch (ssl.get_error(s->tls, ret)) {
	case SSL_ERROR_WANT_READ:
		return wait_for(s, POLLIN) ? 1 : too_late(late, err);
	case SSL_ERROR_WANT_WRITE:
		return wait_for(s, POLLOUT) ? 1 : too_late(late, err);
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return tls_failed(what, err);
	}
}

/* ---- the handshake ------------------------------------------------------- */

static bool is_address(const char *name)
{
	struct in_addr addr;

	return inet_pton(AF_INET, name, &addr) == 1;
}

/* RFC 7301 section 3.1: each name with its length before it. */
static void set_alpn(SSL *tls, const char *names)
{
	unsigned char wire[ALPN_MAX];
	size_t n = 0;

	while (*names) {
		size_t len = strcspn(names, ",");

		if (n + 1 + len > sizeof(wire))
			break;
		wire[n] = (unsigned char)len;
		memcpy(wire + n + 1, names, len);
		n += 1 + len;
		names += len + (names[len] == ',');
	}
	ssl.set_alpn_protos(tls, wire, (unsigned)n);
}

static void expect_name(SSL *tls, const char *name)
{
	X509_VERIFY_PARAM *param = ssl.get0_param(tls);

	if (is_address(name)) {
		X509_VERIFY_PARAM_set1_ip_asc(param, name);
		return;
	}
	X509_VERIFY_PARAM_set_hostflags(param,
					X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	X509_VERIFY_PARAM_set1_host(param, name, 0);
	ssl.ctrl(tls, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
		 (void *)name);
}

static int handshake_failed(struct stream *s, struct buf *err)
{
	long verified = ssl.get_verify_result(s->tls);

	if (verified == X509_V_OK || !trust_verifies(s->peer->trust))
		return tls_failed("TLS", err);
	buf_setf(err, "the certificate is not accepted: %s",
		 X509_verify_cert_error_string(verified));
	ERR_clear_error();
	return -1;
}

static int handshake(struct stream *s, struct buf *err)
{
	for (;;) {
		bool late = false;
		int ret, again;

		ERR_clear_error();
		errno = 0;
		ret = ssl.connect(s->tls);
		if (ret == 1)
			return 0;
		again = tls_again(s, ret, "TLS", &late, err);
		if (late)
			buf_setf(err, "no answer to the TLS handshake in time");
		if (late)
			return -1;
		if (again <= 0 && ssl.get_verify_result(s->tls) != X509_V_OK &&
		    trust_verifies(s->peer->trust))
			return handshake_failed(s, err);
		if (again == 0)
			buf_setf(err, "TLS: the connection was closed");
		if (again <= 0)
			return -1;
	}
}

int stream_start_tls(struct stream *s, struct buf *err)
{
	const struct stream_peer *p = s->peer;

	buf_reset(&s->in);
	s->off = 0;
	s->tls = ssl.new(trust_ctx(p->trust));
	if (!s->tls || ssl.set_fd(s->tls, s->fd) != 1)
		return tls_failed("OpenSSL", err);
	expect_name(s->tls, p->name);
	ssl.set_verify(s->tls, trust_verifies(p->trust) ? SSL_VERIFY_PEER :
		       SSL_VERIFY_NONE, NULL);
	if (p->alpn)
		set_alpn(s->tls, p->alpn);
	return handshake(s, err);
}

/* ---- life ---------------------------------------------------------------- */

int stream_open(struct stream *s, const struct stream_peer *peer,
		struct buf *err)
{
	unsigned secs = peer->secs < 1. ? 1 : (unsigned)peer->secs;

	*s = (struct stream){ .peer = peer };
	buf_init(&s->in);
	buf_init(&s->address);
	s->fd = dial_tcp(peer->host, peer->port, AF_UNSPEC, secs, &s->address,
			 err);
	stream_within(s, peer->secs);
	if (s->fd >= 0 && peer->security != STREAM_TLS)
		return 0;
	if (s->fd >= 0 && stream_start_tls(s, err) == 0)
		return 0;
	stream_close(s);
	return -1;
}

void stream_close(struct stream *s)
{
	if (s->tls) {
		ERR_clear_error();
		ssl.shutdown(s->tls);
		ssl.free(s->tls);
		ERR_clear_error();
	}
	s->tls = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->off = 0;
	buf_free(&s->in);
	buf_free(&s->address);
}

/* ---- bytes --------------------------------------------------------------- */

static int closed(struct buf *err)
{
	buf_setf(err, "the connection is closed");
	return -1;
}

/* Some of it. Returns how many bytes, 0 to try again, -1 with *err. */
static ssize_t write_some(struct stream *s, const void *p, size_t n,
			  struct buf *err)
{
	ssize_t sent;

	if (s->tls) {
		int ret;

		ERR_clear_error();
		errno = 0;
		ret = ssl.write(s->tls, p, n > CHUNK ? CHUNK : (int)n);
		if (ret > 0)
			return ret;
		ret = tls_again(s, ret, "sending", NULL, err);
		return ret == 1 ? 0 : ret == 0 ? closed(err) : -1;
	}
	sent = send(s->fd, p, n, MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	if (errno == EINTR)
		return 0;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return wait_for(s, POLLOUT) ? 0 : too_late(NULL, err);
	buf_setf(err, "sending: %s", strerror(errno));
	return -1;
}

int stream_write(struct stream *s, const void *p, size_t n, struct buf *err)
{
	const char *at = p;

	if (s->fd < 0)
		return closed(err);
	while (n) {
		ssize_t sent = write_some(s, at, n, err);

		if (sent < 0)
			return -1;
		at += sent;
		n -= (size_t)sent;
	}
	return 0;
}

const char *stream_peek(const struct stream *s, size_t *n)
{
	*n = s->in.len - s->off;
	return s->in.data + s->off;
}

void stream_take(struct stream *s, size_t n)
{
	s->off += n;
	if (s->off == s->in.len) {
		buf_reset(&s->in);
		s->off = 0;
	}
}

/* Into the room behind what is there. Returns how many bytes, 0 at the end, -1
 * with *err, -2 to try again. */
static ssize_t read_some(struct stream *s, bool *late, struct buf *err)
{
	char *to = s->in.data + s->in.len;
	ssize_t n;

	if (s->tls) {
		int ret;

		ERR_clear_error();
		errno = 0;
		ret = ssl.read(s->tls, to, CHUNK);
		if (ret > 0)
			return ret;
		ret = tls_again(s, ret, "receiving", late, err);
		return ret == 1 ? -2 : ret;
	}
	n = recv(s->fd, to, CHUNK, 0);
	if (n >= 0)
		return n;
	if (errno == EINTR)
		return -2;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return wait_for(s, POLLIN) ? -2 : too_late(late, err);
	buf_setf(err, "receiving: %s", strerror(errno));
	return -1;
}

int stream_fill(struct stream *s, bool *late, struct buf *err)
{
	ssize_t n;

	if (s->fd < 0)
		return closed(err);
	if (s->off > CHUNK) {
		buf_consume(&s->in, s->off);
		s->off = 0;
	}
	buf_reserve(&s->in, CHUNK);
	do
		n = read_some(s, late, err);
	while (n == -2);
	if (n <= 0)
		return (int)n;
	s->in.len += (size_t)n;
	s->in.data[s->in.len] = '\0';
	return 1;
}

int stream_line(struct stream *s, struct buf *line, size_t max,
		struct buf *err)
{
	for (;;) {
		size_t n;
		const char *p = stream_peek(s, &n);
		const char *nl = memchr(p, '\n', n);
		size_t len = nl ? (size_t)(nl - p) : n;
		int ret;

		if (len > max + 1) {
			buf_setf(err, "the server's line is too long");
			return -1;
		}
		if (nl) {
			buf_reset(line);
			buf_add(line, p, len && p[len - 1] == '\r' ? len - 1 :
				len);
			stream_take(s, len + 1);
			return 0;
		}
		ret = stream_fill(s, NULL, err);
		if (ret == 0)
			buf_setf(err, "the server has closed the connection");
		if (ret <= 0)
			return -1;
	}
}

bool stream_is_local(const struct stream *s)
{
	struct sockaddr_storage here = { 0 }, there = { 0 };
	socklen_t here_len = sizeof(here), there_len = sizeof(there);

	if (getsockname(s->fd, (struct sockaddr *)&here, &here_len) < 0 ||
	    getpeername(s->fd, (struct sockaddr *)&there, &there_len) < 0 ||
	    here.ss_family != there.ss_family)
		return false;
	if (here.ss_family == AF_INET)
		return ((struct sockaddr_in *)&here)->sin_addr.s_addr ==
		       ((struct sockaddr_in *)&there)->sin_addr.s_addr;
	return memcmp(&((struct sockaddr_in6 *)&here)->sin6_addr,
		      &((struct sockaddr_in6 *)&there)->sin6_addr,
		      sizeof(struct in6_addr)) == 0;
}

/* ---- what was agreed on -------------------------------------------------- */

const char *stream_tls_version(const struct stream *s)
{
	return s->tls ? ssl.get_version(s->tls) : "";
}

void stream_alpn(const struct stream *s, struct buf *out)
{
	const unsigned char *name = NULL;
	unsigned n = 0;

	if (s->tls)
		ssl.get0_alpn_selected(s->tls, &name, &n);
	buf_add(out, name ? (const char *)name : "", n);
}

int stream_cert(const struct stream *s, struct cert *c)
{
	X509 *x509 = s->tls ? ssl.get1_peer_certificate(s->tls) : NULL;

	if (!x509)
		return -1;
	cert_describe(c, x509);
	X509_free(x509);
	return 0;
}
