/* The object as people read it. It may come from another machine and another
 * version, so nothing is taken for granted, control bytes least of all. */
#include "applets/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { NAME_WIDTH = 21, LABEL_WIDTH = 13 };

static const char RED[] = "\033[31m", GREEN[] = "\033[32m",
		  YELLOW[] = "\033[33m", BOLD[] = "\033[1m";

/* ---- reading ------------------------------------------------------------------------- */

static const cJSON *member(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

/* "" for what is no text. */
static const char *text_of(const cJSON *o, const char *name)
{
	const char *text = cJSON_GetStringValue(member(o, name));

	return text ? text : "";
}

/* A number that may be none: 0 then, with *is_there false. */
static double number_of(const cJSON *o, const char *name, bool *is_there)
{
	const cJSON *n = member(o, name);

	*is_there = cJSON_IsNumber(n);
	return *is_there ? n->valuedouble : 0;
}

static double number(const cJSON *o, const char *name)
{
	bool ignored;

	return number_of(o, name, &ignored);
}

/* ---- writing ------------------------------------------------------------------------- */

static void add_text(struct buf *out, const char *text)
{
	buf_add_printable(out, text, strlen(text));
}

static void add_padded(struct buf *out, const char *text, size_t width)
{
	size_t n = utf8_length(text, strlen(text));

	add_text(out, text);
	if (width)
		buf_addf(out, "%*s", (int)(n < width ? width - n : 1), "");
}

static void add_coloured(struct buf *out, const char *colour, bool on,
			 const char *text, size_t width)
{
	if (on)
		buf_adds(out, colour);
	add_padded(out, text, width);
	if (on)
		buf_adds(out, "\033[0m");
}

static void add_label(struct buf *out, const char *label)
{
	add_padded(out, label, LABEL_WIDTH);
}

void status_add_span(struct buf *out, int64_t secs)
{
	static const struct {
		int64_t secs;
		const char *one, *many;
	} units[] = {
		{ 24 * 3600, "day", "days" }, { 3600, "h", "h" },
		{ 60, "min", "min" }, { 1, "s", "s" },
	};
	size_t i = 0;
	int64_t n;

	if (secs < 0)
		secs = 0;
	/* two of a unit say more than one of the next */
	while (i < ARRAY_LEN(units) - 1 && secs < 2 * units[i].secs)
		i++;
	n = secs / units[i].secs;
	buf_addf(out, "%" PRId64 " %s", n, n == 1 ? units[i].one :
		 units[i].many);
}

static void add_gigabytes(struct buf *out, double bytes)
{
	buf_addf(out, bytes < 10e9 ? "%.1f" : "%.0f", bytes / 1e9);
}

/* ---- the parts ------------------------------------------------------------------------ */

static const char *colour_of(const char *state)
{
	if (strcmp(state, "running") == 0)
		return GREEN;
	return strcmp(state, "changing") == 0 ? YELLOW : RED;
}

/* What a timer does is to wait. */
static const char *word_of(const cJSON *service, const char *state)
{
	if (strcmp(text_of(service, "kind"), "job") == 0 &&
	    strcmp(state, "running") == 0)
		return "waits";
	return state;
}

static void add_when(struct buf *out, const cJSON *service, double now)
{
	bool is_known, has_run;
	double since = number_of(service, "since", &is_known);
	double last = number_of(service, "last_run", &has_run);
	double restarts = number(service, "restarts");
	struct buf text = BUF_INIT;

	if (has_run) {
		buf_adds(&text, "ran ");
		status_add_span(&text, (int64_t)(now - last));
		buf_adds(&text, " ago");
	} else if (is_known) {
		buf_adds(&text, "for ");
		status_add_span(&text, (int64_t)(now - since));
	}
	if (restarts > 0)
		buf_addf(&text, ", %.0f restart%s", restarts,
			 restarts == 1 ? "" : "s");
	add_padded(out, text.data, 24);
	buf_free(&text);
}

static void add_services(struct buf *out, const cJSON *status, bool colour)
{
	const cJSON *service, *services = member(status, "services");
	double now = number(status, "time");

	cJSON_ArrayForEach(service, services) {
		const char *state = text_of(service, "state");

		buf_adds(out, "  ");
		add_padded(out, text_of(service, "name"), NAME_WIDTH);
		add_coloured(out, colour_of(state), colour,
			     word_of(service, state), 10);
		add_when(out, service, now);
		add_text(out, text_of(service, "about"));
		buf_addc(out, '\n');
	}
	if (cJSON_GetArraySize(services) > 0)
		buf_addc(out, '\n');
}

static void add_head(struct buf *out, const cJSON *status, bool colour)
{
	static const struct {
		const char *name, *shown;
	} programs[] = {
		{ "chatmail", "chatmail " }, { "postfix", ", Postfix " },
		{ "dovecot", ", Dovecot " }, { "nginx", ", nginx " },
		{ "os", ", " },
	};
	const cJSON *versions = member(status, "versions");

	add_coloured(out, BOLD, colour, text_of(status, "domain"), 0);
	buf_adds(out, " on ");
	add_text(out, text_of(status, "host"));
	buf_addc(out, '\n');
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		const char *version = text_of(versions, programs[i].name);

		if (!*version)
			continue;
		buf_adds(out, programs[i].shown);
		add_text(out, version);
	}
	if (*text_of(versions, "deployed")) {
		buf_adds(out, "\ndeployed: ");
		add_text(out, text_of(versions, "deployed"));
	}
	buf_adds(out, "\n\n");
}

