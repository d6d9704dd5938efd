#include "config.h"

#include "test/unit/sim_api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/sync_obj.h"

enum sim_stage { AT_API, AT_CLIENT, CALL };

struct sim_event {
	uint64_t at, seq;
	enum sim_stage stage;
	void *who;
	unsigned gen;
	uint64_t id;
	bool silent; /* the client has been told already */
	struct ipamobj_request req;
	struct ipamobj_reply reply;
	struct arena arena;
	void (*fn)(void *arg);
	void *arg;
};

/* ---- chance ---- */

uint64_t sim_random(struct sim *sim, uint64_t n)
{
	uint64_t z = (sim->rng += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return n ? z % n : 0;
}

bool sim_chance(struct sim *sim, unsigned of_1000)
{
	return of_1000 && sim_random(sim, 1000) < of_1000;
}

void sim_init(struct sim *sim, uint64_t seed)
{
	memset(sim, 0, sizeof(*sim));
	sim->rng = seed * UINT64_C(0x2545f4914f6cdd1d) + 7;
	sim->now = 1000000;
	sim->latency_min = 1;
	sim->latency_max = 20;
}

/* ---- objects ---- */

static struct sim_obj **slot(struct sim *sim, enum ipamobj_kind kind, const char *name)
{
	struct sim_obj **at = &sim->buckets[kind][obj_hash(name) % SIM_BUCKETS];

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

void *sim_get(struct sim *sim, enum ipamobj_kind kind, const char *name)
{
	struct sim_obj *o = *slot(sim, kind, name);

	return o ? o->obj : NULL;
}

void sim_each(struct sim *sim, enum ipamobj_kind kind, void (*cb)(void *arg, struct sim_obj *o),
	      void *arg)
{
	for (unsigned i = 0; i < SIM_BUCKETS; i++)
		for (struct sim_obj *o = sim->buckets[kind][i], *next; o; o = next) {
			next = o->next;
			cb(arg, o);
		}
}

static void *copy_of(struct arena *a, enum ipamobj_kind kind, const void *obj)
{
	if (kind == IPAMOBJ_BLOCK)
		return obj_copy_block(a, obj);
	if (kind == IPAMOBJ_AFFINITY)
		return obj_copy_affinity(a, obj);
	return obj_copy_handle(a, obj);
}

/* Each kind begins with its meta. */
static struct ipamobj_meta *meta_of(void *obj)
{
	return obj;
}

static const struct ipamobj_meta *meta_of_const(const void *obj)
{
	return obj;
}

static void put(struct sim *sim, struct sim_obj *o, const void *obj, const char *uid)
{
	struct arena a = { 0 };
	void *copy = copy_of(&a, o->kind, obj);
	struct ipamobj_meta *m = meta_of(copy);

	m->name = arena_strdup(&a, o->name);
	m->uid = uid ? arena_strdup(&a, uid) : arena_printf(&a, "u%" PRIu64, ++sim->last_uid);
	m->resource_version = arena_printf(&a, "%" PRIu64, ++sim->last_rv);
	if (!uid)
		m->created = sim->epoch_s + sim->now / 1000;
	arena_free(&o->arena);
	o->arena = a;
	o->obj = copy;
}

static void drop(struct sim *sim, struct sim_obj **at)
{
	struct sim_obj *o = *at;

	*at = o->next;
	sim->count[o->kind]--;
	arena_free(&o->arena);
	free(o);
}

static struct ipamobj_reply one(const struct ipamobj_reply *base, struct arena *a,
				const struct sim_obj *o)
{
	struct ipamobj_reply r = *base;
	const void **v = arena_array(a, 1, sizeof(*v));

	v[0] = copy_of(a, o->kind, o->obj);
	r.n = 1;
	r.objects = v;
	return r;
}

static struct ipamobj_reply result(enum ipamobj_result rc)
{
	return (struct ipamobj_reply){ .result = rc, .why = "" };
}

static bool selected(const char *selector, const struct sim_obj *o)
{
	char want[200], hash[IPAMOBJ_HASH];
	const struct ipamobj_affinity *f = o->obj;

	if (!selector || !selector[0])
		return true;
	if (selector[0] == '!')
		return o->unlabelled;
	if (o->unlabelled || o->kind != IPAMOBJ_AFFINITY)
		return false;
	snprintf(want, sizeof(want), "projectcalico.org/hostname-hash=%s",
		 ipamobj_hostname_hash(f->node, hash));
	return strcmp(want, selector) == 0;
}

static struct ipamobj_reply list(struct sim *sim, const struct ipamobj_request *r, struct arena *a)
{
	struct ipamobj_reply out = result(IPAMOBJ_OK);
	const void **v = arena_array(a, sim->count[r->kind] + 1, sizeof(*v));

	for (unsigned i = 0; i < SIM_BUCKETS; i++)
		for (struct sim_obj *o = sim->buckets[r->kind][i]; o; o = o->next) {
			if (!selected(r->label_selector, o))
				continue;
			if (r->verb == IPAMOBJ_LIST) {
				v[out.n++] = copy_of(a, o->kind, o->obj);
				continue;
			}
			struct ipamobj_meta *m = arena_alloc(a, sizeof(*m));
			const struct ipamobj_meta *from = meta_of(o->obj);
			*m = (struct ipamobj_meta){ arena_strdup(a, o->name),
						    arena_strdup(a, from->uid),
						    arena_strdup(a, from->resource_version), "",
						    from->created };
			v[out.n++] = m;
		}
	out.objects = v;
	return out;
}

static struct ipamobj_reply create(struct sim *sim, const struct ipamobj_request *r,
				   struct arena *a)
{
	const struct ipamobj_meta *m = meta_of_const(r->object);
	struct sim_obj **at = slot(sim, r->kind, m->name), *o;
	struct ipamobj_reply ok = result(IPAMOBJ_OK);

	if (*at)
		return result(IPAMOBJ_EXISTS);
	o = calloc(1, sizeof(*o));
	o->kind = r->kind;
	snprintf(o->name, sizeof(o->name), "%s", m->name);
	*at = o;
	sim->count[r->kind]++;
	put(sim, o, r->object, NULL);
	return one(&ok, a, o);
}

static struct ipamobj_reply update(struct sim *sim, const struct ipamobj_request *r,
				   struct arena *a)
{
	const struct ipamobj_meta *m = meta_of_const(r->object);
	struct sim_obj *o = *slot(sim, r->kind, m->name);
	struct ipamobj_reply ok = result(IPAMOBJ_OK);

	if (!o)
		return result(IPAMOBJ_NOT_FOUND);
	const struct ipamobj_meta *is = meta_of(o->obj);
	if (strcmp(is->uid, m->uid) != 0 || strcmp(is->resource_version, m->resource_version) != 0)
		return result(IPAMOBJ_CONFLICT);
	char *uid = strdup(is->uid);
	put(sim, o, r->object, uid);
	free(uid);
	return one(&ok, a, o);
}

static struct ipamobj_reply delete (struct sim *sim, const struct ipamobj_request *r)
{
	struct sim_obj **at = slot(sim, r->kind, r->name);

	if (!*at)
		return result(IPAMOBJ_NOT_FOUND);
	const struct ipamobj_meta *is = meta_of((*at)->obj);
	if ((r->uid && r->uid[0] && strcmp(r->uid, is->uid) != 0) ||
	    (r->resource_version && r->resource_version[0] &&
	     strcmp(r->resource_version, is->resource_version) != 0))
		return result(IPAMOBJ_CONFLICT);
	drop(sim, at);
	return result(IPAMOBJ_OK);
}

struct ipamobj_reply sim_apply(struct sim *sim, const struct ipamobj_request *r, struct arena *a)
{
	struct ipamobj_reply out = { .result = IPAMOBJ_NOT_FOUND, .why = "" };
	struct sim_obj *o;

	switch (r->verb) {
	case IPAMOBJ_GET:
		o = *slot(sim, r->kind, r->name);
		out = result(o ? IPAMOBJ_OK : IPAMOBJ_NOT_FOUND);
		return o ? one(&out, a, o) : out;
	case IPAMOBJ_LIST:
	case IPAMOBJ_NAMES:
		return list(sim, r, a);
	case IPAMOBJ_CREATE:
		out = create(sim, r, a);
		break;
	case IPAMOBJ_UPDATE:
		out = update(sim, r, a);
		break;
	case IPAMOBJ_DELETE:
		out = delete (sim, r);
		break;
	}
	if (out.result == IPAMOBJ_OK && sim->wrote)
		sim->wrote(sim->arg, r);
	return out;
}

/* ---- the network ---- */

static bool before(const struct sim_event *x, const struct sim_event *y)
{
	return x->at != y->at ? x->at < y->at : x->seq < y->seq;
}

static void heap_push(struct sim *sim, struct sim_event *e)
{
	unsigned i = sim->nheap++;

	if ((i & (i + 1)) == 0 || i % 1024 == 0)
		sim->heap = realloc(sim->heap, (2ul * i + 1026) * sizeof(*sim->heap));
	e->seq = ++sim->last_seq;
	for (; i > 0 && before(e, sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = e;
}

static struct sim_event *heap_pop(struct sim *sim)
{
	struct sim_event *top = sim->heap[0], *last = sim->heap[--sim->nheap];
	unsigned i = 0;

	for (;;) {
		unsigned c = 2 * i + 1;

		if (c >= sim->nheap)
			break;
		if (c + 1 < sim->nheap && before(sim->heap[c + 1], sim->heap[c]))
			c++;
		if (!before(sim->heap[c], last))
			break;
		sim->heap[i] = sim->heap[c];
		i = c;
	}
	sim->heap[i] = last;
	return top;
}

static uint64_t latency(struct sim *sim)
{
	uint64_t ms = sim->latency_min + sim_random(sim, sim->latency_max - sim->latency_min + 1);

	/* Some are overtaken by many. */
	return sim_chance(sim, sim->slow) ? ms + sim_random(sim, 500) : ms;
}

static const char *copy_text(struct arena *a, const char *t)
{
	return t ? arena_strdup(a, t) : NULL;
}

void sim_send(struct sim *sim, void *who, unsigned gen, uint64_t id,
	      const struct ipamobj_request *r)
{
	struct sim_event *e = calloc(1, sizeof(*e));

	e->stage = AT_API;
	e->who = who;
	e->gen = gen;
	e->id = id;
	e->req = *r;
	e->req.name = copy_text(&e->arena, r->name);
	e->req.uid = copy_text(&e->arena, r->uid);
	e->req.resource_version = copy_text(&e->arena, r->resource_version);
	e->req.label_selector = copy_text(&e->arena, r->label_selector);
	if (r->object)
		e->req.object = copy_of(&e->arena, r->kind, r->object);
	e->at = sim->now + latency(sim);
	heap_push(sim, e);
}

void sim_after(struct sim *sim, uint64_t ms, void (*fn)(void *arg), void *arg)
{
	struct sim_event *e = calloc(1, sizeof(*e));

	e->stage = CALL;
	e->fn = fn;
	e->arg = arg;
	e->at = sim->now + ms;
	heap_push(sim, e);
}

uint64_t sim_next(const struct sim *sim)
{
	return sim->nheap ? sim->heap[0]->at : UINT64_MAX;
}

static void event_free(struct sim_event *e)
{
	arena_free(&e->arena);
	free(e);
}

static bool is_busy(struct sim *sim)
{
	if (sim->second != sim->now / 1000) {
		sim->second = sim->now / 1000;
		sim->in_second = 0;
	}
	sim->in_second++;
	if (sim->in_second > sim->peak)
		sim->peak = sim->in_second;
	return (sim->capacity && sim->in_second > sim->capacity) ||
	       sim_chance(sim, sim->faults.busy);
}

static void answer(struct sim *sim, struct sim_event *e, struct ipamobj_reply r)
{
	e->reply = r;
	e->stage = AT_CLIENT;
	e->at = sim->now + latency(sim);
	heap_push(sim, e);
}

/* The client hears nothing now; the request is carried out much later. */
static void arrive_late(struct sim *sim, struct sim_event *e)
{
	struct sim_event *tell = calloc(1, sizeof(*tell));

	*tell = *e;
	memset(&tell->arena, 0, sizeof(tell->arena));
	tell->req.object = NULL;
	answer(sim, tell, result(IPAMOBJ_UNKNOWN));
	e->silent = true;
	e->at = sim->now + 50 + sim_random(sim, 3000);
	heap_push(sim, e);
}

static void at_api(struct sim *sim, struct sim_event *e)
{
	bool read = e->req.verb == IPAMOBJ_GET || e->req.verb == IPAMOBJ_LIST ||
		    e->req.verb == IPAMOBJ_NAMES;
	const struct sim_faults *f = &sim->faults;

	if (e->silent) {
		sim_apply(sim, &e->req, &e->arena);
		event_free(e);
		return;
	}
	sim->requests++;
	if (is_busy(sim)) {
		struct ipamobj_reply busy = result(IPAMOBJ_BUSY);

		busy.retry_after = sim_chance(sim, 500) ? 1000 : 0;
		sim->answered_busy++;
		answer(sim, e, busy);
		return;
	}
	if (sim_chance(sim, f->away)) {
		answer(sim, e, result(IPAMOBJ_AWAY));
		return;
	}
	sim->writes += !read;
	if (!read && sim_chance(sim, f->late)) {
		arrive_late(sim, e);
		return;
	}
	if (sim_chance(sim, f->lost_undone)) {
		answer(sim, e, result(read ? IPAMOBJ_AWAY : IPAMOBJ_UNKNOWN));
		return;
	}
	struct ipamobj_reply r = sim_apply(sim, &e->req, &e->arena);
	if (sim_chance(sim, f->lost_done))
		r = result(read ? IPAMOBJ_AWAY : IPAMOBJ_UNKNOWN);
	answer(sim, e, r);
}

void sim_step(struct sim *sim)
{
	struct sim_event *e = heap_pop(sim);

	if (e->at > sim->now)
		sim->now = e->at;
	if (e->stage == AT_API) {
		at_api(sim, e);
		return;
	}
	if (e->stage == CALL)
		e->fn(e->arg);
	else
		sim->deliver(sim->arg, e->who, e->gen, e->id, &e->reply);
	event_free(e);
}

void sim_free(struct sim *sim)
{
	for (unsigned k = 0; k < SIM_KINDS; k++)
		for (unsigned i = 0; i < SIM_BUCKETS; i++)
			while (sim->buckets[k][i])
				drop(sim, &sim->buckets[k][i]);
	while (sim->nheap)
		event_free(sim->heap[--sim->nheap]);
	free(sim->heap);
}
