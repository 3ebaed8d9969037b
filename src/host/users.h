/* System users and groups of a host. */
#ifndef HOST_USERS_H
#define HOST_USERS_H

#include "base/buf.h"

struct host_user {
	const char *name;	/* user, and group of the same name */
	const char *home;	/* not made here */
	const char *member_of;	/* NULL: an own system user is wanted; else an
				 * existing user is made member of that group */
};

/* Make that user, or membership, if it is not there. Returns 1 when something
 * was done, 0 when all was there, -1 with *err. dry: only say what would be
 * done by returning 1. */
int host_user_ensure(const struct host_user *u, int dry, struct buf *err);

#endif
