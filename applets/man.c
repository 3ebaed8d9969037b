/* chatmail man: the manual pages, printed from the tables of applets and
 * settings, in man(7) format. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "relay/relay.h"
#include "applet.h"

/* One line of running text: roff's control characters are made harmless. */
static void print_roff(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else
			putchar(*text);
		if (*text == '\n' && (text[1] == '.' || text[1] == '\''))
			fputs("\\&", stdout);
	}
}

static void print_applet(const struct applet *a)
{
	printf(".SS ");
	print_roff(a->name);
	printf("\n.B chatmail ");
	print_roff(a->name);
	putchar(' ');
	print_roff(a->args);
	printf("\n.PP\n");
	print_roff(a->summary);
	printf(".\n");
	if (a->aliases) {
		printf("Also called: ");
		print_roff(a->aliases);
		printf(".\n");
	}
	printf(".PP\n.nf\n");
	print_roff(a->help);
	printf(".fi\n");
}

static int print_program(void)
{
	printf(".TH CHATMAIL 8 \"\" \"chatmail %s\" \"System Administration\"\n"
	       ".SH NAME\nchatmail \\- set up and run a chatmail relay\n"
	       ".SH SYNOPSIS\n.B chatmail\n.I NAME\n[\\fIARGUMENT\\fR...]\n.br\n"
	       ".B chatmail help\n[\\fINAME\\fR]\n.br\n"
	       ".B chatmail \\-\\-list\n.br\n.B chatmail \\-\\-version\n"
	       "[\\-\\-verbose | \\-\\-json]\n.br\n"
	       ".B chatmail \\-\\-install\n.I DIR\n"
	       ".SH DESCRIPTION\n"
	       "One program with many personalities: the base name under which it"
	       "\nis called chooses one, else the first argument. A leading\n"
	       ".B chatmail\\-\nof the base name is dropped.\n"
	       ".B \\-\\-install\nmakes a symbolic link for each name in a"
	       " directory.\n.SH PERSONALITIES\n", CHATMAIL_VERSION);
	for (int i = 0; i < APPLET_COUNT; i++)
		print_applet(applets[i]);
	printf(".SH FILES\n"
	       ".TP\n.I chatmail.ini\nThe configuration, see chatmail.ini(5): the"
	       "\nargument, else $CHATMAIL_INI, else ./chatmail.ini for operator's"
	       "\ncommands and /etc/chatmail/chatmail.ini for services.\n"
	       ".TP\n.I /etc/chatmail\\-nocreate\nWhile it exists, no new address"
	       "\ncomes into being.\n"
	       ".SH ENVIRONMENT\n"
	       ".TP\n.B CHATMAIL_INI\nPath of the configuration.\n"
	       ".TP\n.B CHATMAIL_LOG\nSet to debug for a more detailed log.\n"
	       ".TP\n.B NO_COLOR\nNever write colours.\n"
	       ".SH EXIT STATUS\n0 success, 1 failure, 2 wrong usage.\n"
	       ".SH SEE ALSO\nchatmail.ini(5), postfix(1), dovecot(1)\n");
	return EXIT_OK;
}

static void print_setting(int id)
{
	const struct setting_doc *d = &setting_docs[id];

	printf(".TP\n.B ");
	print_roff(d->name);
	printf("\nExpected: %s. ", d->expect);
	if (*d->def) {
		printf("Default: ");
		print_roff(d->def);
		printf(". ");
	}
	putchar('\n');
	print_roff(d->doc);
	putchar('\n');
}

static int print_settings(void)
{
	const char *section = NULL;

	printf(".TH CHATMAIL.INI 5 \"\" \"chatmail %s\" \"File Formats\"\n"
	       ".SH NAME\nchatmail.ini \\- configuration of a chatmail relay\n"
	       ".SH DESCRIPTION\n"
	       "One section,\n.BR [params] ,\nwith lines\n.IR \"name = value\" .\n"
	       "Lines that begin with # or ; are comments; an indented line goes"
	       " on\nwith the value before it. An unknown name is warned about, a"
	       "\nbad value is an error. Services read the file again on SIGHUP"
	       " and\nkeep the old values when the new file is bad.\n"
	       ".SH SETTINGS\n", CHATMAIL_VERSION);
	for (int i = 0; i < SETTING_COUNT; i++) {
		if (!section || strcmp(section, setting_section(i)) != 0) {
			section = setting_section(i);
			if (*section)
				printf(".SS %s\n", section);
		}
		print_setting(i);
	}
	printf(".SH SEE ALSO\nchatmail(8)\n");
	return EXIT_OK;
}

static int man_main(int argc, char **argv)
{
	if (argc == 1 || (argc == 2 && strcmp(argv[1], "chatmail") == 0))
		return print_program();
	if (argc == 2 && strcmp(argv[1], "chatmail.ini") == 0)
		return print_settings();
	return applet_usage(&applet_man, "the pages are chatmail and "
			    "chatmail.ini");
}

DEFINE_APPLET(man) {
	.name = "man",
	.summary = "print a manual page in man(7) format",
	.args = "[chatmail|chatmail.ini]",
	.help =
"Prints chatmail(8) or chatmail.ini(5). Both are made from the same tables that\n"
"the program itself uses.\n"
"\n"
"Example: chatmail man chatmail.ini | man -l -\n",
	.main = man_main,
};
