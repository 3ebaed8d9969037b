/* chatmail.ini: every setting with good and bad values, what follows from
 * them, and that init's file gives the defaults. */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "relay/relay.h"

#define NUMBER "a whole number"
#define POSITIVE "a whole number of 1 or more"
#define REAL "a number"
#define BOOLEAN "true or false"
#define MEGABYTES "a size such as 500M or 2G"
#define BYTES "a size in bytes, or such as 30M"
#define PORT "a port from 1 to 65535"

static struct relay *parse(const char *text, struct buf *warnings,
			   struct buf *err)
{
	buf_reset(warnings);
	buf_reset(err);
	return relay_parse("x.ini", text, strlen(text), warnings, err);
}

/* One setting behind the domain: the relay or NULL. */
static struct relay *parse_setting(const char *name, const char *value,
				   struct buf *err)
{
	struct buf text = BUF_INIT, warnings = BUF_INIT;
	struct relay *r;

	buf_addf(&text, "[params]\nmail_domain = chat.example.org\n%s = %s\n",
		 name, value);
	r = parse(text.data, &warnings, err);
	buf_free(&text);
	buf_free(&warnings);
	return r;
}

/* ---- types ----------------------------------------------------------------- */

/* Each kind: what it takes, as it is kept, and what it refuses. */
static const struct {
	const char *expect;
	struct { const char *text; double value; } good[11];
	const char *bad[14];
} types[] = {
	{ "text", { { "anything", 0 }, { "", 0 } }, { NULL } },
	{ NUMBER, { { "0", 0 }, { "20", 20 }, { "007", 7 },
		    { "4294967296", 4294967296. } },
	  { "", "x", "-1", "+1", "1.5", "1 2", "0x10", "1e3x",
	    "18446744073709551616" } },
	{ POSITIVE, { { "1", 1 }, { "60", 60 } },
	  { "", "0", "000", "x", "-1", "1.5", "99999999999999999999" } },
	{ REAL, { { "5", 5 }, { "0.5", .5 }, { "-1", -1 }, { "-1.0", -1 },
		  { ".5", .5 }, { "99999", 99999 } },
	  { "", "x", "1,5", "1.2.3", "-", ".", "1-2", "1e3x", "inf", "nan",
	    "0x1" } },
	{ BOOLEAN, { { "true", 1 }, { "True", 1 }, { "TRUE", 1 }, { "yes", 1 },
		     { "1", 1 }, { "false", 0 }, { "no", 0 }, { "off", 0 },
		     { "0", 0 } },
	  { "", "x", "2", "tru", "true false", "y" } },
	{ MEGABYTES, { { "500M", 500 }, { "2G", 2048 }, { "1g", 1024 },
		       { "100MB", 100 }, { "256", 256 }, { "0", 0 },
		       { "3gb", 3072 }, { "5B", 5 },
		       { "99999999G", 99999999. * 1024 } },
	  { "", "M", "x", "-1M", "1.5G", "1K", "1T", "1MM", "500M x",
	    "99999999999999999999M", "17592186044416M",
	    "00000000000000000000000000000000001" } },
	{ BYTES, { { "31457280", 31457280 }, { "10000", 10000 },
		   { "30M", 31457280 }, { "1G", 1073741824 }, { "5B", 5 },
		   { "0", 0 } },
	  { "", "x", "-1", "30K", "1.5M", "18446744073709551616" } },
	{ PORT, { { "1", 1 }, { "10080", 10080 }, { "65535", 65535 } },
	  { "", "0", "65536", "x", "-1", "80/tcp", "4295032832" } },
};

/* The field of a setting as a number, whatever its C type. */
static double number_TEXT(const char *v)
{
	return v ? 0 : -1;
}

#define number_NUMBER(v) ((double)(v))
#define number_POSITIVE number_NUMBER
#define number_REAL number_NUMBER
#define number_BOOLEAN number_NUMBER
#define number_MEGABYTES number_NUMBER
#define number_BYTES number_NUMBER
#define number_PORT number_NUMBER

