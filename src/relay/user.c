#include "relay/user.h"

#include <crypt.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rand.h"
#include "base/str.h"
#include "relay/echobot.h"

enum {
	ADDR_MAX = 255,		/* NAME_MAX: it names a directory */
	PASSWORD_MAX = CRYPT_MAX_PASSPHRASE_SIZE - 1,	/* crypt(3) refuses more */
	HASH_MAX = 4096,	/* a reply over 8 KiB breaks Dovecot's auth */
	DAY = 86400,
};

bool user_is_ours(const struct relay *r, const char *addr)
{
	const char *at = strchr(addr, '@');

	if (!at || at == addr || strlen(addr) > ADDR_MAX || strchr(at + 1, '@'))
		return false;
	for (const char *s = addr; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || *s == '/')
			return false;
	return strcmp(at + 1, r->mail_domain) == 0;
}

void user_path(struct buf *out, const struct relay *r, const char *addr,
	       const char *file)
{
	buf_addf(out, "%s/%s%s%s", r->s.mailboxes_dir, addr, file ? "/" : "",
		 file ? file : "");
}

int user_read_hash(const char *path, struct buf *out)
{
	size_t before = out->len;

	if (file_read(path, HASH_MAX, out) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	while (out->len > before && strchr("\r\n", out->data[out->len - 1]))
		buf_truncate(out, out->len - 1);
	return out->len > before;
}

int user_password(const struct relay *r, const char *addr, struct buf *out)
{
	struct buf path = BUF_INIT;
	int ret;

	user_path(&path, r, addr, "password");
	ret = user_read_hash(path.data, out);
	buf_free(&path);
	return ret;
}

bool user_creation_is_blocked(const struct relay *r)
{
	return access(r->s.nocreate_file, F_OK) == 0;
}

static bool is_localpart(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
		      (s[i] >= '0' && s[i] <= '9') || strchr("._-", s[i])))
			return false;
	return n > 0;
}

/* Each says in *why what is wrong, if anything is. */
static void check_password(const struct relay *r, const char *password,
			   struct buf *why)
{
	if (utf8_length(password, strlen(password)) < r->s.password_min_length)
		buf_setf(why, "password needs to be at least %s characters long",
			 r->text[SETTING_password_min_length]);
	else if (strlen(password) > PASSWORD_MAX)
		buf_setf(why, "password needs to be at most %d bytes long",
			 PASSWORD_MAX);
}

static void check_localpart(const struct relay *r, const char *addr,
			    struct buf *why)
{
	size_t n = strcspn(addr, "@");

	if (utf8_length(addr, n) < r->s.username_min_length ||
		 utf8_length(addr, n) > r->s.username_max_length)
		buf_setf(why, "localpart %.*s has to be between %s and %s "
			 "characters long", (int)n, addr,
			 r->text[SETTING_username_min_length],
			 r->text[SETTING_username_max_length]);
	else if (echobot_is_addr(r, addr))
		buf_setf(why, "localpart %.*s is the echo bot's", (int)n, addr);
	else if (!is_localpart(addr, n))
		buf_setf(why, "localpart %.*s contains invalid characters",
			 (int)n, addr);
}

enum user_refusal user_creation_refusal(const struct relay *r,
					const char *addr, const char *password,
					struct buf *why)
{
	if (user_creation_is_blocked(r)) {
		buf_setf(why, "blocked account creation because %s exists",
			 r->s.nocreate_file);
		return USER_NOCREATE;
	}
	check_password(r, password, why);
	if (why->len)
		return USER_BAD_PASSWORD;
	if (!user_is_ours(r, addr)) {
		buf_setf(why, "%s is not an address of this relay", addr);
		return USER_NOT_OURS;
	}
	check_localpart(r, addr, why);
	return why->len ? USER_BAD_LOCALPART : USER_MAY_COME;
}

/* "{SHA512-CRYPT}" and crypt(5)'s sha512crypt with a salt of 16 characters
 * and the default number of rounds. */
int user_hash_password(const char *password, struct buf *out, struct buf *err)
{
	struct crypt_data *data = xcalloc(1, sizeof(*data));
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	char random[16];
	const char *hash = NULL;
	int ret = -1;

	rand_bytes(random, sizeof(random));
	if (crypt_gensalt_rn("$6$", 0, random, sizeof(random), salt,
			     sizeof(salt)))
		hash = crypt_r(password, salt, data);
	/* libxcrypt answers "*0" for what it cannot do */
	if (hash && str_starts(hash, "$6$")) {
		buf_addf(out, "{SHA512-CRYPT}%s", hash);
		ret = 0;
	} else {
		buf_setf(err, "hashing the password: %s", strerror(errno));
	}
	explicit_bzero(data, sizeof(*data));
	free(data);
	return ret;
}

