/* chatmail init: writes a chatmail.ini with every setting explained. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "relay/relay.h"
#include "applet.h"

static int write_ini(const char *path, const char *domain, bool force)
{
	struct buf text = BUF_INIT;
	int ret = EXIT_OK;

	relay_write_ini(&text, domain);
	if (!force && access(path, F_OK) == 0) {
		log_warn("%s exists already and was left as it is; --force "
			 "replaces it", path);
		ret = EXIT_FAIL;
	} else if (file_replace(path, text.data, text.len, 0644, 1) < 0) {
		log_warn("%s: %s", path, strerror(errno));
		ret = EXIT_FAIL;
	} else {
		printf("%s written for %s\n", path, domain);
	}
	buf_free(&text);
	return ret;
}

static int init_main(int argc, char **argv)
{
	const char *path = NULL;
	bool force = false;
	const struct opt opts[] = {
		{ "config", &path, NULL }, { "force", NULL, &force }, { 0 },
	};
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0)
		ret = applet_usage(&applet_init, "%s", err.data);
	else if (argc != 2)
		ret = applet_usage(&applet_init, "one domain is needed");
	else if (relay_domain_kind(argv[1], &err) < 0)
		ret = (log_warn("%s", err.data), EXIT_FAIL);
	else
		ret = write_ini(relay_ini_path(path, true), argv[1], force);
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(init) {
	.name = "init",
	.summary = "write chatmail.ini for a new relay",
	.args = "DOMAIN [--config FILE] [--force]",
	.help =
"Writes a configuration in which every setting is explained. DOMAIN is the\n"
"relay's domain: a domain name, a name that begins with an underscore (a relay\n"
"with a self-signed certificate), or a public IPv4 address.\n"
"\n"
"  --config FILE   write FILE; default $CHATMAIL_INI, else ./chatmail.ini\n"
"  --force         replace the file if there is one\n"
"\n"
"Example: chatmail init chat.example.org\n",
	.main = init_main,
};