static double field(const struct relay *r, int id)
{
	switch (id) {
#define SECTION(title)
#define SETTING(name, type, def, show, doc) \
	case SETTING_##name: return number_##type(r->s.name);
#include "relay/settings.def"
#undef SETTING
#undef SECTION
	}
	return -1;
}

static void check_good(int id, const char *text, double value)
{
	const char *name = setting_docs[id].name;
	struct buf err = BUF_INIT;
	struct relay *r = parse_setting(name, text, &err);
	bool same = r && field(r, id) == value;

	tap_ok(same, "%s = %s%s%s", name, text, err.len ? ": " : "", err.data);
	relay_free(r);
	buf_free(&err);
}

static void check_bad(int id, const char *text)
{
	const char *name = setting_docs[id].name;
	struct buf err = BUF_INIT, want = BUF_INIT;
	struct relay *r = parse_setting(name, text, &err);

	buf_addf(&want, "x.ini:3: %s: expected %s, got \"%s\"", name,
		 setting_docs[id].expect, text);
	tap_ok(!r, "%s = %s is refused", name, text);
	tap_is(err.data, want.data, "with file, line, key and reason");
	relay_free(r);
	buf_free(&err);
	buf_free(&want);
}

/* Settings that are checked together with others, and what each allows. */
static bool is_special(int id)
{
	return id == SETTING_mail_domain || id == SETTING_notification_url ||
	       id == SETTING_tls_external_cert_and_key ||
	       id == SETTING_imap_notify_delay ||
	       id == SETTING_turn_ports || id == SETTING_turn_external_ip ||
	       id == SETTING_username_min_length ||
	       id == SETTING_username_max_length;
}

static void test_types(void)
{
	for (int id = 0; id < SETTING_COUNT; id++) {
		size_t t = 0;

		while (t < ARRAY_LEN(types) &&
		       strcmp(types[t].expect, setting_docs[id].expect) != 0)
			t++;
		if (!tap_ok(t < ARRAY_LEN(types), "%s has a known type",
			    setting_docs[id].name))
			continue;
		tap_ok(setting_find(setting_docs[id].name) == id &&
		       setting_docs[id].doc[0], "%s is documented",
		       setting_docs[id].name);
		for (size_t i = 0; types[t].bad[i]; i++)
			check_bad(id, types[t].bad[i]);
		for (size_t i = 0; types[t].good[i].text && !is_special(id);
		     i++)
			check_good(id, types[t].good[i].text,
				   types[t].good[i].value);
	}
	tap_ok(setting_find("") == -1 && setting_find("mail_domai") == -1,
	       "no such setting");
}

/* ---- whole files ------------------------------------------------------------- */

#define DOMAIN_LINE "[params]\nmail_domain = chat.example.org\n"

