/* This program on the host: the binary, chatmail.ini, units and keys. */
#include "host/components.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/assets.h"
#include "base/file.h"
#include "base/str.h"
#include "host/openrc_files.h"
#include "relay/dkimkey.h"

enum { BINARY_MAX = 256 * 1024 * 1024 };

static int add_binary(struct plan *p, struct buf *err)
{
	const char *path = layout_need(&p->layout, "chatmail_bin");
	struct buf data = BUF_INIT;
	int ret = 0;

	if (!p->binary)
		return 0;
	if (file_read(p->binary, BINARY_MAX, &data) < 0) {
		buf_setf(err, "%s: %s", p->binary, strerror(errno));
		ret = -1;
	} else {
		tree_put(&p->tree, path, data.data, data.len, 0755, NULL,
			 NULL);
	}
	buf_free(&data);
	return ret;
}

/* Is the unit one of a service that this relay has? */
static bool unit_is_wanted(const struct plan *p, const char *path)
{
	size_t count;
	const struct relay_service *s = relay_services(&count);

	for (size_t i = 0; i < count; i++)
		if (relay_service_has_unit(&s[i], path))
			return relay_service_is_wanted(&s[i], p->relay);
	return false;
}

/* With what makes it start at boot: systemd cannot disable a unit that is not
 * there any more. */
static void remove_unit(struct plan *p, const char *unit)
{
	static const char *const dirs[] = {
		"", "multi-user.target.wants/", "sockets.target.wants/",
		"timers.target.wants/",
	};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		struct buf path = BUF_INIT;

		buf_addf(&path, "/etc/systemd/system/%s%s", dirs[i], unit);
		tree_absent(&p->tree, path.data);
		buf_free(&path);
	}
}

/* Every template of a unit is installed where its service is wanted, and else
 * taken away. */
static int add_units(struct plan *p, struct buf *err)
{
	static const char prefix[] = "conf-templates/systemd/";
	size_t count;
	const struct asset *a = assets_all(&count);

	for (size_t i = 0; i < count; i++) {
		struct buf path = BUF_INIT, text = BUF_INIT;
		const char *unit = a[i].name + sizeof(prefix) - 1;
		int ret = 0;

		if (!str_starts(a[i].name, prefix))
			continue;
		buf_addf(&path, "/etc/systemd/system/%s", unit);
		if (!unit_is_wanted(p, path.data)) {
			remove_unit(p, unit);
		} else {
			ret = layout_render(&p->layout, a[i].name +
					    strlen("conf-templates/"), &text,
					    err);
			if (ret == 0)
				tree_put(&p->tree, path.data, text.data,
					 text.len, 0644, NULL, NULL);
		}
		buf_free(&path);
		buf_free(&text);
		if (ret < 0)
			return -1;
	}
	return 0;
}

static int add_services(struct plan *p, struct buf *err)
{
	return plan_wants(p, "service_manager=openrc") ?
		openrc_add_files(p, err) : add_units(p, err);
}

/* A key that is there is kept, as its record is in DNS. */
static int make_key(struct plan *p, struct buf *err)
{
	const struct dkimkey_kind *kind = &dkimkey_kinds[0];
	struct dkim_key key;
	int ret = dkimkey_load(kind, DKIMKEY_DIR, &key, err);

	if (ret == 0) {
		dkim_key_free(&key);
		return 0;
	}
	if (errno != ENOENT)
		return -1;
	buf_reset(err);
	plan_tell(p, DKIMKEY_DIR "/%s new", kind->file);
	if (!plan_may_change(p))
		return 0;
	if (file_mkdirs(DKIMKEY_DIR, 0700) < 0) {
		buf_setf(err, DKIMKEY_DIR ": %s", strerror(errno));
		return -1;
	}
	return dkimkey_make(kind, DKIMKEY_DIR, err);
}

/* Its owner is the role's user, who alone reads it. */
static void add_keys(struct plan *p)
{
	for (size_t i = 0; i < DKIMKEY_KINDS; i++) {
		struct buf path = BUF_INIT, text = BUF_INIT;

		buf_addf(&path, DKIMKEY_DIR "/%s", dkimkey_kinds[i].file);
		if (file_read(path.data, 65536, &text) == 0)
			tree_put(&p->tree, path.data, text.data, text.len,
				 0600, "opendkim", "opendkim");
		explicit_bzero(text.data, text.len);
		buf_free(&path);
		buf_free(&text);
	}
}

static void add_version(struct plan *p)
{
	static const char text[] = "chatmail " CHATMAIL_VERSION "\n";

	tree_put(&p->tree, "/etc/chatmail-version", text, sizeof(text) - 1,
		 0644, NULL, NULL);
}

static int configure(struct plan *p, struct buf *err)
{
	tree_put(&p->tree, layout_need(&p->layout, "ini_path"), p->ini_text,
		 p->ini_size, 0644, NULL, NULL);
	tree_dir(&p->tree, "/etc/dkimkeys", 0700, "opendkim", "opendkim");
	tree_dir(&p->tree, "/var/spool/postfix/opendkim", 0750, "opendkim",
		 "opendkim");
	if (add_binary(p, err) < 0 || add_services(p, err) < 0 ||
	    make_key(p, err) < 0)
		return -1;
	add_keys(p);
	add_version(p);
	return 0;
}

const struct component component_chatmail = {
	.name = "chatmail", .configure = configure,
};
