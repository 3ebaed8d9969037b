#include "host/acme.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/acmetool.h"
#include "net/cert.h"

enum { PEM_MAX = 256 * 1024, SELF_DAYS = 90, TOKEN_MAX = 512, UACME_TRIES = 4 };

static const char *const prefixes[] = { "", "www.", "mta-sts." };

static void live_path(const struct acme *a, const char *name,
		      struct buf *path)
{
	buf_setf(path, "%s/live/%s/%s", a->live_dir, a->domain, name);
}

/* ---- is it due? ------------------------------------------------------------- */

static bool lacks_name(const struct acme *a, const char *cert_path,
		       struct buf *why)
{
	struct buf name = BUF_INIT;
	bool lacks = false;

	for (size_t i = 0; i < ARRAY_LEN(prefixes) && !lacks; i++) {
		buf_setf(&name, "%s%s", prefixes[i], a->domain);
		lacks = !cert_file_covers(cert_path, name.data);
	}
	if (lacks)
		buf_addf(why, "it is not for %s", name.data);
	buf_free(&name);
	return lacks;
}

/* A third of the time is left for what may go wrong. */
static bool is_due(const struct acme *a, const struct cert *c,
		   const char *cert_path, struct buf *why)
{
	if (!c->has_key)
		buf_adds(why, "its key is not there or does not fit");
	else if (c->is_self_signed)
		buf_adds(why, "it is signed by itself");
	else if (c->days_left <= c->days_in_all / 3)
		buf_addf(why, "it has %d days left of %d", c->days_left,
			 c->days_in_all);
	else
		return lacks_name(a, cert_path, why);
	return true;
}

bool acme_is_due(const struct acme *a, struct buf *why)
{
	struct buf cert_path = BUF_INIT, key_path = BUF_INIT, err = BUF_INIT;
	struct cert c;
	bool due = true;

	live_path(a, "fullchain", &cert_path);
	live_path(a, "privkey", &key_path);
	if (cert_read(&c, cert_path.data, key_path.data, &err) < 0)
		buf_adds(why, "there is none");
	else
		due = is_due(a, &c, cert_path.data, why);
	cert_free(&c);
	buf_free(&cert_path);
	buf_free(&key_path);
	buf_free(&err);
	return due;
}

/* ---- putting it in place ---------------------------------------------------- */

/* A directory that somebody made by hand is kept under another name. */
static int set_aside(const char *link, struct buf *err)
{
	struct buf aside = BUF_INIT;
	struct stat st;
	int ret = 0;

	if (lstat(link, &st) == 0 && S_ISDIR(st.st_mode)) {
		buf_addf(&aside, "%s.before-chatmail", link);
		ret = rename(link, aside.data);
		if (ret < 0)
			buf_setf(err, "%s: %s", link, strerror(errno));
	}
	buf_free(&aside);
	return ret;
}

/* live/DOMAIN becomes a link to certs/NAME at once, so that certificate and
 * key always belong together. */
static int link_live(const struct acme *a, const char *name, struct buf *err)
{
	struct buf link = BUF_INIT, tmp = BUF_INIT, target = BUF_INIT;
	int ret;

	buf_addf(&link, "%s/live/%s", a->live_dir, a->domain);
	buf_addf(&tmp, "%s/live/.%s.new", a->live_dir, a->domain);
	buf_addf(&target, "../certs/%s", name);
	unlink(tmp.data);
	ret = set_aside(link.data, err);
	if (ret == 0 && (symlink(target.data, tmp.data) < 0 ||
			 rename(tmp.data, link.data) < 0)) {
		buf_setf(err, "%s: %s", link.data, strerror(errno));
		ret = -1;
	}
	buf_free(&link);
	buf_free(&tmp);
	buf_free(&target);
	return ret;
}

static int make_dirs(const struct acme *a, const char *name, struct buf *dir,
		     struct buf *err)
{
	buf_setf(dir, "%s/live", a->live_dir);
	if (file_mkdirs(dir->data, 0755) == 0) {
		buf_setf(dir, "%s/certs/%s", a->live_dir, name);
		if (file_mkdirs(dir->data, 0755) == 0)
			return 0;
	}
	buf_setf(err, "%s: %s", dir->data, strerror(errno));
	return -1;
}

static int copy_file(const char *from, const char *dir, const char *name,
		     mode_t mode, struct buf *err)
{
	struct buf text = BUF_INIT, to = BUF_INIT;
	int ret = file_read(from, PEM_MAX, &text);

	buf_addf(&to, "%s/%s", dir, name);
	if (ret < 0)
		buf_setf(err, "%s: %s", from, strerror(errno));
	else if ((ret = file_replace(to.data, text.data, text.len, mode, 1)) < 0)
		buf_setf(err, "%s: %s", to.data, strerror(errno));
	explicit_bzero(text.data, text.len);
	buf_free(&text);
	buf_free(&to);
	return ret;
}

