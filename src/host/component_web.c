/* nginx and the pages. */
#include "host/components.h"

#include <string.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "relay/www.h"

enum { PAGE_MAX = 64 * 1024 * 1024 };

/* ---- nginx ------------------------------------------------------------------ */

static const char *const nginx_packages[] = {
	"nginx-light", "libnginx-mod-stream", NULL,
};

static const struct plan_file nginx_files[] = {
	{ "nginx/nginx.conf", "{{ nginx_config_dir }}/nginx.conf" },
	{ "nginx/autoconfig.xml",
	  "{{ nginx_config_dir }}/autoconfig.xml" },
	{ "nginx/mta-sts.txt", "{{ nginx_config_dir }}/mta-sts.txt" },
	{ 0 },
};

static int nginx_verify(struct plan *p, struct buf *err)
{
	char *path = arena_printf(&p->arena, "%s/nginx.conf",
				  layout_need(p->staged, "nginx_config_dir"));

	return proc_command((const char *[]) { "nginx", "-q", "-t", "-e",
			"stderr", "-c", path, NULL }, err);
}

const struct component component_nginx = {
	.name = "nginx", .packages = nginx_packages, .files = nginx_files,
	.verify = nginx_verify,
};

/* ---- pages ------------------------------------------------------------------ */

struct pages {
	struct file_walk walk;
	struct plan *p;
	const char *root;	/* where they go */
};

static int add_page(struct file_walk *w, const char *name,
		    const struct buf *data, struct buf *err)
{
	struct pages *pages = container_of(w, struct pages, walk);
	struct buf path = BUF_INIT;

	/* only www_build() looks for it */
	if (strcmp(name, WWW_MARKER) == 0)
		return 0;
	buf_addf(&path, "%s/%s", pages->root, name);
	tree_put(&pages->p->tree, path.data, data->data, data->len, 0644, NULL,
		 NULL);
	buf_free(&path);
	return 0;
}

static int add_directory(struct file_walk *w, const char *name,
			 struct buf *err)
{
	struct pages *pages = container_of(w, struct pages, walk);
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/%s", pages->root, name);
	tree_dir(&pages->p->tree, path.data, 0755, NULL, NULL);
	buf_free(&path);
	return 0;
}

static int pages_configure(struct plan *p, struct buf *err)
{
	struct pages pages = {
		.walk = {
			.file = add_page, .dir = add_directory,
			.size_max = PAGE_MAX,
		},
		.p = p, .root = layout_need(&p->layout, "www_root"),
	};

	if (!p->www_dir)
		return 0;
	tree_dir(&p->tree, pages.root, 0755, NULL, NULL);
	return file_walk(&pages.walk, p->www_dir, err);
}

const struct component component_pages = {
	.name = "pages", .configure = pages_configure, .is_website = true,
};
