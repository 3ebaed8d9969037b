/* What OpenRC 0.45 notes of its services: files as they were found there. */
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "host/openrc.h"

static char root[] = "/tmp/chatmail-openrc-XXXXXX";

/* One line of a state: a letter for it, then what is noted. */
static const struct {
	const char *name, *want;
} cases[] = {
	{ "unbound", "running boot pid 10 restarts 2 since 1700000000 \"\"" },
	/* not begun; begun and not there any more */
	{ "nginx", "stopped boot \"\"" },
	{ "postfix", "changing pid 0 restarts 7 \"it ended\"" },
	{ "dovecot", "failed \"its supervisor has died\"" },
	{ "lastlogin", "failed \"it did not start\"" },
	/* held: the role's process, not the holder's */
	{ "doveauth", "running boot pid 12 restarts 1 \"\"" },
	{ "filtermail", "changing \"it does not answer\"" },
	/* Debian's own, which OpenRC does not supervise */
	{ "cron", "running boot \"\"" },
	/* under another name */
	{ "syslog", "running \"\"" },
	{ "opendkim", "absent \"\"" },
	{ "doveauth.socket", "absent \"\"" },
	/* jobs */
	{ "chatmail-expire", "failed fixed began 5 ended 9 \"exit code 3\"" },
	{ "chatmail-expire.timer", "running boot fixed began 5 ended 9 triggered 5 \"\"" },
	{ "chatmail-fsreport", "stopped fixed began 5 ended 9 \"\"" },
	{ "chatmail-acme", "absent \"\"" },
	{ "chatmail-acme.timer", "absent fixed \"\"" },
};

/* path, contents; NULL: a link to nothing */
static const struct {
	const char *path, *text;
} files[] = {
	{ "etc/init.d/unbound", "#!/sbin/openrc-run\n" },
	{ "etc/init.d/nginx", "" }, { "etc/init.d/postfix", "" },
	{ "etc/init.d/dovecot", "" }, { "etc/init.d/lastlogin", "" },
	{ "etc/init.d/doveauth", "" }, { "etc/init.d/filtermail", "" },
	{ "etc/init.d/cron", "" }, { "etc/init.d/busybox-syslogd", "" },
	{ "etc/runlevels/default/unbound", NULL },
	{ "etc/runlevels/default/nginx", NULL },
	{ "etc/runlevels/default/doveauth", NULL },
	{ "etc/runlevels/sysinit/cron", NULL },
	{ "etc/runlevels/off/postfix", NULL },
	{ "run/openrc/started/unbound", NULL },
	{ "run/openrc/started/postfix", NULL },
	{ "run/openrc/started/dovecot", NULL },
	{ "run/openrc/failed/lastlogin", NULL },
	{ "run/openrc/started/doveauth", NULL },
	{ "run/openrc/started/filtermail", NULL },
	{ "run/openrc/started/cron", NULL },
	{ "run/openrc/started/busybox-syslogd", NULL },
	{ "run/supervise-unbound.pid", "9\n" },
	{ "run/openrc/options/unbound/child_pid", "10" },
	{ "run/openrc/options/unbound/start_count", "2" },
	{ "run/supervise-postfix.pid", "9\n" },
	{ "run/openrc/options/postfix/child_pid", "99" },
	{ "run/openrc/options/postfix/start_count", "7" },
	{ "run/supervise-dovecot.pid", "99\n" },
	{ "run/supervise-doveauth.pid", "9\n" },
	{ "run/openrc/options/doveauth/child_pid", "11" },
	{ "run/chatmail-hold/doveauth", "12 1 1 11\n" },
	{ "run/supervise-filtermail.pid", "9\n" },
	{ "run/chatmail-hold/filtermail", "12 0 0 11\n" },
	{ "proc/9/exe", "" }, { "proc/10/exe", "" }, { "proc/12/exe", "" },
	{ "etc/cron.d/chatmail-expire",
	  "2 0 * * * root chatmail job chatmail-expire vmail expire\n" },
	{ "var/lib/chatmail/jobs/chatmail-expire", "5 9 3\n" },
	{ "var/lib/chatmail/jobs/chatmail-fsreport", "5 9 0\n" },
};

static void make_files(void)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct buf path = BUF_INIT;
		char *slash;

		buf_addf(&path, "%s/%s", root, files[i].path);
		slash = strrchr(path.data, '/');
		*slash = '\0';
		file_mkdirs(path.data, 0755);
		*slash = '/';
		if (!files[i].text)
			tap_ok(symlink("/nowhere", path.data) == 0, "%s",
			       files[i].path);
		else
			tap_ok(file_replace(path.data, files[i].text,
					    strlen(files[i].text), 0644,
					    0) == 0, "%s", files[i].path);
		if (strstr(path.data, "unbound/child_pid")) {
			const struct timespec t[2] = {
				{ 1700000000, 0 }, { 1700000000, 0 } };

			utimensat(AT_FDCWD, path.data, t, 0);
		}
		buf_free(&path);
	}
}

static void add(struct buf *out, const char *word, int64_t n)
{
	if (n)
		buf_addf(out, " %s %lld", word, (long long)n);
}

static void describe(struct buf *out, const struct service_state *s,
		     bool with_pid)
{
	buf_setf(out, "%s%s%s", service_is_word(s->is),
		 s->at_boot ? " boot" : "", s->is_fixed ? " fixed" : "");
	if (with_pid)
		buf_addf(out, " pid %ld", (long)s->pid);
	add(out, "restarts", (int64_t)s->restarts);
	/* of files that were made just now nobody knows the time */
	if (s->since == 1700000000)
		add(out, "since", s->since);
	add(out, "began", s->began);
	add(out, "ended", s->ended);
	add(out, "triggered", s->triggered);
	buf_addf(out, " \"%s\"", s->why);
}

int main(void)
{
	struct buf text = BUF_INIT;

	if (!mkdtemp(root))
		return 1;
	make_files();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct service_state s;

		openrc_state_in(root, cases[i].name, &s);
		describe(&text, &s, strstr(cases[i].want, " pid "));
		tap_is(text.data, cases[i].want, cases[i].name);
	}
	file_remove_tree(root);
	buf_free(&text);
	return tap_done();
}
