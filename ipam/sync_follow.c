#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ipam/sync_impl.h"

#define WINDOWS_HANDLE "windows-reserved-ipam-handle"

enum alloc { ALLOC_FREE, ALLOC_OURS, ALLOC_GONE, ALLOC_FOREIGN };

static struct addr addr_of(const struct own *o, uint32_t ordinal)
{
	return addr_add(&o->cidr.addr, ordinal);
}

static struct sync_alloc alloc_of(const struct own *o, uint32_t ordinal,
				  const struct ipamobj_attr *at)
{
	return (struct sync_alloc){ addr_of(o, ordinal), at->handle_id, obj_secondary(at, "pod"),
				    obj_secondary(at, "namespace"), obj_secondary(at, "node") };
}

bool block_mentions(const struct ipamobj_block *b, const char *handle_id)
{
	for (uint32_t i = 0; i < b->nattrs; i++)
		if (strcmp(b->attrs[i].handle_id, handle_id) == 0)
			return true;
	return false;
}

void mark_gone(struct sync *s, struct own *o, uint32_t ordinal, const char *handle_id)
{
	free(o->gone[ordinal]);
	o->gone[ordinal] = xstrdup(handle_id);
	if (handle_id[0])
		handle_get(s, handle_id)->posted = true;
}

/* We have given an address that the API shows as another's. Where nobody but this node writes its
 * blocks and the other is a container of this node that is gone, it is a release that a crash kept
 * from being written. */
static bool is_leftover(struct sync *s, const struct own *o, uint32_t ordinal,
			const struct ipamobj_attr *at)
{
	struct sync_alloc al = alloc_of(o, ordinal, at);
	const struct handle *h = handle_find(s, at->handle_id);

	return !s->set.mixed && strcmp(al.node, s->node) == 0 && !obj_secondary(at, "type")[0] &&
	       (!h || h->leases == 0) && !s->ops->alive(s->arg, &al);
}

static enum alloc classify(struct sync *s, struct own *o, uint32_t i, struct held *l)
{
	const struct ipamobj_attr *at = obj_attr(o->block, i);

	if (!at)
		return ALLOC_FREE;
	if (l && strcmp(at->handle_id, l->handle->id) == 0)
		return ALLOC_OURS;
	if (o->gone[i] && strcmp(at->handle_id, o->gone[i]) == 0)
		return ALLOC_GONE;
	if (l && is_leftover(s, o, i, at)) {
		mark_gone(s, o, i, at->handle_id);
		return ALLOC_GONE;
	}
	return ALLOC_FOREIGN;
}

static void set_foreign(struct sync *s, struct own *o, uint32_t i, bool foreign)
{
	if (o->foreign[i] == foreign)
		return;
	o->foreign[i] = foreign;
	o->leak_since[i] = 0;
	say_foreign(s, o, i, foreign);
}

static void settle_lease(struct sync *s, struct held *l, enum alloc was)
{
	if (!l->settling || was == ALLOC_FREE || was == ALLOC_GONE)
		return;
	l->settling = false;
	l->lost = was != ALLOC_OURS;
	say_settled(s, &l->addr, was == ALLOC_OURS ? SYNC_SETTLED : SYNC_LOST);
}

static void say_conflict(struct sync *s, struct own *o, uint32_t i, struct held *l)
{
	char text[ADDR_STRLEN];
	const struct ipamobj_attr *at = obj_attr(o->block, i);

	if (l->conflict)
		return;
	l->conflict = true;
	addr_format(&l->addr, text, sizeof(text));
	say_problem(
		s, SYNC_CONFLICT, text,
		"address %s is in use here by %s/%s (%s), but the API gives it to %s/%s on node "
		"%s (%s): delete one of the two pods",
		text, l->namespace_, l->pod, l->handle->id, obj_secondary(at, "namespace"),
		obj_secondary(at, "pod"), obj_secondary(at, "node"), at->handle_id);
}

static void compare_lease(struct sync *s, struct own *o, uint32_t i, struct held *l, enum alloc is)
{
	settle_lease(s, l, is);
	if (is != ALLOC_FOREIGN)
		l->conflict = false;
	else if (!l->lost)
		say_conflict(s, o, i, l);
}

struct due {
	bool edits, waits, settling;
};

/* Compares the copy with the leases, tells the owner what is others', and says what is to be
 * written. b: the edits are made in it; NULL: only looked for. */
static struct due compare(struct sync *s, struct own *o, struct arena *a, struct ipamobj_block *b)
{
	struct due due = { 0 };

