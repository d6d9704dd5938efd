#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/sync_impl.h"

enum {
	NAMES_FRESH = 5000, /* ms: one listing serves the claims of both families */
	CLAIM_RETRY = 100,  /* after a conflict, doubled each time */
	CLAIM_RETRY_MAX = 10000,
	CLAIM_IDLE_RETRY = 60000, /* where nothing is free and no ADD waits */
	CLAIM_TELL = 5000,	  /* a failure so fresh answers the next want */
	AWAY_FAILS = 3,
	SAME_VIEW = 600, /* s */
	MAX_TRIED = 4096,
};

static uint64_t blocks_in(const struct sync_pool *p)
{
	unsigned bits = p->block_size - p->cidr.len;

	return bits >= 32 ? UINT64_C(1) << 32 : UINT64_C(1) << bits;
}

static struct prefix nth_block(const struct sync_pool *p, uint64_t i)
{
	unsigned host = family_bits(p->cidr.addr.fam) - p->block_size;
	struct prefix c = { addr_add(&p->cidr.addr, i << host), (uint8_t)p->block_size };

	return c;
}

void names_forget(struct sync *s)
{
	s->names_at = 0;
}

/* ---- the blocks of the cluster ---- */

static int by_cidr(const void *a, const void *b)
{
	return prefix_cmp(&((const struct named *)a)->cidr, &((const struct named *)b)->cidr);
}

/* Sorts, and leaves out what lies in another: the rest is disjoint. */
static void tidy_names(struct sync *s)
{
	unsigned n = 0;

	qsort(s->names, s->nnames, sizeof(*s->names), by_cidr);
	for (unsigned i = 0; i < s->nnames; i++)
		if (n == 0 || !prefix_covers(&s->names[n - 1].cidr, &s->names[i].cidr))
			s->names[n++] = s->names[i];
	s->nnames = n;
}

/* The first name at or behind this prefix's start; before it at most one can overlap. */
static const struct prefix *name_overlapping(const struct sync *s, const struct prefix *c)
{
	unsigned lo = 0, hi = s->nnames;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (prefix_cmp(&s->names[mid].cidr, c) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0 && prefix_overlaps(&s->names[lo - 1].cidr, c))
		return &s->names[lo - 1].cidr;
	if (lo < s->nnames && prefix_overlaps(&s->names[lo].cidr, c))
		return &s->names[lo].cidr;
	return NULL;
}

static void took_names(struct sync *s, const struct ipamobj_reply *r)
{
	s->names = xrealloc(s->names, (r->n ? r->n : 1) * sizeof(*s->names));
	s->nnames = 0;
	for (uint32_t i = 0; i < r->n; i++) {
		const struct ipamobj_meta *m = r->objects[i];

		s->names[s->nnames].created = m->created;
		if (obj_name_to_cidr(m->name, &s->names[s->nnames].cidr))
			s->nnames++;
	}
	tidy_names(s);
	s->names_at = s->now.ms + 1;
}

/* ---- the ends of a claim ---- */

static bool same_want(const struct want *w, const struct want *x)
{
	return w->fam == x->fam && w->has_pool == x->has_pool &&
	       (!w->has_pool || prefix_eq(&w->pool, &x->pool));
}

static void tell_wants(struct sync *s, struct claim *c, enum sync_claim result, const char *why)
{
	struct want claimed = { c->fam, c->has_pool, c->pool };

	for (unsigned i = s->nwants; i-- > 0;) {
		if (!same_want(&s->wants[i], &claimed))
			continue;
		struct want w = s->wants[i];
		if (result != SYNC_CLAIM_AWAY)
			s->wants[i] = s->wants[--s->nwants];
		say_claimed(s, &w, result, why);
	}
}

static void claim_fail(struct sync *s, struct claim *c, enum sync_claim result, const char *why)
{
	tell_wants(s, c, result, why);
	c->step = CLAIM_IDLE;
	c->last = result;
	snprintf(c->last_why, sizeof(c->last_why), "%s", why);
	c->failed = (struct want){ c->fam, c->has_pool, c->pool };
	c->failed_at = s->now.ms + 1;
	c->retry_at = s->now.ms + CLAIM_IDLE_RETRY / 2 + gate_random(&s->gate, CLAIM_IDLE_RETRY);
	c->tries = 0;
}