static void add_certificate(struct buf *out, const cJSON *status)
{
	const cJSON *c = member(status, "certificate"), *name;
	bool is_known;
	double days = number_of(c, "days_left", &is_known);

	if (!is_known)
		return;
	add_label(out, "Certificate");
	cJSON_ArrayForEach(name, member(c, "names")) {
		add_text(out, cJSON_IsString(name) ? name->valuestring : "");
		buf_addc(out, ' ');
	}
	buf_addf(out, "for %.0f days, by ", days);
	add_text(out, text_of(c, "issuer"));
	buf_addc(out, '\n');
}

/* "12 active, 3 deferred": the members that are not 0. */
static void add_counts(struct buf *out, const cJSON *o, const char *none)
{
	const char *comma = "";
	const cJSON *n;

	cJSON_ArrayForEach(n, o) {
		if (!cJSON_IsNumber(n) || n->valuedouble <= 0)
			continue;
		buf_addf(out, "%s%.0f ", comma, n->valuedouble);
		add_text(out, n->string);
		comma = ", ";
	}
	if (!*comma)
		buf_adds(out, none);
	buf_addc(out, '\n');
}

static void add_queue(struct buf *out, const cJSON *status)
{
	const cJSON *queue = member(status, "queue");

	if (!cJSON_IsObject(queue))
		return;
	add_label(out, "Queue");
	add_counts(out, queue, "empty");
}

static void add_connections(struct buf *out, const cJSON *status)
{
	const cJSON *c, *all = member(status, "connections");
	const char *comma = "";

	if (!cJSON_IsObject(all))
		return;
	add_label(out, "Connections");
	cJSON_ArrayForEach(c, all) {
		buf_addf(out, "%s%.0f of %.0f ", comma, number(c, "used"),
			 number(c, "max"));
		add_text(out, c->string);
		comma = ", ";
	}
	buf_addc(out, '\n');
}

static void add_accounts(struct buf *out, const cJSON *status)
{
	const cJSON *a = member(status, "accounts");
	bool is_known;
	double all = number_of(a, "all", &is_known);

	if (!is_known)
		return;
	add_label(out, "Accounts");
	buf_addf(out, "%.0f, %.0f of them used today, %.0f in 7 days", all,
		 number(a, "today"), number(a, "week"));
	if (number(a, "ci") > 0)
		buf_addf(out, "; %.0f for tests", number(a, "ci"));
	if (*text_of(a, "creation_stopped")) {
		buf_adds(out, "; no new ones: ");
		add_text(out, text_of(a, "creation_stopped"));
	}
	buf_addc(out, '\n');
}

static void add_room(struct buf *out, const cJSON *status)
{
	const cJSON *disk = member(status, "disk"), *load;
	const cJSON *memory = member(status, "memory");

	add_label(out, "Machine");
	if (disk) {
		add_gigabytes(out, number(disk, "bytes_free"));
		buf_adds(out, " of ");
		add_gigabytes(out, number(disk, "bytes"));
		buf_adds(out, " GB of disk free, ");
	}
	if (memory) {
		add_gigabytes(out, number(memory, "bytes_available"));
		buf_adds(out, " of ");
		add_gigabytes(out, number(memory, "bytes"));
		buf_adds(out, " GB of memory available, ");
	}
	buf_adds(out, "load");
	cJSON_ArrayForEach(load, member(status, "load"))
		buf_addf(out, " %.2f", load->valuedouble);
	buf_addc(out, '\n');
}

static void add_sentences(struct buf *out, const cJSON *array,
			  const char *mark)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, array) {
		struct buf text = BUF_INIT;

		add_text(&text, cJSON_IsString(p) ? p->valuestring : "");
		buf_addf(out, "%s%s\n", mark, text.data);
		buf_free(&text);
	}
}

static void add_problems(struct buf *out, const cJSON *status, bool colour)
{
	const cJSON *problems = member(status, "problems");
	int n = cJSON_GetArraySize(problems);
	char title[64];

	buf_addc(out, '\n');
	if (n == 0) {
		add_coloured(out, GREEN, colour && status_is_ok(status),
			     status_is_ok(status) ? "All is well." :
			     "Something is wrong.", 0);
		buf_addc(out, '\n');
		return;
	}
	snprintf(title, sizeof(title), n == 1 ? "One thing is wrong:" :
		 "%d things are wrong:", n);
	add_coloured(out, RED, colour, title, 0);
	buf_addc(out, '\n');
	add_sentences(out, problems, "  - ");
}

void status_render(struct buf *out, const cJSON *status, bool colour)
{
	add_head(out, status, colour);
	add_services(out, status, colour);
	add_certificate(out, status);
	add_queue(out, status);
	add_connections(out, status);
	add_accounts(out, status);
	add_room(out, status);
	add_problems(out, status, colour);
	add_sentences(out, member(status, "notes"), "Note: ");
}
