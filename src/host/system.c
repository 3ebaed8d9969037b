#include "host/system.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "host/services.h"

enum { OS_MAX = 65536 };

static const char os_release[] = "/etc/os-release";

/* The oldest version of each that has all packages, compared by number: 3.21
 * is Alpine's first whose Dovecot brings Lua. "last" is the newest that is
 * known; 0: later ones are taken as well. */
static const struct {
	const char *id, *first, *last;
} supported[] = {
	{ "debian", "12", "13" },
	{ "alpine", "3.21", NULL },
};

/* ---- which one? ---------------------------------------------------------------- */

/* NAME=value or NAME="value" of os-release(5). */
static void os_value(const char *text, const char *name, struct buf *out)
{
	size_t n = strlen(name);

	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, n) != 0 || p[n] != '=')
			continue;
		p += n + 1;
		p += *p == '"' || *p == '\'';
		buf_add(out, p, strcspn(p, "\"'\n"));
		return;
	}
}

/* As numbers between points, as far as the second one has them: 3.21.4 is
 * equal to 3.21. */
static int compare(const char *a, const char *b)
{
	while (*b) {
		char *a_end, *b_end;
		unsigned long x = strtoul(a, &a_end, 10);
		unsigned long y = strtoul(b, &b_end, 10);

		if (x != y)
			return x < y ? -1 : 1;
		a = *a_end == '.' ? a_end + 1 : a_end;
		b = *b_end == '.' ? b_end + 1 : b_end;
		if (b == b_end && *b)
			return 0;
	}
	return 0;
}

static bool is_supported(const char *id, const char *version)
{
	for (size_t i = 0; i < ARRAY_LEN(supported); i++)
		if (strcmp(supported[i].id, id) == 0 && *version &&
		    compare(version, supported[i].first) >= 0 &&
		    (!supported[i].last ||
		     compare(version, supported[i].last) <= 0))
			return true;
	return false;
}

int host_system_check_text(const char *text, struct buf *err)
{
	struct buf id = BUF_INIT, version = BUF_INIT, name = BUF_INIT;
	bool is_good;

	os_value(text, "ID", &id);
	os_value(text, "VERSION_ID", &version);
	os_value(text, "PRETTY_NAME", &name);
	is_good = is_supported(id.data, version.data);
	if (!is_good)
		buf_setf(err, "this is %s; a relay needs Debian 12 or 13, or "
			 "Alpine 3.21 or newer", name.len ? name.data :
			 "an unknown system");
	buf_free(&id);
	buf_free(&version);
	buf_free(&name);
	return is_good ? 0 : -1;
}

int host_system_check(struct buf *err)
{
	struct buf text = BUF_INIT;
	int ret;

	file_read(os_release, OS_MAX, &text);
	ret = host_system_check_text(text.data, err);
	buf_free(&text);
	return ret;
}

/* ---- where things are ---------------------------------------------------------- */

/* From Alpine's package recipes (aports). */
static const struct {
	const char *name, *value;
} alpine[] = {
	{ "system", "alpine" },
	{ "nginx_user", "nginx" },
	{ "turn_user", "coturn" },
	/* its Postfix is built without Berkeley DB, and never runs in chroot */
	{ "postfix_cache_type", "lmdb" },
	{ "postfix_chroot", "n" },
	{ "syslog_conf", "/etc/conf.d/syslog" },
};

void host_system_layout_of(struct layout *l, const char *distro,
			   const char *manager)
{
	if (strcmp(distro, "alpine") == 0)
		for (size_t i = 0; i < ARRAY_LEN(alpine); i++)
			layout_setf(l, alpine[i].name, "%s", alpine[i].value);
	layout_setf(l, "service_manager", "%s", manager);
}

void host_system_layout(struct layout *l)
{
	const struct host_services *h = host_services_find();
	struct buf text = BUF_INIT, id = BUF_INIT;

	file_read(os_release, OS_MAX, &text);
	os_value(text.data, "ID", &id);
	/* without any, as in an image that is being made: the system's own */
	host_system_layout_of(l, id.data, h ? h->key :
			      strcmp(id.data, "alpine") == 0 ? "openrc" :
							       "systemd");
	buf_free(&text);
	buf_free(&id);
}
