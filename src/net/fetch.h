/* A file from a web server by libcurl, for programs that may wait. What an
 * attempt that broke off has brought is gone on with by the next
 * (RFC 9110 section 14.2). */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include <stdint.h>

#include "base/buf.h"

enum { FETCH_VALIDATOR_MAX = 256 };

enum fetch_result {
	FETCH_DONE,
	FETCH_CUT,	/* another attempt may get the rest, or all of it */
	FETCH_FAILED,	/* it would get the same answer */
};

struct fetch {
	/* Filled in by the owner; texts are borrowed. */
	const char *url;	/* http or https; from https none leads to http */
	const char *proxy;	/* URL; NULL or "": $https_proxy and the like,
				 * as curl(1) has them. $no_proxy counts */
	int fd;			/* a regular file */
	uint64_t size_max;	/* bytes */
	unsigned connect_secs;	/* until the server answers */
	unsigned stall_secs;	/* with less than FETCH_SLOW bytes in each */
	unsigned secs_max;	/* of an attempt */
	/* Now and then, when bytes have come; may be NULL. */
	void (*progress)(struct fetch *f);
	/* In: what is in fd from an earlier attempt, and the server's mark for
	 * that state of the file (a strong ETag, or Last-Modified; "" for
	 * none). Out: what is there now. */
	uint64_t have;
	char validator[FETCH_VALIDATOR_MAX];
	uint64_t total;		/* bytes of the whole file; 0 not known */
	/* Its own. */
	void *easy;
	char etag[FETCH_VALIDATOR_MAX], modified[FETCH_VALIDATOR_MAX];
	uint64_t range_begin, range_total;	/* of a 206 */
	int has_range, has_begun;
	enum fetch_result verdict;
	struct buf why;
};

enum { FETCH_SLOW = 1000 };

/* One attempt. Returns FETCH_DONE, or another result with *err, whose text
 * does not name the URL. */
enum fetch_result fetch_file(struct fetch *f, struct buf *err);

#endif
