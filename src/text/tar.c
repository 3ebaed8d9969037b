#include "text/tar.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK = 512, NAME_MAX_LEN = 100, PREFIX_MAX_LEN = 155 };

/* The header's fields; all text, numbers in octal. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12];
	char checksum[8], type, link[100], magic[6], version[2];
	char user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a block");

/* A long name is cut at a slash. */
static int set_name(struct header *h, const char *name)
{
	size_t n = strlen(name), cut = 0;

	if (n > NAME_MAX_LEN) {
		for (cut = n - NAME_MAX_LEN - 1; cut < n && name[cut] != '/';)
			cut++;
		if (cut >= n - 1 || cut > PREFIX_MAX_LEN)
			return -1;
		memcpy(h->prefix, name, cut);
		cut++;
	}
	memcpy(h->name, name + cut, n - cut);
	return 0;
}

static void set_checksum(struct header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	unsigned sum = 0;

	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += p[i];
	snprintf(h->checksum, sizeof(h->checksum), "%06o", sum);
}

static void add_padding(struct buf *out, size_t n)
{
	static const char zero[BLOCK];

	buf_add(out, zero, n);
}

int tar_add_file(struct buf *out, const char *name, unsigned mode,
		 const void *data, size_t n, struct buf *err)
{
	struct header h = {
		.mtime = "00000000000", .uid = "0000000", .gid = "0000000",
		.type = '0', .magic = "ustar", .version = { '0', '0' },
		.user = "root", .group = "root",
	};

	if (set_name(&h, name) < 0) {
		buf_setf(err, "%s: the name is too long for an archive", name);
		return -1;
	}
	if (n > 077777777777UL) {
		buf_setf(err, "%s: too large for an archive", name);
		return -1;
	}
	snprintf(h.mode, sizeof(h.mode), "%07o", mode & 07777);
	snprintf(h.size, sizeof(h.size), "%011lo", (unsigned long)n);
	set_checksum(&h);
	buf_add(out, &h, sizeof(h));
	buf_add(out, data, n);
	add_padding(out, (BLOCK - n % BLOCK) % BLOCK);
	return 0;
}

void tar_end(struct buf *out)
{
	add_padding(out, BLOCK);
	add_padding(out, BLOCK);
}
