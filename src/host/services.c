#include "host/services.h"

#include <string.h>

#include "base/str.h"
#include "host/openrc.h"
#include "host/systemd.h"

enum { LOG_LINES = 10 };	/* shown of what does not start */

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

void services_add_log(const struct host_services *h, const char *name,
		      struct buf *err)
{
	struct buf log = BUF_INIT, ignored = BUF_INIT;

	if (h->log(h, name, LOG_LINES, &log, &ignored) == 0 && log.len) {
		char *line = str_trim(log.data);

		buf_addf(err, "\nthe last lines of its log:");
		while (*line) {
			size_t n = strcspn(line, "\n");

			buf_adds(err, "\n  ");
			buf_add_printable(err, line, n);
			line += n + (line[n] == '\n');
		}
	}
	buf_free(&log);
	buf_free(&ignored);
}
