/* chatmail www: builds the relay's web pages. */
#include "relay/www.h"

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "relay/relay.h"

static const char default_output[] = "www-build";

static void say_warnings(char *lines)
{
	for (char *end; *lines; lines = end + 1) {
		end = lines + strcspn(lines, "\n");
		if (!*end)
			break;
		*end = '\0';
		log_warn("%s", lines);
	}
}

static int build(const char *ini, const char *output)
{
	const struct www_options o = { .output = output };
	struct buf warnings = BUF_INIT, err = BUF_INIT;
	struct relay *r = relay_load(ini, &warnings, &err);
	int ret = r ? www_build(r, &o, &warnings, &err) : WWW_ERROR;

	say_warnings(warnings.data);
	if (ret == WWW_ERROR)
		log_warn("%s", err.data);
	if (ret == WWW_BUILT)
		printf("%s: the pages of %s\n", output, r->mail_domain_bare);
	relay_free(r);
	buf_free(&warnings);
	buf_free(&err);
	return ret == WWW_ERROR ? EXIT_FAIL : EXIT_OK;
}

static int www_main(int argc, char **argv)
{
	const char *output = default_output;
	const struct opt opts[] = { { "output", &output, NULL }, { 0 } };
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0 || argc > 2)
		ret = applet_usage(&applet_www, "%s", argc < 0 ? err.data :
				   "at most one INI is needed");
	else
		ret = build(relay_ini_path(argv[1], true), output);
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(www) {
	.name = "www",
	.summary = "build the relay's web pages",
	.args = "[--output DIR] [INI]",
	.help =
"Builds the pages that the relay shows into a directory: from its own sources,\n"
"or from those in www_folder of chatmail.ini. A www_folder with src/index.md is\n"
"built from its src; any other is taken as it is; one that is not there leaves\n"
"the relay without pages of ours.\n"
"\n"
"  --output DIR   build there; default www-build. DIR is replaced as a whole,\n"
"                 unless it holds files that this did not make\n"
"\n"
"Each NAME.md becomes NAME.html, in the frame of page-layout.html; other files\n"
"are copied. A directory called as a language (de, pt-BR) holds translations;\n"
"the first line of its index.md names it: <!-- language: Deutsch -->. Pages may\n"
"use {{ name }} and {% if [not] name [== \"text\"] %} ... {% endif %} with every\n"
"setting of chatmail.ini, and pagename, title, lang, root (the way to the top:\n"
"\"\" or \"../\"), language_links, hreflang_links; a layout markdown_html too.\n"
"\n"
"Nothing is built, and the old pages stay, if a source has a mistake, a merge\n"
"conflict, or the contacts of another relay's operators.\n"
"\n"
"INI defaults to $CHATMAIL_INI, else ./chatmail.ini.\n"
"\n"
"Example: chatmail www --output my-pages\n",
	.main = www_main,
};
