/* imap-notify.so: Dovecot tells apps of new mail at once, and forgets none.
 *
 * Loaded into Dovecot's processes by LD_PRELOAD. It changes how a process in
 * IDLE watches its mailbox (lib-storage/mailbox-watch.c, imap/cmd-idle.c of
 * Dovecot 2.3 and 2.4):
 *
 * 1. After a change of the directory Dovecot waits for 500 ms until it looks.
 *    Here it waits for $CHATMAIL_IMAP_NOTIFY_DELAY ms.
 * 2. A look can miss what is delivered in the same moment: the directory is
 *    read only when its time is not the known one, and a clock tick is 4 ms
 *    long. Dovecot reads it again when it next looks two seconds later, so
 *    there is always one more look AGAIN_MSECS after the last change, and
 *    after the beginning of IDLE.
 * 3. A connection hibernates only when all changes have been told: not while
 *    a look is due, nor with an event that nobody has read.
 *
 * Nothing of Dovecot's is known here but names and arguments of functions that
 * its libraries export and mailbox-watch.c calls. Where one is missing, all is
 * as without this library, but that no watched mailbox hibernates. Of libc it
 * needs what every libc has, and no version of it, so that one file does for
 * glibc and musl. */
#include <dlfcn.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STOCK_MSECS = 500,	/* NOTIFY_DELAY_MSECS of mailbox-watch.c */
	/* MAILDIR_SYNC_SECS is 1, and compared in whole seconds */
	AGAIN_MSECS = 2100,
	WATCHES_MAX = 8,	/* a process has one, as a rule */
	FDS_MAX = 1024,
	ADDRESS_MIN = 65536,	/* smaller: a number, no pointer */
};

typedef void callback_fn(void *context);
typedef void *timeout_add_fn(unsigned msecs, const char *file, unsigned line,
			     callback_fn *callback, void *context);
typedef int io_add_notify_fn(const char *path, const char *file, unsigned line,
			     callback_fn *callback, void *context, void **io);

/* In Dovecot's place; each does what its namesake does. */
#define EXPORT __attribute__((visibility("default")))
EXPORT timeout_add_fn timeout_add_short;
EXPORT io_add_notify_fn io_add_notify;
EXPORT void mailbox_watch_remove_all(void *box);
EXPORT int mailbox_watch_extract_notify_fd(void *box, const char **reason);

/* The namesakes, and Dovecot's timers. */
static struct {
	bool looked_up, complete;
	timeout_add_fn *timeout_add, *timeout_add_short;
	void (*timeout_remove)(void **timeout);
	io_add_notify_fn *io_add_notify;
	void (*remove_all)(void *box);
	int (*extract_fd)(void *box, const char **reason);
	unsigned delay;
} real;

/* A mailbox that is being watched. */
struct watch {
	void *box;		/* NULL: not in use */
	callback_fn *on_event;	/* mailbox-watch.c's, for inotify */
	callback_fn *on_delay;	/* mailbox-watch.c's, after its delay */
	void *again;		/* our timer */
	bool has_changed;	/* since the last look */
	bool is_due;		/* a look is */
};
static struct watch watches[WATCHES_MAX];
static bool is_extracting;

static unsigned delay_of(const char *text)
{
	unsigned n = 0;

	if (!text || !*text)
		return STOCK_MSECS;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || n > STOCK_MSECS)
			return STOCK_MSECS;
		n = n * 10 + (unsigned)(*text - '0');
	}
	return n < STOCK_MSECS ? n : STOCK_MSECS;
}

static void look_up(void)
{
	if (real.looked_up)
		return;
	real.looked_up = true;
	real.timeout_add = dlsym(RTLD_NEXT, "timeout_add");
	real.timeout_add_short = dlsym(RTLD_NEXT, "timeout_add_short");
	real.timeout_remove = dlsym(RTLD_NEXT, "timeout_remove");
	real.io_add_notify = dlsym(RTLD_NEXT, "io_add_notify");
	real.remove_all = dlsym(RTLD_NEXT, "mailbox_watch_remove_all");
	real.extract_fd = dlsym(RTLD_NEXT, "mailbox_watch_extract_notify_fd");
	real.delay = delay_of(getenv("CHATMAIL_IMAP_NOTIFY_DELAY"));
	real.complete = real.timeout_add && real.timeout_add_short &&
		real.timeout_remove && real.io_add_notify && real.remove_all &&
		real.extract_fd && real.delay < STOCK_MSECS;
}

