/* The machine: which programs, and is there room? */
#include "applets/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"

enum { SMALL_FILE = 65536, INODES_MIN_PERCENT = 5 };

/* ---- versions ------------------------------------------------------------------------ */

/* NAME=value or NAME="value" of os-release(5). */
static void add_os(cJSON *o)
{
	static const char name[] = "PRETTY_NAME=";
	struct buf text = BUF_INIT;
	char *line = NULL;

	if (file_read("/etc/os-release", SMALL_FILE, &text) == 0)
		line = strstr(text.data, name);
	if (line) {
		line += strlen(name);
		line += strspn(line, "\"'");
		line[strcspn(line, "\"'\n")] = '\0';
		cJSON_AddStringToObject(o, "os", line);
	}
	buf_free(&text);
}

/* What a program says of itself: the word after the mark, if it has one, else
 * the first word. A program that is not there has no version. */
static void add_program(cJSON *o, const char *name, const char *mark,
			const char *const *argv)
{
	struct buf file = BUF_INIT, out = BUF_INIT, err = BUF_INIT;
	struct proc_spec spec = { .argv = argv };
	char *word = NULL;

	if (proc_find(argv[0], &file) == 0) {
		spec.file = file.data;
		if (proc_run(&spec, &out, &err) == 0)
			word = *mark ? strstr(out.data, mark) : out.data;
	}
	if (word) {
		word += strlen(mark);
		word[strcspn(word, " \n")] = '\0';
		cJSON_AddStringToObject(o, name, word);
	}
	buf_free(&file);
	buf_free(&out);
	buf_free(&err);
}

static void add_versions(struct status *s)
{
	cJSON *o = cJSON_AddObjectToObject(s->json, "versions");
	struct buf text = BUF_INIT;
	struct utsname u;

	cJSON_AddStringToObject(o, "chatmail", CHATMAIL_VERSION);
	if (file_read("/etc/chatmail-version", SMALL_FILE, &text) == 0) {
		text.data[strcspn(text.data, "\n")] = '\0';
		cJSON_AddStringToObject(o, "deployed", text.data);
	}
	buf_free(&text);
	add_os(o);
	if (uname(&u) == 0)
		cJSON_AddStringToObject(o, "kernel", u.release);
	add_program(o, "postfix", "",
		    (const char *const []){ "postconf", "-d", "-h",
					    "mail_version", NULL });
	add_program(o, "dovecot", "",
		    (const char *const []){ "dovecot", "--version", NULL });
	add_program(o, "nginx", "nginx/",
		    (const char *const []){ "nginx", "-v", NULL });
}

/* ---- room ---------------------------------------------------------------------------- */

static void add_disk(struct status *s)
{
	const char *dir = s->relay->s.mailboxes_dir;
	struct statvfs fs;
	cJSON *o;

	if (statvfs(dir, &fs) < 0)
		return;	/* status_add_mail() has told */
	o = cJSON_AddObjectToObject(s->json, "disk");
	cJSON_AddStringToObject(o, "path", dir);
	cJSON_AddNumberToObject(o, "bytes_free",
				(double)fs.f_bavail * (double)fs.f_frsize);
	cJSON_AddNumberToObject(o, "bytes",
				(double)fs.f_blocks * (double)fs.f_frsize);
	cJSON_AddNumberToObject(o, "files_free", (double)fs.f_favail);
	cJSON_AddNumberToObject(o, "files", (double)fs.f_files);
	/* some file systems have no table of them */
	if (fs.f_favail * 100 < fs.f_files * INODES_MIN_PERCENT)
		status_problem(s, "the file system of %s has room for %llu "
			       "files only: remove some, or make it larger",
			       dir, (unsigned long long)fs.f_favail);
}

/* Bytes of a line of /proc/meminfo; 0 unknown. */
static double memory_of(const char *text, const char *name)
{
	const char *line = strstr(text, name);
	unsigned long long kb;

	if (!line || sscanf(line + strlen(name), ": %llu kB", &kb) != 1)
		return 0;
	return (double)kb * 1024;
}

static void add_memory(struct status *s)
{
	struct buf text = BUF_INIT;
	double load[3];
	cJSON *o;

	if (file_read("/proc/meminfo", SMALL_FILE, &text) == 0) {
		o = cJSON_AddObjectToObject(s->json, "memory");
		cJSON_AddNumberToObject(o, "bytes_available",
					memory_of(text.data, "MemAvailable"));
		cJSON_AddNumberToObject(o, "bytes",
					memory_of(text.data, "MemTotal"));
	}
	if (getloadavg(load, 3) == 3)
		cJSON_AddItemToObject(s->json, "load",
				      cJSON_CreateDoubleArray(load, 3));
	buf_free(&text);
}

/* An IMAP connection that waits takes an instance. Where there is none left,
 * Dovecot looks for new mail every half minute only. */
static void add_inotify(struct status *s)
{
	static const struct {
		const char *name;
		uint64_t want;
	} rows[] = {
		{ "max_user_instances", 65535 }, { "max_user_watches", 65535 },
	};
	cJSON *all = cJSON_AddObjectToObject(s->json, "inotify");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf path = BUF_INIT, text = BUF_INIT;
		uint64_t value;
		cJSON *o;

		buf_addf(&path, "/proc/sys/fs/inotify/%s", rows[i].name);
		if (file_read(path.data, 64, &text) == 0 &&
		    str_to_u64(str_trim(text.data), &value) == 0) {
			o = cJSON_AddObjectToObject(all, rows[i].name);
			cJSON_AddNumberToObject(o, "value", (double)value);
			cJSON_AddNumberToObject(o, "recommended",
						(double)rows[i].want);
			if (value < rows[i].want)
				status_problem(s, "fs.inotify.%s is %llu, so "
					"that apps may hear of new mail late: "
					"set it to %llu by sysctl, in a "
					"container on its host", rows[i].name,
					(unsigned long long)value,
					(unsigned long long)rows[i].want);
		}
		buf_free(&path);
		buf_free(&text);
	}
}

void status_add_machine(struct status *s)
{
	add_versions(s);
	add_disk(s);
	add_memory(s);
	add_inotify(s);
}
