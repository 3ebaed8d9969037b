#include "relay/layout.h"

#include <stdarg.h>
#include <string.h>

#include "base/assets.h"
#include "base/log.h"
#include "base/str.h"

static const struct {
	const char *name, *server;
} rows[] = {
	{ "chatmail_bin", "/usr/local/bin/chatmail" },
	{ "ini_path", "/etc/chatmail/chatmail.ini" },
	{ "listen_address", "" },		/* "" = all */
	{ "service_manager", "systemd" },	/* or "openrc" */
	{ "system", "debian" },			/* or "alpine" */
	/* what all OpenRC scripts of ours share; of the daemon that logs there */
	{ "openrc_common", "/usr/local/lib/chatmail/openrc.sh" },
	{ "syslog_conf", "/etc/default/busybox-syslogd" },

	/* sockets of our own roles */
	{ "doveauth_socket", "/run/doveauth/doveauth.socket" },
	{ "lastlogin_socket", "/run/chatmail-lastlogin/lastlogin.socket" },
	{ "metadata_socket", "/run/chatmail-metadata/metadata.socket" },
	{ "newemail_socket", "/run/chatmail-newemail/newemail.socket" },
	{ "metrics_socket", "/run/chatmail-metrics/metrics.socket" },
	/* certificates: of all programs, of uacme, called by uacme */
	{ "acme_dir", "/var/lib/acme" },
	{ "uacme_dir", "/var/lib/uacme" },
	{ "acme_hook", "/usr/local/lib/chatmail/acme-hook" },

	/* as Postfix sees it; "" = mail is neither signed nor verified */
	{ "dkim_milter", "" },

	{ "unbound_config_dir", "/etc/unbound/unbound.conf.d" },
	{ "inotify_watches", "65535" },

	/* the sandbox's name server */
	{ "dns_port", "53" },
	{ "dkim_record", "" },			/* our key, as zone files quote it */
	{ "dns_peer_zones", "" },
	{ "dns_peer_forwards", "" },

	{ "postfix_config_dir", "/etc/postfix" },
	{ "postfix_queue_dir", "/var/spool/postfix" },
	{ "postfix_data_dir", "/var/lib/postfix" },
	{ "postfix_syslog_name", "postfix" },
	{ "postfix_log_file", "" },		/* "" = syslog */
	{ "postfix_chroot", "y" },
	{ "postfix_cache_type", "btree" },	/* lmdb on Alpine */
	{ "postfix_transport_maps", "" },	/* "" = by DNS alone */
	{ "smtp_port", "25" },
	{ "submission_port", "587" },
	{ "smtps_port", "465" },

	/* how its configuration is written: "2.4" is for later ones too */
	{ "dovecot_version", "2.3" },
	{ "dovecot_config_dir", "/etc/dovecot" },
	{ "dovecot_base_dir", "/run/dovecot" },
	{ "dovecot_state_dir", "/var/lib/dovecot" },
	{ "dovecot_instance", "dovecot" },
	{ "dovecot_log", "syslog" },
	{ "dovecot_metrics_port", "3904" },
	{ "mtail_port", "3903" },
	{ "imap_port", "143" },
	{ "imaps_port", "993" },
	{ "imap_login_processes", "10" },	/* at least one a CPU */
	/* for its processes to load, when imap_notify is true */
	{ "imap_notify_library", "/usr/local/lib/chatmail/imap-notify.so" },

	{ "nginx_config_dir", "/etc/nginx" },
	{ "nginx_mime_types", "/etc/nginx/mime.types" },
	{ "nginx_stream_module",		/* "" = built in */
	  "/usr/lib/nginx/modules/ngx_stream_module.so" },
	{ "nginx_user", "www-data" },		/* nginx on Alpine */
	{ "turn_user", "turnserver" },		/* coturn on Alpine */
	{ "nginx_workers", "auto" },
	{ "nginx_pid", "/run/nginx.pid" },
	{ "nginx_error_log", "syslog:server=unix:/dev/log,facility=local3" },
	{ "nginx_temp_dir", "" },		/* "" = the package's */
	{ "www_root", "/var/www/html" },	/* the pages, built */
	/* with tokens in its .well-known/acme-challenge/ */
	{ "acme_webroot", "/var/www/acme" },
	{ "https_port", "443" },
	{ "http_port", "80" },
	{ "https_url_port", "" },		/* ":4443" in URLs */
	/* behind https_port, on 127.0.0.1, each with a PROXY line */
	{ "nginx_https_port", "8443" },
	{ "nginx_smtps_port", "8465" },
	{ "nginx_imaps_port", "8993" },
	{ "nginx_metrics_port", "3905" },
	{ "iroh_port", "3340" },

	/* coturn: its secret, and lines of what it listens on, both of the
	 * host; "" = all addresses */
	{ "turn_port", "3478" },
	{ "turn_secret", "" },
	{ "turn_listening", "" },
};

static const char *lookup(const struct tmpl_vars *v, const char *name)
{
	return layout_get(container_of(v, struct layout, vars), name);
}

void layout_init(struct layout *l, const struct relay *r)
{
	*l = (struct layout) { .vars.lookup = lookup, .relay = r };
}

void layout_free(struct layout *l)
{
	arena_free(&l->arena);
	l->change_count = 0;
}

const char *layout_get(const struct layout *l, const char *name)
{
	for (size_t i = 0; i < l->change_count; i++)
		if (strcmp(l->changes[i].name, name) == 0)
			return l->changes[i].value;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].server;
	return relay_var(l->relay, name);
}

const char *layout_need(const struct layout *l, const char *name)
{
	const char *value = layout_get(l, name);

	if (!value)
		bug("the layout has no %s", name);
	return value;
}

bool layout_holds(const struct layout *l, const char *when)
{
	struct buf name = BUF_INIT;
	const char *value;
	size_t n;
	bool ret;

	if (!when)
		return true;
	n = strcspn(when, "=");
	buf_add(&name, when, n);
	value = layout_need(l, name.data);
	ret = when[n] ? strcmp(value, when + n + 1) == 0 :
			tmpl_is_true(value);
	buf_free(&name);
	return ret;
}

void layout_setf(struct layout *l, const char *name, const char *fmt, ...)
{
	struct buf value = BUF_INIT;
	size_t i = 0;
	va_list ap;

	layout_need(l, name);
	while (i < l->change_count && strcmp(l->changes[i].name, name) != 0)
		i++;
	if (i == LAYOUT_CHANGES_MAX)
		bug("the layout has too many changes");
	if (i == l->change_count)
		l->changes[l->change_count++].name =
			arena_strdup(&l->arena, name);
	va_start(ap, fmt);
	buf_vaddf(&value, fmt, ap);
	va_end(ap);
	l->changes[i].value = arena_strdup(&l->arena, value.data);
	buf_free(&value);
}

const char *layout_name(size_t i, const char **server)
{
	if (i >= ARRAY_LEN(rows))
		return NULL;
	*server = rows[i].server;
	return rows[i].name;
}

int layout_render(const struct layout *l, const char *name, struct buf *out,
		  struct buf *err)
{
	struct buf path = BUF_INIT;
	const struct asset *a;
	int ret = -1;

	buf_addf(&path, "conf-templates/%s", name);
	a = asset_find(path.data);
	if (!a)
		buf_setf(err, "%s: no such template", path.data);
	else
		ret = tmpl_render(out, path.data, a->data, a->size, &l->vars,
				  err);
	buf_free(&path);
	return ret;
}
