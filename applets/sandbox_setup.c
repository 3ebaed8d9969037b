/* The sandbox's directory: chatmail.ini, configurations, owners, ports. */
#include "applets/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assets.h"
#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/components.h"
#include "host/system.h"
#include "net/cert.h"
#include "relay/reload.h"
#include "relay/www.h"
#include "applet.h"

enum {
	BASE_DEFAULT = 14300,
	PORTS_USED = 100,
	HTTPS_OFFSET = 44,
	UNIX_PATH_MAX = 107,	/* sockaddr_un without its NUL */
	CERT_DAYS = 825,
};

/* The longest socket in DIR, one of Dovecot's. */
static const char longest_socket[] = "/run/dovecot/token-login/imap-urlauth";

const char *sandbox_path(struct sandbox *sb, const char *name)
{
	return arena_printf(&sb->arena, "%s/%s", sb->dir, name);
}

static void write_file(const char *path, const char *text, size_t n)
{
	if (file_replace(path, text, n, 0644, 0) < 0)
		die_errno("%s", path);
}

/* The first directory on the way to path that other users cannot enter, path
 * itself included when it is one; NULL when there is none. */
static const char *closed_dir(struct sandbox *sb, const char *path)
{
	char *copy = arena_strdup(&sb->arena, path);
	struct stat st;

	for (char *p = copy + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (stat(copy, &st) == 0 && S_ISDIR(st.st_mode) &&
		    !(st.st_mode & S_IXOTH))
			return copy;
		*p = c;
		if (!c)
			return NULL;
	}
}

/* Postfix and Dovecot have users of their own, who have to get into DIR. */
static void check_reachable(struct sandbox *sb)
{
	const char *closed = closed_dir(sb, sb->dir);

	if (closed)
		die("%s: other users cannot enter it, but Postfix and Dovecot "
		    "run as such; choose another directory or chmod o+x",
		    closed);
}

static void open_dir(struct sandbox *sb, const char *dir)
{
	size_t max = UNIX_PATH_MAX - strlen(longest_socket);
	char real[PATH_MAX];

	if (file_mkdirs(dir, 0755) < 0)
		die_errno("%s", dir);
	if (!realpath(dir, real))
		die_errno("%s", dir);
	sb->dir = arena_strdup(&sb->arena, real);
	if (strlen(sb->dir) > max)
		die("%s: the path has %zu bytes, the sockets in it allow no "
		    "more than %zu", sb->dir, strlen(sb->dir), max);
	if (strpbrk(sb->dir, " \t\n\"'\\$%#{},"))
		die("%s: a path without spaces and punctuation is needed, as "
		    "it goes into configurations", sb->dir);
}

