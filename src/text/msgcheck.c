#include "text/msgcheck.h"

#include <string.h>

#include "base/str.h"
#include "text/addr.h"

/* Text */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void text_feed(struct msgcheck_text *t, const char *p, size_t n)
{
	for (; n && !t->cut; p++, n--) {
		if (!t->len && is_space(*p))
			continue;
		if (t->len < sizeof(t->data))
			t->data[t->len++] = *p;
		else if (!is_space(*p))
			t->cut = true;
	}
}

static bool text_is(const struct msgcheck_text *t, const char *want)
{
	size_t n = t->len;

	while (n && is_space(t->data[n - 1]))
		n--;
	return !t->cut && n == strlen(want) && memcmp(t->data, want, n) == 0;
}

static bool text_is_join(struct msgcheck_text *t)
{
	for (size_t i = 0; i < t->len; i++)
		t->data[i] = ascii_lower(t->data[i]);
	return text_is(t, "secure-join: vc-request") ||
	       text_is(t, "secure-join: vg-request");
}

/* Verdicts */

static void not_encrypted(struct msgcheck *m, const char *why)
{
	if (!m->result.why)
		m->result.why = why;
}

static void not_join(struct msgcheck *m)
{
	m->join_failed = true;
}

static void neither(struct msgcheck *m, const char *why)
{
	not_encrypted(m, why);
	not_join(m);
}

bool msgcheck_hopeless(const struct msgcheck *m)
{
	return m->header_seen && m->result.why && m->join_failed &&
	       !m->result.mailer_daemon && !m->result.setup_message_form;
}

/* The message's own header */

static void check_from(struct msgcheck *m)
{
	const struct mime_value *v = &m->mime.head.values[MIME_FROM];
	struct msgcheck_result *r = &m->result;
	int ret = 0;

	r->from_fields = v->count;
	if (v->count && !v->cut)
		ret = addr_parse_list(v->text.data, &m->from, &r->from_count,
				      &m->from_error);
	if (!v->count)
		buf_setf(&m->from_error, "no From header");
	else if (v->count > 1)
		buf_setf(&m->from_error, "more than one From header");
	else if (v->cut)
		buf_setf(&m->from_error, "From header too long");
	else if (ret == 0 && r->from_count != 1)
		buf_setf(&m->from_error, "%s address in From",
			 r->from_count ? "more than one" : "no");
}

static bool is_once(const struct msgcheck *m, enum mime_field field)
{
	const struct mime_value *v = &m->mime.head.values[field];

	return v->count == 1 && !v->cut;
}

static bool has_value(const struct msgcheck *m, enum mime_field field,
		      const char *want)
{
	return is_once(m, field) &&
	       strcmp(m->mime.head.values[field].text.data, want) == 0;
}

static bool is_bounce(const struct msgcheck *m)
{
	const char *automatic = mime_get(&m->mime, MIME_AUTO_SUBMITTED);
	static const char daemon[] = "mailer-daemon@";
	size_t n = sizeof(daemon) - 1;

	return automatic && *automatic && !m->from_error.len &&
	       m->from.len > n && mem_eqi(m->from.data, daemon, n) &&
	       strcmp(m->mime.type.type, "multipart/report") == 0;
}

static bool is_setup_message(const struct msgcheck *m)
{
	return has_value(m, MIME_SUBJECT, "Autocrypt Setup Message") &&
	       strcmp(m->mime.type.type, "multipart/mixed") == 0;
}

static void message_header(struct msgcheck *m)
{
	const struct mime *mime = &m->mime;
	struct msgcheck_result *r = &m->result;

	m->header_seen = true;
	check_from(m);
	r->header_error = mime->head.error;
	if (r->header_error) {
		neither(m, r->header_error);
		return;
	}
	r->mailer_daemon = is_bounce(m);
	r->setup_message_form = is_setup_message(m);
	if (strcmp(mime->type.type, "multipart/encrypted") != 0)
		not_encrypted(m, mime->type.type[0] ?
			      "not multipart/encrypted" : mime->type.error);
	if (mime_type_is_multipart(&mime->type) && mime->type.error)
		neither(m, mime->type.error);
	/* RFC 2045 section 6.4; some programs would decode the whole body */
	if (mime->encoding_error || (mime_type_is_multipart(&mime->type) &&
				     mime->encoding != MIME_IDENTITY))
		neither(m, "multipart with a Content-Transfer-Encoding");
	if (!has_value(m, MIME_SECURE_JOIN, "vc-request") &&
	    !has_value(m, MIME_SECURE_JOIN, "vg-request"))
		not_join(m);
	if (!mime_type_is_multipart(&mime->type) &&
	    strcmp(mime->type.type, "text/plain") != 0)
		not_join(m);
}