static void claim_again(struct sync *s, struct claim *c)
{
	c->step = CLAIM_NAMES;
	names_forget(s);
	c->retry_at = s->now.ms + gate_jitter(&s->gate, CLAIM_RETRY, c->tries++, CLAIM_RETRY_MAX);
}

void claim_refused(struct sync *s, const struct own *o, const char *why)
{
	for (unsigned i = 0; i < 2; i++)
		if (s->claims[i].step == CLAIM_WRITE && prefix_eq(&s->claims[i].cidr, &o->cidr))
			tell_wants(s, &s->claims[i], SYNC_CLAIM_REFUSED, why);
}

void claim_ended(struct sync *s, const struct own *o, bool got)
{
	for (unsigned i = 0; i < 2; i++) {
		struct claim *c = &s->claims[i];

		if (c->step != CLAIM_WRITE && c->step != CLAIM_VERIFY)
			continue;
		if (!prefix_eq(&c->cidr, &o->cidr))
			continue;
		if (!got) {
			claim_again(s, c);
			continue;
		}
		/* A want of any pool is served by a block of a pool that was asked for too. */
		tell_wants(s, c, SYNC_CLAIMED, "");
		c->step = CLAIM_IDLE;
		c->tries = 0;
		c->failed_at = 0;
	}
}

/* ---- choosing ---- */

static bool is_free(const struct sync *s, const struct prefix *c)
{
	for (unsigned i = 0; i < s->nown; i++)
		if (prefix_overlaps(&s->own[i]->cidr, c))
			return false;
	return !name_overlapping(s, c);
}

/* The first free of the pool's n blocks from the i-th on, round about. */
static bool walk(struct sync *s, const struct sync_pool *p, uint64_t n, uint64_t from,
		 struct prefix *out)
{
	uint64_t i = from, left = n;

	while (left > 0) {
		struct prefix c = nth_block(p, i);
		const struct prefix *by = name_overlapping(s, &c);
		uint64_t skip = 1;

		if (!by && is_free(s, &c)) {
			*out = c;
			return true;
		}
		/* A larger block in the way is passed over at once. */
		if (by && by->len < c.len) {
			unsigned more = c.len - by->len;
			uint64_t size = more >= 32 ? UINT64_C(1) << 32 : UINT64_C(1) << more;

			skip = size - (i & (size - 1));
		}
		left -= skip < left ? skip : left;
		i += skip;
		if (i >= n)
			i = (i - n) % n;
	}
	return false;
}

/* What is free of a pool, as ranges of blocks. */
struct gaps {
	struct gap {
		uint64_t from, n;
	} * v;
	unsigned count;
	uint64_t total;
};

/* As it was a while ago: all nodes that start to claim at once see the same, though by now some of
 * them have claimed. */
static struct gaps gaps_before_claims(const struct sync *s, const struct sync_pool *p)
{
	unsigned host = family_bits(p->cidr.addr.fam) - p->block_size;
	uint64_t now_s = s->now.unix_ns / 1000000000, n = blocks_in(p), at = 0;
	uint64_t before = now_s / SAME_VIEW * SAME_VIEW - SAME_VIEW;
	struct gaps g = { .v = xcalloc(s->nnames + 1, sizeof(*g.v)) };

	for (unsigned i = 0; i < s->nnames && at < n; i++) {
		const struct named *x = &s->names[i];
		uint64_t first, last;

		if (!prefix_overlaps(&x->cidr, &p->cidr) || x->created >= before)
			continue;
		if (prefix_covers(&x->cidr, &p->cidr))
			at = n;
		first = prefix_offset(&p->cidr, &x->cidr.addr) >> host;
		last = x->cidr.len >= p->block_size
			       ? first
			       : first + (UINT64_C(1) << (p->block_size - x->cidr.len)) - 1;
		if (first > at && at < n)
			g.v[g.count++] = (struct gap){ at, (first < n ? first : n) - at };
		at = last + 1 > at ? last + 1 : at;
	}
	if (at < n)
		g.v[g.count++] = (struct gap){ at, n - at };
	for (unsigned i = 0; i < g.count; i++)
		g.total += g.v[i].n;
	return g;
}

