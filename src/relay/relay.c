#include "relay/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "relay/echobot.h"
#include "relay/turn.h"
#include "text/config.h"

enum {
	INI_MAX = 1024 * 1024,
	DOVECOT_NOTIFY_DELAY = 500,	/* its own, in ms */
};

static int fail_at(struct buf *err, const struct config_entry *e,
		   const char *path, const char *expected)
{
	buf_setf(err, "%s:%u: %s: expected %s, got \"%s\"", path, e->line,
		 e->name, expected, e->value);
	return -1;
}

static void set_defaults(struct relay *r)
{
	for (int i = 0; i < SETTING_COUNT; i++) {
		r->text[i] = setting_docs[i].def;
		if (setting_set(&r->s, i, r->text[i]) < 0)
			bug("bad default of %s", setting_docs[i].name);
	}
}

static int apply_entry(struct relay *r, const struct config_entry *e,
		       struct buf *warnings, struct buf *err)
{
	int id;

	if (strcmp(e->section, "params") != 0) {
		buf_addf(warnings, "%s:%u: ignored: %s is in section [%s], "
			 "not in [params]\n", r->path, e->line, e->name,
			 e->section);
		return 0;
	}
	id = setting_find(e->name);
	if (id < 0) {
		buf_addf(warnings, "%s:%u: ignored: unknown setting %s\n",
			 r->path, e->line, e->name);
		return 0;
	}
	r->text[id] = arena_strdup(&r->arena, e->value);
	r->line[id] = e->line;
	if (setting_set(&r->s, id, r->text[id]) < 0)
		return fail_at(err, e, r->path, setting_docs[id].expect);
	return 0;
}

static bool is_label(const char *s, size_t n, bool underscore)
{
	if (n < 1 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = ascii_lower(s[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      c == '-' || (underscore && i == 0 && c == '_')))
			return false;
	}
	return !(underscore && n == 1 && *s == '_');
}

/* RFC 1123 section 2.1, an underscore at the very beginning allowed. */
static bool is_domain(const char *domain)
{
	const char *s = domain;
	int labels = 0;

	if (strlen(domain) > 253)
		return false;
	for (;;) {
		size_t n = strcspn(s, ".");

		if (!is_label(s, n, labels == 0))
			return false;
		labels++;
		if (!s[n])
			break;
		s += n + 1;
	}
	/* the last label of an IPv4 address gone wrong is a number */
	return (labels > 1 || *domain == '_') &&
	       strspn(s, "0123456789") != strlen(s);
}

int relay_domain_kind(const char *domain, struct buf *err)
{
	struct in_addr addr;

	if (!*domain) {
		buf_setf(err, "the domain is empty");
		return -1;
	}
	if (inet_pton(AF_INET, domain, &addr) == 1)
		return DOMAIN_IPV4;
	if (strspn(domain, "0123456789.") == strlen(domain)) {
		buf_setf(err, "\"%s\" is not a whole IPv4 address", domain);
		return -1;
	}
	for (const char *s = domain; *s; s++) {
		if (*s >= 'A' && *s <= 'Z') {
			buf_setf(err, "\"%s\" has upper case letters; addresses "
				 "are compared in lower case", domain);
			return -1;
		}
	}
	if (strchr(domain, ':') || *domain == '[') {
		buf_setf(err, "\"%s\": an address has to be a plain IPv4 "
			 "address", domain);
		return -1;
	}
	if (!is_domain(domain)) {
		buf_setf(err, "\"%s\" is neither a domain name, nor a name that "
			 "begins with _, nor an IPv4 address", domain);
		return -1;
	}
	return *domain == '_' ? DOMAIN_UNDERSCORE : DOMAIN_NAME;
}

