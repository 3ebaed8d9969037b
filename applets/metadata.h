/* The values that a relay tells every client over IMAP METADATA:
 * /shared/vendor/deltachat/NAME. */
#ifndef METADATA_H
#define METADATA_H


#include "net/dict_server.h"
#include "relay/reload.h"

/* What follows the folder in the key of such a value. */
#define VALUES_PREFIX "vendor/vendor.dovecot/pvt/server/vendor/deltachat/"

/* At start, and after each reload of *ini, which is borrowed for good. */
void values_init(struct ev_loop *loop, const struct relay_file *ini);
/* Answer the request for a value, at once or later. */
void values_reply(struct dict_request *r, const char *name);
/* Name of the i-th value, NULL at the end; *is_set when this relay has it. */
const char *values_name(size_t i, bool *is_set);

#endif
