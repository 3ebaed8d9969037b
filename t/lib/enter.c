/* Stands in CHATMAIL's place for tests: runs the program of the directory that
 * CHATMAIL_ROOT names in it, as its root directory. Who is not root becomes
 * himself in a user namespace, where that is allowed. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

static int write_to(const char *path, const char *format, unsigned id)
{
	FILE *f = fopen(path, "w");

	return f && fprintf(f, format, id, id) > 0 && fclose(f) == 0;
}

static int may_change_root(void)
{
	unsigned uid = geteuid(), gid = getegid();

	return uid == 0 ||
		(unshare(CLONE_NEWUSER) == 0 &&
		 write_to("/proc/self/setgroups", "deny", 0) &&
		 write_to("/proc/self/uid_map", "%u %u 1", uid) &&
		 write_to("/proc/self/gid_map", "%u %u 1", gid));
}

/* A test may have mounted something below /tmp for this program alone. */
static int bring_mounts(const char *root)
{
	static char path[4096];

	if (geteuid() != 0)
		return 1;
	snprintf(path, sizeof(path), "%s/tmp", root);
	/* what is mounted on a shared one would be mounted on /tmp as well */
	return unshare(CLONE_NEWNS) == 0 &&
		mount(NULL, path, NULL, MS_PRIVATE, NULL) == 0 &&
		mount("/tmp", path, NULL, MS_BIND | MS_REC, NULL) == 0;
}

int main(int argc, char **argv)
{
	static char path[4096];
	const char *root = getenv("CHATMAIL_ROOT");

	(void)argc;
	/* a directory that is not there too cannot be kept */
	if (root && getcwd(path, sizeof(path)) && bring_mounts(root) &&
	    may_change_root() && chroot(root) == 0 &&
	    (chdir(path) == 0 || chdir("/") == 0))
		execv("/chatmail", argv);
	perror("enter");
	return 127;
}
