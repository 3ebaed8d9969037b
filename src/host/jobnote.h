/* What is noted of a job that cron starts: systemd does that by itself. One
 * line in /var/lib/chatmail/jobs/NAME, "BEGAN ENDED STATUS". */
#ifndef HOST_JOBNOTE_H
#define HOST_JOBNOTE_H

#include <stdint.h>

#include "base/buf.h"

struct jobnote {
	int64_t began, ended;	/* Unix time; ended is 0 while it runs */
	int status;		/* its exit code, 128 + a signal */
};

/* The note of that job below root (""). Returns 0, or -1 with *n all 0 when
 * there is none that can be read. */
int jobnote_read(const char *root, const char *job, struct jobnote *n);
/* Write it. Returns 0, or -1 with *err. */
int jobnote_write(const char *job, const struct jobnote *n, struct buf *err);

#endif
