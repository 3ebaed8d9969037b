/* One HTTP request, for programs that wait for the answer (libcurl's easy
 * interface). Redirects are not followed, they are answers; proxies are not
 * used. */
#ifndef NET_WEB_H
#define NET_WEB_H

#include <stdbool.h>

#include "base/buf.h"
#include "net/trust.h"

enum { WEB_BODY_MAX = 1024 * 1024 };	/* a longer answer is an error */

struct web_request {
	const char *url;	/* http or https */
	bool post;		/* with an empty body; else it is a GET */
	const char *connect_to;	/* name or address to connect to instead of the
				 * URL's host; NULL: to that */
	unsigned port;		/* likewise; 0: the URL's */
	const struct trust *trust;
	double secs;		/* for everything */
};

struct web_answer {
	long status;
	struct buf body;
	struct buf type;	/* Content-Type, "" for none */
	struct buf location;	/* of a redirect, as the server wrote it */
};

/* Returns 0 with any status, or -1 with *err: no connection, a certificate that
 * is not accepted. web_answer_free() in both cases. */
int web_ask(struct web_answer *a, const struct web_request *r, struct buf *err);
void web_answer_free(struct web_answer *a);

#endif
