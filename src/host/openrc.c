#include "host/openrc.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/cronfiles.h"
#include "host/held.h"
#include "host/jobnote.h"
#include "text/syslines.h"

enum {
	LOG_MAX = 32 * 1024 * 1024,
	SMALL_FILE = 4096,
	END_SECS = 20,		/* for a process to end */
};

/* A path below root from up to three parts. */
struct place {
	struct buf path;
	struct stat st;
};

static bool is_there(struct place *p, const char *root, const char *dir,
		     const char *name)
{
	buf_setf(&p->path, "%s%s/%s", root, dir, name);
	return lstat(p->path.data, &p->st) == 0;
}

bool openrc_is_running(void)
{
	return access("/run/openrc/softlevel", F_OK) == 0;
}

/* ---- names --------------------------------------------------------------------- */

/* A service that is called otherwise where we are not on Debian, or where the
 * operator has chosen another program for the same. */
static const struct {
	const char *name, *others[4];
} aliases[] = {
	{ "cron", { "crond", "cronie", "dcron" } },
	{ "syslog", { "busybox-syslogd", "rsyslog", "syslog-ng" } },
};

static bool has_script(const char *root, const char *name)
{
	struct place p = { .path = BUF_INIT };
	bool ret = is_there(&p, root, "/etc/init.d", name) ||
		   is_there(&p, root, "/usr/local/etc/init.d", name);

	buf_free(&p.path);
	return ret;
}

/* The name that it has here; the same when there is none. */
static const char *own_name(const char *root, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		if (strcmp(aliases[i].name, name) != 0 ||
		    has_script(root, name))
			continue;
		for (size_t k = 0; aliases[i].others[k]; k++)
			if (has_script(root, aliases[i].others[k]))
				return aliases[i].others[k];
	}
	return name;
}

/* Does cron start it? */
static bool is_scheduled(const char *name)
{
	return str_ends(name, ".timer") || str_ends(name, ".path");
}

/* ---- states -------------------------------------------------------------------- */

/* Call fn for each runlevel's link to the service, until it returns true. */
static bool for_runlevels(const char *root, const char *name,
			  bool (*fn)(const char *path))
{
	struct buf dir = BUF_INIT;
	struct place p = { .path = BUF_INIT };
	struct dirent *e;
	bool done = false;
	DIR *d;

	buf_addf(&dir, "%s/etc/runlevels", root);
	d = opendir(dir.data);
	while (d && !done && (e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		buf_setf(&dir, "/etc/runlevels/%s", e->d_name);
		if (is_there(&p, root, dir.data, name))
			done = fn(p.path.data);
	}
	if (d)
		closedir(d);
	buf_free(&dir);
	buf_free(&p.path);
	return done;
}

static bool is_started_at_boot(const char *path)
{
	/* not those of a shutdown, nor of a machine in trouble */
	return strstr(path, "/default/") || strstr(path, "/boot/") ||
	       strstr(path, "/sysinit/");
}

static bool remove_link(const char *path)
{
	return unlink(path) < 0;
}

/* A number that OpenRC has noted of the service; 0 without. */
static uint64_t option(const char *root, const char *name, const char *key,
		       int64_t *mtime)
{
	struct place p = { .path = BUF_INIT };
	struct buf text = BUF_INIT, dir = BUF_INIT;
	uint64_t n = 0;

	buf_addf(&dir, "/run/openrc/options/%s", name);
	if (is_there(&p, root, dir.data, key) &&
	    file_read(p.path.data, SMALL_FILE, &text) == 0) {
		if (str_to_u64(str_trim(text.data), &n) < 0)
			n = 0;
		if (mtime)
			*mtime = p.st.st_mtime;
	}
	buf_free(&p.path);
	buf_free(&text);
	buf_free(&dir);
	return n;
}

static bool is_alive(const char *root, uint64_t pid)
{
	struct buf path = BUF_INIT;
	bool ret;

	buf_addf(&path, "%s/proc/%llu/exe", root, (unsigned long long)pid);
	ret = access(path.data, F_OK) == 0;
	buf_free(&path);
	return ret;
}

static uint64_t supervisor_pid(const char *root, const char *name)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	uint64_t pid;

	buf_addf(&path, "%s/run/supervise-%s.pid", root, name);
	if (file_read(path.data, SMALL_FILE, &text) < 0 ||
	    str_to_u64(str_trim(text.data), &pid) < 0)
		pid = 0;
	buf_free(&path);
	buf_free(&text);
	return pid;
}

