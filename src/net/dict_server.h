/* The server side of Dovecot's dict protocol on a connection. Requests may be
 * answered at once or later; replies leave in the order of the requests. */
#ifndef NET_DICT_SERVER_H
#define NET_DICT_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "net/daemon.h"

struct dict_request;

/* One S or U of a transaction; value is NULL for U. */
struct dict_change {
	struct dict_change *next;
	const char *key, *value;
};

/* Every handler has to answer its request with exactly one dict_reply_*(),
 * inside the call or later; what it is given lives until then. user is "" when
 * Dovecot sends none. Keys come unescaped; they may be changed in place. */
struct dict_ops {
	void (*lookup)(struct dict_request *r, char *key, const char *user);
	/* path: what every key of the answer has to begin with. NULL: nothing
	 * is ever found. */
	void (*iterate)(struct dict_request *r, const char *path,
			const char *user);
	/* A whole transaction, changes in order. NULL: commits fail. */
	void (*commit)(struct dict_request *r, const char *user,
		       struct dict_change *changes);
};

/* Answers. After each the request is gone. error is one short line. */
void dict_reply_found(struct dict_request *r, const char *value);
void dict_reply_not_found(struct dict_request *r);
void dict_reply_error(struct dict_request *r, const char *error);
void dict_reply_committed(struct dict_request *r);
/* One row of an iteration, then its end. */
void dict_reply_row(struct dict_request *r, const char *key);
void dict_reply_end(struct dict_request *r);

/* Serve a connection of d with these handlers; fd is adopted. */
void dict_serve(struct daemon *d, int fd, const struct dict_ops *ops);

/* Start-up of a dict role: listen on the socket of the command line with the
 * permissions that upstream's roles have, or end the process. */
void dict_listen_or_die(struct daemon *d, const char *path,
			void (*accepted)(struct daemon *d, int fd));

#endif
