/* A personality of the program: one file in applets/ and one line in
 * applets.def. */
#ifndef APPLET_H
#define APPLET_H

struct applet {
	const char *name;
	const char *aliases;	/* other names, space-separated; may be NULL */
	const char *summary;	/* one line, lower case, no full stop */
	const char *args;	/* synopsis after the name; "" for none */
	const char *help;	/* paragraphs, options and an example */
	/* argv[0] is the applet's name. Returns the exit code. */
	int (*main)(int argc, char **argv);
};

enum applet_id {
#define APPLET(name) APPLET_ID_##name,
#include "applets.def"
#undef APPLET
	APPLET_COUNT
};

#define APPLET(name) extern const struct applet applet_##name;
#include "applets.def"
#undef APPLET

/* Defines the applet of that name; does not compile without its line in
 * applets.def, and the line does not link without the applet. */
#define DEFINE_APPLET(name)						\
	_Static_assert(APPLET_ID_##name < APPLET_COUNT, "in applets.def"); \
	const struct applet applet_##name =

/* All applets in the order of applets.def. */
extern const struct applet *const applets[APPLET_COUNT];
/* The applet with that name or alias, or NULL. */
const struct applet *applet_find(const char *name);
/* Print usage and help of an applet to stdout. */
void applet_print_help(const struct applet *a);
/* Say on stderr what is wrong with the command line; returns EXIT_USAGE. */
int applet_usage(const struct applet *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
