/* The services: do they run, since when, with how many files open. */
#include "applets/status.h"

#include <dirent.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "host/relay_services.h"

enum { LIMITS_MAX = 16384, JOB_LATE_SECS = 2 * 24 * 3600 + 3600 };

static const char *const kinds[] = {
	[RELAY_OURS] = "role", [RELAY_JOB] = "job", [RELAY_FOREIGN] = "package",
	[RELAY_KEPT] = "kept", [RELAY_OLD] = "old",
};

/* A problem that ends in what to type. */
__attribute__((format(printf, 4, 5)))
static void hint(struct status *s, enum services_hint hint, const char *name,
		 const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	services_add_hint(&text, s->services, hint, name);
	status_problem(s, "%s", text.data);
	buf_free(&text);
}

/* ---- its process --------------------------------------------------------------- */

/* How many descriptors a process has open; -1 when we may not look. */
static int open_files(pid_t pid)
{
	struct buf path = BUF_INIT;
	DIR *d;
	int n = -2;	/* "." and ".." */

	buf_addf(&path, "/proc/%ld/fd", (long)pid);
	d = opendir(path.data);
	buf_free(&path);
	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Its soft limit, which daemon_init() raises to the hard one; 0 unknown. */
static unsigned long long open_files_max(pid_t pid)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	unsigned long long max = 0;
	const char *line = NULL;

	buf_addf(&path, "/proc/%ld/limits", (long)pid);
	if (file_read(path.data, LIMITS_MAX, &text) == 0)
		line = strstr(text.data, "Max open files");
	if (!line || sscanf(line, "Max open files %llu", &max) != 1)
		max = 0;
	buf_free(&path);
	buf_free(&text);
	return max;
}

static bool is_replaced(pid_t pid)
{
	struct buf path = BUF_INIT;
	char target[4096];
	ssize_t n;

	buf_addf(&path, "/proc/%ld/exe", (long)pid);
	n = readlink(path.data, target, sizeof(target) - 1);
	buf_free(&path);
	if (n < 0)
		return false;
	target[n] = '\0';
	return str_ends(target, " (deleted)");
}

static void add_process(struct status *s, cJSON *o,
			const struct relay_service *r, pid_t pid)
{
	unsigned long long max = open_files_max(pid);
	int n = open_files(pid);
	cJSON *files;

	cJSON_AddNumberToObject(o, "pid", (double)pid);
	if (is_replaced(pid))
		hint(s, SERVICES_RESTART, r->name,
		     "%s runs a program that has been replaced since: ",
		     r->name);
	if (n < 0 || !max)
		return;
	files = cJSON_AddObjectToObject(o, "open_files");
	cJSON_AddNumberToObject(files, "used", n);
	cJSON_AddNumberToObject(files, "max", (double)max);
	if ((unsigned long long)n * 10 > max * 9)
		status_problem(s, "%s has %d of %llu possible files open: see "
			       "who connects to it, or raise LimitNOFILE of "
			       "its unit", r->name, n, max);
}

/* ---- what is wrong --------------------------------------------------------------- */

static void judge_stopped(struct status *s, const char *name,
			  const struct service_state *t)
{
	struct buf ago = BUF_INIT;

	status_add_span(&ago, t->since ? s->now - t->since : 0);
	if (t->is_masked)
		status_problem(s, "%s is masked: systemctl unmask %s, then "
			       "chatmail deploy", name, name);
	else if (t->is == SERVICE_ABSENT)
		status_problem(s, "%s is not installed: run chatmail deploy",
			       name);
	else if (t->is == SERVICE_FAILED)
		hint(s, SERVICES_LOG, name, "%s failed %s ago (%s): see ",
		     name, ago.data, t->why);
	else if (t->is == SERVICE_CHANGING && (*t->why || t->restarts))
		hint(s, SERVICES_LOG, name, "%s does not start (%s): see ",
		     name, *t->why ? t->why : "tried again");
	else if (t->is == SERVICE_STOPPED)
		hint(s, SERVICES_START, name, "%s does not run: ", name);
	buf_free(&ago);
}

static void judge(struct status *s, const char *name,
		  const struct service_state *t)
{
	if (t->is != SERVICE_RUNNING)
		judge_stopped(s, name, t);
	if (t->is != SERVICE_ABSENT && !t->at_boot && !t->is_fixed &&
	    !t->is_masked)
		hint(s, SERVICES_ENABLE, name,
		     "%s would not start at the next boot: ", name);
}

static void judge_job(struct status *s, const char *name,
		      const struct service_state *job, int64_t last)
{
	struct buf ago = BUF_INIT;

	status_add_span(&ago, s->now - last);
	if (job->is == SERVICE_FAILED)
		hint(s, SERVICES_LOG, name,
		     "%s failed when it ran %s ago (%s): see ", name, ago.data,
		     job->why);
	else if (last && s->now - last > JOB_LATE_SECS)
		hint(s, SERVICES_SCHEDULE, name, "%s last ran %s ago: see ",
		     name, ago.data);
	buf_free(&ago);
}

