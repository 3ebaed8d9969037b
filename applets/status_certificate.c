/* The certificate: is it there, for how long, and for the right name? */
#include "applets/status.h"

#include <string.h>

#include "base/str.h"
#include "net/cert.h"

enum { DAYS_MIN = 7 };

static const char *renewal(const struct relay *r)
{
	switch (r->tls_mode) {
	case TLS_ACME:
		return "run chatmail acme on the relay, which says why";
	case TLS_EXTERNAL:
		return "see to it that it is renewed where it comes from";
	default:
		return "run chatmail deploy";
	}
}

static void judge(struct status *s, const struct cert *c)
{
	const struct relay *r = s->relay;
	const char *how = renewal(r);

	if (c->days_left < 0)
		status_problem(s, "the certificate has expired: %s", how);
	else if (c->days_left < DAYS_MIN)
		status_problem(s, "the certificate is good for %d day%s more: "
			       "%s", c->days_left, c->days_left == 1 ? "" :
			       "s", how);
	if (!cert_file_covers(r->tls_cert_path, r->mail_domain_bare))
		status_problem(s, "the certificate is not for %s: %s",
			       r->mail_domain_bare, how);
	if (r->tls_mode == TLS_ACME && c->is_self_signed)
		status_problem(s, "the certificate is self-signed, which other "
			       "relays and apps do not accept: %s", how);
	if (!c->has_key)
		status_problem(s, "%s cannot be read, or is not the key of the "
			       "certificate: %s", r->tls_key_path, how);
}

static void add_names(cJSON *o, const char *names)
{
	cJSON *list = cJSON_AddArrayToObject(o, "names");

	while (*names) {
		size_t n = strcspn(names, " ");
		char *name = xstrndup(names, n);

		cJSON_AddItemToArray(list, cJSON_CreateString(name));
		free(name);
		names += n + (names[n] == ' ');
	}
}

void status_add_certificate(struct status *s)
{
	const struct relay *r = s->relay;
	cJSON *o = cJSON_AddObjectToObject(s->json, "certificate");
	struct buf err = BUF_INIT;
	struct cert c;

	cJSON_AddStringToObject(o, "mode", relay_var(r, "tls_cert_mode"));
	cJSON_AddStringToObject(o, "path", r->tls_cert_path);
	if (cert_read(&c, r->tls_cert_path, r->tls_key_path, &err) == 0) {
		add_names(o, c.names.data);
		cJSON_AddStringToObject(o, "issuer", c.issuer.data);
		cJSON_AddBoolToObject(o, "self_signed", c.is_self_signed);
		cJSON_AddNumberToObject(o, "days_left", c.days_left);
		judge(s, &c);
	} else {
		status_problem(s, "%s: %s", err.data, renewal(r));
	}
	cert_free(&c);
	buf_free(&err);
}
