/* Is it the host that we think it is? */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "host/ssh_session.h"
#include "text/sshkey.h"

enum { KNOWN_MAX = 16 << 20 };

/* ---- what is known ---------------------------------------------------------- */

static int read_known(struct ssh *s, const char *path, struct buf *err)
{
	struct ssh_settings *set = &s->settings;
	struct buf text = BUF_INIT;
	const char *shown = ssh_settings_tilde(set, path);
	int ret = 0;

	if (strcmp(path, "/dev/null") == 0)
		return 0;
	if (file_read(path, KNOWN_MAX, &text) == 0) {
		knownhosts_take(&s->known, shown, text.data, text.len,
				set->known_name);
		if (set->known_plain != set->known_name)
			knownhosts_take(&s->known_plain, shown, text.data,
					text.len, set->known_plain);
	} else if (errno != ENOENT && errno != ENOTDIR) {
		buf_setf(err, "%s: its key cannot be verified: %s: %s",
			 set->place, shown, strerror(errno));
		ret = -1;
	}
	buf_free(&text);
	return ret;
}

/* Methods of host keys, best first, and the types in known_hosts that they
 * verify. SHA-1 is the last resort of a libssh2 that has nothing better. */
static const struct {
	const char *method, *type;
	bool old;
} hostkeys[] = {
	{ "ssh-ed25519", "ssh-ed25519" },
	{ "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256" },
	{ "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384" },
	{ "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521" },
	{ "rsa-sha2-512", "ssh-rsa" },
	{ "rsa-sha2-256", "ssh-rsa" },
	{ "ssh-rsa", "ssh-rsa", true },
};

static const char *const exchanges[] = {
	"curve25519-sha256", "curve25519-sha256@libssh.org",
	"ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
	"diffie-hellman-group-exchange-sha256",
	"diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512",
	"diffie-hellman-group14-sha256",
}, *const ciphers[] = {
	"chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com",
	"aes128-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr",
}, *const macs[] = {
	"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com",
	"hmac-sha2-256", "hmac-sha2-512",
};

static bool has_method(const char *const *have, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(have[i], name) == 0)
			return true;
	return false;
}

/* Ask for these methods alone, those that this libssh2 has: with others it
 * would copy memory onto itself (1.10). With none of them it stays as it is. */
static void prefer(struct ssh *s, int kind, const char *const *want,
		   size_t count)
{
	struct buf list = BUF_INIT;
	const char **have = NULL;
	int n = libssh2_session_supported_algs(s->session, kind, &have);

	for (size_t i = 0; n > 0 && i < count; i++)
		if (has_method(have, n, want[i]))
			buf_addf(&list, "%s%s", list.len ? "," : "", want[i]);
	if (list.len)
		libssh2_session_method_pref(s->session, kind, list.data);
	if (n > 0)
		libssh2_free(s->session, have);
	buf_free(&list);
}

static bool is_known_type(const struct ssh *s, const char *type)
{
	return knownhosts_has_type(&s->known, type) ||
	       (!s->known.count && knownhosts_has_type(&s->known_plain, type));
}

/* First the types that known_hosts has for the host, as OpenSSH does: a host
 * that is known by one key is not asked for another. */
static void prefer_hostkeys(struct ssh *s)
{
	const char *want[2 * ARRAY_LEN(hostkeys)];
	size_t n = 0;

	for (int known = 1; known >= 0; known--)
		for (size_t i = 0; i < ARRAY_LEN(hostkeys); i++)
			if (is_known_type(s, hostkeys[i].type) == known &&
			    (!hostkeys[i].old || ssh_rsa_is_old()))
				want[n++] = hostkeys[i].method;
	prefer(s, LIBSSH2_METHOD_HOSTKEY, want, n);
}

