/* Chooses the personality: base name of argv[0], else the first argument. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "host/libraries.h"
#include "text/json.h"

const struct applet *const applets[APPLET_COUNT] = {
#define APPLET(name) [APPLET_ID_##name] = &applet_##name,
#include "applets.def"
#undef APPLET
};

const struct applet *applet_find(const char *name)
{
	for (int i = 0; i < APPLET_COUNT; i++)
		if (strcmp(applets[i]->name, name) == 0 ||
		    str_has_word(applets[i]->aliases, name, strlen(name)))
			return applets[i];
	return NULL;
}

void applet_print_help(const struct applet *a)
{
	printf("%s - %s\n\nUsage: chatmail %s%s%s\n", a->name, a->summary,
	       a->name, *a->args ? " " : "", a->args);
	if (a->aliases)
		printf("Also called: %s\n", a->aliases);
	printf("\n%s", a->help);
}

int applet_usage(const struct applet *a, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "chatmail %s: ", a->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nUsage: chatmail %s%s%s\n"
		"'chatmail help %s' tells more.\n",
		a->name, *a->args ? " " : "", a->args, a->name);
	return EXIT_USAGE;
}

static int print_overview(void)
{
	printf("chatmail %s - sets up and runs a chatmail relay\n\n"
	       "Usage: chatmail NAME [ARGUMENT...]\n"
	       "       chatmail help [NAME] | --list | --install DIR\n"
	       "       chatmail --version [--verbose | --json]\n\n",
	       CHATMAIL_VERSION);
	for (int i = 0; i < APPLET_COUNT; i++)
		printf("  %-14s %s\n", applets[i]->name, applets[i]->summary);
	return EXIT_OK;
}

static int print_help(int argc, char **argv)
{
	const struct applet *a;

	if (argc < 2)
		return print_overview();
	a = applet_find(argv[1]);
	if (!a) {
		fprintf(stderr, "chatmail: no personality is called \"%s\"; "
			"'chatmail --list' names all\n", argv[1]);
		return EXIT_USAGE;
	}
	applet_print_help(a);
	return EXIT_OK;
}

static int print_list(int argc, char **argv)
{
	for (int i = 0; i < APPLET_COUNT; i++)
		puts(applets[i]->name);
	return EXIT_OK;
}

static void add_version_json(struct buf *out)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddStringToObject(object, "version", CHATMAIL_VERSION);
	libraries_json(object);
	json_print(out, object);
	buf_addc(out, '\n');
	cJSON_Delete(object);
}

static int print_version(int argc, char **argv)
{
	bool verbose = false, json = false;
	const struct opt opts[] = {
		{ "verbose", NULL, &verbose }, { "json", NULL, &json },
		{ NULL }
	};
	struct buf text = BUF_INIT;

	if (opt_parse(opts, argc, argv, &text) != 1) {
		fprintf(stderr, "Usage: chatmail --version "
			"[--verbose | --json]\n");
		buf_free(&text);
		return EXIT_USAGE;
	}
	if (json) {
		add_version_json(&text);
	} else {
		buf_addf(&text, "chatmail %s\n", CHATMAIL_VERSION);
		if (verbose)
			libraries_show(&text);
	}
	fputs(text.data, stdout);
	buf_free(&text);
	return EXIT_OK;
}

/* Makes one symlink; one that exists is replaced, another file is not. */
static int install_link(const char *target, const char *dir, const char *name,
			size_t len)
{
	struct buf path = BUF_INIT;
	char old[8];
	int ret = EXIT_OK;

	buf_addf(&path, "%s/%.*s", dir, (int)len, name);
	if (readlink(path.data, old, sizeof(old)) >= 0)
		unlink(path.data);
	if (symlink(target, path.data) < 0) {
		fprintf(stderr, "chatmail: %s: %s\n", path.data,
			strerror(errno));
		ret = EXIT_FAIL;
	}
	buf_free(&path);
	return ret;
}

static int install_links(int argc, char **argv)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int ret = EXIT_OK;

	if (argc != 2) {
		fprintf(stderr, "Usage: chatmail --install DIR\n");
		return EXIT_USAGE;
	}
	if (n < 0)
		die_errno("/proc/self/exe");
	self[n] = '\0';
	for (int i = 0; i < APPLET_COUNT; i++) {
		const char *word = applets[i]->aliases;

		ret |= install_link(self, argv[1], applets[i]->name,
				    strlen(applets[i]->name));
		while (word && *word) {
			size_t len = strcspn(word, " ");

			ret |= install_link(self, argv[1], word, len);
			word += len + (word[len] == ' ');
		}
	}
	/* under which operators know us; the first argument chooses */
	return ret | install_link(self, argv[1], "cmdeploy",
				  strlen("cmdeploy"));
}

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} builtins[] = {
	{ "help", print_help },
	{ "--help", print_help },
	{ "-h", print_help },
	{ "--list", print_list },
	{ "--version", print_version },
	{ "--install", install_links },
};

static int run_applet(const struct applet *a, int argc, char **argv)
{
	log_init(a->name);
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 ||
			 strcmp(argv[1], "-h") == 0)) {
		applet_print_help(a);
		return EXIT_OK;
	}
	argv[0] = (char *)a->name;
	return a->main(argc, argv);
}

/* Full buffers and a closed pipe show only when stdout is flushed. */
static int flush_stdout(int ret)
{
	if ((fflush(stdout) != 0 || ferror(stdout)) && ret == EXIT_OK) {
		fprintf(stderr, "chatmail: writing the output: %s\n",
			strerror(errno));
		return EXIT_FAIL;
	}
	return ret;
}

static int dispatch(int argc, char **argv)
{
	const char *self = argc ? argv[0] : "chatmail";
	const char *slash = strrchr(self, '/');
	const struct applet *a;

	if (slash)
		self = slash + 1;
	a = applet_find(self);
	if (!a && str_starts(self, "chatmail-"))
		a = applet_find(self + strlen("chatmail-"));
	if (a)
		return run_applet(a, argc, argv);
	argc--, argv++;
	if (argc < 1)
		return print_overview();
	for (size_t i = 0; i < ARRAY_LEN(builtins); i++)
		if (strcmp(builtins[i].name, argv[0]) == 0)
			return builtins[i].main(argc, argv);
	a = applet_find(argv[0]);
	if (a)
		return run_applet(a, argc, argv);
	fprintf(stderr, "chatmail: no personality is called \"%s\"; "
		"'chatmail --list' names all\n", argv[0]);
	return EXIT_USAGE;
}

/* A file opened later must not become stdin, stdout or stderr. */
static void open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	open_standard_fds();
	return flush_stdout(dispatch(argc, argv));
}
