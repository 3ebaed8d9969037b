/* Calls of a JSON-RPC server over a stream, one JSON object a line each way;
 * any number of calls may be in flight, and their answers come in any order. */
#ifndef NET_RPC_CLIENT_H
#define NET_RPC_CLIENT_H

#include <cjson/cJSON.h>
#include <ev.h>
#include <stdint.h>

#include "net/conn.h"

enum { RPC_LINE_MAX = 16 << 20 };	/* bytes of an answer */

struct rpc_client;

/* A call in flight; embedded by the owner, who keeps it until done(), or until
 * the client has closed. */
struct rpc_call {
	/* The answer: result, borrowed for the time of this call, or NULL and
	 * error as the server put it. May begin further calls, this one too. */
	void (*done)(struct rpc_call *c, const cJSON *result,
		     const char *error);
	/* The client's. */
	struct rpc_client *client;
	struct rpc_call *next;
	uint64_t id;
	ev_timer late;
};

struct rpc_client {
	/* Filled in by the owner. The connection has ended, or what came is no
	 * JSON-RPC, or a call was not answered in time: why is for the log.
	 * Calls in flight are forgotten without done(). Never called inside
	 * done(). */
	void (*closed)(struct rpc_client *r, const char *why);
	/* The client's. */
	struct conn conn;
	struct rpc_call *calls;
	uint64_t last_id;
	struct buf why;
};

/* Speak over a connected socket, non-blocking and close-on-exec, which is ours
 * from now on. */
void rpc_client_start(struct rpc_client *r, struct ev_loop *loop, int fd);
/* Call a method. params is borrowed, NULL for none. Without an answer for secs
 * the client closes; 0: the answer may take as long as it likes. */
void rpc_client_call(struct rpc_client *r, struct rpc_call *c,
		     const char *method, const cJSON *params, double secs);
/* End; closed() comes from the loop. */
void rpc_client_close(struct rpc_client *r, const char *why);

#endif
