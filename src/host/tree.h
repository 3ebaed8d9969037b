/* Files that a host shall have: collected first, compared with what is there,
 * then changed together, so that a full disk or a failed check changes
 * nothing. */
#ifndef HOST_TREE_H
#define HOST_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"

enum tree_kind { TREE_FILE, TREE_DIR, TREE_LINK, TREE_ABSENT, TREE_SEEN };

struct tree_entry {
	enum tree_kind kind;
	const char *path;		/* absolute */
	const char *data;		/* contents; target of a link */
	size_t size;			/* bytes of data */
	mode_t mode;
	const char *owner, *group;	/* names, looked up at the comparison */
	/* What tree_compare() found. */
	bool changed;
	const char *how;	/* "new", "changed", "mode", "owner", "removed" */
	uid_t uid;
	gid_t gid;
};

struct tree {
	struct arena arena;		/* owns all texts */
	struct tree_entry *entries;
	size_t count, room;
};

#define TREE_INIT { 0 }

void tree_free(struct tree *t);

/* Add what shall be there. Texts and data are copied; owner and group may be
 * NULL for root. A path that was added before is replaced. */
void tree_put(struct tree *t, const char *path, const void *data, size_t n,
	      mode_t mode, const char *owner, const char *group);
void tree_dir(struct tree *t, const char *path, mode_t mode,
	      const char *owner, const char *group);
void tree_link(struct tree *t, const char *path, const char *target);
/* A file or link that shall not be there. */
void tree_absent(struct tree *t, const char *path);

/* A file that is not ours to change, but may concern services. */
void tree_seen(struct tree *t, const char *path);

/* Find out what differs. lenient: owners that do not exist yet count as
 * different instead of being an error (a dry run before users are made).
 * Returns the number of entries that differ, or -1 with *err. */
int tree_compare(struct tree *t, bool lenient, struct buf *err);

/* Make what differs true: directories first, then all new files beside the
 * old ones, and when all could be written, the renames and removals. Returns
 * 0, or -1 with *err and the old files in place. After SIGKILL a
 * "PATH.chatmail-new" may remain, which the next run takes away. */
int tree_commit(struct tree *t, struct buf *err);

/* Append a unified diff of the texts that differ, and one line for what is no
 * text. Contents of files that not everybody may read are not shown. */
void tree_diff(const struct tree *t, struct buf *out);

#endif
