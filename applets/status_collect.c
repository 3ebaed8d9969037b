/* All that is known, in one object. */
#include "applets/status.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "host/system.h"

enum { FORMAT = 1 };	/* of the object; grows when a key changes its sense */

static void add_sentence(cJSON *array, const char *fmt, va_list ap)
{
	struct buf text = BUF_INIT;

	buf_vaddf(&text, fmt, ap);
	cJSON_AddItemToArray(array, cJSON_CreateString(text.data));
	buf_free(&text);
}

void status_problem(struct status *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_sentence(s->problems, fmt, ap);
	va_end(ap);
}

void status_note(struct status *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_sentence(s->notes, fmt, ap);
	va_end(ap);
}

cJSON *status_collect(const struct relay *r)
{
	struct layout layout;
	struct status s = {
		.relay = r, .layout = &layout, .now = time(NULL),
		.json = cJSON_CreateObject(),
		.services = host_services_find(),
	};
	char host[256] = "";

	layout_init(&layout, r);
	host_system_layout(&layout);
	s.problems = cJSON_CreateArray();
	s.notes = cJSON_CreateArray();
	gethostname(host, sizeof(host) - 1);
	cJSON_AddNumberToObject(s.json, "format", FORMAT);
	cJSON_AddStringToObject(s.json, "domain", r->mail_domain_bare);
	cJSON_AddStringToObject(s.json, "host", host);
	cJSON_AddNumberToObject(s.json, "time", (double)s.now);
	status_add_services(&s);
	status_add_certificate(&s);
	status_add_mail(&s);
	status_add_machine(&s);
	cJSON_AddBoolToObject(s.json, "ok",
			      cJSON_GetArraySize(s.problems) == 0);
	cJSON_AddItemToObject(s.json, "problems", s.problems);
	cJSON_AddItemToObject(s.json, "notes", s.notes);
	layout_free(&layout);
	return s.json;
}

bool status_is_ok(const cJSON *status)
{
	return cJSON_IsTrue(cJSON_GetObjectItem(status, "ok"));
}
