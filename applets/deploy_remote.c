/* deploy on a host: bring the program, chatmail.ini and the pages there, and
 * let the program do the work. */
#include "applets/deploy.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "host/remote.h"
#include "text/tar.h"

#define PLACE DEPLOY_PLACE
#define INSTALLED "/usr/local/bin/chatmail"

enum { BINARY_MAX = 256 * 1024 * 1024, PAGE_MAX = 64 * 1024 * 1024,
       ANSWER_MAX = 4096, TEXT_MAX = 64 * 1024 * 1024 };

struct remote {
	struct deploy *d;
	struct ssh *ssh;
	struct ssh_command command;
	struct buf binary;	/* its bytes */
	char sha256[65];
	const char *program;	/* its path there */
	bool has_brought;	/* it was not there before */
	bool is_new;		/* nor was its directory */
	char in[64];		/* directory there for this run's files */
	struct buf line;	/* what is there of a long one */
};

/* ---- the program ------------------------------------------------------------ */

static void fingerprint(struct remote *r)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n;

	if (EVP_Digest(r->binary.data, r->binary.len, digest, &n,
		       EVP_sha256(), NULL) != 1 || n != 32)
		bug("no SHA-256");
	for (unsigned i = 0; i < n; i++)
		snprintf(r->sha256 + 2 * i, 3, "%02x", digest[i]);
}

static int load_binary(struct remote *r, struct buf *err)
{
	struct buf path = BUF_INIT;
	int ret = deploy_find_binary(&path, err);

	if (ret == 0 && file_read(path.data, BINARY_MAX, &r->binary) < 0) {
		buf_setf(err, "%s: %s", path.data, strerror(errno));
		ret = -1;
	}
	if (ret == 0)
		fingerprint(r);
	buf_free(&path);
	return ret;
}

/* Lines "MACHINE", "new" if we never were there, and "SHA256  PATH" of what is
 * there already. */
static int look(struct remote *r, struct buf *answer, struct buf *err)
{
	static const char command[] =
		"uname -m; [ -d " PLACE " ] || echo new; "
		"umask 077; mkdir -p " PLACE " && "
		"{ sha256sum " PLACE "/chatmail " INSTALLED " 2>/dev/null || "
		"true; }";

	return ssh_output(r->ssh, command, true, ANSWER_MAX, answer, err);
}

static int check_machine(struct remote *r, const char *answer,
			 struct buf *err)
{
	const char *ours = deploy_machine(r->binary.data, r->binary.len);
	size_t n = strcspn(answer, "\n");

	if (strlen(ours) == n && strncmp(answer, ours, n) == 0)
		return 0;
	buf_setf(err, "%s is %.*s, this chatmail is for %s",
		 ssh_place(r->ssh), (int)n, answer, ours);
	return -1;
}

/* Is there a line of our fingerprint and that path? */
static bool is_there(const struct remote *r, const char *answer,
		     const char *path)
{
	struct buf line = BUF_INIT;
	bool ret;

	buf_addf(&line, "%s  %s\n", r->sha256, path);
	ret = strstr(answer, line.data) != NULL;
	buf_free(&line);
	return ret;
}

static int bring_program(struct remote *r, struct buf *err)
{
	struct ssh_file f = {
		.path = PLACE "/chatmail", .mode = 0700, .as_root = true,
		.size = r->binary.len, .data = r->binary.data,
	};
	struct buf answer = BUF_INIT;
	int ret = look(r, &answer, err);

	if (ret == 0)
		ret = check_machine(r, answer.data, err);
	r->is_new = strstr(answer.data, "\nnew\n") != NULL;
	r->program = is_there(r, answer.data, INSTALLED) ? INSTALLED :
		PLACE "/chatmail";
	if (ret == 0 && r->program != (const char *)INSTALLED &&
	    !is_there(r, answer.data, PLACE "/chatmail")) {
		ret = ssh_put(r->ssh, &f, err);
		r->has_brought = true;
		if (ret == 0 && r->d->verbose)
			fprintf(stderr, "%s: %zu KB of program brought\n",
				ssh_place(r->ssh), r->binary.len / 1024);
	}
	buf_free(&answer);
	return ret;
}

/* ---- chatmail.ini and pages ------------------------------------------------- */

struct bundle {
	struct file_walk walk;
	struct buf tar;
};

static int add_page(struct file_walk *w, const char *name,
		    const struct buf *data, struct buf *err)
{
	struct bundle *b = container_of(w, struct bundle, walk);
	struct buf path = BUF_INIT;
	int ret;

	buf_addf(&path, "www/%s", name);
	ret = tar_add_file(&b->tar, path.data, 0644, data->data, data->len,
			   err);
	buf_free(&path);
	return ret;
}

/* What the host reads before it begins. */
static int pack_files(const struct remote *r, struct buf *tar,
		      struct buf *err)
{
	const struct deploy *d = r->d;
	struct bundle b = {
		.walk = { .file = add_page, .size_max = PAGE_MAX },
		.tar = BUF_INIT,
	};
	int ret = tar_add_file(&b.tar, "chatmail.ini", 0600, d->ini_text.data,
			       d->ini_text.len, err);

