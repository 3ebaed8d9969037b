#include "host/ssh_settings.h"

#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "text/sshtarget.h"

enum { PORT_SSH = 22, CONFIG_MAX = 1 << 20, INCLUDED_MAX = 256 };

static const char system_dir[] = "/etc/ssh";

struct loader {
	struct sshconfig config;
	struct ssh_settings *settings;
	const char *dir;	/* which relative names of Include are in */
	unsigned included;
	struct sshconfig_tokens tokens;
};

static const char *env(const char *name)
{
	return getenv(name);
}

/* ---- files ------------------------------------------------------------------ */

static int load_file(struct loader *l, const char *path, struct buf *err)
{
	struct buf text = BUF_INIT;
	int ret = 0;

	if (file_read(path, CONFIG_MAX, &text) == 0) {
		ret = sshconfig_parse(&l->config,
				      ssh_settings_tilde(l->settings, path),
				      text.data, text.len, err);
	} else if (errno != ENOENT) {
		buf_setf(err, "%s: %s", path, strerror(errno));
		ret = -1;
	}
	buf_free(&text);
	return ret;
}

/* Files that do not exist are none, as with ssh(1). */
static int on_include(struct sshconfig *c, const char *pattern,
		      struct buf *err)
{
	struct loader *l = container_of(c, struct loader, config);
	struct buf path = BUF_INIT;
	glob_t found = { 0 };
	int ret = sshconfig_expand(&path, pattern, &l->tokens, err);

	if (ret == 0 && path.data[0] != '/')
		buf_prefixf(&path, "%s/", l->dir);
	if (ret == 0 && glob(path.data, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc && ret == 0; i++)
			if (l->included++ < INCLUDED_MAX)
				ret = load_file(l, found.gl_pathv[i], err);
		globfree(&found);
	}
	buf_free(&path);
	return ret;
}

static int load_files(struct loader *l, struct buf *err)
{
	struct arena *a = &l->settings->arena;
	const char *home = l->settings->home;

	l->config.on_include = on_include;
	l->dir = arena_printf(a, "%s/.ssh", home);
	if (load_file(l, arena_printf(a, "%s/.ssh/config", home), err) < 0)
		return -1;
	l->dir = system_dir;
	return load_file(l, "/etc/ssh/ssh_config", err);
}

/* ---- values ----------------------------------------------------------------- */

static void set_home(struct loader *l)
{
	const char *home = getenv("HOME");
	const struct passwd *pw = getpwuid(geteuid());
	struct arena *a = &l->settings->arena;

	if ((!home || !*home) && pw)
		home = pw->pw_dir;
	l->settings->home = arena_strdup(a, home ? home : "/");
	l->tokens.home = l->settings->home;
	l->tokens.local_user = arena_strdup(a, pw ? pw->pw_name : "");
	l->tokens.env = env;
}

static int set_host(struct loader *l, const struct sshtarget *t,
		    struct buf *err)
{
	struct ssh_settings *s = l->settings;
	const struct sshconfig_tokens only_host = { .host = t->host };
	struct buf b = BUF_INIT;
	const char *name = l->config.hostname;

	s->host = t->host;
	if (name && sshconfig_expand(&b, name, &only_host, err) < 0) {
		buf_prefixf(err, "%s: HostName %s: ", t->host, name);
		buf_free(&b);
		return -1;
	}
	if (name)
		s->host = arena_strdup(&s->arena, b.data);
	buf_free(&b);
	s->user = t->user ? t->user : l->config.user ? l->config.user : "root";
	s->port = t->port ? t->port : l->config.port ? l->config.port : PORT_SSH;
	if (sshtarget_is_plain(s->host) && sshtarget_is_plain(s->user))
		return 0;
	buf_setf(err, "%s: ~/.ssh/config gives a HostName or User that cannot "
		 "be one", t->host);
	return -1;
}

static void set_names(struct loader *l)
{
	struct ssh_settings *s = l->settings;
	const char *alias = l->config.host_key_alias;
	struct buf b = BUF_INIT;
	char *plain;

	sshtarget_add_place(&b, s->host, s->port);
	s->place = arena_strdup(&s->arena, b.data);
	buf_free(&b);
	plain = arena_strdup(&s->arena, alias ? alias : s->host);
	str_lower(plain);
	s->known_plain = s->known_name = plain;
	if (!alias && s->port != PORT_SSH)
		s->known_name = arena_printf(&s->arena, "[%s]:%u", plain,
					     s->port);
}

