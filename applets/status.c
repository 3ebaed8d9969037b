/* chatmail status: is the relay well, and if not, what is to be done? */
#include "applets/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "host/remote.h"
#include "relay/reload.h"
#include "text/json.h"

enum { STATUS_MAX = 1024 * 1024 };

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
	struct relay *r = relay_load_or_die(relay_ini_of_operator(ini));
	cJSON *status = status_collect(r);
	int ret = show(status, json);

	cJSON_Delete(status);
	relay_free(r);
	return ret;
}

/* The same program there tells, and we show it. */
static int show_there(const char *host, const char *identity, bool json)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	cJSON *status = NULL;
	int code, ret = EXIT_FAIL;

	if (remote_ask(host, identity, "status --json --local", STATUS_MAX,
		       &text, &code, &err) == 0)
		status = json_parse(str_trim(text.data),
				    strlen(str_trim(text.data)), &err);
	if (status)
		ret = show(status, json);
	else
		log_warn("%s", err.data);
	cJSON_Delete(status);
	buf_free(&text);
	buf_free(&err);
	return ret;
}

/* Without being told: this machine if it is a relay, else that of mail_domain
 * in the operator's chatmail.ini. */
static int show_somewhere(const char *ini, const char *host,
			  const char *identity, bool json)
{
	const char *path = relay_ini_of_operator(ini);
	struct relay *r;
	int ret;

	if (host && remote_is_here(host))
		return show_here(ini, json);
	if (host)
		return show_there(host, identity, json);
	if (access("/etc/chatmail/chatmail.ini", F_OK) == 0)
		return show_here(ini, json);
	r = relay_load_or_die(path);
	ret = show_there(r->mail_domain_bare, identity, json);
	relay_free(r);
	return ret;
}

static int status_main(int argc, char **argv)
{
	bool json = false, local = false;
	const char *host = NULL, *identity = NULL, *config = NULL;
	const struct opt opts[] = {
		{ "json", NULL, &json }, { "local", NULL, &local },
		{ "ssh-host", &host, NULL }, { "i", &identity, NULL },
		{ "config", &config, NULL }, { 0 },
	};
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0 || argc > 2)
		ret = applet_usage(&applet_status, "%s", argc < 0 ? err.data :
				   "at most one INI is needed");
	else
		ret = show_somewhere(argc == 2 ? argv[1] : config,
				     local ? "localhost" : host, identity,
				     json);
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(status) {
	.name = "status",
	.summary = "show how the relay is and what is wrong with it",
	.args = "[--json] [--ssh-host HOST | --local] [INI]",
	.help =
"Shows the relay's services, versions, certificate, mail queue, connections,\n"
"accounts and the machine's resources; then what is wrong, each with what to do\n"
"about it. The exit code is 0 when nothing is, else 1. Some of it is only for\n"
"root to see.\n"
"\n"
"  --json    a JSON object on one line; \"problems\" are the sentences,\n"
"            \"notes\" what is not as it could be, and no problem\n"
"  --ssh-host HOST   of that host, [user@]host[:port], where the program says the\n"
"            same. Default: this machine if it is a relay, else root at\n"
"            mail_domain; -i FILE is the private key to log in with\n"
"  --local   of this machine, as --ssh-host localhost\n"
"  --config INI      the same as INI\n"
"\n"
"INI defaults to $CHATMAIL_INI, else ./chatmail.ini, else\n"
"/etc/chatmail/chatmail.ini. Colours are for terminals, unless NO_COLOR is set.\n"
"\n"
"Example: chatmail status\n",
	.main = status_main,
};
