#include "text/jsonrpc.h"

#include <string.h>

#include "text/json.h"

/* cJSON keeps numbers as double: whole ones are exact up to here. */
static const double ID_MAX = 9007199254740992.;

void jsonrpc_request(struct buf *out, uint64_t id, const char *method,
		     const cJSON *params)
{
	cJSON *request = cJSON_CreateObject();

	cJSON_AddStringToObject(request, "jsonrpc", "2.0");
	cJSON_AddNumberToObject(request, "id", (double)id);
	cJSON_AddStringToObject(request, "method", method);
	if (params)
		cJSON_AddItemReferenceToObject(request, "params",
					       (cJSON *)params);
	json_print(out, request);
	buf_addc(out, '\n');
	cJSON_Delete(request);
}

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static int read_id(const cJSON *whole, uint64_t *id, struct buf *err)
{
	const cJSON *item = member(whole, "id");

	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
	    item->valuedouble > ID_MAX ||
	    item->valuedouble != (double)(uint64_t)item->valuedouble) {
		buf_setf(err, "an answer without the id of a request");
		return -1;
	}
	*id = (uint64_t)item->valuedouble;
	return 0;
}

static int read_error(const cJSON *error, struct jsonrpc_answer *a,
		      struct buf *err)
{
	const cJSON *message = member(error, "message");

	if (!cJSON_IsString(message)) {
		buf_setf(err, "an error without a message");
		return -1;
	}
	a->error = message->valuestring;
	return 0;
}

static int read_answer(struct jsonrpc_answer *a, struct buf *err)
{
	const cJSON *version = member(a->whole, "jsonrpc");
	const cJSON *error = member(a->whole, "error");

	if (!cJSON_IsString(version) ||
	    strcmp(version->valuestring, "2.0") != 0) {
		buf_setf(err, "no JSON-RPC 2.0");
		return -1;
	}
	if (member(a->whole, "method"))
		return 0;
	a->result = member(a->whole, "result");
	if (!a->result == !error) {
		buf_setf(err, "an answer needs either a result or an error");
		return -1;
	}
	if ((error && read_error(error, a, err) < 0) ||
	    read_id(a->whole, &a->id, err) < 0)
		return -1;
	return 1;
}

int jsonrpc_parse(const char *line, size_t n, struct jsonrpc_answer *a,
		  struct buf *err)
{
	struct jsonrpc_answer got = { .whole = json_parse(line, n, err) };
	int ret = -1;

	if (!got.whole)
		return -1;
	if (cJSON_IsObject(got.whole))
		ret = read_answer(&got, err);
	else
		buf_setf(err, "no JSON object");
	if (ret == 1)
		*a = got;
	else
		cJSON_Delete(got.whole);
	return ret;
}

void jsonrpc_answer_free(struct jsonrpc_answer *a)
{
	cJSON_Delete(a->whole);
	a->whole = NULL;
}
