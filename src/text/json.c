#include "text/json.h"

#include <stdbool.h>
#include <string.h>

/* Brackets outside strings, nothing else: what is no JSON is cJSON's to say. */
static bool is_too_deep(const char *s, size_t n)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < n; i++) {
		if (in_string) {
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				in_string = false;
		} else if (s[i] == '"') {
			in_string = true;
		} else if (s[i] == '[' || s[i] == '{') {
			if (++depth > JSON_DEPTH_MAX)
				return true;
		} else if (s[i] == ']' || s[i] == '}') {
			depth--;
		}
	}
	return false;
}

cJSON *json_parse(const char *text, size_t n, struct buf *err)
{
	const char *end = NULL;
	cJSON *value;

	if (is_too_deep(text, n)) {
		buf_setf(err, "more than %d levels deep", JSON_DEPTH_MAX);
		return NULL;
	}
	value = cJSON_ParseWithLengthOpts(text, n, &end, 0);
	if (!value) {
		buf_setf(err, "not JSON from byte %zu on",
			 end ? (size_t)(end - text) : 0);
		return NULL;
	}
	while (end < text + n && strchr(" \t\r\n", *end) && *end)
		end++;
	if (end == text + n)
		return value;
	buf_setf(err, "something follows the JSON value at byte %zu",
		 (size_t)(end - text));
	cJSON_Delete(value);
	return NULL;
}

void json_print(struct buf *out, const cJSON *value)
{
	char *text = cJSON_PrintUnformatted(value);

	if (!text)
		abort();
	buf_adds(out, text);
	cJSON_free(text);
}
