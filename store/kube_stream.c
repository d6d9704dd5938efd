#include "config.h"

#include "store/kube_stream.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/arena.h"
#include "store/kube_http.h"

/* Ahead of the work lies at most this much; a slice ends after so many seconds. */
enum { AHEAD = 64 << 10, WHOLE_MAX = 4 << 20, KEEP = 16 << 10 };
static const double SLICE = 0.0025;

struct kube_stream {
	struct kube_streams *all;
	struct kube_stream *next, **at; /* of all */
	struct kube_stream_call call;
	struct kube_http_handle *request; /* NULL: it is over */
	struct json_split split;
	char *in;
	size_t from, len, cap; /* in[from..len) is to be read */
	bool opened, open_told, paused, over, garbage, closed;
	struct kube_stream_end end;
	char *why, *body;
};

struct kube_streams {
	struct ev_loop *loop;
	struct kube_http *http;
	void (*after)(void *arg, bool idle);
	void *arg;
	struct kube_stream *first, *now; /* now: whose callback runs */
	ev_timer timer;
	double longest;
};

static double monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void wake(struct kube_streams *all)
{
	if (ev_is_active(&all->timer))
		return;
	ev_timer_set(&all->timer, 0, 0);
	ev_timer_start(all->loop, &all->timer);
}

static void link_last(struct kube_streams *all, struct kube_stream *s)
{
	struct kube_stream **at = &all->first;

	while (*at)
		at = &(*at)->next;
	s->at = at;
	s->next = NULL;
	*at = s;
}

static void unlink_stream(struct kube_stream *s)
{
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
}

static void destroy(struct kube_stream *s)
{
	unlink_stream(s);
	if (s->request)
		kube_http_cancel(s->request);
	json_split_free(&s->split);
	free(s->in);
	free(s->why);
	free(s->body);
	free(s);
}

void kube_stream_close(struct kube_stream *s)
{
	/* A stream whose callback runs is taken away when it returns. */
	if (s->all->now == s)
		s->closed = true;
	else
		destroy(s);
}

/* ---- what comes from the client ---- */

static void on_open(void *arg)
{
	struct kube_stream *s = arg;

	s->opened = true;
	wake(s->all);
}

static void put_aside(struct kube_stream *s, const void *data, size_t len)
{
	if (s->from == s->len)
		s->from = s->len = 0;
	if (s->len + len > s->cap && s->from) {
		memmove(s->in, s->in + s->from, s->len - s->from);
		s->len -= s->from;
		s->from = 0;
	}
	if (s->len + len + 1 > s->cap) {
		while (s->cap < s->len + len + 1)
			s->cap = s->cap ? s->cap * 2 : KEEP;
		s->in = xrealloc(s->in, s->cap);
	}
	memcpy(s->in + s->len, data, len);
	s->len += len;
}

static enum kube_http_flow on_data(void *arg, const void *data, size_t len)
{
	struct kube_stream *s = arg;

	if (s->call.mode == KUBE_STREAM_WHOLE) {
		if (s->len + len > WHOLE_MAX)
			s->garbage = true;
		else
			put_aside(s, data, len);
		return KUBE_HTTP_GO;
	}
	put_aside(s, data, len);
	wake(s->all);
	s->paused = s->len - s->from > AHEAD;
	return s->paused ? KUBE_HTTP_PAUSE : KUBE_HTTP_GO;
}

static void on_done(void *arg, const struct kube_http_result *r)
{
	struct kube_stream *s = arg;
	bool ok = r->status >= 200 && r->status < 300;

	s->request = NULL;
	s->over = true;
	s->why = xstrdup(r->error);
	if (!ok) {
		s->body = xstrdup(r->body);
		s->end.body = s->body;
		s->end.len = strlen(s->body);
		s->from = s->len = 0;
	}
	s->end.status = (int)r->status;
	s->end.sent = r->sent;
	s->end.whole = ok && r->complete;
	s->end.retry_after = (double)r->retry_after_ms / 1000;
	s->end.why = s->why;
	wake(s->all);
}

/* ---- slices ---- */

static void finish(struct kube_stream *s)
{
	struct kube_stream_end *e = &s->end;

	if (!e->body)
		e->body = "";
	if (s->call.mode == KUBE_STREAM_WHOLE && s->end.whole) {
		put_aside(s, "", 1);
		e->body = s->in + s->from;
		e->len = s->len - s->from - 1;
		if (s->garbage) {
			e->why = "the answer is longer than 4 MiB";
			e->garbage = true;
			e->whole = false;
		}
	} else if (e->whole && !json_split_whole(&s->split)) {
		e->whole = false;
		e->why = "the answer ended in the middle of an object";
	}
	s->closed = true;
	s->call.end(s->call.arg, e);
}

