/* chatmail newemail: answers POST /new with a fresh address and password. */
#include "applets/newemail.h"

#include <errno.h>
#include <string.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "net/metrics.h"
#include "net/scgi_server.h"
#include "relay/reload.h"
#include "text/accept.h"

enum { BODY_MAX = 4096 };	/* nothing in a body is of use */

struct asked {
	const char *method;
	const char *accept, *languages;	/* headers, NULL without */
	const char *dclogin;	/* more for a dclogin link, or "" */
};

/* What has a password in it. */
static void wipe(struct buf *b)
{
	explicit_bzero(b->data, b->len);
	buf_free(b);
}

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

static void add_member(struct buf *json, const char *name, const char *value)
{
	buf_addf(json, "%s\"%s\": ", json->len > 1 ? ", " : "", name);
	buf_add_json(json, value);
}

/* url is "" when the certificate is one that everybody accepts. */
static void add_account(struct buf *out, const struct newaccount *a,
			const char *url, const struct asked *asked)
{
	struct buf json = BUF_INIT, svg = BUF_INIT;

	buf_addc(&json, '{');
	add_member(&json, "email", a->email.data);
	add_member(&json, "password", a->password.data);
	if (*url) {
		add_member(&json, "dclogin_url", url);
		if (accept_names(asked->accept, "image/svg+xml") &&
		    newemail_add_qr(&svg, url) == 0)
			add_member(&json, "qr_svg", svg.data);
	}
	buf_addc(&json, '}');
	add_json(out, NULL, json.data);
	wipe(&json);
	wipe(&svg);
}

/* A browser that opens the address, not the script of a page, which takes
 * anything. */
static bool wants_page(const struct asked *asked)
{
	unsigned page = accept_type(asked->accept, "text/html");
	unsigned json = accept_type(asked->accept, "application/json");

	return page > json ||
	       (page == json && accept_names(asked->accept, "text/html") &&
		!accept_names(asked->accept, "application/json"));
}

static void add_page(struct buf *out, const struct newemail_page *page,
		     const struct relay *r)
{
	struct buf html = BUF_INIT, err = BUF_INIT;

	if (newemail_add_page(&html, page, r, &err) < 0)
		bug("%s", err.data);
	buf_addf(out, "%sContent-Type: text/html; charset=utf-8\r\n"
		 "Cache-Control: no-store\r\n\r\n%s",
		 *page->address ? "" : "Status: 503 Service Unavailable\r\n",
		 html.data);
	wipe(&html);
}

/* With a certificate that browsers accept, a GET is a person who should get
 * into an app; with a self-signed one the page's script asks, or a person whom
 * the page's link has brought here. */
static void respond(struct buf *out, const struct relay *r,
		    const struct asked *asked)
{
	const char *method = asked->method;
	bool is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	bool is_page = is_get && wants_page(asked);
	struct newaccount a;
	struct buf err = BUF_INIT, url = BUF_INIT;
	int ret;

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
	ret = newaccount_make(&a, r, &err);
	if (ret == 0 && r->tls_mode == TLS_SELF)
		newaccount_dclogin(&url, &a, r, asked->dclogin);
	if (is_page)
		add_page(out, &(struct newemail_page) {
			.languages = asked->languages,
			.address = ret < 0 ? "" : a.email.data,
			.dclogin = url.data, .reason = err.data,
		}, r);
	else if (ret < 0)
		add_error(out, "503 Service Unavailable", err.data);
	else
		add_account(out, &a, url.data, asked);
	newaccount_free(&a);
	wipe(&url);
	buf_free(&err);
}

/* An empty header is none. */
static const char *header(const char *value)
{
	return value && *value ? value : NULL;
}

/* ---- CGI -------------------------------------------------------------------- */

static int answer_cgi(const char *ini, const char *dclogin)
{
	const char *method = getenv("REQUEST_METHOD");
	const struct asked asked = {
		.method = method && *method ? method : "POST",
		.accept = header(getenv("HTTP_ACCEPT")),
		.languages = getenv("HTTP_ACCEPT_LANGUAGE"),
		.dclogin = dclogin,
	};
	struct buf warnings = BUF_INIT, err = BUF_INIT, out = BUF_INIT;
	struct relay *r = relay_load(ini, &warnings, &err);
	int ret = EXIT_OK;

	if (r) {
		respond(&out, r, &asked);
	} else {
		log_warn("%s", err.data);
		add_error(&out, "500 Internal Server Error",
			  "this relay is not configured correctly");
		ret = EXIT_FAIL;
	}
	fwrite(out.data, 1, out.len, stdout);
	wipe(&out);
	relay_free(r);
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
	const char *dclogin;
} newemail;

static void on_request(struct scgi_request *r, const struct scgi *head)
{
	const char *method = scgi_header(head, "REQUEST_METHOD");
	const struct asked asked = {
		.method = method ? method : "POST",
		.accept = header(scgi_header(head, "HTTP_ACCEPT")),
		.languages = scgi_header(head, "HTTP_ACCEPT_LANGUAGE"),
		.dclogin = newemail.dclogin,
	};
	struct buf out = BUF_INIT;

	respond(&out, newemail.ini.relay, &asked);
	rows[str_starts(out.data, "Status: 301") ? SENT_AWAY :
	     str_starts(out.data, "Status:") ? REFUSED : GIVEN].value++;
	scgi_reply(r, &out);
	wipe(&out);
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

static int serve_scgi(const char *socket, const char *ini,
		      const char *dclogin)
{
	struct buf err = BUF_INIT;

	newemail.dclogin = dclogin;

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
	const char *socket = NULL, *dclogin = "", *ini;
	const struct opt opts[] = {
		{ "socket", &socket, NULL }, { "dclogin", &dclogin, NULL },
		{ 0 },
	};
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
		return serve_scgi(socket, ini, dclogin);
	return answer_cgi(ini, dclogin);
}

DEFINE_APPLET(newemail) {
	.name = "newemail", .aliases = "newemail.py",
	.summary = "answer POST /new with a fresh address and password",
	.args = "[--socket PATH] [--dclogin QUERY] [INI]",
	.help =
"Answers one request as a CGI program, or many by SCGI on a unix socket. The\n"
"answer is JSON: email and password; or error and reason. The address itself\n"
"comes into being at its first login.\n"
"\n"
"When the relay's certificate is self-signed, there is dclogin_url as well, with\n"
"\"Accept: image/svg+xml\" its QR code in qr_svg, and a browser that opens /new\n"
"gets a page with both. Otherwise GET leads into an app.\n"
"\n"
"  --socket PATH     serve SCGI there, until SIGTERM\n"
"  --dclogin QUERY   what dclogin links need besides, such as \"&ip=2993&is=ssl\"\n"
"                    where the ports are not the usual ones\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini.\n"
"\n"
"Example: chatmail newemail --socket /run/chatmail-newemail/newemail.socket\n",
	.main = newemail_main,
};
