/* A system log as syslogd(8) writes it: "TIME HOST TAG[PID]: TEXT" lines, where
 * busybox has the facility between host and tag. */
#ifndef TEXT_SYSLINES_H
#define TEXT_SYSLINES_H

#include <stddef.h>

#include "base/buf.h"

/* Append the last lines, at most count, whose tag is name, or name and a part
 * of it as in "postfix/smtpd"; each with its line end. text holds n bytes. */
void syslines_last(const char *text, size_t n, const char *name,
		   unsigned count, struct buf *out);

#endif
