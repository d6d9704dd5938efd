#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/log.h"
#include "store/kube_http_impl.h"

uint64_t kube_http_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t kube_http_epoch(const struct kube_http *h)
{
	return (uint64_t)(ev_now(h->loop) * 1000);
}

static uint32_t next_random(struct kube_http *h)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 17;
	h->random ^= h->random << 5;
	return h->random;
}

static void start_timer(struct kube_http *h, ev_timer *t, uint64_t ms)
{
	ev_now_update(h->loop);
	ev_timer_stop(h->loop, t);
	ev_timer_set(t, (double)ms / 1000, 0);
	ev_timer_start(h->loop, t);
}

void kube_http_kick(struct kube_http *h)
{
	if (!ev_is_active(&h->kick))
		start_timer(h, &h->kick, 0);
}

static void on_kick(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	curl_part_resume(w->data);
	kube_http_settle(w->data);
}

/* ---- lists ---- */

static struct kube_calls *list_of(struct kube_http *h, enum call_state state)
{
	switch (state) {
	case CALL_QUEUED:
		return &h->queued;
	case CALL_RUNNING:
		return &h->running;
	case CALL_AWAITS_ACCESS:
		return &h->awaiting;
	case CALL_DEAD:
		return &h->dead;
	case CALL_FINISHED:
		break;
	}
	return NULL;
}

static void leave(struct kube_http_handle *r)
{
	struct kube_http *h = r->h;

	TAILQ_REMOVE(list_of(h, r->state), r, entry);
	ev_timer_stop(h->loop, &r->timer);
	if (r->state == CALL_QUEUED)
		h->nqueued--;
	if (r->state == CALL_RUNNING)
		h->nrunning--;
}

static void enter(struct kube_http_handle *r, enum call_state state)
{
	struct kube_http *h = r->h;

	r->state = state;
	TAILQ_INSERT_TAIL(list_of(h, state), r, entry);
	if (state == CALL_QUEUED)
		h->nqueued++;
	if (state == CALL_RUNNING)
		h->nrunning++;
}

static void credentials_unref(struct kube_credentials *c)
{
	if (!c || --c->refs)
		return;
	kube_access_free(c->access);
	free(c);
}

/* Everything of the attempt that is over; its result stays. */
static void drop_attempt(struct kube_http_handle *r)
{
	call_attempt_end(r);
	if (r->counted)
		r->h->nplain--;
	r->counted = false;
	server_unref(r->server);
	r->server = NULL;
	credentials_unref(r->credentials);
	r->credentials = NULL;
}

void call_free(struct kube_http_handle *r)
{
	drop_attempt(r);
	free(r->method);
	free(r->path);
	free(r->accept);
	free(r->content_type);
	/* A token request or a Secret may be in it. */
	if (r->body)
		explicit_bzero(r->body, r->body_len);
	free(r->body);
	free(r->error_body);
	server_unref(r->pinned);
	free(r);
}

/* ---- the end of a request ---- */

static void probe_done(struct kube_http_handle *r, struct kube_server *s);

static void finish(struct kube_http_handle *r)
{
	struct kube_server *server = r->server ? server_ref(r->server) : NULL;

	leave(r);
	r->state = CALL_FINISHED;
	drop_attempt(r);
	if (r->pinned)
		probe_done(r, r->pinned);
	if (r->on_done) {
		struct kube_http_result result = {
			.status = r->status,
			.complete = r->complete,
			.sent = r->sent,
			.retry_after_ms = r->retry_after_ms,
			.error = r->error,
			.body = r->error_body ? r->error_body : "",
			.body_len = r->error_body_len,
			.server = server ? server->url : "",
		};
		r->on_done(r->arg, &result);
	}
	server_unref(server);
	call_free(r);
}

/* The request goes back to the queue; what the last attempt left is forgotten. */
static void again(struct kube_http_handle *r)
{
	leave(r);
	drop_attempt(r);
	r->status = 0;
	r->retry_after_ms = 0;
	r->complete = r->connected = r->opened = r->head_late = false;
	r->body_given = 0;
	r->error_body_len = 0;
	enter(r, CALL_QUEUED);
	if (r->deadline) {
		uint64_t now = kube_http_now();
		start_timer(r->h, &r->timer, r->deadline > now ? r->deadline - now : 0);
	}
	kube_http_kick(r->h);
}

