/* nginx and the pages. */
#include "host/components.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

enum { PAGE_MAX = 64 * 1024 * 1024, DEPTH_MAX = 16 };

/* ---- nginx ------------------------------------------------------------------ */

static const char *const nginx_packages[] = {
	"nginx-light", "libnginx-mod-stream", NULL,
};

static const struct plan_file nginx_files[] = {
	{ "nginx/nginx.conf", "{{ nginx_config_dir }}/nginx.conf" },
	{ "nginx/autoconfig.xml",
	  "{{ www_root }}/.well-known/autoconfig/mail/config-v1.1.xml" },
	{ "nginx/mta-sts.txt", "{{ www_root }}/.well-known/mta-sts.txt" },
	{ 0 },
};

static int nginx_verify(struct plan *p, struct buf *err)
{
	char *path = arena_printf(&p->arena, "%s/nginx.conf",
				  layout_need(p->staged, "nginx_config_dir"));

	return plan_command((const char *[]) { "nginx", "-q", "-t", "-c", path,
					       NULL }, err);
}

const struct component component_nginx = {
	.name = "nginx", .packages = nginx_packages, .files = nginx_files,
	.verify = nginx_verify,
};

/* ---- pages ------------------------------------------------------------------ */

static int add_pages(struct plan *p, const char *from, const char *to,
		     unsigned depth, struct buf *err);

static int add_page(struct plan *p, const char *from, const char *to,
		    unsigned depth, struct buf *err)
{
	struct buf data = BUF_INIT;
	struct stat st;
	int ret = 0;

	if (lstat(from, &st) == 0 && S_ISDIR(st.st_mode))
		return add_pages(p, from, to, depth + 1, err);
	if (file_read(from, PAGE_MAX, &data) < 0) {
		buf_setf(err, "%s: %s", from, strerror(errno));
		ret = -1;
	} else {
		tree_put(&p->tree, to, data.data, data.len, 0644, NULL, NULL);
	}
	buf_free(&data);
	return ret;
}

static int add_pages(struct plan *p, const char *from, const char *to,
		     unsigned depth, struct buf *err)
{
	DIR *d = opendir(from);
	struct dirent *e;
	int ret = 0;

	if (!d || depth > DEPTH_MAX) {
		buf_setf(err, "%s: %s", from, d ? "too deep" : strerror(errno));
		if (d)
			closedir(d);
		return -1;
	}
	tree_dir(&p->tree, to, 0755, NULL, NULL);
	while (ret == 0 && (e = readdir(d))) {
		struct buf source = BUF_INIT, target = BUF_INIT;

		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0)
			continue;
		buf_addf(&source, "%s/%s", from, e->d_name);
		buf_addf(&target, "%s/%s", to, e->d_name);
		ret = add_page(p, source.data, target.data, depth, err);
		buf_free(&source);
		buf_free(&target);
	}
	closedir(d);
	return ret;
}

static int pages_configure(struct plan *p, struct buf *err)
{
	const char *root = layout_need(&p->layout, "www_root");

	return p->www_dir ? add_pages(p, p->www_dir, root, 0, err) : 0;
}

const struct component component_pages = {
	.name = "pages", .configure = pages_configure, .is_website = true,
};
