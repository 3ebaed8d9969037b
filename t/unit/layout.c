/* What templates are rendered with, and what only a layout decides. */
#include "tap.h"

#include "base/assets.h"
#include "base/str.h"
#include "relay/layout.h"

static const char ini[] = "[params]\nmail_domain = chat.example\n"
			  "imap_compress = off\n";

static const struct {
	const char *name, *want;
} values[] = {
	{ "smtp_port", "25" },				/* layout */
	{ "postfix_queue_dir", "/elsewhere/spool" },	/* changed */
	{ "mail_domain", "chat.example" },		/* setting */
	{ "tls_key_path", "/elsewhere/key.pem" },	/* derived, changed */
	{ "max_mailbox_size_warn_mb", "350" },		/* derived */
	{ "no_such_name", NULL },
};

static void test_values(struct layout *l)
{
	layout_setf(l, "postfix_queue_dir", "first");
	layout_setf(l, "postfix_queue_dir", "%s/spool", "/elsewhere");
	layout_setf(l, "tls_key_path", "/elsewhere/key.pem");
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		tap_is(layout_get(l, values[i].name), values[i].want,
		       values[i].name);
}

/* Rows, settings and derived values share one space of names. */
static void test_names(const struct relay *r)
{
	const char *name, *server;
	int clashes = 0;

	for (size_t i = 0; (name = layout_name(i, &server)); i++) {
		clashes += relay_var(r, name) != NULL;
		for (size_t j = 0; j < i; j++)
			clashes += strcmp(name, layout_name(j, &server)) == 0;
	}
	tap_ok(clashes == 0, "no name is taken twice");
}

static const struct {
	const char *template, *name, *value, *want;
} renderings[] = {
	{ "postfix/main.cf", "dkim_milter", "opendkim/opendkim.sock",
	  "non_smtpd_milters = unix:opendkim/opendkim.sock\n"
	  "internal_mail_filter_classes = bounce\n"
	  "milter_macro_daemon_name = ORIGINATING\n" },
	/* our own name on incoming mail would sign and not verify it */
	{ "postfix/master.cf", "dkim_milter", "opendkim/opendkim.sock",
	  "  -o local_header_rewrite_clients=\n"
	  "  -o smtpd_milters=unix:opendkim/opendkim.sock\n"
	  "  -o milter_macro_daemon_name=VERIFYING\n" },
	{ "postfix/master.cf", "dkim_milter", "opendkim/opendkim.sock",
	  "  -o smtpd_milters=unix:opendkim/opendkim.sock\n"
	  "  -o milter_macro_daemon_name=ORIGINATING\n" },
	{ "postfix/main.cf", "postfix_cache_type", "lmdb",
	  "smtp_tls_session_cache_database = "
	  "lmdb:${data_directory}/smtp_scache\n" },
	{ "postfix/main.cf", "listen_address", "127.0.0.1",
	  "inet_interfaces = 127.0.0.1\n" },
	{ "dovecot/dovecot.conf", "imap_notify_library", "/elsewhere/n.so",
	  " LD_PRELOAD=/elsewhere/n.so CHATMAIL_IMAP_NOTIFY_DELAY=0\n" },
	{ "dovecot/dovecot.conf", "dovecot_base_dir", "/elsewhere/run",
	  "base_dir = /elsewhere/run\n" },
	{ "dovecot/auth.conf", "doveauth_socket", "/elsewhere/doveauth",
	  "uri = proxy:/elsewhere/doveauth:auth\n" },
	{ "nginx/nginx.conf", "https_url_port", ":4443",
	  "return 301 https://chat.example:4443$request_uri;" },
	{ "nginx/nginx.conf", "nginx_temp_dir", "/elsewhere",
	  "scgi_temp_path /elsewhere/scgi;\n" },
	{ "nginx/nginx.conf", "listen_address", "127.0.0.1",
	  "listen 127.0.0.1:443;\n" },
	{ "nginx/autoconfig.xml", "https_port", "4443", "<port>4443</port>" },
};

static void test_renderings(const struct relay *r)
{
	for (size_t i = 0; i < ARRAY_LEN(renderings); i++) {
		struct buf out = BUF_INIT, err = BUF_INIT;
		struct layout l;

		layout_init(&l, r);
		layout_render(&l, renderings[i].template, &out, &err);
		tap_is(err.data, "", renderings[i].template);
		tap_ok(!strstr(out.data, renderings[i].want),
		       "%s without %s", renderings[i].template,
		       renderings[i].name);
		layout_setf(&l, renderings[i].name, "%s", renderings[i].value);
		buf_reset(&out);
		layout_render(&l, renderings[i].template, &out, &err);
		tap_ok(strstr(out.data, renderings[i].want) != NULL,
		       "%s with %s", renderings[i].template,
		       renderings[i].name);
		layout_free(&l);
		buf_free(&out);
		buf_free(&err);
	}
}

static void test_unknown_template(const struct layout *l)
{
	struct buf out = BUF_INIT, err = BUF_INIT;

	tap_ok(layout_render(l, "postfix/no.cf", &out, &err) < 0,
	       "unknown template");
	tap_is(err.data, "conf-templates/postfix/no.cf: no such template",
	       "says so");
	buf_free(&out);
	buf_free(&err);
}

int main(void)
{
	struct buf warnings = BUF_INIT, err = BUF_INIT;
	struct relay *r = relay_parse("chatmail.ini", ini, sizeof(ini) - 1,
				      &warnings, &err);
	struct layout l;

	if (!tap_ok(r != NULL, "the relay %s", err.data))
		return tap_done();
	layout_init(&l, r);
	test_values(&l);
	test_names(r);
	test_renderings(r);
	test_unknown_template(&l);
	layout_free(&l);
	relay_free(r);
	buf_free(&warnings);
	buf_free(&err);
	return tap_done();
}
