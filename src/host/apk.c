#include "host/apk.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "text/apkdb.h"

enum { ARGS_MAX = 128, DB_MAX = 64 * 1024 * 1024 };

/* Names that differ; all others are the same. */
static const struct {
	const char *debian, *alpine;
} names[] = {
	/* with IMAP in the main package; our hook and auth.lua are in Lua */
	{ "dovecot-core", "dovecot dovecot-lua" },
	{ "dovecot-imapd", "" },
	{ "dovecot-auth-lua", "dovecot-lua" },
	/* Dovecot is built with Lua 5.3 there */
	{ "lua-socket", "lua5.3-socket" },
	{ "nginx-light", "nginx" },
	{ "libnginx-mod-stream", "nginx-mod-stream" },
	{ "dns-root-data", "dnssec-root" },
	/* busybox has what is needed of it */
	{ "procps", "" },
};

/* Of apk 2 and, where /lib is a link, of apk 3. */
static const char *const databases[] = {
	"/lib/apk/db/installed", "/usr/lib/apk/db/installed",
};

void apk_names(const char *name, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i].debian, name) == 0)
			name = names[i].alpine;
	buf_adds(out, name);
}

static int read_database(struct buf *text, struct buf *err)
{
	for (size_t i = 0; i < ARRAY_LEN(databases); i++)
		if (file_read(databases[i], DB_MAX, text) == 0)
			return 0;
	buf_setf(err, "%s cannot be read", databases[0]);
	return -1;
}

/* Call for each of Alpine's names of a list of Debian's. */
struct each {
	void (*fn)(struct each *e, const char *name);
	const struct buf *db;
	struct buf *out;
	int count;
	const char *argv[ARGS_MAX];
	char *texts[ARGS_MAX];
	size_t n;
};

static void for_each(struct each *e, const char *const *list)
{
	for (; *list; list++) {
		struct buf own = BUF_INIT;
		char *p;

		apk_names(*list, &own);
		for (p = own.data; *p;) {
			size_t n = strcspn(p, " ");
			char *name = xstrndup(p, n);

			e->fn(e, name);
			free(name);
			p += n + (p[n] == ' ');
		}
		buf_free(&own);
	}
}

static void add_missing(struct each *e, const char *name)
{
	struct buf version = BUF_INIT;

	if (!apkdb_version(e->db->data, e->db->len, name, &version) &&
	    !str_has_word(e->out->data, name, strlen(name))) {
		buf_addf(e->out, "%s ", name);
		e->count++;
	}
	buf_free(&version);
}

static int apk_missing(const char *const *list, struct buf *missing,
		       struct buf *err)
{
	struct buf db = BUF_INIT;
	struct each e = { .fn = add_missing, .db = &db, .out = missing };
	int ret = read_database(&db, err);

	if (ret == 0)
		for_each(&e, list);
	buf_free(&db);
	return ret < 0 ? -1 : e.count;
}

/* apk notes what a run that was interrupted has left half done. */
static int finish_interrupted(struct buf *err)
{
	static const char *const fix[] = {
		"apk", "--wait", "600", "--no-progress", "fix", NULL };
	struct buf db = BUF_INIT;
	int ret = read_database(&db, err);

	if (ret == 0 && strstr(db.data, "\nf:"))
		ret = packages_run(fix, "apk fix", err);
	buf_free(&db);
	return ret;
}

static void add_argument(struct each *e, const char *name)
{
	if (e->n == ARGS_MAX - 1)
		return;
	e->argv[e->n] = e->texts[e->n] = xstrdup(name);
	e->n++;
}

/* No package starts its services there. */
static int apk_install(const char *const *list, struct buf *err)
{
	struct each e = { .fn = add_argument, .argv = {
		"apk", "--wait", "600", "--no-progress", "--update-cache",
		"add" } };
	int ret = finish_interrupted(err);

	while (e.argv[e.n])
		e.n++;
	for_each(&e, list);
	if (ret == 0)
		ret = packages_run(e.argv, "apk add", err);
	for (size_t i = 0; i < e.n; i++)
		free(e.texts[i]);
	return ret;
}

static void apk_version(const char *name, struct buf *out)
{
	struct buf db = BUF_INIT, own = BUF_INIT, ignored = BUF_INIT;

	apk_names(name, &own);
	own.data[strcspn(own.data, " ")] = '\0';
	if (read_database(&db, &ignored) == 0)
		apkdb_version(db.data, db.len, own.data, out);
	buf_free(&db);
	buf_free(&own);
	buf_free(&ignored);
}

/* "dovecot-2.4.1-r4": of several, the last is the one of the newest index. */
static void apk_candidate(const char *name, struct buf *out)
{
	struct buf own = BUF_INIT, said = BUF_INIT, err = BUF_INIT;
	char *line;

	apk_names(name, &own);
	own.data[strcspn(own.data, " ")] = '\0';
	proc_run(&(struct proc_spec) { .argv = (const char *[]) {
		"apk", "search", "--exact", own.data, NULL } }, &said, &err);
	line = str_trim(said.data);
	if (strrchr(line, '\n'))
		line = strrchr(line, '\n') + 1;
	if (str_starts(line, own.data) && line[strlen(own.data)] == '-')
		buf_adds(out, line + strlen(own.data) + 1);
	buf_free(&own);
	buf_free(&said);
	buf_free(&err);
}

const struct host_packages host_apk = {
	.name = "apk", .missing = apk_missing, .install = apk_install,
	.version = apk_version, .candidate = apk_candidate,
};
