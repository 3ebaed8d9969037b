#include "relay/notify_load.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

enum { BATCH = 256 };	/* files read by a thread at a time */

struct load {
	struct mailbox_job job;
	struct notify_loader *loader;
	struct mailbox_jobs *jobs;
	const char *dir;
	struct buf names;	/* each ended by NUL */
	size_t at;		/* of the next one to read */
	struct notify_item *items, **tail;
};

static void load_one(struct load *l, const char *name, struct buf *log)
{
	struct buf err = BUF_INIT;
	bool is_bad;

	*l->tail = notify_item_read(l->dir, name, &is_bad, &err);
	if (*l->tail) {
		l->tail = &(*l->tail)->next;
	} else {
		buf_addf(log, "%s queue item %s: %s\n", is_bad ?
			 "removing spurious" : "leaving unreadable", name,
			 err.data);
		if (is_bad && notify_item_unlink(l->dir, name, &err) < 0)
			buf_addf(log, "%s\n", err.data);
	}
	buf_free(&err);
}

static int step_load(struct mailbox_job *j)
{
	struct load *l = container_of(j, struct load, job);

	for (int i = 0; i < BATCH && l->at < l->names.len; i++) {
		const char *name = l->names.data + l->at;

		l->at += strlen(name) + 1;
		load_one(l, name, &j->err);
	}
	return 0;
}

static void submit(struct load *l)
{
	l->items = NULL;
	l->tail = &l->items;
	mailbox_jobs_submit(l->jobs, &l->job, xstrdup(l->dir));
}

static void done_load(struct mailbox_job *j, int ret, const char *err)
{
	struct load *l = container_of(j, struct load, job);

	while (*err) {
		size_t n = strcspn(err, "\n");

		log_warn("%.*s", (int)n, err);
		err += n + (err[n] == '\n');
	}
	l->loader->loaded(l->loader, l->items);
	if (l->at < l->names.len) {
		submit(l);
		return;
	}
	buf_free(&l->names);
	free(l);
}

/* An item whose writer was killed: its message's commit was not answered. */
static void remove_unfinished(const char *dir, const char *name)
{
	struct buf err = BUF_INIT;

	log_warn("removing spurious queue item %s", name);
	if (notify_item_unlink(dir, name, &err) < 0)
		log_warn("%s", err.data);
	buf_free(&err);
}

static int list_names(const char *dir, struct buf *names, struct buf *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d) {
		buf_setf(err, "%s: %s", dir, strerror(errno));
		return -1;
	}
	while ((e = readdir(d))) {
		const char *name = e->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (str_ends(name, ".tmp"))
			remove_unfinished(dir, name);
		else
			buf_add(names, name, strlen(name) + 1);
	}
	closedir(d);
	return 0;
}

int notify_load(struct notify_loader *loader, const char *dir,
		struct mailbox_jobs *jobs, struct buf *err)
{
	struct load *l = xcalloc(1, sizeof(*l));

	buf_init(&l->names);
	l->loader = loader;
	l->jobs = jobs;
	l->dir = dir;
	l->job.step = step_load;
	l->job.done = done_load;
	if (list_names(dir, &l->names, err) < 0) {
		free(l);
		return -1;
	}
	submit(l);
	return 0;
}
