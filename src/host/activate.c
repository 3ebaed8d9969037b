#include "host/activate.h"

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "host/applied.h"
#include "host/steps.h"

static const char applied_dir[] = "/var/lib/chatmail/applied";

enum { FILE_MAX = 256 * 1024 * 1024 };

/* A service, and what it needs. */
struct work {
	const struct relay_service *s;
	struct applied applied;
	unsigned need;
};

/* ---- what has changed ------------------------------------------------------- */

/* A dry run compares what would be there. */
static bool is_news(const struct plan *p, struct work *w,
		    const struct tree_entry *e)
{
	struct buf text = BUF_INIT;
	bool ret, is_there;

	if (p->dry_run && e->kind != TREE_SEEN) {
		is_there = e->kind != TREE_ABSENT;
		return applied_add(&w->applied, e->path,
				   is_there ? e->data : NULL, e->size) ||
		       e->changed;
	}
	is_there = file_read(e->path, FILE_MAX, &text) == 0;
	ret = applied_add(&w->applied, e->path, is_there ? text.data : NULL,
			  text.len);
	buf_free(&text);
	return ret;
}

static bool concerns(const struct plan *p, const struct relay_service *s,
		     const struct tree_entry *e)
{
	if (e->kind == TREE_DIR)
		return false;
	if (relay_service_has_unit(s, e->path))
		return true;
	return relay_service_need(s, &p->layout, e->path) != 0;
}

static void look_at_file(const struct plan *p, struct work *w,
			 const struct tree_entry *e)
{
	if (concerns(p, w->s, e) && is_news(p, w, e))
		w->need |= relay_service_need(w->s, &p->layout, e->path);
}

static void look_at_settings(const struct plan *p, struct work *w)
{
	const char *name = w->s->settings;

	while (name && *name) {
		size_t n = strcspn(name, " ");
		char *copy = xstrndup(name, n);
		const char *value = layout_need(&p->layout, copy);

		if (applied_add(&w->applied, copy, value, strlen(value)))
			w->need |= TODO_RESTART;
		free(copy);
		name += n;
		name += strspn(name, " ");
	}
}

/* A package was upgraded under the running program. */
static bool runs_a_deleted_program(const struct plan *p, const char *name)
{
	struct service_state state;
	struct buf err = BUF_INIT, path = BUF_INIT;
	char target[4096];
	ssize_t n = -1;

	if (p->services->states(p->services, &name, 1, &state, &err) == 0 &&
	    state.pid > 0) {
		buf_addf(&path, "/proc/%ld/exe", (long)state.pid);
		n = readlink(path.data, target, sizeof(target) - 1);
	}
	buf_free(&err);
	buf_free(&path);
	if (n < 0)
		return false;
	target[n] = '\0';
	return str_ends(target, " (deleted)");
}

static void look(const struct plan *p, struct work *w)
{
	applied_read(&w->applied, applied_dir, w->s->name);
	for (size_t i = 0; i < p->tree.count; i++)
		look_at_file(p, w, &p->tree.entries[i]);
	look_at_settings(p, w);
	if (w->s->kind == RELAY_FOREIGN &&
	    runs_a_deleted_program(p, w->s->name))
		w->need |= TODO_RESTART;
}

/* ---- doing it --------------------------------------------------------------- */

static bool is_disabled(const struct plan *p, const struct relay_service *s)
{
	return p->disable_mail && (strcmp(s->name, "postfix") == 0 ||
				   strcmp(s->name, "dovecot") == 0);
}

/* As if the relay did not have it. */
static int disable(struct plan *p, const struct relay_service *s,
		   struct buf *err)
{
	const struct host_services *h = p->services;
	struct service_state state;

	if (h->states(h, &s->name, 1, &state, err) < 0)
		return -1;
	if (state.is != SERVICE_RUNNING && !state.at_boot)
		return 0;
	plan_tell(p, "stop, disable");
	if (p->dry_run)
		return 0;
	return relay_service_do(s, h, TODO_STOP | TODO_DISABLE, err);
}

