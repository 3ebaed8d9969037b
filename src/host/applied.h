/* What a service was last started with: a note of fingerprints, one file for
 * each service. */
#ifndef HOST_APPLIED_H
#define HOST_APPLIED_H

#include <stddef.h>

#include "base/buf.h"

struct applied {
	struct buf old;	/* the note: lines "FINGERPRINT NAME" */
	struct buf new;	/* what applied_write() will note */
};

/* Read the note of that service in dir; empty when there is none. */
void applied_read(struct applied *a, const char *dir, const char *service);
void applied_free(struct applied *a);
/* Note n bytes under a name (a path, or a setting). Returns 1 when they are
 * others than noted, 0 when the same. NULL data: it is not there. */
int applied_add(struct applied *a, const char *name, const void *data,
		size_t n);
/* Before what a name stands for is changed: it is not sure any more that the
 * service has what was noted. Returns 0, or -1 with *err. */
int applied_forget(const char *dir, const char *service, const char *name,
		   struct buf *err);
/* The note goes, before the service is touched: until applied_write() it is not
 * known what it runs with, and after an interruption everything is news. Returns
 * 0, or -1 with *err. */
int applied_forget_all(struct applied *a, const char *dir,
		       const char *service, struct buf *err);
/* Returns 0, or -1 with *err. */
int applied_write(const struct applied *a, const char *dir,
		  const char *service, struct buf *err);

#endif