static const struct {
	const char *name, *input, *err, *warnings;
} files[] = {
	{ "only a domain", DOMAIN_LINE, "", "" },
	{ "upstream's old keys", DOMAIN_LINE "passthrough_senders = x@y.org\n",
	  "", "x.ini:3: ignored: unknown setting passthrough_senders\n" },
	{ "two unknown keys", DOMAIN_LINE "a = 1\nMail_Domain = 2\n", "",
	  "x.ini:3: ignored: unknown setting a\n"
	  "x.ini:4: ignored: unknown setting Mail_Domain\n" },
	{ "another section", DOMAIN_LINE "[other]\nmail_domain = y\n", "",
	  "x.ini:4: ignored: mail_domain is in section [other], not in "
	  "[params]\n" },
	{ "nothing", "", "x.ini: mail_domain is not set", "" },
	{ "no domain", "[params]\n", "x.ini: mail_domain is not set", "" },
	{ "an empty domain", "[params]\nmail_domain =\n",
	  "x.ini:2: mail_domain: the domain is empty", "" },
	{ "a bad domain", "[params]\n\nmail_domain = a b\n",
	  "x.ini:3: mail_domain: \"a b\" is neither a domain name, nor a name "
	  "that begins with _, nor an IPv4 address", "" },
	{ "bad syntax", "[params]\nmail_domain\n",
	  "x.ini:2: expected name = value, got: mail_domain", "" },
	{ "minimum over maximum", DOMAIN_LINE "username_min_length = 10\n",
	  "x.ini:3: username_min_length: expected at most username_max_length "
	  "(9), got \"10\"", "" },
	{ "maximum under minimum", DOMAIN_LINE "username_max_length = 8\n",
	  "x.ini:3: username_min_length: expected at most username_max_length "
	  "(8), got \"9\"", "" },
	{ "both", DOMAIN_LINE "username_max_length = 20\n"
	  "username_min_length = 20\n", "", "" },
	{ "Dovecot's own notification delay",
	  DOMAIN_LINE "imap_notify_delay = 500\n", "", "" },
	{ "a longer one", DOMAIN_LINE "imap_notify_delay = 501\n",
	  "x.ini:3: imap_notify_delay: expected at most 500, got \"501\"", "" },
	{ "none", DOMAIN_LINE "imap_notify_delay = off\n",
	  "x.ini:3: imap_notify_delay: expected a whole number, got \"off\"",
	  "" },
	{ "one path", DOMAIN_LINE "tls_external_cert_and_key = /only/one.pem\n",
	  "x.ini:3: tls_external_cert_and_key: expected two paths, certificate "
	  "and key, got \"/only/one.pem\"", "" },
	{ "three paths", DOMAIN_LINE "tls_external_cert_and_key = a b c\n",
	  "x.ini:3: tls_external_cert_and_key: expected two paths, certificate "
	  "and key, got \"a b c\"", "" },
	{ "no URL", DOMAIN_LINE "notification_url = ftp://x\n",
	  "x.ini:3: notification_url: expected an http:// or https:// URL, got "
	  "\"ftp://x\"", "" },
	{ "a good URL", DOMAIN_LINE "notification_url = http://x\n", "", "" },
};

static void test_files(void)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct buf warnings = BUF_INIT, err = BUF_INIT;
		struct relay *r = parse(files[i].input, &warnings, &err);

		tap_is(err.data, files[i].err, files[i].name);
		tap_is(warnings.data, files[i].warnings, files[i].name);
		tap_ok(!r == (*files[i].err != 0), "%s: a relay or an error",
		       files[i].name);
		relay_free(r);
		buf_free(&warnings);
		buf_free(&err);
	}
}

/* ---- domains ------------------------------------------------------------------- */

static const struct {
	const char *domain;
	int kind;		/* -1: refused */
} domains[] = {
	{ "chat.example.org", DOMAIN_NAME }, { "a.b", DOMAIN_NAME },
	{ "xn--mnchen-3ya.example", DOMAIN_NAME },
	{ "1.2.3.example", DOMAIN_NAME }, { "ad.1e.dag.adf", DOMAIN_NAME },
	{ "_test.example.org", DOMAIN_UNDERSCORE },
	{ "_relay", DOMAIN_UNDERSCORE }, { "1.3.3.7", DOMAIN_IPV4 },
	{ "255.255.255.255", DOMAIN_IPV4 },
	{ "", -1 }, { "localhost", -1 }, { "chat.example.org.", -1 },
	{ ".chat.example", -1 }, { "chat..example", -1 }, { "-a.b", -1 },
	{ "a-.b", -1 }, { "a_b.c", -1 }, { "a._b.c", -1 }, { "_", -1 },
	{ "_.example", -1 }, { "Chat.example", -1 }, { "a b.c", -1 },
	{ "a/b.c", -1 }, { "../x.y", -1 }, { "a@b.c", -1 },
	{ "b\xc3\xbc" "cher.example", -1 }, { "1.3.3", -1 },
	{ "1.3.3.256", -1 }, { "1.3.3.7.9", -1 }, { "01.3.3.7", -1 },
	{ "12394142", -1 }, { "a.1", -1 }, { "fe::1", -1 },
	{ "[1.3.3.7]", -1 }, { "1.3.3.7:25", -1 },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b",
	  DOMAIN_NAME },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b",
	  -1 },
};

