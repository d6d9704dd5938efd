#include "config.h"

#include "store/reflector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "store/kube_path.h"

/* A watch that ends sooner and has told nothing is a fault, or a server that flaps would be asked
 * without a pause. */
static const double SHORTEST_WATCH = 1, SILENT_WATCH = 240, LIST_TIMEOUT = 120, WATCH_SLACK = 30,
		    ABSENT_PAUSE = 60;

enum {
	WATCH_SECONDS = 300,
	MISSING_MAX = 3, /* 404s before what was there is believed to be gone */
};

enum phase { NEED_LIST, NEED_WATCH, IN_LIST, IN_STREAMING, IN_WATCH };

void reflector_init(struct reflector *r, const struct reflector_conf *conf)
{
	memset(r, 0, sizeof(*r));
	r->conf = *conf;
	r->conf.seed ^= UINT64_C(0x9e3779b97f4a7c15);
	if (!r->conf.seed)
		r->conf.seed = 1;
}

void reflector_free(struct reflector *r)
{
	free(r->next_page);
	r->next_page = NULL;
}

/* xorshift64* (Marsaglia, Vigna). */
static uint32_t random32(struct reflector *r)
{
	uint64_t x = r->conf.seed;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->conf.seed = x;
	return (uint32_t)((x * UINT64_C(0x2545f4914f6cdd1d)) >> 32);
}

static void set_version(struct reflector *r, const char *version)
{
	if (*version && strlen(version) < sizeof(r->version))
		memcpy(r->version, version, strlen(version) + 1);
}

static void drop_pages(struct reflector *r)
{
	free(r->next_page);
	r->next_page = NULL;
}

static void need_list(struct reflector *r)
{
	r->phase = NEED_LIST;
	drop_pages(r);
}

/* ---- the next request ---- */

static void watch_args(struct reflector *r, struct kube_path *p, struct reflector_next *out)
{
	unsigned seconds = WATCH_SECONDS + random32(r) % (WATCH_SECONDS + 1);

	kube_path_arg(p, "watch", "1");
	kube_path_arg(p, "allowWatchBookmarks", "true");
	kube_path_arg_u64(p, "timeoutSeconds", seconds);
	out->mode = REFLECTOR_WATCH;
	out->timeout = seconds + WATCH_SLACK;
}

static void streaming_request(struct reflector *r, struct kube_path *p, struct reflector_next *out)
{
	watch_args(r, p, out);
	kube_path_arg(p, "sendInitialEvents", "true");
	kube_path_arg(p, "resourceVersionMatch", "NotOlderThan");
	kube_path_arg(p, "resourceVersion", r->expired ? "" : r->version);
	r->phase = IN_STREAMING;
}

static void list_request(struct reflector *r, struct kube_path *p, struct reflector_next *out)
{
	kube_path_arg_u64(p, "limit", REFLECTOR_PAGE);
	if (r->next_page) {
		kube_path_arg(p, "continue", r->next_page);
	} else if (r->expired > 1) {
		kube_path_arg(p, "resourceVersion", "");
	} else if (*r->version) {
		/* Never back in time: the next server may lag behind the last. */
		kube_path_arg(p, "resourceVersion", r->version);
		kube_path_arg(p, "resourceVersionMatch", "NotOlderThan");
	} else {
		kube_path_arg(p, "resourceVersion", "0");
	}
	out->mode = REFLECTOR_LIST;
	out->timeout = LIST_TIMEOUT;
	r->phase = IN_LIST;
}

void reflector_next(struct reflector *r, double now, struct reflector_next *out)
{
	struct kube_path p;

	out->want = REFLECTOR_BUSY;
	if (r->phase != NEED_LIST && r->phase != NEED_WATCH)
		return;
	out->until = r->wait_until;
	out->want = REFLECTOR_WAIT;
	if (now < r->wait_until)
		return;
	kube_path_init(&p, "");
	if (*r->conf.label_selector)
		kube_path_arg(&p, "labelSelector", r->conf.label_selector);
	if (*r->conf.field_selector)
		kube_path_arg(&p, "fieldSelector", r->conf.field_selector);
	r->progress = false;
	if (r->phase == NEED_WATCH) {
		watch_args(r, &p, out);
		kube_path_arg(&p, "resourceVersion", r->version);
		r->phase = IN_WATCH;
	} else if (*r->conf.streaming && r->expired < 2 && !r->next_page) {
		streaming_request(r, &p, out);
	} else {
		list_request(r, &p, out);
	}
	out->want = REFLECTOR_REQUEST;
	snprintf(out->query, sizeof(out->query), "%s", p.text);
}

/* ---- what happened ---- */

static void good(struct reflector *r)
{
	r->trouble = false;
	r->why[0] = 0;
	r->missing = 0;
}

static void bad(struct reflector *r, const char *text)
{
	r->trouble = true;
	snprintf(r->why, sizeof(r->why), "%s", text);
}

static void pause_for(struct reflector *r, double now, double retry_after)
{
	uint64_t ms = backoff_next(&r->backoff, (uint64_t)(now * 1000), random32(r));

	r->wait_until = now + (double)ms / 1000;
	if (retry_after > 0)
		/* Not all of them in the same moment. */
		r->wait_until = now + retry_after + random32(r) % 1000 / 1000.0;
}

/* The phase to go back to after a fault that has nothing to do with what was asked. */
static void back(struct reflector *r)
{
	r->phase = r->phase == IN_WATCH ? NEED_WATCH : NEED_LIST;
}

