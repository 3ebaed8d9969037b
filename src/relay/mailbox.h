/* The files of mailboxes, for all that look through them: expire, fsreport,
 * quota-expire. Everything goes by open directories and names, so that no path
 * is built for a file that nobody wants to name, and a symbolic link is never
 * followed, wherever it stands below mailboxes_dir. Memory does not depend on
 * the number of files. */
#ifndef RELAY_MAILBOX_H
#define RELAY_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"

enum {
	MAILBOX_DEPTH_MAX = 32,	/* directories inside each other */
	MAILBOX_LIST_BYTES = 65536,	/* some 700 messages */
};

/* ---- what goes wrong ---------------------------------------------------------- */

/* A run goes on whatever happens to single files; this remembers it. */
struct mailbox_trouble {
	/* Called at once, with why in words; for the log. */
	void (*say)(const char *path, const char *why);
	uint64_t unread;	/* could not be looked at */
	uint64_t unremoved;	/* could not be removed */
	uint64_t vanished;	/* gone when we came: no trouble, not said */
};

/* ---- directories -------------------------------------------------------------- */

/* An open directory and the one that it was opened in. */
struct mailbox_dir {
	const struct mailbox_dir *parent;	/* NULL: name is the path */
	const char *name;			/* borrowed */
	int fd;
};

/* Open name in parent. Without a parent, name is a path of which only the last
 * part may not be a link, or may be one when links is set. Returns 0, or -1
 * with errno (ELOOP or ENOTDIR for what is no directory) and fd -1. */
int mailbox_dir_open(struct mailbox_dir *d, const struct mailbox_dir *parent,
		     const char *name, bool links);
void mailbox_dir_close(struct mailbox_dir *d);	/* fd -1 is fine */
/* Append the path of a file in d, of d itself when name is NULL. */
void mailbox_dir_path(struct buf *out, const struct mailbox_dir *d,
		      const char *name);

/* Say that something with that path could not be looked at or removed, and
 * count it; ENOENT counts as vanished and is not said. */
void mailbox_unread(struct mailbox_trouble *t, const struct mailbox_dir *d,
		    const char *name, int error);
void mailbox_unremoved(struct mailbox_trouble *t, const struct mailbox_dir *d,
		       const char *name, int error);
/* Say that a link stands there and was not followed; not counted. */
void mailbox_is_link(struct mailbox_trouble *t, const struct mailbox_dir *d,
		     const char *name);

/* ---- what is in a directory --------------------------------------------------- */

struct mailbox_list {
	int fd;			/* borrowed */
	size_t pos, len;
	_Alignas(8) char data[MAILBOX_LIST_BYTES];
};

/* Begin with the first entry of an open directory. */
void mailbox_list_start(struct mailbox_list *l, const struct mailbox_dir *d);
/* The next one but "." and ".."; *type is a DT_ of dirent.h. The name lives
 * until the next call. Entries may be removed meanwhile. Returns 1, 0 at the
 * end, or -1 with errno. */
int mailbox_list_next(struct mailbox_list *l, const char **name,
		      unsigned char *type);

/* ---- the walk ----------------------------------------------------------------- */

/* As upstream sees it, everything in a directory "cur", "new" or "tmp" is a
 * message, at whatever depth. */
enum mailbox_sub { MAILBOX_CUR, MAILBOX_NEW, MAILBOX_TMP, MAILBOX_OTHER };

/* "cur", "new", "tmp"; MAILBOX_OTHER for any other name. */
enum mailbox_sub mailbox_sub(const char *name);

/* A regular file. */
struct mailbox_file {
	const struct mailbox_dir *dir;
	const char *name;
	enum mailbox_sub sub;
	bool inbox;		/* not in a folder of the mailbox */
	struct timespec mtime;
	uint64_t size;		/* on disk; a name's S= counts for quota */
};

/* Fill in mtime and size. Returns 1, 0 when it is no regular file or has
 * vanished, -1 when it could not be read; trouble has it then. */
int mailbox_file_stat(struct mailbox_file *f, struct mailbox_trouble *t);

struct mailbox {
	struct mailbox_dir dir;		/* dir.name is the address */
	/* Is there a password file? Of the mailbox itself: unlike upstream's,
	 * one in a folder says nothing. */
	bool has_password;
	struct timespec last_login;	/* its mtime */
};

/* Embedded by those who walk. */
struct mailbox_walk {
	struct mailbox_trouble *trouble;
	/* The most names of mailboxes_dir to look at, whether mailboxes or
	 * not, as upstream counts for --maxnum; UINT64_MAX for all. */
	uint64_t max;
	bool others;	/* file() gets files that are no messages as well */
	/* A mailbox is reached: look at its files? The mailbox may be removed
	 * here. */
	bool (*enter)(struct mailbox_walk *w, const struct mailbox *m);
	/* May remove the file. */
	void (*file)(struct mailbox_walk *w, const struct mailbox_file *f);
	/* All files were seen; only for what was entered. */
	void (*leave)(struct mailbox_walk *w, const struct mailbox *m);
	/* Its own: one list for each depth, kept for the next directory. */
	struct mailbox_list *lists[MAILBOX_DEPTH_MAX];
};

/* Walk over all mailboxes, which are the directories with an @ in their name,
 * in the order of the directory. Returns 0, or -1 with errno when
 * mailboxes_dir cannot be read. */
int mailbox_walk(struct mailbox_walk *w, const char *mailboxes_dir);

/* Is a before b? */
bool mailbox_is_before(struct timespec a, struct timespec b);
/* t less that many days, at most 10,000,000. */
struct timespec mailbox_days_before(struct timespec t, uint64_t days);

#endif
