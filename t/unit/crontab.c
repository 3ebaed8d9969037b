/* Entries of ours in cron's tables: of a table that others write into, all that
 * is theirs stays. */
#include "tap.h"

#include "text/crontab.h"

#define OURS "2 0 * * * chatmail job chatmail-expire vmail expire --remove\n"
/* Alpine's own */
#define TABLE \
"# do daily/weekly/monthly maintenance\n" \
"# min\thour\tday\tmonth\tweekday\tcommand\n" \
"*/15\t*\t*\t*\t*\trun-parts /etc/periodic/15min\n" \
"0\t2\t*\t*\t*\trun-parts /etc/periodic/daily\n" \
"\n"
#define BEGIN "# chatmail: begin\n"
#define END "# chatmail: end\n"

static const struct {
	const char *name, *table, *entries, *want;
} tables[] = {
	{ "an empty one", "", OURS, BEGIN OURS END },
	{ "Alpine's", TABLE, OURS, TABLE BEGIN OURS END },
	{ "a second time", TABLE BEGIN OURS END, OURS, TABLE BEGIN OURS END },
	{ "ours go", TABLE BEGIN OURS END, "", TABLE },
	{ "others' behind", BEGIN "1 1 * * * x\n" END TABLE, OURS,
	  TABLE BEGIN OURS END },
	{ "no line end", "1 1 * * * x", OURS,
	  "1 1 * * * x\n" BEGIN OURS END },
	{ "no end", BEGIN "1 1 * * * theirs\n", OURS,
	  BEGIN "1 1 * * * theirs\n" BEGIN OURS END },
	{ "an end alone", END "1 1 * * * x\n", OURS,
	  END "1 1 * * * x\n" BEGIN OURS END },
	{ "none of ours", TABLE, "", TABLE },
};

static const struct {
	const char *text, *want;
} users[] = {
	{ OURS, "2 0 * * * root chatmail job chatmail-expire vmail expire "
		"--remove\n" },
	{ "# 1 2 3 4 5 6\n\n*/5\t* * * *\tx y\n",
	  "# 1 2 3 4 5 6\n\n*/5\t* * * *\troot x y\n" },
	{ "SHELL=/bin/sh\n", "SHELL=/bin/sh\n" },
	{ "1 2 3 4 5", "1 2 3 4 5\n" },
	{ "1 2 3 4 5 x", "1 2 3 4 5 root x\n" },
	{ "", "" },
};

static const struct {
	const char *table, *word;
	bool want;
} words[] = {
	{ TABLE BEGIN OURS END, "chatmail-expire", true },
	{ TABLE BEGIN OURS END, "chatmail-exp", false },
	{ TABLE, "chatmail-expire", false },
	{ "# 2 0 * * * job chatmail-expire\n", "chatmail-expire", false },
	{ "2 0 * * * root job x", "x", true },
	{ "", "x", false },
};

int main(void)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		buf_reset(&out);
		crontab_replace(&out, tables[i].table, "chatmail",
				tables[i].entries);
		tap_is(out.data, tables[i].want, tables[i].name);
	}
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		buf_reset(&out);
		crontab_add_user(&out, users[i].text, "root");
		tap_is(out.data, users[i].want, "with the user");
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		tap_ok(crontab_has_word(words[i].table, words[i].word) ==
		       words[i].want, "is %s in it? (%zu)", words[i].word, i);
	buf_free(&out);
	return tap_done();
}
