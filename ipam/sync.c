#include "config.h"

#include "ipam/sync.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/sync_impl.h"
#include "ipam/sync_state.h"

enum { START_PER_NODE = 2, START_MAX = 2000, LIST_RETRY = 60000 };

#define HASH_LABEL "projectcalico.org/hostname-hash"

/* ---- small things ---- */

void later(struct sync *s, uint64_t ms)
{
	if (ms < s->wake)
		s->wake = ms;
}

uint64_t send_request(struct sync *s, const struct ipamobj_request *r,
		      void (*done)(void *engine, void *obj, const struct ipamobj_reply *r),
		      void *obj)
{
	uint64_t id = gate_begin(&s->gate, r, done, obj);

	s->ops->request(s->arg, id, r);
	return id;
}

const struct sync_pool *pool_of(const struct sync *s, const struct prefix *cidr)
{
	for (unsigned i = 0; i < s->npools; i++)
		if (prefix_covers(&s->pools[i].cidr, cidr))
			return &s->pools[i];
	return NULL;
}

const struct ipam_block_use *usage_of(const struct sync *s, const struct own *o)
{
	for (unsigned i = 0; i < s->nusage; i++)
		if (prefix_eq(&s->usage[i].cidr, &o->cidr))
			return &s->usage[i];
	return NULL;
}

/* ---- blocks ---- */

struct own *own_find(const struct sync *s, const struct prefix *cidr)
{
	for (unsigned i = 0; i < s->nown; i++)
		if (prefix_eq(&s->own[i]->cidr, cidr))
			return s->own[i];
	return NULL;
}

struct own *own_of_addr(const struct sync *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->nown; i++)
		if (prefix_contains(&s->own[i]->cidr, a))
			return s->own[i];
	return NULL;
}

struct own *own_add(struct sync *s, const struct prefix *cidr, const struct prefix *pool)
{
	struct own *o = xcalloc(1, sizeof(*o));
	size_t n = (size_t)prefix_size(cidr);

	o->cidr = *cidr;
	o->pool = *pool;
	o->foreign = xcalloc(n, sizeof(*o->foreign));
	o->gone = xcalloc(n, sizeof(*o->gone));
	o->leak_since = xcalloc(n, sizeof(*o->leak_since));
	o->leak_hash = xcalloc(n, sizeof(*o->leak_hash));
	s->own = xrealloc(s->own, (s->nown + 1) * sizeof(*s->own));
	s->own[s->nown++] = o;
	return o;
}

static void own_free(struct own *o)
{
	for (uint64_t i = 0; i < prefix_size(&o->cidr); i++)
		free(o->gone[i]);
	free(o->foreign);
	free(o->gone);
	free(o->leak_since);
	free(o->leak_hash);
	arena_free(&o->aff_arena);
	arena_free(&o->block_arena);
	free(o);
}

void own_remove(struct sync *s, struct own *o)
{
	unsigned i = 0;

	for (uint32_t k = 0; k < prefix_size(&o->cidr); k++)
		if (o->foreign[k])
			say_foreign(s, o, k, false);
	while (s->own[i] != o)
		i++;
	memmove(&s->own[i], &s->own[i + 1], (s->nown - i - 1) * sizeof(*s->own));
	s->nown--;
	say_blocks(s);
	own_free(o);
}

struct held *held_find(const struct sync *s, const struct addr *a)
{
	struct held *l = s->held[addr_hash(a) % HELD_BUCKETS];

	while (l && !addr_eq(&l->addr, a))
		l = l->next;
	return l;
}

bool own_has_leases(const struct sync *s, const struct own *o)
{
	for (unsigned i = 0; i < HELD_BUCKETS; i++)
		for (const struct held *l = s->held[i]; l; l = l->next)
			if (prefix_contains(&o->cidr, &l->addr))
				return true;
	return false;
}

/* ---- events ---- */

static struct event *push(struct sync *s, enum event_type type)
{
	s->events = xrealloc(s->events, (s->nevents + 1) * sizeof(*s->events));
	struct event *e = &s->events[s->nevents++];
	*e = (struct event){ .type = type };
	return e;
}

void say_blocks(struct sync *s)
{
	s->blocks_changed = true;
}

void say_foreign(struct sync *s, const struct own *o, uint32_t ordinal, bool held)
{
	struct event *e = push(s, EV_FOREIGN);

	e->prefix = o->cidr;
	e->addr = addr_add(&o->cidr.addr, ordinal);
	e->held = held;
}

void say_settled(struct sync *s, const struct addr *a, enum sync_settle result)
{
	struct event *e = push(s, EV_SETTLED);

	e->addr = *a;
	e->code = result;
}

void say_claimed(struct sync *s, const struct want *w, enum sync_claim result, const char *why)
{
	struct event *e = push(s, EV_CLAIMED);

	e->fam = w->fam;
	e->has_pool = w->has_pool;
	e->prefix = w->pool;
	e->code = result;
	e->text = xstrdup(why);
}

