#include "host/packages.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "host/apk.h"

/* invoke-rc.d(8) asks it; 101 forbids what was asked for. */
static const char policy_path[] = "/usr/sbin/policy-rc.d";
static const char policy_text[] =
	"#!/bin/sh\n"
	"# Made by chatmail deploy, which starts services itself; goes away\n"
	"# with it.\n"
	"exit 101\n";

enum {
	NAMES_MAX = 64,
	SAID_MAX = 2000,	/* of what apt said, bytes in an error */
	LISTS_SECS = 24 * 3600,	/* package lists are good so long */
};

static void add_tail(struct buf *err, struct buf *said)
{
	char *text = str_trim(said->data);
	size_t n = strlen(text);

	if (n > SAID_MAX) {
		text += n - SAID_MAX;
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	buf_add_printable(err, text, strcspn(text, "\n"));
	for (text += strcspn(text, "\n"); *text;
	     text += strcspn(text, "\n")) {
		text++;
		buf_adds(err, "\n    ");
		buf_add_printable(err, text, strcspn(text, "\n"));
	}
}

int packages_run(const char *const *argv, const char *what, struct buf *err)
{
	struct buf said = BUF_INIT;
	int code = proc_run(&(struct proc_spec) { .argv = argv }, &said, err);

	if (code > 0) {
		buf_setf(err, "%s failed (exit code %d):\n    ", what, code);
		add_tail(err, &said);
	}
	buf_free(&said);
	return code == 0 ? 0 : -1;
}

/* ---- apt -------------------------------------------------------------------- */

#define APT \
	"env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-qq", \
	"-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=600", \
	"-o", "Dpkg::Options::=--force-confdef", \
	"-o", "Dpkg::Options::=--force-confold"

static const char *const apt_update[] = { APT, "update", NULL };

static bool is_installed(const char *name)
{
	struct buf said = BUF_INIT, err = BUF_INIT;
	bool ret;

	proc_run(&(struct proc_spec) { .argv = (const char *[]) {
		"dpkg-query", "-W", "-f", "${db:Status-Status}", name, NULL } },
		&said, &err);
	ret = strcmp(said.data, "installed") == 0;
	buf_free(&said);
	buf_free(&err);
	return ret;
}

static int apt_missing(const char *const *names, struct buf *missing,
		       struct buf *err)
{
	int count = 0;

	for (; *names; names++) {
		if (is_installed(*names))
			continue;
		buf_addf(missing, "%s ", *names);
		count++;
	}
	return count;
}

static void apt_version(const char *name, struct buf *out)
{
	struct buf err = BUF_INIT;

	proc_run(&(struct proc_spec) { .argv = (const char *[]) {
		"dpkg-query", "-W", "-f", "${Version}", name, NULL } }, out,
		&err);
	buf_free(&err);
}

/* "  Candidate: 1:2.4.1+dfsg1-6", or "(none)". */
static void apt_candidate(const char *name, struct buf *out)
{
	static const char before[] = "Candidate: ";
	struct buf said = BUF_INIT, err = BUF_INIT;
	const char *at;

	proc_run(&(struct proc_spec) { .argv = (const char *[]) {
		"env", "LC_ALL=C", "apt-cache", "policy", name, NULL } },
		&said, &err);
	at = strstr(said.data, before);
	if (at && at[sizeof(before) - 1] != '(')
		buf_add(out, at + sizeof(before) - 1,
			strcspn(at + sizeof(before) - 1, "\n"));
	buf_free(&said);
	buf_free(&err);
}

static bool lists_are_old(void)
{
	struct stat st;

	return stat("/var/lib/apt/lists/partial", &st) < 0 ||
	       st.st_mtime + LISTS_SECS < time(NULL);
}

/* A policy that somebody else made stays, and does the same to us. */
static int block_services(struct buf *err)
{
	if (access(policy_path, F_OK) == 0)
		return 0;
	if (file_replace(policy_path, policy_text, sizeof(policy_text) - 1,
			 0755, 1) < 0) {
		buf_setf(err, "%s: %s", policy_path, strerror(errno));
		return -1;
	}
	return 0;
}

int host_packages_unblock(struct buf *err)
{
	struct buf text = BUF_INIT;
	int ret = 0;

	if (file_read(policy_path, sizeof(policy_text), &text) == 0 &&
	    strcmp(text.data, policy_text) == 0) {
		ret = 1;
		if (unlink(policy_path) < 0) {
			buf_setf(err, "%s: %s", policy_path, strerror(errno));
			ret = -1;
		}
	}
	buf_free(&text);
	return ret;
}

static int apt_get_names(const char *const *names, struct buf *err)
{
	const char *argv[NAMES_MAX + 24] = { APT, "install", "--yes",
					     "--no-install-recommends" };
	size_t n = 0;

	while (argv[n])
		n++;
	for (size_t i = 0; names[i]; i++) {
		if (i == NAMES_MAX) {
			buf_setf(err, "more than %d packages", NAMES_MAX);
			return -1;
		}
		argv[n++] = names[i];
	}
	argv[n] = NULL;
	return packages_run(argv, "apt-get install", err);
}

/* What an interrupted run has unpacked may need what it had not got to: then
 * dpkg alone cannot go on, and apt, which waits for whom it finds at work,
 * gets the rest. */
static int finish_interrupted(struct buf *err)
{
	static const char *const configure[] = {
		"env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "dpkg",
		"--force-confdef", "--force-confold", "--configure", "-a",
		NULL };
	static const char *const complete[] = {
		APT, "--fix-broken", "install", "--yes",
		"--no-install-recommends", NULL };

	if (packages_run(configure, "dpkg --configure -a", err) == 0)
		return 0;
	buf_reset(err);
	if (packages_run(complete, "apt-get --fix-broken install", err) < 0) {
		buf_reset(err);
		if (packages_run(apt_update, "apt-get update", err) < 0 ||
		    packages_run(complete, "apt-get --fix-broken install", err) < 0)
			return -1;
	}
	return packages_run(configure, "dpkg --configure -a", err);
}

/* Lists that are a day old may name versions that are gone by now; younger
 * ones too, so a failure is tried once more with new ones. */
static int apt_try(const char *const *names, struct buf *err)
{
	bool fresh = lists_are_old();

	if (finish_interrupted(err) < 0)
		return -1;
	if (fresh && packages_run(apt_update, "apt-get update", err) < 0)
		return -1;
	if (apt_get_names(names, err) == 0)
		return 0;
	if (fresh)
		return -1;
	buf_reset(err);
	if (packages_run(apt_update, "apt-get update", err) < 0)
		return -1;
	return apt_get_names(names, err);
}

static int apt_install(const char *const *names, struct buf *err)
{
	struct buf late = BUF_INIT;
	int ret = block_services(err);

	if (ret == 0) {
		ret = apt_try(names, err);
		if (host_packages_unblock(&late) < 0 && ret == 0) {
			buf_setf(err, "%s", late.data);
			ret = -1;
		}
	}
	buf_free(&late);
	return ret;
}

static const struct host_packages apt = {
	.name = "apt", .missing = apt_missing, .install = apt_install,
	.version = apt_version, .candidate = apt_candidate,
};

const struct host_packages *host_packages_find(void)
{
	if (access("/usr/bin/apt-get", X_OK) == 0)
		return &apt;
	return access("/sbin/apk", X_OK) == 0 ||
	       access("/usr/sbin/apk", X_OK) == 0 ? &host_apk : NULL;
}
