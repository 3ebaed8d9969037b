#include "host/systemd.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/proc.h"
#include "base/str.h"
#include "text/unitshow.h"

enum {
	NAMES_MAX = 64,		/* asked for at once */
};

bool systemd_is_running(void)
{
	struct stat st;

	return lstat("/run/systemd/system", &st) == 0 && S_ISDIR(st.st_mode);
}

/* Run a program; its output goes to *out. 0, or -1 with *err, which is the
 * output when it fails. */
static int run(const char *const *argv, struct buf *out, struct buf *err)
{
	struct proc_spec spec = { .argv = argv };
	int code = proc_run(&spec, out, err);

	if (code == 0)
		return 0;
	if (code > 0) {
		const char *said = str_trim(out->data);

		if (strcmp(argv[0], "env") == 0)
			argv += 2;
		buf_setf(err, "%s %s: %s", argv[0], argv[1],
			 *said ? said : "failed and said nothing");
	}
	return -1;
}

/* ---- states ------------------------------------------------------------------ */

static enum service_is what_is(const struct unitshow *u)
{
	static const struct {
		const char *active;
		enum service_is is;
	} words[] = {
		{ "active", SERVICE_RUNNING }, { "inactive", SERVICE_STOPPED },
		{ "failed", SERVICE_FAILED }, { "reloading", SERVICE_RUNNING },
		{ "activating", SERVICE_CHANGING },
		{ "deactivating", SERVICE_CHANGING },
	};

	if (strcmp(u->load, "not-found") == 0 &&
	    strcmp(u->active, "inactive") == 0)
		return SERVICE_ABSENT;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(words[i].active, u->active) == 0)
			return words[i].is;
	return SERVICE_CHANGING;
}

static bool is_one_of(const char *word, const char *const *words)
{
	while (*words && strcmp(*words, word) != 0)
		words++;
	return *words;
}

/* "static" and "indirect" units start by others that are enabled. */
static const char *const at_boot[] = {
	"enabled", "enabled-runtime", "alias", "generated", NULL
};
static const char *const fixed[] = { "static", "indirect", NULL };

static void take_state(struct service_state *s, const struct unitshow *u)
{
	*s = (struct service_state){
		.is = what_is(u), .at_boot = is_one_of(u->file, at_boot),
		.is_fixed = is_one_of(u->file, fixed),
		.is_masked = str_starts(u->file, "masked"),
		.pid = (pid_t)u->pid, .restarts = u->restarts,
		.began = (int64_t)u->began,
		.ended = (int64_t)u->ended, .triggered = (int64_t)u->triggered,
	};
	s->since = (int64_t)(s->is == SERVICE_RUNNING ? u->up : u->down);
	if (*u->result && strcmp(u->result, "success") != 0)
		snprintf(s->why, sizeof(s->why), "%s", u->result);
}

static int take_states(struct service_state *states, size_t n, char *text,
		       struct buf *err)
{
	struct unitshow u;

	for (size_t i = 0; i < n; i++) {
		int ret = unitshow_next(&text, &u, err);

		if (ret == 0)
			buf_setf(err, "fewer units than were asked for");
		if (ret <= 0) {
			buf_prefixf(err, "systemctl show: ");
			return -1;
		}
		take_state(&states[i], &u);
	}
	return 0;
}

static int systemd_states(const struct host_services *h,
			  const char *const *names, size_t n,
			  struct service_state *states, struct buf *err)
{
	const char *argv[NAMES_MAX + 12] = {
		"env", "TZ=UTC",
		"systemctl", "show", "--no-pager", "--timestamp=unix",
		"--property=" UNITSHOW_PROPERTIES, "--",
	};
	struct buf out = BUF_INIT;
	int ret = 0;

	while (n > 0 && ret == 0) {
		size_t some = n < NAMES_MAX ? n : NAMES_MAX;

		memcpy(argv + 8, names, some * sizeof(*names));
		argv[8 + some] = NULL;
		buf_reset(&out);
		ret = run(argv, &out, err);
		if (ret == 0)
			ret = take_states(states, some, out.data, err);
		names += some;
		states += some;
		n -= some;
	}
	buf_free(&out);
	return ret;
}

/* ---- changes ------------------------------------------------------------------- */