static void add_error(struct kube_http_handle *r, const char *text)
{
	size_t n = strlen(r->error);
	/* The same server twice says nothing new. */
	if (strstr(r->error, text))
		return;
	snprintf(r->error + n, sizeof(r->error) - n, "%s%s", n ? "; " : "", text);
}

/* ---- servers ---- */

static void arm_probe(struct kube_http *h)
{
	uint64_t wait;

	servers_probe(&h->servers, kube_http_now(), &wait);
	if (wait == UINT64_MAX)
		ev_timer_stop(h->loop, &h->probe);
	else
		start_timer(h, &h->probe, wait);
}

static void mark_failed(struct kube_http *h, struct kube_server *s, const char *text)
{
	if (s->up)
		log_obj(LOG_WARN, "kube", "server", s->url, "%s", text);
	server_failed(&h->servers, s, text, kube_http_now(), next_random(h));
	arm_probe(h);
}

static void mark_ok(struct kube_http *h, struct kube_server *s)
{
	bool was_up = s->up;

	h->last_contact = kube_http_epoch(h);
	server_ok(s, h->last_contact);
	if (was_up)
		return;
	log_obj(LOG_INFO, "kube", "server", s->url, "answers again");
	if (h->ops.on_up)
		h->ops.on_up(h->arg);
}

static void probe_done(struct kube_http_handle *r, struct kube_server *s)
{
	if (r->status >= 500 && s->up)
		mark_failed(r->h, s, r->error);
	s->probing = false;
	arm_probe(r->h);
}

static struct kube_http_handle *call_new(struct kube_http *h, const struct kube_http_call *call);

static void on_probe(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	struct kube_http *h = w->data;
	struct kube_server *s;
	uint64_t wait;

	while ((s = servers_probe(&h->servers, kube_http_now(), &wait))) {
		static const struct kube_http_call call = {
			.method = "GET",
			.path = "/readyz",
			.accept = "*/*",
		};
		struct kube_http_handle *r = call_new(h, &call);
		s->probing = true;
		r->pinned = server_ref(s);
	}
	arm_probe(h);
}

/* Another server may do: true, and the request waits for its start there. */
static bool try_next(struct kube_http_handle *r)
{
	struct kube_http *h = r->h;

	if (r->pinned || servers_pick(&h->servers, r->tried, kube_http_now()) < 0)
		return false;
	if (r->deadline && r->deadline <= kube_http_now())
		return false;
	again(r);
	return true;
}

/* ---- 401 ---- */

enum { TELL_AGAIN = 10000 }; /* ms */

/* True: the request waits for new credentials, or goes again with those that came meanwhile. */
static bool await_access(struct kube_http_handle *r)
{
	struct kube_http *h = r->h;
	uint64_t now = kube_http_now();

	if (r->generation == h->generation)
		h->refused_generation = h->generation;
	if (r->pinned || r->repeated_for_access)
		return false;
	if (r->generation != h->generation) {
		r->repeated_for_access = true;
		r->sent = false;
		r->tried = 0;
		again(r);
		return true;
	}
	if (!h->ops.on_unauthorized)
		return false;
	bool tell = h->told_generation != h->generation || now - h->told_at >= TELL_AGAIN;
	if (tell) {
		h->told_generation = h->generation;
		h->told_at = now;
		h->access_until = now + h->opts.credentials_ms;
	}
	if (h->access_until <= now)
		return false;
	uint64_t until = h->access_until;
	if (r->deadline && r->deadline < until)
		until = r->deadline;
	leave(r);
	enter(r, CALL_AWAITS_ACCESS);
	start_timer(h, &r->timer, until > now ? until - now : 0);
	if (tell)
		h->ops.on_unauthorized(h->arg);
	return true;
}

/* ---- an attempt's end ---- */

