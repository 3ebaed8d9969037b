#include "host/download.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "net/fetch.h"
#include "text/targz.h"

enum {
	CHUNK = 65536, STEP_MIN = 256 * 1024,
	CONNECT_SECS = 20, STALL_SECS = 30, ATTEMPT_SECS = 3600,
	PAUSE_MSECS = 1000,
	ATTEMPTS_MAX = 20,	/* that each bring something */
	IDLE_ATTEMPTS_MAX = 2,	/* one after the other that bring nothing */
	SHA256_HEX = 64, NOTE_MAX = 8192,
	PART_WRONG = -2,	/* came whole, and is not what was wanted */
};

bool download_is_sha256(const char *s)
{
	size_t n = 0;

	while (isxdigit((unsigned char)s[n]))
		n++;
	return n == SHA256_HEX && !s[n];
}

/* ---- SHA-256 ------------------------------------------------------------------ */

static EVP_MD_CTX *sha256_new(void)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		bug("no SHA-256");
	return md;
}

/* Frees md. */
static void sha256_end(EVP_MD_CTX *md, char hex[SHA256_HEX + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_DigestFinal_ex(md, digest, &n) != 1 || n != SHA256_HEX / 2)
		bug("no SHA-256");
	EVP_MD_CTX_free(md);
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* Read at most n bytes. Returns how many, 0 at the end, -1 with errno. */
static ssize_t read_some(int fd, void *p, size_t n)
{
	ssize_t got;

	do
		got = read(fd, p, n);
	while (got < 0 && errno == EINTR);
	return got;
}

static int open_regular(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

bool download_is_there(const struct download *d)
{
	char chunk[CHUNK], hex[SHA256_HEX + 1];
	int fd = open_regular(d->path);
	EVP_MD_CTX *md;
	ssize_t n;

	if (fd < 0)
		return false;
	md = sha256_new();
	while ((n = read_some(fd, chunk, sizeof(chunk))) > 0)
		if (EVP_DigestUpdate(md, chunk, (size_t)n) != 1)
			bug("no SHA-256");
	close(fd);
	sha256_end(md, hex);
	return n == 0 && strcmp(hex, d->sha256) == 0;
}

/* ---- putting it in place ------------------------------------------------------ */

/* What is written beside the file's place, and hashed on its way. */
struct copy {
	struct targz archive;
	const struct download *d;
	int fd;
	uint64_t size;
	EVP_MD_CTX *md;
	bool is_ours;		/* the error: not that of what is copied */
};

static int copy_fail(struct copy *c, const char *path, struct buf *err)
{
	c->is_ours = true;
	buf_setf(err, "%s: %s", path, strerror(errno));
	return -1;
}

static int copy_add(struct copy *c, const void *p, size_t n, struct buf *err)
{
	c->size += n;
	if (c->size > c->d->size_max) {
		buf_setf(err, "it is larger than %llu bytes",
			 (unsigned long long)c->d->size_max);
		return -1;
	}
	if (EVP_DigestUpdate(c->md, p, n) != 1)
		bug("no SHA-256");
	if (file_write_all(c->fd, p, n) == 0)
		return 0;
	return copy_fail(c, c->d->path, err);
}

static int on_member(struct targz *t, const void *p, size_t n,
		     struct buf *err)
{
	return copy_add(container_of(t, struct copy, archive), p, n, err);
}

/* Returns 1 when no more is needed, 0 to go on, -1 with *err. */
static int copy_some(struct copy *c, bool is_archive, const void *p, size_t n,
		     struct buf *err)
{
	if (is_archive)
		return targz_feed(&c->archive, p, n, err);
	return copy_add(c, p, n, err);
}

static bool is_gzip(const char *p, ssize_t n)
{
	return n >= 2 && p[0] == '\x1f' && p[1] == '\x8b';
}

static int copy_all(struct copy *c, int in, struct buf *err)
{
	bool is_archive = false, is_first = true;
	char chunk[CHUNK];
	ssize_t n;
	int ret = 0;

	while (ret == 0 && (n = read_some(in, chunk, sizeof(chunk))) != 0) {
		if (n < 0)
			return copy_fail(c, "reading it", err);
		if (is_first)
			is_archive = c->d->member && is_gzip(chunk, n);
		is_first = false;
		ret = copy_some(c, is_archive, chunk, (size_t)n, err);
	}
	return ret == 0 && is_archive ? targz_end(&c->archive, err) :
		ret < 0 ? -1 : 0;
}

static int check_hash(struct copy *c, struct buf *err)
{
	char hex[SHA256_HEX + 1];

	sha256_end(c->md, hex);
	c->md = NULL;
	if (strcmp(hex, c->d->sha256) == 0)
		return 0;
	buf_setf(err, "it has the SHA-256 %s instead of %s", hex,
		 c->d->sha256);
	return -1;
}

static int sync_directory(const char *path)
{
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	int fd, ret;

	slash[slash == dir] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (fd < 0)
		return -1;
	ret = fsync(fd);
	close(fd);
	return ret;
}

/* From here on it is what was wanted. A program that runs from the old file
 * keeps that. */
static int put_in_place(struct copy *c, const char *beside, struct buf *err)
{
	if (fchown(c->fd, geteuid(), getegid()) == 0 &&
	    fchmod(c->fd, c->d->mode) == 0 && fsync(c->fd) == 0 &&
	    rename(beside, c->d->path) == 0 && sync_directory(c->d->path) == 0)
		return 0;
	return copy_fail(c, c->d->path, err);
}

static int make_directory_of(const char *path)
{
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	int ret;

	*slash = '\0';
	ret = slash == dir ? 0 : file_mkdirs(dir, 0755);
	free(dir);
	return ret;
}

static int copy_begin(struct copy *c, const char *beside, struct buf *err)
{
	unlink(beside);
	if (make_directory_of(c->d->path) == 0)
		c->fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			     0600);
	if (c->fd < 0)
		return copy_fail(c, beside, err);
	c->archive = (struct targz) {
		.member = c->d->member, .size_max = c->d->size_max,
		.data = on_member,
	};
	c->md = sha256_new();
	return targz_init(&c->archive, err);
}

/* The file, or the archive that has it, is open at its beginning. is_wrong:
 * it is not what was wanted, whatever else may be tried. */
static int install(const struct download *d, int in, bool *is_wrong,
		   struct buf *err)
{
	struct copy c = { .d = d, .fd = -1 };
	struct buf beside = BUF_INIT;
	int ret;

	buf_addf(&beside, "%s.chatmail-new", d->path);
	ret = copy_begin(&c, beside.data, err);
	if (ret == 0)
		ret = copy_all(&c, in, err);
	if (ret == 0)
		ret = check_hash(&c, err);
	if (ret == 0)
		ret = put_in_place(&c, beside.data, err);
	if (ret < 0 && c.fd >= 0)
		unlink(beside.data);
	*is_wrong = ret < 0 && !c.is_ours;
	EVP_MD_CTX_free(c.md);
	if (c.fd >= 0) {
		targz_free(&c.archive);
		close(c.fd);
	}
	buf_free(&beside);
	return ret;
}

/* ---- from a directory ----------------------------------------------------------- */

/* "https://host/a/b.tar.gz?x" has the name "b.tar.gz". */
static void add_name_of(struct buf *out, const char *url)
{
	size_t n = strcspn(url, "?#"), begin = n;

	while (begin > 0 && url[begin - 1] != '/')
		begin--;
	buf_add(out, url + begin, n - begin);
}

/* Returns 1 when it was there and right, 0 when it was not there; what is wrong
 * with one that is there is added to wrong. */
static int try_cached(const struct download *d, const char *name,
		      struct buf *wrong)
{
	struct buf path = BUF_INIT, err = BUF_INIT;
	int fd, ret = 0;
	bool is_wrong;

	buf_addf(&path, "%s/%s", d->cache_dir, name);
	fd = *name ? open_regular(path.data) : -1;
	if (fd >= 0) {
		ret = install(d, fd, &is_wrong, &err) == 0;
		close(fd);
		if (!ret)
			buf_addf(wrong, "%s%s: %s", wrong->len ? "; " : "",
				 path.data, err.data);
	} else if (*name && errno != ENOENT) {
		buf_addf(wrong, "%s%s: %s", wrong->len ? "; " : "", path.data,
			 strerror(errno));
	}
	buf_free(&path);
	buf_free(&err);
	return ret;
}

static int get_cached(const struct download *d, struct buf *wrong)
{
	struct buf name = BUF_INIT;
	int ret;

	if (!d->cache_dir || !*d->cache_dir)
		return 0;
	ret = try_cached(d, d->sha256, wrong);
	if (!ret) {
		add_name_of(&name, d->url);
		ret = try_cached(d, name.data, wrong);
	}
	buf_free(&name);
	return ret;
}

/* ---- from the network --------------------------------------------------------- */

/* What an earlier run has brought: PART, and in PART.from the URL and the
 * server's mark, a line each. */
struct part {
	struct fetch fetch;
	struct download *d;
	struct buf path, note;	/* of the files */
	char noted[FETCH_VALIDATOR_MAX];
	bool is_noted, was_resumed;
};

static bool read_note(struct part *p)
{
	struct buf text = BUF_INIT;
	char *end, *mark;
	bool ret = false;

	if (file_read(p->note.data, NOTE_MAX, &text) == 0 &&
	    (end = strchr(text.data, '\n'))) {
		*end = '\0';
		mark = end + 1;
		mark[strcspn(mark, "\n")] = '\0';
		ret = strcmp(text.data, p->d->url) == 0 &&
			strlen(mark) < FETCH_VALIDATOR_MAX;
		if (ret)
			memcpy(p->fetch.validator, mark, strlen(mark) + 1);
	}
	buf_free(&text);
	return ret;
}

static int write_note(const struct part *p)
{
	struct buf text = BUF_INIT;
	int ret;

	buf_addf(&text, "%s\n%s\n", p->d->url, p->fetch.validator);
	ret = file_replace(p->note.data, text.data, text.len, 0600, 0);
	buf_free(&text);
	return ret;
}

static void part_remove(const struct part *p)
{
	unlink(p->path.data);
	unlink(p->note.data);
}

/* With what is there of that URL. */
static int part_open(struct part *p, struct buf *err)
{
	const char *name = strrchr(p->d->path, '/') + 1;
	struct stat st;

	buf_addf(&p->path, "%s/%s.part", p->d->work_dir, name);
	buf_addf(&p->note, "%s.from", p->path.data);
	if (file_mkdirs(p->d->work_dir, 0700) < 0) {
		buf_setf(err, "%s: %s", p->d->work_dir, strerror(errno));
		return -1;
	}
	p->fetch.fd = open(p->path.data, O_RDWR | O_CREAT | O_CLOEXEC |
			   O_NOFOLLOW, 0600);
	if (p->fetch.fd < 0 || fstat(p->fetch.fd, &st) < 0) {
		buf_setf(err, "%s: %s", p->path.data, strerror(errno));
		return -1;
	}
	if (st.st_size > 0 && read_note(p))
		p->fetch.have = (uint64_t)st.st_size;
	return 0;
}

/* Noted at once, as the process may be killed. */
static void note_answer(struct part *p)
{
	if (p->is_noted && strcmp(p->noted, p->fetch.validator) == 0)
		return;
	p->is_noted = write_note(p) == 0;
	memcpy(p->noted, p->fetch.validator, sizeof(p->noted));
}

static void on_progress(struct fetch *f)
{
	struct part *p = container_of(f, struct part, fetch);
	struct download *d = p->d;
	uint64_t step = f->total / 100;

	note_answer(p);
	if (step < STEP_MIN)
		step = STEP_MIN;
	if (!d->progress || (f->have >= d->told && f->have < d->told + step &&
			     f->have != f->total))
		return;
	d->told = f->have;
	d->progress(d, f->have, f->total);
}

static void wait_a_moment(unsigned msecs)
{
	struct timespec t = {
		.tv_sec = msecs / 1000, .tv_nsec = msecs % 1000 * 1000000L,
	};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* As many attempts as bring us on. */
static int fetch_all(struct part *p, struct buf *err)
{
	enum fetch_result ret = FETCH_CUT;
	unsigned idle = 0;

	for (unsigned i = 0; i < ATTEMPTS_MAX && ret == FETCH_CUT &&
	     idle < IDLE_ATTEMPTS_MAX; i++) {
		uint64_t had = p->fetch.have;

		if (i > 0)
			wait_a_moment(p->d->pause_msecs ? p->d->pause_msecs :
							  PAUSE_MSECS);
		p->was_resumed |= had > 0;
		buf_reset(err);
		ret = fetch_file(&p->fetch, err);
		idle = p->fetch.have > had ? 0 : idle + 1;
	}
	if (ret != FETCH_DONE)
		return -1;
	buf_reset(err);
	return 0;
}

static int install_part(struct part *p, bool *is_wrong, struct buf *err)
{
	*is_wrong = false;
	if (lseek(p->fetch.fd, 0, SEEK_SET) == 0)
		return install(p->d, p->fetch.fd, is_wrong, err);
	buf_setf(err, "%s: %s", p->path.data, strerror(errno));
	return -1;
}

/* Is there no room for another block? Then not because of us. */
static bool is_disk_full(int fd)
{
	static const char block[4096];
	off_t end = lseek(fd, 0, SEEK_END);
	bool ret = end >= 0 && write(fd, block, sizeof(block)) !=
		(ssize_t)sizeof(block);

	return end >= 0 && (ftruncate(fd, end) < 0 || ret);
}

static int fetch_and_install(struct part *p, struct buf *err)
{
	bool is_wrong = false;
	int ret = fetch_all(p, err);

	if (ret < 0) {
		if (p->fetch.have == 0 || is_disk_full(p->fetch.fd))
			part_remove(p);
		return -1;
	}
	ret = install_part(p, &is_wrong, err);
	if (ret == 0 || is_wrong)
		part_remove(p);
	return ret < 0 ? is_wrong ? PART_WRONG : -1 : 0;
}

static int part_try(struct download *d, bool *was_resumed, struct buf *err)
{
	struct part p = {
		.d = d, .path = BUF_INIT, .note = BUF_INIT,
		.fetch = {
			.url = d->url, .proxy = d->proxy, .fd = -1,
			.size_max = d->size_max,
			.connect_secs = d->connect_secs ? d->connect_secs :
							  CONNECT_SECS,
			.stall_secs = d->stall_secs ? d->stall_secs :
						      STALL_SECS,
			.secs_max = ATTEMPT_SECS, .progress = on_progress,
		},
	};
	int ret = part_open(&p, err);

	d->told = 0;
	if (ret == 0)
		ret = fetch_and_install(&p, err);
	*was_resumed = p.was_resumed;
	if (p.fetch.fd >= 0)
		close(p.fetch.fd);
	buf_free(&p.path);
	buf_free(&p.note);
	return ret;
}

/* What was put together from two answers may be wrong where the file is not. */
static int get_from_network(struct download *d, struct buf *err)
{
	bool was_resumed;
	int ret = part_try(d, &was_resumed, err);

	if (ret == PART_WRONG && was_resumed) {
		buf_reset(err);
		ret = part_try(d, &was_resumed, err);
	}
	if (ret != 0)
		buf_prefixf(err, "%s: ", d->url);
	return ret == 0 ? 0 : -1;
}

/* ---- all of it ------------------------------------------------------------------ */

static int set_mode(const struct download *d, struct buf *err)
{
	struct stat st;

	if (stat(d->path, &st) == 0 &&
	    ((st.st_mode & 07777) == d->mode || chmod(d->path, d->mode) == 0))
		return 0;
	buf_setf(err, "%s: %s", d->path, strerror(errno));
	return -1;
}

int download_get(struct download *d, struct buf *err)
{
	struct buf wrong = BUF_INIT;
	int ret = 1;

	if (download_is_there(d))
		return set_mode(d, err);
	if (!get_cached(d, &wrong) && get_from_network(d, err) < 0) {
		if (wrong.len > 0)
			buf_addf(err, "; %s", wrong.data);
		ret = -1;
	}
	buf_free(&wrong);
	return ret;
}
