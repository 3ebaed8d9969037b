/* A growing byte buffer: data is never NULL and always NUL-terminated. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
	char *data;	/* never NULL; data[len] is NUL; may hold NULs inside */
	size_t len;	/* bytes in use, the terminator not counted */
	size_t cap;	/* bytes allocated, 0 while nothing is */
};

/* What data points to while nothing is allocated. */
extern char buf_nothing[];

#define BUF_INIT { .data = buf_nothing }

/* Make b an empty buffer; needed unless BUF_INIT was used. */
void buf_init(struct buf *b);
/* Give the memory back; b is empty and usable afterwards. */
void buf_free(struct buf *b);
/* Forget the contents, keep the memory. */
void buf_reset(struct buf *b);
/* Make room for n more bytes without changing the contents. */
void buf_reserve(struct buf *b, size_t n);
/* Append n bytes from p; p may not point into b. */
void buf_add(struct buf *b, const void *p, size_t n);
/* Append a string, a byte, a printf(3) result. */
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
/* Replace the contents by a printf(3) result; the usual way to fill err. */
void buf_setf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Drop the first n bytes (at most all). */
void buf_consume(struct buf *b, size_t n);
/* Cut to n bytes if longer. */
void buf_truncate(struct buf *b, size_t n);
/* Hand the memory to the caller, who frees it; b is empty afterwards. */
char *buf_detach(struct buf *b);
/* Put text before what is there: "chatmail.ini:3: " + contents. */
void buf_prefixf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* malloc(3) and friends that abort when memory runs out. Free with free(3). */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);

#endif