void say_problem(struct sync *s, enum sync_problem kind, const char *object, const char *fmt, ...)
{
	struct event *e = push(s, EV_PROBLEM);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->code = kind;
	e->object = xstrdup(object);
	e->text = xstrdup(text);
}

static void dispatch_one(struct sync *s, const struct event *e)
{
	switch (e->type) {
	case EV_FOREIGN:
		s->ops->foreign(s->arg, &e->prefix, &e->addr, e->held);
		break;
	case EV_CLAIMED:
		s->ops->claimed(s->arg, e->fam, e->has_pool ? &e->prefix : NULL,
				(enum sync_claim)e->code, e->text);
		break;
	case EV_SETTLED:
		s->ops->settled(s->arg, &e->addr, (enum sync_settle)e->code);
		break;
	case EV_PROBLEM:
		s->ops->problem(s->arg, (enum sync_problem)e->code, e->object, e->text);
		break;
	}
}

/* Foreign addresses first, then the blocks they lie in, then what may make the owner assign. */
static void dispatch(struct sync *s)
{
	struct event *events = s->events;
	unsigned n = s->nevents;
	bool blocks = s->blocks_changed;

	s->events = NULL;
	s->nevents = 0;
	s->blocks_changed = false;
	for (unsigned i = 0; i < n; i++)
		if (events[i].type == EV_FOREIGN)
			dispatch_one(s, &events[i]);
	if (blocks)
		s->ops->blocks(s->arg);
	for (unsigned i = 0; i < n; i++) {
		if (events[i].type != EV_FOREIGN)
			dispatch_one(s, &events[i]);
		free(events[i].object);
		free(events[i].text);
	}
	free(events);
}

/* ---- the own affinities ---- */

static void adopt(struct sync *s, const struct ipamobj_affinity *f)
{
	struct own *o = own_find(s, &f->cidr);
	const struct sync_pool *p = pool_of(s, &f->cidr);

	if (!o && family_bits(f->cidr.addr.fam) - f->cidr.len > 16)
		return;
	if (o && o->call)
		return; /* its own reading or writing says more */
	if (!o) {
		o = own_add(s, &f->cidr, p ? &p->cidr : &f->cidr);
		o->want = f->state != IPAMOBJ_PENDING_DELETION && !f->deleted;
	}
	own_set_affinity(s, o, f);
	own_forget_block(o);
}

static bool is_own(const struct sync *s, const struct ipamobj_affinity *f)
{
	return strcmp(f->node, s->node) == 0 && (!f->type[0] || strcmp(f->type, "host") == 0);
}

static bool listed_in(const struct own *o, const struct ipamobj_reply *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		const struct ipamobj_affinity *f = r->objects[i];

		if (prefix_eq(&f->cidr, &o->cidr))
			return true;
	}
	return false;
}

static void got_affinities(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;

	(void)obj;
	s->list_call = 0;
	if (r->result != IPAMOBJ_OK) {
		if (r->result == IPAMOBJ_REFUSED) {
			s->list_retry = s->now.ms + LIST_RETRY;
			say_problem(
				s, SYNC_REFUSED, "blockaffinities",
				"BlockAffinities cannot be listed (%s): check the node's rights "
				"and that the CRDs are there",
				r->why ? r->why : "no reason");
		}
		return;
	}
	for (uint32_t i = 0; i < r->n; i++)
		if (is_own(s, r->objects[i]))
			adopt(s, r->objects[i]);
	/* What the list does not show is read by name: it may have no label. */
	for (unsigned i = 0; i < s->nown && s->list_part == 0; i++) {
		struct own *o = s->own[i];

		if (!o->call && !o->taken && !listed_in(o, r)) {
			own_drop_affinity(o, UNKNOWN);
			own_forget_block(o);
		}
	}
	if (s->list_part++ == 0)
		return;
	s->listed = true;
	s->relist_at = s->now.ms + SYNC_RELIST * 4 / 5 + gate_random(&s->gate, SYNC_RELIST * 2 / 5);
}

static void step_list(struct sync *s)
{
	char hash[IPAMOBJ_HASH], selector[128];
	uint64_t due = s->listed ? s->relist_at : s->list_retry;

	if (s->listed && s->list_part == 2) {
		if (s->now.ms < due) {
			later(s, due);
			return;
		}
		s->list_part = 0;
	}
	if (s->list_call)
		return;
	if (s->now.ms < s->list_retry) {
		later(s, s->list_retry);
		return;
	}
	if (!gate_open(&s->gate, s->now.ms, &s->wake))
		return;
	/* Labelled ones, then those without the label, which Calico's own list would miss. */
	snprintf(selector, sizeof(selector), s->list_part ? "!" HASH_LABEL : HASH_LABEL "=%s",
		 ipamobj_hostname_hash(s->node, hash));
	struct ipamobj_request r = { .verb = IPAMOBJ_LIST,
				     .kind = IPAMOBJ_AFFINITY,
				     .label_selector = selector };
	s->list_call = send_request(s, &r, got_affinities, NULL);
}

/* ---- the round ---- */

