/* Memory with one owner and one end: a configuration, a transaction, a run. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;	/* newest first */
	size_t used;			/* bytes handed out so far */
};

#define ARENA_INIT { 0 }

/* Free everything that was allocated; the arena may be used again. */
void arena_free(struct arena *a);
/* Zeroed memory, aligned for any object; lives until arena_free(). */
void *arena_alloc(struct arena *a, size_t n);
/* Copies of strings; n bytes and a NUL for arena_strndup(). */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