	if (ret == 0 && d->www)
		ret = file_walk(&b.walk, d->www, err);
	tar_end(&b.tar);
	*tar = b.tar;
	return ret;
}

/* ---- the run ---------------------------------------------------------------- */

/* The last line of a dry run has all differences in it. */
static void on_stdout(struct ssh_command *c, char *line, size_t n)
{
	struct remote *r = container_of(c, struct remote, command);

	if (r->line.len + n < TEXT_MAX)
		buf_add(&r->line, line, n);
	if (n >= SSH_LINE_MAX)
		return;
	deploy_show_line(r->d, r->line.data);
	buf_reset(&r->line);
}

/* What it has to say of chatmail.ini was said here before. */
static void on_stderr(struct ssh_command *c, char *line, size_t n)
{
	struct buf safe = BUF_INIT;

	if (strstr(line, container_of(c, struct remote, command)->in))
		return;
	buf_add_printable(&safe, line, n);
	fprintf(stderr, "%s\n", safe.data);
	buf_free(&safe);
}

static void add_command(const struct remote *r, struct buf *out)
{
	const struct deploy *d = r->d;
	const struct {
		bool is_set;
		const char *option;
	} flags[] = {
		{ d->dry_run, "--dry-run" },
		{ d->disable_mail, "--disable-mail" },
		{ d->website_only, "--website-only" },
	};

	/* one command, whose shell has the name of its directory all the time,
	 * so that deploy_sweep() can tell what is left over */
	buf_addf(out, "d=%s\n(umask 077; mkdir $d && tar -xf - -C $d) || "
		 "{ echo \"the files cannot be put into $d\" >&2; rm -rf $d; "
		 "exit 1; }\n", r->in);
	/* a run that ends just now has installed it and taken the copy away */
	buf_addf(out, "p=%s; [ -x $p ] || p=" INSTALLED "; $p deploy --local "
		 "--json --skip-dns-check", r->program);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (flags[i].is_set)
			buf_addf(out, " %s", flags[i].option);
	if (d->stage_list) {
		buf_adds(out, " --stages ");
		buf_add_shell(out, d->stage_list);
	}
	buf_adds(out, " --www ");
	if (d->www)
		buf_addf(out, "%s/www", r->in);
	else
		buf_adds(out, "none");
	/* goes on when the line is cut, and clears away after itself */
	buf_addf(out, " %s/chatmail.ini\ncode=$?; rm -rf $d; ", r->in);
	if (d->dry_run && r->has_brought)
		buf_adds(out, "rm -f " PLACE "/chatmail; ");
	if (d->dry_run && r->is_new)
		buf_adds(out, "rmdir -p " PLACE " 2>/dev/null; ");
	if (!d->dry_run)
		buf_adds(out, "cmp -s " PLACE "/chatmail " INSTALLED
			 " && rm -f " PLACE "/chatmail; ");
	buf_adds(out, "exit $code");
}

static int run(struct remote *r, struct buf *err)
{
	struct buf command = BUF_INIT, tar = BUF_INIT;
	int ret = pack_files(r, &tar, err);

	add_command(r, &command);
	r->command = (struct ssh_command) {
		.command = command.data, .as_root = true,
		.input = tar.data, .input_len = tar.len,
		.on_stdout = on_stdout, .on_stderr = on_stderr,
	};
	if (ret < 0) {
		buf_free(&command);
		buf_free(&tar);
		return -1;
	}
	ret = ssh_run(r->ssh, &r->command, err);
	if (ret < 0)
		buf_adds(err, "; what had begun there goes on to its end, and "
			 "deploying again completes it");
	else if (r->command.exit_code != 0 && r->d->failed == 0 &&
		 !r->d->has_ended) {
		buf_setf(err, "%s: chatmail ended there: ",
			 ssh_place(r->ssh));
		ssh_add_status(err, &r->command);
		ret = -1;
	}
	buf_free(&command);
	buf_free(&tar);
	return ret;
}

int deploy_remote(struct deploy *d)
{
	struct remote r = { .d = d, .binary = BUF_INIT, .line = BUF_INIT };
	struct buf err = BUF_INIT;
	char random[9];
	int ret = load_binary(&r, &err);

	rand_string(random, sizeof(random) - 1, "abcdefghijklmnopqrstuvwxyz");
	snprintf(r.in, sizeof(r.in), PLACE "/in-%s", random);
	if (ret == 0) {
		r.ssh = remote_connect(d->host, d->identity, &err);
		ret = r.ssh ? 0 : -1;
	}
	if (ret == 0)
		ret = bring_program(&r, &err);
	if (ret == 0)
		ret = run(&r, &err);
	if (ret < 0)
		deploy_fail(d, "%s", err.data);
	ssh_close(r.ssh);
	buf_free(&r.binary);
	buf_free(&r.line);
	buf_free(&err);
	return ret < 0 || r.command.exit_code != 0 ? EXIT_FAIL : EXIT_OK;
}
