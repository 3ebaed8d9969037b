/* Services by systemd: systemctl(1) and journalctl(1). */
#ifndef HOST_SYSTEMD_H
#define HOST_SYSTEMD_H

#include "host/services.h"

extern const struct host_services host_systemd;

/* Is systemd this machine's manager of services? As sd_booted(3). */
bool systemd_is_running(void);

#endif
