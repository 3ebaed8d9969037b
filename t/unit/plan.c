/* The stages of a plan, with components of the test's own. */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "host/components.h"
#include "host/plan.h"

static char top[] = "/tmp/chatmail-plan-XXXXXX";
static struct buf events = BUF_INIT;
static const char *fails = "";	/* component/stage that fails */
static bool installed;

static const char *at(const char *name)
{
	static struct buf path[4] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT };
	static unsigned next;
	struct buf *b = &path[next++ % 4];

	buf_setf(b, "%s/%s", top, name);
	return b->data;
}

static void on_event(struct plan *p, const struct plan_event *e)
{
	static const char *const marks[] = { "", "=", "+", "!" };

	if (e->result != PLAN_BEGINS)
		buf_addf(&events, "%s.%s%s ", plan_stage_names[e->stage],
			 e->step, marks[e->result]);
}

static int fail_at(const char *where, struct buf *err)
{
	if (strcmp(fails, where) != 0)
		return 0;
	buf_setf(err, "%s fails", where);
	return -1;
}

static int check(struct plan *p, struct buf *err)
{
	return fail_at("check", err);
}

static int check_too(struct plan *p, struct buf *err)
{
	plan_warn(p, "a warning is no failure");
	return fail_at("check", err);
}

static int install(struct plan *p, struct buf *err)
{
	if (!installed)
		plan_tell(p, "something");
	installed = true;
	return fail_at("install", err);
}

static int configure(struct plan *p, struct buf *err)
{
	tree_put(&p->tree, at("one"), p->ini_text, p->ini_size, 0644, NULL,
		 NULL);
	return fail_at("configure", err);
}

static const struct plan_file files[] = {
	{ "resolv.conf", "{{ nginx_config_dir }}/two" },
	{ "resolv.conf", "{{ nginx_config_dir }}/three",
	  .when = "privacy_mail" },
	{ 0 },
};

static int verified;

/* What is tested is not what is in place. */
static int verify(struct plan *p, struct buf *err)
{
	const char *dir = layout_need(p->staged, "nginx_config_dir");
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/two", dir);
	verified += access(path.data, R_OK) == 0 &&
		str_starts(path.data, p->stage_dir);
	buf_free(&path);
	return fail_at("verify", err);
}

static const struct component first = {
	.name = "first", .check = check, .install = install,
	.configure = configure,
};
static const struct component second = {
	.name = "second", .check = check_too, .files = files, .verify = verify,
};
static const struct component *const parts[] = { &first, &second };

/* The events of a run, with r for what plan_run() returned. */
static const char *run(const struct relay *r, const char *text, bool dry_run,
		       struct buf *diff)
{
	struct plan p;
	int ret;

	plan_init(&p, r);
	p.components = parts;
	p.component_count = ARRAY_LEN(parts);
	p.stage_dir = at("stage");
	p.stages[PLAN_ACTIVATE] = false;
	p.ini_text = text;
	p.ini_size = strlen(text);
	p.dry_run = dry_run;
	p.on_event = on_event;
	layout_setf(&p.layout, "nginx_config_dir", "%s/etc", top);
	buf_reset(&events);
	ret = plan_run(&p);
	buf_addf(&events, "%d", ret);
	if (diff)
		buf_setf(diff, "%s", p.diff.data);
	plan_free(&p);
	return events.data;
}

static bool holds(const char *name, const char *want)
{
	struct buf text = BUF_INIT;
	bool ret = file_read(at(name), 4096, &text) == 0 &&
		strcmp(text.data, want) == 0;

	buf_free(&text);
	return ret;
}

