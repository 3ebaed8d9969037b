#include "net/http.h"

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "net/curl_lib.h"

static const double IDLE_SECS = 60.;	/* then connections and memory go */
enum {
	/* a path that has died is noticed before the request's own limit, so
	 * that the next try does not take the same connection */
	UNACKED_MSECS = 30 * 1000,
};

/* Not sent: curl's guess of a type, and its question whether to go on. */
static char expect_field[] = "Expect:", type_field[] = "Content-Type:";
static struct curl_slist no_expect = { expect_field, NULL };
static struct curl_slist no_type = { type_field, &no_expect };

/* Connections that are used together. After a timeout no new request goes to
 * them: a server that takes requests and does not answer would get every
 * retry on the same HTTP/2 connection. */
struct http_pool {
	struct http *http;
	CURLM *multi;
	ev_timer timer;		/* curl's */
	ev_timer idle;
	unsigned requests;
	bool retired;
};

struct http {
	struct ev_loop *loop;
	struct http_pool *pool;	/* NULL until the next request */
	unsigned requests;	/* of all pools */
	bool multiplexed;	/* the last answer came by HTTP/2 */
	struct http_request *unsent;	/* to be told so from the loop */
	ev_timer unsent_timer;
	struct buf lib_error;
};

/* A socket of curl's. */
struct watch {
	ev_io io;
	struct http_pool *pool;
};

static void pool_free(struct http_pool *p)
{
	struct ev_loop *loop = p->http->loop;

	ev_timer_stop(loop, &p->timer);
	ev_timer_stop(loop, &p->idle);
	if (p->http->pool == p)
		p->http->pool = NULL;
	/* closes its connections, and so ends their watches */
	curl.multi_cleanup(p->multi);
	ev_timer_stop(loop, &p->timer);
	free(p);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	pool_free(container_of(w, struct http_pool, idle));
#ifdef __GLIBC__
	/* TLS and HTTP/2 leave holes of megabytes below the heap's top */
	malloc_trim(0);
#endif
}

/* ---- what has ended ------------------------------------------------------- */

/* The status counts as soon as it is known: an answer whose body breaks off
 * or is too long has been given all the same. */
static long final_status(CURL *easy)
{
	long status = 0;

	curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 ? status : 0;
}

static void request_end(struct http_pool *p, CURL *easy, CURLcode result)
{
	struct http *h = p->http;
	struct http_request *r = NULL;
	long status = final_status(easy), version = 0;

	curl.easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
	curl.easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
	curl.multi_remove_handle(p->multi, easy);
	curl.easy_cleanup(easy);
	if (status)
		h->multiplexed = version >= CURL_HTTP_VERSION_2_0;
	if (result == CURLE_OPERATION_TIMEDOUT && !p->retired) {
		p->retired = true;
		if (h->pool == p)
			h->pool = NULL;
	}
	h->requests--;
	p->requests--;
	r->done(r, status, status ? "" : curl.easy_strerror(result));
}

static void collect(struct http_pool *p)
{
	CURLMsg *m;
	int left;

	while ((m = curl.multi_info_read(p->multi, &left)))
		if (m->msg == CURLMSG_DONE)
			request_end(p, m->easy_handle, m->data.result);
	if (p->requests)
		return;
	if (p->retired) {
		pool_free(p);
	} else {
		ev_timer_set(&p->idle, IDLE_SECS, 0.);
		ev_timer_start(p->http->loop, &p->idle);
	}
}

static void act(struct http_pool *p, curl_socket_t fd, int events)
{
	int running;

	curl.multi_socket_action(p->multi, fd, events, &running);
	collect(p);
}

/* ---- curl's sockets and timer on the loop ----------------------------------- */