static int derive_domain(struct relay *r, struct buf *err)
{
	const char *domain = r->s.mail_domain;
	int kind;
	unsigned a[4];

	if (!r->line[SETTING_mail_domain]) {
		buf_setf(err, "%s: mail_domain is not set", r->path);
		return -1;
	}
	kind = relay_domain_kind(domain, err);
	if (kind < 0) {
		buf_prefixf(err, "%s:%u: mail_domain: ", r->path,
			    r->line[SETTING_mail_domain]);
		return -1;
	}
	r->mail_domain_bare = domain;
	r->mail_domain = domain;
	r->postfix_myhostname = domain;
	r->is_ipv4 = kind == DOMAIN_IPV4;
	if (r->is_ipv4 &&
	    sscanf(domain, "%u.%u.%u.%u", &a[0], &a[1], &a[2], &a[3]) == 4) {
		r->mail_domain = arena_printf(&r->arena, "[%s]", domain);
		r->postfix_myhostname =
			arena_printf(&r->arena, "%u.%u.%u.%u.in-addr.arpa",
				     a[3], a[2], a[1], a[0]);
	}
	r->tls_mode = kind == DOMAIN_NAME ? TLS_ACME : TLS_SELF;
	return 0;
}

static int derive_tls(struct relay *r, struct buf *err)
{
	char *paths = arena_strdup(&r->arena, r->s.tls_external_cert_and_key);
	char *second;

	if (*paths) {
		second = paths + strcspn(paths, " \t\n");
		if (*second)
			*second++ = '\0';
		second = str_trim(second);
		if (!*second || strpbrk(second, " \t\n")) {
			buf_setf(err, "%s:%u: tls_external_cert_and_key: "
				 "expected two paths, certificate and key, got "
				 "\"%s\"", r->path,
				 r->line[SETTING_tls_external_cert_and_key],
				 r->s.tls_external_cert_and_key);
			return -1;
		}
		r->tls_mode = TLS_EXTERNAL;
		r->tls_cert_path = paths;
		r->tls_key_path = second;
	} else if (r->tls_mode == TLS_SELF) {
		r->tls_cert_path = "/etc/ssl/certs/mailserver.pem";
		r->tls_key_path = "/etc/ssl/private/mailserver.key";
	} else {
		r->tls_cert_path = arena_printf(&r->arena,
			"/var/lib/acme/live/%s/fullchain", r->mail_domain_bare);
		r->tls_key_path = arena_printf(&r->arena,
			"/var/lib/acme/live/%s/privkey", r->mail_domain_bare);
	}
	return 0;
}

static int check_notify_delay(struct relay *r, struct buf *err)
{
	if (r->s.imap_notify_delay <= DOVECOT_NOTIFY_DELAY)
		return 0;
	buf_setf(err, "%s:%u: imap_notify_delay: expected at most %d, got "
		 "\"%s\"", r->path, r->line[SETTING_imap_notify_delay],
		 DOVECOT_NOTIFY_DELAY, r->text[SETTING_imap_notify_delay]);
	return -1;
}

static int derive_turn(struct relay *r, struct buf *err)
{
	const char *external = r->s.turn_external_ip;

	if (turn_ports_parse(r->s.turn_ports, &r->turn_port_first,
			     &r->turn_port_last) < 0) {
		buf_setf(err, "%s:%u: turn_ports: expected two ports from 1024 "
			 "to 65535, as 49152-65535, got \"%s\"", r->path,
			 r->line[SETTING_turn_ports], r->s.turn_ports);
		return -1;
	}
	if (r->turn_port_first <= TURN_PORT && r->turn_port_last >= TURN_PORT) {
		buf_setf(err, "%s:%u: turn_ports: expected ports without %d, "
			 "which is TURN's own, got \"%s\"", r->path,
			 r->line[SETTING_turn_ports], TURN_PORT,
			 r->s.turn_ports);
		return -1;
	}
	if (*external && !turn_external_is_valid(external)) {
		buf_setf(err, "%s:%u: turn_external_ip: expected an IPv4 "
			 "address, or two with / between them, got \"%s\"",
			 r->path, r->line[SETTING_turn_external_ip], external);
		return -1;
	}
	return 0;
}