/* What uacme has got. */
static int install_issued(const struct acme *a, struct buf *err)
{
	struct buf cert = BUF_INIT, key = BUF_INIT, dir = BUF_INIT;
	struct buf name = BUF_INIT;
	int ret;

	buf_addf(&cert, "%s/%s/cert.pem", a->state_dir, a->domain);
	buf_addf(&key, "%s/private/%s/key.pem", a->state_dir, a->domain);
	buf_addf(&name, "chatmail-%lld", (long long)time(NULL));
	ret = make_dirs(a, name.data, &dir, err);
	if (ret == 0)
		ret = copy_file(key.data, dir.data, "privkey", 0600, err);
	if (ret == 0)
		ret = copy_file(cert.data, dir.data, "fullchain", 0644, err);
	if (ret == 0)
		ret = link_live(a, name.data, err);
	buf_free(&cert);
	buf_free(&key);
	buf_free(&dir);
	buf_free(&name);
	return ret;
}

static bool has_live(const struct acme *a)
{
	struct buf cert_path = BUF_INIT, key_path = BUF_INIT, err = BUF_INIT;
	struct cert c;
	bool has;

	live_path(a, "fullchain", &cert_path);
	live_path(a, "privkey", &key_path);
	has = cert_read(&c, cert_path.data, key_path.data, &err) == 0 &&
		c.has_key;
	cert_free(&c);
	buf_free(&cert_path);
	buf_free(&key_path);
	buf_free(&err);
	return has;
}

int acme_bootstrap(const struct acme *a, struct buf *err)
{
	struct buf dir = BUF_INIT, cert = BUF_INIT, key = BUF_INIT;
	int ret = 0;

	if (has_live(a))
		return 0;
	ret = make_dirs(a, "chatmail-self", &dir, err);
	if (ret == 0) {
		buf_addf(&cert, "%s/fullchain", dir.data);
		buf_addf(&key, "%s/privkey", dir.data);
		ret = cert_make_self(a->domain, SELF_DAYS, cert.data, key.data,
				     err);
	}
	if (ret >= 0)
		ret = link_live(a, "chatmail-self", err);
	buf_free(&dir);
	buf_free(&cert);
	buf_free(&key);
	return ret < 0 ? -1 : 1;
}

/* ---- uacme ------------------------------------------------------------------ */

/* What it says goes to *said. Its exit codes: 0 done, 1 nothing to do, 2
 * failed. An authority may refuse any nonce, and the client is to try again
 * (RFC 8555, 6.5): uacme does so for most of its requests, not for all. */
static int run_uacme(const char *const *argv, struct buf *said,
		     struct buf *err)
{
	struct buf file = BUF_INIT;
	int code = -1;

	if (proc_find("uacme", &file) < 0) {
		buf_setf(err, "uacme is not installed");
		return -1;
	}
	for (int i = 0; i < UACME_TRIES; i++) {
		buf_reset(said);
		code = proc_run(&(struct proc_spec) { .argv = argv,
						      .file = file.data },
				said, err);
		if (code < 2 || !strstr(said->data, ":error:badNonce"))
			break;
	}
	buf_free(&file);
	return code;
}

/* Why it failed: each of its lines once, as it tries things again. */
static void add_reason(struct buf *err, char *said)
{
	struct buf line = BUF_INIT;
	size_t start = err->len;

	for (char *p = str_trim(said); *p;) {
		size_t n = strcspn(p, "\n");
		const char *text = str_starts(p, "uacme: ") ? p + 7 : p;

		buf_reset(&line);
		buf_add(&line, text, (size_t)(p + n - text));
		if (line.len && !strstr(err->data + start, line.data)) {
			buf_adds(err, err->len > start ? "; " : "");
			buf_adds(err, line.data);
		}
		p += n + (p[n] == '\n');
	}
	buf_free(&line);
}

/* Two notes: the account's URL where others look for it, and the authority
 * that it is with, as another one needs another account. */
static void account_file(const struct acme *a, struct buf *path)
{
	buf_setf(path, "%s/account-url", a->live_dir);
}

static void directory_file(const struct acme *a, struct buf *path)
{
	buf_setf(path, "%s/directory-url", a->state_dir);
}

static int read_note(const char *path, struct buf *out)
{
	struct buf text = BUF_INIT;
	int ret = file_read(path, 4096, &text);

	if (ret == 0)
		buf_adds(out, str_trim(text.data));
	buf_free(&text);
	return ret;
}

int acme_account_url(const struct acme *a, struct buf *url)
{
	struct buf path = BUF_INIT, directory = BUF_INIT;
	int ret = -1;

	directory_file(a, &path);
	if (read_note(path.data, &directory) == 0 &&
	    strcmp(directory.data, a->directory) == 0) {
		account_file(a, &path);
		ret = read_note(path.data, url);
	}
	buf_free(&path);
	buf_free(&directory);
	return ret;
}

static int write_note(const char *path, const char *text, size_t n,
		      struct buf *err)
{
	struct buf line = BUF_INIT;
	int ret;

	buf_addf(&line, "%.*s\n", (int)n, text);
	ret = file_replace(path, line.data, line.len, 0644, 1);
	if (ret < 0)
		buf_setf(err, "%s: %s", path, strerror(errno));
	buf_free(&line);
	return ret;
}

