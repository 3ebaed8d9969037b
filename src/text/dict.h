/* Dovecot's dict protocol: lines, escaping and keys (PROTOCOLS of Dovecot
 * 2.3.16 to 2.4: src/lib-dict/dict-client.h, src/lib/strescape.c). */
#ifndef TEXT_DICT_H
#define TEXT_DICT_H

#include <stddef.h>

#include "base/buf.h"

enum { DICT_FIELDS_MAX = 16 };

/* Undo str_tabescape() in place; n bytes at s become a string. A lone 0x01 at
 * the end is dropped. "0x01 0" is refused, for NUL ends our strings: -1. */
int dict_unescape(char *s, size_t n);
/* Append s as str_tabescape() writes it. */
void dict_escape(struct buf *b, const char *s);

/* Split a line's fields, which follow its command letter, at TABs and unescape
 * each in place. Empty fields count, more than DICT_FIELDS_MAX are refused.
 * Returns their number, or -1 for NUL bytes or too many. */
int dict_split(char *fields, size_t n, char *out[DICT_FIELDS_MAX]);

/* Cut "NAMESPACE/TYPE/REST" at its first two slashes, in place. Returns 0, or
 * -1 when there are fewer. */
int dict_key_split(char *key, char **space, char **type, char **rest);

/* Split a passdb key's rest, PASSWORD"USER with \ before ", ' and \ (our
 * auth.conf: %Ew"%Eu), in place at the first unescaped quote. *user is NULL
 * without one. -1: a backslash at the end, or a second separator. */
int dict_quoted_split(char *s, char **first, char **user);

#endif
