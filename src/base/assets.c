#include "base/assets.h"

#include <string.h>

/* The Makefile writes assets.list: one ASSET("path") a line. The assembler
 * reads the files; a label is numbered by its line. */
#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define QUOTE_(x) #x
#define QUOTE(x) QUOTE_(x)

#define EMBED(path, n)						\
	__asm__(".section .rodata\n"				\
		".balign 16\n"					\
		"asset_data_" QUOTE(n) ":\n"			\
		".incbin \"" path "\"\n"			\
		"asset_end_" QUOTE(n) ":\n"			\
		".byte 0\n"					\
		".previous\n");					\
	extern const char CAT(asset_data_, n)[];		\
	extern const char CAT(asset_end_, n)[];
#define ASSET(path) EMBED_AT(path, __LINE__)
#define EMBED_AT(path, n) EMBED(path, n)
#include "assets.list"
#undef ASSET

static struct asset assets[] = {
#define ASSET(path) ROW_AT(path, __LINE__)
#define ROW_AT(path, n) ROW(path, n)
#define ROW(path, n) { path, CAT(asset_data_, n), 0 },
#include "assets.list"
#undef ASSET
};

/* The address difference is known to the linker only. */
__attribute__((constructor)) static void assets_measure(void)
{
	static const char *const ends[] = {
#define ASSET(path) END_AT(__LINE__)
#define END_AT(n) END(n)
#define END(n) CAT(asset_end_, n),
#include "assets.list"
#undef ASSET
	};

	for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++)
		assets[i].size = (size_t)(ends[i] - assets[i].data);
}

const struct asset *assets_all(size_t *count)
{
	*count = sizeof(assets) / sizeof(assets[0]);
	return assets;
}

const struct asset *asset_find(const char *name)
{
	for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++)
		if (strcmp(assets[i].name, name) == 0)
			return &assets[i];
	return NULL;
}
