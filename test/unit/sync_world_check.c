#include "config.h"

#include "test/unit/sync_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/sync_obj.h"

/* ---- invariants ---- */

static bool is_answered(const struct wpod *p)
{
	return p->state == POD_LIVE;
}

void world_check_addresses(struct world *w)
{
	char text[ADDR_STRLEN];

	for (unsigned i = 0; i < WORLD_PODS; i++)
		for (unsigned k = i + 1; k < WORLD_PODS && is_answered(&w->pods[i]); k++)
			for (unsigned x = 0; x < 4 && is_answered(&w->pods[k]); x++) {
				const struct wpod *p = &w->pods[i], *q = &w->pods[k];

				if (x / 2 >= p->naddrs || x % 2 >= q->naddrs ||
				    !addr_eq(&p->addrs[x / 2], &q->addrs[x % 2]))
					continue;
				world_breaks(
					w,
					"address %s has two owners: %s on node %d, %s on node %d",
					addr_format(&p->addrs[x / 2], text, sizeof(text)), p->name,
					p->node, q->name, q->node);
			}
}

void world_check_blocks(struct world *w)
{
	struct sync_block b, c;
	char text[PREFIX_STRLEN];

	for (unsigned i = 0; i < w->conf.nodes; i++)
		for (unsigned k = i + 1; k < w->conf.nodes; k++) {
			const struct sync *s = w->nodes[i].sync, *t = w->nodes[k].sync;

			for (unsigned x = 0; s && t && x < sync_block_count(s); x++)
				for (unsigned y = 0; y < sync_block_count(t); y++) {
					sync_block_at(s, x, &b);
					sync_block_at(t, y, &c);
					if (b.allocate && c.allocate &&
					    prefix_overlaps(&b.cidr, &c.cidr))
						world_breaks(
							w, "block %s is given from by two nodes",
							prefix_format(&b.cidr, text, sizeof(text)));
				}
		}
}

struct confirmed {
	struct world *w;
	const struct ipamobj_affinity *f;
};

static void check_other_affinity(void *arg, struct sim_obj *o)
{
	struct confirmed *c = arg;
	const struct ipamobj_affinity *f = o->obj;
	char text[PREFIX_STRLEN];

	if (f == c->f || f->deleted || f->state != IPAMOBJ_CONFIRMED ||
	    !prefix_overlaps(&f->cidr, &c->f->cidr))
		return;
	world_breaks(c->w, "block %s has two confirmed owners, %s and %s",
		     prefix_format(&f->cidr, text, sizeof(text)), f->node, c->f->node);
}

static void check_affinity(void *arg, struct sim_obj *o)
{
	struct world *w = arg;
	struct confirmed c = { w, o->obj };

	if (!c.f->deleted && c.f->state == IPAMOBJ_CONFIRMED)
		sim_each(&w->sim, IPAMOBJ_AFFINITY, check_other_affinity, &c);
}

/* After each write: the block's lists agree, no two blocks overlap, one confirmed owner each. */
static void check_other_block(void *arg, struct sim_obj *o)
{
	struct confirmed *c = arg;
	const struct ipamobj_block *b = o->obj, *x = (const void *)c->f;
	char text[PREFIX_STRLEN];

	if (b != x && prefix_overlaps(&b->cidr, &x->cidr))
		world_breaks(c->w, "block %s overlaps another",
			     prefix_format(&b->cidr, text, sizeof(text)));
}

struct mention {
	struct world *w;
	const char *name;
};

static void check_mention(void *arg, struct sim_obj *o)
{
	const struct mention *m = arg;
	const struct ipamobj_block *b = o->obj;
	char name[IPAMOBJ_NAME];

	for (uint32_t i = 0; i < b->nattrs; i++)
		if (strcmp(ipamobj_handle_name(b->attrs[i].handle_id, name), m->name) == 0)
			world_breaks(m->w, "handle %s was deleted while block %s mentions it",
				     m->name, o->name);
}