static int derive(struct relay *r, struct buf *err)
{
	if (derive_domain(r, err) < 0 || derive_tls(r, err) < 0 ||
	    check_notify_delay(r, err) < 0 || derive_turn(r, err) < 0)
		return -1;
	if (r->s.username_min_length > r->s.username_max_length) {
		unsigned line = r->line[SETTING_username_min_length];

		if (!line)
			line = r->line[SETTING_username_max_length];
		buf_setf(err, "%s:%u: username_min_length: expected at most "
			 "username_max_length (%s), got \"%s\"", r->path, line,
			 r->text[SETTING_username_max_length],
			 r->text[SETTING_username_min_length]);
		return -1;
	}
	if (!str_starts(r->s.notification_url, "http://") &&
	    !str_starts(r->s.notification_url, "https://")) {
		buf_setf(err, "%s:%u: notification_url: expected an http:// or "
			 "https:// URL, got \"%s\"", r->path,
			 r->line[SETTING_notification_url],
			 r->s.notification_url);
		return -1;
	}
	r->own_iroh_relay = !r->line[SETTING_iroh_relay];
	r->iroh_relay = r->own_iroh_relay ?
		arena_printf(&r->arena, "https://%s", r->mail_domain_bare) :
		r->s.iroh_relay;
	if (!*r->s.mailboxes_dir)
		r->s.mailboxes_dir = arena_printf(&r->arena,
			"/home/vmail/mail/%s", r->mail_domain_bare);
	r->text[SETTING_mailboxes_dir] = r->s.mailboxes_dir;
	r->text[SETTING_iroh_relay] = r->iroh_relay;
	return 0;
}

/* Values that templates see besides the settings; they come first, so that
 * mail_domain is the one with brackets. */
static const char *derive_u64(struct relay *r, uint64_t v)
{
	return arena_printf(&r->arena, "%llu", (unsigned long long)v);
}

static const char *value_mail_domain(struct relay *r)
{
	return r->mail_domain;
}

static const char *value_mail_domain_bare(struct relay *r)
{
	return r->mail_domain_bare;
}

static const char *value_ipv4_relay(struct relay *r)
{
	return r->is_ipv4 ? r->mail_domain_bare : "";
}

static const char *value_postfix_myhostname(struct relay *r)
{
	return r->postfix_myhostname;
}

static const char *value_tls_cert_mode(struct relay *r)
{
	static const char *const names[] = { "acme", "self", "external" };

	return names[r->tls_mode];
}

static const char *value_tls_cert_path(struct relay *r)
{
	return r->tls_cert_path;
}

static const char *value_tls_key_path(struct relay *r)
{
	return r->tls_key_path;
}

static const char *value_max_message_size(struct relay *r)
{
	return derive_u64(r, r->s.max_message_size);
}

/* In a request's body a dot that begins a line is doubled; a line of a dot
 * alone grows most, by a third. */
static const char *value_mxdeliv_body_max(struct relay *r)
{
	uint64_t size = r->s.max_message_size;

	return derive_u64(r, size > UINT64_MAX / 4 ? size :
			  size + size / 3 + 1);
}

static const char *value_max_mailbox_size_mb(struct relay *r)
{
	return derive_u64(r, r->s.max_mailbox_size);
}

/* For people: in the largest unit that says it exactly, or well enough. */
static const char *derive_size(struct relay *r, uint64_t bytes)
{
	static const char *const units[] = { "GB", "MB", "kB", "B" };
	unsigned shift = 30;

	for (size_t i = 0;; i++, shift -= 10) {
		uint64_t n = bytes >> shift;

		if (shift == 0 || n >= 10 || (n && n << shift == bytes))
			return arena_printf(&r->arena, "%llu %s",
					    (unsigned long long)n, units[i]);
	}
}

static const char *value_max_message_size_text(struct relay *r)
{
	return derive_size(r, r->s.max_message_size);
}