static void too_old(struct reflector *r, double now)
{
	r->expired++;
	need_list(r);
	if (r->expired > 2)
		pause_for(r, now, 0);
}

static unsigned commit(struct reflector *r)
{
	r->phase = NEED_WATCH;
	r->synced = true;
	r->absent = false;
	drop_pages(r);
	good(r);
	return REFLECTOR_COMMIT;
}

unsigned reflector_opened(struct reflector *r, double now)
{
	r->opened = now;
	if (r->phase == IN_WATCH) {
		good(r);
		return 0;
	}
	return r->phase == IN_LIST && r->next_page ? 0 : REFLECTOR_BEGIN;
}

unsigned reflector_page(struct reflector *r, double now, const char *version, const char *next_page)
{
	if (r->phase != IN_LIST)
		return 0;
	(void)now;
	set_version(r, version);
	if (*next_page) {
		char *copy = xstrdup(next_page);

		drop_pages(r);
		r->next_page = copy;
		r->phase = NEED_LIST;
		return 0;
	}
	return commit(r);
}

static unsigned error_event(struct reflector *r, double now, const struct reflector_event *e)
{
	bool initial = r->phase == IN_STREAMING;

	if (e->code == 410) {
		too_old(r, now);
		return REFLECTOR_STOP;
	}
	if (initial && (e->code == 400 || e->code == 422)) {
		*r->conf.streaming = false;
		need_list(r);
		return REFLECTOR_STOP;
	}
	/* As reflector_failed() has it: the version may be of a future that never comes. */
	if (initial && e->code == 504 && *r->version)
		r->expired++;
	bad(r, e->text);
	back(r);
	pause_for(r, now, e->retry_after);
	return REFLECTOR_STOP;
}

unsigned reflector_event(struct reflector *r, double now, const struct reflector_event *e)
{
	if (r->phase != IN_WATCH && r->phase != IN_STREAMING)
		return 0;
	if (e->type == REFLECTOR_ERROR)
		return error_event(r, now, e);
	if (e->type == REFLECTOR_OTHER)
		return 0;
	r->progress = true;
	if (r->phase == IN_STREAMING) {
		if (e->type == REFLECTOR_BOOKMARK) {
			if (!e->initial_end)
				return 0;
			set_version(r, e->version);
			commit(r);
			r->phase = IN_WATCH;
			return REFLECTOR_COMMIT;
		}
		return e->type == REFLECTOR_DELETED ? REFLECTOR_DELETE : REFLECTOR_PUT;
	}
	r->expired = 0;
	set_version(r, e->version);
	if (e->type == REFLECTOR_BOOKMARK)
		return 0;
	return e->type == REFLECTOR_DELETED ? REFLECTOR_DELETE : REFLECTOR_PUT;
}

static unsigned not_served(struct reflector *r, double now, const char *text)
{
	bool had = r->synced && !r->absent;

	/* A proxy that is set up wrongly says 404 too; what is known is not thrown away for one. */
	if (had && ++r->missing < MISSING_MAX) {
		bad(r, text);
		back(r);
		pause_for(r, now, 0);
		return 0;
	}
	good(r);
	need_list(r);
	r->version[0] = 0;
	r->synced = r->absent = true;
	r->wait_until = now + ABSENT_PAUSE + random32(r) % 1000 / 1000.0;
	return REFLECTOR_ABSENT;
}

unsigned reflector_failed(struct reflector *r, double now, int code, double retry_after,
			  const char *text)
{
	bool streaming = r->phase == IN_STREAMING;

	if (code == 410) {
		too_old(r, now);
		return 0;
	}
	if (streaming && (code == 400 || code == 405 || code == 415 || code == 422)) {
		*r->conf.streaming = false;
		need_list(r);
		return 0;
	}
	if ((code == 404 && r->conf.absence != REFLECTOR_CORE) ||
	    (code == 403 && r->conf.absence == REFLECTOR_OPTIONAL))
		return not_served(r, now, text);
	/* 504 to a list from a version: this server has not seen it yet and perhaps never will. */
	if (code == 504 && r->phase != IN_WATCH && *r->version)
		r->expired++;
	if (code == 400 && r->phase == IN_LIST) {
		drop_pages(r);
		r->expired++;
	}
	bad(r, text);
	back(r);
	pause_for(r, now, retry_after);
	return 0;
}

unsigned reflector_end(struct reflector *r, double now, const char *why, bool is_bad)
{
	int phase = r->phase;

	if (phase == NEED_LIST || phase == NEED_WATCH)
		return 0;
	/* Servers send a bookmark about every minute. A watch from a version that a restored etcd
	 * has not reached is silent for ever. */
	if (phase == IN_WATCH && !why && !r->progress && now - r->opened >= SILENT_WATCH) {
		r->expired = 2;
		need_list(r);
		return 0;
	}
	if (phase == IN_WATCH && !why && (r->progress || now - r->opened >= SHORTEST_WATCH)) {
		r->expired = 0;
		back(r);
		return 0;
	}
	/* Who ends a streaming list before its end does not know what was asked. */
	if (phase == IN_STREAMING && !why)
		*r->conf.streaming = false;
	bad(r, why		  ? why
	       : phase == IN_LIST ? "the list ended too early"
				  : "the watch ended at once");
	back(r);
	if (is_bad)
		need_list(r);
	pause_for(r, now, 0);
	return 0;
}

void reflector_hurry(struct reflector *r)
{
	r->wait_until = 0;
	memset(&r->backoff, 0, sizeof(r->backoff));
}
