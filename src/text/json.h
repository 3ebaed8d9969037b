/* Strict reading of JSON (RFC 8259) that others wrote, by cJSON. */
#ifndef TEXT_JSON_H
#define TEXT_JSON_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "base/buf.h"

enum { JSON_DEPTH_MAX = 32 };	/* objects and arrays inside each other */

/* The whole of n bytes as one value, white space around it allowed. NULL with
 * the reason in *err. Free with cJSON_Delete(). cJSON recurses, so that depth
 * is limited: worker threads have small stacks. */
cJSON *json_parse(const char *text, size_t n, struct buf *err);

/* Append a value in its shortest form, on one line. */
void json_print(struct buf *out, const cJSON *value);

#endif