static int apply(struct plan *p, struct work *w, struct buf *err)
{
	struct buf words = BUF_INIT;
	unsigned todo;
	int ret;

	if (is_disabled(p, w->s))
		return disable(p, w->s, err);
	ret = relay_service_todo(w->s, &p->layout, p->services, w->need, &todo,
				 err);
	if (ret < 0)
		return -1;
	if (todo) {
		relay_todo_words(&words, todo);
		plan_tell(p, "%s", words.data);
	}
	if (todo && !p->dry_run)
		ret = applied_forget_all(&w->applied, applied_dir,
					 w->s->name, err);
	if (todo && !p->dry_run && ret == 0)
		ret = relay_service_do(w->s, p->services, todo, err);
	if (ret == 0 && !p->dry_run)
		ret = applied_write(&w->applied, applied_dir, w->s->name, err);
	buf_free(&words);
	return ret;
}

static int run_hooks(struct plan *p, const char *after)
{
	int ret = 0;

	for (size_t i = 0; i < p->component_count && ret == 0; i++) {
		const struct component *c = p->components[i];
		struct buf err = BUF_INIT;
		struct step s;

		if (!c->activate || strcmp(c->after, after) != 0)
			continue;
		s = step_begin(p, PLAN_ACTIVATE, c->name);
		ret = step_end(&s, p->dry_run && !c->has_dry_activate ? 0 :
			       c->activate(p, &err), &err);
		buf_free(&err);
	}
	return ret;
}

/* Does the relay not have it, and nothing is left of it? That is not worth a
 * line. */
static bool is_unknown(const struct plan *p, const struct relay_service *s)
{
	struct buf err = BUF_INIT;
	unsigned todo = 1;

	if (relay_service_is_wanted(s, p->relay) ||
	    relay_service_todo(s, &p->layout, p->services, 0, &todo, &err) < 0)
		todo = 1;
	buf_free(&err);
	return todo == 0;
}

/* A dry run takes it that the program comes. */
static bool is_waiting(const struct plan *p, const struct relay_service *s)
{
	return !p->dry_run && relay_service_is_wanted(s, p->relay) &&
	       !relay_service_is_possible(s, p->relay);
}

/* Looked at when its turn comes: what ran before may have changed its files. */
static int apply_step(struct plan *p, const struct relay_service *service)
{
	struct work w = { .s = service };
	struct buf err = BUF_INIT;
	struct step s;
	int ret;

	if (!relay_service_is_here(service, &p->layout))
		return run_hooks(p, service->name);
	look(p, &w);
	/* why it has no program was said when that was to come */
	if ((is_unknown(p, service) || is_waiting(p, service)) && (p->dry_run ||
	    applied_write(&w.applied, applied_dir, service->name, &err) == 0)) {
		ret = 0;
	} else {
		s = step_begin(p, PLAN_ACTIVATE, service->name);
		ret = step_end(&s, apply(p, &w, &err), &err);
	}
	applied_free(&w.applied);
	buf_free(&err);
	return ret == 0 ? run_hooks(p, service->name) : -1;
}

/* Of the settings that are in the file now, those that are going to change. */
static int forget_settings(const struct plan *p, const struct layout *now,
			   const struct relay_service *s, struct buf *err)
{
	const char *name = s->settings;
	int ret = 0;

	while (name && *name && ret == 0) {
		size_t n = strcspn(name, " ");
		char *copy = xstrndup(name, n);

		if (strcmp(layout_need(now, copy),
			   layout_need(&p->layout, copy)) != 0)
			ret = applied_forget(applied_dir, s->name, copy, err);
		free(copy);
		name += n;
		name += strspn(name, " ");
	}
	return ret;
}