static void answered(struct kube_http_handle *r)
{
	struct kube_http *h = r->h;
	struct kube_server *server = r->server;
	bool away = r->status == 502 || r->status == 503;
	char text[KUBE_ERROR_TEXT];

	if (!away)
		mark_ok(h, server);
	h->last_contact = server->last_contact = kube_http_epoch(h);
	if (r->status < 300) {
		r->error[0] = 0;
		finish(r);
		return;
	}
	kube_status_text(server->url, r->method, r->path, r->status, text, sizeof(text));
	if (away) {
		mark_failed(h, server, text);
		/* It answers, so its kept connections are in order. */
		server->fresh = false;
	}
	add_error(r, text);
	if (r->status == 401 && await_access(r))
		return;
	/* A write may have happened before its 503: whoever asked for it looks first. */
	if (away && strcmp(r->method, "GET") == 0 && try_next(r))
		return;
	finish(r);
}

static void failed(struct kube_http_handle *r, const char *text, bool silent)
{
	struct kube_http *h = r->h;
	bool read = strcmp(r->method, "GET") == 0;

	add_error(r, text);
	if (!r->status || silent)
		mark_failed(h, r->server, text);
	if ((!r->connected || (read && !r->status)) && try_next(r))
		return;
	finish(r);
}

static void describe(struct kube_http_handle *r, CURLcode code, struct kube_failure *f)
{
	const struct kube_access *a = r->credentials->access;
	const struct kube_http_options *o = &r->h->opts;
	curl_off_t resolved = 0;

	curl_easy_getinfo(r->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
	*f = (struct kube_failure){
		.server = r->server->url,
		.code = code,
		.detail = r->detail,
		.connected = r->connected,
		.answering = r->status != 0,
		.resolved = resolved > 0,
		.connect_timeout_ms = o->connect_timeout_ms,
		.timeout_ms = r->timeout_ms,
		.has_ca = a->ca_pem[0],
		.has_proxy = a->proxy[0],
		.tls_server_name = a->tls_server_name,
	};
	if (r->timeout_ms && r->timeout_ms < f->connect_timeout_ms)
		f->connect_timeout_ms = r->timeout_ms;
	if (r->head_late)
		f->timeout_ms = o->timeout_ms;
	curl_easy_getinfo(r->easy, CURLINFO_SSL_VERIFYRESULT, &f->verify);
	curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &f->os_errno);
}

void call_attempt_done(struct kube_http_handle *r, CURLcode code)
{
	if (r->state == CALL_DEAD)
		return;
	curl_off_t retry_after = 0;
	if (r->status && curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK)
		r->retry_after_ms = (uint64_t)retry_after * 1000;
	r->complete = code == CURLE_OK;
	struct kube_failure f;
	char text[KUBE_ERROR_TEXT];
	describe(r, code, &f);
	kube_failure_text(&f, text, sizeof(text));
	bool silent = r->head_late || kube_failure_silent(&f);
	call_attempt_end(r);
	if (code == CURLE_OK || r->status >= 300)
		answered(r);
	else
		failed(r, text, silent);
}

void call_opened(struct kube_http_handle *r)
{
	ev_timer_stop(r->h->loop, &r->timer);
	if (r->status < 200 || r->status > 299)
		return;
	mark_ok(r->h, r->server);
	r->opened = true;
	if (r->on_open)
		r->on_open(r->arg);
}

static void on_call_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	struct kube_http_handle *r = w->data;
	struct kube_http *h = r->h;
	char text[KUBE_ERROR_TEXT];

	switch (r->state) {
	case CALL_RUNNING:
		r->head_late = true;
		call_attempt_done(r, CURLE_OPERATION_TIMEDOUT);
		break;
	case CALL_QUEUED:
		r->complete = false;
		snprintf(text, sizeof(text), "%s %.*s: not sent within %u ms", r->method,
			 (int)strcspn(r->path, "?"), r->path, r->timeout_ms);
		add_error(r, text);
		finish(r);
		break;
	case CALL_AWAITS_ACCESS:
		finish(r);
		break;
	case CALL_FINISHED:
	case CALL_DEAD:
		break;
	}
	kube_http_settle(h);
}

/* ---- the start of a request ---- */