static void on_socket(struct ev_loop *loop, ev_io *w, int revents)
{
	struct watch *watch = container_of(w, struct watch, io);

	act(watch->pool, w->fd,
	    (revents & EV_READ ? CURL_CSELECT_IN : 0) |
	    (revents & EV_WRITE ? CURL_CSELECT_OUT : 0) |
	    (revents & EV_ERROR ? CURL_CSELECT_ERR : 0));
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	act(container_of(w, struct http_pool, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int curl_wants_socket(CURL *easy, curl_socket_t fd, int what,
			     void *userp, void *socketp)
{
	struct http_pool *p = userp;
	struct ev_loop *loop = p->http->loop;
	struct watch *w = socketp;

	if (what == CURL_POLL_REMOVE) {
		if (w)
			ev_io_stop(loop, &w->io);
		free(w);
		return 0;
	}
	if (!w) {
		w = xcalloc(1, sizeof(*w));
		w->pool = p;
		ev_io_init(&w->io, on_socket, fd, 0);
		curl.multi_assign(p->multi, fd, w);
	}
	ev_io_stop(loop, &w->io);
	ev_io_set(&w->io, fd, (what & CURL_POLL_IN ? EV_READ : 0) |
		  (what & CURL_POLL_OUT ? EV_WRITE : 0));
	ev_io_start(loop, &w->io);
	return 0;
}

static int curl_wants_timer(CURLM *multi, long msecs, void *userp)
{
	struct http_pool *p = userp;

	ev_timer_stop(p->http->loop, &p->timer);
	if (msecs < 0)
		return 0;
	ev_timer_set(&p->timer, msecs / 1000., 0.);
	ev_timer_start(p->http->loop, &p->timer);
	return 0;
}

static struct http_pool *pool_new(struct http *h)
{
	static bool ready;
	struct http_pool *p = xcalloc(1, sizeof(*p));

	/* not before it is needed: it takes time and memory */
	if (!ready && curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		bug("curl does not start");
	ready = true;
	p->http = h;
	p->multi = curl.multi_init();
	if (!p->multi)
		bug("curl does not start");
	ev_timer_init(&p->timer, on_timer, 0., 0.);
	ev_timer_init(&p->idle, on_idle, 0., 0.);
	curl.multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, curl_wants_socket);
	curl.multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl.multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, curl_wants_timer);
	curl.multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	curl.multi_setopt(p->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl.multi_setopt(p->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
			  (long)HTTP_CONNECTIONS_MAX);
	curl.multi_setopt(p->multi, CURLMOPT_MAXCONNECTS,
			  (long)HTTP_CONNECTIONS_MAX);
	curl.multi_setopt(p->multi, CURLMOPT_MAX_CONCURRENT_STREAMS,
			  (long)HTTP_STREAMS_MAX);
	return p;
}

/* ---- requests ------------------------------------------------------------- */

static size_t curl_has_body(char *data, size_t size, size_t n, void *userp)
{
	struct http_request *r = userp;

	r->received += size * n;
	return r->received > HTTP_BODY_MAX ? 0 : size * n;
}

static size_t curl_wants_body(char *data, size_t size, size_t n, void *userp)
{
	struct http_request *r = userp;
	size_t left = r->body_len - r->sent;

	if (left > size * n)
		left = size * n;
	memcpy(data, (const char *)r->body + r->sent, left);
	r->sent += left;
	return left;
}

/* curl sends a request again on its own when a kept connection closes without
 * an answer. By HTTP/2 the server has most often said that it did not take it;
 * by HTTP/1.1 it may have: the caller is to know. */
static int curl_wants_rewind(void *userp, curl_off_t offset, int origin)
{
	struct http_request *r = userp;

	if (!r->http->multiplexed || origin != SEEK_SET || offset != 0)
		return CURL_SEEKFUNC_FAIL;
	r->sent = 0;
	return CURL_SEEKFUNC_OK;
}

static int curl_has_socket(void *userp, curl_socket_t fd, curlsocktype purpose)
{
	unsigned msecs = UNACKED_MSECS;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &msecs, sizeof(msecs));
	return CURL_SOCKOPT_OK;
}

static void set_transport(CURL *c, const struct http_request *r)
{
	const char *ca = getenv("SSL_CERT_FILE");
	bool is_tls = mem_eqi(r->url, "https:", strlen("https:"));

	curl.easy_setopt(c, CURLOPT_URL, r->url);
	curl.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(r->timeout * 1000.));
	/* by TLS rather share a connection that is being made than make
	 * another; without, HTTP/2 is not spoken */
	curl.easy_setopt(c, CURLOPT_HTTP_VERSION, is_tls ?
			 (long)CURL_HTTP_VERSION_2TLS :
			 (long)CURL_HTTP_VERSION_1_1);
	curl.easy_setopt(c, CURLOPT_PIPEWAIT, is_tls ? 1L : 0L);
	curl.easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, curl_has_socket);
	if (ca && *ca)
		curl.easy_setopt(c, CURLOPT_CAINFO, ca);
}

