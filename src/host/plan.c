#include "host/plan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "host/activate.h"
#include "host/components.h"
#include "host/steps.h"
#include "host/system.h"

enum { PLAN_PACKAGES_MAX = 64 };

static bool takes_part(const struct plan *p, const struct component *c)
{
	return !p->website_only || c->is_website;
}

/* Where its service is another's, or none, there is no need of packages. */
static bool has_use(const struct plan *p, const struct component *c)
{
	return !c->service || relay_service_is_wanted(
		relay_service_find(c->service), p->relay);
}

/* ---- check ------------------------------------------------------------------ */

static int check_all(struct plan *p)
{
	int ret = 0;

	/* all problems are told, not just the first */
	for (size_t i = 0; i < p->component_count; i++) {
		const struct component *c = p->components[i];
		struct buf err = BUF_INIT;
		struct step s;

		if (!c->check || !takes_part(p, c))
			continue;
		s = step_begin(p, PLAN_CHECK, c->name);
		if (step_end(&s, c->check(p, &err), &err) < 0)
			ret = -1;
		buf_free(&err);
	}
	return ret;
}

/* ---- install ---------------------------------------------------------------- */

static void prepare_all(struct plan *p)
{
	for (size_t i = 0; i < p->component_count; i++)
		if (p->components[i]->prepare)
			p->components[i]->prepare(p);
}

/* Append a component's to the n names that there are; returns how many. */
static size_t add_names(const char **names, size_t n, const char *const *more)
{
	for (; more && *more; more++) {
		if (n == PLAN_PACKAGES_MAX)
			bug("more than %d packages", PLAN_PACKAGES_MAX);
		names[n++] = *more;
	}
	return n;
}

/* Only those that are missing: what is there may be pinned, and apt refuses to
 * install that. Each name is followed by a space. */
static int install_names(struct plan *p, char *missing, struct buf *err)
{
	const char *names[PLAN_PACKAGES_MAX + 1];
	char *rest;
	size_t n = 0;

	for (char *s = strtok_r(missing, " ", &rest);
	     s && n < PLAN_PACKAGES_MAX; s = strtok_r(NULL, " ", &rest))
		names[n++] = s;
	names[n] = NULL;
	return p->packages->install(names, err);
}

/* All at once: a package manager takes seconds for each time that it runs.
 * Returns how many were missing, or -1. */
static int install_missing(struct plan *p, struct buf *err)
{
	const char *names[PLAN_PACKAGES_MAX + 1];
	struct buf missing = BUF_INIT;
	size_t n = 0;
	int ret;

	for (size_t i = 0; i < p->component_count; i++) {
		const struct component *c = p->components[i];

		if (!takes_part(p, c) || !has_use(p, c))
			continue;
		n = add_names(names, n, c->packages);
		if (plan_wants(p, c->more_when))
			n = add_names(names, n, c->more_packages);
	}
	names[n] = NULL;
	ret = p->packages->missing(names, &missing, err);
	if (ret > 0) {
		plan_tell(p, "%s", str_trim(missing.data));
		if (!p->dry_run && install_names(p, missing.data, err) < 0)
			ret = -1;
	}
	buf_free(&missing);
	return ret;
}

/* What has been installed may tell what else is needed. */
static int install_packages(struct plan *p, struct buf *err)
{
	int ret = install_missing(p, err);

	if (ret > 0 && !p->dry_run) {
		prepare_all(p);
		ret = install_missing(p, err);
	}
	return ret < 0 ? -1 : 0;
}

static int install_users(struct plan *p, const struct component *c,
			 struct buf *err)
{
	for (const struct host_user *u = c->users; u && u->name; u++) {
		int ret = host_user_ensure(u, p->dry_run, err);

		if (ret < 0)
			return -1;
		if (ret > 0 && u->member_of)
			plan_tell(p, "user %s is a member of %s", u->name,
				  u->member_of);
		else if (ret > 0)
			plan_tell(p, "user %s", u->name);
	}
	return 0;
}

static int install(struct plan *p, const struct component *c, struct buf *err)
{
	if (install_users(p, c, err) < 0)
		return -1;
	return c->install && !p->dry_run ? c->install(p, err) : 0;
}

