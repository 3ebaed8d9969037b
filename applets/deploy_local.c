/* deploy on this machine. */
#include "applets/deploy.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#define LOCK_DIR "/run/lock"
#define LOCK_PATH LOCK_DIR "/chatmail-deploy.lock"

enum { LOCK_PATIENCE = 600 };	/* seconds for another run to end */

/* ---- the program that is installed ------------------------------------------ */

/* Does the file need no dynamic loader (ELF: no PT_INTERP)? */
static bool is_static(const char *path)
{
	Elf64_Ehdr head;
	Elf64_Phdr part;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ret = fd >= 0 &&
		pread(fd, &head, sizeof(head), 0) == sizeof(head) &&
		memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
		head.e_ident[EI_CLASS] == ELFCLASS64 &&
		head.e_phentsize == sizeof(part);

	for (unsigned i = 0; ret && i < head.e_phnum; i++)
		ret = pread(fd, &part, sizeof(part), (off_t)(head.e_phoff +
			    i * sizeof(part))) == sizeof(part) &&
			part.p_type != PT_INTERP;
	if (fd >= 0)
		close(fd);
	return ret;
}

const char *deploy_machine(const char *data, size_t n)
{
	Elf64_Ehdr head;

	if (n < sizeof(head))
		return "";
	memcpy(&head, data, sizeof(head));
	return head.e_machine == EM_X86_64 ? "x86_64" :
	       head.e_machine == EM_AARCH64 ? "aarch64" : "";
}

int deploy_find_binary(struct buf *path, struct buf *err)
{
	/* of a build, of one with sanitizers, of make install */
	static const char *const places[] = {
		"static", "../static", "../lib/chatmail/static",
	};
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0) {
		buf_setf(err, "/proc/self/exe: %s", strerror(errno));
		return -1;
	}
	self[n] = '\0';
	/* by this name it is there even when it was deleted meanwhile */
	if (is_static("/proc/self/exe")) {
		buf_adds(path, "/proc/self/exe");
		return 0;
	}
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		buf_setf(path, "%s/%s/chatmail", self, places[i]);
		if (is_static(path->data))
			return 0;
	}
	buf_setf(err, "this chatmail needs libraries that a server does not "
		 "have, and there is no build beside it that does without; run "
		 "'make static' where it was built (and 'make install' again, "
		 "if it was installed), then deploy again");
	return -1;
}

/* ---- one at a time ---------------------------------------------------------- */

static int take_lock(struct deploy *d)
{
	struct buf pid = BUF_INIT;
	int fd;

	/* an image that is being made has none yet */
	file_mkdirs(LOCK_DIR, 0755);
	fd = file_lock(LOCK_PATH, 0);
	if (fd < 0 && errno == EWOULDBLOCK) {
		file_read(LOCK_PATH, 32, &pid);
		fprintf(stderr, "chatmail deploy: waiting for the deploy that "
			"still runs here (pid %s)\n", str_trim(pid.data));
		buf_free(&pid);
		fd = file_lock(LOCK_PATH, LOCK_PATIENCE * 1000);
	}
	if (fd < 0) {
		deploy_fail(d, LOCK_PATH ": %s", errno == EWOULDBLOCK ?
			    "another deploy runs here" : strerror(errno));
		return -1;
	}
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%ld\n", (long)getpid());
	return fd;
}

/* ---- the plan --------------------------------------------------------------- */

struct run {
	struct plan plan;
	struct deploy *d;
};

static void on_event(struct plan *p, const struct plan_event *e)
{
	deploy_show(container_of(p, struct run, plan)->d, e);
}

/* Half a change is worse than a whole one: who cut the line finds it done. */
static void go_on_without_terminal(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

static int run_plan(struct deploy *d, const char *binary)
{
	struct run run = { .d = d };
	struct plan *p = &run.plan;
	int ret;

	plan_init(p, d->relay);
	p->ini_text = d->ini_text.data;
	p->ini_size = d->ini_text.len;
	p->www_dir = d->www;
	p->binary = binary;
	p->dry_run = d->dry_run;
	p->disable_mail = d->disable_mail;
	p->website_only = d->website_only;
	p->on_event = on_event;
	memcpy(p->stages, d->stages, sizeof(d->stages));
	ret = plan_run(p);
	deploy_show_end(d, ret < 0 ? -1 : (int)p->changes, p->diff.data);
	plan_free(p);
	return ret < 0 ? EXIT_FAIL : EXIT_OK;
}

int deploy_local(struct deploy *d)
{
	struct buf binary = BUF_INIT, err = BUF_INIT;
	int lock, ret = EXIT_FAIL;

	if (geteuid() != 0) {
		deploy_fail(d, "a relay is installed as root");
	} else if (!d->website_only && deploy_find_binary(&binary, &err) < 0) {
		deploy_fail(d, "%s", err.data);
	} else if ((lock = take_lock(d)) >= 0) {
		go_on_without_terminal();
		if (!d->dry_run)
			deploy_sweep();
		ret = run_plan(d, d->website_only ? NULL : binary.data);
		close(lock);
	}
	buf_free(&binary);
	buf_free(&err);
	return ret;
}
