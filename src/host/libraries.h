/* The libraries that the program is made of, for `chatmail --version`. */
#ifndef HOST_LIBRARIES_H
#define HOST_LIBRARIES_H

#include <cjson/cJSON.h>

#include "base/buf.h"

/* Adds lines for people: of a static program each library's source (version
 * and SHA-256, as in src/static/sources.lock), of another one the version of
 * each shared library that it runs with here, its file, and the version that
 * it was built with where that is not the same. */
void libraries_show(struct buf *out);

/* The same as members of an object: "static", "machine", "compiler", "libc" and
 * "libraries", an array of objects. What a library does not tell is null. */
void libraries_json(cJSON *object);

#endif
