#include "relay/mailbox_quota.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/str.h"

enum {
	SUBS = 2,		/* cur and new */
	TRIES = 3,
	DAY = 86400,
};
/* Bounded, so that no sum overflows: 1 TB is no message. */
static const uint64_t NUMBER_MAX = (uint64_t)1 << 40;

/* ---- names -------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The number at s; returns what follows, NULL when there is none. */
static const char *read_number(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (!is_digit(*s))
		return NULL;
	for (; is_digit(*s); s++) {
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > NUMBER_MAX)
			return NULL;
	}
	*out = v;
	return s;
}

bool mailbox_name_parse(const char *name, uint64_t *secs, uint64_t *size)
{
	const char *s = read_number(name, secs);
	const char *found = NULL;

	if (!s || *s != '.' || !s[1])
		return false;
	for (s += 2; *s && *s != '\n'; s++)
		if (s[0] == ',' && s[1] == 'S' && s[2] == '=' && is_digit(s[3]))
			found = s + 3;
	/* one character at least stands between the dot and the comma, which
	 * may not be a line feed either */
	return found && !memchr(name, '\n', (size_t)(found - name)) &&
	       read_number(found, size);
}

/* ---- which messages ------------------------------------------------------------ */

struct entry {
	uint64_t secs, size;
	int sub;
	const char *name;
};

struct collection {
	struct mailbox_dir dirs[SUBS];
	uint64_t total;		/* bytes, of those that may not go too */
	struct entry *list;	/* those that may go */
	size_t count, cap;
	struct arena names;
	bool vanished;		/* something went by another hand */
};

/* Upstream's order: time, size, path. */
static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->secs != y->secs)
		return x->secs < y->secs ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	if (x->sub != y->sub)
		return x->sub - y->sub;
	return strcmp(x->name, y->name);
}

static bool is_gone(const struct mailbox_shrink *s, const struct mailbox_dir *d,
		    int sub, const char *name)
{
	struct mailbox_file f = {
		.dir = d, .name = name, .sub = sub, .inbox = true,
	};

	return s->is_gone && (mailbox_file_stat(&f, s->trouble) <= 0 ||
			      s->is_gone(s, &f));
}

static void collect_one(const struct mailbox_shrink *s, struct collection *c,
			int sub, const char *name)
{
	struct entry e = { .sub = sub };

	if (!mailbox_name_parse(name, &e.secs, &e.size) ||
	    is_gone(s, &c->dirs[sub], sub, name))
		return;
	c->total += e.size;
	if ((int64_t)e.secs > s->now.tv_sec - DAY)
		return;
	if (c->count == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 64;
		c->list = xrealloc(c->list, c->cap * sizeof(*c->list));
	}
	e.name = arena_strdup(&c->names, name);
	c->list[c->count++] = e;
}

static void collect(const struct mailbox_shrink *s, struct collection *c,
		    const struct mailbox_dir *box)
{
	static const char *const names[SUBS] = { "cur", "new" };
	struct mailbox_list *l = xmalloc(sizeof(*l));
	unsigned char type;
	const char *name;
	int ret;

	for (int sub = 0; sub < SUBS; sub++) {
		if (mailbox_dir_open(&c->dirs[sub], box, names[sub],
				     false) < 0) {
			mailbox_unread(s->trouble, box, names[sub], errno);
			continue;
		}
		mailbox_list_start(l, &c->dirs[sub]);
		while ((ret = mailbox_list_next(l, &name, &type)) > 0)
			if (type == DT_REG)
				collect_one(s, c, sub, name);
		if (ret < 0)
			mailbox_unread(s->trouble, box, names[sub], errno);
	}
	free(l);
}

static void collection_free(struct collection *c)
{
	for (int sub = 0; sub < SUBS; sub++)
		mailbox_dir_close(&c->dirs[sub]);
	free(c->list);
	arena_free(&c->names);
}

/* ---- removing them --------------------------------------------------------------- */

void mailbox_forget_size(const struct mailbox_dir *box,
			 struct mailbox_trouble *t)
{
	if (unlinkat(box->fd, "maildirsize", 0) < 0 && errno != ENOENT)
		mailbox_unremoved(t, box, "maildirsize", errno);
}

/* What could not be removed goes on counting, so that others go instead. */
static void remove_one(struct mailbox_shrink *s, struct collection *c,
		       const struct entry *e)
{
	const struct mailbox_dir *d = &c->dirs[e->sub];

	if (!s->dry && unlinkat(d->fd, e->name, 0) < 0) {
		c->vanished = c->vanished || errno == ENOENT;
		mailbox_unremoved(s->trouble, d, e->name, errno);
		return;
	}
	c->total -= e->size;
	s->removed++;
}

static bool shrink_once(struct mailbox_shrink *s, const struct mailbox_dir *box)
{
	struct collection c = { 0 };

	collect(s, &c, box);
	if (c.total > s->target && c.count) {
		qsort(c.list, c.count, sizeof(*c.list), compare_entries);
		if (!s->dry)
			mailbox_forget_size(box, s->trouble);
		for (size_t i = 0; i < c.count && c.total > s->target &&
		     !c.vanished; i++)
			remove_one(s, &c, &c.list[i]);
		if (!s->dry)
			mailbox_forget_size(box, s->trouble);
	}
	collection_free(&c);
	return c.vanished;
}

void mailbox_shrink(struct mailbox_shrink *s, const struct mailbox_dir *box)
{
	/* a message that was not there has another name since: Dovecot renames
	 * it when it is read or flagged */
	for (int i = 0; i < TRIES && shrink_once(s, box); i++)
		;
}