/* A role, behind who holds its socket. */
static void take_role(const char *root, const struct held *h,
		      struct service_state *s)
{
	s->restarts = h->restarts;
	s->since = h->since;
	if (h->pid && is_alive(root, (uint64_t)h->pid) && h->is_ready) {
		s->pid = h->pid;
		return;
	}
	s->is = SERVICE_CHANGING;
	snprintf(s->why, sizeof(s->why), h->pid ? "it does not answer" :
						  "it ended");
}

/* supervise-daemon(8) notes each start of the process. */
static void take_process(const char *root, const char *name,
			 struct service_state *s)
{
	uint64_t supervisor = supervisor_pid(root, name);
	int64_t since = 0;
	uint64_t pid = option(root, name, "child_pid", &since);
	uint64_t starts = option(root, name, "start_count", NULL);
	struct held held;

	if (!supervisor)
		return;
	s->restarts = starts;
	if (since)
		s->since = since;
	if (!is_alive(root, supervisor)) {
		s->is = SERVICE_FAILED;
		snprintf(s->why, sizeof(s->why), "its supervisor has died");
	} else if (held_read(root, name, &held) == 0) {
		take_role(root, &held, s);
	} else if (!pid || !is_alive(root, pid)) {
		s->is = SERVICE_CHANGING;
		snprintf(s->why, sizeof(s->why), "it ended");
	} else {
		s->pid = (pid_t)pid;
	}
}

static void take_service(const char *root, const char *name,
			 struct service_state *s)
{
	static const struct {
		const char *dir;
		enum service_is is;
	} marks[] = {
		{ "/run/openrc/starting", SERVICE_CHANGING },
		{ "/run/openrc/stopping", SERVICE_CHANGING },
		{ "/run/openrc/inactive", SERVICE_CHANGING },
		{ "/run/openrc/started", SERVICE_RUNNING },
		{ "/run/openrc/failed", SERVICE_FAILED },
	};
	struct place p = { .path = BUF_INIT };

	s->is = SERVICE_STOPPED;
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (is_there(&p, root, marks[i].dir, name)) {
			s->is = marks[i].is;
			s->since = p.st.st_mtime;
			break;
		}
	if (s->is == SERVICE_FAILED)
		snprintf(s->why, sizeof(s->why), "it did not start");
	if (s->is == SERVICE_RUNNING)
		take_process(root, name, s);
	s->at_boot = for_runlevels(root, name, is_started_at_boot);
	buf_free(&p.path);
}

/* Of a job, and of what starts it. */
static void take_job(const char *root, const char *name, bool is_schedule,
		     struct service_state *s)
{
	char job[128];
	struct jobnote note = { 0 };
	struct service_state cron = { 0 };

	snprintf(job, sizeof(job), "%.*s", (int)strcspn(name, "."), name);
	jobnote_read(root, job, &note);
	s->is_fixed = is_schedule || note.began;
	s->began = note.began;
	s->ended = note.ended;
	if (is_schedule) {
		if (!cronfiles_has(root, job))
			return;
		openrc_state_in(root, "cron", &cron);
		s->at_boot = true;
		s->is = cron.is == SERVICE_RUNNING ? SERVICE_RUNNING :
						     SERVICE_STOPPED;
		s->triggered = note.began;
	} else if (note.began) {
		s->is = note.ended && note.status ? SERVICE_FAILED :
						    SERVICE_STOPPED;
		s->since = note.ended;
		if (s->is == SERVICE_FAILED)
			snprintf(s->why, sizeof(s->why), "exit code %d",
				 note.status);
	}
}

void openrc_state_in(const char *root, const char *name,
		     struct service_state *s)
{
	*s = (struct service_state){ .is = SERVICE_ABSENT };
	name = own_name(root, name);
	if (str_ends(name, ".socket"))
		return;
	if (is_scheduled(name))
		take_job(root, name, true, s);
	else if (has_script(root, name))
		take_service(root, name, s);
	else
		take_job(root, name, false, s);
}

/* ---- programs of OpenRC -------------------------------------------------------- */

static int run(const char *const *argv, struct buf *said, struct buf *err)
{
	struct buf file = BUF_INIT;
	int code = -1;

	if (proc_find(argv[0], &file) < 0)
		buf_setf(err, "%s is not installed", argv[0]);
	else
		code = proc_run(&(struct proc_spec) { .argv = argv,
				.file = file.data }, said, err);
	buf_free(&file);
	return code;
}

