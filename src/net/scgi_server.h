/* The server side of SCGI on a connection: one request, one answer, the end. */
#ifndef NET_SCGI_SERVER_H
#define NET_SCGI_SERVER_H

#include "net/conn.h"
#include "net/daemon.h"
#include "text/scgi.h"

struct scgi_request;

struct scgi_ops {
	size_t body_max;
	/* A whole request, with its body; *head lives until the call ends. It
	 * has to be answered by one scgi_reply(), inside the call or later. */
	void (*request)(struct scgi_request *r, const struct scgi *head);
	/* Its body exceeds body_max. To be answered as well. */
	void (*too_long)(struct scgi_request *r);
};

/* Serve a connection of d; fd is adopted. A client has 10 seconds of silence
 * to say what it wants. */
void scgi_serve(struct daemon *d, int fd, const struct scgi_ops *ops);
/* Answer with a CGI response (RFC 3875 section 6), which is copied; the
 * request is gone then. Fine also when the client has gone. */
void scgi_reply(struct scgi_request *r, const struct buf *response);

#endif
