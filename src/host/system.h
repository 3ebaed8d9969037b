/* Which system a host is, and what is elsewhere there than on Debian. */
#ifndef HOST_SYSTEM_H
#define HOST_SYSTEM_H

#include "base/buf.h"
#include "relay/layout.h"

/* Can a relay be set up on this machine's system, os-release(5)? Returns 0, or
 * -1 with *err naming it and those that can be. */
int host_system_check(struct buf *err);
/* The same for the text of an os-release. */
int host_system_check_text(const char *text, struct buf *err);

/* Make l a layout of this machine: its system and manager of services; of
 * those of a name, "debian" or "alpine", "systemd" or "openrc". */
void host_system_layout(struct layout *l);
void host_system_layout_of(struct layout *l, const char *distro,
			   const char *manager);

#endif