/* "… at https://…" in what uacme says about an account. */
static int keep_account_url(const struct acme *a, const char *said,
			    struct buf *err)
{
	const char *at = strstr(said, " exists at http");
	struct buf path = BUF_INIT;
	int ret;

	if (!at)
		at = strstr(said, " created at http");
	if (!at) {
		buf_setf(err, "uacme does not tell the account: %s", said);
		return -1;
	}
	at = strstr(at, "http");
	account_file(a, &path);
	ret = write_note(path.data, at, strcspn(at, " \t\r\n"), err);
	directory_file(a, &path);
	if (ret == 0)
		ret = write_note(path.data, a->directory, strlen(a->directory),
				 err);
	buf_free(&path);
	return ret;
}

static int make_account(const struct acme *a, struct buf *err)
{
	const char *const argv[] = {
		"uacme", "-v", "-y", "-c", a->state_dir, "-a", a->directory,
		"-t", "EC", "new", *a->email ? a->email : NULL, NULL,
	};
	struct buf said = BUF_INIT;
	int code = run_uacme(argv, &said, err);
	int ret = -1;

	if (code == 0 || strstr(said.data, "already exists at")) {
		ret = keep_account_url(a, said.data, err);
	} else if (code > 0) {
		buf_setf(err, "no account at %s: ", a->directory);
		add_reason(err, said.data);
	}
	buf_free(&said);
	return ret;
}

static int ensure_account(const struct acme *a, struct buf *err)
{
	struct buf url = BUF_INIT;
	int ret = acme_account_url(a, &url);

	buf_free(&url);
	if (ret == 0)
		return 0;
	if (file_mkdirs(a->state_dir, 0700) < 0 ||
	    file_mkdirs(a->live_dir, 0755) < 0) {
		buf_setf(err, "%s: %s", a->state_dir, strerror(errno));
		return -1;
	}
	if (acmetool_take_account(a->live_dir, a->directory, a->state_dir,
				  err) < 0)
		return -1;
	return make_account(a, err);
}

static int issue(const struct acme *a, struct buf *err)
{
	struct buf www = BUF_INIT, sts = BUF_INIT, said = BUF_INIT;
	int code;

	buf_addf(&www, "www.%s", a->domain);
	buf_addf(&sts, "mta-sts.%s", a->domain);
	/* one that it has and we have not put in place is good enough, else
	 * our own rule decides: it is given no chance to find it too early */
	code = run_uacme((const char *[]) {
		"uacme", "-o", "-d", "3650", "-c", a->state_dir, "-a",
		a->directory, "-t", "EC", "-h", a->hook, "issue", a->domain,
		www.data, sts.data, NULL }, &said, err);
	if (code > 1) {
		buf_setf(err, "no certificate for %s from %s: ", a->domain,
			 a->directory);
		add_reason(err, said.data);
	}
	buf_free(&www);
	buf_free(&sts);
	buf_free(&said);
	return code == 0 || code == 1 ? 0 : -1;
}

/* An authority may forget an account, as one that was set up anew has; the key
 * is good for another. */
static int issue_anyhow(const struct acme *a, struct buf *err)
{
	int ret = issue(a, err);

	if (ret == 0 || !strstr(err->data, "no account associated with"))
		return ret;
	buf_reset(err);
	if (make_account(a, err) < 0)
		return -1;
	return issue(a, err);
}

int acme_renew(const struct acme *a, struct buf *err)
{
	struct buf why = BUF_INIT;
	bool due = acme_is_due(a, &why);

	buf_free(&why);
	if (!due)
		return 0;
	if (ensure_account(a, err) < 0 || issue_anyhow(a, err) < 0 ||
	    install_issued(a, err) < 0)
		return -1;
	return 1;
}

/* ---- the hook --------------------------------------------------------------- */

static bool is_base64url(const char *s, const char *more)
{
	size_t n = strlen(s);

	for (const char *p = s; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || strchr("-_", *p) ||
		      strchr(more, *p)))
			return false;
	return n > 0 && n <= TOKEN_MAX;
}

int acme_hook(const char *webroot, char *const args[5], struct buf *err)
{
	const char *method = args[0], *type = args[1], *token = args[3];
	struct buf path = BUF_INIT;
	int ret = 0;

	if (strcmp(type, "http-01") != 0 || !is_base64url(token, "") ||
	    !is_base64url(args[4], ".")) {
		buf_setf(err, "only http-01 with a proper token is answered");
		return -1;
	}
	buf_addf(&path, "%s/.well-known/acme-challenge", webroot);
	if (strcmp(method, "begin") == 0)
		ret = file_mkdirs(path.data, 0755);
	buf_addf(&path, "/%s", token);
	if (ret == 0 && strcmp(method, "begin") == 0)
		ret = file_replace(path.data, args[4], strlen(args[4]), 0644,
				   0);
	else if (ret == 0)
		unlink(path.data);
	if (ret < 0)
		buf_setf(err, "%s: %s", path.data, strerror(errno));
	buf_free(&path);
	return ret;
}