static void test_domains(void)
{
	struct buf err = BUF_INIT, name = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		buf_reset(&err);
		tap_ok(relay_domain_kind(domains[i].domain, &err) ==
		       domains[i].kind, "domain %s", domains[i].domain);
		tap_ok((err.len > 0) == (domains[i].kind < 0),
		       "and an error if it is none");
	}
	for (int i = 0; i < 127; i++)
		buf_adds(&name, "a.");
	buf_truncate(&name, 253);
	tap_ok(relay_domain_kind(name.data, &err) == DOMAIN_NAME,
	       "253 characters");
	buf_adds(&name, ".a");
	tap_ok(relay_domain_kind(name.data, &err) < 0, "255 characters");
	buf_free(&err);
	buf_free(&name);
}

/* ---- what follows: as upstream's Config -------------------------------------- */

static const struct {
	const char *ini, *name, *want;
} derived[] = {
	{ "mail_domain = chat.example.org", "mail_domain", "chat.example.org" },
	{ "mail_domain = chat.example.org", "mail_domain_bare",
	  "chat.example.org" },
	{ "mail_domain = chat.example.org", "ipv4_relay", "" },
	{ "mail_domain = chat.example.org", "postfix_myhostname",
	  "chat.example.org" },
	{ "mail_domain = chat.example.org", "tls_cert_mode", "acme" },
	{ "mail_domain = chat.example.org", "tls_cert_path",
	  "/var/lib/acme/live/chat.example.org/fullchain" },
	{ "mail_domain = chat.example.org", "tls_key_path",
	  "/var/lib/acme/live/chat.example.org/privkey" },
	{ "mail_domain = chat.example.org", "mailboxes_dir",
	  "/home/vmail/mail/chat.example.org" },
	{ "mail_domain = chat.example.org", "passdb_path",
	  "/home/vmail/passdb.sqlite" },
	{ "mail_domain = chat.example.org", "iroh_relay",
	  "https://chat.example.org" },
	{ "mail_domain = chat.example.org", "enable_iroh_relay", "true" },
	{ "mail_domain = chat.example.org", "max_message_size", "31457280" },
	{ "mail_domain = chat.example.org", "mxdeliv_body_max", "41943041" },
	{ "mail_domain = chat.example.org", "max_mailbox_size_mb", "500" },
	{ "mail_domain = chat.example.org", "max_mailbox_size_warn_mb", "350" },
	{ "mail_domain = chat.example.org", "smtp_client_connection_limit",
	  "200" },
	{ "mail_domain = chat.example.org", "disable_ipv6", "false" },
	{ "mail_domain = chat.example.org", "turn_socket_path",
	  "/run/chatmail-turn/turn.socket" },
	{ "mail_domain = _x.example", "mail_domain", "_x.example" },
	{ "mail_domain = _x.example", "tls_cert_mode", "self" },
	{ "mail_domain = _x.example", "tls_cert_path",
	  "/etc/ssl/certs/mailserver.pem" },
	{ "mail_domain = _x.example", "tls_key_path",
	  "/etc/ssl/private/mailserver.key" },
	{ "mail_domain = 1.3.3.7", "mail_domain", "[1.3.3.7]" },
	{ "mail_domain = 1.3.3.7", "mail_domain_bare", "1.3.3.7" },
	{ "mail_domain = 1.3.3.7", "ipv4_relay", "1.3.3.7" },
	{ "mail_domain = 1.3.3.7", "postfix_myhostname",
	  "7.3.3.1.in-addr.arpa" },
	{ "mail_domain = 1.3.3.7", "tls_cert_mode", "self" },
	{ "mail_domain = 1.3.3.7", "mailboxes_dir", "/home/vmail/mail/1.3.3.7" },
	{ "mail_domain = 1.3.3.7", "iroh_relay", "https://1.3.3.7" },
	{ "mail_domain = _x.example\n"
	  "tls_external_cert_and_key = /certs/full.pem  /certs/key.pem",
	  "tls_cert_mode", "external" },
	{ "mail_domain = x.example\n"
	  "tls_external_cert_and_key = /certs/full.pem\t/certs/key.pem",
	  "tls_cert_path", "/certs/full.pem" },
	{ "mail_domain = x.example\n"
	  "tls_external_cert_and_key =\n  /certs/full.pem\n  /certs/key.pem",
	  "tls_key_path", "/certs/key.pem" },
	{ "mail_domain = x.example\niroh_relay = https://iroh.example",
	  "iroh_relay", "https://iroh.example" },
	{ "mail_domain = x.example\niroh_relay = https://iroh.example",
	  "enable_iroh_relay", "false" },
	{ "mail_domain = x.example\niroh_relay =", "iroh_relay", "" },
	{ "mail_domain = x.example\niroh_relay =", "enable_iroh_relay",
	  "false" },
	{ "mail_domain = x.example\nmax_message_size = 10M",
	  "max_message_size", "10485760" },
	{ "mail_domain = x.example\nmax_message_size = 10000000000000000000",
	  "mxdeliv_body_max", "10000000000000000000" },
	{ "mail_domain = x.example\nmax_mailbox_size = 1g",
	  "max_mailbox_size_mb", "1024" },
	{ "mail_domain = x.example\nmax_mailbox_size = 1g",
	  "max_mailbox_size_warn_mb", "716" },
	{ "mail_domain = x.example", "max_message_size_text", "30 MB" },
	{ "mail_domain = x.example\nmax_message_size = 31000000",
	  "max_message_size_text", "29 MB" },
	{ "mail_domain = x.example\nmax_message_size = 5000000",
	  "max_message_size_text", "4882 kB" },
	{ "mail_domain = x.example\nmax_message_size = 1000",
	  "max_message_size_text", "1000 B" },
	{ "mail_domain = x.example", "max_mailbox_size_text", "500 MB" },
	{ "mail_domain = x.example\nmax_mailbox_size = 2G",
	  "max_mailbox_size_text", "2 GB" },
	{ "mail_domain = x.example\nmax_mailbox_size = 1536M",
	  "max_mailbox_size_text", "1536 MB" },
	{ "mail_domain = x.example\nmax_mailbox_size = 17592186044415",
	  "max_mailbox_size_text", "17179869183 GB" },
	{ "mail_domain = x.example", "username_length", "9" },
	{ "mail_domain = x.example\nusername_min_length = 6\n"
	  "username_max_length = 12", "username_length", "6 – 12" },
	{ "mail_domain = x.example\nmax_smtp_connections = 4",
	  "smtp_client_connection_limit", "1" },
	{ "mail_domain = x.example\nmailboxes_dir = /srv/mail",
	  "mailboxes_dir", "/srv/mail" },
	{ "mail_domain = x.example\ndisable_ipv6 = True", "disable_ipv6",
	  "true" },
	{ "mail_domain = x.example\nprivacy_postal =\n  A\n  B",
	  "privacy_postal", "A\nB" },
	{ "mail_domain = x.example", "no_such_name", NULL },
};