/* Tries the k-th to the (k + n - 1)-th block of the gaps, from the from-th of these on. */
static bool try_gaps(struct sync *s, const struct sync_pool *p, const struct gaps *g, uint64_t k,
		     uint64_t n, uint64_t from, struct prefix *out)
{
	for (uint64_t tried = 0; tried < n && tried < MAX_TRIED; tried++) {
		uint64_t i = k + (from + tried) % n;
		const struct gap *gap = g->v;

		while (i >= gap->n)
			i -= gap++->n;
		*out = nth_block(p, gap->from + i);
		if (is_free(s, out))
			return true;
	}
	return false;
}

/* Nodes that know each other begin at places of their own, and go on where nobody begins. */
static bool choose_by_rank(struct sync *s, const struct sync_pool *p, struct prefix *out)
{
	struct gaps g = gaps_before_claims(s, p);
	uint64_t step = g.total / s->set.nodes, spare = step * s->set.nodes;
	bool found = step && try_gaps(s, p, &g, s->set.rank * step, step, 0, out);

	if (!found && spare < g.total)
		found = try_gaps(s, p, &g, spare, g.total - spare,
				 gate_random(&s->gate, g.total - spare), out);
	free(g.v);
	return found;
}

/* Else at the host name's hash, as Calico, and after a conflict anywhere. */
static bool choose_in(struct sync *s, const struct claim *c, const struct sync_pool *p,
		      struct prefix *out)
{
	uint64_t n = blocks_in(p);

	if (s->set.rank < s->set.nodes && choose_by_rank(s, p, out))
		return true;
	if (c->tries == 0 && s->set.nodes == 0)
		return walk(s, p, n, ipamobj_host_hash(s->node) % n, out);
	return walk(s, p, n, gate_random(&s->gate, n), out);
}

static bool claim_may_use(const struct claim *c, const struct sync_pool *p)
{
	if (p->cidr.addr.fam != c->fam || p->use == SYNC_POOL_CLOSED || p->block_size < p->cidr.len)
		return false;
	return c->has_pool ? prefix_eq(&p->cidr, &c->pool) : p->use == SYNC_POOL_AUTO;
}

static bool sees_other_sizes(const struct sync *s, const struct sync_pool *p)
{
	for (unsigned i = 0; i < s->nnames; i++)
		if (prefix_overlaps(&s->names[i].cidr, &p->cidr) &&
		    s->names[i].cidr.len != p->block_size)
			return true;
	return false;
}

static void claim_block(struct sync *s, struct claim *c, const struct prefix *cidr,
			const struct sync_pool *p)
{
	struct own *o = own_add(s, cidr, &p->cidr);

	o->want = true;
	o->aff_known = o->block_known = ABSENT;
	c->cidr = *cidr;
	c->step = CLAIM_WRITE;
	c->mixed_sizes = sees_other_sizes(s, p);
}

/* One that is just being given back is better than a new one. */
static bool take_back(struct sync *s, struct claim *c)
{
	for (unsigned i = 0; i < s->nown; i++) {
		struct own *o = s->own[i];
		const struct sync_pool *p = pool_of(s, &o->cidr);

		if (!o->releasing || !p || !claim_may_use(c, p))
			continue;
		o->releasing = false;
		o->want = true;
		c->cidr = o->cidr;
		c->step = CLAIM_WRITE;
		return true;
	}
	return false;
}

static unsigned owned(const struct sync *s, enum family fam)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->nown; i++)
		n += s->own[i]->want && s->own[i]->cidr.addr.fam == fam;
	return n;
}

