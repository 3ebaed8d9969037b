/* The report for programs. */
#include "text/benchreport.h"


static const double US_PER_MS = 1e3;

static void add_ms(cJSON *o, const char *name, int64_t us)
{
	if (us < 0)
		cJSON_AddNullToObject(o, name);
	else
		cJSON_AddNumberToObject(o, name, (double)us / US_PER_MS);
}

static void add_values(cJSON *o, const struct samples *s)
{
	cJSON *values = cJSON_AddArrayToObject(o, "values_ms");

	for (size_t i = 0; i < s->count; i++)
		cJSON_AddItemToArray(values, cJSON_CreateNumber(
			(double)s->us[i] / US_PER_MS));
}

static void add_errors(cJSON *o, const struct samples *s)
{
	cJSON *errors = cJSON_AddArrayToObject(o, "errors");

	for (size_t i = 0; i < s->reason_count; i++) {
		cJSON *e = cJSON_CreateObject();

		cJSON_AddStringToObject(e, "reason", s->reasons[i].text);
		cJSON_AddNumberToObject(e, "count", s->reasons[i].count);
		cJSON_AddItemToArray(errors, e);
	}
}

static cJSON *row_json(const struct benchreport_row *row, size_t relay)
{
	const struct benchreport_cell *c = &row->cells[relay];
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", row->name);
	cJSON_AddStringToObject(o, "what", row->what);
	cJSON_AddNumberToObject(o, "wanted", c->wanted);
	cJSON_AddNumberToObject(o, "count", c->samples.count);
	add_ms(o, "min_ms", samples_percentile(&c->samples, 0));
	add_ms(o, "median_ms", samples_percentile(&c->samples, 50));
	add_ms(o, "p95_ms", samples_percentile(&c->samples, 95));
	add_ms(o, "max_ms", samples_percentile(&c->samples, 100));
	if (c->per_second > 0)
		cJSON_AddNumberToObject(o, "per_second", c->per_second);
	cJSON_AddNumberToObject(o, "waits", c->waits);
	add_ms(o, "waited_ms", c->waited_us);
	add_errors(o, &c->samples);
	if (c->why)
		cJSON_AddStringToObject(o, "ended", c->why);
	add_values(o, &c->samples);
	return o;
}

static cJSON *relay_json(const struct benchreport *r, size_t relay)
{
	const struct benchreport_relay *from = &r->relays[relay];
	cJSON *o = cJSON_CreateObject(), *rows;

	cJSON_AddStringToObject(o, "relay", from->name);
	cJSON_AddStringToObject(o, "address", from->address);
	cJSON_AddNumberToObject(o, "accounts", from->accounts);
	rows = cJSON_AddArrayToObject(o, "rows");
	for (size_t i = 0; i < r->row_count; i++)
		cJSON_AddItemToArray(rows, row_json(&r->rows[i], relay));
	return o;
}

cJSON *benchreport_json(const struct benchreport *r)
{
	cJSON *o = cJSON_CreateObject(), *relays;

	cJSON_AddStringToObject(o, "version", CHATMAIL_VERSION);
	cJSON_AddNumberToObject(o, "time", (double)r->began);
	add_ms(o, "took_ms", r->took_us);
	cJSON_AddBoolToObject(o, "complete", benchreport_is_complete(r));
	cJSON_AddBoolToObject(o, "interrupted", r->interrupted);
	relays = cJSON_AddArrayToObject(o, "relays");
	for (size_t k = 0; k < r->relay_count; k++)
		cJSON_AddItemToArray(relays, relay_json(r, k));
	return o;
}
