/* chatmail webdev: what its files share. */
#ifndef APPLETS_WEBDEV_H
#define APPLETS_WEBDEV_H

#include "net/conn.h"
#include "net/daemon.h"
#include "net/watch.h"
#include "relay/relay.h"

struct webdev {
	struct daemon daemon;
	struct watch watch;
	const char *ini;
	char *source;		/* directory that is built and watched; or NULL */
	char *dir;		/* temporary; the pages are in DIR/www */
	struct buf mistake;	/* why the last build failed; empty when not */
	/* Names the last build for open pages: they compare it. */
	char build[32];
	unsigned builds;
	struct session *listeners;	/* pages that wait for the next build */
};

/* Serve a connection; fd is adopted. */
void webdev_serve(struct webdev *w, int fd);
/* Tell open pages about a new build. */
void webdev_notify(struct webdev *w);

/* The answer to GET for a path (see text/httpreq.h): status line, headers and
 * body, or only their head. */
void webdev_answer(struct webdev *w, const char *path, bool is_head,
		   struct buf *out);
/* A plain answer of that status. */
void webdev_answer_status(unsigned status, bool is_head, struct buf *out);

#endif
