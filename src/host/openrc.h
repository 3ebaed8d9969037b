/* Services by OpenRC: rc-service(8), rc-update(8), and what OpenRC notes of its
 * services in /run/openrc. Names that end in .timer or .path are entries of
 * cron here, which run a job; it notes when and how (host/jobnote.h). */
#ifndef HOST_OPENRC_H
#define HOST_OPENRC_H

#include "host/services.h"

extern const struct host_services host_openrc;

/* Has OpenRC brought this machine up? */
bool openrc_is_running(void);

/* What the files below root say of a service, without asking the service: what
 * is started and has no supervisor counts as running. root: "" */
void openrc_state_in(const char *root, const char *name,
		     struct service_state *s);

#endif