static const char *value_max_mailbox_size_text(struct relay *r)
{
	/* was read as bytes, so it fits */
	return derive_size(r, r->s.max_mailbox_size << 20);
}

/* "9", or "6 – 12" */
static const char *value_username_length(struct relay *r)
{
	const char *min = r->text[SETTING_username_min_length];
	const char *max = r->text[SETTING_username_max_length];

	return r->s.username_min_length == r->s.username_max_length ? max :
	       arena_printf(&r->arena, "%s – %s", min, max);
}

/* Down to this many megabytes a full mailbox is emptied. */
static const char *value_max_mailbox_size_warn_mb(struct relay *r)
{
	return derive_u64(r, r->s.max_mailbox_size / 100 * 70 +
			     r->s.max_mailbox_size % 100 * 70 / 100);
}

static const char *value_smtp_client_connection_limit(struct relay *r)
{
	uint64_t fifth = r->s.max_smtp_connections / 5;

	return derive_u64(r, fifth ? fifth : 1);
}

static const char *value_turn_port_first(struct relay *r)
{
	return derive_u64(r, r->turn_port_first);
}

static const char *value_turn_port_last(struct relay *r)
{
	return derive_u64(r, r->turn_port_last);
}

static const char *bool_text(bool b)
{
	return b ? "true" : "false";
}

static const char *value_enable_iroh_relay(struct relay *r)
{
	return bool_text(r->own_iroh_relay);
}

static const char *value_disable_ipv6(struct relay *r)
{
	return bool_text(r->s.disable_ipv6);
}

static const char *value_echobot(struct relay *r)
{
	return bool_text(r->s.echobot);
}

/* What is no path is where deploy gets it from. */
static const char *value_echobot_program(struct relay *r)
{
	return *r->s.echobot_server == '/' ? r->s.echobot_server :
					     ECHOBOT_SERVER;
}

static const char *value_imap_rawlog(struct relay *r)
{
	return bool_text(r->s.imap_rawlog);
}

static const char *value_imap_compress(struct relay *r)
{
	return bool_text(r->s.imap_compress);
}

static const char *value_imap_notify_delay(struct relay *r)
{
	return derive_u64(r, r->s.imap_notify_delay);
}

/* Does Dovecot load our library? */
static const char *value_imap_notify(struct relay *r)
{
	return bool_text(r->s.imap_notify_delay < DOVECOT_NOTIFY_DELAY);
}

/* Of the day, for cron: always the same for a relay, and another for others, so
 * that not all come at once. FNV-1a of the domain. */
