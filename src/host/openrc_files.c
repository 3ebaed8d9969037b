#include "host/openrc_files.h"

#include <string.h>

#include "base/assets.h"
#include "base/str.h"
#include "host/cronfiles.h"

static const char templates[] = "conf-templates/";
static const char scripts[] = "conf-templates/openrc/init.d/";
static const char jobs[] = "conf-templates/openrc/cron/";

static int render(const struct plan *p, const char *asset, struct buf *text,
		  struct buf *err)
{
	buf_reset(text);
	return layout_render(&p->layout, asset + strlen(templates), text, err);
}

static int put(struct plan *p, const char *asset, const char *path,
	       mode_t mode, struct buf *err)
{
	struct buf text = BUF_INIT;
	int ret = render(p, asset, &text, err);

	if (ret == 0)
		tree_put(&p->tree, path, text.data, text.len, mode, NULL,
			 NULL);
	buf_free(&text);
	return ret;
}

static int add_script(struct plan *p, const char *asset, struct buf *err)
{
	struct buf path = BUF_INIT;
	int ret;

	buf_addf(&path, "/etc/init.d/%s", asset + strlen(scripts));
	ret = put(p, asset, path.data, 0755, err);
	buf_free(&path);
	return ret;
}

/* One that is no service's is for every relay. */
static bool job_is_wanted(const struct plan *p, const char *job)
{
	const struct relay_service *s = relay_service_find(job);

	return !s || relay_service_is_wanted(s, p->relay);
}

static int add_job(struct plan *p, struct cronfiles *c, const char *asset,
		   struct buf *err)
{
	const char *job = asset + strlen(jobs);
	struct buf text = BUF_INIT;
	int ret = render(p, asset, &text, err);

	if (ret == 0)
		cronfiles_add(c, &p->tree, job, job_is_wanted(p, job) ?
			      text.data : NULL);
	buf_free(&text);
	return ret;
}

int openrc_add_files(struct plan *p, struct buf *err)
{
	size_t count;
	const struct asset *a = assets_all(&count);
	struct cronfiles c;
	int ret = put(p, "conf-templates/openrc/openrc.sh",
		      layout_need(&p->layout, "openrc_common"), 0644, err);

	cronfiles_begin(&c);
	for (size_t i = 0; i < count && ret == 0; i++) {
		if (str_starts(a[i].name, scripts))
			ret = add_script(p, a[i].name, err);
		else if (str_starts(a[i].name, jobs))
			ret = add_job(p, &c, a[i].name, err);
	}
	cronfiles_end(&c, &p->tree);
	return ret;
}
