#include "text/accept.h"

#include <string.h>

#include "base/str.h"

static const char space[] = " \t";

/* Up to the next ',' or ';' that is not in a quoted string. */
static const char *part_end(const char *p)
{
	bool quoted = false;

	for (; *p && (quoted || (*p != ',' && *p != ';')); p++) {
		if (*p == '\\' && quoted && p[1])
			p++;
		else if (*p == '"')
			quoted = !quoted;
	}
	return p;
}

static size_t trimmed(const char *p, const char *end)
{
	while (end > p && strchr(space, end[-1]))
		end--;
	return (size_t)(end - p);
}

/* "1", "0.25": at most three decimals. */
static unsigned parse_weight(const char *p, size_t n)
{
	unsigned weight, unit = ACCEPT_WEIGHT_MAX;

	if (n < 1 || n > 5 || (p[0] != '0' && p[0] != '1') ||
	    (n > 1 && p[1] != '.'))
		return 0;
	weight = (unsigned)(p[0] - '0') * unit;
	for (size_t i = 2; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return 0;
		unit /= 10;
		weight += (unsigned)(p[i] - '0') * unit;
	}
	return weight > ACCEPT_WEIGHT_MAX ? 0 : weight;
}

bool accept_next(const char **p, struct accept_item *item)
{
	const char *end;

	*p += strspn(*p, " \t,;");
	if (!**p)
		return false;
	end = part_end(*p);
	*item = (struct accept_item) {
		.name = *p, .len = trimmed(*p, end),
		.weight = ACCEPT_WEIGHT_MAX,
	};
	while (*end == ';') {
		const char *param = end + 1 + strspn(end + 1, space);

		end = part_end(param);
		if (mem_eqi(param, "q=", 2))
			item->weight = parse_weight(param + 2,
						    trimmed(param + 2, end));
	}
	*p = end;
	return true;
}

static bool is_name(const struct accept_item *item, const char *name, size_t n)
{
	return item->len == n && mem_eqi(item->name, name, n);
}

/* The best weight of the items with that name, -1 when there is none. */
static int weight_of(const char *list, const char *name, size_t n)
{
	struct accept_item item;
	int best = -1;

	while (accept_next(&list, &item))
		if (is_name(&item, name, n) && (int)item.weight > best)
			best = (int)item.weight;
	return best;
}

unsigned accept_type(const char *list, const char *type)
{
	size_t family = strcspn(type, "/") + 1;
	struct accept_item item;
	const char *p = list;
	int best;

	if (!list)
		return ACCEPT_WEIGHT_MAX;
	best = weight_of(list, type, strlen(type));
	while (best < 0 && accept_next(&p, &item))
		if (item.len == family + 1 && item.name[family] == '*' &&
		    mem_eqi(item.name, type, family))
			best = (int)item.weight;
	if (best < 0)
		best = weight_of(list, "*/*", 3);
	return best < 0 ? 0 : (unsigned)best;
}

bool accept_names(const char *list, const char *type)
{
	return list && weight_of(list, type, strlen(type)) > 0;
}

unsigned accept_language(const char *list, const char *language)
{
	size_t n = strlen(language);
	struct accept_item item;
	unsigned best = 0;

	while (list && accept_next(&list, &item))
		if ((is_name(&item, language, n) ||
		     (item.len > n && item.name[n] == '-' &&
		      mem_eqi(item.name, language, n))) && item.weight > best)
			best = item.weight;
	return best;
}
