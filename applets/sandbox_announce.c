/* What the sandbox tells when it is ready, to people and to tests. */
#include "applets/sandbox.h"

#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "base/term.h"
#include "relay/newaccount.h"
#include "text/qr.h"

static unsigned port_of(const struct sandbox *sb, const char *name)
{
	for (size_t i = 0; i < sandbox_port_count; i++)
		if (strcmp(sandbox_ports[i].name, name) == 0)
			return sandbox_port_number(sb, &sandbox_ports[i]);
	return 0;
}

/* For an IPv4 relay the link has the address already. */
void sandbox_add_dclogin(struct buf *out, const struct sandbox *sb)
{
	if (!sb->relay->is_ipv4)
		buf_adds(out, "&ih=127.0.0.1&sh=127.0.0.1");
	buf_addf(out, "&ip=%u&is=ssl&sp=%u&ss=ssl", port_of(sb, "imaps"),
		 port_of(sb, "smtps"));
}

static void add_dclogin(struct buf *out, const struct sandbox *sb,
			const struct newaccount *account)
{
	struct buf ports = BUF_INIT;

	sandbox_add_dclogin(&ports, sb);
	newaccount_dclogin(out, account, sb->relay, ports.data);
	buf_free(&ports);
}

static void add_pair(struct buf *out, const char *name, const char *value)
{
	buf_add_json(out, name);
	buf_addc(out, ':');
	buf_add_json(out, value);
	buf_addc(out, ',');
}

static void add_ports(struct buf *out, const struct sandbox *sb)
{
	buf_adds(out, "\"ports\":{");
	for (size_t i = 0; i < sandbox_port_count; i++) {
		const struct sandbox_port *p = &sandbox_ports[i];

		buf_addf(out, "%s\"%s\":%u", i ? "," : "", p->name,
			 p->var ? sandbox_port_number(sb, p) :
			 sb->base + p->offset);
	}
	buf_adds(out, "},\"sockets\":{");
	for (size_t i = 0, n = 0; i < sandbox_role_count; i++) {
		const struct sandbox_role *r = &sandbox_roles[i];

		if (r->socket)
			buf_addf(out, "%s\"%s\":\"%s/run/%s\"", n++ ? "," : "",
				 r->name, sb->dir, r->socket);
	}
	buf_addc(out, '}');
}

/* Of the pages. */
static void add_url(struct buf *out, const struct sandbox *sb)
{
	buf_addf(out, "https://127.0.0.1:%u/", port_of(sb, "https"));
}

static void write_json(struct sandbox *sb, const char *dclogin,
		       const struct newaccount *account)
{
	struct buf out = BUF_INIT, path = BUF_INIT, url = BUF_INIT;

	buf_addc(&out, '{');
	add_pair(&out, "domain", sb->relay->mail_domain_bare);
	add_pair(&out, "dir", sb->dir);
	add_pair(&out, "ini", sb->ini);
	add_pair(&out, "mailboxes_dir", sb->relay->s.mailboxes_dir);
	add_pair(&out, "certificate",
		 layout_need(&sb->plan.layout, "tls_cert_path"));
	add_pair(&out, "address", account->email.data);
	add_pair(&out, "password", account->password.data);
	add_pair(&out, "dclogin", dclogin);
	add_url(&url, sb);
	add_pair(&out, "url", url.data);
	buf_addf(&out, "\"pid\":%ld,\"base\":%u,", (long)getpid(), sb->base);
	add_ports(&out, sb);
	buf_adds(&out, "}\n");
	buf_addf(&path, "%s/sandbox.json", sb->dir);
	if (file_replace(path.data, out.data, out.len, 0644, 0) < 0)
		sandbox_log_line(sb, "sandbox", strerror(errno));
	buf_free(&out);
	buf_free(&path);
	buf_free(&url);
}

static void print_text(const struct sandbox *sb, const char *dclogin)
{
	struct buf qr = BUF_INIT, url = BUF_INIT, err = BUF_INIT;

	add_url(&url, sb);
	if (*dclogin)
		qr_add_text(&qr, dclogin, term_has_colour(STDOUT_FILENO),
			    &err);
	printf("\n"
	       "  Relay          %s\n"
	       "  Configuration  %s (read at the start)\n"
	       "  Log            %s/log\n"
	       "  Pages          %s\n"
	       "  IMAP           127.0.0.1:%u TLS, 127.0.0.1:%u STARTTLS\n"
	       "  Submission     127.0.0.1:%u TLS, 127.0.0.1:%u STARTTLS\n"
	       "  From relays    127.0.0.1:%u STARTTLS\n"
	       "\n"
	       "  A new account, for an app on this machine:\n\n"
	       "%s\n\n%s\n"
	       "  Ctrl-C stops everything.\n\n",
	       sb->relay->mail_domain_bare, sb->ini, sb->dir, url.data,
	       port_of(sb, "imaps"), port_of(sb, "imap"),
	       port_of(sb, "smtps"), port_of(sb, "submission"),
	       port_of(sb, "smtp"), dclogin, qr.data);
	fflush(stdout);
	buf_free(&qr);
	buf_free(&url);
	buf_free(&err);
}

void sandbox_announce(struct sandbox *sb, double secs)
{
	struct buf dclogin = BUF_INIT, line = BUF_INIT, err = BUF_INIT;
	struct newaccount account;

	buf_addf(&line, "ready after %.1f s", secs);
	sandbox_log_line(sb, "sandbox", line.data);
	if (newaccount_make(&account, sb->relay, &err) < 0)
		sandbox_log_line(sb, "sandbox", err.data);
	else
		add_dclogin(&dclogin, sb, &account);
	print_text(sb, dclogin.data);
	write_json(sb, dclogin.data, &account);
	newaccount_free(&account);
	buf_free(&dclogin);
	buf_free(&line);
	buf_free(&err);
}
