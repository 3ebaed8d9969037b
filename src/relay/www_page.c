#include "relay/www_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "relay/www_check.h"
#include "text/md.h"
#include "text/tmpl.h"

enum { PAGE_MAX = 4 * 1024 * 1024 };	/* bytes of Markdown, of a layout */

struct page {
	struct tmpl_vars vars;
	const struct www_site *site;
	const struct www_file *file;
	const struct www_language *language;
	struct arena arena;
	const char *rel;	/* path below the language's directory, no ".md" */
	const char *root;	/* "", "../", … */
	const char *pagename;
	const char *links, *hreflang;
	/* NULL while the Markdown itself is rendered */
	const char *html, *title;
	struct md_values values;
};

/* ---- languages -------------------------------------------------------------- */

/* The first directory of a name, when it is called as a language. */
static size_t language_dir(const char *name)
{
	size_t n = strcspn(name, "/"), letters = 0;
	const char *rest;

	if (!name[n])
		return 0;
	while (name[letters] >= 'a' && name[letters] <= 'z')
		letters++;
	rest = name + letters;
	if (letters < 2 || letters > 3 || (*rest != '-' && *rest != '/'))
		return 0;
	return strspn(rest, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		      "abcdefghijklmnopqrstuvwxyz") == n - letters ? n : 0;
}

/* The name in the first line of DIR/index.md; NULL when there is none. */
static const char *read_name(struct www_site *site, const char *dir,
			     struct buf *err)
{
	static const char begin[] = "<!-- language:";
	struct buf path = BUF_INIT, text = BUF_INIT;
	const struct www_file *f;
	const char *name = NULL;
	char *line, *end;

	buf_addf(&path, "%sindex.md", dir);
	f = www_source_find(site->source, path.data);
	if (f && www_source_read(site->source, f, PAGE_MAX, &text, err) == 0) {
		line = text.data;
		line += str_starts(line, "\xef\xbb\xbf") ? 3 : 0;
		line[strcspn(line, "\n")] = '\0';
		end = strstr(line, "-->");
		if (str_starts(line, begin) && end) {
			*end = '\0';
			name = arena_strdup(&site->arena,
					    str_trim(line + strlen(begin)));
		}
	}
	buf_free(&path);
	buf_free(&text);
	return name;
}

static void add_language(struct www_site *site, const char *code, size_t n,
			 const char *default_name, struct buf *err)
{
	struct www_language *l = &site->languages[site->language_count++];
	const char *name;

	l->code = n ? arena_strndup(&site->arena, code, n) : "en";
	l->dir = n ? arena_printf(&site->arena, "%s/", l->code) : "";
	name = read_name(site, l->dir, err);
	l->name = name ? name : default_name ? default_name : l->code;
}

/* The files are sorted, so those of a directory come one after the other. */
int www_site_init(struct www_site *site, const struct relay *r,
		  const struct www_source *source, bool is_webdev,
		  struct buf *err)
{
	*site = (struct www_site){
		.relay = r, .source = source, .is_webdev = is_webdev,
		.arena = ARENA_INIT,
	};
	site->languages = xcalloc(source->count + 1, sizeof(*site->languages));
	add_language(site, "", 0, "English", err);
	for (size_t i = 0; i < source->count; i++) {
		const char *name = source->files[i].name;
		size_t n = language_dir(name);
		const char *last =
			site->languages[site->language_count - 1].dir;

		if (n && str_ends(name, ".md") &&
		    !(*last && str_starts(name, last)))
			add_language(site, name, n, NULL, err);
	}
	return err->len ? -1 : 0;
}

void www_site_free(struct www_site *site)
{
	arena_free(&site->arena);
	free(site->languages);
}

/* ---- values ------------------------------------------------------------------ */

/* Numbers as upstream's pages word them. */
static const char *number_word(struct page *p, uint64_t n)
{
	static const char *const words[] = {
		"zero", "one", "two", "three", "four", "five", "six", "seven",
		"eight", "nine", "ten", "eleven", "twelve",
	};

	if (n < ARRAY_LEN(words))
		return words[n];
	return n <= 50 ? arena_printf(&p->arena, "%u", (unsigned)n) : "more";
}

static const char *value_markdown_html(struct page *p)
{
	return p->html;
}

static const char *value_title(struct page *p)
{
	return p->title;
}

static const char *value_pagename(struct page *p)
{
	return p->pagename;
}

static const char *value_lang(struct page *p)
{
	return p->language->code;
}

static const char *value_root(struct page *p)
{
	return p->root;
}

