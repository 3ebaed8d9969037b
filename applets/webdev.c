/* chatmail webdev: shows the pages in a browser while they are written. */
#include "applets/webdev.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "applet.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "relay/www.h"

enum { PORT_FIRST = 8000, PORT_TRIES = 50 };

static const char address[] = "127.0.0.1";

static struct webdev webdev = { .mistake = BUF_INIT };

/* ---- building ------------------------------------------------------------------ */

/* Where a checkout of this program has its pages. */
static const char *checkout_source(void)
{
	struct stat st;

	return stat("www/index.md", &st) == 0 ? "www" : NULL;
}

/* What is watched from now on; true when that is something new. */
static bool choose_source(struct webdev *w, const struct relay *r)
{
	const char *source = *r->s.www_folder ? r->s.www_folder :
			     checkout_source();

	if (source && w->source ? strcmp(source, w->source) == 0 :
	    source == w->source)
		return false;
	free(w->source);
	w->source = source ? xstrdup(source) : NULL;
	if (source)
		log_info("the pages in %s", source);
	return true;
}

/* Watches first and reads then, so that no change is missed; again when
 * chatmail.ini names other sources than before. */
static struct relay *load_watched(struct webdev *w, struct buf *warnings,
				  struct buf *err)
{
	for (;;) {
		struct relay *r;

		if (watch_paths(&w->watch, w->source, w->ini, err) < 0)
			log_warn("%s", err->data);
		buf_reset(err);
		buf_reset(warnings);
		r = relay_load(w->ini, warnings, err);
		if (!r || !choose_source(w, r))
			return r;
		relay_free(r);
	}
}

static int build(struct webdev *w, struct buf *warnings, struct buf *err)
{
	struct relay *r = load_watched(w, warnings, err);
	struct www_options o = { .is_webdev = true };
	struct buf output = BUF_INIT;
	int ret = WWW_ERROR;

	if (r) {
		buf_addf(&output, "%s/www", w->dir);
		o.output = output.data;
		o.source = *r->s.www_folder ? NULL : w->source;
		ret = www_build(r, &o, warnings, err);
	}
	if (ret == WWW_SKIPPED)	/* its last line end is not ours to show */
		buf_add(err, warnings->data, warnings->len - 1);
	relay_free(r);
	buf_free(&output);
	return ret;
}

static void say_lines(char *text)
{
	for (char *end; *text; text = end + 1) {
		end = text + strcspn(text, "\n");
		if (!*end)
			break;
		*end = '\0';
		log_warn("%s", text);
	}
}

static void rebuild(struct webdev *w)
{
	struct buf warnings = BUF_INIT, err = BUF_INIT;
	int ret = build(w, &warnings, &err);

	buf_reset(&w->mistake);
	if (ret != WWW_BUILT)
		buf_adds(&w->mistake, err.data);
	if (ret != WWW_SKIPPED)
		say_lines(warnings.data);
	if (ret == WWW_BUILT)
		log_info("built");
	else
		log_warn("%s", err.data);
	snprintf(w->build, sizeof(w->build), "%ld-%u", (long)getpid(),
		 ++w->builds);
	webdev_notify(w);
	buf_free(&warnings);
	buf_free(&err);
}

static void on_changed(struct watch *watch)
{
	rebuild(container_of(watch, struct webdev, watch));
}

static int reload(struct daemon *d, struct buf *err)
{
	rebuild(container_of(d, struct webdev, daemon));
	return 0;
}

/* ---- start and end -------------------------------------------------------------- */

static void on_accepted(struct daemon *d, int fd)
{
	webdev_serve(container_of(d, struct webdev, daemon), fd);
}

static void stop(struct daemon *d)
{
	watch_close(&container_of(d, struct webdev, daemon)->watch);
}

/* The port asked for, or the first that is free; dies when there is none. */
static unsigned start_listening(struct webdev *w, unsigned port)
{
	unsigned tries = port ? 1 : PORT_TRIES;
	struct buf err = BUF_INIT;

	port = port ? port : PORT_FIRST;
	for (unsigned i = 0; i < tries; i++)
		if (daemon_listen_tcp(&w->daemon, address, port + i,
				      on_accepted, &err) == 0) {
			buf_free(&err);
			return port + i;
		}
	die("%s", err.data);
}

static char *make_dir(void)
{
	const char *tmp = getenv("TMPDIR");
	struct buf path = BUF_INIT;

	buf_addf(&path, "%s/chatmail-webdev-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(path.data))
		die_errno("%s", path.data);
	return buf_detach(&path);
}

static int run(const char *ini, unsigned port)
{
	struct webdev *w = &webdev;
	struct buf warnings = BUF_INIT, err = BUF_INIT;
	struct relay *r = relay_load(ini, &warnings, &err);
	int ret;

	if (!r)
		die("%s", err.data);
	relay_free(r);
	w->ini = ini;
	daemon_init(&w->daemon);
	w->daemon.reload = reload;
	w->daemon.stop = stop;
	port = start_listening(w, port);
	w->dir = make_dir();
	watch_init(&w->watch, w->daemon.loop, www_is_ignored, on_changed);
	rebuild(w);
	if (!w->source)
		log_info("the program's own pages: only %s is watched", ini);
	printf("http://%s:%u/\n", address, port);
	fflush(stdout);
	ret = daemon_run(&w->daemon);
	if (file_remove_tree(w->dir) < 0)
		log_warn("removing %s: %s", w->dir, strerror(errno));
	watch_close(&w->watch);
	free(w->dir);
	free(w->source);
	buf_free(&w->mistake);
	buf_free(&warnings);
	buf_free(&err);
	return ret;
}

static int webdev_main(int argc, char **argv)
{
	const char *text = "0", *config = NULL;
	const struct opt opts[] = {
		{ "port", &text, NULL }, { "config", &config, NULL }, { 0 },
	};
	struct buf err = BUF_INIT;
	uint64_t port;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0 || argc > 2)
		ret = applet_usage(&applet_webdev, "%s", argc < 0 ? err.data :
				   "at most one INI is needed");
	else if (str_to_u64(text, &port) < 0 || port > 65535)
		ret = applet_usage(&applet_webdev, "--port: expected a port "
				   "from 1 to 65535, got \"%s\"", text);
	else
		ret = run(relay_ini_path(argc == 2 ? argv[1] : config, true),
			  (unsigned)port);
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(webdev) {
	.name = "webdev",
	.summary = "show the web pages while they are written",
	.args = "[--port N] [INI]",
	.help =
"Builds the pages as \"chatmail www\" does, serves them on 127.0.0.1, and builds\n"
"them again whenever a source or chatmail.ini changes: open pages show it at\n"
"once. A mistake is shown in the page, with its file and line, until it is\n"
"mended. Ctrl-C ends it, and removes what was built.\n"
"\n"
"  --port N       listen there; default is the first free port from 8000 on\n"
"  --config INI   the same as INI\n"
"\n"
"The sources are those in www_folder of chatmail.ini; without it those in ./www\n"
"if it has an index.md, as a checkout of this program has; else the pages in the\n"
"program, which do not change.\n"
"\n"
"INI defaults to $CHATMAIL_INI, else ./chatmail.ini.\n"
"\n"
"Example: chatmail webdev --port 8080\n",
	.main = webdev_main,
};
