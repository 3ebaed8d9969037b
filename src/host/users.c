#include "host/users.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>

#include "base/proc.h"
#include "base/str.h"

static int run(const char *const *argv, struct buf *err)
{
	struct buf said = BUF_INIT, file = BUF_INIT;
	int code;

	if (proc_find(argv[0], &file) < 0) {
		buf_setf(err, "%s is not installed", argv[0]);
		return -1;
	}
	code = proc_run(&(struct proc_spec) { .argv = argv,
					      .file = file.data }, &said, err);
	if (code > 0)
		buf_setf(err, "%s: exit code %d: %s", argv[0], code,
			 str_trim(said.data));
	buf_free(&said);
	buf_free(&file);
	return code == 0 ? 0 : -1;
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
	return run((const char *[]) { "usermod", "-a", "-G", u->member_of,
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
	if (!group && run((const char *[]) { "groupadd", "--system", u->name,
					     NULL }, err) < 0)
		return -1;
	if (!user && run((const char *[]) {
			"useradd", "--system", "--gid", u->name, "--home-dir",
			u->home, "--no-create-home", "--shell",
			"/usr/sbin/nologin", u->name, NULL }, err) < 0)
		return -1;
	return 1;
}
