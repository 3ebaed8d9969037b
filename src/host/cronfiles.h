/* Where cron of a host looks: /etc/cron.d has a file for each job where that
 * directory is, else they are in root's table, which is others' as well. */
#ifndef HOST_CRONFILES_H
#define HOST_CRONFILES_H

#include <stdbool.h>

#include "host/tree.h"

/* Root's table where there is no /etc/cron.d: busybox's crond, Alpine. */
#define CRONFILES_TABLE "/etc/crontabs/root"

/* Has cron an entry of that job, below root ("")? */
bool cronfiles_has(const char *root, const char *job);

struct cronfiles {
	struct buf entries;	/* of all jobs, for the table */
	bool has_directory;
};

/* Collect entries for the tree: begin, one by one (text NULL: the job has none
 * any more), end. */
void cronfiles_begin(struct cronfiles *c);
void cronfiles_add(struct cronfiles *c, struct tree *t, const char *job,
		   const char *text);
void cronfiles_end(struct cronfiles *c, struct tree *t);

#endif
