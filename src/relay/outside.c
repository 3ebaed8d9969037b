#include "relay/outside.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/rand.h"
#include "base/str.h"
#include "text/json.h"

enum {
	SANDBOX_JSON_MAX = 64 * 1024,
	NAME_WANTED = 12,	/* characters, if the relay lets choose */
	NAME_RANDOM_MIN = 5,	/* besides the prefix */
	PASSWORD_EXTRA = 11,	/* above what is required */
	LENGTH_MAX = 200,	/* whatever chatmail.ini says */
};

static const struct {
	const char *name;
	unsigned port;
	enum stream_security security;
} ports[OUTSIDE_PORTS] = {
	[OUTSIDE_SMTP] = { "smtp", 25, STREAM_STARTTLS },
	[OUTSIDE_SUBMISSION] = { "submission", 587, STREAM_STARTTLS },
	[OUTSIDE_SMTPS] = { "smtps", 465, STREAM_TLS },
	[OUTSIDE_IMAP] = { "imap", 143, STREAM_STARTTLS },
	[OUTSIDE_IMAPS] = { "imaps", 993, STREAM_TLS },
	[OUTSIDE_HTTPS] = { "https", 443, STREAM_TLS },
	[OUTSIDE_HTTP] = { "http", 80, STREAM_CLEAR },
};

const char *outside_port_name(enum outside_port port)
{
	return ports[port].name;
}

/* ---- what is known of it ------------------------------------------------- */

static int open_domain(struct outside *o, const char *domain, struct buf *err)
{
	struct buf text = BUF_INIT, warnings = BUF_INIT;
	int ret = relay_domain_kind(domain, err);

	if (ret >= 0) {
		buf_addf(&text, "[params]\nmail_domain = %s\n", domain);
		o->relay = relay_parse(domain, text.data, text.len, &warnings,
				       err);
	}
	buf_free(&text);
	buf_free(&warnings);
	return o->relay ? 0 : -1;
}

static const char *text_of(struct outside *o, const cJSON *json,
			   const char *name)
{
	const char *text = cJSON_GetStringValue(
		cJSON_GetObjectItemCaseSensitive(json, name));

	return text ? arena_strdup(&o->arena, text) : "";
}

/* As the sandbox tells in its sandbox.json. */
static void take_sandbox(struct outside *o, const cJSON *json,
			 const char **ini, const char **certificate)
{
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(json, "ports");

	for (int i = 0; i < OUTSIDE_PORTS; i++) {
		const cJSON *port = cJSON_GetObjectItemCaseSensitive(
			all, ports[i].name);

		if (cJSON_IsNumber(port) && port->valuedouble > 0 &&
		    port->valuedouble <= UINT16_MAX)
			o->ports[i] = (unsigned)port->valuedouble;
	}
	*ini = text_of(o, json, "ini");
	*certificate = text_of(o, json, "certificate");
	o->host = "127.0.0.1";
	o->is_sandbox = true;
}

static int open_sandbox(struct outside *o, const char *dir,
			const char **certificate, struct buf *warnings,
			struct buf *err)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	const char *ini;
	cJSON *json = NULL;

	buf_addf(&path, "%s/sandbox.json", dir);
	if (file_read(path.data, SANDBOX_JSON_MAX, &text) < 0)
		buf_setf(err, "%s: no sandbox runs there", dir);
	else
		json = json_parse(text.data, text.len, err);
	if (json) {
		take_sandbox(o, json, &ini, certificate);
		o->relay = relay_load(ini, warnings, err);
	}
	cJSON_Delete(json);
	buf_free(&path);
	buf_free(&text);
	return o->relay ? 0 : -1;
}

/* Is it a file's name, and not a domain? */
static bool is_file(const char *what)
{
	struct stat st;

	return strchr(what, '/') || str_ends(what, ".ini") ||
	       stat(what, &st) == 0;
}

static int open_relay(struct outside *o, const char *what,
		      const char **certificate, struct buf *warnings,
		      struct buf *err)
{
	struct stat st;

	o->is_known = is_file(what);
	if (!o->is_known)
		return open_domain(o, what, err);
	if (stat(what, &st) == 0 && S_ISDIR(st.st_mode))
		return open_sandbox(o, what, certificate, warnings, err);
	o->relay = relay_load(what, warnings, err);
	return o->relay ? 0 : -1;
}

/* Apps accept any certificate of a domain with an underscore, and of an address
 * when they are told so by the link that they get. */
static bool needs_certificate(const struct relay *r)
{
	return *r->mail_domain_bare != '_' && r->tls_mode != TLS_SELF;
}

int outside_open(struct outside *o, const struct outside_target *t,
		 struct buf *warnings, struct buf *err)
{
	const char *certificate = "";

	*o = (struct outside){ 0 };
	for (int i = 0; i < OUTSIDE_PORTS; i++)
		o->ports[i] = ports[i].port;
	if (open_relay(o, t->what, &certificate, warnings, err) < 0)
		return -1;
	o->name = o->relay->mail_domain_bare;
	if (t->address)
		o->host = arena_strdup(&o->arena, t->address);
	else if (!o->host)
		o->host = o->name;
	o->trust = trust_new(needs_certificate(o->relay), t->ca_file ?
			     t->ca_file : *certificate ? certificate : NULL,
			     err);
	return o->trust ? 0 : -1;
}

void outside_free(struct outside *o)
{
	relay_free(o->relay);
	if (o->trust)
		trust_free(o->trust);
	arena_free(&o->arena);
	*o = (struct outside){ 0 };
}

/* ---- its ports ----------------------------------------------------------- */

void outside_peer(const struct outside *o, enum outside_port port, double secs,
		  struct stream_peer *peer)
{
	*peer = (struct stream_peer){
		.host = o->host, .port = o->ports[port],
		.security = ports[port].security, .name = o->name,
		.trust = o->trust, .secs = secs,
	};
}

int outside_post(const struct outside *o, const char *path, double secs,
		 struct web_answer *a, struct buf *err)
{
	struct buf url = BUF_INIT;
	struct web_request r = {
		.post = true, .connect_to = o->host,
		.port = o->ports[OUTSIDE_HTTPS], .trust = o->trust,
		.secs = secs,
	};
	int ret;

	buf_addf(&url, "https://%s%s", o->name, path);
	r.url = url.data;
	ret = web_ask(a, &r, err);
	buf_free(&url);
	return ret;
}

/* ---- accounts ------------------------------------------------------------ */

static uint64_t at_most(uint64_t n)
{
	return n > LENGTH_MAX ? LENGTH_MAX : n;
}

static void add_random(struct buf *b, size_t n)
{
	buf_reserve(b, n);
	rand_string(b->data + b->len, n,
		    "abcdefghijklmnopqrstuvwxyz0123456789");
	b->len += n;
}

void outside_account(const struct outside *o, struct buf *address,
		     struct buf *password)
{
	const struct settings *s = &o->relay->s;
	uint64_t n = NAME_WANTED;
	size_t prefix = strlen("ci-");

	if (n < s->username_min_length)
		n = s->username_min_length;
	if (n > s->username_max_length)
		n = s->username_max_length;
	n = at_most(n);
	buf_reset(address);
	if (n >= prefix + NAME_RANDOM_MIN)
		buf_adds(address, "ci-");
	add_random(address, n - address->len);
	buf_addf(address, "@%s", o->relay->mail_domain);
	buf_reset(password);
	add_random(password, at_most(s->password_min_length) + PASSWORD_EXTRA);
}