static int rc_service(const char *name, const char *verb, struct buf *said,
		      struct buf *err)
{
	const char *const argv[] = { "rc-service", "--nocolor", name, verb,
				     NULL };

	return run(argv, said, err);
}

/* Debian's scripts for sysvinit, of which OpenRC notes what it starts at boot
 * alone. */
static bool is_of_openrc(const char *name)
{
	struct buf path = BUF_INIT;
	char line[64] = "";
	FILE *f;

	buf_addf(&path, "/etc/init.d/%s", name);
	f = fopen(path.data, "re");
	if (f && !fgets(line, sizeof(line), f))
		*line = '\0';
	if (f)
		fclose(f);
	buf_free(&path);
	return strstr(line, "openrc-run") || strstr(line, "runscript");
}

/* What has no supervisor is asked itself. */
static void ask(const char *name, struct service_state *s)
{
	struct buf said = BUF_INIT, err = BUF_INIT;
	bool runs = s->is == SERVICE_RUNNING;
	int code;

	if (s->pid || s->is == SERVICE_ABSENT || s->is_fixed ||
	    s->is == SERVICE_CHANGING || (!runs && is_of_openrc(name)))
		return;
	code = rc_service(name, "status", &said, &err);
	if (code == 0) {
		s->is = SERVICE_RUNNING;
		*s->why = '\0';
	} else if (code > 0 && runs) {
		s->is = SERVICE_FAILED;
		snprintf(s->why, sizeof(s->why), "crashed");
	}
	buf_free(&said);
	buf_free(&err);
}

static int openrc_states(const struct host_services *h,
			 const char *const *names, size_t n,
			 struct service_state *states, struct buf *err)
{
	for (size_t i = 0; i < n; i++) {
		openrc_state_in("", names[i], &states[i]);
		if (!is_scheduled(names[i]))
			ask(own_name("", names[i]), &states[i]);
	}
	return 0;
}

/* ---- the log ------------------------------------------------------------------- */

/* Where ours is (conf-templates/syslog), and what else systems have. */
static const char *const log_files[] = {
	"/run/chatmail-log/messages.0", "/run/chatmail-log/messages",
	"/var/log/syslog", "/var/log/messages",
};

/* Of a large file the end. */
static void read_tail(const char *path, struct buf *text)
{
	struct stat st;
	FILE *f = fopen(path, "re");
	char block[65536];
	size_t n;

	if (!f)
		return;
	if (fstat(fileno(f), &st) == 0 && st.st_size > LOG_MAX)
		fseek(f, -(long)LOG_MAX, SEEK_END);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		buf_add(text, block, n);
	fclose(f);
}

static int openrc_log(const struct host_services *h, const char *name,
		      unsigned lines, struct buf *out, struct buf *err)
{
	struct buf text = BUF_INIT, ignored = BUF_INIT;
	const char *const logread[] = { "logread", NULL };

	for (size_t i = 0; i < ARRAY_LEN(log_files); i++)
		read_tail(log_files[i], &text);
	if (text.len == 0 && run(logread, &text, &ignored) != 0)
		buf_reset(&text);
	syslines_last(text.data, text.len, name, lines, out);
	buf_free(&text);
	buf_free(&ignored);
	return 0;
}

/* ---- changes ------------------------------------------------------------------- */

static int act(const struct host_services *h, const char *verb,
	       const char *doing, const char *name, struct buf *err)
{
	struct buf said = BUF_INIT, why = BUF_INIT;
	const char *own = own_name("", name);
	int code = rc_service(own, verb, &said, &why);

	if (code != 0) {
		char *text = str_trim(code > 0 ? said.data : why.data);

		buf_setf(err, "%s %s: ", doing, name);
		buf_add_printable(err, text, strcspn(text, "\n"));
		services_add_log(h, own, err);
	}
	buf_free(&said);
	buf_free(&why);
	return code == 0 ? 0 : -1;
}

/* Our scripts wait for a service to answer, and note whether it did; one that
 * did not is tried on and on, as mail waits for it. */
static bool answers(const char *name)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	struct held held;
	bool ret = true;

	if (held_read("", name, &held) == 0)
		return held.is_ready;
	buf_addf(&path, "/run/openrc/options/%s/ready", name);
	if (file_read(path.data, SMALL_FILE, &text) == 0)
		ret = strcmp(str_trim(text.data), "no") != 0;
	buf_free(&path);
	buf_free(&text);
	return ret;
}

