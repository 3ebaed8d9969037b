#include "relay/mailbox_report.h"

#include <inttypes.h>

#include "base/str.h"

const uint64_t report_sizes[REPORT_SIZES] = {
	0, 100 << 10, 512 << 10, 1 << 20, 2 << 20, 5 << 20, 10 << 20,
};
const unsigned report_days[REPORT_DAYS] = { 1, 10, 30, 40, 80, 100, 150 };

/* ---- counting ------------------------------------------------------------------ */

static struct mailbox_report *report_of(struct mailbox_walk *w)
{
	return container_of(w, struct mailbox_report, walk);
}

static void count_login(struct mailbox_report *r, const struct mailbox *m)
{
	r->accounts++;
	if (str_starts(m->dir.name, "ci-")) {
		r->ci_accounts++;
		return;
	}
	for (int i = 0; i < REPORT_DAYS; i++)
		if (!mailbox_is_before(m->last_login, mailbox_days_before(
				       r->now, report_days[i])))
			r->active[i]++;
}

/* A time of exactly 0 is no login to upstream. */
static bool has_login(const struct mailbox *m)
{
	return m->has_password &&
	       (m->last_login.tv_sec || m->last_login.tv_nsec);
}

static bool on_enter(struct mailbox_walk *w, const struct mailbox *m)
{
	struct mailbox_report *r = report_of(w);

	r->counts_messages = has_login(m) &&
		!mailbox_is_before(mailbox_days_before(r->now,
				   r->min_login_age), m->last_login);
	if (has_login(m))
		count_login(r, m);
	return true;
}

static void on_file(struct mailbox_walk *w, const struct mailbox_file *f)
{
	struct mailbox_report *r = report_of(w);

	if (f->sub == MAILBOX_OTHER) {
		r->other_bytes += f->size;
		return;
	}
	r->message_bytes += f->size;
	if (!r->counts_messages ||
	    (r->only != MAILBOX_OTHER && r->only != f->sub))
		return;
	for (int i = 0; i < REPORT_SIZES && f->size >= report_sizes[i]; i++) {
		r->messages[i].bytes += f->size;
		r->messages[i].count++;
	}
}

int mailbox_report_run(struct mailbox_report *r, const char *mailboxes_dir)
{
	r->walk.others = true;
	r->walk.enter = on_enter;
	r->walk.file = on_file;
	r->walk.leave = NULL;
	return mailbox_walk(&r->walk, mailboxes_dir);
}

/* ---- metrics ------------------------------------------------------------------- */

static void add_typed_head(struct buf *out, const char *name, const char *type,
			   const char *help)
{
	buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_head(struct buf *out, const char *name, const char *help)
{
	add_typed_head(out, name, "gauge", help);
}

static void add_labelled(struct buf *out, const char *name, const char *value,
			 uint64_t v)
{
	buf_addf(out, "%s{kind=\"%s\"} %" PRIu64 "\n", name, value, v);
}

static void add_messages(struct buf *out, const struct mailbox_report *r,
			 const char *untyped)
{
	add_head(out, "chatmail_messages_bytes",
		 "Sum of msg bytes >= threshold.");
	for (int i = 0; i < REPORT_SIZES; i++)
		buf_addf(out, "chatmail_messages_bytes{min_size=\"%" PRIu64
			 "\"} %" PRIu64 "\n", report_sizes[i],
			 r->messages[i].bytes);
	/* upstream's name; a gauge must not end so, says promtool */
	add_typed_head(out, "chatmail_messages_count", untyped,
		       "Number of msgs >= size threshold.");
	for (int i = 0; i < REPORT_SIZES; i++)
		buf_addf(out, "chatmail_messages_count{min_size=\"%" PRIu64
			 "\"} %" PRIu64 "\n", report_sizes[i],
			 r->messages[i].count);
}

void mailbox_report_metrics(struct buf *out, const struct mailbox_report *r,
			    const char *untyped)
{
	static const char storage[] = "chatmail_storage_bytes";
	static const char accounts[] = "chatmail_accounts";
	static const char active[] = "chatmail_accounts_active";

	add_head(out, storage, "Mailbox storage in bytes.");
	add_labelled(out, storage, "messages", r->message_bytes);
	add_labelled(out, storage, "extra", r->other_bytes);
	add_labelled(out, storage, "total", r->message_bytes + r->other_bytes);
	add_messages(out, r, untyped);
	add_head(out, accounts, "Number of accounts.");
	add_labelled(out, accounts, "all", r->accounts);
	add_labelled(out, accounts, "ci", r->ci_accounts);
	add_labelled(out, accounts, "user", r->accounts - r->ci_accounts);
	add_head(out, active, "Non-CI accounts active within N days.");
	for (int i = 0; i < REPORT_DAYS; i++)
		buf_addf(out, "%s{days=\"%u\"} %" PRIu64 "\n", active,
			 report_days[i], r->active[i]);
}

void mailbox_report_legacy(struct buf *out, const struct mailbox_report *r)
{
	const struct {
		const char *name, *help;
		uint64_t value;
	} rows[] = {
		{ "accounts", "total number of accounts", r->accounts },
		{ "ci_accounts", "number of CI accounts", r->ci_accounts },
		{ "nonci_accounts", "number of non-CI accounts",
		  r->accounts - r->ci_accounts },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		add_head(out, rows[i].name, rows[i].help);
		buf_addf(out, "%s %" PRIu64 "\n", rows[i].name, rows[i].value);
	}
}

/* ---- JSON ---------------------------------------------------------------------- */

void mailbox_report_json(struct buf *out, const struct mailbox_report *r)
{
	buf_addf(out, "{\"storage_bytes\": {\"messages\": %" PRIu64
		 ", \"extra\": %" PRIu64 ", \"total\": %" PRIu64
		 "}, \"messages\": [", r->message_bytes, r->other_bytes,
		 r->message_bytes + r->other_bytes);
	for (int i = 0; i < REPORT_SIZES; i++)
		buf_addf(out, "%s{\"min_size\": %" PRIu64 ", \"bytes\": %"
			 PRIu64 ", \"count\": %" PRIu64 "}", i ? ", " : "",
			 report_sizes[i], r->messages[i].bytes,
			 r->messages[i].count);
	buf_addf(out, "], \"accounts\": {\"all\": %" PRIu64 ", \"ci\": %"
		 PRIu64 ", \"user\": %" PRIu64 "}, \"active\": [",
		 r->accounts, r->ci_accounts, r->accounts - r->ci_accounts);
	for (int i = 0; i < REPORT_DAYS; i++)
		buf_addf(out, "%s{\"days\": %u, \"accounts\": %" PRIu64 "}",
			 i ? ", " : "", report_days[i], r->active[i]);
	buf_addf(out, "], \"not_read\": %" PRIu64 "}\n",
		 r->walk.trouble->unread);
}