static int touch(const char *dir, const char *name)
{
	struct buf path = BUF_INIT;
	int fd;

	buf_addf(&path, "%s/%s", dir, name);
	fd = open(path.data, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	buf_free(&path);
	if (fd < 0)
		return -1;
	return close(fd);
}

/* Temporary files of a process that was killed; nobody else writes here while
 * the lock is held. */
static void remove_leftovers(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (str_starts(e->d_name, "password.tmp-"))
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

/* Of a mailbox that the echo bot has made. */
#define BOT_MARK "echobot"

/* A mailbox in the making, of a person or of the echo bot. */
struct making {
	const char *dir;
	const char *password;	/* a person's */
	const char *hash;	/* the bot's, or NULL */
};

/* Does the mailbox stay as it is, with that hash? */
static bool is_settled(const struct making *m, const char *hash)
{
	struct buf mark = BUF_INIT;
	bool ret = true;

	if (m->hash && strcmp(m->hash, hash) != 0) {
		buf_addf(&mark, "%s/" BOT_MARK, m->dir);
		ret = access(mark.data, F_OK) < 0;
		buf_free(&mark);
	}
	return ret;
}

/* The password file comes last: it makes the user. */
static int put_files(const struct making *m, const char *path,
		     const struct buf *hash, struct buf *err)
{
	if ((m->hash && touch(m->dir, BOT_MARK) < 0) ||
	    touch(m->dir, "enforceE2EEincoming") < 0 ||
	    file_replace(path, hash->data, hash->len, 0644, 0) < 0) {
		buf_setf(err, "%s: %s", path, strerror(errno));
		return -1;
	}
	return USER_CREATED;
}

/* The lock is held. */
static int make_locked(const struct making *m, struct buf *err)
{
	struct buf path = BUF_INIT, hash = BUF_INIT;
	int ret;

	buf_addf(&path, "%s/password", m->dir);
	ret = user_read_hash(path.data, &hash);
	if (ret > 0 && is_settled(m, hash.data)) {
		ret = USER_THERE;
		goto out;
	}
	if (ret < 0) {
		buf_setf(err, "%s: %s", path.data, strerror(errno));
		goto out;
	}
	remove_leftovers(m->dir);
	buf_reset(&hash);
	ret = 0;
	if (m->hash)
		buf_adds(&hash, m->hash);
	else
		ret = user_hash_password(m->password, &hash, err);
	if (ret == 0)
		ret = put_files(m, path.data, &hash, err);
out:
	buf_free(&path);
	buf_free(&hash);
	return ret;
}

static int make(const struct making *m, struct buf *err)
{
	struct buf lock = BUF_INIT;
	int fd = -1, ret = -1;

	buf_addf(&lock, "%s/password.lock", m->dir);
	if (file_mkdirs(m->dir, 0755) < 0)
		buf_setf(err, "%s: %s", m->dir, strerror(errno));
	else if ((fd = file_lock(lock.data, 0)) >= 0)
		ret = make_locked(m, err);
	else if (errno == EWOULDBLOCK)
		ret = USER_BUSY;
	else
		buf_setf(err, "%s: %s", lock.data, strerror(errno));
	if (fd >= 0)
		close(fd);
	buf_free(&lock);
	return ret;
}

int user_create(const char *dir, const char *password, struct buf *err)
{
	return make(&(struct making) { .dir = dir, .password = password },
		    err);
}

int user_create_bot(const char *dir, const char *hash, struct buf *err)
{
	return make(&(struct making) { .dir = dir, .hash = hash }, err);
}

int user_note_login(const struct relay *r, const char *addr, uint64_t secs)
{
	struct buf path = BUF_INIT;
	struct timespec day = { .tv_sec = (time_t)(secs / DAY * DAY) };
	const struct timespec times[2] = { day, day };
	struct stat st;
	int ret;

	user_path(&path, r, addr, "password");
	ret = stat(path.data, &st);
	if (ret == 0 && st.st_mtim.tv_sec != day.tv_sec)
		ret = utimensat(AT_FDCWD, path.data, times, 0);
	buf_free(&path);
	if (ret == 0)
		return 1;
	return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
}
