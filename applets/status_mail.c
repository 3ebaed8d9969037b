/* The mail: what waits in the queue, who is connected, how many accounts. */
#include "applets/status.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "relay/limits.h"
#include "relay/mailbox.h"

enum {
	QUEUE_DEPTH_MAX = 4,
	/* qmgr(8) takes no more than 20,000 at a time; a relay that is well
	 * has a handful */
	QUEUE_ACTIVE_MAX = 5000,
	/* from days in which other relays could not be reached */
	QUEUE_DEFERRED_MAX = 20000,
	CMDLINE_MAX = 65536,
	DAY = 24 * 3600,
};

/* ---- Postfix's queue -------------------------------------------------------------- */

/* Files below a directory, which Postfix may have hashed into others. Returns
 * 0 with *n, or -1 with errno. */
static int count_files(const char *path, int depth, uint64_t *n)
{
	DIR *d = opendir(path);
	struct buf below = BUF_INIT;
	struct dirent *e;

	if (!d)
		return -1;
	while ((e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		if (e->d_type != DT_DIR) {
			++*n;
		} else if (depth < QUEUE_DEPTH_MAX) {
			buf_setf(&below, "%s/%s", path, e->d_name);
			count_files(below.data, depth + 1, n);
		}
	}
	closedir(d);
	buf_free(&below);
	return 0;
}

static void judge_queue(struct status *s, const char *name, uint64_t n)
{
	if (strcmp(name, "active") == 0 && n > QUEUE_ACTIVE_MAX)
		status_problem(s, "%llu messages are being delivered at once: "
			       "see postqueue -p for whom, and Postfix's log "
			       "for why it takes so long",
			       (unsigned long long)n);
	if (strcmp(name, "deferred") == 0 && n > QUEUE_DEFERRED_MAX)
		status_problem(s, "%llu messages wait for another try: see "
			       "postqueue -p for the reasons",
			       (unsigned long long)n);
	if (strcmp(name, "hold") == 0 && n > 0)
		status_problem(s, "%llu messages are on hold and will never "
			       "leave: postsuper -H ALL releases them",
			       (unsigned long long)n);
}

static void add_queue(struct status *s)
{
	static const char *const names[] = {
		"maildrop", "incoming", "active", "deferred", "hold",
	};
	const char *dir = layout_need(s->layout, "postfix_queue_dir");
	cJSON *o = cJSON_CreateObject();
	struct buf path = BUF_INIT;
	bool is_known = true;

	for (size_t i = 0; i < ARRAY_LEN(names) && is_known; i++) {
		uint64_t n = 0;

		buf_setf(&path, "%s/%s", dir, names[i]);
		/* Postfix makes the rarer ones when it needs them */
		is_known = count_files(path.data, 0, &n) == 0 ||
			   (errno == ENOENT && access(dir, F_OK) == 0);
		cJSON_AddNumberToObject(o, names[i], (double)n);
		judge_queue(s, names[i], n);
	}
	if (!is_known) {
		status_problem(s, "%s: %s, so that the queue is not known: %s",
			       path.data, strerror(errno), errno == EACCES ?
			       "ask as root" : "run chatmail deploy");
		cJSON_Delete(o);
		o = cJSON_CreateNull();
	}
	cJSON_AddItemToObject(s->json, "queue", o);
	buf_free(&path);
}

/* ---- connections -------------------------------------------------------------------- */

struct connections {
	uint64_t imap, smtps, submission, smtp;
};

static bool is_service(const char *after_n, const char *port)
{
	return strcmp(after_n, port) == 0;
}

/* master(8) gives "-n" and the name in master.cf, which is the port. */
static void count_smtpd(const struct status *s, struct connections *c,
			const struct buf *cmdline)
{
	const char *p = cmdline->data, *end = p + cmdline->len, *name;

	while (p < end && strcmp(p, "-n") != 0)
		p += strlen(p) + 1;
	name = p + 3;
	if (p >= end || name >= end)
		return;
	if (is_service(name, layout_need(s->layout, "smtps_port")))
		c->smtps++;
	else if (is_service(name, layout_need(s->layout, "submission_port")))
		c->submission++;
	else if (is_service(name, layout_need(s->layout, "smtp_port")))
		c->smtp++;
}

static void count_process(const struct status *s, struct connections *c,
			  const char *pid)
{
	struct buf path = BUF_INIT, comm = BUF_INIT, cmdline = BUF_INIT;

	buf_addf(&path, "/proc/%s/comm", pid);
	if (file_read(path.data, 64, &comm) == 0) {
		if (strcmp(comm.data, "imap\n") == 0)
			c->imap++;
		buf_setf(&path, "/proc/%s/cmdline", pid);
		if (strcmp(comm.data, "smtpd\n") == 0 &&
		    file_read(path.data, CMDLINE_MAX, &cmdline) == 0)
			count_smtpd(s, c, &cmdline);
	}
	buf_free(&path);
	buf_free(&comm);
	buf_free(&cmdline);
}

static void count_processes(const struct status *s, struct connections *c)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (isdigit((unsigned char)*e->d_name))
			count_process(s, c, e->d_name);
	if (d)
		closedir(d);
}

