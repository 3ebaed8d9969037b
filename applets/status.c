/* chatmail status: is the relay well, and if not, what is to be done? */
#include "applets/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "relay/reload.h"
#include "text/json.h"

/* ./chatmail.ini if there is one, else the server's own. */
static const char *ini_of_operator(const char *arg)
{
	const char *here = relay_ini_path(arg, true);

	if (arg || access(here, F_OK) == 0)
		return here;
	return relay_ini_path(NULL, false);
}

/* https://no-color.org */
static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) &&
	       !(term && strcmp(term, "dumb") == 0);
}

static int show(const cJSON *status, bool json)
{
	struct buf out = BUF_INIT;
	int ret = status_is_ok(status) ? EXIT_OK : EXIT_FAIL;

	if (json) {
		json_print(&out, status);
		buf_addc(&out, '\n');
	} else {
		status_render(&out, status, wants_colour());
	}
	if (fwrite(out.data, 1, out.len, stdout) != out.len ||
	    fflush(stdout) != 0)
		ret = EXIT_FAIL;
	buf_free(&out);
	return ret;
}

static int show_here(const char *ini, bool json)
{
	struct relay *r = relay_load_or_die(ini_of_operator(ini));
	cJSON *status = status_collect(r);
	int ret = show(status, json);

	cJSON_Delete(status);
	relay_free(r);
	return ret;
}

static int status_main(int argc, char **argv)
{
	bool json = false, local = false;
	const struct opt opts[] = {
		{ "json", NULL, &json }, { "local", NULL, &local }, { 0 },
	};
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0 || argc > 2)
		ret = applet_usage(&applet_status, "%s", argc < 0 ? err.data :
				   "at most one INI is needed");
	else
		ret = show_here(argv[1], json);
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(status) {
	.name = "status",
	.summary = "show how the relay is and what is wrong with it",
	.args = "[--json] [--local] [INI]",
	.help =
"Shows the relay's services, versions, certificate, mail queue, connections,\n"
"accounts and the machine's resources; then what is wrong, each with what to do\n"
"about it. The exit code is 0 when nothing is, else 1. Some of it is only for\n"
"root to see.\n"
"\n"
"  --json    a JSON object on one line; \"problems\" are the sentences\n"
"  --local   of this machine, as always for now\n"
"\n"
"INI defaults to $CHATMAIL_INI, else ./chatmail.ini, else\n"
"/etc/chatmail/chatmail.ini. Colours are for terminals, unless NO_COLOR is set.\n"
"\n"
"Example: chatmail status\n",
	.main = status_main,
};