/* A handle is there before a block mentions it and for as long as one does. What lands late, after
 * its writer has gone on, may break this for a while. */
static void check_handles(struct world *w, const struct ipamobj_block *b)
{
	char name[IPAMOBJ_NAME];

	for (uint32_t i = 0; i < b->nattrs; i++)
		if (!sim_get(&w->sim, IPAMOBJ_HANDLE,
			     ipamobj_handle_name(b->attrs[i].handle_id, name)))
			world_breaks(
				w, "a block was written that mentions handle %s, which is missing",
				name);
}

static void return_node(void *arg)
{
	struct wnode *n = arg;

	if (!n->present)
		world_node_toggle(n->w, n);
}

/* The collector has just begun to take a dead node's block: a node that comes back right now is
 * what its order of steps is for. */
static void marked(struct world *w, const struct ipamobj_affinity *f)
{
	for (unsigned i = 0; i < w->conf.nodes; i++)
		if (!w->nodes[i].present && strcmp(w->nodes[i].name, f->node) == 0 &&
		    sim_chance(&w->sim, 400))
			sim_after(&w->sim, sim_random(&w->sim, 100), return_node, &w->nodes[i]);
}

void world_wrote(void *arg, const struct ipamobj_request *r)
{
	struct world *w = arg;
	char text[PREFIX_STRLEN];
	bool late = w->conf.faults.late;

	if (r->verb == IPAMOBJ_DELETE && r->kind == IPAMOBJ_HANDLE && !late) {
		struct mention m = { w, r->name };

		sim_each(&w->sim, IPAMOBJ_BLOCK, check_mention, &m);
	}
	if (r->verb == IPAMOBJ_DELETE || r->kind == IPAMOBJ_HANDLE)
		return;
	if (r->kind == IPAMOBJ_AFFINITY) {
		const struct ipamobj_affinity *f = r->object;

		if (f->state == IPAMOBJ_CONFIRMED)
			sim_each(&w->sim, IPAMOBJ_AFFINITY, check_affinity, w);
		if (f->state == IPAMOBJ_PENDING_DELETION && !w->quiet)
			marked(w, f);
		return;
	}
	const struct ipamobj_block *b = sim_get(
		&w->sim, IPAMOBJ_BLOCK, ((const struct ipamobj_block *)r->object)->meta.name);
	if (!late)
		check_handles(w, b);
	if (!obj_block_sane(b))
		world_breaks(w, "block %s contradicts itself",
			     prefix_format(&b->cidr, text, sizeof(text)));
	uint32_t used = 0;
	for (uint32_t i = 0; i < b->size; i++)
		used += b->allocations[i] >= 0;
	if (used + b->nunallocated != b->size)
		world_breaks(w, "block %s: %u allocated and %u unallocated of %u",
			     prefix_format(&b->cidr, text, sizeof(text)), used, b->nunallocated,
			     b->size);
	if (r->verb == IPAMOBJ_CREATE) {
		struct confirmed c = { w, (const void *)b };

		sim_each(&w->sim, IPAMOBJ_BLOCK, check_other_block, &c);
	}
}

/* ---- at the end ---- */

static struct wpod *pod_of_handle(struct world *w, const char *handle)
{
	for (unsigned i = 0; i < WORLD_PODS; i++)
		if (w->pods[i].state == POD_LIVE && strcmp(w->pods[i].handle, handle) == 0)
			return &w->pods[i];
	return NULL;
}

