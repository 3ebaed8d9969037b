/* The sandbox's processes, and one log of what they say. */
#include "applets/sandbox.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/term.h"
#include "net/probe.h"
#include "net/supervisor.h"
#include "applet.h"

enum { CHILDREN_MAX = 16, PROBES_MAX = 32, DEATHS_MAX = 5,
       READY_PATIENCE = 60, INOTIFY_ENOUGH = 1024, ARGS_MAX = 6 };

struct run {
	struct sandbox *sb;
	struct supervisor s;
	struct child children[CHILDREN_MAX];
	size_t count;
	struct probe probes[PROBES_MAX];
	struct probe_set probing;
	struct arena arena;	/* the children's arguments */
	struct timespec started;
	bool ready;
	int exit_code;
};

/* "Nov 21 07:27:43 " as syslog writes it, then the host for Postfix: the
 * common log has its own time. */
static const char *skip_stamp(const char *name, const char *line)
{
	const char *p = line + 16;

	if (strnlen(line, 16) < 16 || line[3] != ' ' || line[9] != ':' ||
	    line[12] != ':' || line[15] != ' ')
		return line;
	if (strcmp(name, "postfix") == 0 && strchr(p, ' '))
		p = strchr(p, ' ') + 1;
	return p;
}

/* Roles begin their lines with their personality, which name says too. */
static const char *skip_role(const char *line)
{
	const char *colon = strstr(line, ": ");

	for (size_t i = 0; colon && i < sandbox_role_count; i++) {
		const char *role = sandbox_roles[i].applet;

		if (strlen(role) == (size_t)(colon - line) &&
		    str_starts(line, role))
			return colon + 2;
	}
	return line;
}

void sandbox_log_line(struct sandbox *sb, const char *name, const char *line)
{
	unsigned colour = 0;
	struct timespec now;
	struct buf text = BUF_INIT;
	char clock[16];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	buf_add_printable(&text, line, strlen(line));
	if (sb->log)
		fprintf(sb->log, "%s.%03ld %-10s| %s\n", clock,
			now.tv_nsec / 1000000, name, text.data);
	for (const char *p = name; *p; p++)
		colour += (unsigned char)*p;
	if (sb->colour)
		printf("%s \033[%um%-10s|\033[0m %s\n", clock,
		       31 + colour % 6, name, text.data);
	else
		printf("%s %-10s| %s\n", clock, name, text.data);
	buf_free(&text);
}

__attribute__((format(printf, 2, 3)))
static void say(struct run *r, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	sandbox_log_line(r->sb, "sandbox", text.data);
	buf_free(&text);
}

static void remove_json(const struct run *r)
{
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/sandbox.json", r->sb->dir);
	unlink(path.data);
	buf_free(&path);
}

static void stop(struct run *r, int exit_code)
{
	if (!r->s.stopping)
		r->exit_code = exit_code;
	remove_json(r);
	probe_set_stop(&r->probing);
	supervisor_stop(&r->s);
}

static void on_line(struct supervisor *s, struct child *c, const char *line)
{
	struct run *r = container_of(s, struct run, s);

	line = skip_role(skip_stamp(c->name, line));
	sandbox_log_line(r->sb, c->name, line);
}

static void on_death(struct supervisor *s, struct child *c, const char *why,
		     double retry_secs)
{
	struct run *r = container_of(s, struct run, s);

	if (!r->ready && c->deaths >= DEATHS_MAX) {
		say(r, "%s does not start: %s; giving up", c->name, why);
		stop(r, EXIT_FAIL);
		return;
	}
	say(r, "%s ended: %s; starting it again in %g s", c->name, why,
	    retry_secs);
}

static void on_signal(struct supervisor *s, int sig)
{
	struct run *r = container_of(s, struct run, s);

	say(r, "%s: %s", strsignal(sig),
	    s->stopping ? "killing what is left" : "stopping");
	remove_json(r);
	probe_set_stop(&r->probing);
}

