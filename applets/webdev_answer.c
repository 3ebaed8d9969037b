/* What chatmail webdev answers: files, with a script that reloads the page,
 * or the mistake that keeps them from being built. */
#include "applets/webdev.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "relay/www.h"

enum { FILE_MAX = 64 * 1024 * 1024 };

static const char script_path[] = ".webdev/reload.js";
static const char script[] =
"var build = document.currentScript.dataset.build;\n"
"new EventSource(\"/.webdev/events\").onmessage = function (event) {\n"
"	if (event.data !== build)\n"
"		location.reload();\n"
"};\n";

static const struct {
	unsigned status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 400, "Bad Request" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 414, "URI Too Long" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 505, "HTTP Version Not Supported" },
};

static const char page_type[] = "text/html; charset=utf-8";

static const struct {
	const char *suffix, *type;
} types[] = {
	{ ".html", page_type },
	{ ".htm", page_type },
	{ ".css", "text/css; charset=utf-8" },
	{ ".js", "text/javascript; charset=utf-8" },
	{ ".mjs", "text/javascript; charset=utf-8" },
	{ ".json", "application/json" },
	{ ".webmanifest", "application/manifest+json" },
	{ ".xml", "text/xml; charset=utf-8" },
	{ ".txt", "text/plain; charset=utf-8" },
	{ ".md", "text/plain; charset=utf-8" },
	{ ".svg", "image/svg+xml" },
	{ ".png", "image/png" },
	{ ".jpg", "image/jpeg" },
	{ ".jpeg", "image/jpeg" },
	{ ".gif", "image/gif" },
	{ ".webp", "image/webp" },
	{ ".avif", "image/avif" },
	{ ".ico", "image/x-icon" },
	{ ".woff", "font/woff" },
	{ ".woff2", "font/woff2" },
	{ ".ttf", "font/ttf" },
	{ ".pdf", "application/pdf" },
	{ ".mp4", "video/mp4" },
	{ ".webm", "video/webm" },
};

static const char *reason_of(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Error";
}

static const char *type_of(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		size_t n = strlen(path), len = strlen(types[i].suffix);

		if (n > len && str_eqi(path + n - len, types[i].suffix))
			return types[i].type;
	}
	return "application/octet-stream";
}

static void add_answer(struct buf *out, unsigned status, const char *type,
		       const struct buf *body, bool is_head)
{
	buf_addf(out, "HTTP/1.1 %u %s\r\n"
		 "Content-Type: %s\r\n"
		 "Content-Length: %zu\r\n"
		 "Cache-Control: no-store\r\n"
		 "X-Content-Type-Options: nosniff\r\n"
		 "%s"
		 "Connection: close\r\n\r\n", status, reason_of(status), type,
		 body->len, status == 405 ? "Allow: GET, HEAD\r\n" : "");
	if (!is_head)
		buf_add(out, body->data, body->len);
}

void webdev_answer_status(unsigned status, bool is_head, struct buf *out)
{
	struct buf body = BUF_INIT;

	buf_addf(&body, "%u %s\n", status, reason_of(status));
	add_answer(out, status, "text/plain; charset=utf-8", &body, is_head);
	buf_free(&body);
}

/* ---- pages ------------------------------------------------------------------ */

static void add_script(struct buf *out, const struct webdev *w)
{
	buf_addf(out, "<script src=\"/%s\" data-build=\"%s\"></script>\n",
		 script_path, w->build);
}

/* The last </body>, or the end. */
static size_t body_end(const struct buf *html)
{
	static const char tag[] = "</body";
	size_t n = strlen(tag);

	for (size_t i = html->len; i >= n; i--)
		if (mem_eqi(html->data + i - n, tag, n))
			return i - n;
	return html->len;
}

static void answer_page(struct webdev *w, unsigned status,
			const struct buf *html, bool is_head, struct buf *out)
{
	size_t end = body_end(html);
	struct buf body = BUF_INIT;

	buf_add(&body, html->data, end);
	add_script(&body, w);
	buf_add(&body, html->data + end, html->len - end);
	add_answer(out, status, page_type, &body, is_head);
	buf_free(&body);
}

/* A page that reloads itself when the next build is there. */
static void answer_note(struct webdev *w, unsigned status, const char *title,
			const char *text, bool is_head, struct buf *out)
{
	struct buf html = BUF_INIT;

	buf_addf(&html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
		 "<meta charset=\"utf-8\">\n<title>%s</title>\n"
		 "<meta name=\"viewport\" content=\"width=device-width\">\n"
		 "</head>\n<body>\n<h1>%s</h1>\n"
		 "<pre style=\"white-space: pre-wrap\">", title, title);
	buf_add_html(&html, text);
	buf_adds(&html, "</pre>\n</body>\n</html>\n");
	answer_page(w, status, &html, is_head, out);
	buf_free(&html);
}

/* ---- files ------------------------------------------------------------------ */

/* What the builder leaves out is not there, its own marker included. */
static bool is_hidden(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");
		char *name = xstrndup(path, n);
		bool hidden = www_is_ignored(name);

		free(name);
		if (hidden || !path[n])
			return hidden;
		path += n + 1;
	}
}

static int read_file(const struct webdev *w, const char *path, struct buf *out)
{
	struct buf name = BUF_INIT;
	int ret = -1;

	errno = ENOENT;
	if (!is_hidden(path)) {
		buf_addf(&name, "%s/www/%s", w->dir, path);
		ret = file_read(name.data, FILE_MAX, out);
	}
	buf_free(&name);
	return ret;
}

void webdev_answer(struct webdev *w, const char *path, bool is_head,
		   struct buf *out)
{
	const char *type = type_of(path);
	bool is_page = type == page_type;
	struct buf file = BUF_INIT;

	if (strcmp(path, script_path) == 0) {
		buf_adds(&file, script);
		add_answer(out, 200, type, &file, is_head);
	} else if (is_page && w->mistake.len) {
		answer_note(w, 500, "The pages cannot be built",
			    w->mistake.data, is_head, out);
	} else if (read_file(w, path, &file) < 0) {
		if (errno != ENOENT && errno != ENOTDIR && errno != EISDIR &&
		    errno != ENAMETOOLONG)
			webdev_answer_status(500, is_head, out);
		else if (is_page)
			answer_note(w, 404, "There is no such page", path,
				    is_head, out);
		else
			webdev_answer_status(404, is_head, out);
	} else if (is_page) {
		answer_page(w, 200, &file, is_head, out);
	} else {
		add_answer(out, 200, type, &file, is_head);
	}
	buf_free(&file);
}
