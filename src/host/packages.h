/* A host's packages, behind one table for each package manager. */
#ifndef HOST_PACKAGES_H
#define HOST_PACKAGES_H

#include <stddef.h>

#include "base/buf.h"

struct host_packages {
	const char *name;	/* "apt" */
	/* Append the names that are not installed to missing, each followed
	 * by a space. Returns how many, or -1 with *err. */
	int (*missing)(const char *const *names, struct buf *missing,
		       struct buf *err);
	/* Install names, NULL at the end; no service is started by that.
	 * What an interrupted run left half done is finished first. Returns 0,
	 * or -1 with *err, which ends in what the package manager said. */
	int (*install)(const char *const *names, struct buf *err);
	/* Append the installed version; nothing when it is not installed. */
	void (*version)(const char *name, struct buf *out);
	/* Append the version that install() would install; nothing when it is
	 * not known here. */
	void (*candidate)(const char *name, struct buf *out);
};

/* Run a package manager. Returns 0, or -1 with *err: what failed, and the end
 * of what it said, where the reason is. */
int packages_run(const char *const *argv, const char *what, struct buf *err);

/* The host's package manager; NULL when it is none that we know. */
const struct host_packages *host_packages_find(void);

/* Take away what a killed run may have left, so that packages start their
 * services again when they are upgraded. Returns 1 when there was something,
 * 0, or -1 with *err. */
int host_packages_unblock(struct buf *err);

#endif