int ssh_hostkey_prepare(struct ssh *s, struct buf *err)
{
	const struct sshconfig_words *files = &s->settings.known_files;

	for (size_t i = 0; i < files->count; i++)
		if (read_known(s, files->words[i], err) < 0)
			return -1;
	prefer_hostkeys(s);
	prefer(s, LIBSSH2_METHOD_KEX, exchanges, ARRAY_LEN(exchanges));
	prefer(s, LIBSSH2_METHOD_CRYPT_CS, ciphers, ARRAY_LEN(ciphers));
	prefer(s, LIBSSH2_METHOD_CRYPT_SC, ciphers, ARRAY_LEN(ciphers));
	prefer(s, LIBSSH2_METHOD_MAC_CS, macs, ARRAY_LEN(macs));
	prefer(s, LIBSSH2_METHOD_MAC_SC, macs, ARRAY_LEN(macs));
	return 0;
}

/* ---- what the host shows ---------------------------------------------------- */

struct hostkey {
	const char *blob;
	size_t len;
	struct buf type, fingerprint;
};

static void refuse_changed(struct ssh *s, const struct hostkey *k,
			   const struct knownhosts_key *known,
			   struct buf *err)
{
	const char *name = s->settings.known_name;
	struct buf old = BUF_INIT;
	bool same_type = strcmp(known->type, k->type.data) == 0;

	sshkey_add_fingerprint(&old, known->blob, known->len);
	buf_setf(err, "%s: the host key has changed: it shows %s key %s, but "
		 "%s:%u has %s key %s. Someone may be between you and the "
		 "host, or it was %s. Not connecting. If you know why the key "
		 "is another: ssh-keygen -R '%s', and connect again",
		 s->settings.place, sshkey_short_type(k->type.data),
		 k->fingerprint.data, known->file, known->line,
		 sshkey_short_type(known->type), old.data,
		 same_type ? "set up anew" : "given other keys", name);
	buf_free(&old);
}

static bool is_known_by_rsa(const struct ssh *s)
{
	for (size_t i = 0; i < s->known.count; i++)
		if (!s->known.keys[i].revoked &&
		    strcmp(s->known.keys[i].type, "ssh-rsa") != 0)
			return false;
	return s->known.count > 0;
}

/* Known by RSA keys alone: an old libssh2 cannot ask for them. */
static void refuse_rsa(struct ssh *s, const struct hostkey *k,
		       const struct knownhosts_key *known, struct buf *err)
{
	struct ssh_settings *set = &s->settings;
	struct buf type = BUF_INIT;

	buf_adds(&type, sshkey_short_type(k->type.data));
	buf_setf(err, "%s: the host is known by its RSA key (%s:%u), which it "
		 "does not prove in the way that libssh2 before 1.11 knows; it "
		 "shows %s key %s instead. If that is what the host has "
		 "(ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there): ",
		 set->place, known->file, known->line, type.data,
		 k->fingerprint.data);
	str_lower(type.data);
	buf_addf(err, "ssh-keyscan -t %s -p %u %s >> %s", type.data, set->port,
		 set->host, known->file);
	buf_free(&type);
}

static void refuse_revoked(struct ssh *s, const struct hostkey *k,
			   const struct knownhosts_key *known,
			   struct buf *err)
{
	buf_setf(err, "%s: the host key is revoked: %s:%u says that %s key %s "
		 "must not be trusted. Not connecting",
		 s->settings.place, known->file, known->line,
		 sshkey_short_type(k->type.data), k->fingerprint.data);
}

static void refuse_unknown(struct ssh *s, const struct hostkey *k,
			   struct buf *err)
{
	struct ssh_settings *set = &s->settings;
	const char *file = set->user_known_count ? set->known_files.words[0] :
		"~/.ssh/known_hosts";

	buf_setf(err, "%s: the host key is not known: %s key %s. If that is "
		 "what the host has (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub "
		 "there): ssh-keyscan -p %u %s >> %s, or connect once with ssh",
		 set->place, sshkey_short_type(k->type.data),
		 k->fingerprint.data, set->port, set->host,
		 ssh_settings_tilde(set, file));
}