static void finish_garbage(struct kube_stream *s)
{
	struct kube_stream_end e = { .status = 200, .sent = true, .garbage = true, .body = "" };

	e.why = s->split.why;
	s->closed = true;
	s->call.end(s->call.arg, &e);
}

static void read_items(struct kube_stream *s, double until)
{
	while (!s->closed && s->from < s->len) {
		const char *p = s->in + s->from;
		enum json_split_event e = json_split_next(&s->split, &p, s->in + s->len);

		s->from = (size_t)(p - s->in);
		if (e == JSON_SPLIT_BAD) {
			finish_garbage(s);
			return;
		}
		if (e == JSON_SPLIT_ITEM)
			s->call.item(s->call.arg, s->split.text, s->split.len);
		else if (e == JSON_SPLIT_MEMBER && s->call.member)
			s->call.member(s->call.arg, s->split.key, s->split.text, s->split.len);
		if (monotonic() >= until)
			return;
	}
}

static bool has_work(const struct kube_stream *s)
{
	if (s->closed)
		return false;
	if (s->call.mode == KUBE_STREAM_WHOLE)
		return s->over;
	return (s->opened && !s->open_told) || s->from < s->len || s->over;
}

static void work(struct kube_stream *s, double until)
{
	if (s->opened && !s->open_told) {
		s->open_told = true;
		if (s->call.open)
			s->call.open(s->call.arg);
	}
	if (!s->closed && s->call.mode != KUBE_STREAM_WHOLE)
		read_items(s, until);
	if (s->closed)
		return;
	bool empty = s->from == s->len;

	if (s->over && (empty || s->call.mode == KUBE_STREAM_WHOLE)) {
		finish(s);
	} else if (empty && s->in) {
		/* A watch is silent most of its life. */
		free(s->in);
		s->in = NULL;
		s->cap = s->from = s->len = 0;
	}
	if (s->closed)
		return;
	if (s->paused && s->request && s->len - s->from <= AHEAD / 2) {
		s->paused = false;
		kube_http_resume(s->request);
	}
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct kube_streams *all = w->data;
	double start = monotonic(), until = start + SLICE;
	bool more = false;

	(void)loop;
	(void)events;
	for (struct kube_stream *s = all->first, *next; s; s = next) {
		if (has_work(s)) {
			if (monotonic() >= until) {
				more = true;
				break;
			}
			all->now = s;
			work(s, until);
			all->now = NULL;
		}
		next = s->next;
		if (s->closed) {
			destroy(s);
		} else if (has_work(s)) {
			/* One busy stream does not keep the others waiting for ever. */
			unlink_stream(s);
			link_last(all, s);
			more = true;
			if (!next)
				break;
		}
	}
	all->after(all->arg, !more);
	double took = monotonic() - start;

	if (took > all->longest)
		all->longest = took;
	if (more)
		wake(all);
}

/* ---- open and close ---- */

struct kube_stream *kube_stream_open(struct kube_streams *all, const struct kube_stream_call *call)
{
	struct kube_stream *s = xcalloc(1, sizeof(*s));
	const struct kube_http_call http = {
		.method = call->method ? call->method : "GET",
		.path = call->path,
		.accept = call->accept,
		.content_type = call->content_type,
		.body = call->body,
		.body_len = call->body ? strlen(call->body) : 0,
		.class = call->watch ? KUBE_HTTP_WATCH : KUBE_HTTP_PLAIN,
		.timeout_ms = call->timeout_ms,
		.on_open = on_open,
		.on_data = on_data,
		.on_done = on_done,
		.arg = s,
	};

	s->all = all;
	s->call = *call;
	s->call.path = s->call.body = NULL; /* gone when the caller returns */
	json_split_init(&s->split,
			call->mode == KUBE_STREAM_LINES ? JSON_SPLIT_LINES : JSON_SPLIT_LIST);
	link_last(all, s);
	s->request = kube_http_request(all->http, &http);
	return s;
}

struct kube_streams *kube_streams_new(struct ev_loop *loop, struct kube_http *http,
				      void (*after)(void *arg, bool idle), void *arg)
{
	struct kube_streams *all = xcalloc(1, sizeof(*all));

	all->loop = loop;
	all->http = http;
	all->after = after;
	all->arg = arg;
	ev_init(&all->timer, on_timer);
	all->timer.data = all;
	return all;
}

void kube_streams_free(struct kube_streams *all)
{
	if (!all)
		return;
	while (all->first)
		destroy(all->first);
	ev_timer_stop(all->loop, &all->timer);
	free(all);
}

double kube_streams_longest(const struct kube_streams *all)
{
	return all->longest * 1000;
}
