/* What a client would rather have: the lists of Accept and Accept-Language
 * (RFC 9110 sections 12.4.2, 12.5.1 and 12.5.4). */
#ifndef TEXT_ACCEPT_H
#define TEXT_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

enum { ACCEPT_WEIGHT_MAX = 1000 };

struct accept_item {
	const char *name;	/* borrowed from the list, not terminated */
	size_t len;		/* parameters not counted */
	unsigned weight;	/* 0: not at all; a weight that is none is 0 */
};

/* The next item of the list at *p, which moves behind it; false at the end. */
bool accept_next(const char **p, struct accept_item *item);

/* The weight that Accept's list gives to a media type: that of the type itself
 * whatever its parameters, else of "type" with any subtype, else of "any". The
 * list may be NULL, no such header: then everything is as good. */
unsigned accept_type(const char *list, const char *type);
/* The media type itself is in the list and wanted. NULL is fine. */
bool accept_names(const char *list, const char *type);
/* The weight that Accept-Language's list gives to a language, "de" also where
 * the list has "de-AT"; the best one. Wildcards do not count. NULL is fine. */
unsigned accept_language(const char *list, const char *language);

#endif
