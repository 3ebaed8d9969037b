#include "host/services.h"

#include "host/openrc.h"
#include "host/systemd.h"

const char *service_is_word(enum service_is is)
{
	static const char *const words[] = {
		[SERVICE_ABSENT] = "absent", [SERVICE_STOPPED] = "stopped",
		[SERVICE_CHANGING] = "changing", [SERVICE_RUNNING] = "running",
		[SERVICE_FAILED] = "failed",
	};

	return words[is];
}

const struct host_services *host_services_find(void)
{
	if (systemd_is_running())
		return &host_systemd;
	return openrc_is_running() ? &host_openrc : NULL;
}

void services_add_hint(struct buf *out, const struct host_services *h,
		       enum services_hint hint, const char *name)
{
	buf_addf(out, "%s%s%s", h->hints[hint].before, name,
		 h->hints[hint].after);
}