/* With a chatmail.ini that is wrong no role has started. */
static int forget_ini(const struct plan *p, struct buf *err)
{
	struct buf ignored = BUF_INIT, why = BUF_INIT;
	struct relay *r = relay_load(layout_need(&p->layout, "ini_path"),
				     &ignored, &why);
	size_t count;
	const struct relay_service *s = relay_services(&count);
	struct layout now;
	int ret = 0;

	if (r) {
		layout_init(&now, r);
		for (size_t i = 0; i < count && ret == 0; i++)
			ret = forget_settings(p, &now, &s[i], err);
		layout_free(&now);
	}
	relay_free(r);
	buf_free(&ignored);
	buf_free(&why);
	return ret;
}

int plan_forget_applied(const struct plan *p, struct buf *err)
{
	const char *ini = layout_need(&p->layout, "ini_path");
	size_t count;
	const struct relay_service *s = relay_services(&count);

	for (size_t i = 0; i < p->tree.count; i++) {
		const struct tree_entry *e = &p->tree.entries[i];

		for (size_t k = 0; e->changed && k < count; k++)
			if (concerns(p, &s[k], e) &&
			    applied_forget(applied_dir, s[k].name, e->path,
					   err) < 0)
				return -1;
		if (e->changed && strcmp(e->path, ini) == 0 &&
		    forget_ini(p, err) < 0)
			return -1;
	}
	return 0;
}

/* Has a unit changed since it was last noted? */
static bool has_new_units(const struct plan *p, const struct relay_service *s)
{
	struct work w = { .s = s };
	bool ret = false;

	applied_read(&w.applied, applied_dir, s->name);
	for (size_t i = 0; i < p->tree.count; i++) {
		const struct tree_entry *e = &p->tree.entries[i];

		if (e->kind != TREE_DIR && relay_service_has_unit(s, e->path))
			ret |= is_news(p, &w, e);
	}
	applied_free(&w.applied);
	return ret;
}

/* The manager has the new ones then, even if this run does not come to its end
 * and the next one brings the old ones back. */
static int forget_units(const struct plan *p,
			const struct relay_service *services, size_t count,
			struct buf *err)
{
	int ret = 0;

	for (size_t i = 0; i < count && ret == 0; i++) {
		struct applied a = { .old = BUF_INIT, .new = BUF_INIT };

		if (has_new_units(p, &services[i]))
			ret = applied_forget_all(&a, applied_dir,
						 services[i].name, err);
		applied_free(&a);
	}
	return ret;
}

static int reload_units(struct plan *p, const struct relay_service *services,
			size_t count)
{
	struct buf err = BUF_INIT;
	bool needed = false;
	struct step s;
	int ret = 0;

	for (size_t i = 0; i < count; i++)
		needed |= has_new_units(p, &services[i]);
	if (needed && !p->dry_run) {
		s = step_begin(p, PLAN_ACTIVATE, "units");
		plan_tell(p, "read again");
		ret = forget_units(p, services, count, &err);
		if (ret == 0)
			ret = p->services->daemon_reload(p->services, &err);
		step_end(&s, ret, &err);
	}
	buf_free(&err);
	return ret;
}

/* One that fails keeps none of the others from their turn. */
int plan_activate(struct plan *p)
{
	size_t count;
	const struct relay_service *services = relay_services(&count);
	int ret = reload_units(p, services, count);

	if (ret == 0)
		ret = run_hooks(p, "");
	if (ret < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (apply_step(p, &services[i]) < 0)
			ret = -1;
	return ret;
}

int plan_reload_certificate(struct plan *p, struct buf *err)
{
	static const char *const names[] = { "nginx", "dovecot", "postfix" };
	const struct host_services *h = p->services;

	for (size_t i = 0; h && i < ARRAY_LEN(names); i++) {
		struct service_state state;

		if (h->states(h, &names[i], 1, &state, err) < 0)
			return -1;
		if (state.is == SERVICE_RUNNING &&
		    h->reload(h, names[i], err) < 0)
			return -1;
	}
	return 0;
}