__attribute__((noreturn))
static void die_locked(struct sandbox *sb, const char *path)
{
	FILE *f = fopen(path, "re");
	long pid = 0;

	if (!f || fscanf(f, "%ld", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	die("%s is in use by a sandbox that runs (pid %ld)", sb->dir, pid);
}

static void take_lock(struct sandbox *sb)
{
	const char *path = sandbox_path(sb, "lock");

	sb->lock = file_lock(path, 0);
	if (sb->lock < 0 && errno == EWOULDBLOCK)
		die_locked(sb, path);
	if (sb->lock < 0 || ftruncate(sb->lock, 0) < 0 ||
	    dprintf(sb->lock, "%ld\n", (long)getpid()) < 0)
		die_errno("%s", path);
}

/* From the command line, else of the last start, else the default. */
static void choose_base(struct sandbox *sb)
{
	const char *path = sandbox_path(sb, "ports");
	struct buf text = BUF_INIT;
	uint64_t last;

	if (!sb->base && file_read(path, 64, &text) == 0 &&
	    str_to_u64(str_trim(text.data), &last) == 0 && last > 0 &&
	    last <= 65536 - PORTS_USED)
		sb->base = (unsigned)last;
	if (!sb->base)
		sb->base = BASE_DEFAULT;
	buf_reset(&text);
	buf_addf(&text, "%u\n", sb->base);
	write_file(path, text.data, text.len);
	buf_free(&text);
}

/* Who owns the mailboxes: vmail as on a server, if there is one. */
static const char *mail_user(void)
{
	return getpwnam("vmail") ? "vmail" : "mail";
}

static void write_ini(const struct sandbox *sb)
{
	const char *domain = sb->domain ? sb->domain : "_chat.test";
	struct buf text = BUF_INIT, err = BUF_INIT;

	if (relay_domain_kind(domain, &err) < 0)
		die("%s", err.data);
	relay_write_ini(&text, domain);
	buf_addf(&text, "\n# For the sandbox.\n"
		 "mailboxes_dir = %s/mail\n"
		 "vmail_user = %s\n"
		 "disable_ipv6 = true\n"
		 "# a busy machine makes accounts as well\n"
		 "max_load_1m = 1000\n"
		 "min_available_memory = 0\n"
		 "min_free_disk_space = 50M\n"
		 "# nothing leaves this machine\n"
		 "notification_url = http://127.0.0.1:%u/notify\n"
		 "iroh_relay =\n"
		 "turn_socket_path = %s/run/turn.socket\n"
		 "metrics_dir = %s/run/metrics\n"
		 "echobot_dir = %s/echobot\n"
		 "echobot_password_path = %s/run/echobot.password\n"
		 "dkim_dns_server = 127.0.0.1:%u\n",
		 sb->dir, mail_user(), sb->base + 90, sb->dir, sb->dir,
		 sb->dir, sb->dir, sb->base + 53);
	for (size_t i = 0; i < sandbox_port_count; i++) {
		const struct sandbox_port *p = &sandbox_ports[i];

		if (p->var && setting_find(p->var) >= 0)
			buf_addf(&text, "%s = %u\n", p->var,
				 sb->base + p->offset);
	}
	write_file(sb->ini, text.data, text.len);
	buf_free(&text);
	buf_free(&err);
}

static void open_ini(struct sandbox *sb)
{
	sb->ini = sandbox_path(sb, "chatmail.ini");
	if (access(sb->ini, F_OK) < 0)
		write_ini(sb);
	sb->relay = relay_load_or_die(sb->ini);
	if (sb->domain && strcmp(sb->domain, sb->relay->mail_domain_bare) != 0)
		log_warn("%s is used as it is: the domain is %s, not %s",
			 sb->ini, sb->relay->mail_domain_bare, sb->domain);
}

/* Quota warnings and the like come to this program by its path. */
static void layout_program(struct sandbox *sb)
{
	const char *closed;
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		die_errno("/proc/self/exe");
	self[n] = '\0';
	layout_setf(&sb->plan.layout, "chatmail_bin", "%s", self);
	closed = closed_dir(sb, self);
	if (closed)
		log_warn("%s: other users cannot enter it: Dovecot will not be "
			 "able to start %s when a mailbox is full", closed,
			 self);
}

static void layout_nginx(struct sandbox *sb)
{
	struct layout *l = &sb->plan.layout;

	layout_setf(l, "nginx_config_dir", "%s/nginx", sb->dir);
	layout_setf(l, "unbound_config_dir", "%s/unbound", sb->dir);
	layout_setf(l, "nginx_temp_dir", "%s/nginx/temp", sb->dir);
	layout_setf(l, "nginx_pid", "%s/run/nginx.pid", sb->dir);
	layout_setf(l, "nginx_error_log", "stderr");
	layout_setf(l, "nginx_user", "%s",
		    getpwnam("www-data") ? "www-data" : "nobody");
	layout_setf(l, "nginx_workers", "1");
	layout_setf(l, "www_root", "%s/www", sb->dir);
	layout_setf(l, "acme_webroot", "%s/acme", sb->dir);
	layout_setf(l, "https_url_port", ":%u", sb->base + HTTPS_OFFSET);
}

static void fill_layout(struct sandbox *sb)
{
	struct layout *l = &sb->plan.layout;

	plan_init(&sb->plan, sb->relay);
	layout_program(sb);
	layout_setf(l, "listen_address", "127.0.0.1");
	if (sb->relay->tls_mode != TLS_EXTERNAL) {
		layout_setf(l, "tls_cert_path", "%s/tls/cert.pem", sb->dir);
		layout_setf(l, "tls_key_path", "%s/tls/key.pem", sb->dir);
	}
	layout_setf(l, "postfix_config_dir", "%s/postfix", sb->dir);
	layout_setf(l, "postfix_queue_dir", "%s/spool", sb->dir);
	layout_setf(l, "postfix_data_dir", "%s/postfix-data", sb->dir);
	layout_setf(l, "postfix_transport_maps",
		    "texthash:%s/transport, texthash:%s/transport.peers",
		    sb->dir, sb->dir);
	layout_setf(l, "postfix_log_file", "/dev/stdout");
	layout_setf(l, "postfix_chroot", "n");
	layout_setf(l, "dovecot_config_dir", "%s/dovecot", sb->dir);
	layout_setf(l, "dovecot_base_dir", "%s/run/dovecot", sb->dir);
	layout_setf(l, "dovecot_state_dir", "%s/dovecot-state", sb->dir);
	layout_setf(l, "dovecot_instance", "chatmail-sandbox-%u", sb->base);
	layout_setf(l, "dovecot_log", "/dev/stderr");
	layout_setf(l, "imap_notify_library", "%s/dovecot/imap-notify.so",
		    sb->dir);
	layout_setf(l, "imap_login_processes", "1");
	layout_nginx(sb);
	for (size_t i = 0; i < sandbox_port_count; i++) {
		const struct sandbox_port *p = &sandbox_ports[i];

		if (p->var && setting_find(p->var) < 0)
			layout_setf(l, p->var, "%u", sb->base + p->offset);
	}
	for (size_t i = 0; i < sandbox_role_count; i++) {
		const struct sandbox_role *r = &sandbox_roles[i];

		if (r->var && applet_find(r->applet))
			layout_setf(l, r->var, "%s/run/%s", sb->dir,
				    r->socket);
	}
}

static void make_dir(const char *path, mode_t mode, const char *user)
{
	const struct passwd *pw = user ? getpwnam(user) : NULL;

	if (user && !pw)
		die("there is no user %s: is the package installed?", user);
	if (file_mkdirs(path, 0755) < 0 || chmod(path, mode) < 0 ||
	    (pw && chown(path, pw->pw_uid, pw->pw_gid) < 0))
		die_errno("%s", path);
}

static void make_dirs(struct sandbox *sb)
{
	const char *vmail = sb->relay->s.vmail_user;
	const struct {
		const char *name;
		mode_t mode;
		const char *user;
	} dirs[] = {
		{ "postfix", 0755, NULL }, { "spool", 0755, NULL },
		{ "postfix-data", 0700, "postfix" }, { "dovecot", 0755, NULL },
		{ "dovecot-state", 0755, NULL }, { "tls", 0755, NULL },
		{ "run", 0755, vmail }, { "run/dovecot", 0755, NULL },
		{ "run/dkim", 0700, "postfix" },
		/* roles of several users put their sockets there */
		{ "run/metrics", 01777, NULL },
		{ "unbound", 0755, NULL }, { "dkim", 0700, "postfix" },
		{ "nginx", 0755, NULL }, { "nginx/temp", 0755, NULL },
		{ "echobot", 0755, vmail },
	};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		const char *path = sandbox_path(sb, dirs[i].name);

		make_dir(path, dirs[i].mode, dirs[i].user);
	}
	if (access(sb->relay->s.mailboxes_dir, F_OK) < 0)
		make_dir(sb->relay->s.mailboxes_dir, 0700, vmail);
}

/* Where mail for other domains goes: people and tests write here. */
static void make_transport(struct sandbox *sb)
{
	static const char text[] =
		"# Where mail for other domains goes, for example to a second "
		"sandbox's smtp port:\n"
		"# _other.test smtp:[127.0.0.1]:14425\n";
	const char *path = sandbox_path(sb, "transport");

	if (access(path, F_OK) < 0)
		write_file(path, text, sizeof(text) - 1);
}

static void check_file(const struct sandbox *sb, const char *path)
{
	if (access(path, R_OK) < 0)
		die("%s: tls_external_cert_and_key: %s: %s", sb->ini, path,
		    strerror(errno));
}

/* Of the operator, or ours. */
static void make_certificate(const struct sandbox *sb)
{
	struct buf err = BUF_INIT;

	if (sb->relay->tls_mode == TLS_EXTERNAL) {
		check_file(sb, sb->relay->tls_cert_path);
		check_file(sb, sb->relay->tls_key_path);
		return;
	}
	if (cert_make_self(sb->relay->mail_domain_bare, CERT_DAYS,
				layout_need(&sb->plan.layout, "tls_cert_path"),
				layout_need(&sb->plan.layout, "tls_key_path"),
				&err) < 0)
		die("%s", err.data);
	buf_free(&err);
}

static void make_pages(struct sandbox *sb)
{
	const struct www_options options = {
		.output = layout_need(&sb->plan.layout, "www_root"),
	};
	struct buf warnings = BUF_INIT, err = BUF_INIT;

	if (www_build(sb->relay, &options, &warnings, &err) == WWW_ERROR)
		die("%s", err.data);
	if (warnings.len > 0)
		log_warn("%s", str_trim(warnings.data));
	buf_free(&warnings);
	buf_free(&err);
}

/* ---- the plan --------------------------------------------------------------- */

/* What only a sandbox has; on a server unbound reads other things. */
static const struct plan_file own_files[] = {
	{ "unbound/sandbox.conf", "{{ unbound_config_dir }}/sandbox.conf" },
	{ 0 },
};

static int verify_own(struct plan *p, struct buf *err)
{
	char *path = arena_printf(&p->arena, "%s/sandbox.conf",
				  layout_need(p->staged, "unbound_config_dir"));

	return proc_command((const char *[]) { "unbound-checkconf", path,
					       NULL }, err);
}

static const struct component component_sandbox = {
	.name = "sandbox", .files = own_files, .verify = verify_own,
};

static const struct component *const parts[] = {
	&component_sandbox, &component_dovecot, &component_postfix,
	&component_nginx,
};

static void on_event(struct plan *p, const struct plan_event *e)
{
	if (e->result == PLAN_FAILED)
		die("%s", e->text);
}

/* The same components as on a server write and test their configurations; the
 * services are our children (sandbox_run.c). */
static void configure(struct sandbox *sb)
{
	struct plan *p = &sb->plan;

	p->components = parts;
	p->component_count = ARRAY_LEN(parts);
	p->stage_dir = sandbox_path(sb, "stage");
	p->on_event = on_event;
	p->stages[PLAN_INSTALL] = p->stages[PLAN_ACTIVATE] = false;
	if (plan_run(p) < 0)
		bug("a failure was not told");
}

/* ---- a server's configuration, to look at ------------------------------------ */

/* Templates of the directories that there are in DIR. */
static bool is_rendered(struct sandbox *sb, const char *name)
{
	static const char *const dirs[] = {
		"postfix/", "dovecot/", "nginx/", "systemd/", "openrc/",
		"unbound/", "syslog/", "coturn/",
	};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (str_starts(name, dirs[i]))
			return access(sandbox_path(sb, dirs[i]), F_OK) == 0;
	return false;
}

/* A drop-in of systemd's has a directory of its own. */
static void make_parent(const char *path)
{
	char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));

	if (file_mkdirs(dir, 0755) < 0)
		die_errno("%s", dir);
	free(dir);
}

