#include "config.h"

#include <string.h>

#include "ipam/sync_impl.h"
#include "ipam/sync_state.h"

/* ---- what is known ---- */

static bool is_listed(const struct own *o)
{
	return (o->ours && o->want) || o->taken;
}

unsigned sync_block_count(const struct sync *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->nown; i++)
		n += is_listed(s->own[i]);
	return n;
}

void sync_block_at(const struct sync *s, unsigned i, struct sync_block *out)
{
	for (unsigned k = 0; k < s->nown; k++) {
		const struct own *o = s->own[k];

		if (!is_listed(o) || i-- > 0)
			continue;
		const struct sync_pool *p = pool_of(s, &o->cidr);
		bool ours = o->ours && o->want;
		bool sane = o->block_known != PRESENT || obj_block_sane(o->block);
		bool usable = ours && !o->doubt && sane && !s->stopped && !s->suspended;

		*out = (struct sync_block){
			.cidr = o->cidr,
			.pool = o->pool,
			.allocate = usable && p && p->use == SYNC_POOL_AUTO,
			.closed = !usable,
			.advertise = ours,
			.taken = o->taken,
		};
		return;
	}
	*out = (struct sync_block){ .allocate = false };
}

void sync_each_foreign(const struct sync *s,
		       void (*cb)(void *arg, const struct prefix *block, const struct addr *a),
		       void *arg)
{
	for (unsigned i = 0; i < s->nown; i++) {
		const struct own *o = s->own[i];

		for (uint64_t k = 0; k < prefix_size(&o->cidr); k++) {
			struct addr a = addr_add(&o->cidr.addr, k);

			if (o->foreign[k])
				cb(arg, &o->cidr, &a);
		}
	}
}

void sync_save(const struct sync *s, struct sync_state *st)
{
	unsigned n = sync_block_count(s), nforeign = 0;
	struct sync_block b;

	memset(st, 0, sizeof(*st));
	st->node = arena_strdup(&st->arena, s->node);
	st->instance = arena_strdup(&st->arena, s->instance);
	st->blocks = arena_array(&st->arena, n, sizeof(*st->blocks));
	for (unsigned i = 0; i < n; i++) {
		sync_block_at(s, i, &b);
		if (b.advertise)
			st->blocks[st->nblocks++] =
				(struct sync_state_block){ b.cidr, b.pool, b.allocate };
	}
	for (unsigned i = 0; i < s->nown; i++)
		for (uint64_t k = 0; k < prefix_size(&s->own[i]->cidr); k++)
			nforeign += s->own[i]->foreign[k];
	st->foreign = arena_array(&st->arena, nforeign, sizeof(*st->foreign));
	for (unsigned i = 0; i < s->nown; i++)
		for (uint64_t k = 0; k < prefix_size(&s->own[i]->cidr); k++)
			if (s->own[i]->foreign[k])
				st->foreign[st->nforeign++] = addr_add(&s->own[i]->cidr.addr, k);
}

static unsigned behind_of(const struct sync *s, const struct own *o)
{
	unsigned n = 0;
	/* While it is read again, the copy of before is still the best word. */
	bool known = o->block_known != ABSENT && o->block && obj_block_sane(o->block);

	for (uint64_t i = 0; i < prefix_size(&o->cidr); i++) {
		struct addr a = addr_add(&o->cidr.addr, i);
		const struct held *l = held_find(s, &a);
		const struct ipamobj_attr *at = known ? obj_attr(o->block, (uint32_t)i) : NULL;

		n += o->gone[i] != NULL;
		n += l && o->want && (!at || strcmp(at->handle_id, l->handle->id) != 0);
	}
	return n;
}

void sync_status(const struct sync *s, struct sync_status *out)
{
	*out = (struct sync_status){
		.synced = s->listed && !s->stopped,
		.stopped = s->stopped || s->suspended,
		.stopped_why = s->stopped     ? s->stopped_why
			       : s->suspended ? "this node's Node object is gone"
					      : "",
		.requests = s->gate.requests,
		.writes = s->gate.writes,
		.conflicts_seen = s->gate.conflicts,
	};
	for (unsigned i = 0; i < s->nown; i++) {
		const struct own *o = s->own[i];

		out->taken += o->taken;
		out->behind += behind_of(s, o);
		out->synced &= o->taken || (!o->restored && !o->doubt);
	}
	for (unsigned i = 0; i < 2; i++)
		out->claims += s->claims[i].step != CLAIM_IDLE;
	for (unsigned i = 0; i < HELD_BUCKETS; i++)
		for (const struct held *l = s->held[i]; l; l = l->next)
			out->conflicts += l->conflict;
}
