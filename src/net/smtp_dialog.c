#include "net/smtp_dialog.h"

#include <string.h>

#include "base/str.h"
#include "text/smtp.h"

/* ---- replies ------------------------------------------------------------- */

/* Into d->reply; with lines each text is added there too. */
static int receive(struct smtp_dialog *d, struct buf *lines, struct buf *err)
{
	struct buf line = BUF_INIT;
	bool more = true;
	int ret = 0;

	buf_reset(&d->reply);
	for (int i = 0; ret == 0 && more; i++) {
		const char *text = "";

		ret = stream_line(&d->stream, &line, SMTP_LINE_MAX, err);
		if (ret == 0 && (i == SMTP_DIALOG_LINES_MAX ||
				 smtp_reply_parse(line.data, line.len, &d->code,
						  &more, &text) < 0)) {
			buf_setf(err, "the server does not speak SMTP");
			ret = -1;
		}
		if (ret < 0)
			break;
		if (!i)
			buf_addf(&d->reply, "%d", d->code);
		buf_addf(&d->reply, "%s%s", *text ? " " : "", text);
		if (lines && i)
			buf_addf(lines, "%s\n", text);
	}
	buf_free(&line);
	return ret < 0 ? -1 : d->code;
}

int smtp_dialog_wait(struct smtp_dialog *d, double secs, struct buf *err)
{
	stream_within(&d->stream, secs);
	return receive(d, NULL, err);
}

/* ---- commands ------------------------------------------------------------ */

static int send_line(struct smtp_dialog *d, struct buf *line, struct buf *err)
{
	buf_adds(line, "\r\n");
	stream_within(&d->stream, d->stream.peer->secs);
	return stream_write(&d->stream, line->data, line->len, err);
}

int smtp_dialog_send(struct smtp_dialog *d, struct buf *err, const char *fmt,
		     ...)
{
	struct buf line = BUF_INIT;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	buf_vaddf(&line, fmt, ap);
	va_end(ap);
	ret = send_line(d, &line, err);
	buf_free(&line);
	return ret;
}

int smtp_dialog_say(struct smtp_dialog *d, struct buf *err, const char *fmt,
		    ...)
{
	struct buf line = BUF_INIT;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	buf_vaddf(&line, fmt, ap);
	va_end(ap);
	ret = send_line(d, &line, err);
	buf_free(&line);
	return ret < 0 ? -1 : receive(d, NULL, err);
}

int smtp_dialog_login_send(struct smtp_dialog *d, const char *user,
			   const char *password, struct buf *err)
{
	struct buf secret = BUF_INIT, line = BUF_INIT;
	int ret;

	/* RFC 4616: no other identity, then who and what */
	buf_addc(&secret, '\0');
	buf_add(&secret, user, strlen(user) + 1);
	buf_adds(&secret, password);
	buf_adds(&line, "AUTH PLAIN ");
	buf_add_base64(&line, secret.data, secret.len);
	ret = send_line(d, &line, err);
	buf_free(&secret);
	buf_free(&line);
	return ret;
}

int smtp_dialog_login(struct smtp_dialog *d, const char *user,
		      const char *password, struct buf *err)
{
	if (smtp_dialog_login_send(d, user, password, err) < 0)
		return -1;
	return smtp_dialog_wait(d, d->stream.peer->secs, err);
}

/* RFC 5321 section 4.5.2: a dot that begins a line is doubled. */
static void add_dotted(struct buf *out, const char *p, size_t n)
{
	while (n) {
		const char *nl = memchr(p, '\n', n);
		size_t len = nl ? (size_t)(nl - p) + 1 : n;

		if (*p == '.')
			buf_addc(out, '.');
		buf_add(out, p, len);
		p += len;
		n -= len;
	}
}

int smtp_dialog_message(struct smtp_dialog *d, const char *p, size_t n,
			struct buf *err)
{
	struct buf wire = BUF_INIT;
	int ret;

	add_dotted(&wire, p, n);
	buf_adds(&wire, ".\r\n");
	stream_within(&d->stream, d->stream.peer->secs);
	ret = stream_write(&d->stream, wire.data, wire.len, err);
	buf_free(&wire);
	return ret < 0 ? -1 : smtp_dialog_wait(d, d->stream.peer->secs, err);
}

