/* The relay's certificate: from an ACME authority, self-signed, or the
 * operator's own. */
#include "host/components.h"

#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "host/acme.h"
#include "net/cert.h"

/* As other relays have it: it does not run out while the relay lives. */
enum { SELF_DAYS = 36500 };

static const char *const packages[] = { "uacme", NULL };

void plan_acme(const struct plan *p, struct acme *a)
{
	*a = (struct acme) {
		.directory = p->relay->s.acme_directory,
		.email = p->relay->s.acme_email,
		.domain = p->relay->mail_domain_bare,
		.state_dir = layout_need(&p->layout, "uacme_dir"),
		.live_dir = layout_need(&p->layout, "acme_dir"),
		.hook = layout_need(&p->layout, "acme_hook"),
	};
}

/* The operator's own has to be there before anything is changed. */
static int check(struct plan *p, struct buf *err)
{
	const struct relay *r = p->relay;
	struct cert c;
	int ret = 0;

	if (r->tls_mode != TLS_EXTERNAL)
		return 0;
	if (access(r->tls_key_path, R_OK) < 0) {
		buf_setf(err, "%s, which tls_external_cert_and_key names, is "
			 "not on this server", r->tls_key_path);
		return -1;
	}
	if (cert_read(&c, r->tls_cert_path, r->tls_key_path, err) < 0) {
		buf_adds(err, "; tls_external_cert_and_key names it");
		ret = -1;
	} else if (!c.has_key) {
		buf_setf(err, "%s is not the key of %s", r->tls_key_path,
			 r->tls_cert_path);
		ret = -1;
	} else if (!cert_file_covers(r->tls_cert_path, r->mail_domain_bare)) {
		plan_warn(p, "%s is for %s, not for %s", r->tls_cert_path,
			  c.names.data, r->mail_domain_bare);
	}
	cert_free(&c);
	return ret;
}

/* Servers do not start without any. */
static int configure(struct plan *p, struct buf *err)
{
	const struct relay *r = p->relay;
	struct acme a;
	int ret = 0;

	plan_acme(p, &a);
	if (r->tls_mode == TLS_ACME) {
		tree_dir(&p->tree, a.live_dir, 0755, NULL, NULL);
		tree_dir(&p->tree, a.state_dir, 0700, NULL, NULL);
		tree_dir(&p->tree, layout_need(&p->layout, "acme_webroot"),
			 0755, NULL, NULL);
		tree_link(&p->tree, a.hook,
			  layout_need(&p->layout, "chatmail_bin"));
	}
	if (!plan_may_change(p))
		return 0;
	if (r->tls_mode == TLS_SELF)
		ret = cert_make_self(r->mail_domain_bare, SELF_DAYS,
				     r->tls_cert_path, r->tls_key_path, err);
	else if (r->tls_mode == TLS_ACME)
		ret = acme_bootstrap(&a, err);
	if (ret > 0)
		plan_tell(p, "%s new, self-signed", r->tls_cert_path);
	return ret < 0 ? -1 : 0;
}

/* The web server answers now. */
static int get_certificate(struct plan *p, struct buf *err)
{
	struct buf why = BUF_INIT;
	struct acme a;
	int ret = 0;

	plan_acme(p, &a);
	if (p->relay->tls_mode == TLS_ACME && acme_is_due(&a, &why)) {
		plan_tell(p, "certificate of %s: %s", a.domain, why.data);
		if (!p->dry_run)
			ret = acme_renew(&a, err);
		if (ret > 0)
			ret = plan_reload_certificate(p, err);
	}
	buf_free(&why);
	return ret;
}

const struct component component_certificate = {
	.name = "certificate", .packages = packages, .check = check,
	.configure = configure, .activate = get_certificate,
	.after = "nginx", .has_dry_activate = true,
};
