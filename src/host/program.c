#include "host/program.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/str.h"
#include "host/download.h"

#define PUBLIC "https://github.com/"
#define WORK_DIR "/var/lib/chatmail/downloads"

enum { SIZE_MAX_OF_ALL = 256 * 1024 * 1024 };

struct get {
	struct download download;
	struct plan *p;
};

static const struct program_build *find_build(const struct program *g,
					      const char *machine)
{
	for (const struct program_build *b = g->builds; b->machine; b++)
		if (strcmp(b->machine, machine) == 0)
			return b;
	return NULL;
}

static bool is_http_url(const char *s)
{
	return str_starts(s, "http://") || str_starts(s, "https://");
}

/* "URL SHA-256": what the second part is. */
static const char *sha256_of(const char *value)
{
	value += strcspn(value, " \t");
	return value + strspn(value, " \t");
}

static int complain(const struct plan *p, const char *setting,
		    const char *expected, struct buf *err)
{
	buf_setf(err, "%s:%u: %s: expected %s, got \"%s\"", p->relay->path,
		 p->relay->line[setting_find(setting)], setting, expected,
		 layout_need(&p->layout, setting));
	return -1;
}

int plan_check_program(struct plan *p, const struct program *g,
		       struct buf *err)
{
	const char *other = layout_need(&p->layout, g->setting);
	const char *mirror = layout_need(&p->layout, "download_mirror");

	if (*mirror && !is_http_url(mirror))
		return complain(p, "download_mirror", "an http:// or https:// "
				"URL", err);
	if (*other && (!is_http_url(other) ||
		       !download_is_sha256(sha256_of(other))))
		return complain(p, g->setting, "a URL and the SHA-256 of the "
				"program, 64 hexadecimal digits", err);
	return 0;
}

/* What the operator says comes first. */
static int choose(struct plan *p, const struct program *g, struct download *d,
		  struct buf *err)
{
	const char *other = layout_need(&p->layout, g->setting);
	const struct program_build *b;
	struct utsname u;
	size_t n = strcspn(other, " \t");
	char *sha256;

	if (*other) {
		d->url = arena_printf(&p->arena, "%.*s", (int)n, other);
		sha256 = arena_strdup(&p->arena, sha256_of(other));
		str_lower(sha256);
		d->sha256 = sha256;
		return 0;
	}
	uname(&u);
	b = find_build(g, u.machine);
	if (!b) {
		buf_setf(err, "none is known for %s; set %s in chatmail.ini",
			 u.machine, g->setting);
		return -1;
	}
	d->url = b->url;
	d->sha256 = b->sha256;
	return 0;
}

/* Another site may have the same files. */
static void use_mirror(struct plan *p, struct download *d)
{
	const char *mirror = layout_need(&p->layout, "download_mirror");
	size_t n = strlen(mirror);

	if (!n || !str_starts(d->url, PUBLIC))
		return;
	while (n > 0 && mirror[n - 1] == '/')
		n--;
	d->url = arena_printf(&p->arena, "%.*s/%s", (int)n, mirror,
			      d->url + strlen(PUBLIC));
}

static void on_progress(struct download *d, uint64_t have, uint64_t total)
{
	struct get *get = container_of(d, struct get, download);
	double mb = (double)have / 1048576, all = (double)total / 1048576;

	if (total)
		plan_progress(get->p, "%.1f of %.1f MB, %d %%", mb, all,
			      (int)(have * 100 / total));
	else
		plan_progress(get->p, "%.1f MB", mb);
}

static void warn(struct plan *p, const struct program *g, const char *why)
{
	if (access(g->path, X_OK) == 0)
		plan_warn(p, "%s stays as it is, until a deploy gets the right "
			  "one: %s", g->name, why);
	else
		plan_warn(p, "%s is missing, and everything else works, until "
			  "a deploy gets it: %s", g->name, why);
}

static void get_program(struct plan *p, const struct program *g,
			struct get *get)
{
	struct buf err = BUF_INIT;
	int ret = download_get(&get->download, &err);

	if (ret < 0)
		warn(p, g, err.data);
	else if (ret > 0)
		plan_tell(p, "%s new, from %s", g->path, get->download.url);
	buf_free(&err);
}

void plan_program(struct plan *p, const struct program *g)
{
	struct get get = {
		.download = {
			.member = g->member, .path = g->path, .mode = 0755,
			.size_max = SIZE_MAX_OF_ALL, .work_dir = WORK_DIR,
			.cache_dir = layout_need(&p->layout, "download_cache"),
			.proxy = layout_need(&p->layout, "download_proxy"),
			.progress = on_progress,
		},
		.p = p,
	};
	struct buf err = BUF_INIT;

	tree_seen(&p->tree, g->path);
	if (p->is_collecting) {
		;
	} else if (choose(p, g, &get.download, &err) < 0) {
		warn(p, g, err.data);
	} else {
		use_mirror(p, &get.download);
		if (plan_may_change(p))
			get_program(p, g, &get);
		else if (!download_is_there(&get.download))
			plan_tell(p, "%s from %s", g->path, get.download.url);
	}
	buf_free(&err);
}
