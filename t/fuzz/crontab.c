/* Root's table of jobs, which others write as well: what is theirs stays. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/crontab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char ours[] = "1 2 * * * chatmail job x root acme\n";
	char *table = xstrndup((const char *)data, size);
	struct buf with = BUF_INIT, again = BUF_INIT, without = BUF_INIT;

	crontab_replace(&with, table, "o", ours);
	assert(crontab_has_word(with.data, "job"));
	/* the same once more is the same, and it goes without a trace */
	crontab_replace(&again, with.data, "o", ours);
	crontab_replace(&without, with.data, "o", "");
	assert(strlen(without.data) <= strlen(with.data) - strlen(ours));
	assert(strstr(with.data, ours));
	buf_reset(&again);
	crontab_add_user(&again, table, "root");
	assert(again.len >= strlen(table));
	buf_free(&with);
	buf_free(&again);
	buf_free(&without);
	free(table);
	return 0;
}