static void add_connections(struct status *s)
{
	cJSON *all = cJSON_AddObjectToObject(s->json, "connections");
	struct connections c = { 0 };
	const struct {
		const char *name;
		const uint64_t *used;
		uint64_t max;
		const char *setting;
	} rows[] = {
		{ "imap", &c.imap, s->relay->s.max_imap_connections,
		  "max_imap_connections" },
		{ "submission", &c.submission,
		  s->relay->s.max_smtp_connections, "max_smtp_connections" },
		{ "smtps", &c.smtps, s->relay->s.max_smtp_connections,
		  "max_smtp_connections" },
	};

	count_processes(s, &c);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cJSON *o = cJSON_AddObjectToObject(all, rows[i].name);
		uint64_t used = *rows[i].used, max = rows[i].max;

		cJSON_AddNumberToObject(o, "used", (double)used);
		cJSON_AddNumberToObject(o, "max", (double)max);
		if (used * 10 > max * 9)
			status_problem(s, "%llu of %llu possible %s "
				       "connections are in use: raise %s in "
				       "chatmail.ini and run chatmail deploy",
				       (unsigned long long)used,
				       (unsigned long long)max, rows[i].name,
				       rows[i].setting);
	}
}

/* ---- accounts -------------------------------------------------------------------------- */

struct accounts {
	struct mailbox_walk walk;
	struct timespec today, week;	/* logins are noted by the day */
	uint64_t all, ci, in_day, in_week;
};

/* Only the password file's time is of interest, so no file is looked at. */
static bool on_enter(struct mailbox_walk *w, const struct mailbox *m)
{
	struct accounts *a = container_of(w, struct accounts, walk);

	if (!m->has_password)
		return false;
	a->all++;
	a->ci += str_starts(m->dir.name, "ci-");
	a->in_day += !mailbox_is_before(m->last_login, a->today);
	a->in_week += !mailbox_is_before(m->last_login, a->week);
	return false;
}

/* What is not readable is counted by trouble, and told once. */
static void ignore(const char *path, const char *why)
{
}

static void add_counts(cJSON *o, const struct accounts *a)
{
	cJSON_AddNumberToObject(o, "all", (double)a->all);
	cJSON_AddNumberToObject(o, "ci", (double)a->ci);
	cJSON_AddNumberToObject(o, "today", (double)a->in_day);
	cJSON_AddNumberToObject(o, "week", (double)a->in_week);
}

static void add_creation(struct status *s, cJSON *o)
{
	const char *file = s->relay->s.nocreate_file;
	struct buf why = BUF_INIT, ignored = BUF_INIT;

	if (access(file, F_OK) == 0) {
		/* somebody wants it so */
		buf_addf(&why, "%s exists", file);
	} else if (!limits_allow_creation(s->relay, &why, &ignored)) {
		status_problem(s, "no new accounts are made (%s): give the "
			       "machine more of it, or change the limit in "
			       "chatmail.ini", why.data);
	}
	cJSON_AddStringToObject(o, "creation_stopped", why.data);
	buf_free(&why);
	buf_free(&ignored);
}

static void add_accounts(struct status *s)
{
	const char *dir = s->relay->s.mailboxes_dir;
	cJSON *o = cJSON_AddObjectToObject(s->json, "accounts");
	struct mailbox_trouble trouble = { .say = ignore };
	struct accounts a = {
		.walk = { .trouble = &trouble, .max = UINT64_MAX,
			  .enter = on_enter },
		.today.tv_sec = s->now / DAY * DAY,
		.week.tv_sec = (s->now / DAY - 6) * DAY,
	};

	if (mailbox_walk(&a.walk, dir) < 0)
		status_problem(s, "%s: %s: %s", dir, strerror(errno),
			       errno == EACCES ? "ask as root" :
			       "run chatmail deploy");
	else
		add_counts(o, &a);
	if (trouble.unread)
		status_problem(s, "%llu mailboxes cannot be looked at: see who "
			       "owns the directories in %s",
			       (unsigned long long)trouble.unread, dir);
	add_creation(s, o);
}

void status_add_mail(struct status *s)
{
	add_queue(s);
	add_connections(s);
	add_accounts(s);
}
