/* Packages by apk(8), Alpine's. */
#ifndef HOST_APK_H
#define HOST_APK_H

#include "host/packages.h"

/* Components name packages as Debian does; this one has them under Alpine's
 * names. */
extern const struct host_packages host_apk;

/* Append Alpine's names of what Debian calls name, by spaces; nothing when it
 * is a part of another one there. */
void apk_names(const char *name, struct buf *out);

#endif
