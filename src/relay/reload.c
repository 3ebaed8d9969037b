#include "relay/reload.h"

#include <string.h>

#include "base/log.h"

static void log_warnings(const char *lines)
{
	while (*lines) {
		size_t n = strcspn(lines, "\n");

		log_warn("%.*s", (int)n, lines);
		lines += n + (lines[n] == '\n');
	}
}

struct relay *relay_load_or_die(const char *path)
{
	struct buf warnings = BUF_INIT, err = BUF_INIT;
	struct relay *r = relay_load(path, &warnings, &err);

	log_warnings(warnings.data);
	if (!r)
		die("%s", err.data);
	buf_free(&warnings);
	buf_free(&err);
	return r;
}

void relay_file_open(struct relay_file *f, const char *path)
{
	f->path = path;
	f->relay = relay_load_or_die(path);
}

int relay_file_reload(struct relay_file *f, struct buf *err)
{
	struct buf warnings = BUF_INIT;
	struct relay *fresh = relay_load(f->path, &warnings, err);

	log_warnings(warnings.data);
	buf_free(&warnings);
	if (!fresh)
		return -1;
	relay_free(f->relay);
	f->relay = fresh;
	return 0;
}