static const char *value_language_links(struct page *p)
{
	return p->links;
}

static const char *value_hreflang_links(struct page *p)
{
	return p->hreflang;
}

static const char *value_username_min_length(struct page *p)
{
	return number_word(p, p->site->relay->s.username_min_length);
}

static const char *value_username_max_length(struct page *p)
{
	return number_word(p, p->site->relay->s.username_max_length);
}

static const char *value_password_min_length(struct page *p)
{
	return number_word(p, p->site->relay->s.password_min_length);
}

static const char *value_webdev(struct page *p)
{
	return p->site->is_webdev ? "true" : "";
}

/* What pages know besides the relay's own names. A value that is_html goes in
 * as it is; NULL: not known here. Those in_config are known with "config."
 * before them, too. */
static const struct page_var {
	const char *name;
	const char *(*make)(struct page *p);
	bool is_html, in_config;
} page_vars[] = {
	{ "markdown_html", value_markdown_html, true },
	{ "title", value_title, true },
	{ "pagename", value_pagename },
	{ "lang", value_lang },
	{ "root", value_root },
	{ "language_links", value_language_links, true },
	{ "hreflang_links", value_hreflang_links, true },
	{ "username_min_length", value_username_min_length },
	{ "username_max_length", value_username_max_length },
	{ "password_min_length", value_password_min_length },
	{ "webdev", value_webdev, false, true },
};

static const struct page_var *find_var(const char *name)
{
	static const char config[] = "config.";
	bool in_config = str_starts(name, config);

	if (in_config)
		name += strlen(config);
	for (size_t i = 0; i < ARRAY_LEN(page_vars); i++)
		if (strcmp(page_vars[i].name, name) == 0 &&
		    (!in_config || page_vars[i].in_config))
			return &page_vars[i];
	return NULL;
}

static const char *lookup(const struct tmpl_vars *v, const char *name)
{
	struct page *p = container_of((struct tmpl_vars *)v, struct page, vars);
	const struct page_var *var = find_var(name);

	if (var)
		return var->make(p);
	return relay_var(p->site->relay,
			 name + (str_starts(name, "config.") ? 7 : 0));
}

static const char *refuse(const struct tmpl_vars *v, const char *text, size_t n)
{
	const struct page *p = container_of(v, struct page, vars);

	return www_refuse(p->site->relay, text, n);
}

/* In the layout. */
static void add_escaped(const struct tmpl_vars *v, struct buf *out,
			const char *name, const char *value)
{
	const struct page_var *var = find_var(name);

	if (var && var->is_html)
		buf_adds(out, value);
	else
		buf_add_html(out, value);
}

/* In Markdown. */
static void add_placeholder(const struct tmpl_vars *v, struct buf *out,
			    const char *name, const char *value)
{
	struct page *p = container_of((struct tmpl_vars *)v, struct page, vars);
	const struct page_var *var = find_var(name);

	md_values_add(&p->values, out, value, var && var->is_html);
}

/* ---- the same page in other languages ---------------------------------------- */

static bool has_page(const struct page *p, const struct www_language *l)
{
	struct buf name = BUF_INIT;
	bool there;

	buf_addf(&name, "%s%s.md", l->dir, p->rel);
	there = www_source_find(p->site->source, name.data) != NULL;
	buf_free(&name);
	return there;
}

/* nginx gives a page without a language in its path in the one that the browser
 * prefers; the query tells it not to. */
static void add_link(struct buf *out, const struct page *p,
		     const struct www_language *l)
{
	buf_addf(out, "<a href=\"%s%s", p->root, l->dir);
	buf_add_percent(out, p->rel, "/");
	buf_adds(out, ".html");
	if (!*l->dir)
		buf_addf(out, "?lang=%s", l->code);
	buf_addf(out, "\" lang=\"%s\" hreflang=\"%s\">", l->code, l->code);
	buf_add_html(out, l->name);
	buf_adds(out, "</a>\n");
}

/* Search engines want whole URLs. */
static void add_hreflang(struct buf *out, const struct page *p,
			 const struct www_language *l)
{
	buf_addf(out, "<link rel=\"alternate\" hreflang=\"%s\" "
		 "href=\"https://%s/%s", l->code,
		 p->site->relay->mail_domain_bare, l->dir);
	buf_add_percent(out, p->rel, "/");
	buf_adds(out, ".html\">\n");
}