static void start(struct kube_http_handle *r)
{
	struct kube_http *h = r->h;
	int at = -1;

	leave(r);
	enter(r, CALL_RUNNING);
	if (!h->credentials) {
		add_error(r, "no access to a Kubernetes API has been given yet");
		finish(r);
		return;
	}
	if (!r->pinned) {
		at = servers_pick(&h->servers, r->tried, kube_http_now());
		/* All were tried, and then the list changed. */
		if (at < 0) {
			finish(r);
			return;
		}
		r->tried |= 1U << at;
	}
	r->server = server_ref(r->pinned ? r->pinned : h->servers.list[at]);
	r->credentials = h->credentials;
	r->credentials->refs++;
	r->generation = h->generation;
	if (r->class == KUBE_HTTP_PLAIN && !r->pinned) {
		r->counted = true;
		h->nplain++;
	}
	if (call_attempt_start(r)) {
		finish(r);
		return;
	}
	if (r->class == KUBE_HTTP_WATCH)
		start_timer(h, &r->timer, h->opts.timeout_ms);
}

static struct kube_http_handle *startable(struct kube_http *h)
{
	struct kube_http_handle *r;

	TAILQ_FOREACH(r, &h->queued, entry)
	{
		if (r->class == KUBE_HTTP_WATCH || r->pinned || h->nplain < h->opts.max_plain)
			return r;
	}
	return NULL;
}

void kube_http_settle(struct kube_http *h)
{
	struct kube_http_handle *r;

	if (h->in_curl)
		return;
	while ((r = TAILQ_FIRST(&h->dead))) {
		leave(r);
		call_free(r);
	}
	/* What callbacks ask for anew waits for the next turn, else a request that fails at once
	 * and is asked again would hold the loop. */
	for (unsigned n = h->nqueued; n && (r = startable(h)); n--)
		start(r);
	if (startable(h))
		kube_http_kick(h);
}

static struct kube_http_handle *call_new(struct kube_http *h, const struct kube_http_call *call)
{
	struct kube_http_handle *r = xcalloc(1, sizeof(*r));

	r->h = h;
	r->method = xstrdup(call->method);
	r->path = xstrdup(call->path);
	r->accept = xstrdup(call->accept ? call->accept : "application/json");
	r->content_type = xstrdup(call->content_type ? call->content_type : "application/json");
	if (call->body_len) {
		r->body = xmalloc(call->body_len);
		memcpy(r->body, call->body, call->body_len);
		r->body_len = call->body_len;
	}
	r->class = call->class;
	r->on_open = call->on_open;
	r->on_data = call->on_data;
	r->on_done = call->on_done;
	r->arg = call->arg;
	ev_timer_init(&r->timer, on_call_timer, 0, 0);
	r->timer.data = r;
	r->timeout_ms = call->timeout_ms;
	if (!r->timeout_ms && r->class == KUBE_HTTP_PLAIN)
		r->timeout_ms = h->opts.timeout_ms;
	enter(r, CALL_QUEUED);
	if (r->timeout_ms) {
		r->deadline = kube_http_now() + r->timeout_ms;
		start_timer(h, &r->timer, r->timeout_ms);
	}
	kube_http_kick(h);
	return r;
}

struct kube_http_handle *kube_http_request(struct kube_http *h, const struct kube_http_call *call)
{
	return call_new(h, call);
}

void kube_http_cancel(struct kube_http_handle *r)
{
	struct kube_http *h = r->h;

	if (r->state == CALL_FINISHED || r->state == CALL_DEAD)
		return;
	leave(r);
	enter(r, CALL_DEAD);
	/* Inside of libcurl its handle cannot go; what comes for it is refused. */
	if (!h->in_curl) {
		leave(r);
		call_free(r);
		if (h->nqueued)
			kube_http_kick(h);
	}
}

/* ---- the client ---- */