static unsigned max_blocks(const struct sync *s)
{
	return s->set.max_blocks_per_host ? s->set.max_blocks_per_host : SYNC_DEFAULT_MAX_BLOCKS;
}

/* ---- the API's word ---- */

/* When no block is free: one that nobody owns and that is empty, or one that is ours and that no
 * affinity told of. */
static void got_blocks(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct claim *c = obj;

	c->call = 0;
	if (r->result != IPAMOBJ_OK)
		return;
	for (uint32_t i = 0; i < r->n; i++) {
		const struct ipamobj_block *b = r->objects[i];
		const struct sync_pool *p = pool_of(s, &b->cidr);
		bool us = obj_is_host(b->affinity, s->node);

		if (!p || !claim_may_use(c, p) || b->deleted || own_find(s, &b->cidr) ||
		    (b->affinity[0] && !us) || (!us && !obj_block_empty(b)))
			continue;
		claim_block(s, c, &b->cidr, p);
		own_set_block(s, own_find(s, &b->cidr), b, false);
		return;
	}
	claim_fail(s, c, SYNC_POOL_FULL,
		   c->has_pool ? "every block of the pool is taken"
			       : "every block of the pools that this node may use is taken");
}

static void got_names(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct claim *c = obj;

	c->call = 0;
	if (r->result == IPAMOBJ_OK)
		took_names(s, r);
	else if (r->result == IPAMOBJ_REFUSED)
		claim_fail(s, c, SYNC_CLAIM_REFUSED, r->why ? r->why : "");
}

/* Blocks of another size lie in this pool (it was made anew with another blockSize): a node that
 * still knows the old size may claim over ours, and names differ, so no conflict would tell.
 * Whoever sees the other before its claim is confirmed yields. */
static void got_verify(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct sync *s = engine;
	struct claim *c = obj;
	struct own *o = own_find(s, &c->cidr);

	c->call = 0;
	if (r->result != IPAMOBJ_OK || c->step != CLAIM_VERIFY || !o)
		return;
	c->mixed_sizes = false;
	c->step = CLAIM_WRITE;
	for (uint32_t i = 0; i < r->n; i++) {
		const struct ipamobj_meta *m = r->objects[i];
		struct prefix p;

		if (!obj_name_to_cidr(m->name, &p) || prefix_eq(&p, &o->cidr) ||
		    !prefix_overlaps(&p, &o->cidr))
			continue;
		o->want = false;
		claim_again(s, c);
		return;
	}
}

bool claim_verifying(struct sync *s, const struct own *o)
{
	for (unsigned i = 0; i < 2; i++) {
		struct claim *c = &s->claims[i];

		if ((c->step != CLAIM_WRITE && c->step != CLAIM_VERIFY) || !c->mixed_sizes ||
		    !prefix_eq(&c->cidr, &o->cidr))
			continue;
		if (c->step == CLAIM_WRITE) {
			c->step = CLAIM_VERIFY;
			later(s, s->now.ms);
		}
		return true;
	}
	return false;
}

static void list_blocks(struct sync *s, struct claim *c, bool whole,
			void (*done)(void *, void *, const struct ipamobj_reply *))
{
	struct ipamobj_request r = { .verb = whole ? IPAMOBJ_LIST : IPAMOBJ_NAMES,
				     .kind = IPAMOBJ_BLOCK,
				     .label_selector = "" };

	c->call = send_request(s, &r, done, c);
}

/* ---- steps ---- */

static void pick(struct sync *s, struct claim *c)
{
	struct prefix cidr;
	bool any = false;

	if (take_back(s, c))
		return;
	if (owned(s, c->fam) >= max_blocks(s)) {
		claim_fail(s, c, SYNC_MAX_BLOCKS,
			   "this node has as many blocks as maxBlocksPerHost "
			   "of the IPAMConfig allows");
		return;
	}
	for (unsigned i = 0; i < s->npools; i++) {
		if (!claim_may_use(c, &s->pools[i]))
			continue;
		any = true;
		if (!choose_in(s, c, &s->pools[i], &cidr))
			continue;
		claim_block(s, c, &cidr, &s->pools[i]);
		return;
	}
	if (any) {
		c->step = CLAIM_BLOCKS;
		return;
	}
	claim_fail(s, c, SYNC_NO_POOL,
		   c->has_pool ? "no such pool is enabled"
			       : "no enabled pool of this family may be used on this node");
}

