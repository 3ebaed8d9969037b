/* The same verification and signing on a message in a file. */
#include "applets/dkim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "net/daemon.h"
#include "relay/dkimcheck.h"
#include "relay/dkimsign.h"

enum { FILE_BYTES_MAX = 256 * 1024 * 1024 };

/* A message in memory with CRLF line ends. */
struct message {
	struct buf text;
	size_t body;		/* where it begins */
	bool lf;		/* the file had LF alone */
};

static int read_all(int fd, struct buf *out)
{
	for (;;) {
		ssize_t n;

		buf_reserve(out, 65536);
		n = read(fd, out->data + out->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		out->len += n;
		out->data[out->len] = '\0';
		if (out->len > FILE_BYTES_MAX) {
			errno = EFBIG;
			return -1;
		}
	}
}

/* LF that follows no CR becomes CRLF, as a mail server would send it. */
static void add_crlf(struct buf *out, const struct buf *in)
{
	const char *p = in->data, *end = p + in->len;

	while (p < end) {
		const char *nl = memchr(p, '\n', end - p);
		size_t n = (nl ? nl : end) - p;

		buf_add(out, p, n);
		if (nl)
			buf_adds(out, n && p[n - 1] == '\r' ? "\n" : "\r\n");
		p += n + 1;
	}
}

/* The header ends with the first empty line. */
static size_t find_body(const struct buf *text)
{
	const char *end;

	if (text->len >= 2 && memcmp(text->data, "\r\n", 2) == 0)
		return 2;
	end = memmem(text->data, text->len, "\r\n\r\n", 4);
	return end ? (size_t)(end - text->data) + 4 : text->len;
}

static void message_read(struct message *m, const char *file)
{
	bool is_stdin = strcmp(file, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	struct buf raw = BUF_INIT;
	const char *nl;

	if (fd < 0 || read_all(fd, &raw) < 0)
		die_errno("%s", file);
	if (!is_stdin)
		close(fd);
	nl = memchr(raw.data, '\n', raw.len);
	buf_init(&m->text);
	m->lf = nl && (nl == raw.data || nl[-1] != '\r');
	add_crlf(&m->text, &raw);
	m->body = find_body(&m->text);
	buf_free(&raw);
}

/* Length of the field at p: its line and those that go on with it. */
static size_t field_length(const char *p, size_t n)
{
	size_t len = 0;

	do {
		const char *nl = memchr(p + len, '\n', n - len);

		len = nl ? (size_t)(nl - p) + 1 : n;
	} while (len < n && (p[len] == ' ' || p[len] == '\t'));
	return len;
}

/* Gives each field of the header but the empty line that ends it. */
static bool next_field(const struct message *m, size_t *at, const char **field,
		       size_t *n)
{
	const char *p = m->text.data + *at;

	if (*at >= m->body || (*p == '\r' && m->body - *at == 2))
		return false;
	*field = p;
	*n = field_length(p, m->body - *at);
	*at += *n;
	return true;
}

static const char *body_of(const struct message *m, size_t *n)
{
	*n = m->text.len - m->body;
	return m->text.data + m->body;
}

/* ---- verify ----------------------------------------------------------------------- */

static void on_done(struct dkimcheck *c)
{
	ev_break(EV_DEFAULT, EVBREAK_ALL);
}

static int print_verdict(const struct dkimcheck *c)
{
	struct buf reply = BUF_INIT;
	const char *why;
	enum dkim_verdict v = dkimcheck_verdict(c, &reply, &why);

	if (v == DKIM_ACCEPTED)
		printf("accepted: signed by %s\n", c->verifier.domain.data);
	else if (v == DKIM_EXEMPT)
		printf("accepted: %s cannot have a key\n",
		       c->verifier.domain.data);
	else
		printf("%s: %s\n", v == DKIM_TEMPORARY ? "temporary" :
		       "refused", reply.data);
	buf_free(&reply);
	return v == DKIM_TEMPORARY ? EXIT_TEMPORARY :
	       v == DKIM_ACCEPTED || v == DKIM_EXEMPT ? EXIT_OK : EXIT_FAIL;
}

int dkim_verify_file(const char *file, const char *server)
{
	struct daemon d;
	struct dkimcheck c;
	struct message m;
	struct resolver *resolver;
	struct buf err = BUF_INIT;
	const char *p;
	size_t at = 0, n;
	int ret;

	daemon_init(&d);
	resolver = resolver_new(d.loop, server, RESOLVER_SECS, &err);
	if (!resolver)
		die("dkim_dns_server: %s", err.data);
	message_read(&m, file);
	dkimcheck_init(&c, (uint64_t)time(NULL), on_done);
	while (next_field(&m, &at, &p, &n))
		dkim_verifier_header(&c.verifier, p, n);
	dkim_verifier_eoh(&c.verifier);
	p = body_of(&m, &n);
	dkim_verifier_body(&c.verifier, p, n);
	dkim_verifier_eom(&c.verifier);
	dkimcheck_start(&c, resolver);
	if (c.waiting)
		ev_run(d.loop, 0);
	ret = print_verdict(&c);
	dkimcheck_free(&c);
	resolver_free(resolver);
	buf_free(&m.text);
	buf_free(&err);
	return ret;
}

/* ---- sign ------------------------------------------------------------------------- */

/* With the line ends that the file had. */
static void print_text(const struct message *m, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(m->lf && p[i] == '\r' && i + 1 < n && p[i + 1] == '\n'))
			putchar(p[i]);
}

static int sign_message(struct dkim_signer *s, const struct dkimsign_keys *keys,
			const char *domain, struct buf *fields, struct buf *err)
{
	uint64_t now = (uint64_t)time(NULL);
	struct buf field = BUF_INIT;
	size_t i = 0;
	int ret;

	while ((ret = dkimsign_next(keys, &i, s, domain, now, &field,
				    err)) > 0) {
		buf_adds(&field, "\r\n");
		buf_add(&field, fields->data, fields->len);
		buf_reset(fields);
		buf_add(fields, field.data, field.len);
		buf_reset(&field);
	}
	buf_free(&field);
	return ret;
}

int dkim_sign_file(const char *file, const char *keys_dir,
		   const struct relay *r)
{
	struct dkimsign_keys keys;
	struct dkim_signer s;
	struct message m;
	struct buf fields = BUF_INIT, err = BUF_INIT;
	const char *p, *refusal;
	size_t at = 0, n;
	int ret = EXIT_FAIL;

	if (r->is_ipv4)
		die("an IPv4 relay has no domain to sign for");
	if (dkimsign_load(&keys, keys_dir, &err) < 0)
		die("%s", err.data);
	message_read(&m, file);
	dkim_signer_init(&s);
	while (next_field(&m, &at, &p, &n))
		dkim_signer_header(&s, p, n);
	dkim_signer_eoh(&s);
	p = body_of(&m, &n);
	dkim_signer_body(&s, p, n);
	dkim_signer_eom(&s);
	refusal = dkimsign_refusal(&s, r->mail_domain_bare);
	if (refusal) {
		log_warn("%s: %s: %s", file, refusal, s.error ? s.error :
			 "From is of another domain");
	} else if (sign_message(&s, &keys, r->mail_domain_bare, &fields,
				&err) < 0) {
		log_warn("%s: %s", file, err.data);
	} else {
		print_text(&m, fields.data, fields.len);
		print_text(&m, m.text.data, m.text.len);
		ret = EXIT_OK;
	}
	dkim_signer_free(&s);
	dkimsign_free(&keys);
	buf_free(&m.text);
	buf_free(&fields);
	buf_free(&err);
	return ret;
}
