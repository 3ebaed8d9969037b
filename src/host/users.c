#include "host/users.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>

#include "base/proc.h"

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
	return proc_command((const char *[]) { "usermod", "-a", "-G", u->member_of,
				      u->name, NULL }, err) < 0 ? -1 : 1;
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
	if (!group && proc_command((const char *[]) { "groupadd", "--system", u->name,
					     NULL }, err) < 0)
		return -1;
	if (!user && proc_command((const char *[]) {
			"useradd", "--system", "--gid", u->name, "--home-dir",
			u->home, "--no-create-home", "--shell",
			"/usr/sbin/nologin", u->name, NULL }, err) < 0)
		return -1;
	return 1;
}
