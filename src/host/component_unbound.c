/* The relay's own resolver. */
#include "host/components.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/ports.h"

enum { PATIENCE_SECS = 20, RESOLV_MAX = 65536 };

static const char *const packages[] = {
	"unbound", "dns-root-data", NULL,
};

static const struct plan_file files[] = {
	{ "unbound/chatmail.conf", "{{ unbound_config_dir }}/chatmail.conf" },
	/* not every version of Alpine's reads that directory */
	{ "unbound/unbound.conf", "/etc/unbound/unbound.conf",
	  .where = "system=alpine" },
	{ 0 },
};

static int verify(struct plan *p, struct buf *err)
{
	char *path = arena_printf(&p->arena, "%s/chatmail.conf",
				  layout_need(p->staged, "unbound_config_dir"));

	return proc_command((const char *[]) { "unbound-checkconf", path,
					       NULL }, err);
}

/* Postfix has copies of them, made when it starts. */
static int configure(struct plan *p, struct buf *err)
{
	tree_seen(&p->tree, "/etc/resolv.conf");
	tree_seen(&p->tree, "/etc/hosts");
	return 0;
}

static int wait_for_port(struct buf *err)
{
	for (int i = 0; i < PATIENCE_SECS * 10; i++) {
		struct buf who = BUF_INIT;
		int n = ports_listeners(PORT_TCP, 53, &who);

		buf_free(&who);
		if (n > 0)
			return 0;
		usleep(100 * 1000);
	}
	buf_setf(err, "unbound does not listen on port 53 after %d s",
		 PATIENCE_SECS);
	return -1;
}

/* Other managers of resolv.conf would undo it. What is masked is left on
 * disk. */
static int silence_others(struct plan *p, struct buf *err)
{
	static const char *const names[] = {
		"systemd-resolved", "unbound-resolvconf", "resolvconf",
	};
	const struct host_services *h = p->services;
	struct service_state states[ARRAY_LEN(names)];

	if (h->states(h, names, ARRAY_LEN(names), states, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (states[i].is == SERVICE_ABSENT ||
		    (states[i].is != SERVICE_RUNNING && !states[i].at_boot))
			continue;
		if (h->stop(h, names[i], err) < 0 ||
		    h->disable(h, names[i], err) < 0)
			return -1;
		plan_tell(p, "%s stopped", names[i]);
	}
	return 0;
}

/* Only when unbound answers: without any resolver nothing goes on here. */
static int use_it(struct plan *p, struct buf *err)
{
	static const char path[] = "/etc/resolv.conf";
	struct buf text = BUF_INIT, old = BUF_INIT;
	struct stat st;
	int ret = layout_render(&p->layout, "resolv.conf", &text, err);

	if (ret == 0)
		ret = wait_for_port(err);
	if (ret == 0)
		ret = silence_others(p, err);
	file_read(path, RESOLV_MAX, &old);
	if (ret == 0 && (strcmp(old.data, text.data) != 0 ||
			 lstat(path, &st) < 0 || !S_ISREG(st.st_mode))) {
		ret = file_replace(path, text.data, text.len, 0644, 1);
		if (ret < 0)
			buf_setf(err, "%s: %s", path, strerror(errno));
		else
			plan_tell(p, "%s changed", path);
	}
	buf_free(&text);
	buf_free(&old);
	return ret;
}

const struct component component_unbound = {
	.name = "unbound", .packages = packages, .files = files,
	.configure = configure, .verify = verify, .activate = use_it, .after = "unbound",
};