/* ---- one service ------------------------------------------------------------------ */

static void add_time(cJSON *o, const char *name, int64_t t)
{
	if (t)
		cJSON_AddNumberToObject(o, name, (double)t);
	else
		cJSON_AddNullToObject(o, name);
}

/* A job runs when its timer says so: both are of interest. */
static void add_job(struct status *s, cJSON *o, const struct relay_service *r,
		    const struct service_state *timer)
{
	struct service_state job;
	struct buf err = BUF_INIT;
	int64_t last = timer->triggered;

	if (s->services->states(s->services, &r->name, 1, &job, &err) < 0) {
		buf_free(&err);
		return;
	}
	if (job.began > last)
		last = job.began;
	add_time(o, "last_run", last);
	cJSON_AddStringToObject(o, "last_result", job.is == SERVICE_FAILED ?
				job.why : "");
	if (str_ends(r->starts[0], ".timer"))
		judge_job(s, r->name, &job, last);
}

struct view {
	size_t count;
	const char *names[RELAY_NAMES_MAX + 1];
	struct service_state states[RELAY_NAMES_MAX + 1];
	const struct service_state *main;	/* the one that has the process */
};

static int look(struct status *s, const struct relay_service *r,
		struct view *v, struct buf *err)
{
	*v = (struct view){ 0 };
	for (size_t i = 0; r->starts[i]; i++)
		if (relay_service_is_for(s->services, r->starts[i]))
			v->names[v->count++] = r->starts[i];
	if (r->other)
		v->names[v->count] = r->other;
	if (s->services->states(s->services, v->names,
				v->count + (r->other != NULL), v->states,
				err) < 0)
		return -1;
	v->main = &v->states[v->count - 1];
	if (r->other && !v->main->pid &&
	    v->states[v->count].is != SERVICE_ABSENT &&
	    v->main->is == SERVICE_RUNNING)
		v->main = &v->states[v->count];
	return 0;
}

static cJSON *add_service(struct status *s, cJSON *list,
			  const struct relay_service *r,
			  const struct view *v, bool is_wanted)
{
	const struct service_state *t = v->main;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", r->name);
	cJSON_AddStringToObject(o, "about", r->about);
	cJSON_AddStringToObject(o, "kind", kinds[r->kind]);
	cJSON_AddBoolToObject(o, "wanted", is_wanted);
	cJSON_AddStringToObject(o, "state", service_is_word(t->is));
	cJSON_AddStringToObject(o, "why", t->why);
	cJSON_AddBoolToObject(o, "at_boot", v->states[v->count - 1].at_boot);
	add_time(o, "since", t->since);
	cJSON_AddNumberToObject(o, "restarts", (double)t->restarts);
	cJSON_AddItemToArray(list, o);
	return o;
}

static void add_one(struct status *s, cJSON *list,
		    const struct relay_service *r, struct buf *err)
{
	bool is_wanted = relay_service_is_wanted(r, s->relay);
	struct view v;
	cJSON *o;

	if (!relay_service_is_here(r, s->layout) || look(s, r, &v, err) < 0)
		return;
	if (!is_wanted && v.main->is != SERVICE_RUNNING &&
	    v.main->is != SERVICE_CHANGING)
		return;
	o = add_service(s, list, r, &v, is_wanted);
	if (v.main->pid)
		add_process(s, o, r, v.main->pid);
	if (r->kind == RELAY_OLD)
		status_problem(s, "%s of an earlier relay runs beside ours: "
			       "run chatmail deploy", r->name);
	if (!is_wanted)
		return;
	if (!relay_service_is_possible(r, s->relay) && v.main->is != SERVICE_RUNNING) {
		status_note(s, "there are no %s: chatmail deploy could not get "
			    "%s yet, and tries again when it is run", r->about,
			    relay_service_program(r, s->relay));
		return;
	}
	if (v.main != &v.states[v.count - 1] &&
	    v.main->is != SERVICE_RUNNING)
		judge_stopped(s, r->name, v.main);
	for (size_t i = 0; i < v.count; i++)
		judge(s, v.names[i], &v.states[i]);
	if (r->kind == RELAY_JOB)
		add_job(s, o, r, v.main);
}

void status_add_services(struct status *s)
{
	size_t count;
	const struct relay_service *r = relay_services(&count);
	struct buf err = BUF_INIT;
	cJSON *list;

	if (!s->services) {
		cJSON_AddNullToObject(s->json, "services");
		status_problem(s, "neither systemd nor OpenRC runs on this "
			       "machine, so that nothing is known of the "
			       "services: run chatmail status on the relay");
		return;
	}
	list = cJSON_AddArrayToObject(s->json, "services");
	for (size_t i = 0; i < count && !err.len; i++)
		add_one(s, list, &r[i], &err);
	if (err.len)
		status_problem(s, "nothing is known of the services: %s",
			       err.data);
	buf_free(&err);
}
