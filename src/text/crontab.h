/* Tables of cron, crontab(5): jobs of ours as entries of a table. */
#ifndef TEXT_CRONTAB_H
#define TEXT_CRONTAB_H

#include <stdbool.h>

#include "base/buf.h"

/* Append the entries in text, lines of crontab(5) with five fields of time and
 * a command, as /etc/cron.d wants them: with the user before the command.
 * Comments and empty lines go through. */
void crontab_add_user(struct buf *out, const char *text, const char *user);

/* Append a whole table with our entries between two marks that name their
 * owner: those that it had there are replaced, the rest is as it was. With
 * entries "" the marks go too. */
void crontab_replace(struct buf *out, const char *table, const char *owner,
		     const char *entries);

/* Is there an entry with that word in its command? */
bool crontab_has_word(const char *table, const char *word);

#endif
