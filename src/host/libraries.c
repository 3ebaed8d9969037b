#include "host/libraries.h"

#include <ares.h>
#include <cjson/cJSON.h>
#include <crypt.h>
#include <ev.h>
#include <libssh2.h>
#include <link.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <png.h>
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/curl_lib.h"

#define WORD_(x) #x
#define WORD(x) WORD_(x)

/* ---- what the libraries say ------------------------------------------------- */

static void tell_openssl(struct buf *out)
{
	buf_adds(out, OpenSSL_version(OPENSSL_VERSION_STRING));
}

static void tell_libev(struct buf *out)
{
	buf_addf(out, "%d.%d", ev_version_major(), ev_version_minor());
}

static void tell_cjson(struct buf *out)
{
	buf_adds(out, cJSON_Version());
}

static void tell_libpng(struct buf *out)
{
	buf_adds(out, png_get_libpng_ver(NULL));
}

static void tell_qrencode(struct buf *out)
{
	buf_adds(out, QRcode_APIVersionString());
}

static void tell_cares(struct buf *out)
{
	buf_adds(out, ares_version(NULL));
}

static void tell_libssh2(struct buf *out)
{
	buf_adds(out, libssh2_version(0));
}

static const curl_version_info_data *curl_info(void)
{
	struct buf err = BUF_INIT;
	int ret = curl_lib_load(&err);

	buf_free(&err);
	return ret < 0 ? NULL : curl.version_info(CURLVERSION_NOW);
}

static void tell_curl(struct buf *out)
{
	const curl_version_info_data *info = curl_info();

	if (info)
		buf_adds(out, info->version);
}

static void tell_nghttp2(struct buf *out)
{
	const curl_version_info_data *info = curl_info();

	if (info && info->age >= CURLVERSION_SEVENTH && info->nghttp2_version)
		buf_adds(out, info->nghttp2_version);
}

/* Each by the name of its source package. libxcrypt and md4c have no function
 * that would tell. */
static const struct library {
	const char *name;
	const char *stem;	/* its shared file's name begins so */
	const char *built;	/* of its headers; NULL: they do not tell */
	void (*tell)(struct buf *out);
} libraries[] = {
	{ "openssl", "libcrypto.so", OPENSSL_VERSION_STR, tell_openssl },
	{ "libxcrypt", "libcrypt.so", XCRYPT_VERSION_STR, NULL },
	{ "libev", "libev.so", WORD(EV_VERSION_MAJOR) "."
	  WORD(EV_VERSION_MINOR), tell_libev },
	{ "cjson", "libcjson.so", WORD(CJSON_VERSION_MAJOR) "."
	  WORD(CJSON_VERSION_MINOR) "." WORD(CJSON_VERSION_PATCH), tell_cjson },
	{ "libpng1.6", "libpng16.so", PNG_LIBPNG_VER_STRING, tell_libpng },
	{ "qrencode", "libqrencode.so", NULL, tell_qrencode },
	{ "md4c", "libmd4c.so", NULL, NULL },
	{ "c-ares", "libcares.so", ARES_VERSION_STR, tell_cares },
	{ "libssh2", "libssh2.so", LIBSSH2_VERSION, tell_libssh2 },
	{ "curl", "libcurl.so", LIBCURL_VERSION, tell_curl },
	{ "nghttp2", "libnghttp2.so", NULL, tell_nghttp2 },
};

#ifdef __clang__
static const char compiler[] = __VERSION__;
#else
static const char compiler[] = "gcc " __VERSION__;
#endif

static const char *machine(void)
{
#ifdef __x86_64__
	return "x86_64";
#elif defined(__aarch64__)
	return "aarch64";
#else
	return "";
#endif
}

static void add_text(cJSON *object, const char *name, const char *text)
{
	cJSON_AddItemToObject(object, name, text && *text ?
			      cJSON_CreateString(text) : cJSON_CreateNull());
}

static cJSON *add_library(cJSON *list, const char *name)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddItemToArray(list, o);
	add_text(o, "name", name);
	return o;
}

static void add_own_version(cJSON *object, const char *name)
{
	struct buf version = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(libraries); i++)
		if (strcmp(libraries[i].name, name) == 0 && libraries[i].tell)
			libraries[i].tell(&version);
	add_text(object, "version", version.data);
	buf_free(&version);
}

/* ---- a static program ------------------------------------------------------- */

#ifdef CHATMAIL_STATIC