static int install_all(struct plan *p)
{
	struct buf err = BUF_INIT;
	struct step s = step_begin(p, PLAN_INSTALL, "packages");
	int ret = step_end(&s, install_packages(p, &err), &err);

	for (size_t i = 0; i < p->component_count && ret == 0; i++) {
		const struct component *c = p->components[i];

		if (!takes_part(p, c) || (!c->users && !c->install))
			continue;
		s = step_begin(p, PLAN_INSTALL, c->name);
		ret = step_end(&s, install(p, c, &err), &err);
	}
	buf_free(&err);
	return ret;
}

/* ---- configure -------------------------------------------------------------- */

static int render_path(const struct layout *l, const struct plan_file *f,
		       struct buf *path, struct buf *err)
{
	buf_reset(path);
	return tmpl_render(path, f->path, f->path, strlen(f->path), &l->vars,
			   err);
}

static int add_file(struct plan *p, const struct plan_file *f, struct buf *err)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	int ret;

	if (!plan_wants(p, f->where))
		return 0;
	ret = render_path(&p->layout, f, &path, err);
	if (ret == 0 && !plan_wants(p, f->when)) {
		tree_absent(&p->tree, path.data);
	} else if (ret == 0) {
		ret = layout_render(&p->layout, f->template, &text, err);
		if (ret == 0)
			tree_put(&p->tree, path.data, text.data, text.len,
				 f->mode ? f->mode : 0644, f->owner, f->owner);
	}
	buf_free(&path);
	buf_free(&text);
	return ret;
}

/* The same files with a layout whose directories are under dir. */
static int stage_file(const struct plan *p, const struct layout *l,
		      const struct plan_file *f, struct buf *err)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	int ret = 0;

	if (!plan_wants(p, f->when) || !plan_wants(p, f->where))
		return 0;
	ret = render_path(l, f, &path, err);
	if (ret == 0 && str_starts(path.data, p->stage_dir)) {
		char *slash = strrchr(path.data, '/');

		ret = layout_render(l, f->template, &text, err);
		*slash = '\0';
		if (ret == 0 && file_mkdirs(path.data, 0755) < 0)
			ret = -1;
		*slash = '/';
		if (ret == 0 && file_replace(path.data, text.data, text.len,
					     0644, 0) < 0)
			ret = -1;
		if (ret < 0 && err->len == 0)
			buf_setf(err, "%s: %s", path.data, strerror(errno));
	}
	buf_free(&path);
	buf_free(&text);
	return ret;
}

static void stage_layout(const struct plan *p, struct layout *l)
{
	static const char *const dirs[] = {
		"postfix_config_dir", "dovecot_config_dir",
		"nginx_config_dir", "unbound_config_dir",
	};

	layout_init(l, p->relay);
	for (size_t i = 0; i < p->layout.change_count; i++)
		layout_setf(l, p->layout.changes[i].name, "%s",
			    p->layout.changes[i].value);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		layout_setf(l, dirs[i], "%s/%s", p->stage_dir, dirs[i]);
}

static bool touches(const struct plan *p, const struct component *c)
{
	struct buf path = BUF_INIT, err = BUF_INIT;
	bool ret = false;

	for (const struct plan_file *f = c->files; f->template && !ret; f++) {
		if (render_path(&p->layout, f, &path, &err) < 0)
			continue;
		for (size_t i = 0; i < p->tree.count && !ret; i++)
			ret = p->tree.entries[i].changed &&
			      strcmp(p->tree.entries[i].path, path.data) == 0;
	}
	buf_free(&path);
	buf_free(&err);
	return ret;
}

static int verify(struct plan *p, const struct component *c, struct buf *err)
{
	struct layout l;
	int ret = 0;

	stage_layout(p, &l);
	for (const struct plan_file *f = c->files;
	     ret == 0 && f && f->template; f++)
		ret = stage_file(p, &l, f, err);
	p->staged = &l;
	if (ret == 0)
		ret = c->verify(p, err);
	p->staged = NULL;
	if (ret < 0)
		buf_prefixf(err, "the new configuration is not right, the old "
			    "one stays: ");
	layout_free(&l);
	return ret;
}

