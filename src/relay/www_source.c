#include "relay/www_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "relay/www.h"

enum { DEPTH_MAX = 32, COPY_CHUNK = 64 * 1024 };

static const char prefix[] = "www/";	/* of the assets' names */

bool www_is_ignored(const char *name)
{
	return (*name == '.' && strcmp(name, ".well-known") != 0) ||
	       str_ends(name, "~") || str_ends(name, ".swp");
}

/* ---- names --------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct www_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void sort(struct www_source *s)
{
	if (s->count)
		qsort(s->files, s->count, sizeof(*s->files), compare);
}

const struct www_file *www_source_find(const struct www_source *s,
				       const char *name)
{
	const struct www_file key = { .name = name };

	return s->count ? bsearch(&key, s->files, s->count, sizeof(key),
				  compare) : NULL;
}

static void add(struct www_source *s, struct www_file file)
{
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 32;
		s->files = xrealloc(s->files, s->room * sizeof(file));
	}
	s->files[s->count++] = file;
}

void www_source_add_assets(struct www_source *s, bool all)
{
	size_t count, had = s->count;
	const struct asset *a = assets_all(&count);

	for (size_t i = 0; i < count; i++) {
		const char *name = a[i].name + strlen(prefix);
		bool there = false;

		if (!str_starts(a[i].name, prefix) ||
		    (!all && str_ends(name, ".md")))
			continue;
		for (size_t k = 0; k < had && !there; k++)
			there = strcmp(s->files[k].name, name) == 0;
		if (!there)
			add(s, (struct www_file){ .name = name,
						  .shown = a[i].name,
						  .asset = &a[i] });
	}
	sort(s);
}

/* ---- a directory --------------------------------------------------------- */

/* Opens without ever leaving the directory, whatever symbolic links say. Where
 * the kernel cannot promise that, none is followed at the end of the path. */
static int open_beneath(int dir, const char *name, int flags)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

struct walk {
	struct www_source *s;
	const char *top;	/* as in messages */
	struct buf *warnings, *err;
};

static void warn(struct walk *w, const char *name, const char *why)
{
	buf_addf(w->warnings, "%s/%s: left out: %s\n", w->top, name, why);
}

static int fail(struct walk *w, const char *name)
{
	buf_setf(w->err, "%s%s%s: %s", w->top, *name ? "/" : "", name,
		 strerror(errno));
	return -1;
}

static int walk_dir(struct walk *w, const char *name, int depth);

/* A link is judged by what it leads to. */
static void walk_link(struct walk *w, const char *name)
{
	int fd = open_beneath(w->s->fd, name, O_RDONLY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno != EXDEV && errno != ELOOP)
		warn(w, name, strerror(errno));
	else if (fd < 0)
		warn(w, name, "a symbolic link that leads out of the directory");
	else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		warn(w, name, "a symbolic link that does not lead to a file");
	else
		add(w->s, (struct www_file){ .name = name });
	if (fd >= 0)
		close(fd);
}

static int walk_entry(struct walk *w, const char *name, int depth)
{
	struct stat st;

	if (fstatat(w->s->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(w, name);
	if (S_ISDIR(st.st_mode))
		return walk_dir(w, name, depth + 1);
	if (S_ISREG(st.st_mode))
		add(w->s, (struct www_file){ .name = name });
	else if (S_ISLNK(st.st_mode))
		walk_link(w, name);
	else
		warn(w, name, "neither a file nor a directory");
	return 0;
}

/* name is "" for the top. */
static int walk_dir(struct walk *w, const char *name, int depth)
{
	int fd = open_beneath(w->s->fd, *name ? name : ".",
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int ret = 0;

	if (!d) {
		ret = fail(w, name);
		if (fd >= 0)
			close(fd);
		return ret;
	}
	if (depth > DEPTH_MAX) {
		errno = ENAMETOOLONG;
		ret = fail(w, name);
	}
	while (ret == 0 && (e = readdir(d))) {
		if (www_is_ignored(e->d_name))
			continue;
		ret = walk_entry(w, arena_printf(&w->s->arena, "%s%s%s", name,
						 *name ? "/" : "", e->d_name),
				 depth);
	}
	closedir(d);
	return ret;
}

void www_source_init(struct www_source *s)
{
	*s = (struct www_source){ .arena = ARENA_INIT, .fd = -1 };
}

int www_source_open(struct www_source *s, const char *dir,
		    struct buf *warnings, struct buf *err)
{
	struct walk w = { .s = s, .warnings = warnings, .err = err };
	size_t n = strlen(dir);

	www_source_init(s);
	while (n > 1 && dir[n - 1] == '/')
		n--;
	w.top = arena_strndup(&s->arena, dir, n);
	s->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return fail(&w, "");
	if (walk_dir(&w, "", 0) < 0)
		return -1;
	for (size_t i = 0; i < s->count; i++)
		s->files[i].shown = arena_printf(&s->arena, "%s/%s", w.top,
						 s->files[i].name);
	sort(s);
	return 0;
}

void www_source_free(struct www_source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s->files);
	arena_free(&s->arena);
	www_source_init(s);
}

/* ---- contents ------------------------------------------------------------ */

static int fail_file(const struct www_file *f, struct buf *err)
{
	buf_setf(err, "%s: %s", f->shown, strerror(errno));
	return -1;
}

/* The open file; it may have become something else since it was listed. */
static int open_file(const struct www_source *s, const struct www_file *f)
{
	int fd = open_beneath(s->fd, f->name, O_RDONLY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

static ssize_t read_some(int fd, struct buf *b)
{
	ssize_t n;

	buf_reserve(b, COPY_CHUNK);
	do
		n = read(fd, b->data + b->len, COPY_CHUNK);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		b->len += (size_t)n;
	b->data[b->len] = '\0';
	return n;
}

int www_source_read(const struct www_source *s, const struct www_file *f,
		    size_t max, struct buf *out, struct buf *err)
{
	size_t before = out->len;
	ssize_t n = 1;
	int fd;

	if (f->asset) {
		buf_add(out, f->asset->data, f->asset->size);
		return 0;
	}
	fd = open_file(s, f);
	if (fd < 0)
		return fail_file(f, err);
	while (n > 0 && out->len - before <= max)
		n = read_some(fd, out);
	if (n > 0)
		errno = EFBIG;
	if (n != 0) {
		fail_file(f, err);
		buf_truncate(out, before);
	}
	close(fd);
	return n == 0 ? 0 : -1;
}

int www_source_copy(const struct www_source *s, const struct www_file *f,
		    int fd, struct buf *err)
{
	struct buf chunk = BUF_INIT;
	ssize_t n = 1;
	int from, ret = 0;

	if (f->asset)
		return file_write_all(fd, f->asset->data, f->asset->size) < 0 ?
			fail_file(f, err) : 0;
	from = open_file(s, f);
	if (from < 0)
		return fail_file(f, err);
	while (ret == 0 && (n = read_some(from, &chunk)) > 0) {
		ret = file_write_all(fd, chunk.data, chunk.len);
		buf_reset(&chunk);
	}
	if (ret < 0 || n < 0)
		ret = fail_file(f, err);
	close(from);
	buf_free(&chunk);
	return ret;
}