static void test_derived(void)
{
	for (size_t i = 0; i < ARRAY_LEN(derived); i++) {
		struct buf text = BUF_INIT, warnings = BUF_INIT, err = BUF_INIT;
		struct relay *r;

		buf_addf(&text, "[params]\n%s\n", derived[i].ini);
		r = parse(text.data, &warnings, &err);
		if (tap_ok(r != NULL, "%s%s", derived[i].name, err.data))
			tap_is(relay_var(r, derived[i].name), derived[i].want,
			       derived[i].name);
		relay_free(r);
		buf_free(&text);
		buf_free(&warnings);
		buf_free(&err);
	}
}

/* ---- init --------------------------------------------------------------------- */

/* Every "#name = value" as "name = value": what init shows is the default. */
static void uncomment(struct buf *out, const char *ini)
{
	while (*ini) {
		size_t n = strcspn(ini, "\n");

		if (*ini == '#' && n > 1 && ini[1] != ' ')
			buf_add(out, ini + 1, n - 1);
		else
			buf_add(out, ini, n);
		buf_addc(out, '\n');
		ini += n + (ini[n] == '\n');
	}
}

static void check_same(const struct relay *a, const struct relay *b,
		       const char *what)
{
	int differ = 0;

	for (int id = 0; id < SETTING_COUNT; id++) {
		/* set to nothing, it means something else */
		if (id == SETTING_iroh_relay)
			continue;
		if (strcmp(a->text[id], b->text[id]) != 0 ||
		    field(a, id) != field(b, id)) {
			printf("# %s\n", setting_docs[id].name);
			differ++;
		}
	}
	tap_ok(!differ && a->tls_mode == b->tls_mode &&
	       strcmp(a->mail_domain, b->mail_domain) == 0, "%s", what);
}