	for (uint32_t i = 0; i < o->block->size; i++) {
		struct addr addr = addr_of(o, i);
		struct held *l = held_find(s, &addr);
		enum alloc is = classify(s, o, i, l);

		set_foreign(s, o, i, is == ALLOC_FOREIGN);
		if (l)
			compare_lease(s, o, i, l, is);
		if (is == ALLOC_GONE) {
			due.edits = true;
			if (b)
				obj_free_ordinal(b, i);
		}
		if (!l || (is != ALLOC_FREE && is != ALLOC_GONE))
			continue;
		due.settling |= l->settling;
		if (!handle_ready(s, l->handle, &o->cidr)) {
			due.waits = true;
			continue;
		}
		due.edits = true;
		if (!b)
			continue;
		struct ipamobj_attr at = { l->handle->id, 0, NULL, "", "" };
		at.secondary = arena_array(a, 4, sizeof(*at.secondary));
		if (l->pod[0]) {
			at.secondary[at.nsecondary++] = (struct ipamobj_kv){ "pod", l->pod };
			at.secondary[at.nsecondary++] =
				(struct ipamobj_kv){ "namespace", l->namespace_ };
		}
		at.secondary[at.nsecondary++] = (struct ipamobj_kv){ "node", s->node };
		at.secondary[at.nsecondary++] =
			(struct ipamobj_kv){ "timestamp", obj_timestamp(a, l->since) };
		obj_take_ordinal(b, i, &at);
	}
	return due;
}

void follow_soon(struct sync *s, struct own *o, bool now)
{
	if (!o->dirty || o->put_at <= s->now.ms)
		o->put_at = s->now.ms + SYNC_COALESCE + gate_random(&s->gate, SYNC_COALESCE_JITTER);
	o->dirty = true;
	if (now)
		o->put_at = s->now.ms;
	later(s, o->put_at);
}

/* What the copy does not show need not be freed; nothing is under way that could show it. */
static void forget_gone(struct own *o)
{
	for (uint32_t i = 0; i < o->block->size; i++) {
		const struct ipamobj_attr *at = obj_attr(o->block, i);

		if (!o->gone[i] || (at && strcmp(at->handle_id, o->gone[i]) == 0))
			continue;
		free(o->gone[i]);
		o->gone[i] = NULL;
	}
}

void own_set_block(struct sync *s, struct own *o, const struct ipamobj_block *b, bool written)
{
	char text[PREFIX_STRLEN];

	arena_reset(&o->block_arena);
	o->block = obj_copy_block(&o->block_arena, b);
	o->block_known = PRESENT;
	o->written = written;
	o->tries = 0;
	if (!obj_block_sane(o->block)) {
		if (!o->told)
			say_problem(
				s, SYNC_REFUSED, prefix_format(&o->cidr, text, sizeof(text)),
				"block %s in the API contradicts itself (an index or ordinal out "
				"of range): it is left alone and nothing is given from it; repair "
				"or delete the IPAMBlock",
				text);
		o->told = true;
		o->dirty = false;
		return;
	}
	if (own_owner(s, o) != OWNER_US)
		return;
	struct due due = compare(s, o, NULL, NULL);
	forget_gone(o);
	o->dirty = false;
	if (due.edits || due.waits)
		follow_soon(s, o, due.settling);
}

void follow(struct sync *s, struct own *o)
{
	if (!o->dirty || !obj_block_sane(o->block))
		return;
	if (s->now.ms < o->put_at) {
		later(s, o->put_at);
		return;
	}
	struct due due = compare(s, o, NULL, NULL);
	if (!due.edits) {
		forget_gone(o);
		/* What waits for a handle is called again by it. */
		o->dirty = due.waits;
		return;
	}
	struct arena a = { 0 };
	struct ipamobj_block *b = obj_edit_block(&a, o->block);
	compare(s, o, &a, b);
	b->sequence++;
	own_put_block(s, o, b);
	arena_free(&a);
}

void lose_settling(struct sync *s, const struct own *o)
{
	for (uint64_t i = 0; i < prefix_size(&o->cidr); i++) {
		struct addr a = addr_add(&o->cidr.addr, i);
		struct held *l = held_find(s, &a);

		if (l && l->settling)
			settle_lease(s, l, ALLOC_FOREIGN);
	}
}

/* ---- what leaked ---- */

static bool may_have_leaked(const struct sync *s, const struct ipamobj_attr *at)
{
	/* Calico keeps a released address for its cool-down; then anybody may free it. */
	uint64_t released = at->released_at[0] ? obj_parse_rfc3339(at->released_at) : 0;

	if (released)
		return s->now.unix_ns / 1000000000 >= released + SYNC_RELEASED_AGE;
	return at->handle_id[0] && strcmp(at->handle_id, WINDOWS_HANDLE) != 0 &&
	       !obj_secondary(at, "type")[0] && strcmp(obj_secondary(at, "node"), s->node) == 0;
}