static void end_block(void *arg, struct sim_obj *o)
{
	struct world *w = arg;
	const struct ipamobj_block *b = o->obj;
	char name[IPAMOBJ_NAME], text[ADDR_STRLEN];

	if (b->deleted || !b->affinity[0])
		world_breaks(w, "block %s is left without an owner", o->name);
	const struct ipamobj_affinity *f = sim_get(
		&w->sim, IPAMOBJ_AFFINITY,
		ipamobj_affinity_name(b->affinity[0] ? b->affinity + 5 : "", &b->cidr, name));
	/* A dead node's block stays while somebody borrows from it. */
	bool dead = false;
	for (unsigned i = 0; i < w->conf.nodes; i++)
		dead |= !w->nodes[i].present && obj_is_host(b->affinity, w->nodes[i].name);
	if (dead && obj_block_empty(b))
		world_breaks(w, "block %s of %s, which is gone, was not collected", o->name,
			     b->affinity);
	if (!dead && (!f || f->deleted || f->state != IPAMOBJ_CONFIRMED))
		world_breaks(w, "block %s of %s has no confirmed affinity (state %d)", o->name,
			     b->affinity, f ? f->state : -1);
	for (uint32_t i = 0; i < b->size; i++) {
		const struct ipamobj_attr *at = obj_attr(b, i);
		struct addr a = addr_add(&b->cidr.addr, i);
		const struct wpod *p = at ? pod_of_handle(w, at->handle_id) : NULL;
		bool its = false;

		if (!at)
			continue;
		for (unsigned k = 0; p && k < p->naddrs; k++)
			its |= addr_eq(&p->addrs[k], &a);
		if (!its)
			world_breaks(w, "address %s leaked: %s holds it",
				     addr_format(&a, text, sizeof(text)), at->handle_id);
		if (!sim_get(&w->sim, IPAMOBJ_HANDLE, ipamobj_handle_name(at->handle_id, name)))
			world_breaks(w, "handle %s is missing", at->handle_id);
	}
}

static void end_affinity(void *arg, struct sim_obj *o)
{
	struct world *w = arg;
	const struct ipamobj_affinity *f = o->obj;
	char name[IPAMOBJ_NAME];
	const struct ipamobj_block *b =
		sim_get(&w->sim, IPAMOBJ_BLOCK, ipamobj_block_name(&f->cidr, name));

	if (!b || !obj_is_host(b->affinity, f->node))
		world_breaks(w, "affinity %s is left without its block (state %d)", o->name,
			     f->state);
}

static void end_handle(void *arg, struct sim_obj *o)
{
	struct world *w = arg;
	const struct ipamobj_handle *h = o->obj;

	if (!pod_of_handle(w, h->handle_id))
		world_breaks(w, "handle %s leaked", o->name);
}

static void end_pods(struct world *w)
{
	char name[IPAMOBJ_NAME], text[ADDR_STRLEN];

	for (unsigned i = 0; i < WORLD_PODS; i++) {
		const struct wpod *p = &w->pods[i];

		if (p->state == POD_WAITS || p->state == POD_SETTLES)
			world_breaks(w, "%s on node %d waits for ever", p->name, p->node);
		for (unsigned k = 0; p->state == POD_LIVE && k < p->naddrs; k++) {
			struct prefix host = prefix_host(&p->addrs[k]), cidr;

			for (unsigned x = 0; x < w->npools; x++)
				if (prefix_contains(&w->pools[x].cidr, &p->addrs[k]))
					host.len = (uint8_t)w->pools[x].block_size;
			cidr = prefix_mask(&host);
			const struct ipamobj_block *b =
				sim_get(&w->sim, IPAMOBJ_BLOCK, ipamobj_block_name(&cidr, name));
			const struct ipamobj_attr *at =
				b ? obj_attr(b, (uint32_t)prefix_offset(&cidr, &p->addrs[k]))
				  : NULL;
			if (!at || strcmp(at->handle_id, p->handle) != 0)
				world_breaks(w, "%s of %s is not written in its block",
					     addr_format(&p->addrs[k], text, sizeof(text)),
					     p->name);
		}
	}
}

void world_check_end(struct world *w)
{
	sim_each(&w->sim, IPAMOBJ_BLOCK, end_block, w);
	sim_each(&w->sim, IPAMOBJ_AFFINITY, end_affinity, w);
	sim_each(&w->sim, IPAMOBJ_HANDLE, end_handle, w);
	end_pods(w);
}