static int act_and_await(const struct host_services *h, const char *verb,
			 const char *doing, const char *name, struct buf *err)
{
	if (is_scheduled(name))
		return 0;
	if (act(h, verb, doing, name, err) < 0)
		return -1;
	if (answers(name))
		return 0;
	buf_setf(err, "%s %s: it does not answer", doing, name);
	services_add_log(h, name, err);
	return -1;
}

/* Cron's entries come and go with their files. */
static int openrc_enable(const struct host_services *h, const char *name,
			 struct buf *err)
{
	const char *own = own_name("", name);
	const char *const argv[] = { "rc-update", "--quiet", "add", own,
				     "default", NULL };
	struct buf said = BUF_INIT;
	int code = 0;

	if (!is_scheduled(name))
		code = run(argv, &said, err);
	if (code > 0)
		buf_setf(err, "enabling %s: %s", name, str_trim(said.data));
	buf_free(&said);
	return code == 0 ? 0 : -1;
}

/* Also of a service whose script has gone. */
static int openrc_disable(const struct host_services *h, const char *name,
			  struct buf *err)
{
	if (!for_runlevels("", own_name("", name), remove_link))
		return 0;
	buf_setf(err, "disabling %s: %s", name, strerror(errno));
	return -1;
}

/* What is tried on and on counts as started with OpenRC. */
static int openrc_start(const struct host_services *h, const char *name,
			struct buf *err)
{
	struct service_state s;

	openrc_state_in("", name, &s);
	return act_and_await(h, s.is == SERVICE_CHANGING ? "restart" : "start",
			     "starting", name, err);
}

static int openrc_stop(const struct host_services *h, const char *name,
		       struct buf *err)
{
	struct service_state s;

	openrc_state_in("", name, &s);
	if (is_scheduled(name) || s.is == SERVICE_ABSENT)
		return 0;
	return act(h, "stop", "stopping", name, err);
}

static int openrc_restart(const struct host_services *h, const char *name,
			  struct buf *err)
{
	return act_and_await(h, "restart", "restarting", name, err);
}

static int openrc_reload(const struct host_services *h, const char *name,
			 struct buf *err)
{
	struct service_state s;

	openrc_state_in("", name, &s);
	if (s.is != SERVICE_RUNNING)
		return openrc_restart(h, name, err);
	return act(h, "reload", "reloading", name, err);
}

static void end_process(pid_t pid)
{
	kill(pid, SIGTERM);
	for (int i = 0; i < END_SECS * 20 && is_alive("", (uint64_t)pid); i++)
		usleep(50 * 1000);
	kill(pid, SIGKILL);
}

static int openrc_reset(const struct host_services *h, const char *name,
			struct buf *err)
{
	struct service_state s;
	struct held held;
	uint64_t pid;

	openrc_state_in("", name, &s);
	if (is_scheduled(name) || s.is == SERVICE_ABSENT || s.is_fixed)
		return 0;
	/* what a supervisor that has died has left */
	pid = held_read("", name, &held) == 0 ? (uint64_t)held.holder :
		option("", own_name("", name), "child_pid", NULL);
	if (s.is == SERVICE_FAILED && pid > 1 && is_alive("", pid))
		end_process((pid_t)pid);
	return act(h, "zap", "resetting", name, err);
}

static int openrc_daemon_reload(const struct host_services *h,
				struct buf *err)
{
	const char *const argv[] = { "rc-update", "--quiet", "--update",
				     NULL };
	struct buf said = BUF_INIT;
	int code = run(argv, &said, err);

	if (code > 0)
		buf_setf(err, "rc-update --update: %s", str_trim(said.data));
	buf_free(&said);
	return code == 0 ? 0 : -1;
}

const struct host_services host_openrc = {
	.name = "OpenRC",
	.key = "openrc",
	.hints = {
		[SERVICES_START] = { "rc-service ", " start" },
		[SERVICES_RESTART] = { "rc-service ", " restart" },
		[SERVICES_ENABLE] = { "rc-update add ", "" },
		[SERVICES_LOG] = { "grep ", " /run/chatmail-log/messages" },
		[SERVICES_SCHEDULE] = { "", " in cron's table" },
	},
	.states = openrc_states,
	.enable = openrc_enable,
	.disable = openrc_disable,
	.start = openrc_start,
	.stop = openrc_stop,
	.restart = openrc_restart,
	.reload = openrc_reload,
	.reset = openrc_reset,
	.daemon_reload = openrc_daemon_reload,
	.log = openrc_log,
};