/* The connection may be used for another message; the reply that said why this
 * one was not taken stays. */
static int reset(struct smtp_dialog *d, struct buf *err)
{
	struct buf reply = d->reply;
	int code = d->code, ret;

	buf_init(&d->reply);
	ret = smtp_dialog_say(d, err, "RSET");
	buf_free(&d->reply);
	d->reply = reply;
	d->code = code;
	return ret < 0 ? -1 : code;
}

int smtp_dialog_mail(struct smtp_dialog *d, const char *sender,
		     const char *recipient, const struct buf *message,
		     struct buf *err)
{
	int code = smtp_dialog_say(d, err, "MAIL FROM:<%s>", sender);

	if (code / 100 == 2)
		code = smtp_dialog_say(d, err, "RCPT TO:<%s>", recipient);
	if (code / 100 == 2)
		code = smtp_dialog_say(d, err, "DATA");
	if (code == 354)
		return smtp_dialog_message(d, message->data, message->len, err);
	/* after 421 the server is gone */
	return code < 0 || code == 421 ? code : reset(d, err);
}

/* ---- life ---------------------------------------------------------------- */

const char *smtp_dialog_keyword(const struct smtp_dialog *d,
				const char *keyword, size_t *n)
{
	size_t len = strlen(keyword);

	for (const char *p = d->keywords.data; *p; p += strcspn(p, "\n") + 1) {
		if (strcspn(p, " =\n") != len || !mem_eqi(p, keyword, len))
			continue;
		p += len + (p[len] != '\n');
		*n = strcspn(p, "\n");
		return p;
	}
	return NULL;
}

static int hello(struct smtp_dialog *d, const char *helo, struct buf *err)
{
	int code;

	buf_reset(&d->keywords);
	if (smtp_dialog_send(d, err, "EHLO %s", helo) < 0)
		return -1;
	code = receive(d, &d->keywords, err);
	if (code == 250)
		return 0;
	if (code > 0)
		buf_setf(err, "EHLO is refused: %s", d->reply.data);
	return -1;
}

static int greet(struct smtp_dialog *d, struct buf *err)
{
	int code = smtp_dialog_wait(d, d->stream.peer->secs, err);

	if (code == 220)
		return 0;
	if (code < 0)
		buf_prefixf(err, "no SMTP greeting: ");
	else
		buf_setf(err, "the server greets with \"%s\"", d->reply.data);
	return -1;
}

static int start_tls(struct smtp_dialog *d, const char *helo, struct buf *err)
{
	size_t n;
	int code;

	if (!smtp_dialog_keyword(d, "STARTTLS", &n)) {
		buf_setf(err, "STARTTLS is not offered");
		return -1;
	}
	code = smtp_dialog_say(d, err, "STARTTLS");
	if (code > 0 && code != 220)
		buf_setf(err, "STARTTLS is refused: %s", d->reply.data);
	if (code != 220 || stream_start_tls(&d->stream, err) < 0)
		return -1;
	return hello(d, helo, err);
}

int smtp_dialog_open(struct smtp_dialog *d, const struct stream_peer *peer,
		     const char *helo, struct buf *err)
{
	*d = (struct smtp_dialog){ .reply = BUF_INIT, .keywords = BUF_INIT };
	if (stream_open(&d->stream, peer, err) < 0)
		return -1;
	if (greet(d, err) == 0 && hello(d, helo, err) == 0 &&
	    (peer->security != STREAM_STARTTLS ||
	     start_tls(d, helo, err) == 0))
		return 0;
	smtp_dialog_close(d);
	return -1;
}

void smtp_dialog_close(struct smtp_dialog *d)
{
	struct buf err = BUF_INIT;

	if (d->stream.fd < 0)
		return;
	stream_within(&d->stream, 1.);
	stream_write(&d->stream, "QUIT\r\n", strlen("QUIT\r\n"), &err);
	stream_close(&d->stream);
	buf_free(&d->reply);
	buf_free(&d->keywords);
	buf_free(&err);
}