/* Into directories of the same name. */
static void render(struct sandbox *sb)
{
	static const char prefix[] = "conf-templates/";
	size_t count;
	const struct asset *a = assets_all(&count);

	for (size_t i = 0; i < count; i++) {
		const char *name = a[i].name + strlen(prefix);
		struct buf text = BUF_INIT, err = BUF_INIT;
		const char *path;

		if (!str_starts(a[i].name, prefix) ||
		    !is_rendered(sb, name))
			continue;
		if (layout_render(&sb->plan.layout, name, &text, &err) < 0)
			die("%s", err.data);
		path = sandbox_path(sb, name);
		make_parent(path);
		write_file(path, text.data, text.len);
		buf_free(&text);
		buf_free(&err);
	}
}

void sandbox_setup(struct sandbox *sb, const char *dir)
{
	sandbox_check_programs();
	open_dir(sb, dir);
	check_reachable(sb);
	take_lock(sb);
	choose_base(sb);
	open_ini(sb);
	if (!getpwnam(sb->relay->s.vmail_user))
		die("%s: vmail_user: there is no user %s on this machine",
		    sb->ini, sb->relay->s.vmail_user);
	fill_layout(sb);
	make_dirs(sb);
	make_transport(sb);
	sandbox_set_peers(sb);
	sandbox_set_dkim(sb);
	make_certificate(sb);
	make_pages(sb);
	configure(sb);
	sandbox_find_daemons(sb);
}

/* "debian/openrc" */
static void choose_system(struct sandbox *sb)
{
	const char *slash = strchr(sb->kind, '/');

	if (!slash)
		die("--system: expected SYSTEM/INIT, got %s", sb->kind);
	host_system_layout_of(&sb->plan.layout, arena_printf(&sb->arena, "%.*s",
			      (int)(slash - sb->kind), sb->kind), slash + 1);
}

void sandbox_render_server(struct sandbox *sb, const char *dir)
{
	static const char *const names[] = {
		"postfix", "dovecot", "nginx", "systemd", "openrc", "unbound",
		"syslog", "coturn",
	};

	open_dir(sb, dir);
	if (!sb->base)
		sb->base = BASE_DEFAULT;
	open_ini(sb);
	plan_init(&sb->plan, sb->relay);
	if (sb->kind)
		choose_system(sb);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *path = sandbox_path(sb, names[i]);

		make_dir(path, 0755, NULL);
	}
	render(sb);
}
