#include "relay/www.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "relay/www_check.h"
#include "relay/www_output.h"
#include "relay/www_page.h"
#include "relay/www_source.h"
#include "text/qr.h"

enum { TEXT_MAX = 64 * 1024 * 1024 };	/* of a text file that is copied */

struct build {
	const struct relay *relay;
	const struct www_options *options;
	struct www_source source;
	struct www_site site;
	struct www_output output;
	bool as_it_is;		/* nothing is rendered */
	struct buf *warnings, *err;
};

/* What kinds of text there are; where people are named, contacts are. */
static const struct {
	const char *suffix;
	bool has_contacts;
} texts[] = {
	{ ".md", true }, { ".html", true }, { ".htm", true }, { ".txt", true },
	{ ".css" }, { ".js" }, { ".svg" }, { ".xml" },
};

/* ---- where the sources are ---------------------------------------------------- */

static bool is_kind(const char *path, mode_t kind)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == kind;
}

/* The directory to build from; NULL for the binary's own pages. */
static char *choose_dir(struct build *b)
{
	const char *folder = b->relay->s.www_folder;
	struct buf path = BUF_INIT;

	if (b->options->source)
		return xstrdup(b->options->source);
	if (!*folder)
		return NULL;
	buf_addf(&path, "%s/src/index.md", folder);
	b->as_it_is = !is_kind(path.data, S_IFREG);
	buf_reset(&path);
	buf_addf(&path, "%s%s", folder, b->as_it_is ? "" : "/src");
	return buf_detach(&path);
}

/* A build that contained its sources would destroy them, one that they
 * contained would grow with each run. */
static int check_apart(const char *dir, const char *output, struct buf *err)
{
	char *a = realpath(dir, NULL), *b = realpath(output, NULL);
	size_t n = a ? strlen(a) : 0, m = b ? strlen(b) : 0;
	bool apart = true;

	if (!b) {	/* not there yet: its parent is what matters */
		const char *slash = strrchr(output, '/');
		char *parent = slash == output ? xstrdup("/") : slash ?
			xstrndup(output, (size_t)(slash - output)) :
			xstrdup(".");

		b = realpath(parent, NULL);
		m = b ? strlen(b) : 0;
		free(parent);
		if (a && b)
			apart = strncmp(a, b, n) != 0 ||
				(b[n] != '/' && b[n] != '\0');
	} else if (a) {
		apart = !(strncmp(a, b, n) == 0 && (b[n] == '/' || !b[n])) &&
			!(strncmp(a, b, m) == 0 && (a[m] == '/' || !a[m]));
	}
	free(a);
	free(b);
	if (apart)
		return 0;
	buf_setf(err, "%s: pages cannot be built there from %s", output, dir);
	return -1;
}

static int open_source(struct build *b)
{
	char *dir = choose_dir(b);
	int ret = 0;

	if (!dir) {
		www_source_init(&b->source);
		www_source_add_assets(&b->source, true);
		return 0;
	}
	if (!b->options->source && !is_kind(dir, S_IFDIR) &&
	    (errno == ENOENT || errno == ENOTDIR ||
	     is_kind(b->relay->s.www_folder, S_IFREG))) {
		buf_addf(b->warnings, "%s:%u: www_folder: there is no directory "
			 "%s, so no pages are built\n", b->relay->path,
			 b->relay->line[SETTING_www_folder],
			 b->relay->s.www_folder);
		ret = WWW_SKIPPED;
	} else if (www_source_open(&b->source, dir, b->warnings, b->err) < 0 ||
		   check_apart(dir, b->options->output, b->err) < 0) {
		ret = WWW_ERROR;
	} else if (!b->as_it_is &&
		   !www_source_find(&b->source, "page-layout.html")) {
		www_source_add_assets(&b->source, false);
	}
	free(dir);
	return ret;
}

/* ---- one file ------------------------------------------------------------------- */

static int check_text(struct build *b, const struct www_file *f, bool contacts)
{
	struct buf text = BUF_INIT;
	int ret = www_source_read(&b->source, f, TEXT_MAX, &text, b->err);

	if (ret == 0)
		ret = www_check_conflict(f->shown, text.data, text.len, b->err);
	if (ret == 0 && contacts)
		ret = www_check_lines(b->relay, f->shown, text.data, text.len,
				      b->err);
	buf_free(&text);
	return ret;
}

/* Templates are asked for contacts when they are rendered: a branch that is
 * not taken may name anybody. */
