/* chatmail status: what is known of a relay's state, as JSON, and its display.
 * The keys of the JSON are interface: others read them too. */
#ifndef APPLETS_STATUS_H
#define APPLETS_STATUS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "host/services.h"
#include "relay/layout.h"

struct status {
	const struct relay *relay;
	const struct layout *layout;	/* a server's */
	const struct host_services *services;	/* NULL: nobody to ask */
	int64_t now;			/* Unix time */
	cJSON *json;			/* the object */
	cJSON *problems, *notes;	/* its arrays of sentences */
};

/* Note what is wrong and what to do about it, in one sentence. */
void status_problem(struct status *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Note what is not as it could be, and no reason to call the relay broken. */
void status_note(struct status *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Each adds its members to s->json, and to the problems. */
void status_add_services(struct status *s);
void status_add_certificate(struct status *s);
void status_add_mail(struct status *s);		/* queue, connections, users */
void status_add_machine(struct status *s);	/* versions, limits, disk */

/* All of it. Free with cJSON_Delete(). */
cJSON *status_collect(const struct relay *r);
/* Is anything wrong, as the object says? */
bool status_is_ok(const cJSON *status);
/* Append it as people read it; also what another version has collected, so
 * that nothing has to be there. */
void status_render(struct buf *out, const cJSON *status, bool colour);

/* Append a time span: "3 days", "5 h", "12 min", "40 s". */
void status_add_span(struct buf *out, int64_t secs);

#endif
