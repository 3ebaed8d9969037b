/* The machine itself: is it fit, its users, limits and log. */
#include "host/components.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/openrc.h"
#include "host/relay_ports.h"
#include "host/system.h"

enum {
	FREE_MB_MIN = 700,	/* to install all packages */
	FREE_MB_AGAIN = 64,	/* where they are, to change files */
};

/* ---- is it fit? ------------------------------------------------------------- */

/* The program is put there after all packages. */
static bool is_installed(const struct plan *p)
{
	return access(layout_need(&p->layout, "chatmail_bin"), X_OK) == 0;
}

static int check_disk(const struct plan *p, const char *path, struct buf *err)
{
	unsigned needed = is_installed(p) ? FREE_MB_AGAIN : FREE_MB_MIN;
	struct statvfs fs;
	unsigned long long mb;

	if (statvfs(path, &fs) < 0)
		return 0;
	mb = (unsigned long long)fs.f_bavail * fs.f_frsize / (1024 * 1024);
	if (mb >= needed)
		return 0;
	buf_setf(err, "%s has %llu MB left; %d MB are needed to install a "
		 "relay, and %d MB to change one", path, mb, FREE_MB_MIN,
		 FREE_MB_AGAIN);
	return -1;
}

/* Is it to be free for us? Not where another service of the host goes on. */
static bool is_needed(const struct plan *p, const struct relay_port *port)
{
	const struct relay_service *s =
		port->service ? relay_service_find(port->service) : NULL;

	return port->allowed && relay_port_is_used(port, &p->layout) &&
	       (!s || relay_service_is_wanted(s, p->relay));
}

static int check_ports(struct plan *p, struct buf *err)
{
	size_t count;
	const struct relay_port *ports = relay_ports(&count);

	for (size_t i = 0; i < count; i++) {
		struct buf who = BUF_INIT;
		unsigned port, last;

		if (!is_needed(p, &ports[i]))
			continue;
		relay_port_numbers(&ports[i], &p->layout, &port, &last);
		ports_listeners(ports[i].proto, port, &who);
		if (!ports_are_of(who.data, ports[i].allowed))
			buf_addf(err, "%sport %u%s is taken by %s", err->len ?
				 "; " : "", port, ports[i].proto == PORT_UDP ?
				 " (UDP)" : "", who.data);
		buf_free(&who);
	}
	if (err->len == 0)
		return 0;
	buf_adds(err, ": stop it and take it off this machine (for example "
		 "apt purge of its package), then deploy again");
	return -1;
}

/* A server that is to listen on somebody else's address does not start. */
static int check_address(const char *setting, const char *value,
			 struct buf *err)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *a = NULL;
	struct buf plain = BUF_INIT;
	int fd, ret;

	if (!*value)
		return 0;
	/* nginx wants brackets around IPv6 */
	buf_adds(&plain, value + (*value == '['));
	if (*value == '[')
		plain.data[strcspn(plain.data, "]")] = '\0';
	ret = getaddrinfo(plain.data, "0", &hints, &a);
	buf_free(&plain);
	if (ret != 0) {
		buf_setf(err, "%s: expected an IP address of this server, got "
			 "\"%s\"", setting, value);
		return -1;
	}
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ret = -1;
	if (fd >= 0)
		ret = bind(fd, a->ai_addr, a->ai_addrlen);
	if (ret < 0)
		buf_setf(err, "%s: %s is no address of this server: %s",
			 setting, value, strerror(errno));
	if (fd >= 0)
		close(fd);
	freeaddrinfo(a);
	return ret;
}

/* What only the server can tell, or only units of systemd cannot have. */
static int check_settings(const struct plan *p, struct buf *err)
{
	const struct relay *r = p->relay;
	const char *dir = r->s.mailboxes_dir;

	if (*dir != '/' || strpbrk(dir, " \t\"'\\%:${}")) {
		buf_setf(err, "mailboxes_dir: expected an absolute path "
			 "without blanks, quotes and special characters, got "
			 "\"%s\"", dir);
		return -1;
	}
	if (*r->s.mtail_address && plan_wants(p, "service_manager=openrc")) {
		buf_setf(err, "mtail_address: mtail reads systemd's log, which "
			 "is not here; metrics_address has these figures too");
		return -1;
	}
	if (check_address("metrics_address", r->s.metrics_address, err) < 0)
		return -1;
	return check_address("mtail_address", r->s.mtail_address, err);
}

static int check(struct plan *p, struct buf *err)
{
	if (geteuid() != 0) {
		buf_setf(err, "a relay is installed as root");
		return -1;
	}
	if (host_system_check(err) < 0)
		return -1;
	if (!p->services && p->stages[PLAN_ACTIVATE]) {
		buf_setf(err, "neither systemd nor OpenRC runs here, so "
			 "services could not be started");
		return -1;
	}
	if (!p->packages) {
		buf_setf(err, "no package manager that is known here: apt and "
			 "apk are");
		return -1;
	}
	if (check_disk(p, "/", err) < 0 || check_disk(p, "/var", err) < 0)
		return -1;
	if (check_settings(p, err) < 0)
		return -1;
	return check_ports(p, err);
}