static void run(struct sync *s)
{
	s->wake = UINT64_MAX;
	if (!s->started || s->stopped)
		return;
	if (s->now.ms < s->start_at) {
		later(s, s->start_at);
		return;
	}
	step_list(s);
	if (!s->listed)
		return;
	for (unsigned i = 0; i < s->nown; i++) {
		struct own *o = s->own[i];
		unsigned n = s->nown;

		if (s->stopped)
			return;
		if (o->ours && o->want && !o->call) {
			scan_leaks(s, o);
			maybe_release(s, o);
		}
		step_own(s, o);
		i -= s->nown < n;
	}
	scan_leases(s);
	step_claims(s);
	/* A claim has just made a record; its first request goes now. */
	for (unsigned i = 0; i < 2; i++) {
		struct own *o =
			s->claims[i].step == CLAIM_WRITE ? own_find(s, &s->claims[i].cidr) : NULL;
		if (o && !s->stopped)
			step_own(s, o);
	}
	step_handles(s);
}

void sync_enter(struct sync *s, struct sync_now now)
{
	s->depth++;
	if (now.ms > s->now.ms)
		s->now.ms = now.ms;
	if (now.unix_ns)
		s->now.unix_ns = now.unix_ns;
}

/* What a callback puts in is worked off here, not inside of it. */
void sync_leave(struct sync *s, bool work)
{
	if (s->depth > 1) {
		if (work)
			later(s, s->now.ms);
		s->depth--;
		return;
	}
	if (work)
		run(s);
	while (s->nevents || s->blocks_changed) {
		dispatch(s);
		run(s);
	}
	s->depth--;
}

void sync_tick(struct sync *s, struct sync_now now)
{
	sync_enter(s, now);
	sync_leave(s, true);
}

uint64_t sync_next(const struct sync *s)
{
	return s->stopped ? UINT64_MAX : s->wake;
}

void sync_reply(struct sync *s, uint64_t id, const struct ipamobj_reply *r, struct sync_now now)
{
	struct gate_call c;

	sync_enter(s, now);
	if (gate_end(&s->gate, id, r, s->now.ms, &c) && !s->stopped)
		c.done(s, c.obj, r);
	sync_leave(s, true);
}

/* ---- making and ending ---- */

struct sync *sync_new(const struct sync_conf *conf, const struct sync_ops *ops, void *arg)
{
	struct sync *s = xcalloc(1, sizeof(*s));

	s->node = xstrdup(conf->node);
	s->instance = xstrdup(conf->instance);
	s->ops = ops;
	s->arg = arg;
	s->handle_rate = conf->handle_rate ? conf->handle_rate : SYNC_DEFAULT_HANDLE_RATE;
	s->tokens = 2000ull * s->handle_rate;
	s->wake = UINT64_MAX;
	s->stopped_why = "";
	s->set.auto_allocate_blocks = true;
	s->set.strict_affinity = false;
	s->claims[0].fam = FAM_V4;
	s->claims[1].fam = FAM_V6;
	gate_init(&s->gate, conf->seed);
	return s;
}

void held_free(struct held *l)
{
	free(l->pod);
	free(l->namespace_);
	free(l);
}

void sync_free(struct sync *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->nown; i++)
		own_free(s->own[i]);
	for (unsigned i = 0; i < HELD_BUCKETS; i++)
		for (struct held *l = s->held[i], *next; l; l = next) {
			next = l->next;
			held_free(l);
		}
	handles_free(s);
	for (unsigned i = 0; i < s->nevents; i++) {
		free(s->events[i].object);
		free(s->events[i].text);
	}
	free(s->events);
	free(s->own);
	free(s->pools);
	free(s->usage);
	free(s->wants);
	free(s->names);
	free(s->node);
	free(s->instance);
	free(s);
}

void sync_restore(struct sync *s, const struct sync_state *st)
{
	sync_enter(s, (struct sync_now){ 0 });
	for (unsigned i = 0; i < st->nblocks && strcmp(st->node, s->node) == 0; i++) {
		const struct sync_state_block *b = &st->blocks[i];

		if (own_find(s, &b->cidr) || family_bits(b->cidr.addr.fam) - b->cidr.len > 16)
			continue;
		struct own *o = own_add(s, &b->cidr, &b->pool);
		o->want = o->ours = o->restored = true;
		for (unsigned k = 0; k < st->nforeign; k++) {
			uint64_t at = prefix_offset(&b->cidr, &st->foreign[k]);

			if (!prefix_contains(&b->cidr, &st->foreign[k]))
				continue;
			o->foreign[at] = 1;
			say_foreign(s, o, (uint32_t)at, true);
		}
		say_blocks(s);
	}
	sync_leave(s, false);
}

void sync_start(struct sync *s, struct sync_now now)
{
	sync_enter(s, now);
	uint64_t spread = (uint64_t)s->set.nodes * START_PER_NODE;

	s->started = true;
	/* A small cluster starts at once. */
	if (spread < 2 * START_PER_NODE * 10)
		spread = 0;
	s->start_at = s->now.ms + gate_random(&s->gate, spread < START_MAX ? spread : START_MAX);
	s->tokens_at = s->now.ms;
	sync_leave(s, true);
}