static unsigned own_moment(const struct relay *r)
{
	uint32_t h = 2166136261u;

	for (const char *p = r->mail_domain_bare; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return h % (20 * 60);
}

static const char *value_acme_hour(struct relay *r)
{
	return arena_printf(&r->arena, "%u", own_moment(r) / 60);
}

static const char *value_acme_minute(struct relay *r)
{
	return arena_printf(&r->arena, "%u", own_moment(r) % 60);
}

static const struct {
	const char *name;
	const char *(*make)(struct relay *r);
} derived[] = {
	{ "mail_domain", value_mail_domain },
	{ "mail_domain_bare", value_mail_domain_bare },
	{ "ipv4_relay", value_ipv4_relay },
	{ "postfix_myhostname", value_postfix_myhostname },
	{ "tls_cert_mode", value_tls_cert_mode },
	{ "tls_cert_path", value_tls_cert_path },
	{ "tls_key_path", value_tls_key_path },
	{ "max_message_size", value_max_message_size },
	{ "mxdeliv_body_max", value_mxdeliv_body_max },
	{ "max_message_size_text", value_max_message_size_text },
	{ "max_mailbox_size_mb", value_max_mailbox_size_mb },
	{ "max_mailbox_size_text", value_max_mailbox_size_text },
	{ "max_mailbox_size_warn_mb", value_max_mailbox_size_warn_mb },
	{ "smtp_client_connection_limit", value_smtp_client_connection_limit },
	{ "username_length", value_username_length },
	{ "turn_port_first", value_turn_port_first },
	{ "turn_port_last", value_turn_port_last },
	{ "enable_iroh_relay", value_enable_iroh_relay },
	{ "echobot", value_echobot },
	{ "echobot_program", value_echobot_program },
	{ "disable_ipv6", value_disable_ipv6 },
	{ "imap_rawlog", value_imap_rawlog },
	{ "imap_compress", value_imap_compress },
	{ "imap_notify_delay", value_imap_notify_delay },
	{ "imap_notify", value_imap_notify },
	{ "acme_hour", value_acme_hour },
	{ "acme_minute", value_acme_minute },
};

const char *relay_derived_name(size_t i)
{
	return i < ARRAY_LEN(derived) ? derived[i].name : NULL;
}

const char *relay_var(const struct relay *r, const char *name)
{
	int id;

	for (size_t i = 0; i < ARRAY_LEN(derived); i++)
		if (strcmp(derived[i].name, name) == 0)
			return r->derived[i];
	id = setting_find(name);
	return id < 0 ? NULL : r->text[id];
}

static void derive_values(struct relay *r)
{
	r->derived = arena_alloc(&r->arena,
				 ARRAY_LEN(derived) * sizeof(*r->derived));
	for (size_t i = 0; i < ARRAY_LEN(derived); i++)
		r->derived[i] = derived[i].make(r);
}

struct relay *relay_parse(const char *path, const char *text, size_t n,
			  struct buf *warnings, struct buf *err)
{
	struct relay *r = xcalloc(1, sizeof(*r));
	struct config c;
	int ret;

	r->path = arena_strdup(&r->arena, path);
	set_defaults(r);
	ret = config_parse(&c, path, text, n, err);
	for (size_t i = 0; ret == 0 && i < c.count; i++)
		ret = apply_entry(r, &c.entries[i], warnings, err);
	config_free(&c);
	if (ret < 0 || derive(r, err) < 0) {
		relay_free(r);
		return NULL;
	}
	derive_values(r);
	return r;
}

struct relay *relay_load(const char *path, struct buf *warnings,
			 struct buf *err)
{
	struct buf text = BUF_INIT;
	struct relay *r = NULL;

	if (file_read(path, INI_MAX, &text) < 0)
		buf_setf(err, "%s: %s", path, strerror(errno));
	else
		r = relay_parse(path, text.data, text.len, warnings, err);
	buf_free(&text);
	return r;
}

void relay_write_ini(struct buf *out, const char *domain)
{
	const char *section = "";

	buf_adds(out, "[params]\n");
	for (int i = 0; i < SETTING_COUNT; i++) {
		const struct setting_doc *d = &setting_docs[i];

		if (d->show == SETTING_RARE)
			continue;
		if (strcmp(section, setting_section(i)) != 0) {
			section = setting_section(i);
			buf_addf(out, "\n#\n# %s\n#\n", section);
		}
		buf_addc(out, '\n');
		buf_add_wrapped(out, "# ", d->doc, 78);
		buf_addf(out, "%s%s =%s%s\n",
			 d->show == SETTING_HINT ? "#" : "", d->name,
			 *d->def || i == SETTING_mail_domain ? " " : "",
			 i == SETTING_mail_domain ? domain : d->def);
	}
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	arena_free(&r->arena);
	free(r);
}

const char *relay_ini_path(const char *arg, bool is_operator)
{
	const char *env = getenv("CHATMAIL_INI");

	if (arg)
		return arg;
	if (env && *env)
		return env;
	return is_operator ? "chatmail.ini" : "/etc/chatmail/chatmail.ini";
}

const char *relay_ini_of_operator(const char *arg)
{
	const char *here = relay_ini_path(arg, true);

	if (arg || access(here, F_OK) == 0)
		return here;
	return relay_ini_path(NULL, false);
}