static bool is_confirmed(struct ssh *s, const struct hostkey *k)
{
	const struct ssh_options *o = s->options;
	struct buf question = BUF_INIT;
	bool yes;

	if (!o->confirm || s->settings.strict == SSH_STRICT_REFUSE)
		return false;
	buf_addf(&question, "%s (%s) is not known yet. Its %s key has the "
		 "fingerprint\n  %s\n", s->settings.place, s->address.data,
		 sshkey_short_type(k->type.data), k->fingerprint.data);
	if (s->known.has_authority)
		buf_adds(&question, "(known_hosts has a certificate authority "
			 "for it, which is not used here.)\n");
	buf_adds(&question, "Is that the host's key, do you trust it? (yes/no) ");
	yes = o->confirm(o, question.data);
	buf_free(&question);
	return yes;
}

/* Append one line by one write; to a last line that does not end, its end
 * first. */
static int append_line(const char *path, const char *line)
{
	struct buf text = BUF_INIT;
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	off_t end;
	char last = '\n';
	int ret = -1, saved;

	if (fd < 0)
		return -1;
	end = lseek(fd, 0, SEEK_END);
	if (end > 0 && pread(fd, &last, 1, end - 1) != 1)
		last = '\n';
	buf_addf(&text, "%s%s\n", last == '\n' ? "" : "\n", line);
	if (write(fd, text.data, text.len) == (ssize_t)text.len)
		ret = 0;
	saved = errno;
	close(fd);
	errno = saved;
	buf_free(&text);
	return ret;
}

/* A host that cannot be remembered is asked for again: no reason to fail. */
static void remember(struct ssh *s, const struct hostkey *k)
{
	struct ssh_settings *set = &s->settings;
	struct buf line = BUF_INIT;
	const char *path;
	char *dir;

	if (!set->user_known_count)
		return;
	path = set->known_files.words[0];
	dir = xstrdup(path);
	file_mkdirs(dirname(dir), 0700);
	knownhosts_add_line(&line, set->known_name, k->blob, k->len);
	if (append_line(path, line.data) == 0)
		ssh_notice(s, "%s: its %s key %s is now in %s", set->place,
			   sshkey_short_type(k->type.data),
			   k->fingerprint.data, ssh_settings_tilde(set, path));
	else
		ssh_notice(s, "%s: its key cannot be added to %s: %s",
			   set->place, ssh_settings_tilde(set, path),
			   strerror(errno));
	free(dir);
	buf_free(&line);
}

static int verify(struct ssh *s, const struct hostkey *k, struct buf *err)
{
	const struct knownhosts_key *known, *plain = NULL;
	enum knownhosts_verdict v, v_plain;

	v = knownhosts_check(&s->known, k->blob, k->len, &known);
	v_plain = knownhosts_check(&s->known_plain, k->blob, k->len, &plain);
	if (v == KNOWNHOSTS_REVOKED || v_plain == KNOWNHOSTS_REVOKED) {
		refuse_revoked(s, k, v == KNOWNHOSTS_REVOKED ? known : plain,
			       err);
		return -1;
	}
	if (v == KNOWNHOSTS_SAME)
		return 0;
	if (v == KNOWNHOSTS_CHANGED) {
		if (ssh_rsa_is_old() && is_known_by_rsa(s) &&
		    strcmp(k->type.data, "ssh-rsa") != 0)
			refuse_rsa(s, k, known, err);
		else
			refuse_changed(s, k, known, err);
		return -1;
	}
	/* as ssh(1) does for another port of a host that is known */
	if (v_plain == KNOWNHOSTS_SAME)
		return 0;
	if (s->settings.strict != SSH_STRICT_ACCEPT && !is_confirmed(s, k)) {
		refuse_unknown(s, k, err);
		return -1;
	}
	remember(s, k);
	return 0;
}

int ssh_hostkey_check(struct ssh *s, struct buf *err)
{
	struct hostkey k = { .type = BUF_INIT, .fingerprint = BUF_INIT };
	int kind, ret;

	k.blob = libssh2_session_hostkey(s->session, &k.len, &kind);
	if (!k.blob || sshkey_type(k.blob, k.len, &k.type) < 0) {
		buf_setf(err, "%s: it shows no host key", s->settings.place);
		ret = -1;
	} else {
		sshkey_add_fingerprint(&k.fingerprint, k.blob, k.len);
		ret = verify(s, &k, err);
	}
	buf_free(&k.type);
	buf_free(&k.fingerprint);
	return ret;
}
