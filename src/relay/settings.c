#include "relay/settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Each parser: 0, or -1 when the text is not of its kind. */
static int parse_TEXT(const char *text, setting_TEXT *out)
{
	*out = text;
	return 0;
}

static int parse_NUMBER(const char *text, setting_NUMBER *out)
{
	return str_to_u64(text, out);
}

static int parse_POSITIVE(const char *text, setting_POSITIVE *out)
{
	uint64_t v;

	if (str_to_u64(text, &v) < 0 || v == 0)
		return -1;
	*out = v;
	return 0;
}

static int parse_REAL(const char *text, setting_REAL *out)
{
	char *end;
	double v;

	if (!*text || strspn(text, "0123456789.-+eE") != strlen(text))
		return -1;
	v = strtod(text, &end);
	if (*end || !isfinite(v))
		return -1;
	*out = v;
	return 0;
}

static int parse_BOOLEAN(const char *text, setting_BOOLEAN *out)
{
	static const char *const words[] = {
		"false", "true", "no", "yes", "off", "on", "0", "1",
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eqi(text, words[i])) {
			*out = i % 2;
			return 0;
		}
	}
	return -1;
}

/* "500M", "2G", "500mb", or a plain number that counts in units of plain. */
static int parse_size(const char *text, uint64_t plain, uint64_t *bytes)
{
	size_t digits = strspn(text, "0123456789");
	char number[32];
	const char *unit = text + digits + strspn(text + digits, " ");
	uint64_t factor = plain;
	uint64_t v;

	if (digits >= sizeof(number))
		return -1;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (str_to_u64(number, &v) < 0)
		return -1;
	if (str_eqi(unit, "M") || str_eqi(unit, "MB"))
		factor = 1024 * 1024;
	else if (str_eqi(unit, "G") || str_eqi(unit, "GB"))
		factor = 1024 * 1024 * 1024;
	else if (*unit && !str_eqi(unit, "B"))
		return -1;
	return __builtin_mul_overflow(v, factor, bytes) ? -1 : 0;
}

static int parse_MEGABYTES(const char *text, setting_MEGABYTES *out)
{
	uint64_t bytes;

	if (parse_size(text, 1024 * 1024, &bytes) < 0)
		return -1;
	*out = bytes / (1024 * 1024);
	return 0;
}

static int parse_BYTES(const char *text, setting_BYTES *out)
{
	return parse_size(text, 1, out);
}

static int parse_PORT(const char *text, setting_PORT *out)
{
	uint64_t v;

	if (str_to_u64(text, &v) < 0 || v < 1 || v > 65535)
		return -1;
	*out = (uint16_t)v;
	return 0;
}

#define EXPECT_TEXT "text"
#define EXPECT_NUMBER "a whole number"
#define EXPECT_POSITIVE "a whole number of 1 or more"
#define EXPECT_REAL "a number"
#define EXPECT_BOOLEAN "true or false"
#define EXPECT_MEGABYTES "a size such as 500M or 2G"
#define EXPECT_BYTES "a size in bytes, or such as 30M"
#define EXPECT_PORT "a port from 1 to 65535"

/* One parser a setting, of one type: the row's own field. */
#define SECTION(title)
#define SETTING(name, type, def, show, doc)				\
	static int set_##name(struct settings *s, const char *text)	\
	{								\
		return parse_##type(text, &s->name);			\
	}
#include "relay/settings.def"
#undef SETTING
#undef SECTION

static int (*const setting_setters[])(struct settings *s, const char *text) = {
#define SECTION(title)
#define SETTING(name, type, def, show, doc) set_##name,
#include "relay/settings.def"
#undef SETTING
#undef SECTION
};

const struct setting_doc setting_docs[SETTING_COUNT] = {
#define SECTION(title)
#define SETTING(name, type, def, show, doc) \
	{ #name, def, doc, EXPECT_##type, SETTING_##show, __LINE__ },
#include "relay/settings.def"
#undef SETTING
#undef SECTION
};

/* A SECTION is no setting: its lines are compared with those of the rows. */
static const struct {
	int row;
	const char *title;
} section_rows[] = {
#define SECTION(title) { __LINE__, title },
#define SETTING(name, type, def, show, doc)
#include "relay/settings.def"
#undef SETTING
#undef SECTION
};

const char *setting_section(int id)
{
	const char *title = "";

	for (size_t i = 0; i < ARRAY_LEN(section_rows); i++)
		if (section_rows[i].row < setting_docs[id].row)
			title = section_rows[i].title;
	return title;
}

int setting_find(const char *name)
{
	for (int i = 0; i < SETTING_COUNT; i++)
		if (strcmp(setting_docs[i].name, name) == 0)
			return i;
	return -1;
}

int setting_set(struct settings *s, int id, const char *text)
{
	return setting_setters[id](s, text);
}