static void set_choices(struct loader *l)
{
	const char *family = l->config.address_family;
	const char *strict = l->config.strict_checking;
	struct ssh_settings *s = l->settings;

	if (family)
		s->family = str_eqi(family, "inet") ? AF_INET :
			str_eqi(family, "inet6") ? AF_INET6 : AF_UNSPEC;
	if (strict && (str_eqi(strict, "yes") || str_eqi(strict, "true")))
		s->strict = SSH_STRICT_REFUSE;
	else if (strict && !str_eqi(strict, "ask"))
		s->strict = SSH_STRICT_ACCEPT;	/* accept-new, no, off */
	s->connect_secs = l->config.connect_secs;
	s->identities_only = sshconfig_is_yes(l->config.identities_only);
	if ((l->config.proxy_jump && !str_eqi(l->config.proxy_jump, "none")) ||
	    (l->config.proxy_command &&
	     !str_eqi(l->config.proxy_command, "none")))
		buf_addf(&s->warnings, "%s: ProxyJump and ProxyCommand of "
			 "~/.ssh/config are not supported: connecting to it "
			 "directly\n", s->place);
}

/* Add a path; what cannot be expanded is left out with a warning. */
static void add_path(struct loader *l, struct sshconfig_words *to,
		     const char *value)
{
	struct ssh_settings *s = l->settings;
	struct buf b = BUF_INIT, why = BUF_INIT;

	if (to->count < SSHCONFIG_WORDS_MAX) {
		if (sshconfig_expand(&b, value, &l->tokens, &why) == 0)
			to->words[to->count++] = arena_strdup(&s->arena,
							      b.data);
		else
			buf_addf(&s->warnings, "~/.ssh/config: %s: %s\n",
				 value, why.data);
	}
	buf_free(&b);
	buf_free(&why);
}

static void add_paths(struct loader *l, struct sshconfig_words *to,
		      const struct sshconfig_words *from,
		      const char *const *defaults)
{
	for (size_t i = 0; i < from->count; i++)
		if (!str_eqi(from->words[i], "none"))
			add_path(l, to, from->words[i]);
	for (; !from->count && *defaults; defaults++)
		add_path(l, to, *defaults);
}

static void set_files(struct loader *l, const char *identity)
{
	static const char *const known[] = {
		"~/.ssh/known_hosts", "~/.ssh/known_hosts2", NULL
	}, *const all_known[] = {
		"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2", NULL
	}, *const keys[] = {
		"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", NULL
	}, *const no_keys[] = { NULL };
	struct ssh_settings *s = l->settings;

	l->tokens.host = s->host;
	l->tokens.remote_user = s->user;
	l->tokens.port = arena_printf(&s->arena, "%u", s->port);
	add_paths(l, &s->known_files, &l->config.user_known_hosts, known);
	s->user_known_count = s->known_files.count;
	add_paths(l, &s->known_files, &l->config.global_known_hosts,
		  all_known);
	s->identity_given = identity != NULL;
	if (identity)
		s->identities.words[s->identities.count++] = identity;
	add_paths(l, &s->identities, &l->config.identity_files,
		  identity ? no_keys : keys);
}

static void set_agent(struct loader *l)
{
	const char *value = l->config.identity_agent, *path = NULL;
	struct sshconfig_words one = { 0 };

	if (!value || str_eqi(value, "SSH_AUTH_SOCK"))
		path = getenv("SSH_AUTH_SOCK");
	else if (*value == '$' && value[1] != '{')
		path = getenv(value + 1);
	else if (!str_eqi(value, "none"))
		add_path(l, &one, value);
	if (one.count)
		path = one.words[0];
	if (path && *path)
		l->settings->agent = arena_strdup(&l->settings->arena, path);
}

int ssh_settings_load(struct ssh_settings *s, const char *target,
		      const char *identity, struct buf *err)
{
	struct loader l = { .settings = s,
			    .config = { .warnings = BUF_INIT } };
	struct sshtarget t;
	int ret = -1;

	*s = (struct ssh_settings){ .warnings = BUF_INIT };
	if (sshtarget_parse(&t, &s->arena, target, err) < 0)
		return -1;
	set_home(&l);
	l.config.host = l.tokens.asked = t.host;
	if (load_files(&l, err) == 0 && set_host(&l, &t, err) == 0) {
		set_names(&l);
		set_choices(&l);
		set_files(&l, identity);
		set_agent(&l);
		ret = 0;
	}
	buf_add(&s->warnings, l.config.warnings.data, l.config.warnings.len);
	s->user = s->user ? arena_strdup(&s->arena, s->user) : NULL;
	sshconfig_free(&l.config);
	return ret;
}

void ssh_settings_free(struct ssh_settings *s)
{
	buf_free(&s->warnings);
	arena_free(&s->arena);
	*s = (struct ssh_settings){ .warnings = BUF_INIT };
}

const char *ssh_settings_tilde(struct ssh_settings *s, const char *path)
{
	size_t n = strlen(s->home);

	if (n > 1 && strncmp(path, s->home, n) == 0 && path[n] == '/')
		return arena_printf(&s->arena, "~%s", path + n);
	return path;
}
