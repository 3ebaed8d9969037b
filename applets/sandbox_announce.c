/* What the sandbox tells when it is ready, to people and to tests. */
#include "applets/sandbox.h"

#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rand.h"
#include "base/str.h"
#include "text/qr.h"

/* Of a user that does not exist yet: the first login makes it. */
static void make_account(const struct sandbox *sb, char **address,
			 char **password)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const struct settings *s = &sb->relay->s;
	char name[65], secret[129];
	struct buf b = BUF_INIT;
	size_t name_len = s->username_max_length < 64 ?
		s->username_max_length : 64;
	size_t secret_len = s->password_min_length < 125 ?
		s->password_min_length + 3 : 128;

	rand_string(name, name_len, letters);
	rand_string(secret, secret_len, letters);
	buf_addf(&b, "%s@%s", name, sb->relay->mail_domain);
	*address = buf_detach(&b);
	*password = xstrdup(secret);
}

static unsigned port_of(const struct sandbox *sb, const char *name)
{
	for (size_t i = 0; i < sandbox_port_count; i++)
		if (strcmp(sandbox_ports[i].name, name) == 0)
			return sandbox_port_number(sb, &sandbox_ports[i]);
	return 0;
}

/* ic=3: the certificate is not checked. */
static void add_dclogin(struct buf *out, const struct sandbox *sb,
			const char *address, const char *password)
{
	buf_adds(out, "dclogin:");
	buf_add_percent(out, address, "@[]");
	buf_adds(out, "?p=");
	buf_add_percent(out, password, "");
	buf_addf(out, "&v=1&ih=127.0.0.1&ip=%u&is=ssl&sh=127.0.0.1&sp=%u"
		 "&ss=ssl&ic=3", port_of(sb, "imaps"), port_of(sb, "smtps"));
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

static void write_json(struct sandbox *sb, const char *dclogin,
		       const char *address, const char *password)
{
	struct buf out = BUF_INIT, path = BUF_INIT;

	buf_addc(&out, '{');
	add_pair(&out, "domain", sb->relay->mail_domain_bare);
	add_pair(&out, "dir", sb->dir);
	add_pair(&out, "ini", sb->ini);
	add_pair(&out, "mailboxes_dir", sb->relay->s.mailboxes_dir);
	add_pair(&out, "certificate",
		 layout_need(&sb->layout, "tls_cert_path"));
	add_pair(&out, "address", address);
	add_pair(&out, "password", password);
	add_pair(&out, "dclogin", dclogin);
	buf_addf(&out, "\"pid\":%ld,\"base\":%u,", (long)getpid(), sb->base);
	add_ports(&out, sb);
	buf_adds(&out, "}\n");
	buf_addf(&path, "%s/sandbox.json", sb->dir);
	if (file_replace(path.data, out.data, out.len, 0644, 0) < 0)
		sandbox_log_line(sb, "sandbox", strerror(errno));
	buf_free(&out);
	buf_free(&path);
}

static void print_text(const struct sandbox *sb, const char *dclogin)
{
	struct buf qr = BUF_INIT, err = BUF_INIT;

	qr_add_text(&qr, dclogin, &err);
	printf("\n"
	       "  Relay          %s\n"
	       "  Configuration  %s (read at the start)\n"
	       "  Log            %s/log\n"
	       "  IMAP           127.0.0.1:%u TLS, 127.0.0.1:%u STARTTLS\n"
	       "  Submission     127.0.0.1:%u TLS, 127.0.0.1:%u STARTTLS\n"
	       "  From relays    127.0.0.1:%u STARTTLS\n"
	       "\n"
	       "  A new account, for an app on this machine:\n\n"
	       "%s\n\n%s\n"
	       "  Ctrl-C stops everything.\n\n",
	       sb->relay->mail_domain_bare, sb->ini, sb->dir,
	       port_of(sb, "imaps"), port_of(sb, "imap"),
	       port_of(sb, "smtps"), port_of(sb, "submission"),
	       port_of(sb, "smtp"), dclogin, qr.data);
	fflush(stdout);
	buf_free(&qr);
	buf_free(&err);
}

void sandbox_announce(struct sandbox *sb, double secs)
{
	struct buf dclogin = BUF_INIT, line = BUF_INIT;
	char *address, *password;

	make_account(sb, &address, &password);
	add_dclogin(&dclogin, sb, address, password);
	buf_addf(&line, "ready after %.1f s", secs);
	sandbox_log_line(sb, "sandbox", line.data);
	print_text(sb, dclogin.data);
	write_json(sb, dclogin.data, address, password);
	buf_free(&dclogin);
	buf_free(&line);
	free(address);
	free(password);
}