static void make_links(struct page *p)
{
	struct buf links = BUF_INIT, hreflang = BUF_INIT;

	for (size_t i = 0; i < p->site->language_count; i++) {
		const struct www_language *l = &p->site->languages[i];

		if (!has_page(p, l))
			continue;
		add_hreflang(&hreflang, p, l);
		if (l != p->language)
			add_link(&links, p, l);
	}
	if (links.len == 0)	/* alone */
		buf_reset(&hreflang);
	p->links = arena_strdup(&p->arena, links.data);
	p->hreflang = arena_strdup(&p->arena, hreflang.data);
	buf_free(&links);
	buf_free(&hreflang);
}

/* ---- a page ------------------------------------------------------------------ */

static void page_init(struct page *p, const struct www_site *site,
		      const struct www_file *f)
{
	size_t len = strlen(f->name) - strlen(".md");
	struct buf root = BUF_INIT;
	const char *slash;

	*p = (struct page){
		.vars = { lookup, add_placeholder, refuse },
		.site = site, .file = f, .arena = ARENA_INIT,
		.language = &site->languages[0],
	};
	for (size_t i = 1; i < site->language_count; i++)
		if (str_starts(f->name, site->languages[i].dir))
			p->language = &site->languages[i];
	p->rel = arena_strndup(&p->arena, f->name, len) +
		 strlen(p->language->dir);
	slash = strrchr(p->rel, '/');
	p->pagename = slash ? slash + 1 : p->rel;
	if (strcmp(p->pagename, "index") == 0)
		p->pagename = "home";
	for (const char *s = f->name; (s = strchr(s, '/')); s++)
		buf_adds(&root, "../");
	p->root = arena_strdup(&p->arena, root.data);
	buf_free(&root);
	make_links(p);
}

static void page_free(struct page *p)
{
	md_values_free(&p->values);
	arena_free(&p->arena);
}

static int read_text(const struct www_site *site, const struct www_file *f,
		     struct buf *out, struct buf *err)
{
	if (www_source_read(site->source, f, PAGE_MAX, out, err) < 0)
		return -1;
	return www_check_utf8(f->shown, out->data, out->len, err);
}

static int render_markdown(struct page *p, struct buf *out, struct buf *err)
{
	struct buf source = BUF_INIT, text = BUF_INIT, html = BUF_INIT;
	int ret = read_text(p->site, p->file, &source, err);

	if (ret == 0) {
		md_values_init(&p->values, source.data, source.len);
		ret = tmpl_render(&text, p->file->shown, source.data,
				  source.len, &p->vars, err);
	}
	if (ret == 0) {
		ret = md_to_html(&html, text.data, text.len, err);
		if (ret < 0)
			buf_prefixf(err, "%s: ", p->file->shown);
		md_values_insert(&p->values, out, html.data, html.len);
	}
	buf_free(&source);
	buf_free(&text);
	buf_free(&html);
	return ret;
}

/* The layout beside the page, else the nearest above. */
static const struct www_file *find_layout(const struct page *p)
{
	struct buf name = BUF_INIT;
	const struct www_file *f = NULL;
	size_t n = strlen(p->file->name);

	while (!f) {
		while (n && p->file->name[n - 1] != '/')
			n--;
		buf_reset(&name);
		buf_addf(&name, "%.*spage-layout.html", (int)n, p->file->name);
		f = www_source_find(p->site->source, name.data);
		if (n == 0)
			break;
		n--;
	}
	buf_free(&name);
	return f;
}

static int render_layout(struct page *p, struct buf *out, struct buf *err)
{
	const struct www_file *f = find_layout(p);
	struct buf source = BUF_INIT;
	int ret;

	if (!f) {
		buf_setf(err, "%s: there is no page-layout.html for it",
			 p->file->shown);
		return -1;
	}
	p->vars.add = add_escaped;
	ret = read_text(p->site, f, &source, err);
	if (ret == 0)
		ret = tmpl_render(out, f->shown, source.data, source.len,
				  &p->vars, err);
	buf_free(&source);
	return ret;
}

int www_page_render(const struct www_site *site, const struct www_file *f,
		    struct buf *out, struct buf *err)
{
	struct buf html = BUF_INIT, title = BUF_INIT;
	struct page p;
	int ret;

	page_init(&p, site, f);
	ret = render_markdown(&p, &html, err);
	if (ret == 0) {
		if (!md_add_heading(&title, html.data))
			buf_add_html(&title, p.pagename);
		p.html = html.data;
		p.title = title.data;
		ret = render_layout(&p, out, err);
	}
	page_free(&p);
	buf_free(&html);
	buf_free(&title);
	return ret;
}