static void observe(struct sync *s, struct own *o, uint32_t i, const struct ipamobj_attr *at)
{
	struct sync_alloc al = alloc_of(o, i, at);
	uint32_t hash = obj_hash(at->handle_id) ^ obj_hash(at->released_at);

	if (s->ops->alive(s->arg, &al)) {
		o->leak_since[i] = 0;
		return;
	}
	if (o->leak_since[i] == 0 || o->leak_hash[i] != hash) {
		o->leak_since[i] = s->now.ms + 1;
		o->leak_hash[i] = hash;
		return;
	}
	if (s->now.ms + 1 - o->leak_since[i] < SYNC_LEAK_AGE)
		return;
	/* Written as a compare-and-swap upon the very version that was observed. */
	o->leak_since[i] = 0;
	mark_gone(s, o, i, at->handle_id);
	follow_soon(s, o, false);
}

void scan_leaks(struct sync *s, struct own *o)
{
	if (s->now.ms < o->leak_scan_at) {
		later(s, o->leak_scan_at);
		return;
	}
	o->leak_scan_at = s->now.ms + SYNC_LEAK_SCAN;
	later(s, o->leak_scan_at);
	if (o->block_known != PRESENT || !o->ours || o->doubt || !obj_block_sane(o->block) ||
	    own_owner(s, o) != OWNER_US)
		return;
	for (uint32_t i = 0; i < o->block->size; i++) {
		const struct ipamobj_attr *at = obj_attr(o->block, i);
		struct addr a = addr_of(o, i);

		if (at && o->foreign[i] && !held_find(s, &a) && may_have_leaked(s, at))
			observe(s, o, i, at);
		else
			o->leak_since[i] = 0;
	}
}

static void observe_lease(struct sync *s, struct held *l)
{
	struct sync_alloc al = { l->addr, l->handle->id, l->pod, l->namespace_, s->node };
	char text[ADDR_STRLEN];

	if (s->now.unix_ns / 1000000000 < l->since + SYNC_LEAK_AGE / 1000 || l->settling ||
	    s->ops->alive(s->arg, &al)) {
		l->stale_since = 0;
		return;
	}
	if (!l->stale_since)
		l->stale_since = s->now.ms + 1;
	if (l->stale_told || s->now.ms + 1 - l->stale_since < SYNC_LEAK_AGE)
		return;
	l->stale_told = true;
	addr_format(&l->addr, text, sizeof(text));
	say_problem(s, SYNC_STALE_LEASE, text,
		    "address %s is held by %s/%s (%s), which has neither a pod nor a link any more",
		    text, l->namespace_, l->pod, l->handle->id);
}

void scan_leases(struct sync *s)
{
	if (s->now.ms < s->leases_scan_at) {
		later(s, s->leases_scan_at);
		return;
	}
	s->leases_scan_at = s->now.ms + SYNC_LEAK_SCAN;
	later(s, s->leases_scan_at);
	for (unsigned i = 0; i < HELD_BUCKETS; i++)
		for (struct held *l = s->held[i]; l; l = l->next)
			observe_lease(s, l);
}

/* ---- giving empty blocks back ---- */

static bool is_empty(const struct sync *s, const struct own *o)
{
	const struct ipam_block_use *u = usage_of(s, o);

	return o->want && o->ours && !o->doubt && !o->dirty && !o->call &&
	       o->block_known == PRESENT && obj_block_empty(o->block) &&
	       (!u || (u->used == 0 && u->cooling == 0)) && !own_has_leases(s, o);
}

static bool is_needed(const struct sync *s, const struct own *o)
{
	const struct sync_pool *p = pool_of(s, &o->cidr);
	uint64_t rest = 0;
	unsigned same_pool = 0;

	if (!p || p->use == SYNC_POOL_CLOSED)
		return false;
	for (unsigned i = 0; i < s->nown; i++) {
		const struct own *x = s->own[i];
		const struct ipam_block_use *u = usage_of(s, x);

		if (x == o || !x->want || !x->ours || x->cidr.addr.fam != o->cidr.addr.fam)
			continue;
		rest += u ? u->free : prefix_size(&x->cidr);
		same_pool += prefix_covers(&p->cidr, &x->cidr);
	}
	return p->use == SYNC_POOL_AUTO && (same_pool == 0 || rest < SYNC_WATERMARK);
}

void maybe_release(struct sync *s, struct own *o)
{
	/* While the Node is gone, its blocks are the collector's to take. */
	if (s->suspended || !is_empty(s, o)) {
		o->empty_since = 0;
		return;
	}
	if (!o->empty_since)
		o->empty_since = s->now.ms + 1;
	if (s->now.ms + 1 < o->empty_since + SYNC_EMPTY_AGE) {
		later(s, o->empty_since + SYNC_EMPTY_AGE);
		return;
	}
	if (is_needed(s, o)) {
		later(s, s->now.ms + SYNC_LEAK_SCAN);
		return;
	}
	o->want = false;
	o->releasing = true;
	o->empty_since = 0;
	say_blocks(s);
}
