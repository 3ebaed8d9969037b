#include "relay/dns_check.h"

/* May what is in the DNS be right? */
static bool may_stay(const struct dns_result *res)
{
	return res->record->kind == DNS_ADDRESS &&
	       (res->state == DNS_RIGHT || (res->state == DNS_WRONG &&
		res->record->level == DNS_RECOMMENDED));
}

static void write_record(struct buf *out, const struct dns_record *rec,
			 const struct dns_result *res)
{
	if (may_stay(res)) {
		for (size_t i = 0; i < res->count; i++) {
			dns_record_line(out, rec, res->found[i]);
			buf_addc(out, '\n');
		}
		return;
	}
	if (rec->value) {
		dns_record_line(out, rec, rec->value);
	} else {
		buf_adds(out, "; ");
		dns_record_line(out, rec, "");
		buf_addf(out, "not known: %s", rec->unknown);
	}
	buf_addc(out, '\n');
}

static void write_level(struct buf *out, const struct dns_check *c,
			enum dns_level level)
{
	for (size_t i = 0; i < c->records.count; i++) {
		const struct dns_result *res = &c->results[i];

		/* addresses come first, also where one would be enough */
		if (res->record && (res->record->kind == DNS_ADDRESS ?
				    DNS_REQUIRED : res->record->level) == level)
			write_record(out, res->record, res);
	}
}

void dns_check_zonefile(struct buf *out, const struct dns_check *c)
{
	buf_adds(out, "; Required DNS entries\n");
	write_level(out, c, DNS_REQUIRED);
	buf_adds(out, "\n; Recommended DNS entries\n");
	write_level(out, c, DNS_RECOMMENDED);
}
