/* Services of a plan: started, restarted when what they read has changed since
 * they were started by us, stopped when the relay has no use for them. */
#ifndef HOST_ACTIVATE_H
#define HOST_ACTIVATE_H

#include "host/plan.h"

/* Before files are put in place: what a service has of one that changes is not
 * what was noted, when somebody else changed it. Returns 0, or -1 with *err. */
int plan_forget_applied(const struct plan *p, struct buf *err);

/* One step for each service. What a service was last started with is noted
 * under /var/lib/chatmail/applied, so that a run that was interrupted between
 * files and services is made good by the next one. Returns 0, or -1 with the
 * failure already told. */
int plan_activate(struct plan *p);

#endif
