/* JSON-RPC 2.0 (jsonrpc.org/specification), the client's side: one object a
 * line, as deltachat-rpc-server reads and writes them. */
#ifndef TEXT_JSONRPC_H
#define TEXT_JSONRPC_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Append a request, on one line with its LF. params, an array or an object, is
 * borrowed; NULL leaves it out. */
void jsonrpc_request(struct buf *out, uint64_t id, const char *method,
		     const cJSON *params);

/* What a server has answered. Texts and values live as long as whole. */
struct jsonrpc_answer {
	cJSON *whole;		/* free by jsonrpc_answer_free() */
	uint64_t id;
	const cJSON *result;	/* NULL: refused */
	const char *error;	/* why it was refused, else NULL */
};

/* Read one line, without its LF. Returns 1 with an answer to a request; 0 for
 * what is none, a request or notification of the server's; -1 with the reason
 * in *err when it is no JSON-RPC, or the server could not read what it was
 * sent (an error without id, section 5). *a is filled in only for 1. */
int jsonrpc_parse(const char *line, size_t n, struct jsonrpc_answer *a,
		  struct buf *err);
void jsonrpc_answer_free(struct jsonrpc_answer *a);

#endif
