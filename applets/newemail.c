/* chatmail newemail: answers POST /new with a fresh address and password. */
#include <errno.h>
#include <string.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "net/conn.h"
#include "net/daemon.h"
#include "relay/newaccount.h"
#include "relay/reload.h"
#include "text/scgi.h"

enum {
	BODY_MAX = 4096,	/* nothing in a body is of use */
	REQUEST_SECS = 10,
};

/* A CGI response (RFC 3875 section 6): headers and body. */
static void add_json(struct buf *out, const char *status, const char *json)
{
	if (status)
		buf_addf(out, "Status: %s\r\n", status);
	buf_addf(out, "Content-Type: application/json\r\n"
		 "Cache-Control: no-store\r\n\r\n%s\n", json);
}

/* Core shows "reason", older clients look for "error". */
static void add_error(struct buf *out, const char *status, const char *reason)
{
	struct buf json = BUF_INIT;

	buf_adds(&json, "{\"error\": ");
	buf_add_json(&json, reason);
	buf_adds(&json, ", \"reason\": ");
	buf_add_json(&json, reason);
	buf_addc(&json, '}');
	add_json(out, status, json.data);
	buf_free(&json);
}

static void add_account(struct buf *out, const struct newaccount *a,
			const struct relay *r)
{
	struct buf json = BUF_INIT, url = BUF_INIT;

	buf_adds(&json, "{\"email\": ");
	buf_add_json(&json, a->email.data);
	buf_adds(&json, ", \"password\": ");
	buf_add_json(&json, a->password.data);
	if (r->tls_mode == TLS_SELF) {
		newaccount_dclogin(&url, a, r, "");
		buf_adds(&json, ", \"dclogin_url\": ");
		buf_add_json(&json, url.data);
	}
	buf_addc(&json, '}');
	add_json(out, NULL, json.data);
	buf_free(&json);
	buf_free(&url);
}

/* With a certificate that browsers accept, a GET is a person who should get
 * into an app; with a self-signed one the page's script asks. */
static void respond(struct buf *out, const struct relay *r, const char *method)
{
	bool is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	struct newaccount a;
	struct buf err = BUF_INIT;

	if (is_get && r->tls_mode != TLS_SELF) {
		buf_addf(out, "Status: 301 Moved Permanently\r\n"
			 "Location: dcaccount:https://%s/new\r\n\r\n",
			 r->mail_domain_bare);
		return;
	}
	if (!is_get && strcmp(method, "POST") != 0) {
		add_error(out, "405 Method Not Allowed", "use POST");
		return;
	}
	if (newaccount_make(&a, r, &err) < 0)
		add_error(out, "503 Service Unavailable", err.data);
	else
		add_account(out, &a, r);
	newaccount_free(&a);
	buf_free(&err);
}

/* ---- CGI -------------------------------------------------------------------- */

static int answer_cgi(const char *ini)
{
	const char *method = getenv("REQUEST_METHOD");
	struct buf warnings = BUF_INIT, err = BUF_INIT, out = BUF_INIT;
	struct relay *r = relay_load(ini, &warnings, &err);
	int ret = EXIT_OK;

	if (r) {
		respond(&out, r, method && *method ? method : "POST");
	} else {
		log_warn("%s", err.data);
		add_error(&out, "500 Internal Server Error",
			  "this relay is not configured correctly");
		ret = EXIT_FAIL;
	}
	fwrite(out.data, 1, out.len, stdout);
	explicit_bzero(out.data, out.len);
	relay_free(r);
	buf_free(&out);
	buf_free(&err);
	buf_free(&warnings);
	return ret;
}

/* ---- SCGI ------------------------------------------------------------------- */

struct scgi_session {
	struct conn conn;
	struct buf request;
	bool done;		/* answered, or refused and logged */
};

static struct {
	struct daemon daemon;
	struct relay_file ini;
} newemail;

static int on_request_data(struct conn *c, const char *p, size_t n)
{
	struct scgi_session *s = container_of(c, struct scgi_session, conn);
	struct buf out = BUF_INIT;
	struct scgi request;
	const char *method;
	int ret;

	buf_add(&s->request, p, n);
	ret = scgi_parse(&request, s->request.data, s->request.len);
	if (ret < 0) {
		log_warn("not an SCGI request");
		s->done = true;
		return CONN_CLOSE;
	}
	if (ret > 0 && request.content_length > BODY_MAX) {
		add_error(&out, "413 Content Too Large", "no body is needed");
	} else if (ret == 0 || s->request.len - request.body_off <
				       request.content_length) {
		return CONN_GO_ON;
	} else {
		method = scgi_header(&request, "REQUEST_METHOD");
		respond(&out, newemail.ini.relay, method ? method : "POST");
	}
	conn_write(c, out.data, out.len);
	explicit_bzero(out.data, out.len);
	buf_free(&out);
	conn_finish(c);
	s->done = true;
	return CONN_GO_ON;
}

static bool is_busy(struct conn *c)
{
	struct scgi_session *s = container_of(c, struct scgi_session, conn);

	return s->request.len > 0;
}

static void on_closed(struct conn *c, const char *why)
{
	struct scgi_session *s = container_of(c, struct scgi_session, conn);

	if (s->request.len && !s->done)
		log_warn("half a request: %s", why ? why : "closed");
	buf_free(&s->request);
	free(s);
}

static const struct conn_ops scgi_ops = {
	.idle_secs = REQUEST_SECS,
	.data = on_request_data,
	.busy = is_busy,
	.closed = on_closed,
};

static void on_accepted(struct daemon *d, int fd)
{
	struct scgi_session *s = xcalloc(1, sizeof(*s));

	buf_init(&s->request);
	conn_start(&s->conn, d->loop, fd, &scgi_ops);
	conn_body(&s->conn, true);
}

static int reload(struct daemon *d, struct buf *err)
{
	return relay_file_reload(&newemail.ini, err);
}

static int serve_scgi(const char *socket, const char *ini)
{
	struct buf err = BUF_INIT;

	relay_file_open(&newemail.ini, ini);
	daemon_init(&newemail.daemon);
	newemail.daemon.reload = reload;
	/* nginx connects as www-data */
	if (daemon_listen_unix(&newemail.daemon, socket, 0666, on_accepted,
			       &err) < 0)
		die("%s", err.data);
	return daemon_run(&newemail.daemon);
}

static int newemail_main(int argc, char **argv)
{
	const char *socket = NULL, *ini;
	const struct opt opts[] = { { "socket", &socket, NULL }, { 0 } };
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0 || argc > 2) {
		ret = applet_usage(&applet_newemail, "%s", argc < 0 ? err.data :
				   "at most one INI is needed");
		buf_free(&err);
		return ret;
	}
	buf_free(&err);
	ini = relay_ini_path(argv[1], false);
	if (socket && !getenv("GATEWAY_INTERFACE"))
		return serve_scgi(socket, ini);
	return answer_cgi(ini);
}

DEFINE_APPLET(newemail) {
	.name = "newemail", .aliases = "newemail.py",
	.summary = "answer POST /new with a fresh address and password",
	.args = "[--socket PATH] [INI]",
	.help =
"Answers one request as a CGI program, or many by SCGI on a unix socket. The\n"
"answer is JSON: email and password, and dclogin_url when the relay's\n"
"certificate is self-signed; or error and reason. The address itself comes into\n"
"being at its first login.\n"
"\n"
"  --socket PATH   serve SCGI there, until SIGTERM\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini.\n"
"\n"
"Example: chatmail newemail --socket /run/chatmail-newemail/newemail.socket\n",
	.main = newemail_main,
};