/* Parts */

static void part_header(struct msgcheck *m)
{
	static const struct {
		const char *type, *why;
	} wanted[] = {
		{ "application/pgp-encrypted",
		  "first part is not application/pgp-encrypted" },
		{ "application/octet-stream",
		  "second part is not application/octet-stream" },
	};
	const struct mime *mime = &m->mime;
	size_t i = mime->part - 1;

	if (mime->head.error)
		neither(m, mime->head.error);
	if (i > 0 || strcmp(mime->type.type, "text/plain") != 0)
		not_join(m);
	if (i >= ARRAY_LEN(wanted))
		not_encrypted(m, "more than two parts");
	else if (strcmp(mime->type.type, wanted[i].type) != 0)
		not_encrypted(m, wanted[i].why);
}

static void on_header(struct mime *mime)
{
	struct msgcheck *m = container_of(mime, struct msgcheck, mime);

	m->text = (struct msgcheck_text){ .len = 0 };
	if (mime->part)
		part_header(m);
	else
		message_header(m);
}

static void on_body(struct mime *mime, const char *p, size_t n)
{
	struct msgcheck *m = container_of(mime, struct msgcheck, mime);

	if (mime->part < 2)
		text_feed(&m->text, p, n);
	else if (!m->result.why)
		armor_feed(&m->armor, p, n);
	if (m->armor.why)
		not_encrypted(m, m->armor.why);
}

static void on_part_end(struct mime *mime)
{
	struct msgcheck *m = container_of(mime, struct msgcheck, mime);

	if (mime->encoding_error)
		neither(m, mime->encoding_error);
	if (mime->part == 1 && !text_is(&m->text, "Version: 1"))
		not_encrypted(m, "first part is not \"Version: 1\"");
	if (mime->part == 2 && !m->result.why && !armor_end(&m->armor))
		not_encrypted(m, m->armor.why);
	if (mime->part < 2 && !text_is_join(&m->text))
		not_join(m);
}

static const struct mime_ops ops = {
	.header = on_header, .body = on_body, .part_end = on_part_end,
};

/* The whole */

void msgcheck_init(struct msgcheck *m, bool outgoing)
{
	memset(m, 0, sizeof(*m));
	m->outgoing = outgoing;
	mime_init(&m->mime, &ops);
	armor_init(&m->armor, outgoing);
	buf_init(&m->from);
	buf_init(&m->from_error);
}

void msgcheck_feed(struct msgcheck *m, const char *p, size_t n)
{
	if (msgcheck_hopeless(m))
		mime_skip(&m->mime, p, n);
	else
		mime_feed(&m->mime, p, n);
}

void msgcheck_end(struct msgcheck *m, struct msgcheck_result *r)
{
	struct mime *mime = &m->mime;

	mime_end(mime);
	if (mime->multipart && mime->part < 2)
		not_encrypted(m, "fewer than two parts");
	if (mime->multipart ? mime->part != 1 : !m->header_seen)
		not_join(m);
	if (mime->stray)
		neither(m, "line that could be taken for a boundary");
	if (mime->bytes.bare || mime->bytes.nul)
		neither(m, "bare CR or LF, or NUL byte");
	*r = m->result;
	r->encrypted = !r->why;
	r->securejoin = !m->join_failed;
	r->bare_newline = mime->bytes.bare;
	r->nul = mime->bytes.nul;
	r->from = m->from.data;
	r->from_error = m->from_error.len ? m->from_error.data : NULL;
}

void msgcheck_free(struct msgcheck *m)
{
	mime_free(&m->mime);
	buf_free(&m->from);
	buf_free(&m->from_error);
}