/* Once for each hold, and not for a single busy answer. */
static void tell_away(struct sync *s, struct claim *c)
{
	if (s->gate.fails < AWAY_FAILS || s->now.ms >= s->gate.hold_until ||
	    c->away_told == s->gate.hold_until)
		return;
	c->away_told = s->gate.hold_until;
	tell_wants(s, c, SYNC_CLAIM_AWAY, "the API cannot be reached");
}

static void step_claim(struct sync *s, struct claim *c)
{
	if (c->step == CLAIM_WRITE && !own_find(s, &c->cidr))
		claim_again(s, c);
	if (c->step != CLAIM_IDLE)
		tell_away(s, c);
	if (c->call || c->step == CLAIM_IDLE || c->step == CLAIM_WRITE)
		return;
	if (s->now.ms < c->retry_at) {
		later(s, c->retry_at);
		return;
	}
	if (c->step == CLAIM_NAMES && s->names_at && s->now.ms < s->names_at + NAMES_FRESH) {
		pick(s, c);
		if (c->step != CLAIM_BLOCKS)
			return;
	}
	if (!gate_open(&s->gate, s->now.ms, &s->wake))
		return;
	if (c->step == CLAIM_VERIFY)
		list_blocks(s, c, false, got_verify);
	else if (c->step == CLAIM_BLOCKS)
		list_blocks(s, c, true, got_blocks);
	else if (!s->claims[0].call && !s->claims[1].call)
		list_blocks(s, c, false, got_names);
}

static bool family_is_low(const struct sync *s, enum family fam)
{
	uint64_t free_now = 0;
	bool pool = false;

	for (unsigned i = 0; i < s->npools; i++)
		pool |= s->pools[i].use == SYNC_POOL_AUTO && s->pools[i].cidr.addr.fam == fam;
	if (!pool || !s->set.auto_allocate_blocks)
		return false;
	for (unsigned i = 0; i < s->nown; i++) {
		const struct own *o = s->own[i];
		const struct ipam_block_use *u = usage_of(s, o);
		const struct sync_pool *p = pool_of(s, &o->cidr);

		if (o->cidr.addr.fam != fam || !o->want || !p || p->use != SYNC_POOL_AUTO)
			continue;
		/* One that is still on its way counts as it will be. */
		free_now += u && u->ours ? u->free : prefix_size(&o->cidr);
	}
	return free_now < SYNC_WATERMARK;
}

static const struct want *first_want(const struct sync *s, enum family fam)
{
	for (unsigned i = 0; i < s->nwants; i++)
		if (s->wants[i].fam == fam)
			return &s->wants[i];
	return NULL;
}

static void begin_claim(struct sync *s, struct claim *c)
{
	const struct want *w = first_want(s, c->fam);

	if (!w) {
		if (!family_is_low(s, c->fam))
			return;
		if (s->now.ms < c->retry_at) {
			later(s, c->retry_at);
			return;
		}
	}
	c->has_pool = w && w->has_pool;
	if (w)
		c->pool = w->pool;
	if (w && c->failed_at && s->now.ms + 1 < c->failed_at + CLAIM_TELL &&
	    same_want(w, &c->failed)) {
		tell_wants(s, c, c->last, c->last_why);
		return;
	}
	c->step = CLAIM_NAMES;
	c->tries = 0;
	c->retry_at = 0;
}

void step_claims(struct sync *s)
{
	if (!s->listed || s->suspended)
		return;
	for (unsigned i = 0; i < 2; i++) {
		struct claim *c = &s->claims[i];

		if (c->step == CLAIM_IDLE)
			begin_claim(s, c);
		step_claim(s, c);
	}
}