static bool is_mailbox_watch(const char *file)
{
	static const char name[] = "mailbox-watch.c";
	const char *slash;

	if (!real.complete || (uintptr_t)file < ADDRESS_MIN)
		return false;
	slash = strrchr(file, '/');
	return strcmp(slash ? slash + 1 : file, name) == 0;
}

/* The watch of box, NULL when there is none; of NULL: one that is free. */
static struct watch *find(const void *box)
{
	for (size_t i = 0; i < WATCHES_MAX; i++)
		if (watches[i].box == box)
			return &watches[i];
	return NULL;
}

static void on_again(void *box)
{
	struct watch *w = find(box);

	real.timeout_remove(&w->again);
	w->on_event(box);
}

static void look_again_later(struct watch *w)
{
	if (w->again)
		real.timeout_remove(&w->again);
	w->again = real.timeout_add(AGAIN_MSECS, __FILE__, __LINE__, on_again,
				    w->box);
}

static void on_event(void *box)
{
	struct watch *w = find(box);

	w->has_changed = true;
	w->on_event(box);
}

/* The mailbox may not exist any more when this returns. */
static void on_delay(void *box)
{
	struct watch *w = find(box);

	w->is_due = false;
	if (w->has_changed)
		look_again_later(w);
	w->has_changed = false;
	w->on_delay(box);
}

int io_add_notify(const char *path, const char *file, unsigned line,
		  callback_fn *callback, void *context, void **io)
{
	struct watch *w;

	look_up();
	if (is_extracting || !is_mailbox_watch(file))
		return real.io_add_notify(path, file, line, callback, context,
					  io);
	w = find(context);
	if (!w) {
		w = find(NULL);
		if (!w)
			return real.io_add_notify(path, file, line, callback,
						  context, io);
		w->box = context;
		w->on_event = callback;
		look_again_later(w);
	}
	return real.io_add_notify(path, file, line, on_event, context, io);
}

void *timeout_add_short(unsigned msecs, const char *file, unsigned line,
			callback_fn *callback, void *context)
{
	struct watch *w;

	look_up();
	w = is_mailbox_watch(file) ? find(context) : NULL;
	if (!w)
		return real.timeout_add_short(msecs, file, line, callback,
					      context);
	w->on_delay = callback;
	w->is_due = true;
	if (msecs == STOCK_MSECS)
		msecs = real.delay;
	return real.timeout_add_short(msecs, file, line, on_delay, context);
}

void mailbox_watch_remove_all(void *box)
{
	struct watch *w;

	look_up();
	w = find(box);
	if (w) {
		if (w->again)
			real.timeout_remove(&w->again);
		memset(w, 0, sizeof(*w));
	}
	if (real.remove_all)
		real.remove_all(box);
}

static bool is_inotify(int fd)
{
	static const char want[] = "anon_inode:inotify";
	char path[32] = "/proc/self/fd/", link[sizeof(want)];
	size_t end = strlen(path);

	for (int n = fd; n; n /= 10)
		end++;
	path[end] = '\0';
	for (int n = fd; n; n /= 10)
		path[--end] = (char)('0' + n % 10);
	/* a longer name fills link as well */
	return readlink(path, link, sizeof(link)) == sizeof(want) - 1 &&
	       memcmp(link, want, sizeof(want) - 1) == 0;
}

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

/* Has inotify told what nobody has read? new_fd is another reader's. */
static bool has_unread_event(int new_fd)
{
	for (int fd = 1; fd < FDS_MAX; fd++)
		if (fd != new_fd && is_readable(fd) && is_inotify(fd))
			return true;
	return false;
}

/* What is refused here leads to a look, and Dovecot tries again some time
 * after it. */
int mailbox_watch_extract_notify_fd(void *box, const char **reason)
{
	const struct watch *w;
	int fd;

	look_up();
	w = find(box);
	if (!w || w->is_due || w->again) {
		*reason = "changes of the mailbox may be untold";
		return -1;
	}
	is_extracting = true;
	fd = real.extract_fd(box, reason);
	is_extracting = false;
	if (fd >= 0 && has_unread_event(fd)) {
		close(fd);
		*reason = "the mailbox has just changed";
		return -1;
	}
	return fd;
}