/* Programs test what they are going to read; a dry run may have none yet. */
static int verify_all(struct plan *p, struct buf *err)
{
	int ret = 0;

	if (p->dry_run)
		return 0;
	for (size_t i = 0; i < p->component_count && ret == 0; i++) {
		const struct component *c = p->components[i];

		if (c->verify && takes_part(p, c) && touches(p, c))
			ret = verify(p, c, err);
		if (ret < 0)
			buf_prefixf(err, "%s: ", c->name);
	}
	file_remove_tree(p->stage_dir);
	return ret;
}

static void tell_changes(struct plan *p)
{
	for (size_t i = 0; i < p->tree.count; i++) {
		const struct tree_entry *e = &p->tree.entries[i];

		if (e->changed)
			plan_tell(p, "%s %s", e->path, e->how);
	}
}

static int collect(struct plan *p, const struct component *c, struct buf *err)
{
	/* what one row takes away another may put there */
	for (int wanted = 0; wanted < 2; wanted++)
		for (const struct plan_file *f = c->files; f && f->template;
		     f++)
			if (plan_wants(p, f->when) == wanted &&
			    add_file(p, f, err) < 0)
				return -1;
	return c->configure ? c->configure(p, err) : 0;
}

static int put_in_place(struct plan *p, struct buf *err)
{
	if (tree_compare(&p->tree, p->dry_run, err) < 0 ||
	    verify_all(p, err) < 0)
		return -1;
	tell_changes(p);
	if (!p->dry_run && plan_forget_applied(p, err) < 0)
		return -1;
	if (!p->dry_run)
		return tree_commit(&p->tree, err);
	tree_diff(&p->tree, &p->diff);
	return 0;
}

static int configure_all(struct plan *p)
{
	struct buf err = BUF_INIT;
	struct step s;
	int ret = 0;

	for (size_t i = 0; i < p->component_count && ret == 0; i++) {
		const struct component *c = p->components[i];

		if (!takes_part(p, c) || (!c->files && !c->configure))
			continue;
		s = step_begin(p, PLAN_CONFIGURE, c->name);
		ret = step_end(&s, collect(p, c, &err), &err);
	}
	if (ret == 0) {
		s = step_begin(p, PLAN_CONFIGURE, "files");
		ret = step_end(&s, put_in_place(p, &err), &err);
	}
	buf_free(&err);
	return ret;
}

/* Only to know which files concern which service, when stages leave out their
 * configuration. */
static int collect_quietly(struct plan *p, struct buf *err)
{
	int ret = 0;

	p->is_collecting = true;
	for (size_t i = 0; i < p->component_count && ret == 0; i++)
		if (takes_part(p, p->components[i]))
			ret = collect(p, p->components[i], err);
	p->is_collecting = false;
	return ret;
}

static int activate(struct plan *p)
{
	struct buf err = BUF_INIT;
	struct step s;
	int ret = 0;

	if (!p->stages[PLAN_CONFIGURE]) {
		s = step_begin(p, PLAN_ACTIVATE, "files");
		ret = step_end(&s, collect_quietly(p, &err), &err);
	}
	buf_free(&err);
	return ret == 0 ? plan_activate(p) : -1;
}

void plan_init(struct plan *p, const struct relay *relay)
{
	*p = (struct plan) {
		.relay = relay,
		.components = server_components,
		.component_count = server_component_count,
		.stage_dir = "/var/lib/chatmail/stage",
		.stages = { true, true, true, true },
		.packages = host_packages_find(),
		.services = host_services_find(),
		.told = BUF_INIT, .warned = BUF_INIT, .diff = BUF_INIT,
	};
	layout_init(&p->layout, relay);
	host_system_layout(&p->layout);
	/* Postfix's services see it from their queue directory */
	layout_setf(&p->layout, "dkim_milter", "opendkim/opendkim.sock");
}

int plan_run(struct plan *p)
{
	int ret;

	prepare_all(p);
	ret = check_all(p);
	if (ret == 0 && p->stages[PLAN_INSTALL])
		ret = install_all(p);
	if (ret == 0 && p->stages[PLAN_CONFIGURE])
		ret = configure_all(p);
	if (ret == 0 && p->stages[PLAN_ACTIVATE] && !p->website_only)
		ret = activate(p);
	return ret;
}

void plan_free(struct plan *p)
{
	tree_free(&p->tree);
	layout_free(&p->layout);
	arena_free(&p->arena);
	buf_free(&p->told);
	buf_free(&p->warned);
	buf_free(&p->diff);
}
