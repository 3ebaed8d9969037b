#include "relay/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/str.h"

enum { MB = 1024 * 1024 };

static bool load_is_high(const struct relay *r, struct buf *why,
			 struct buf *ignored)
{
	double load;

	if (getloadavg(&load, 1) != 1) {
		buf_adds(ignored, "ignoring unreadable load average\n");
		return false;
	}
	if (load <= r->s.max_load_1m)
		return false;
	buf_setf(why, "load avg %.2f > %.2f", load, r->s.max_load_1m);
	return true;
}

/* MemAvailable of /proc/meminfo in megabytes, or -1. */
static long long available_mb(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	long long kb = -1;
	char line[256];

	while (f && kb < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lld kB", &kb) != 1)
			kb = -1;
	if (f)
		fclose(f);
	return kb < 0 ? -1 : kb / 1024;
}

static bool memory_is_low(const struct relay *r, struct buf *why,
			  struct buf *ignored)
{
	long long mb = available_mb();

	if (mb < 0) {
		buf_adds(ignored, "ignoring unreadable available memory\n");
		return false;
	}
	if ((uint64_t)mb >= r->s.min_available_memory)
		return false;
	buf_setf(why, "available memory %lldMB < %lluMB", mb,
		 (unsigned long long)r->s.min_available_memory);
	return true;
}

static bool disk_is_low(const struct relay *r, struct buf *why,
			struct buf *ignored)
{
	struct statvfs fs;
	uint64_t mb;

	if (statvfs(r->s.mailboxes_dir, &fs) < 0) {
		buf_addf(ignored, "ignoring unreadable free disk space: %s: "
			 "%s\n", r->s.mailboxes_dir, strerror(errno));
		return false;
	}
	mb = (uint64_t)fs.f_bavail * fs.f_frsize / MB;
	if (mb >= r->s.min_free_disk_space)
		return false;
	buf_setf(why, "free disk %lluMB < %lluMB", (unsigned long long)mb,
		 (unsigned long long)r->s.min_free_disk_space);
	return true;
}

bool limits_allow_creation(const struct relay *r, struct buf *why,
			   struct buf *ignored)
{
	return !load_is_high(r, why, ignored) &&
	       !memory_is_low(r, why, ignored) &&
	       !disk_is_low(r, why, ignored);
}
