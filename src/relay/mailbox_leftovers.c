#include "relay/mailbox_leftovers.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

/* What is written by file_replace() in a mailbox. */
static const char *const ours[] = { "metadata.json", "password" };

/* Skips digits, one at least; NULL when there is none. */
static const char *skip_number(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n ? s + n : NULL;
}

bool mailbox_is_leftover(const char *name)
{
	const char *mark = strstr(name, ".tmp-"), *s;
	bool is_ours = false;

	for (size_t i = 0; mark && i < ARRAY_LEN(ours); i++)
		is_ours |= strlen(ours[i]) == (size_t)(mark - name) &&
			str_starts(name, ours[i]);
	if (!is_ours)
		return false;
	s = skip_number(mark + strlen(".tmp-"));
	s = s && *s == '-' ? skip_number(s + 1) : NULL;
	return s && !*s;
}

void mailbox_leftovers(const struct mailbox_dir *box, struct timespec before,
		       void (*each)(const struct mailbox_file *f),
		       struct mailbox_trouble *t)
{
	static struct mailbox_list list;	/* too large for a stack */
	unsigned char type;
	const char *name;
	int ret;

	mailbox_list_start(&list, box);
	while ((ret = mailbox_list_next(&list, &name, &type)) > 0) {
		struct mailbox_file f = {
			.dir = box, .name = name, .sub = MAILBOX_OTHER,
		};

		if (mailbox_is_leftover(name) && mailbox_file_stat(&f, t) > 0 &&
		    mailbox_is_before(f.mtime, before))
			each(&f);
	}
	if (ret < 0)
		mailbox_unread(t, box, NULL, errno);
}