static int check_file(struct build *b, const struct www_file *f,
		      bool is_template)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (str_ends(f->name, texts[i].suffix))
			return check_text(b, f, texts[i].has_contacts &&
					  !is_template);
	return 0;
}

static int build_page(struct build *b, const struct www_file *f)
{
	struct buf name = BUF_INIT, html = BUF_INIT;
	int ret = -1;

	buf_add(&name, f->name, strlen(f->name) - strlen(".md"));
	buf_adds(&name, ".html");
	if (www_source_find(&b->source, name.data))
		buf_setf(b->err, "%s: the sources have %s too", f->shown,
			 name.data);
	else if (www_page_render(&b->site, f, &html, b->err) == 0)
		ret = www_output_write(&b->output, name.data, html.data,
				       html.len, b->err);
	buf_free(&name);
	buf_free(&html);
	return ret;
}

static int copy_file(struct build *b, const struct www_file *f)
{
	int fd = www_output_create(&b->output, f->name, b->err);

	if (fd < 0)
		return -1;
	if (www_source_copy(&b->source, f, fd, b->err) == 0)
		return www_output_close(&b->output, fd, f->name, b->err);
	close(fd);
	return -1;
}

static int build_file(struct build *b, const struct www_file *f)
{
	static const char layout[] = "page-layout.html";
	const char *slash = strrchr(f->name, '/');
	bool is_page = !b->as_it_is && str_ends(f->name, ".md");
	bool is_layout = !b->as_it_is &&
			 strcmp(slash ? slash + 1 : f->name, layout) == 0;

	if (check_file(b, f, is_page || is_layout) < 0)
		return -1;
	if (is_layout)
		return 0;
	return is_page ? build_page(b, f) : copy_file(b, f);
}

/* ---- the invitation -------------------------------------------------------------- */

static int add_picture(struct build *b, const char *domain, const char *suffix,
		       const struct buf *picture)
{
	struct buf name = BUF_INIT;
	int ret = 0;

	buf_addf(&name, "qr-chatmail-invite-%s%s", domain, suffix);
	if (!www_source_find(&b->source, name.data))
		ret = www_output_write(&b->output, name.data, picture->data,
				       picture->len, b->err);
	buf_free(&name);
	return ret;
}

/* For an IPv4 relay under both names, as pages write {{ mail_domain }}. */
static int add_pictures(struct build *b)
{
	const struct relay *r = b->relay;
	const char *domains[] = { r->mail_domain_bare, r->mail_domain };
	const struct qr_options o = { .has_logo = true };
	struct buf text = BUF_INIT, svg = BUF_INIT, png = BUF_INIT;
	int ret;

	qr_add_invite(&text, r->mail_domain_bare);
	ret = qr_add_svg(&svg, text.data, &o, b->err);
	if (ret == 0)
		ret = qr_add_png(&png, text.data, &o, b->err);
	for (int i = 0; ret == 0 && i < (r->is_ipv4 ? 2 : 1); i++) {
		ret = add_picture(b, domains[i], ".svg", &svg);
		if (ret == 0)
			ret = add_picture(b, domains[i], ".png", &png);
	}
	buf_free(&text);
	buf_free(&svg);
	buf_free(&png);
	return ret;
}

/* ---- all ------------------------------------------------------------------------- */

static int build_all(struct build *b)
{
	if (www_output_begin(&b->output, b->options->output,
			     !b->options->is_webdev, b->err) < 0)
		return -1;
	if (www_site_init(&b->site, b->relay, &b->source,
			  b->options->is_webdev, b->err) < 0)
		return -1;
	for (size_t i = 0; i < b->source.count; i++)
		if (build_file(b, &b->source.files[i]) < 0)
			return -1;
	if (!b->as_it_is && add_pictures(b) < 0)
		return -1;
	return www_output_commit(&b->output, b->err);
}

int www_build(const struct relay *r, const struct www_options *o,
	      struct buf *warnings, struct buf *err)
{
	struct build b = {
		.relay = r, .options = o, .warnings = warnings, .err = err,
		.source.fd = -1, .output.fd = -1,
	};
	int ret;

	buf_reset(err);
	if (www_check_settings(r, err) < 0)
		return WWW_ERROR;
	ret = open_source(&b);
	if (ret == 0) {
		ret = build_all(&b);
		www_site_free(&b.site);
		www_output_end(&b.output);
	}
	www_source_free(&b.source);
	return ret;
}
