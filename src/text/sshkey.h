/* SSH keys as files and messages hold them: RFC 4253 section 6.6, and what
 * ssh-keygen(1) writes (OpenSSH's PROTOCOL.key). Nothing secret is taken out. */
#ifndef TEXT_SSHKEY_H
#define TEXT_SSHKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* A public key is a blob: a string with its type, then what belongs to the
 * type. The longest one taken, a 16384 bit RSA key's, has 2 KB. */
enum { SSHKEY_BLOB_MAX = 8192 };

/* A reader of SSH's data types (RFC 4251 section 5); what was read is stepped
 * over. Each returns 0, or -1 when it is not there, and then nothing is. */
struct sshkey_reader {
	const char *p;
	size_t n;
};
int sshkey_read_u32(struct sshkey_reader *r, uint32_t *v);
/* *s points into what is read. */
int sshkey_read_string(struct sshkey_reader *r, const char **s, size_t *n);
void sshkey_add_u32(struct buf *out, uint32_t v);
void sshkey_add_string(struct buf *out, const void *p, size_t n);

/* The type that a blob names, as "ssh-ed25519", goes to type. Returns 0, or
 * -1 when it names none. */
int sshkey_type(const void *blob, size_t n, struct buf *type);
/* A blob in base64; -1 when it is not one, and then blob is empty. */
int sshkey_decode(const char *text, size_t n, struct buf *blob);
/* The first line of a .pub file: type, base64, comment. Returns 0, or -1 and
 * then blob is empty. */
int sshkey_parse_public(const char *text, size_t n, struct buf *blob);
/* Append "ssh-ed25519 AAAA..." */
void sshkey_add_public(struct buf *out, const void *blob, size_t n);
/* Append "SHA256:" and the hash in base64, as OpenSSH shows it. */
void sshkey_add_fingerprint(struct buf *out, const void *blob, size_t n);
/* "ED25519" for "ssh-ed25519", as ssh-keygen(1) calls it; a type that it does
 * not know stands for itself. */
const char *sshkey_short_type(const char *type);

/* What can be seen of a private key without its passphrase. */
struct sshkey_file {
	bool encrypted;
	struct buf blob;	/* its public key; empty when it does not tell */
};

/* A private key file: OpenSSH's format, or PEM. Returns 0, or -1 when it is
 * neither. sshkey_file_free() in both cases. */
int sshkey_inspect(struct sshkey_file *f, const char *text, size_t n);
void sshkey_file_free(struct sshkey_file *f);

#endif