/* ---- what a system lacks ----------------------------------------------------- */

/* Else no service would start again when its package is upgraded. */
static int unblock(struct plan *p, struct buf *err)
{
	int ret = host_packages_unblock(err);

	if (ret > 0)
		plan_tell(p, "packages may start their services again, which "
			  "a run that was interrupted had forbidden");
	return ret < 0 ? -1 : 0;
}

/* systemd starts jobs and keeps a log itself. */
static int install_helpers(struct plan *p, struct buf *err)
{
	static const struct {
		const char *service, *package;
	} helpers[] = {
		{ "cron", "cron" }, { "syslog", "busybox-syslogd" },
	};

	for (size_t i = 0; i < ARRAY_LEN(helpers); i++) {
		const char *list[] = { helpers[i].package, NULL };
		struct service_state s;

		openrc_state_in("", helpers[i].service, &s);
		if (s.is != SERVICE_ABSENT)
			continue;
		plan_tell(p, "package %s", helpers[i].package);
		if (p->packages->install(list, err) < 0)
			return -1;
	}
	return 0;
}

static int install(struct plan *p, struct buf *err)
{
	if (unblock(p, err) < 0)
		return -1;
	return plan_wants(p, "service_manager=openrc") &&
	       plan_wants(p, "system=debian") ? install_helpers(p, err) : 0;
}

/* ---- limits, log, names ----------------------------------------------------- */

static void read_number(const char *path, uint64_t *n)
{
	struct buf text = BUF_INIT;

	if (file_read(path, 64, &text) < 0 ||
	    str_to_u64(str_trim(text.data), n) < 0)
		*n = 0;
	buf_free(&text);
}

/* The kernel's own figure depends on the memory and may be the better one. */
static void set_watches(struct plan *p)
{
	uint64_t n;

	read_number("/proc/sys/fs/inotify/max_user_watches", &n);
	layout_setf(&p->layout, "inotify_watches", "%llu",
		    (unsigned long long)(n > 65535 ? n : 65535));
}

static int configure(struct plan *p, struct buf *err)
{
	const struct relay *r = p->relay;
	struct buf text = BUF_INIT;

	buf_addf(&text, "%s\n", r->mail_domain);
	tree_put(&p->tree, "/etc/mailname", text.data, text.len, 0644, NULL,
		 NULL);
	/* every user may pass on the way to the mailboxes, none may look */
	if (str_starts(r->s.mailboxes_dir, "/home/vmail/")) {
		tree_dir(&p->tree, "/home/vmail", 0755, NULL, NULL);
		tree_dir(&p->tree, "/home/vmail/mail", 0755, NULL, NULL);
	}
	tree_dir(&p->tree, r->s.mailboxes_dir, 0700, r->s.vmail_user,
		 r->s.vmail_user);
	buf_free(&text);
	return 0;
}

/* A container has its host's limits and may not change them. */
static int apply_limits(struct plan *p, struct buf *err)
{
	static const char path[] = "/proc/sys/fs/inotify/max_user_instances";
	struct buf why = BUF_INIT;
	uint64_t n;

	read_number(path, &n);
	if (n >= 65535)
		return 0;
	if (proc_command((const char *[]) { "sysctl", "-q", "-p",
			"/etc/sysctl.d/60-chatmail.conf", NULL }, &why) == 0)
		plan_tell(p, "fs.inotify limits raised");
	else
		plan_warn(p, "fs.inotify.max_user_instances is %llu and cannot "
			  "be raised here; of more IMAP connections some hear "
			  "of new mail half a minute late. In a container, set "
			  "it to 65535 on the host", (unsigned long long)n);
	buf_free(&why);
	return 0;
}

static const struct host_user users[] = {
	{ "vmail", "/home/vmail", NULL },
	{ "opendkim", "/run/opendkim", NULL },
	{ "chatmail-newemail", "/nonexistent", NULL },
	{ "chatmail-turn", "/nonexistent", NULL },
	{ 0 },
};

static const char *const packages[] = {
	"ca-certificates", "procps", NULL,
};

static const struct plan_file files[] = {
	{ "sysctl/chatmail.conf", "/etc/sysctl.d/60-chatmail.conf" },
	{ "journald/chatmail.conf",
	  "/etc/systemd/journald.conf.d/60-chatmail.conf",
	  .where = "service_manager=systemd" },
	{ "syslog/syslog.conf", "{{ syslog_conf }}",
	  .where = "service_manager=openrc" },
	{ "udhcpc/udhcpc.conf", "/etc/udhcpc/udhcpc.conf",
	  .where = "system=alpine" },
	{ 0 },
};

const struct component component_host = {
	.name = "host", .packages = packages, .users = users, .files = files,
	.check = check, .prepare = set_watches, .install = install,
	.configure = configure,
	.activate = apply_limits, .after = "",
};
