#include "config.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "store/kube_http_impl.h"

enum { KEPT_CONNECTIONS = 32, KEPT_SECONDS = 60 };

/* ---- the loop ---- */

struct watcher {
	ev_io io;
	struct kube_http *h;
};

static void drain_messages(struct kube_http *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct kube_http_handle *r;
		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode code = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		call_attempt_done(r, code);
	}
}

static void action(struct kube_http *h, curl_socket_t fd, int what)
{
	int running;

	h->in_curl++;
	curl_multi_socket_action(h->multi, fd, what, &running);
	h->in_curl--;
	drain_messages(h);
	kube_http_settle(h);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	struct watcher *one = (struct watcher *)w;
	action(one->h, w->fd,
	       (revents & EV_READ ? CURL_CSELECT_IN : 0) |
		       (revents & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	action(w->data, CURL_SOCKET_TIMEOUT, 0);
}

static int socket_cb(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	(void)easy;
	struct kube_http *h = arg;
	struct watcher *w = known;

	if (what == CURL_POLL_REMOVE) {
		if (w) {
			ev_io_stop(h->loop, &w->io);
			free(w);
			curl_multi_assign(h->multi, fd, NULL);
		}
		return 0;
	}
	int events = (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
	if (!w) {
		w = xcalloc(1, sizeof(*w));
		w->h = h;
		ev_io_init(&w->io, on_io, fd, events);
		curl_multi_assign(h->multi, fd, w);
	} else {
		if (w->io.fd == fd && (w->io.events & (EV_READ | EV_WRITE)) == events)
			return 0;
		ev_io_stop(h->loop, &w->io);
		ev_io_set(&w->io, fd, events);
	}
	ev_io_start(h->loop, &w->io);
	return 0;
}

static int timer_cb(CURLM *multi, long ms, void *arg)
{
	(void)multi;
	struct kube_http *h = arg;

	ev_timer_stop(h->loop, &h->curl_timer);
	if (ms >= 0) {
		/* The loop's idea of now may be old before its first turn. */
		ev_now_update(h->loop);
		ev_timer_set(&h->curl_timer, (double)ms / 1000, 0);
		ev_timer_start(h->loop, &h->curl_timer);
	}
	return 0;
}

/* ---- an attempt's callbacks ---- */

static int sockopt_cb(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct kube_http *h = arg;
	unsigned ms = h->opts.dead_peer_ms;

	if (purpose != CURLSOCKTYPE_IPCXN)
		return CURL_SOCKOPT_OK;
	/* Not fatal: without it a dead peer is found later. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	if (fcntl(fd, F_SETFD, FD_CLOEXEC))
		return CURL_SOCKOPT_ERROR;
	return CURL_SOCKOPT_OK;
}

/* The connection stands, with TLS; the request goes out next. */
static int prereq_cb(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	(void)ip, (void)local_ip, (void)port, (void)local_port;
	struct kube_http_handle *r = arg;

	if (!r->connected)
		server_connect_end(r->server, true, kube_http_now());
	r->connected = r->sent = true;
	return r->state == CALL_DEAD ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static size_t read_cb(char *to, size_t size, size_t n, void *arg)
{
	struct kube_http_handle *r = arg;
	size_t left = r->body_len - r->body_given, take = size * n < left ? size * n : left;

	memcpy(to, (char *)r->body + r->body_given, take);
	r->body_given += take;
	return take;
}

/* libcurl would send a body again by itself when a kept connection turns out dead; but then the
 * server may have acted on the first, and a repeated POST would conflict with itself. */
static int seek_cb(void *arg, curl_off_t offset, int origin)
{
	(void)arg, (void)offset, (void)origin;
	return CURL_SEEKFUNC_FAIL;
}

static unsigned status_of(struct kube_http_handle *r)
{
	long status = 0;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	return (unsigned)status;
}

static size_t header_cb(char *line, size_t size, size_t n, void *arg)
{
	struct kube_http_handle *r = arg;
	n *= size;
	bool end = (n == 2 && line[0] == '\r') || (n == 1 && line[0] == '\n');

	if (r->state == CALL_DEAD)
		return 0;
	unsigned status = end ? status_of(r) : 0;
	if (end && status >= 200 && !r->status) {
		r->status = status;
		call_opened(r);
		if (r->state == CALL_DEAD)
			return 0;
	}
	return n;
}

static void keep_error_body(struct kube_http_handle *r, const char *data, size_t n)
{
	size_t room = KUBE_ERROR_BODY - r->error_body_len;

	if (!r->error_body)
		r->error_body = xmalloc(KUBE_ERROR_BODY + 1);
	if (n > room)
		n = room;
	memcpy(r->error_body + r->error_body_len, data, n);
	r->error_body_len += n;
	r->error_body[r->error_body_len] = 0;
}

static bool slice_left(struct kube_http *h)
{
	unsigned turn = ev_iteration(h->loop);

	if (turn != h->slice_turn) {
		h->slice_turn = turn;
		h->slice_used = 0;
	}
	return h->slice_used < h->opts.slice_bytes;
}

static void resume_later(struct kube_http_handle *r)
{
	if (r->in_resumes || r->user_paused || !r->curl_paused)
		return;
	r->in_resumes = true;
	TAILQ_INSERT_TAIL(&r->h->resumes, r, resume);
	kube_http_kick(r->h);
}

static size_t write_cb(char *data, size_t size, size_t n, void *arg)
{
	struct kube_http_handle *r = arg;
	struct kube_http *h = r->h;

	n *= size;
	if (r->state == CALL_DEAD)
		return 0;
	if (r->status < 200 || r->status > 299) {
		keep_error_body(r, data, n);
		return n;
	}
	if (!r->on_data || !n)
		return n;
	if (r->user_paused || !slice_left(h)) {
		r->curl_paused = true;
		resume_later(r);
		return CURL_WRITEFUNC_PAUSE;
	}
	h->slice_used += (uint32_t)n;
	h->last_contact = r->server->last_contact = kube_http_epoch(h);
	if (r->on_data(r->arg, data, n) == KUBE_HTTP_PAUSE && r->state != CALL_DEAD)
		r->user_paused = true;
	return r->state == CALL_DEAD ? 0 : n;
}

void kube_http_resume(struct kube_http_handle *r)
{
	r->user_paused = false;
	resume_later(r);
}

void curl_part_resume(struct kube_http *h)
{
	struct kube_calls now = TAILQ_HEAD_INITIALIZER(now);
	struct kube_http_handle *r;

	TAILQ_CONCAT(&now, &h->resumes, resume);
	while ((r = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, r, resume);
		r->in_resumes = false;
		if (r->user_paused || r->state != CALL_RUNNING)
			continue;
		r->curl_paused = false;
		h->in_curl++;
		curl_easy_pause(r->easy, CURLPAUSE_CONT);
		h->in_curl--;
	}
	drain_messages(h);
}

/* ---- an attempt ---- */

static void add_header(struct kube_http_handle *r, const char *name, const char *value)
{
	size_t n = strlen(name) + strlen(value) + 3;
	char *line = xmalloc(n);

	/* "Name:" without a value takes a header of libcurl's own away. */
	stpcpy(stpcpy(stpcpy(line, name), *value ? ": " : ":"), value);
	struct curl_slist *list = curl_slist_append(r->headers, line);
	explicit_bzero(line, n);
	free(line);
	if (!list)
		abort();
	r->headers = list;
}

static void free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *l = headers; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl_slist_free_all(headers);
}

#define SET(easy, option, value)                                                                   \
	do {                                                                                       \
		CURLcode set_ = curl_easy_setopt(easy, option, value);                             \
		if (set_ != CURLE_OK)                                                              \
			return set_;                                                               \
	} while (0)

static CURLcode set_blob(CURL *easy, CURLoption option, const char *pem)
{
	/* The credentials live as long as the attempt: no copy. */
	struct curl_blob blob = { (void *)(uintptr_t)pem, strlen(pem), CURL_BLOB_NOCOPY };
	return curl_easy_setopt(easy, option, &blob);
}

static CURLcode set_tls(CURL *easy, const struct kube_access *a)
{
	SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/* No resumption: every connection is verified by the CA in force now. */
	SET(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	CURLcode code = CURLE_OK;
	if (a->ca_pem[0]) {
		/* Its default would let every CA of the system in besides. */
		SET(easy, CURLOPT_CAPATH, NULL);
		code = set_blob(easy, CURLOPT_CAINFO_BLOB, a->ca_pem);
	}
	if (code == CURLE_OK && a->cert_pem[0]) {
		SET(easy, CURLOPT_SSLCERTTYPE, "PEM");
		SET(easy, CURLOPT_SSLKEYTYPE, "PEM");
		code = set_blob(easy, CURLOPT_SSLCERT_BLOB, a->cert_pem);
		if (code == CURLE_OK)
			code = set_blob(easy, CURLOPT_SSLKEY_BLOB, a->key_pem);
	}
	return code;
}

/* The certificate is verified for the URL's host, so tls-server-name stands there, and the
 * connection is told where to go. */
static CURLcode set_url(struct kube_http_handle *r, const struct kube_access *a)
{
	const struct kube_server *s = r->server;
	struct arena arena = { 0 };
	CURLcode code = CURLE_OK;

	if (!a->tls_server_name[0]) {
		char *url = arena_printf(&arena, "%s%s", s->url, r->path);
		code = curl_easy_setopt(r->easy, CURLOPT_URL, url);
	} else {
		bool v6 = strchr(a->tls_server_name, ':') && a->tls_server_name[0] != '[';
		char *url = arena_printf(&arena, "https://%s%s%s:%s%s%s", v6 ? "[" : "",
					 a->tls_server_name, v6 ? "]" : "", s->port, s->folder,
					 r->path);
		char *to = arena_printf(&arena, "::%s:%s", s->host, s->port);
		r->connect_to = curl_slist_append(NULL, to);
		add_header(r, "Host", to + 2);
		code = curl_easy_setopt(r->easy, CURLOPT_URL, url);
		if (code == CURLE_OK)
			code = curl_easy_setopt(r->easy, CURLOPT_CONNECT_TO, r->connect_to);
	}
	arena_free(&arena);
	return code;
}

static CURLcode set_connection(struct kube_http_handle *r, const struct kube_access *a)
{
	CURL *e = r->easy;
	const struct kube_http_options *o = &r->h->opts;
	long idle = o->dead_peer_ms / 3000, interval = o->dead_peer_ms / 6000;

	SET(e, CURLOPT_PROTOCOLS_STR, "https");
	SET(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(e, CURLOPT_FOLLOWLOCATION, 0L);
	SET(e, CURLOPT_NOSIGNAL, 1L);
	/* A resolver that hangs must not be waited for when the attempt is given up. */
	SET(e, CURLOPT_QUICK_EXIT, 1L);
	SET(e, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
	SET(e, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(e, CURLOPT_TCP_KEEPIDLE, idle > 1 ? idle : 1L);
	SET(e, CURLOPT_TCP_KEEPINTVL, interval > 1 ? interval : 1L);
	SET(e, CURLOPT_SOCKOPTFUNCTION, sockopt_cb);
	SET(e, CURLOPT_SOCKOPTDATA, r->h);
	SET(e, CURLOPT_MAXAGE_CONN, (long)KEPT_SECONDS);
	/* "": the environment's proxies are not for us. */
	SET(e, CURLOPT_PROXY, a->proxy);
	SET(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (r->server->fresh || (!r->body_len && strcmp(r->method, "GET") != 0))
		/* A write without a body has no read_cb() to tell whether it went out. */
		SET(e, CURLOPT_FRESH_CONNECT, 1L);
	return CURLE_OK;
}

static CURLcode set_request(struct kube_http_handle *r, const struct kube_access *a)
{
	CURL *e = r->easy;
	bool get = strcmp(r->method, "GET") == 0;

	SET(e, CURLOPT_USERAGENT, "selvage/" PACKAGE_VERSION);
	if (r->body_len) {
		SET(e, CURLOPT_POST, 1L);
		SET(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		SET(e, CURLOPT_READFUNCTION, read_cb);
		SET(e, CURLOPT_READDATA, r);
		SET(e, CURLOPT_SEEKFUNCTION, seek_cb);
		add_header(r, "Content-Type", r->content_type);
		add_header(r, "Expect", "");
	} else if (!get && strcmp(r->method, "DELETE") != 0) {
		SET(e, CURLOPT_POSTFIELDS, "");
		SET(e, CURLOPT_POSTFIELDSIZE, 0L);
		add_header(r, "Content-Type", r->content_type);
	}
	SET(e, CURLOPT_CUSTOMREQUEST, r->method);
	add_header(r, "Accept", r->accept);
	if (get && r->class == KUBE_HTTP_PLAIN && !r->pinned)
		SET(e, CURLOPT_ACCEPT_ENCODING, "gzip");
	if (a->token[0]) {
		size_t n = strlen(a->token) + sizeof("Bearer ");
		char *bearer = xmalloc(n);
		stpcpy(stpcpy(bearer, "Bearer "), a->token);
		add_header(r, "Authorization", bearer);
		explicit_bzero(bearer, n);
		free(bearer);
	}
	return CURLE_OK;
}

static CURLcode set_callbacks(struct kube_http_handle *r)
{
	CURL *e = r->easy;

	SET(e, CURLOPT_PRIVATE, r);
	SET(e, CURLOPT_ERRORBUFFER, r->detail);
	SET(e, CURLOPT_PREREQFUNCTION, prereq_cb);
	SET(e, CURLOPT_PREREQDATA, r);
	SET(e, CURLOPT_HEADERFUNCTION, header_cb);
	SET(e, CURLOPT_HEADERDATA, r);
	SET(e, CURLOPT_WRITEFUNCTION, write_cb);
	SET(e, CURLOPT_WRITEDATA, r);
	return CURLE_OK;
}

static CURLcode set_all(struct kube_http_handle *r)
{
	const struct kube_access *a = r->credentials->access;
	CURLcode code = set_callbacks(r);

	if (code == CURLE_OK)
		code = set_tls(r->easy, a);
	if (code == CURLE_OK)
		code = set_url(r, a);
	if (code == CURLE_OK)
		code = set_connection(r, a);
	if (code == CURLE_OK)
		code = set_request(r, a);
	if (code == CURLE_OK)
		code = curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	if (code == CURLE_OK && r->deadline) {
		uint64_t now = kube_http_now();
		long left = r->deadline > now ? (long)(r->deadline - now) : 1;
		code = curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, left);
	}
	return code;
}

int call_attempt_start(struct kube_http_handle *r)
{
	struct kube_http *h = r->h;

	r->easy = curl_easy_init();
	if (!r->easy)
		abort();
	r->detail[0] = 0;
	CURLcode code = set_all(r);
	if (code != CURLE_OK || curl_multi_add_handle(h->multi, r->easy) != CURLM_OK) {
		snprintf(r->error, sizeof(r->error), "%s: the request cannot be made: %s",
			 r->server->url, curl_easy_strerror(code));
		curl_easy_cleanup(r->easy);
		r->easy = NULL;
		return -1;
	}
	h->requests++;
	server_connect_begin(r->server, kube_http_now());
	return 0;
}

void call_attempt_end(struct kube_http_handle *r)
{
	struct kube_http *h = r->h;

	if (r->easy) {
		curl_off_t in = 0;
		if (!r->connected)
			server_connect_end(r->server, false, kube_http_now());
		curl_easy_getinfo(r->easy, CURLINFO_SIZE_DOWNLOAD_T, &in);
		h->bytes_in += (uint64_t)in;
		curl_multi_remove_handle(h->multi, r->easy);
		curl_easy_cleanup(r->easy);
		r->easy = NULL;
	}
	if (r->in_resumes)
		TAILQ_REMOVE(&h->resumes, r, resume);
	r->in_resumes = r->curl_paused = r->user_paused = false;
	free_headers(r->headers);
	r->headers = NULL;
	curl_slist_free_all(r->connect_to);
	r->connect_to = NULL;
}

/* ---- the whole ---- */

int curl_part_init(struct kube_http *h, struct err *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, "libcurl cannot be used");
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
	if (!(v->features & CURL_VERSION_SSL) || !(v->features & CURL_VERSION_ASYNCHDNS)) {
		curl_global_cleanup();
		return err_set(err,
			       "libcurl %s cannot be used: it is built without %s; install "
			       "libcurl4 (OpenSSL) of the distribution",
			       v->version,
			       v->features & CURL_VERSION_SSL ? "asynchronous DNS" : "TLS");
	}
	h->multi = curl_multi_init();
	if (!h->multi) {
		curl_global_cleanup();
		return err_set(err, "libcurl cannot be used");
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, socket_cb);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, timer_cb);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	ev_timer_init(&h->curl_timer, on_timer, 0, 0);
	h->curl_timer.data = h;
	return 0;
}

void curl_part_clear(struct kube_http *h)
{
	curl_multi_cleanup(h->multi);
	ev_timer_stop(h->loop, &h->curl_timer);
	curl_global_cleanup();
}