static void test_runs(const struct relay *r)
{
	struct buf diff = BUF_INIT;

	tap_is(run(r, "1\n", true, &diff), "check.first= check.second= "
	       "install.packages= install.first= configure.first= "
	       "configure.second= "
	       "configure.files+ 0", "a dry run");
	tap_ok(strstr(diff.data, "+1\n") && strstr(diff.data, "/etc/two"),
	       "shows what would be");
	tap_ok(!installed && access(at("one"), F_OK) < 0 && verified == 0,
	       "and does nothing");
	tap_is(run(r, "1\n", false, NULL), "check.first= check.second= "
	       "install.packages= install.first+ configure.first= "
	       "configure.second= "
	       "configure.files+ 0", "the first run");
	tap_ok(holds("one", "1\n") && access(at("etc/two"), F_OK) == 0,
	       "made the files");
	tap_ok(access(at("etc/three"), F_OK) < 0, "but not one that is not "
	       "wanted");
	tap_ok(verified == 1, "after a test");
	tap_ok(access(at("stage"), F_OK) < 0, "which leaves nothing behind");
	tap_is(run(r, "1\n", false, NULL), "check.first= check.second= "
	       "install.packages= install.first= configure.first= "
	       "configure.second= "
	       "configure.files= 0", "the second run changes nothing");
	tap_ok(verified == 1, "and tests nothing");
	buf_free(&diff);
}

