/* The parts of applets/metrics*.c, for these alone. */
#ifndef METRICS_APPLET_H
#define METRICS_APPLET_H

#include <stdbool.h>

#include "net/collect.h"
#include "relay/relay.h"

/* Put the sockets of that relay's roles into c; their texts are of *a. */
void metrics_sources(struct collect *c, const struct relay *r,
		     struct arena *a);
/* Walk over the mailboxes and append fsreport's figures as OpenMetrics. Any
 * thread may. Returns 0, or -1 with *err. */
int metrics_fsreport(const char *mailboxes_dir, struct buf *out,
		     struct buf *err);

/* Serve SCGI on that socket, until SIGTERM; format NULL: as the client asks. */
int metrics_serve_scgi(const char *socket, const char *ini, bool fsreport,
		       const enum figures_format *format);

#endif
