#include "config.h"

#include "test/unit/sync_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/sync_obj.h"

/* ---- the Calico node ---- */

struct calico_op {
	struct world *w;
	struct wpod *pod;
	unsigned step, tries;
	bool release;
	struct ipamobj_block *block;
	struct arena arena;
	char block_name[IPAMOBJ_NAME];
};

struct pick {
	struct world *w;
	unsigned n;
	const struct ipamobj_block *b;
};

static void pick_block(void *arg, struct sim_obj *o)
{
	struct pick *p = arg;
	const struct ipamobj_block *b = o->obj;

	if (strncmp(b->affinity, "host:", 5) == 0 && !b->deleted && b->nunallocated > 0 &&
	    sim_random(&p->w->sim, ++p->n) == 0)
		p->b = b;
}

static void calico_end(struct calico_op *op, bool done)
{
	if (!done && !op->release)
		op->pod->state = POD_NONE;
	arena_free(&op->arena);
	free(op);
}

static struct ipamobj_reply calico_do(struct calico_op *op, enum ipamobj_verb verb,
				      enum ipamobj_kind kind, const void *obj,
				      const struct ipamobj_meta *m)
{
	struct ipamobj_request r = { .verb = verb, .kind = kind, .object = obj };

	if (m) {
		r.name = m->name;
		r.uid = m->uid;
		r.resource_version = m->resource_version;
	}
	return sim_apply(&op->w->sim, &r, &op->arena);
}

static bool calico_read(struct calico_op *op)
{
	const struct ipamobj_meta m = { op->block_name, "", "", "", 0 };
	struct ipamobj_reply r = calico_do(op, IPAMOBJ_GET, IPAMOBJ_BLOCK, NULL, &m);

	if (r.result != IPAMOBJ_OK)
		return false;
	op->block = obj_edit_block(&op->arena, r.objects[0]);
	return !op->block->deleted;
}

static void calico_handle(struct calico_op *op, bool create)
{
	char name[IPAMOBJ_NAME];
	struct ipamobj_handle_block hb = { .cidr = op->block->cidr, .count = 1 };
	struct ipamobj_handle h = {
		.meta = { ipamobj_handle_name(op->pod->handle, name), "", "", "", 0 },
		.handle_id = op->pod->handle,
		.nblocks = 1,
		.blocks = &hb,
	};

	if (create)
		calico_do(op, IPAMOBJ_CREATE, IPAMOBJ_HANDLE, &h, NULL);
	else
		calico_do(op, IPAMOBJ_DELETE, IPAMOBJ_HANDLE, NULL, &h.meta);
}

static void calico_write(struct calico_op *op)
{
	struct ipamobj_kv *node = arena_alloc(&op->arena, sizeof(*node));
	struct ipamobj_attr at = { op->pod->handle, 1, node, "", "" };
	struct ipamobj_block *b = op->block;

	*node = (struct ipamobj_kv){ "node", WORLD_CALICO };
	if (op->release) {
		uint32_t i = (uint32_t)prefix_offset(&b->cidr, &op->pod->addrs[0]);
		const struct ipamobj_attr *is = obj_attr(b, i);

		if (!is || strcmp(is->handle_id, op->pod->handle) != 0)
			return;
		obj_free_ordinal(b, i);
	} else {
		op->pod->addrs[0] = addr_add(&b->cidr.addr, b->unallocated[0]);
		op->pod->naddrs = 1;
		obj_take_ordinal(b, b->unallocated[0], &at);
	}
	b->sequence++;
}

/* Read, then later compare-and-swap; a conflict reads again. */
static void calico_step(void *arg)
{
	struct calico_op *op = arg;
	struct world *w = op->w;

	if (op->step++ % 2 == 0) {
		if (!calico_read(op) || (!op->release && op->block->nunallocated == 0)) {
			calico_end(op, false);
			return;
		}
		if (!op->release && op->step == 1)
			calico_handle(op, true);
		sim_after(&w->sim, 1 + sim_random(&w->sim, 30), calico_step, op);
		return;
	}
	calico_write(op);
	struct ipamobj_reply r = calico_do(op, IPAMOBJ_UPDATE, IPAMOBJ_BLOCK, op->block, NULL);
	if (r.result == IPAMOBJ_OK) {
		if (op->release) {
			calico_handle(op, false);
		} else {
			op->pod->state = POD_LIVE;
			world_check_addresses(w);
		}
		calico_end(op, true);
		return;
	}
	sim_after(&w->sim, 1 + sim_random(&w->sim, 30), calico_step, op);
}

void world_calico_add(struct world *w)
{
	struct pick pick = { w, 0, NULL };
	struct wpod *p;
	struct calico_op *op;

	sim_each(&w->sim, IPAMOBJ_BLOCK, pick_block, &pick);
	if (!pick.b || !(p = world_new_pod(w, -1)))
		return;
	p->state = POD_SETTLES;
	op = calloc(1, sizeof(*op));
	op->w = w;
	op->pod = p;
	ipamobj_block_name(&pick.b->cidr, op->block_name);
	calico_step(op);
}

/* The container is gone first; then Calico's CNI releases. */
void world_calico_del(struct world *w, struct wpod *p)
{
	struct calico_op *op = calloc(1, sizeof(*op));
	struct prefix host = prefix_host(&p->addrs[0]), block;

	op->w = w;
	op->release = true;
	op->pod = arena_alloc(&op->arena, sizeof(*p));
	*op->pod = *p;
	p->state = POD_NONE;
	host.len = w->pools[0].block_size;
	block = prefix_mask(&host);
	ipamobj_block_name(&block, op->block_name);
	calico_step(op);
}