static void on_late(struct probe_set *set)
{
	struct run *r = container_of(set, struct run, probing);
	struct buf missing = BUF_INIT;

	probe_set_missing(set, &missing);
	say(r, "no answer after %g s from: %s", set->patience, missing.data);
	buf_free(&missing);
	stop(r, EXIT_FAIL);
}

static void on_ready(struct probe_set *set)
{
	struct run *r = container_of(set, struct run, probing);
	struct timespec now;

	r->ready = true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	sandbox_announce(r->sb, (double)(now.tv_sec - r->started.tv_sec) +
			 (now.tv_nsec - r->started.tv_nsec) / 1e9);
}

static void probe_add(struct run *r, struct probe probe)
{
	if (r->probing.count == PROBES_MAX)
		bug("more than %d probes", PROBES_MAX);
	r->probes[r->probing.count++] = probe;
}

static void add_probes(struct run *r)
{
	for (size_t i = 0; i < sandbox_port_count; i++) {
		const struct sandbox_port *p = &sandbox_ports[i];

		if (!p->greeting || p->proxied ||
		    (p->applet && !applet_find(p->applet)))
			continue;
		probe_add(r, (struct probe) {
			.name = p->name, .greeting = p->greeting,
			.port = sandbox_port_number(r->sb, p),
		});
	}
	for (size_t i = 0; i < sandbox_role_count; i++) {
		const struct sandbox_role *role = &sandbox_roles[i];

		if (!role->socket || !applet_find(role->applet))
			continue;
		probe_add(r, (struct probe) {
			.name = role->name, .greeting = "",
			.path = arena_printf(&r->arena, "%s/run/%s",
					     r->sb->dir, role->socket),
		});
	}
}

static struct child *child_new(struct run *r, const char *name)
{
	struct child *c = &r->children[r->count];

	if (r->count == CHILDREN_MAX)
		bug("more than %d children", CHILDREN_MAX);
	r->count++;
	c->name = name;
	c->spec.session = true;
	c->spec.dies_with_us = true;
	return c;
}

static const char *dclogin_query(struct run *r)
{
	struct buf query = BUF_INIT;
	const char *copy;

	sandbox_add_dclogin(&query, r->sb);
	copy = arena_strdup(&r->arena, query.data);
	buf_free(&query);
	return copy;
}

/* "imaps": what the layout calls imaps_port. */
static const char *port_of(struct run *r, const char *server)
{
	return layout_need(&r->sb->plan.layout,
			   arena_printf(&r->arena, "%s_port", server));
}

static void start_role(struct run *r, const struct sandbox_role *role)
{
	const char **argv = arena_alloc(&r->arena,
			(ARRAY_LEN(role->args) + 2) * sizeof(*argv));
	struct child *c;
	size_t n = 0;

	if (!applet_find(role->applet)) {
		say(r, "this program has no %s; left out", role->applet);
		return;
	}
	argv[n++] = role->applet;
	for (size_t i = 0; i < ARRAY_LEN(role->args) && role->args[i]; i++) {
		const char *arg = role->args[i];

		if (strcmp(arg, "@ini") == 0)
			arg = r->sb->ini;
		else if (strcmp(arg, "@socket") == 0)
			arg = arena_printf(&r->arena, "%s/run/%s", r->sb->dir,
					   role->socket);
		else if (strcmp(arg, "@dkim") == 0)
			arg = arena_printf(&r->arena, "%s/dkim", r->sb->dir);
		else if (strcmp(arg, "@dclogin") == 0)
			arg = dclogin_query(r);
		else if (*arg == '@')
			arg = arena_printf(&r->arena, "127.0.0.1:%s",
					   port_of(r, arg + 1));
		argv[n++] = arg;
	}
	c = child_new(r, role->name);
	c->spec.argv = argv;
	c->spec.file = "/proc/self/exe";
	c->spec.user = role->user ? role->user :
		       r->sb->relay->s.vmail_user;
	supervisor_add(&r->s, c);
}

