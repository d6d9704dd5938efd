#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ipam/sync_impl.h"

/* ---- what is wanted ---- */

void sync_set_pools(struct sync *s, const struct sync_pool *pools, unsigned n, struct sync_now now)
{
	sync_enter(s, now);
	s->pools = xrealloc(s->pools, (n ? n : 1) * sizeof(*pools));
	if (n)
		memcpy(s->pools, pools, n * sizeof(*pools));
	s->npools = n;
	for (unsigned i = 0; i < s->nown; i++) {
		const struct sync_pool *p = pool_of(s, &s->own[i]->cidr);

		if (p)
			s->own[i]->pool = p->cidr;
	}
	for (unsigned i = 0; i < 2; i++)
		s->claims[i].retry_at = s->claims[i].failed_at = 0;
	names_forget(s);
	say_blocks(s);
	sync_leave(s, true);
}

void sync_set_settings(struct sync *s, const struct sync_settings *st, struct sync_now now)
{
	sync_enter(s, now);
	s->set = *st;
	sync_leave(s, true);
}

void stop_twin(struct sync *s, const char *object, const char *other)
{
	if (s->stopped)
		return;
	s->stopped = true;
	s->stopped_why = "another daemon runs under this node's name";
	say_problem(s, SYNC_TWIN, object,
		    "%s bears the mark of instance %.16s, this is instance %.16s: another noded "
		    "runs under the node name %s; no block is claimed and no address given any "
		    "more: give each machine its own name, then start noded anew",
		    object, other, s->instance, s->node);
	for (unsigned i = 0; i < HELD_BUCKETS; i++)
		for (struct held *l = s->held[i]; l; l = l->next)
			if (l->settling) {
				l->settling = false;
				say_settled(s, &l->addr, SYNC_LOST);
			}
	for (unsigned i = 0; i < s->nwants; i++)
		say_claimed(s, &s->wants[i], SYNC_CLAIM_STOPPED, s->stopped_why);
	s->nwants = 0;
	say_blocks(s);
}

void sync_set_node(struct sync *s, bool present, const char *instance, struct sync_now now)
{
	sync_enter(s, now);
	if (present && instance[0] && strcmp(instance, s->instance) != 0)
		stop_twin(s, s->node, instance);
	if (present == !s->suspended) {
		sync_leave(s, true);
		return;
	}
	s->suspended = !present;
	for (unsigned i = 0; i < s->nown && present; i++) {
		struct own *o = s->own[i];

		o->doubt = true;
		/* What is under way ends as it ends; then both are read. */
		own_drop_affinity(o, UNKNOWN);
		own_forget_block(o);
	}
	for (unsigned i = 0; i < s->nwants && !present; i++)
		say_claimed(s, &s->wants[i], SYNC_CLAIM_STOPPED, "this node's Node object is gone");
	if (!present)
		s->nwants = 0;
	say_blocks(s);
	sync_leave(s, true);
}

void sync_set_usage(struct sync *s, const struct ipam_block_use *u, unsigned n, struct sync_now now)
{
	sync_enter(s, now);
	s->usage = xrealloc(s->usage, (n ? n : 1) * sizeof(*u));
	if (n)
		memcpy(s->usage, u, n * sizeof(*u));
	s->nusage = n;
	later(s, s->now.ms);
	sync_leave(s, false);
}

void sync_want(struct sync *s, enum family fam, const struct prefix *pool, struct sync_now now)
{
	struct want w = { .fam = fam, .has_pool = pool != NULL };

	sync_enter(s, now);
	if (pool)
		w.pool = *pool;
	if (s->stopped || s->suspended) {
		say_claimed(s, &w, SYNC_CLAIM_STOPPED,
			    s->stopped ? s->stopped_why : "this node's Node object is gone");
		sync_leave(s, false);
		return;
	}
	for (unsigned i = 0; i < s->nwants; i++) {
		const struct want *x = &s->wants[i];

		if (x->fam == fam && x->has_pool == w.has_pool &&
		    (!pool || prefix_eq(&x->pool, pool))) {
			sync_leave(s, true);
			return;
		}
	}
	s->wants = xrealloc(s->wants, (s->nwants + 1) * sizeof(w));
	s->wants[s->nwants++] = w;
	sync_leave(s, true);
}

/* ---- leases ---- */

