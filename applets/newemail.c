/* chatmail newemail: answers POST /new with a fresh address and password. */
#include <errno.h>
#include <string.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "net/metrics.h"
#include "net/scgi_server.h"
#include "relay/newaccount.h"
#include "relay/reload.h"

enum { BODY_MAX = 4096 };	/* nothing in a body is of use */

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

enum { GIVEN, REFUSED, SENT_AWAY, ROWS };

static struct metric rows[ROWS] = {
	[GIVEN] = { "chatmail_newemail_requests", "answer=\"address\"",
		"Requests for a fresh address." },
	[REFUSED] = { "chatmail_newemail_requests", "answer=\"error\"" },
	[SENT_AWAY] = { "chatmail_newemail_requests", "answer=\"redirect\"" },
};

static const struct metrics figures = {
	.role = "newemail", .rows = rows, .count = ROWS,
};

static struct {
	struct daemon daemon;
	struct relay_file ini;
} newemail;

static void on_request(struct scgi_request *r, const struct scgi *head)
{
	const char *method = scgi_header(head, "REQUEST_METHOD");
	struct buf out = BUF_INIT;

	respond(&out, newemail.ini.relay, method ? method : "POST");
	rows[str_starts(out.data, "Status: 301") ? SENT_AWAY :
	     str_starts(out.data, "Status:") ? REFUSED : GIVEN].value++;
	scgi_reply(r, &out);
	explicit_bzero(out.data, out.len);
	buf_free(&out);
}

static void on_too_long(struct scgi_request *r)
{
	struct buf out = BUF_INIT;

	add_error(&out, "413 Content Too Large", "no body is needed");
	rows[REFUSED].value++;
	scgi_reply(r, &out);
	buf_free(&out);
}

static const struct scgi_ops scgi_ops = {
	.body_max = BODY_MAX,
	.request = on_request,
	.too_long = on_too_long,
};

static void on_accepted(struct daemon *d, int fd)
{
	scgi_serve(d, fd, &scgi_ops);
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
	metrics_serve(&newemail.daemon, &figures,
		      newemail.ini.relay->s.metrics_dir, socket);
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
