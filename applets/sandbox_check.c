/* The sandbox's ports and roles, and whether it can start with them. */
#include "applets/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"

/* The last digits are those of the real ports where these are free. */
const struct sandbox_port sandbox_ports[] = {
	{ "smtp", "smtp_port", 25, "220 ", NULL },
	{ "submission", "submission_port", 87, "220 ", NULL },
	{ "smtps", "smtps_port", 65, "", NULL },
	{ "imap", "imap_port", 43, "* OK ", NULL },
	{ "imaps", "imaps_port", 93, "", NULL },
	{ "filtermail_outgoing", "filtermail_smtp_port", 80, "220 ",
	  "filtermail" },
	{ "filtermail_incoming", "filtermail_smtp_port_incoming", 81, "220 ",
	  "filtermail" },
	{ "filtermail_http", "filtermail_http_port_incoming", 82, NULL, NULL },
	{ "filtermail_transport", "filtermail_lmtp_port_transport", 83, NULL,
	  NULL },
	{ "reinject_outgoing", "postfix_reinject_port", 35, "220 ", NULL },
	{ "reinject_incoming", "postfix_reinject_port_incoming", 36, "220 ",
	  NULL },
	{ "dns", "dns_port", 53, "", NULL },
	{ "metrics", "dovecot_metrics_port", 94, NULL, NULL },
	/* nothing listens here unless a test does: no push leaves the host */
	{ "notifications", NULL, 90, NULL, NULL },
	{ "https", "https_port", 44, "", NULL },
	{ "http", "http_port", 46, "", NULL },
	{ "nginx_https", "nginx_https_port", 47, "", NULL, .proxied = true },
	{ "nginx_smtps", "nginx_smtps_port", 48, "", NULL, .proxied = true },
	{ "nginx_imaps", "nginx_imaps_port", 49, "", NULL, .proxied = true },
	{ "nginx_metrics", "nginx_metrics_port", 95, NULL, NULL },
	{ "iroh", "iroh_port", 40, NULL, NULL },
};
const size_t sandbox_port_count = ARRAY_LEN(sandbox_ports);

const struct sandbox_role sandbox_roles[] = {
	{ "doveauth", "doveauth", "doveauth.socket", "doveauth_socket",
	  { "@socket", "@ini" }, NULL },
	{ "lastlogin", "lastlogin", "lastlogin.socket", "lastlogin_socket",
	  { "@socket", "@ini" }, NULL },
	{ "metadata", "metadata", "metadata.socket", "metadata_socket",
	  { "@socket", "@ini" }, NULL },
	{ "filter-out", "filtermail", NULL, NULL, { "@ini", "outgoing" },
	  NULL },
	{ "filter-in", "filtermail", NULL, NULL, { "@ini", "incoming" }, NULL },
	{ "newemail", "newemail", "newemail.socket", "newemail_socket",
	  { "--socket", "@socket", "--dclogin", "@dclogin", "@ini" }, NULL },
	/* Postfix's own processes have to get at the socket */
	{ "dkim", "dkim", "dkim/dkim.socket", "dkim_milter",
	  { "--socket", "@socket", "--keys", "@dkim", "@ini" }, "postfix" },
	{ "echobot", "echobot", NULL, NULL,
	  { "--imap", "@imaps", "--smtp", "@smtps", "@ini" }, NULL, "echobot" },
};
const size_t sandbox_role_count = ARRAY_LEN(sandbox_roles);

void sandbox_check_programs(void)
{
	static const struct {
		const char *program, *packages;
	} needed[] = {
		{ "postfix", "postfix" },
		{ "dovecot", "dovecot-imapd dovecot-lmtpd "
		  "dovecot-auth-lua lua-socket" },
		{ "unbound", "unbound" },
		{ "nginx", "nginx libnginx-mod-stream" },
	};
	struct buf missing = BUF_INIT, file = BUF_INIT;

	if (geteuid() != 0)
		die("Postfix and Dovecot start as root only: run this as root");
	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (proc_find(needed[i].program, &file) < 0)
			buf_addf(&missing, " %s", needed[i].packages);
	if (missing.len > 0)
		die("programs are missing: apt install "
		    "--no-install-recommends%s", missing.data);
	buf_free(&missing);
	buf_free(&file);
}

void sandbox_find_daemons(struct sandbox *sb)
{
	const char *postfix = sandbox_path(sb, "postfix");
	struct buf output = BUF_INIT, file = BUF_INIT, err = BUF_INIT;
	int code = -1;

	if (proc_find("postconf", &file) == 0)
		code = proc_run(&(struct proc_spec) {
			.argv = (const char *[]) { "postconf", "-c", postfix,
						   "-h", "daemon_directory",
						   NULL },
			.file = file.data }, &output, &err);
	if (code != 0)
		die("postconf tells no daemon_directory: %s",
		    str_trim(output.data));
	sb->daemon_dir = arena_strdup(&sb->arena, str_trim(output.data));
	buf_free(&output);
	buf_free(&file);
	buf_free(&err);
}

unsigned sandbox_port_number(const struct sandbox *sb,
			     const struct sandbox_port *p)
{
	uint64_t port = 0;

	if (str_to_u64(layout_need(&sb->plan.layout, p->var), &port) < 0)
		bug("%s is no port", p->var);
	return (unsigned)port;
}

/* 0, or errno of what stands against listening. */
static int port_error(unsigned port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, error = 0;

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		error = errno;
	close(fd);
	return error;
}

/* A sandbox that was killed leaves its sandbox.json, and for a moment its
 * children, who are ending. */
void sandbox_check_ports(struct sandbox *sb)
{
	struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	const char *json = sandbox_path(sb, "sandbox.json");
	unsigned tries = access(json, F_OK) == 0 ? 60 : 1;

	for (size_t i = 0; i < ARRAY_LEN(sandbox_ports); i++) {
		const struct sandbox_port *p = &sandbox_ports[i];
		unsigned port;
		int error;

		if (!p->greeting)
			continue;
		port = sandbox_port_number(sb, p);
		while ((error = port_error(port)) != 0 && --tries > 0)
			nanosleep(&pause, NULL);
		if (error)
			die("port %u (%s): %s; --ports BASE chooses others",
			    port, p->name, strerror(error));
	}
}