int kube_http_access(struct kube_http *h, const struct kube_access *access, struct err *err)
{
	if (!access->nservers)
		return err_set(err, "no API server is named; set server in the kubeconfig");
	for (unsigned i = 0; i < access->nservers; i++) {
		const char *problem = kube_server_problem(access->servers[i]);
		if (problem)
			return err_set(err, "API server %s %s", access->servers[i], problem);
	}
	size_t len;
	uint8_t *flat = kube_access_encode(access, &len);
	struct kube_access *copy = kube_access_decode(flat, len, err);
	explicit_bzero(flat, len);
	free(flat);
	if (!copy)
		return -1;
	struct kube_credentials *c = xcalloc(1, sizeof(*c));
	c->refs = 1;
	c->access = copy;
	credentials_unref(h->credentials);
	h->credentials = c;
	h->generation++;
	struct kube_http_handle *r;
	if (servers_set(&h->servers, copy->nservers, copy->servers)) {
		TAILQ_FOREACH(r, &h->queued, entry) r->tried = 0;
		TAILQ_FOREACH(r, &h->running, entry) r->tried = 0;
		arm_probe(h);
	}
	while ((r = TAILQ_FIRST(&h->awaiting))) {
		r->repeated_for_access = true;
		r->sent = false;
		r->tried = 0;
		again(r);
	}
	return 0;
}

static void set_defaults(struct kube_http_options *o)
{
	const struct {
		uint32_t *field, value;
	} defaults[] = {
		{ &o->connect_timeout_ms, 5000 },
		{ &o->timeout_ms, 30000 },
		{ &o->dead_peer_ms, 30000 },
		{ &o->credentials_ms, 5000 },
		{ &o->probe_ms, 1000 },
		{ &o->slice_bytes, 128 * 1024 },
		{ &o->max_plain, 16 },
	};
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		if (!*defaults[i].field)
			*defaults[i].field = defaults[i].value;
	}
}

struct kube_http *kube_http_new(struct ev_loop *loop, const struct kube_http_options *opts,
				const struct kube_http_ops *ops, void *arg, struct err *err)
{
	struct kube_http *h = xcalloc(1, sizeof(*h));

	h->loop = loop;
	if (opts)
		h->opts = *opts;
	set_defaults(&h->opts);
	if (ops)
		h->ops = *ops;
	h->arg = arg;
	h->servers.first = h->opts.first_server;
	h->servers.probe_ms = h->opts.probe_ms;
	TAILQ_INIT(&h->queued);
	TAILQ_INIT(&h->running);
	TAILQ_INIT(&h->awaiting);
	TAILQ_INIT(&h->dead);
	TAILQ_INIT(&h->resumes);
	if (getrandom(&h->random, sizeof(h->random), GRND_NONBLOCK) < 0 || !h->random)
		h->random = 0x5e1fa6e;
	ev_timer_init(&h->kick, on_kick, 0, 0);
	h->kick.data = h;
	ev_timer_init(&h->probe, on_probe, 0, 0);
	h->probe.data = h;
	if (curl_part_init(h, err)) {
		free(h);
		return NULL;
	}
	return h;
}

void kube_http_free(struct kube_http *h)
{
	if (!h)
		return;
	struct kube_calls *lists[] = { &h->queued, &h->running, &h->awaiting, &h->dead };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct kube_http_handle *r;
		while ((r = TAILQ_FIRST(lists[i]))) {
			leave(r);
			call_free(r);
		}
	}
	curl_part_clear(h);
	ev_timer_stop(h->loop, &h->kick);
	ev_timer_stop(h->loop, &h->probe);
	servers_clear(&h->servers);
	credentials_unref(h->credentials);
	free(h);
}

void kube_http_status(struct kube_http *h, struct kube_http_status *out)
{
	struct kube_http_handle *r;
	int current = servers_pick(&h->servers, 0, kube_http_now());

	*out = (struct kube_http_status){
		.last_contact = h->last_contact,
		.requests = h->requests,
		.bytes_in = h->bytes_in,
		.active = h->nrunning,
		.queued = h->nqueued,
		.unauthorized = h->generation && h->refused_generation == h->generation,
		.nservers = h->servers.n,
		.servers = h->status,
	};
	TAILQ_FOREACH(r, &h->running, entry)
	{
		curl_off_t in = 0;
		if (r->easy)
			curl_easy_getinfo(r->easy, CURLINFO_SIZE_DOWNLOAD_T, &in);
		out->bytes_in += (uint64_t)in;
	}
	for (unsigned i = 0; i < h->servers.n; i++) {
		const struct kube_server *s = h->servers.list[i];
		h->status[i] = (struct kube_http_server_status){
			.url = s->url,
			.up = s->up,
			.current = (int)i == current,
			.last_contact = s->last_contact,
			.error = s->error,
		};
	}
}
