/* What the check has found, for people and for programs. */
#include "applets/dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

/* ---- for people ------------------------------------------------------------------- */

enum colour { RED = 31, GREEN = 32, YELLOW = 33 };

/* no-color.org: any value but the empty one. */
static bool has_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no && *no);
}

static void heading(enum colour colour, const char *text)
{
	if (has_colour())
		printf("\033[%dm%s\033[0m\n", colour, text);
	else
		puts(text);
}

static void print_asked(const struct dns_check *c)
{
	const char *domain = c->relay->mail_domain_bare;

	if (*domain == '_')
		printf("%s begins with an underscore: nothing is required of "
		       "the DNS.\nA name server of a closed network may have "
		       "the records.\n\n", domain);
	if (c->zone && *c->zone)
		printf("Asked %s about %s in the zone %s.\n\n", c->server,
		       domain, c->zone);
	else if (c->zone)
		printf("No name servers were found for %s: asked %s instead, "
		       "which may tell\nwhat was so some time ago.\n\n", domain,
		       c->server);
}

static void print_result(const struct dns_result *res)
{
	const struct dns_record *rec = res->record;
	const char *value = rec->value ? rec->value : rec->unknown;
	struct buf line = BUF_INIT;

	dns_record_line(&line, rec, rec->value ? rec->value : "");
	printf("%s%s%s%s\n", rec->value ? "" : "; ", line.data,
	       rec->value ? "" : "not known: ", rec->value ? "" : value);
	for (size_t i = 0; i < res->count; i++)
		printf("    there is: %s\n", res->found[i]);
	if (res->why)
		printf("    %s\n", res->why);
	buf_free(&line);
}

/* Those of a level that are not right. Returns how many. */
static size_t print_level(const struct dns_check *c, enum dns_level level,
			  enum colour colour, const char *title)
{
	size_t n = 0;

	for (size_t i = 0; i < c->records.count; i++) {
		const struct dns_result *res = &c->results[i];

		if (!res->record || res->record->level != level ||
		    res->state == DNS_RIGHT)
			continue;
		if (n++ == 0) {
			heading(colour, title);
			putchar('\n');
		}
		print_result(res);
	}
	if (n)
		putchar('\n');
	return n;
}

/* What has to be typed into a form that knows no strings. */
static void print_keys(const struct dns_check *c)
{
	for (size_t i = 0; i < c->records.count; i++) {
		const struct dns_result *res = &c->results[i];

		if (res->record && res->state != DNS_RIGHT &&
		    res->record->policy == dnspolicy_dkim && res->record->text)
			printf("If your DNS provider does not take several "
			       "strings, give it the value of\n%s as one:\n\n"
			       "%s\n\n", res->record->name, res->record->text);
	}
}

static void print_notes(const struct dns_check *c)
{
	for (size_t i = 0; i < c->records.count; i++) {
		const struct dns_result *res = &c->results[i];

		if (res->record && res->state == DNS_RIGHT && res->why)
			printf("%s %s: %s.\n", res->record->name,
			       dns_type_name(res->record->type), res->why);
	}
}

static void print_probe(const struct dns_check *c)
{
	switch (c->probe) {
	case DNS_PROBE_NONE:
		break;
	case DNS_PROBE_VALID:
		puts("A message that the relay signed is valid by its key in "
		     "the DNS.");
		break;
	case DNS_PROBE_INVALID:
		heading(RED, "A message that the relay signed would be "
			"refused:");
		printf("    %s\n", c->probe_why ? c->probe_why : "");
		break;
	case DNS_PROBE_UNKNOWN:
		heading(YELLOW, "A message that the relay signed cannot be "
			"verified now:");
		printf("    %s\n", c->probe_why ? c->probe_why : "");
		break;
	}
}

/* Why nothing at all could be looked up, or NULL. */
static const char *all_failed(const struct dns_check *c)
{
	const char *why = c->results[0].why;

	for (size_t i = 0; i < c->records.count; i++) {
		const struct dns_result *res = &c->results[i];

		if (!res->record || res->state != DNS_UNKNOWN || !why ||
		    !res->why || strcmp(res->why, why) != 0)
			return NULL;
	}
	return why;
}

void dns_print(const struct dns_check *c)
{
	size_t required, recommended;
	const char *failed;

	if (c->relay->is_ipv4) {
		printf("%s is an address, not a domain: it needs no DNS "
		       "records.\n", c->relay->mail_domain_bare);
		return;
	}
	print_asked(c);
	failed = all_failed(c);
	if (failed) {
		heading(RED, "Nothing is known of the DNS records just now:");
		printf("    %s\n", failed);
		return;
	}
	required = print_level(c, DNS_REQUIRED, RED, "These DNS records are "
			       "required; set them at your DNS provider:");
	recommended = print_level(c, DNS_RECOMMENDED, YELLOW, "These DNS "
				  "records are recommended:");
	print_keys(c);
	print_notes(c);
	print_probe(c);
	if (required)
		return;
	heading(GREEN, recommended ? "All required DNS records are right." :
		"All DNS records are right.");
}

/* ---- as JSON ---------------------------------------------------------------------- */

static void add_text(struct buf *out, const char *name, const char *text)
{
	buf_addf(out, "\"%s\":", name);
	if (text)
		buf_add_json(out, text);
	else
		buf_adds(out, "null");
}

static void add_result(struct buf *out, const struct dns_result *res)
{
	static const char *const states[] = {
		[DNS_RIGHT] = "right", [DNS_MISSING] = "missing",
		[DNS_WRONG] = "wrong", [DNS_UNKNOWN] = "unknown",
	};
	const struct dns_record *rec = res->record;

	buf_addc(out, '{');
	add_text(out, "name", rec->name);
	buf_addf(out, ",\"type\":\"%s\",\"level\":\"%s\",\"state\":\"%s\",",
		 dns_type_name(rec->type), rec->level == DNS_REQUIRED ?
		 "required" : "recommended", states[res->state]);
	add_text(out, "value", rec->value);
	buf_addc(out, ',');
	add_text(out, "text", rec->text);
	buf_adds(out, ",\"found\":[");
	for (size_t i = 0; i < res->count; i++) {
		buf_adds(out, i ? "," : "");
		buf_add_json(out, res->found[i]);
	}
	buf_adds(out, "],");
	add_text(out, "why", res->why);
	buf_addc(out, '}');
}

void dns_print_json(const struct dns_check *c)
{
	static const char *const probes[] = {
		[DNS_PROBE_NONE] = "none", [DNS_PROBE_VALID] = "valid",
		[DNS_PROBE_INVALID] = "invalid",
		[DNS_PROBE_UNKNOWN] = "unknown",
	};
	struct buf out = BUF_INIT;
	bool first = true;

	buf_addc(&out, '{');
	add_text(&out, "domain", c->relay->mail_domain_bare);
	buf_addc(&out, ',');
	add_text(&out, "zone", c->zone);
	buf_addc(&out, ',');
	add_text(&out, "server", c->server);
	buf_addf(&out, ",\"passed\":%s,\"records\":[",
		 dns_check_passed(c) ? "true" : "false");
	for (size_t i = 0; i < c->records.count; i++) {
		if (!c->results[i].record)
			continue;
		buf_adds(&out, first ? "" : ",");
		add_result(&out, &c->results[i]);
		first = false;
	}
	buf_addf(&out, "],\"probe\":{\"state\":\"%s\",", probes[c->probe]);
	add_text(&out, "why", c->probe_why);
	buf_adds(&out, "}}");
	puts(out.data);
	buf_free(&out);
}