static void start_program(struct run *r, const char *name, const char *file,
			  const char *const args[ARGS_MAX])
{
	const char **argv = arena_alloc(&r->arena,
					(ARGS_MAX + 2) * sizeof(*argv));
	struct child *c = child_new(r, name);

	argv[0] = strrchr(file, '/') + 1;
	for (size_t i = 0; i < ARGS_MAX; i++)
		argv[1 + i] = args[i];
	c->spec.argv = argv;
	c->spec.file = file;
	/* Postfix's master forgets to die with us, Dovecot leaves its
	 * processes with open sessions behind, nginx its workers */
	c->spec.guarded = true;
	supervisor_add(&r->s, c);
}

static const char *program(struct run *r, const char *name)
{
	struct buf file = BUF_INIT;
	const char *copy;

	if (proc_find(name, &file) < 0)
		bug("%s has gone", name);
	copy = arena_strdup(&r->arena, file.data);
	buf_free(&file);
	return copy;
}

/* dovecot -F and Postfix's master stay in the foreground; master would be a
 * grandchild of "postfix start-fg". Its -s keeps stdout for the log. */
static void start_all(struct run *r)
{
	struct sandbox *sb = r->sb;
	const char *master = arena_printf(&r->arena, "%s/master",
					  sb->daemon_dir);

	for (size_t i = 0; i < sandbox_role_count; i++)
		if (plan_wants(&sb->plan, sandbox_roles[i].when))
			start_role(r, &sandbox_roles[i]);
	start_program(r, "dovecot", program(r, "dovecot"),
		      (const char *[ARGS_MAX]) { "-F", "-c",
			sandbox_path(sb, "dovecot/dovecot.conf") });
	start_program(r, "postfix", master,
		      (const char *[ARGS_MAX]) { "-c",
			sandbox_path(sb, "postfix"), "-s" });
	start_program(r, "unbound", program(r, "unbound"),
		      (const char *[ARGS_MAX]) { "-d", "-c",
			sandbox_path(sb, "unbound/sandbox.conf") });
	start_program(r, "nginx", program(r, "nginx"),
		      (const char *[ARGS_MAX]) { "-c",
			sandbox_path(sb, "nginx/nginx.conf"), "-e", "stderr",
			"-g", "daemon off;" });
}

/* Without a watch of its own a connection in IDLE looks every 30 seconds. */
static void say_inotify_limit(struct run *r)
{
	static const char path[] =
		"/proc/sys/fs/inotify/max_user_instances";
	FILE *f = fopen(path, "re");
	unsigned max;

	if (!f)
		return;
	if (fscanf(f, "%u", &max) == 1 && max < INOTIFY_ENOUGH)
		say(r, "fs.inotify.max_user_instances is %u: of more "
		    "connections in IDLE some hear of mail half a minute late",
		    max);
	fclose(f);
}

static void open_log(struct run *r)
{
	struct sandbox *sb = r->sb;
	char *path = arena_printf(&r->arena, "%s/log", sb->dir);

	rename(path, arena_printf(&r->arena, "%s/log.1", sb->dir));
	sb->log = fopen(path, "we");
	if (!sb->log)
		die_errno("%s", path);
	setvbuf(sb->log, NULL, _IOLBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sb->colour = term_has_colour(STDOUT_FILENO);
}

int sandbox_run(struct sandbox *sb)
{
	static struct run run = {
		.s = {
			.on_line = on_line, .on_death = on_death,
			.on_signal = on_signal,
		},
		.probing = {
			.probes = run.probes, .patience = READY_PATIENCE,
			.on_ready = on_ready, .on_late = on_late,
		},
	};
	struct run *r = &run;

	r->sb = sb;
	open_log(r);
	remove_json(r);
	clock_gettime(CLOCK_MONOTONIC, &r->started);
	if (supervisor_start(&r->s) < 0)
		die_errno("supervisor");
	say(r, "starting %s in %s", sb->relay->mail_domain_bare, sb->dir);
	say_inotify_limit(r);
	start_all(r);
	add_probes(r);
	if (!r->s.stopping)
		probe_set_start(&r->probing, r->s.loop);
	supervisor_run(&r->s);
	say(r, "stopped");
	supervisor_free(&r->s);
	arena_free(&r->arena);
	fclose(sb->log);
	return r->exit_code;
}
