/* What newemail answers to people who come by browser. */
#include "applets/newemail.h"

#include <string.h>

#include "base/assets.h"
#include "base/str.h"
#include "text/accept.h"
#include "text/qr.h"
#include "text/tmpl.h"

static const char folder[] = "conf-templates/newemail/", suffix[] = ".html";

struct values {
	struct tmpl_vars vars;
	const struct relay *relay;
	struct buf address, dclogin, reason;	/* as HTML */
	struct buf qr_svg;
};

static const char *lookup(const struct tmpl_vars *vars, const char *name)
{
	const struct values *v = container_of(vars, struct values, vars);
	const struct {
		const char *name, *value;
	} own[] = {
		{ "address", v->address.data }, { "dclogin", v->dclogin.data },
		{ "reason", v->reason.data }, { "qr_svg", v->qr_svg.data },
	};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(own[i].name, name) == 0)
			return own[i].value;
	return relay_var(v->relay, name);
}

/* English, unless one of the others is liked better. */
static const struct asset *choose(const char *languages)
{
	unsigned best = accept_language(languages, "en");
	size_t count;
	const struct asset *a = assets_all(&count);
	const struct asset *chosen = asset_find("conf-templates/newemail/"
						"en.html");

	for (size_t i = 0; i < count; i++) {
		struct buf language = BUF_INIT;
		unsigned weight;

		if (!str_starts(a[i].name, folder) ||
		    !str_ends(a[i].name, suffix))
			continue;
		buf_adds(&language, a[i].name + strlen(folder));
		buf_truncate(&language, language.len - strlen(suffix));
		weight = accept_language(languages, language.data);
		buf_free(&language);
		if (weight > best) {
			best = weight;
			chosen = &a[i];
		}
	}
	return chosen;
}

int newemail_add_qr(struct buf *out, const char *dclogin)
{
	const struct qr_options options = { .level = QR_M };
	struct buf err = BUF_INIT;
	int ret = qr_add_svg(out, dclogin, &options, &err);

	buf_free(&err);
	return ret;
}

/* What has a password in it is wiped. */
static void wipe(struct buf *b)
{
	explicit_bzero(b->data, b->len);
	buf_free(b);
}

int newemail_add_page(struct buf *out, const struct newemail_page *p,
		      const struct relay *r, struct buf *err)
{
	struct values v = {
		.vars.lookup = lookup, .relay = r, .address = BUF_INIT,
		.dclogin = BUF_INIT, .reason = BUF_INIT, .qr_svg = BUF_INIT,
	};
	const struct asset *page = choose(p->languages);
	int ret;

	buf_add_html(&v.address, p->address);
	buf_add_html(&v.dclogin, p->dclogin);
	buf_add_html(&v.reason, p->reason);
	if (*p->dclogin)
		newemail_add_qr(&v.qr_svg, p->dclogin);
	ret = tmpl_render(out, page->name, page->data, page->size, &v.vars,
			  err);
	wipe(&v.dclogin);
	wipe(&v.qr_svg);
	buf_free(&v.address);
	buf_free(&v.reason);
	return ret;
}
