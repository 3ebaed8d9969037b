/* mtail, for who graphs with it. */
#include "host/components.h"

#include "base/str.h"

static const char *const packages[] = { "mtail", NULL };

static const struct plan_file files[] = {
	{ "mtail/chatmail.mtail", "/etc/mtail/chatmail.mtail",
	  .when = "mtail_address" },
	{ 0 },
};

/* Asked for by a setting, so not part of every installation. */
static int configure(struct plan *p, struct buf *err)
{
	struct buf missing = BUF_INIT;
	int n = 0;

	if (plan_wants(p, "mtail_address") && !p->is_collecting)
		n = p->packages->missing(packages, &missing, err);
	if (n > 0) {
		plan_tell(p, "packages %s", str_trim(missing.data));
		if (!p->dry_run)
			n = p->packages->install(packages, err);
	}
	buf_free(&missing);
	return n < 0 ? -1 : 0;
}

const struct component component_mtail = {
	.name = "mtail", .files = files, .configure = configure,
};
