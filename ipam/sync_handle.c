#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ipam/sync_impl.h"

enum { HANDLE_RECHECK = 60000, HANDLE_RETRY = 500, HANDLE_RETRY_MAX = 30000 };

struct handle *handle_find(const struct sync *s, const char *id)
{
	struct handle *h = s->handles[obj_hash(id) % HELD_BUCKETS];

	while (h && strcmp(h->id, id) != 0)
		h = h->next;
	return h;
}

struct handle *handle_get(struct sync *s, const char *id)
{
	struct handle *h = handle_find(s, id), **at = &s->handles[obj_hash(id) % HELD_BUCKETS];

	if (h)
		return h;
	h = xcalloc(1, sizeof(*h));
	h->id = xstrdup(id);
	h->next = *at;
	return *at = h;
}

static void handle_free(struct handle *h)
{
	arena_free(&h->arena);
	free(h->id);
	free(h);
}

void handles_free(struct sync *s)
{
	for (unsigned i = 0; i < HELD_BUCKETS; i++)
		for (struct handle *h = s->handles[i], *next; h; h = next) {
			next = h->next;
			handle_free(h);
		}
}

static bool covers(const struct ipamobj_handle *h, const struct prefix *cidr)
{
	for (uint32_t i = 0; i < h->nblocks; i++)
		if (prefix_eq(&h->blocks[i].cidr, cidr))
			return true;
	return false;
}

/* Written by us a moment ago, so that a collector which saw it in no block and means to delete it
 * finds another version. */
bool handle_ready(const struct sync *s, const struct handle *h, const struct prefix *cidr)
{
	return h->known == PRESENT && !h->copy->deleted && covers(h->copy, cidr) && h->written &&
	       s->now.ms <= h->checked_at + HANDLE_RECHECK;
}

/* ---- what it should list ---- */

struct wanted {
	struct ipamobj_handle_block blocks[16];
	uint32_t n;
	bool missing; /* an address of it is not in its block in the API yet */
	bool settling;
};

static void want_block(struct wanted *w, const struct prefix *cidr)
{
	for (uint32_t i = 0; i < w->n; i++)
		if (prefix_eq(&w->blocks[i].cidr, cidr)) {
			w->blocks[i].count++;
			return;
		}
	if (w->n < 16)
		w->blocks[w->n++] = (struct ipamobj_handle_block){ *cidr, 1 };
}

static struct wanted wanted_of(const struct sync *s, const struct handle *h)
{
	struct wanted w = { .n = 0 };

	for (const struct held *l = h->held; l; l = l->next_of_handle) {
		struct own *o = own_of_addr(s, &l->addr);

		if (!o || !o->want || !o->ours || o->doubt || o->block_known != PRESENT)
			continue;
		want_block(&w, &o->cidr);
		w.missing |= !block_mentions(o->block, h->id);
		w.settling |= l->settling;
	}
	return w;
}

/* May a block of ours still come to mention it, or does one? */
static bool is_mentioned(const struct sync *s, const struct handle *h)
{
	for (unsigned i = 0; i < s->nown; i++) {
		const struct own *o = s->own[i];

		if (o->taken)
			continue;
		if (o->block_known == UNKNOWN || o->call)
			return true;
		if (o->block_known == PRESENT && own_owner(s, o) == OWNER_US &&
		    block_mentions(o->block, h->id))
			return true;
	}
	return false;
}

/* ---- replies ---- */

static void set_copy(struct handle *h, const struct ipamobj_handle *c)
{
	arena_reset(&h->arena);
	h->copy = obj_copy_handle(&h->arena, c);
	h->known = PRESENT;
	h->tries = 0;
}

static void wake_blocks(struct sync *s, const struct handle *h)
{
	for (unsigned i = 0; i < s->nown; i++) {
		struct own *o = s->own[i];

		if (o->dirty && h->known == PRESENT && covers(h->copy, &o->cidr))
			follow_soon(s, o, o->put_at <= s->now.ms && wanted_of(s, h).settling);
	}
}

static void backoff(struct sync *s, struct handle *h, const struct ipamobj_reply *r)
{
	uint64_t base = r->result == IPAMOBJ_REFUSED ? SYNC_REFUSED_RETRY : HANDLE_RETRY;

	h->retry_at = s->now.ms + (r->result == IPAMOBJ_REFUSED ? base : 0) +
		      gate_jitter(&s->gate, HANDLE_RETRY, h->tries++, HANDLE_RETRY_MAX);
	if (r->result == IPAMOBJ_REFUSED && h->tries == 1)
		say_problem(s, SYNC_REFUSED, h->id,
			    "IPAMHandle %s: the API refuses it (%s): check the node's rights",
			    h->id, r->why ? r->why : "no reason");
}

static void handle_done(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct handle *h = obj;

	h->call = 0;
	h->checked_at = s->now.ms;
	h->written = r->result == IPAMOBJ_OK && h->writing;
	h->writing = false;
	switch (r->result) {
	case IPAMOBJ_OK:
		h->known = UNKNOWN;
		if (r->n)
			set_copy(h, r->objects[0]);
		wake_blocks(s, h);
		break;
	case IPAMOBJ_NOT_FOUND:
		h->known = ABSENT;
		h->posted = false;
		break;
	case IPAMOBJ_EXISTS:
	case IPAMOBJ_CONFLICT:
	case IPAMOBJ_UNKNOWN:
		h->known = UNKNOWN;
		h->posted = true;
		break;
	default:
		backoff(s, h, r);
	}
}

static void handle_deleted(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct handle *h = obj;

	if (r->result == IPAMOBJ_OK) {
		h->call = 0;
		h->known = ABSENT;
		h->posted = false;
		return;
	}
	handle_done(engine, h, r);
}

/* ---- requests ---- */

