/* The settings of chatmail.ini: one row of settings.def makes the field, the
 * parser, the text of init, the manual's entry and the template variable. */
#ifndef RELAY_SETTINGS_H
#define RELAY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

/* The C type behind each TYPE of settings.def. */
typedef const char *setting_TEXT;	/* never NULL */
typedef uint64_t setting_NUMBER;
typedef uint64_t setting_POSITIVE;
typedef double setting_REAL;
typedef bool setting_BOOLEAN;
typedef uint64_t setting_MEGABYTES;	/* in megabytes (1024 * 1024 bytes) */
typedef uint64_t setting_BYTES;		/* in bytes */
typedef uint16_t setting_PORT;

struct settings {
#define SECTION(title)
#define SETTING(name, type, def, show, doc) setting_##type name;
#include "relay/settings.def"
#undef SETTING
#undef SECTION
};

enum setting_id {
#define SECTION(title)
#define SETTING(name, type, def, show, doc) SETTING_##name,
#include "relay/settings.def"
#undef SETTING
#undef SECTION
	SETTING_COUNT
};

enum setting_show { SETTING_ASK, SETTING_HINT, SETTING_RARE };

/* A row of settings.def for those who print them: init and the manual. */
struct setting_doc {
	const char *name, *def, *doc;
	const char *expect;	/* what a value has to be, in words */
	enum setting_show show;
	int row;		/* for setting_section() */
};
extern const struct setting_doc setting_docs[SETTING_COUNT];

/* Title of the group that a setting stands in, "" for none. */
const char *setting_section(int id);
/* The setting of that name, -1 when there is none. */
int setting_find(const char *name);
/* Put a value into its field. TEXT is borrowed, not copied. Returns 0, or -1
 * when the text is not what setting_docs[id].expect says. */
int setting_set(struct settings *s, int id, const char *text);

#endif
