/* One reflector at work: its requests, and the copy of what it watches. */
#include "config.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "store/kube_impl.h"

enum { MANY_PODS = 1000 };
static const double START_APART = 0.004, SILENCE = 120;

static void go_on(struct kube_feed *f);

/* ---- the copy ---- */

static void entry_clear(struct kube_entry *e)
{
	object_unref(e->object);
	free(e->key);
	free(e->error);
}

static void entries_free(struct kube_entries *x)
{
	for (unsigned i = 0; i < x->n; i++)
		entry_clear(&x->v[i]);
	free(x->v);
	memset(x, 0, sizeof(*x));
}

/* The place of a key, or where it belongs. */
static bool entries_find(const struct kube_entries *x, const char *key, unsigned *at)
{
	unsigned lo = 0, hi = x->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		int c = strcmp(x->v[mid].key, key);

		if (!c) {
			*at = mid;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return false;
}

static void entries_insert(struct kube_entries *x, unsigned at, const struct kube_entry *e)
{
	if (x->n == x->cap) {
		x->cap = x->cap ? x->cap * 2 : 8;
		x->v = xrealloc(x->v, x->cap * sizeof(*x->v));
	}
	memmove(x->v + at + 1, x->v + at, (x->n - at) * sizeof(*x->v));
	x->v[at] = *e;
	x->n++;
}

static void entries_remove(struct kube_entries *x, unsigned at)
{
	entry_clear(&x->v[at]);
	x->n--;
	memmove(x->v + at, x->v + at + 1, (x->n - at) * sizeof(*x->v));
}

/* ---- one object ---- */

static void on_item(void *arg, const struct model_item *item)
{
	struct kube_entry *e = arg;

	if (item->object) {
		object_unref(e->object);
		e->object = item->object;
	}
}

/* Reads an object; what it was until now (NULL: new) stays where it is broken or the same. */
static void read_entry(struct kube_feed *f, struct json_object *o, const char *key,
		       const struct kube_entry *was, struct kube_entry *out)
{
	struct arena scratch = { 0 };
	struct problems problems = { .arena = &scratch };
	struct node *doc = kube_decode_node(o, f->model, f->api, f->row->metadata_only, &scratch);
	uint32_t position = 0;
	bool anonymous = false;

	memset(out, 0, sizeof(*out));
	out->hash = kube_node_hash(doc);
	out->key = xstrdup(key);
	if (was && was->object)
		out->object = object_ref(was->object);
	if (was && was->hash == out->hash) {
		out->error = was->error ? xstrdup(was->error) : NULL;
	} else {
		model_read(doc, "kubernetes", &position, on_item, out, &problems, &anonymous);
		if (problems.n) {
			out->error = xstrdup(problems.text[0]);
			log_warn("store", "%s", out->error);
		}
	}
	arena_free(&scratch);
}

static char *key_of(struct json_object *o)
{
	struct json_object *meta = kube_json_get(o, "metadata");
	const char *name = kube_json_text(meta, "name");
	const char *ns = kube_json_text(meta, "namespace");
	size_t n = strlen(ns) + strlen(name) + 2;
	char *key = xmalloc(n);

	snprintf(key, n, "%s/%s", ns, name);
	return key;
}

static bool entry_same(const struct kube_entry *a, const struct kube_entry *b)
{
	return a->object == b->object && a->hash == b->hash;
}

static void put_object(struct kube_feed *f, struct json_object *o)
{
	struct kube_entries *to = f->listing ? &f->next : &f->now;
	char *key = key_of(o);
	unsigned at, old;
	bool had = entries_find(&f->now, key, &old);
	struct kube_entry e;

	read_entry(f, o, key, had ? &f->now.v[old] : NULL, &e);
	free(key);
	if (!f->listing && (!had || !entry_same(&f->now.v[old], &e)))
		kube_dirty(f->kube, f->row->kind);
	if (entries_find(to, e.key, &at)) {
		entry_clear(&to->v[at]);
		to->v[at] = e;
	} else {
		entries_insert(to, at, &e);
	}
}

static void put(struct kube_feed *f, struct json_object *o)
{
	if (f->model)
		put_object(f, o);
	else if (!kube_decode_pod(o, f->kube->node, false, &f->kube->scratch))
		pods_put(f->kube->pods, &f->kube->scratch.in);
}

static void delete (struct kube_feed *f, struct json_object *o)
{
	struct json_object *meta = kube_json_get(o, "metadata");
	struct kube_entries *from = f->listing ? &f->next : &f->now;
	unsigned at;

	if (!f->model) {
		pods_delete(f->kube->pods, kube_json_text(meta, "namespace"),
			    kube_json_text(meta, "name"));
		return;
	}
	char *key = key_of(o);

	if (entries_find(from, key, &at)) {
		entries_remove(from, at);
		if (!f->listing)
			kube_dirty(f->kube, f->row->kind);
	}
	free(key);
}

static void begin(struct kube_feed *f)
{
	if (f->model)
		entries_free(&f->next);
	else
		pods_begin(f->kube->pods);
	f->listing = true;
}

static void commit(struct kube_feed *f)
{
	bool same = f->now.n == f->next.n;

	f->listing = false;
	if (!f->model) {
		pods_commit(f->kube->pods);
		/* Reading a long list leaves a heap that is mostly free. */
		if (pods_count(f->kube->pods) >= MANY_PODS)
			malloc_trim(0);
		return;
	}
	for (unsigned i = 0; same && i < f->now.n; i++)
		same = !strcmp(f->now.v[i].key, f->next.v[i].key) &&
		       entry_same(&f->now.v[i], &f->next.v[i]);
	entries_free(&f->now);
	f->now = f->next;
	memset(&f->next, 0, sizeof(f->next));
	if (!same)
		kube_dirty(f->kube, f->row->kind);
}

/* What a reflector asks for. true: the running request was ended. */
static bool act(struct kube_feed *f, unsigned acts, struct json_object *o)
{
	if (acts & REFLECTOR_BEGIN)
		begin(f);
	if (acts & REFLECTOR_PUT)
		put(f, o);
	if (acts & REFLECTOR_DELETE)
		delete (f, o);
	if (acts & REFLECTOR_ABSENT)
		begin(f);
	if (acts & (REFLECTOR_COMMIT | REFLECTOR_ABSENT))
		commit(f);
	if (acts & (REFLECTOR_COMMIT | REFLECTOR_ABSENT | REFLECTOR_STOP))
		kube_feed_state(f);
	if (!(acts & REFLECTOR_STOP))
		return false;
	if (f->stream)
		kube_stream_close(f->stream);
	f->stream = NULL;
	go_on(f);
	return true;
}

/* ---- what the stream tells ---- */

static void broken(struct kube_feed *f, const char *why)
{
	if (f->stream)
		kube_stream_close(f->stream);
	f->stream = NULL;
	reflector_end(&f->r, kube_now(), why, true);
	kube_feed_state(f);
	go_on(f);
}

/* A server that hangs still acknowledges on TCP; a live one sends a bookmark about every minute. */
void kube_feed_look(struct kube_feed *f)
{
	double now = kube_now();

	if (!f->stream || f->mode != REFLECTOR_WATCH || !f->heard || now - f->heard < SILENCE)
		return;
	kube_stream_close(f->stream);
	f->stream = NULL;
	reflector_end(&f->r, now, "the API server has said nothing for two minutes", false);
	kube_feed_state(f);
	go_on(f);
}

static void on_stream_open(void *arg)
{
	struct kube_feed *f = arg;

	f->heard = kube_now();
	act(f, reflector_opened(&f->r, kube_now()), NULL);
	kube_feed_state(f);
}

static void on_stream_item(void *arg, const char *text, size_t len)
{
	struct kube_feed *f = arg;
	struct err err;
	struct json_object *o = kube_json_parse(text, len, &err);

	f->heard = kube_now();
	if (!o) {
		broken(f, err.text);
		return;
	}
	if (f->mode == REFLECTOR_LIST) {
		put(f, o);
	} else {
		struct kube_event e;

		kube_decode_event(o, &e);
		act(f, reflector_event(&f->r, kube_now(), &e.r), e.object);
	}
	json_object_put(o);
}

static void on_stream_member(void *arg, const char *key, const char *text, size_t len)
{
	struct kube_feed *f = arg;
	struct json_object *meta;
	struct err err;

	if (strcmp(key, "metadata") != 0)
		return;
	meta = kube_json_parse(text, len, &err);
	if (!meta) {
		broken(f, err.text);
		return;
	}
	snprintf(f->version, sizeof(f->version), "%s", kube_json_text(meta, "resourceVersion"));
	free(f->next_page);
	f->next_page = xstrdup(kube_json_text(meta, "continue"));
	json_object_put(meta);
}

static void failed(struct kube_feed *f, const struct kube_stream_end *end)
{
	char why[256], status_why[200];
	const char *reason = "", *text = end->why;
	struct json_object *status = NULL;
	int code = end->status;
	struct err err;

	if (end->len && *end->body == '{')
		status = kube_json_parse(end->body, end->len, &err);
	if (status) {
		kube_json_status(status, status_why, sizeof(status_why), &reason);
		if (!strcmp(reason, "Expired") || !strcmp(reason, "Gone"))
			code = 410;
		text = status_why;
	}
	if (code)
		snprintf(why, sizeof(why), "%s: the API answers %d: %.150s", f->path, code, text);
	else
		snprintf(why, sizeof(why), "%s", text);
	act(f, reflector_failed(&f->r, kube_now(), code, end->retry_after, why), NULL);
	json_object_put(status);
}

static void on_stream_end(void *arg, const struct kube_stream_end *end)
{
	struct kube_feed *f = arg;
	double now = kube_now();

	f->stream = NULL;
	if (end->status < 200 || end->status > 299)
		failed(f, end);
	else if (end->garbage)
		reflector_end(&f->r, now, end->why, true);
	else if (!end->whole)
		reflector_end(&f->r, now, *end->why ? end->why : "the answer was cut short", false);
	else if (f->mode == REFLECTOR_WATCH)
		reflector_end(&f->r, now, NULL, false);
	else if (!*f->version)
		reflector_end(&f->r, now, "the list has no resourceVersion", true);
	else
		act(f, reflector_page(&f->r, now, f->version, f->next_page ? f->next_page : ""),
		    NULL);
	kube_feed_state(f);
	go_on(f);
}

/* ---- requests ---- */

static const char *accept_of(const struct kube_feed *f, enum reflector_mode mode)
{
	if (!f->row->metadata_only)
		return NULL;
	return mode == REFLECTOR_WATCH
		       ? "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
			 "application/json"
		       : "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
			 "application/json";
}

static void start(struct kube_feed *f, const struct reflector_next *next)
{
	size_t n = strlen(f->path) + strlen(next->query) + 1;
	char *path = xmalloc(n);
	struct kube_stream_call call = {
		.path = path,
		.accept = accept_of(f, next->mode),
		.mode = next->mode == REFLECTOR_WATCH ? KUBE_STREAM_LINES : KUBE_STREAM_LIST,
		.timeout_ms = (uint32_t)(next->timeout * 1000),
		/* All pods may take a while; what IPAM asks meanwhile must not queue behind them.
		 */
		.watch = next->mode == REFLECTOR_WATCH || !f->model,
		.open = on_stream_open,
		.item = on_stream_item,
		.member = on_stream_member,
		.end = on_stream_end,
		.arg = f,
	};

	snprintf(path, n, "%s%s", f->path, next->query);
	f->mode = next->mode;
	f->heard = 0;
	f->version[0] = 0;
	free(f->next_page);
	f->next_page = NULL;
	f->stream = kube_stream_open(f->kube->streams, &call);
	free(path);
}

static void go_on(struct kube_feed *f)
{
	struct reflector_next *next = xmalloc(sizeof(*next));
	double now = kube_now();

	ev_timer_stop(f->kube->loop, &f->timer);
	reflector_next(&f->r, now, next);
	if (next->want == REFLECTOR_REQUEST) {
		start(f, next);
	} else if (next->want == REFLECTOR_WAIT) {
		ev_now_update(f->kube->loop);
		ev_timer_set(&f->timer, next->until > now ? next->until - now : 0, 0);
		ev_timer_start(f->kube->loop, &f->timer);
	}
	free(next);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int events)
{
	(void)loop;
	(void)events;
	go_on(t->data);
}

void kube_feed_hurry(struct kube_feed *f)
{
	reflector_hurry(&f->r);
	if (ev_is_active(&f->timer))
		go_on(f);
}

/* ---- make and end ---- */

static const char *api_of(const struct kube *k, enum kube_group group)
{
	switch (group) {
	case KUBE_CORE:
		return "v1";
	case KUBE_NETWORKING:
		return "networking.k8s.io/v1";
	case KUBE_DISCOVERY:
		return "discovery.k8s.io/v1";
	case KUBE_POLICY:
		return "policy.networking.k8s.io/v1alpha2";
	case KUBE_CALICO:
		break;
	}
	return k->calico;
}

static void set_selectors(struct kube_feed *f)
{
	char hash[IPAMOBJ_HASH], text[512];

	text[0] = 0;
	if (f->name)
		snprintf(text, sizeof(text), "metadata.name=%s", f->name);
	else if (f->row->need == NEED_PODS && !f->kube->all_pods)
		snprintf(text, sizeof(text), "spec.nodeName=%s", f->kube->node);
	f->field_selector = xstrdup(text);
	text[0] = 0;
	if (f->row->need == NEED_OWN_AFFINITY && !f->name)
		snprintf(text, sizeof(text), "projectcalico.org/hostname-hash=%s",
			 ipamobj_hostname_hash(f->kube->node, hash));
	f->label_selector = xstrdup(text);
}

struct kube_feed *kube_feed_new(struct kube *k, const struct kube_kind *row, const char *name)
{
	static const unsigned apis[] = {
		[KUBE_CORE] = API_CORE,		  [KUBE_NETWORKING] = API_NETWORKING,
		[KUBE_DISCOVERY] = API_DISCOVERY, [KUBE_POLICY] = API_POLICY,
		[KUBE_CALICO] = API_CALICO,
	};
	struct kube_feed *f = xcalloc(1, sizeof(*f));
	const char *ns =
		row->need == NEED_NAMED && row->kind == KIND_SECRET ? k->secrets_namespace : NULL;
	const char *plural = row->plural;
	char path[512];

	/* The one kind that has another name there. */
	if (row->kind == KIND_IPAMCONFIG && !strcmp(k->calico, "projectcalico.org/v3"))
		plural = "ipamconfigurations";
	f->kube = k;
	f->row = row;
	f->model = row->kind == KIND_COUNT ? NULL : kube_model_kind(row->text, apis[row->group]);
	f->api = xstrdup(api_of(k, row->group));
	f->name = name ? xstrdup(name) : NULL;
	snprintf(path, sizeof(path), "/%s/%s%s%s/%s", row->group == KUBE_CORE ? "api" : "apis",
		 f->api, ns ? "/namespaces/" : "", ns ? ns : "", plural);
	f->path = xstrdup(path);
	set_selectors(f);
	const struct reflector_conf conf = {
		.label_selector = f->label_selector,
		.field_selector = f->field_selector,
		.absence = row->absence,
		.streaming = &k->streaming,
		.seed = (uint64_t)kube_random() << 32 | kube_random(),
	};

	reflector_init(&f->r, &conf);
	ev_init(&f->timer, on_timer);
	f->timer.data = f;
	/* A TLS handshake costs some hundred microseconds; not all of them in one turn. */
	ev_now_update(k->loop);
	ev_timer_set(&f->timer, START_APART * (k->begun++ % KUBE_NKINDS), 0);
	ev_timer_start(k->loop, &f->timer);
	return f;
}

void kube_feed_free(struct kube_feed *f)
{
	if (!f)
		return;
	ev_timer_stop(f->kube->loop, &f->timer);
	if (f->stream)
		kube_stream_close(f->stream);
	if (f->model && f->now.n)
		kube_dirty(f->kube, f->row->kind);
	entries_free(&f->now);
	entries_free(&f->next);
	reflector_free(&f->r);
	free(f->path);
	free(f->label_selector);
	free(f->field_selector);
	free(f->api);
	free(f->name);
	free(f->next_page);
	free(f);
}