void sync_lease_add(struct sync *s, const struct sync_lease *l, struct sync_now now)
{
	struct held *h = held_find(s, &l->addr), **at;

	sync_enter(s, now);
	if (h && strcmp(h->handle->id, l->handle_id) == 0) {
		sync_leave(s, false);
		return;
	}
	if (h)
		sync_lease_del(s, &l->addr, now);
	h = xcalloc(1, sizeof(*h));
	h->addr = l->addr;
	h->pod = xstrdup(l->pod);
	h->namespace_ = xstrdup(l->namespace_);
	h->since = l->since;
	h->handle = handle_get(s, l->handle_id);
	h->handle->leases++;
	h->next_of_handle = h->handle->held;
	h->handle->held = h;
	at = &s->held[addr_hash(&l->addr) % HELD_BUCKETS];
	h->next = *at;
	*at = h;
	struct own *o = own_of_addr(s, &l->addr);
	if (o)
		follow_soon(s, o, false);
	later(s, s->now.ms);
	sync_leave(s, false);
}

void sync_lease_del(struct sync *s, const struct addr *a, struct sync_now now)
{
	struct held **at = &s->held[addr_hash(a) % HELD_BUCKETS], *l, **of;

	sync_enter(s, now);
	while (*at && !addr_eq(&(*at)->addr, a))
		at = &(*at)->next;
	l = *at;
	if (!l) {
		sync_leave(s, false);
		return;
	}
	struct own *o = own_of_addr(s, a);
	if (o) {
		uint32_t i = (uint32_t)prefix_offset(&o->cidr, a);
		const struct ipamobj_attr *alloc =
			o->block_known == PRESENT && obj_block_sane(o->block)
				? obj_attr(o->block, i)
				: NULL;

		/* Does the API show it, or will it soon? */
		if (o->call || o->block_known == UNKNOWN ||
		    (alloc && strcmp(alloc->handle_id, l->handle->id) == 0))
			mark_gone(s, o, i, l->handle->id);
		follow_soon(s, o, false);
	}
	for (of = &l->handle->held; *of != l;)
		of = &(*of)->next_of_handle;
	*of = l->next_of_handle;
	l->handle->leases--;
	*at = l->next;
	held_free(l);
	later(s, s->now.ms);
	sync_leave(s, false);
}

enum sync_settle sync_settle(struct sync *s, const struct addr *a, struct sync_now now)
{
	struct held *l = held_find(s, a);
	struct own *o = own_of_addr(s, a);

	if (!l || !o || !o->want || !o->ours || s->stopped || s->suspended)
		return SYNC_LOST;
	if (o->block_known == PRESENT && !o->doubt && obj_block_sane(o->block)) {
		const struct ipamobj_attr *at =
			obj_attr(o->block, (uint32_t)prefix_offset(&o->cidr, a));

		if (at && strcmp(at->handle_id, l->handle->id) == 0)
			return SYNC_SETTLED;
	}
	sync_enter(s, now);
	l->settling = true;
	follow_soon(s, o, true);
	sync_leave(s, true);
	return SYNC_SETTLING;
}

int sync_release_leak(struct sync *s, const struct addr *a, const char *handle_id,
		      struct sync_now now, struct err *err)
{
	struct own *o = own_of_addr(s, a);
	char text[ADDR_STRLEN];

	addr_format(a, text, sizeof(text));
	if (held_find(s, a))
		return err_set(err, "address %s is held by a lease of this node", text);
	if (!o || !o->ours || o->block_known != PRESENT || !obj_block_sane(o->block))
		return err_set(err, "address %s lies in no block of this node that the API shows",
			       text);
	uint32_t i = (uint32_t)prefix_offset(&o->cidr, a);
	const struct ipamobj_attr *at = obj_attr(o->block, i);
	if (!at || strcmp(at->handle_id, handle_id) != 0)
		return err_set(err, "address %s is not allocated to %s in the API", text,
			       handle_id);
	sync_enter(s, now);
	mark_gone(s, o, i, handle_id);
	follow_soon(s, o, true);
	sync_leave(s, true);
	return 0;
}

void sync_hint_changed(struct sync *s, enum ipamobj_kind kind, const struct prefix *cidr,
		       struct sync_now now)
{
	struct own *o = own_find(s, cidr);

	if (!o || o->call)
		return;
	sync_enter(s, now);
	if (kind == IPAMOBJ_AFFINITY)
		own_drop_affinity(o, UNKNOWN);
	else if (kind == IPAMOBJ_BLOCK)
		own_forget_block(o);
	o->retry_at = 0;
	sync_leave(s, true);
}