static int systemd_log(const struct host_services *h, const char *name,
		       unsigned lines, struct buf *out, struct buf *err)
{
	char count[16];
	const char *const argv[] = {
		"journalctl", "--quiet", "--no-pager", "--output=cat",
		"--lines", count, "--unit", name, NULL,
	};

	snprintf(count, sizeof(count), "%u", lines);
	return run(argv, out, err);
}

static int act(const struct host_services *h, const char *verb,
	       const char *doing, const char *name, struct buf *err)
{
	const char *const argv[] = {
		"systemctl", verb, "--quiet", "--no-pager", "--", name, NULL,
	};
	struct service_state s = { 0 };
	struct buf out = BUF_INIT, why = BUF_INIT, ignored = BUF_INIT;
	int ret = run(argv, &out, &why);

	if (ret < 0) {
		buf_setf(err, "%s %s: ", doing, name);
		if (systemd_states(h, &name, 1, &s, &ignored) == 0 && *s.why) {
			buf_adds(err, s.why);
			services_add_log(h, name, err);
		} else {
			buf_adds(err, why.data);
		}
	}
	buf_free(&out);
	buf_free(&why);
	buf_free(&ignored);
	return ret;
}

/* The same for what ends something, which is done when there is nothing. */
static int act_if_there(const struct host_services *h, const char *verb,
			const char *doing, const char *name, struct buf *err)
{
	struct service_state s;

	if (systemd_states(h, &name, 1, &s, err) < 0)
		return -1;
	if (s.is == SERVICE_ABSENT)
		return 0;
	return act(h, verb, doing, name, err);
}

static int systemd_enable(const struct host_services *h, const char *name,
			  struct buf *err)
{
	return act(h, "enable", "enabling", name, err);
}

/* Also of a unit whose file has gone: its links are taken away. */
static int systemd_disable(const struct host_services *h, const char *name,
			   struct buf *err)
{
	const char *const argv[] = {
		"systemctl", "disable", "--quiet", "--no-pager", "--", name,
		NULL,
	};
	struct buf out = BUF_INIT;
	int ret = run(argv, &out, err);

	if (ret < 0 && strstr(err->data, "does not exist")) {
		buf_reset(err);
		ret = 0;
	}
	if (ret < 0)
		buf_prefixf(err, "disabling %s: ", name);
	buf_free(&out);
	return ret;
}

static int systemd_start(const struct host_services *h, const char *name,
			 struct buf *err)
{
	return act(h, "start", "starting", name, err);
}

static int systemd_stop(const struct host_services *h, const char *name,
			struct buf *err)
{
	return act_if_there(h, "stop", "stopping", name, err);
}

static int systemd_restart(const struct host_services *h, const char *name,
			   struct buf *err)
{
	return act(h, "restart", "restarting", name, err);
}

static int systemd_reload(const struct host_services *h, const char *name,
			  struct buf *err)
{
	return act(h, "reload-or-restart", "reloading", name, err);
}

static int systemd_reset(const struct host_services *h, const char *name,
			 struct buf *err)
{
	return act_if_there(h, "reset-failed", "resetting", name, err);
}

static int systemd_daemon_reload(const struct host_services *h,
				 struct buf *err)
{
	const char *const argv[] = { "systemctl", "daemon-reload", NULL };
	struct buf out = BUF_INIT;
	int ret = run(argv, &out, err);

	buf_free(&out);
	return ret;
}

const struct host_services host_systemd = {
	.name = "systemd",
	.key = "systemd",
	.hints = {
		[SERVICES_START] = { "systemctl start ", "" },
		[SERVICES_RESTART] = { "systemctl restart ", "" },
		[SERVICES_ENABLE] = { "systemctl enable ", "" },
		[SERVICES_LOG] = { "journalctl -u ", "" },
		[SERVICES_SCHEDULE] = { "systemctl list-timers ", ".timer" },
	},
	.has_activation = true,
	.states = systemd_states,
	.enable = systemd_enable,
	.disable = systemd_disable,
	.start = systemd_start,
	.stop = systemd_stop,
	.restart = systemd_restart,
	.reload = systemd_reload,
	.reset = systemd_reset,
	.daemon_reload = systemd_daemon_reload,
	.log = systemd_log,
};
