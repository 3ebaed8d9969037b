/* What a relay's services need of files where OpenRC manages them. */
#ifndef HOST_OPENRC_FILES_H
#define HOST_OPENRC_FILES_H

#include "host/plan.h"

/* Add all scripts of conf-templates/openrc to the plan's tree, those of wanted
 * services or not, as one without its script could not be stopped; and the
 * entries of cron for the jobs that are wanted. Returns 0, or -1 with *err. */
int openrc_add_files(struct plan *p, struct buf *err);

#endif