static void get_handle(struct sync *s, struct handle *h)
{
	char name[IPAMOBJ_NAME];
	struct ipamobj_request r = { .verb = IPAMOBJ_GET,
				     .kind = IPAMOBJ_HANDLE,
				     .name = ipamobj_handle_name(h->id, name) };

	h->call = send_request(s, &r, handle_done, h);
}

static void put_handle(struct sync *s, struct handle *h, const struct wanted *w, bool create)
{
	char name[IPAMOBJ_NAME];
	struct ipamobj_handle o = { .handle_id = h->id,
				    .nblocks = w->n,
				    .blocks = (struct ipamobj_handle_block *)w->blocks };
	struct ipamobj_request r = { .verb = create ? IPAMOBJ_CREATE : IPAMOBJ_UPDATE,
				     .kind = IPAMOBJ_HANDLE,
				     .object = &o };

	if (create)
		o.meta = (struct ipamobj_meta){ ipamobj_handle_name(h->id, name), "", "", "", 0 };
	else
		o.meta = h->copy->meta;
	h->posted = h->writing = true;
	h->call = send_request(s, &r, handle_done, h);
}

static void delete_handle(struct sync *s, struct handle *h)
{
	const struct ipamobj_meta *m = &h->copy->meta;
	struct ipamobj_request r = { .verb = IPAMOBJ_DELETE,
				     .kind = IPAMOBJ_HANDLE,
				     .name = m->name,
				     .uid = m->uid,
				     .resource_version = m->resource_version };

	h->call = send_request(s, &r, handle_deleted, h);
}

/* ---- steps ---- */

static bool take_token(struct sync *s, bool urgent)
{
	uint64_t cap = 2000ull * s->handle_rate;

	s->tokens += (s->now.ms - s->tokens_at) * s->handle_rate;
	s->tokens_at = s->now.ms;
	if (s->tokens > cap)
		s->tokens = cap;
	if (s->tokens < 1000 && !urgent) {
		later(s, s->now.ms + 1 + (1000 - s->tokens) / s->handle_rate);
		return false;
	}
	s->tokens -= s->tokens < 1000 ? s->tokens : 1000;
	return true;
}

/* What others listed stays listed (a pod of ours with a borrowed address). */
static bool merge(struct wanted *w, const struct ipamobj_handle *copy)
{
	bool changed = false;
	uint32_t own = w->n;

	for (uint32_t i = 0; i < own; i++)
		changed |= !covers(copy, &w->blocks[i].cidr);
	for (uint32_t i = 0; i < copy->nblocks && w->n < 16; i++) {
		bool known = false;

		for (uint32_t k = 0; k < own; k++)
			known |= prefix_eq(&w->blocks[k].cidr, &copy->blocks[i].cidr);
		if (!known)
			w->blocks[w->n++] = copy->blocks[i];
	}
	return changed;
}

static void step_needed(struct sync *s, struct handle *h, struct wanted *w)
{
	bool stale = w->missing && s->now.ms > h->checked_at + HANDLE_RECHECK;

	/* Written long ago and still in no block: a collector may have taken it for an orphan. */
	if (h->known == PRESENT && stale)
		h->known = UNKNOWN;
	if (h->known == PRESENT && !h->copy->deleted && !merge(w, h->copy) &&
	    (h->written || !w->missing))
		return;
	/* Where all blocks mention it, it was written before them. */
	if (h->known == UNKNOWN && !w->missing)
		return;
	if (!take_token(s, w->settling))
		return;
	if (h->known == PRESENT && h->copy->deleted)
		delete_handle(s, h);
	else if (h->known == PRESENT)
		put_handle(s, h, w, false);
	else if (h->known == ABSENT || !h->posted)
		put_handle(s, h, w, true);
	else
		get_handle(s, h);
}

/* Entries for blocks that no record here knows stay: they are a borrowed address's. */
static uint32_t others_in(const struct sync *s, const struct handle *h, struct wanted *w)
{
	for (uint32_t i = 0; i < h->copy->nblocks && w->n < 16; i++) {
		const struct prefix *cidr = &h->copy->blocks[i].cidr;

		if (!own_find(s, cidr))
			w->blocks[w->n++] = h->copy->blocks[i];
	}
	return w->n;
}

/* false: it is done with and may be forgotten. */
static bool step_unneeded(struct sync *s, struct handle *h)
{
	struct wanted rest = { .n = 0 };

	if (is_mentioned(s, h))
		return true;
	if (h->known == ABSENT || (h->known == UNKNOWN && !h->posted))
		return false;
	if (h->known == PRESENT && others_in(s, h, &rest) && rest.n == h->copy->nblocks)
		return false;
	if (!take_token(s, false))
		return true;
	if (h->known == UNKNOWN)
		get_handle(s, h);
	else if (rest.n)
		put_handle(s, h, &rest, false);
	else
		delete_handle(s, h);
	return true;
}

static bool step_handle(struct sync *s, struct handle *h)
{
	struct wanted w;

	if (h->call)
		return true;
	if (s->now.ms < h->retry_at) {
		later(s, h->retry_at);
		return true;
	}
	if (!gate_open(&s->gate, s->now.ms, &s->wake))
		return true;
	if (h->leases == 0)
		return step_unneeded(s, h);
	/* Known, and nothing has changed since: the common case. */
	w = wanted_of(s, h);
	if (w.n)
		step_needed(s, h, &w);
	return true;
}

void step_handles(struct sync *s)
{
	if (!s->listed)
		return;
	for (unsigned i = 0; i < HELD_BUCKETS; i++)
		for (struct handle **at = &s->handles[i], *h; (h = *at);) {
			if (step_handle(s, h)) {
				at = &h->next;
				continue;
			}
			*at = h->next;
			handle_free(h);
		}
}
