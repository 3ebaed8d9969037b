/* Small helpers on strings and bytes. ASCII only where case matters. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of the given type whose member ptr points to. */
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Is the word, of n bytes, one of those in words? They are separated by spaces;
 * NULL has none. */
bool str_has_word(const char *words, const char *word, size_t n);
/* Equal, ASCII letters compared without case. */
bool str_eqi(const char *a, const char *b);
/* The same for n bytes that need not be terminated. */
bool mem_eqi(const char *a, const char *b, size_t n);
/* ASCII lower case of one byte, of a string in place. */
char ascii_lower(char c);
void str_lower(char *s);
/* Cut white space (SP TAB CR LF) off both ends in place; returns the start. */
char *str_trim(char *s);
/* The whole of s is matched by the pattern, in which "*" stands for any
 * bytes, also none, and "?" for one. */
bool str_glob(const char *s, const char *pattern);
/* A whole decimal number: digits only, nothing after, no overflow.
 * Returns 0, or -1 and leaves *out alone. */
int str_to_u64(const char *s, uint64_t *out);
/* Number of Unicode code points in valid UTF-8; bytes that are not
 * UTF-8 count one each. */
size_t utf8_length(const char *s, size_t n);
bool utf8_is_valid(const char *s, size_t n);
/* Append bytes with control bytes and invalid UTF-8 written as \xNN. */
void buf_add_printable(struct buf *b, const char *s, size_t n);
/* Append standard base64 (RFC 4648 section 4) of n bytes. */
void buf_add_base64(struct buf *b, const void *p, size_t n);
/* Append s percent-encoded (RFC 3986): letters, digits, "-._~" and the
 * bytes of keep stand for themselves. */
void buf_add_percent(struct buf *b, const char *s, const char *keep);
/* Append s with & < > " and ' as HTML's character references, for text and
 * for attributes in quotes. */
void buf_add_html(struct buf *b, const char *s);
/* Append s as one word of a POSIX shell's command, quoted where needed. */
void buf_add_shell(struct buf *b, const char *s);
/* Append text with line breaks at spaces, each line begun by prefix and at
 * most width columns wide unless a single word is wider. */
void buf_add_wrapped(struct buf *b, const char *prefix, const char *text,
		     size_t width);
/* Append a JSON string literal with quotes (RFC 8259 section 7), ASCII only:
 * other code points as \uNNNN, invalid UTF-8 bytes as \ufffd. */
void buf_add_json(struct buf *b, const char *s);

#endif
