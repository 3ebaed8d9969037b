#include "host/users.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>

#include "base/proc.h"

/* The programs of shadow, or where they are not those of busybox, as on
 * Alpine, under the names of Debian's and with other options. */
static bool has_shadow(const char *program)
{
	struct buf file = BUF_INIT;
	bool ret = proc_find(program, &file) == 0;

	buf_free(&file);
	return ret;
}

static int add_member(const char *user, const char *group, struct buf *err)
{
	if (has_shadow("usermod"))
		return proc_command((const char *[]) { "usermod", "-a", "-G",
				    group, user, NULL }, err);
	return proc_command((const char *[]) { "addgroup", user, group, NULL },
			    err);
}

static int add_group(const char *name, struct buf *err)
{
	if (has_shadow("groupadd"))
		return proc_command((const char *[]) { "groupadd", "--system",
				    name, NULL }, err);
	return proc_command((const char *[]) { "addgroup", "-S", name, NULL },
			    err);
}

static int add_user(const struct host_user *u, struct buf *err)
{
	if (has_shadow("useradd"))
		return proc_command((const char *[]) {
			"useradd", "--system", "--gid", u->name, "--home-dir",
			u->home, "--no-create-home", "--shell",
			"/usr/sbin/nologin", u->name, NULL }, err);
	return proc_command((const char *[]) {
		"adduser", "-S", "-D", "-H", "-h", u->home, "-s",
		"/sbin/nologin", "-g", u->name, "-G", u->name, u->name,
		NULL }, err);
}

static bool is_member(const char *user, const char *group)
{
	const struct group *gr = getgrnam(group);

	for (char **m = gr ? gr->gr_mem : NULL; m && *m; m++)
		if (strcmp(*m, user) == 0)
			return true;
	return false;
}

static int ensure_member(const struct host_user *u, int dry, struct buf *err)
{
	if (is_member(u->name, u->member_of))
		return 0;
	if (dry)
		return 1;
	return add_member(u->name, u->member_of, err) < 0 ? -1 : 1;
}

int host_user_ensure(const struct host_user *u, int dry, struct buf *err)
{
	bool group = getgrnam(u->name), user = getpwnam(u->name);

	if (u->member_of)
		return ensure_member(u, dry, err);
	if (group && user)
		return 0;
	if (dry)
		return 1;
	if (!group && add_group(u->name, err) < 0)
		return -1;
	if (!user && add_user(u, err) < 0)
		return -1;
	return 1;
}