static void test_failures(const struct relay *r)
{
	static const struct {
		const char *fails, *want;
	} cases[] = {
		{ "check", "check.first! check.second! -1" },
		{ "install", "check.first= check.second= install.packages= "
		  "install.first! -1" },
		{ "configure", "check.first= check.second= install.packages= "
		  "install.first= "
		  "configure.first! -1" },
		{ "verify", "check.first= check.second= install.packages= "
		  "install.first= "
		  "configure.first= configure.second= configure.files! -1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fails = cases[i].fails;
		unlink(at("etc/two"));
		tap_is(run(r, "2\n", false, NULL), cases[i].want, fails);
		tap_ok(holds("one", "1\n") &&
		       access(at("etc/two"), F_OK) < 0,
		       "%s: nothing is changed", fails);
	}
	fails = "";
	run(r, "2\n", false, NULL);
	tap_ok(holds("one", "2\n") && access(at("etc/two"), F_OK) == 0,
	       "the next run completes it");
}

static void test_conditions(const struct relay *r)
{
	static const struct {
		const char *when;
		bool want;
	} cases[] = {
		{ NULL, true }, { "disable_ipv6", false },
		{ "mail_domain", true }, { "mail_domain=_x.test", true },
		{ "mail_domain=x.test", false }, { "tls_cert_mode=self", true },
		{ "privacy_mail", false }, { "privacy_mail=", true },
	};
	struct plan p;

	plan_init(&p, r);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_ok(plan_wants(&p, cases[i].when) == cases[i].want,
		       "%s", cases[i].when ? cases[i].when : "always");
	plan_free(&p);
}

/* ---- what depends on what has been installed ----------------------------------- */

static const char *const few[] = { "daemon", NULL };
static const char *const more[] = { "daemon-lua", NULL };
static struct buf apt = BUF_INIT;	/* what was installed */
static const char *daemon_version;	/* that install() brings */

static bool is_there(const char *name)
{
	struct buf mark = BUF_INIT;
	bool ret;

	buf_addf(&mark, "<%s>", name);
	ret = strstr(apt.data, mark.data) != NULL;
	buf_free(&mark);
	return ret;
}

static int missing(const char *const *names, struct buf *out, struct buf *err)
{
	int count = 0;

	for (; *names; names++) {
		if (is_there(*names))
			continue;
		buf_addf(out, "%s ", *names);
		count++;
	}
	return count;
}

static int install_names(const char *const *names, struct buf *err)
{
	for (; *names; names++)
		if (!is_there(*names))
			buf_addf(&apt, "<%s>", *names);
	return 0;
}

static void prepare_daemon(struct plan *p)
{
	if (is_there("daemon"))
		layout_setf(&p->layout, "dovecot_version", "%s",
			    daemon_version);
}

static const struct plan_file rows[] = {
	{ "dovecot/auth.conf", "{{ dovecot_config_dir }}/one",
	  .when = "dovecot_version=2.3" },
	{ "dovecot/auth.lua", "{{ dovecot_config_dir }}/one",
	  .when = "dovecot_version=2.4" },
	{ "dovecot/auth.conf", "{{ dovecot_config_dir }}/two",
	  .when = "dovecot_version=2.3" },
	{ 0 },
};

static const struct component daemon_part = {
	.name = "daemon", .packages = few, .more_packages = more,
	.more_when = "dovecot_version=2.4", .prepare = prepare_daemon,
	.files = rows,
};

static const struct component *const daemon_parts[] = { &daemon_part };

static void run_daemon(const struct relay *r, const char *version)
{
	static const struct host_packages packages = {
		.name = "fake", .missing = missing, .install = install_names,
	};
	struct plan p;

	daemon_version = version;
	plan_init(&p, r);
	p.components = daemon_parts;
	p.component_count = ARRAY_LEN(daemon_parts);
	p.stage_dir = at("stage");
	p.stages[PLAN_ACTIVATE] = false;
	p.packages = &packages;
	p.on_event = on_event;
	layout_setf(&p.layout, "dovecot_config_dir", "%s/etc", top);
	tap_ok(plan_run(&p) == 0, "a daemon of version %s", version);
	plan_free(&p);
}

/* The file that there is begins like that. */
static bool begins(const char *name, const char *want)
{
	struct buf text = BUF_INIT;
	bool ret = file_read(at(name), 65536, &text) == 0 &&
		str_starts(text.data, want);

	buf_free(&text);
	return ret;
}

static void test_versions_installed(const struct relay *r)
{
	run_daemon(r, "2.3");
	tap_is(apt.data, "<daemon>", "2.3 needs no more");
	tap_ok(begins("etc/one", "# doveauth") && begins("etc/two", "# doveauth"),
	       "and has its files");
	run_daemon(r, "2.4");
	tap_is(apt.data, "<daemon><daemon-lua>", "after an upgrade it does");
	tap_ok(begins("etc/one", "-- Written") &&
	       access(at("etc/two"), F_OK) < 0,
	       "one file is replaced, one goes");
	buf_reset(&apt);
	run_daemon(r, "2.4");
	tap_is(apt.data, "<daemon><daemon-lua>", "all in one run");
	buf_free(&apt);
}

static void test_dovecot_version(void)
{
	static const struct {
		const char *said, *want;
	} cases[] = {
		{ "2.3.19.1 (9b53102964)", "2.3" },
		{ "1:2.3.19.1+dfsg1-2.1+deb12u1", "2.3" },
		{ "2.4.1-4 (7d8c0e5759)", "2.4" },
		{ "1:2.4.1+dfsg1-6+deb13u7", "2.4" },
		{ "2.4.2-r0", "2.4" }, { "2.10.0", "2.4" },
		{ "3.0", "2.4" }, { "2.2.36", "2.3" }, { "1", "2.3" },
		{ "", NULL }, { "dovecot: not found", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = dovecot_version_of(cases[i].said);

		tap_ok(got == cases[i].want || (got && cases[i].want &&
		       strcmp(got, cases[i].want) == 0), "Dovecot \"%s\"",
		       cases[i].said);
	}
}

int main(void)
{
	static const char ini[] = "[params]\nmail_domain = _x.test\n";
	struct buf warnings = BUF_INIT, err = BUF_INIT;
	struct relay *r = relay_parse("x", ini, sizeof(ini) - 1, &warnings,
				      &err);

	if (geteuid() != 0) {
		puts("1..0 # SKIP not root");
		return 0;
	}
	if (!r || !mkdtemp(top))
		return 1;
	test_runs(r);
	test_failures(r);
	test_conditions(r);
	test_versions_installed(r);
	test_dovecot_version();
	file_remove_tree(top);
	relay_free(r);
	buf_free(&events);
	buf_free(&warnings);
	buf_free(&err);
	return tap_done();
}