static CURL *easy_new(const struct http *h, struct http_request *r)
{
	CURL *c = curl.easy_init();

	if (!c)
		bug("curl does not start");
	set_transport(c, r);
	curl.easy_setopt(c, CURLOPT_PRIVATE, r);
	curl.easy_setopt(c, CURLOPT_USERAGENT, "chatmail/" CHATMAIL_VERSION);
	curl.easy_setopt(c, CURLOPT_HTTPHEADER, &no_type);
	curl.easy_setopt(c, CURLOPT_POST, 1L);
	curl.easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
			 (curl_off_t)r->body_len);
	curl.easy_setopt(c, CURLOPT_READFUNCTION, curl_wants_body);
	curl.easy_setopt(c, CURLOPT_READDATA, r);
	curl.easy_setopt(c, CURLOPT_SEEKFUNCTION, curl_wants_rewind);
	curl.easy_setopt(c, CURLOPT_SEEKDATA, r);
	/* bodies are short; curl's 64 KB would be mapped for each request */
	curl.easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 16L * 1024);
	curl.easy_setopt(c, CURLOPT_BUFFERSIZE, 4L * 1024);
	curl.easy_setopt(c, CURLOPT_WRITEFUNCTION, curl_has_body);
	curl.easy_setopt(c, CURLOPT_WRITEDATA, r);
	return c;
}

/* Requests that there is no libcurl for. */
static void on_unsent(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct http *h = container_of(w, struct http, unsent_timer);
	struct http_request *r = h->unsent;

	h->unsent = NULL;
	while (r) {
		struct http_request *next = r->next;

		h->requests--;
		r->done(r, 0, h->lib_error.data);
		r = next;
	}
}

struct http *http_new(struct ev_loop *loop)
{
	struct http *h = xcalloc(1, sizeof(*h));

	h->loop = loop;
	buf_init(&h->lib_error);
	ev_timer_init(&h->unsent_timer, on_unsent, 0., 0.);
	return h;
}

unsigned http_room(const struct http *h)
{
	unsigned max = h->multiplexed ? HTTP_STREAMS_MAX : HTTP_CONNECTIONS_MAX;

	return h->requests < max ? max - h->requests : 0;
}

void http_post(struct http *h, struct http_request *r)
{
	r->http = h;
	r->sent = r->received = 0;
	h->requests++;
	if (curl_lib_load(&h->lib_error) < 0) {
		r->next = h->unsent;
		h->unsent = r;
		ev_timer_start(h->loop, &h->unsent_timer);
		return;
	}
	if (!h->pool)
		h->pool = pool_new(h);
	h->pool->requests++;
	ev_timer_stop(h->loop, &h->pool->idle);
	/* begins from the loop: curl sets its timer */
	if (curl.multi_add_handle(h->pool->multi, easy_new(h, r)) != CURLM_OK)
		bug("curl refuses a request");
}
