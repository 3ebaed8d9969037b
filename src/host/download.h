/* Programs that no package brings: a file with a known SHA-256 from its makers'
 * site, or from a directory where an operator has put it. */
#ifndef HOST_DOWNLOAD_H
#define HOST_DOWNLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct download {
	/* Filled in by the owner; texts are borrowed. */
	const char *url;	/* of the file, or of a .tar.gz that has it */
	const char *sha256;	/* of the file itself, 64 lower-case digits */
	const char *member;	/* its name in the archive; NULL: no archive */
	const char *path;	/* where it shall be */
	mode_t mode;
	uint64_t size_max;	/* of the file, and of what the URL gives */
	/* Looked at first: for a file of the name sha256, and for what the
	 * URL's last part names, as the URL gives it. NULL or "": none. */
	const char *cache_dir;
	/* Keeps what a broken download has brought; made when missing, 0700. */
	const char *work_dir;
	const char *proxy;	/* as struct fetch has it */
	/* 0: values for servers. Seconds, see struct fetch; milliseconds
	 * between attempts. */
	unsigned connect_secs, stall_secs, pause_msecs;
	/* While it goes, at most once a percent; total 0 if not known. May be
	 * NULL. */
	void (*progress)(struct download *d, uint64_t have, uint64_t total);
	/* Its own. */
	uint64_t told;
};

/* Is the file there, with its hash? Says nothing of mode and owner. */
bool download_is_there(const struct download *d);

/* Make it so. The file gets its name and its mode when all of its bytes have
 * the right hash; until then, and when anything fails, an old file of the name
 * stays as it is, and a program that runs from it. What a broken download has
 * brought is kept for the next. Returns 1 when the file was put there, 0 when
 * it was there, its mode being set if needed, -1 with *err. */
int download_get(struct download *d, struct buf *err);

/* Is it the SHA-256 of something: 64 hexadecimal digits? */
bool download_is_sha256(const char *s);

#endif