static const struct source {
	const char *name, *version, *sha256, *patches;
} sources[] = {
#define SOURCE(name, version, sha256, patches) \
	{ name, version, sha256, patches },
#include "sources.list"
#undef SOURCE
};

static const char *libc(void)
{
	return "musl";
}

static bool is_patched(const struct source *s)
{
	return strcmp(s->patches, "-") != 0;
}

static void show_libraries(struct buf *out)
{
	buf_adds(out, "libraries in it, and the SHA-256 of their sources:\n");
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		const struct source *s = &sources[i];

		buf_addf(out, "  %s %s\n      %s\n", s->name, s->version,
			 s->sha256);
		if (is_patched(s))
			buf_addf(out, "      %s Debian's patches\n",
				 s->patches);
		else
			buf_adds(out, "      without Debian's patches\n");
	}
}

static void add_libraries(cJSON *list)
{
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		const struct source *s = &sources[i];
		cJSON *o = add_library(list, s->name), *source;

		add_own_version(o, s->name);
		source = cJSON_AddObjectToObject(o, "source");
		add_text(source, "version", s->version);
		add_text(source, "sha256", s->sha256);
		add_text(source, "patches_sha256",
			 is_patched(s) ? s->patches : NULL);
	}
}

#else

/* ---- shared libraries ------------------------------------------------------- */

struct search {
	const char *stem;
	struct buf path;
};

static int look_at(struct dl_phdr_info *info, size_t size, void *data)
{
	struct search *s = data;
	const char *slash = strrchr(info->dlpi_name, '/');
	size_t n = strlen(s->stem);

	if (!slash || strncmp(slash + 1, s->stem, n) != 0 ||
	    (slash[1 + n] && slash[1 + n] != '.'))
		return 0;
	buf_adds(&s->path, info->dlpi_name);
	return 1;
}

/* The file that a library was loaded from, by its real name, which often has
 * the version; empty when it is not loaded. */
static void find_file(const char *stem, struct buf *out)
{
	struct search s = { .stem = stem, .path = BUF_INIT };
	char *real;

	dl_iterate_phdr(look_at, &s);
	real = s.path.len ? realpath(s.path.data, NULL) : NULL;
	buf_adds(out, real ? real : s.path.data);
	free(real);
	buf_free(&s.path);
}

static void add_libraries(cJSON *list)
{
	struct buf file = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
		cJSON *o = add_library(list, libraries[i].name);

		add_own_version(o, libraries[i].name);
		add_text(o, "built_with", libraries[i].built);
		buf_reset(&file);
		find_file(libraries[i].stem, &file);
		add_text(o, "file", file.data);
	}
	buf_free(&file);
}

static const char *text_of(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
}

static void show_library(struct buf *out, const cJSON *o)
{
	const char *runs = text_of(o, "version");
	const char *built = text_of(o, "built_with");
	const char *file = text_of(o, "file");

	buf_addf(out, "  %s %s, %s\n", text_of(o, "name"),
		 runs ? runs : file ? "does not tell its version" : "unknown",
		 file ? file : "not there");
	if (built && (!runs || strcmp(runs, built) != 0))
		buf_addf(out, "      built with %s\n", built);
}

static void show_libraries(struct buf *out)
{
	cJSON *list = cJSON_CreateArray(), *o;

	add_libraries(list);
	buf_adds(out, "shared libraries that it runs with here:\n");
	cJSON_ArrayForEach(o, list)
		show_library(out, o);
	cJSON_Delete(list);
}

#ifdef __GLIBC__
#include <gnu/libc-version.h>

static const char *libc(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "glibc %s", gnu_get_libc_version());
	return text;
}
#else
static const char *libc(void)
{
	return "musl";
}
#endif

#endif

void libraries_show(struct buf *out)
{
#ifdef CHATMAIL_STATIC
	const char *kind = "static";
#else
	const char *kind = "dynamic";
#endif
	buf_addf(out, "%s, %s, %s, compiled by %s\n", kind, machine(), libc(),
		 compiler);
	show_libraries(out);
}

void libraries_json(cJSON *object)
{
#ifdef CHATMAIL_STATIC
	cJSON_AddBoolToObject(object, "static", true);
#else
	cJSON_AddBoolToObject(object, "static", false);
#endif
	add_text(object, "machine", machine());
	add_text(object, "libc", libc());
	add_text(object, "compiler", compiler);
	add_libraries(cJSON_AddArrayToObject(object, "libraries"));
}