static void test_init(void)
{
	static const char *const names[] = {
		"chat.example.org", "_test.example", "192.0.2.1",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buf ini = BUF_INIT, all = BUF_INIT, few = BUF_INIT;
		struct buf warnings = BUF_INIT, err = BUF_INIT;
		struct relay *plain, *written, *shown;

		buf_addf(&few, "[params]\nmail_domain = %s\n", names[i]);
		relay_write_ini(&ini, names[i]);
		uncomment(&all, ini.data);
		plain = parse(few.data, &warnings, &err);
		written = parse(ini.data, &warnings, &err);
		tap_ok(written && !warnings.len, "%s: init's file is read%s",
		       names[i], err.data);
		shown = parse(all.data, &warnings, &err);
		tap_ok(shown && !warnings.len,
		       "%s: so are the values that it shows%s", names[i],
		       err.data);
		if (plain && written && shown) {
			check_same(plain, written, "init's file gives the "
				   "defaults");
			check_same(plain, shown, "what it shows are the "
				   "defaults");
		}
		for (int id = 0; id < SETTING_COUNT; id++)
			if (setting_docs[id].show != SETTING_RARE)
				tap_ok(strstr(ini.data, setting_docs[id].name),
				       "init writes %s", setting_docs[id].name);
		relay_free(plain);
		relay_free(written);
		relay_free(shown);
		buf_free(&ini);
		buf_free(&all);
		buf_free(&few);
		buf_free(&warnings);
		buf_free(&err);
	}
}

static void test_load(void)
{
	struct buf warnings = BUF_INIT, err = BUF_INIT;

	tap_ok(!relay_load("/nonexistent/x.ini", &warnings, &err), "no file");
	tap_is(err.data, "/nonexistent/x.ini: No such file or directory",
	       "says so");
	tap_ok(!relay_load("/dev", &warnings, &err), "a directory");
	tap_is(err.data, "/dev: Is a directory", "says so");
	relay_free(NULL);
	unsetenv("CHATMAIL_INI");
	tap_is(relay_ini_path("a", true), "a", "the argument first");
	tap_is(relay_ini_path(NULL, true), "chatmail.ini", "the operator's");
	tap_is(relay_ini_path(NULL, false), "/etc/chatmail/chatmail.ini",
	       "a role's");
	setenv("CHATMAIL_INI", "", 1);
	tap_is(relay_ini_path(NULL, true), "chatmail.ini", "an empty variable");
	setenv("CHATMAIL_INI", "/e", 1);
	tap_is(relay_ini_path(NULL, true), "/e", "the environment");
	tap_is(relay_ini_path(NULL, false), "/e", "for roles too");
	tap_is(relay_ini_path("a", false), "a", "the argument before it");
	buf_free(&warnings);
	buf_free(&err);
}

int main(void)
{
	test_types();
	test_files();
	test_domains();
	test_derived();
	test_init();
	test_load();
	return tap_done();
}
