#include "config.h"

#include <string.h>

#include "ipam/collect_impl.h"

static void got_affinity(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct collect *c = engine;
	struct job *j = obj;

	c->call = 0;
	j->aff_known = UNKNOWN;
	arena_reset(&j->aff_arena);
	if (r->result == IPAMOBJ_OK && r->n) {
		j->aff = obj_copy_affinity(&j->aff_arena, r->objects[0]);
		j->aff_known = PRESENT;
	} else if (r->result == IPAMOBJ_NOT_FOUND) {
		j->aff_known = ABSENT;
	} else {
		j->tries++;
	}
}

static void got_block(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct collect *c = engine;
	struct job *j = obj;

	c->call = 0;
	j->block_known = UNKNOWN;
	arena_reset(&j->block_arena);
	if (r->result == IPAMOBJ_OK && r->n) {
		j->block = obj_copy_block(&j->block_arena, r->objects[0]);
		j->block_known = PRESENT;
	} else if (r->result == IPAMOBJ_NOT_FOUND) {
		j->block_known = ABSENT;
	} else {
		j->tries++;
	}
}

static void deleted_block(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct collect *c = engine;
	struct job *j = obj;
	char text[PREFIX_STRLEN];

	c->call = 0;
	j->block_known = UNKNOWN;
	if (r->result == IPAMOBJ_OK || r->result == IPAMOBJ_NOT_FOUND) {
		j->block_known = ABSENT;
		collect_say(c, "block %s of node %s, which is gone, was deleted",
			    prefix_format(&j->cidr, text, sizeof(text)), j->node);
	} else {
		j->tries++;
	}
}

static void deleted_affinity(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct collect *c = engine;
	struct job *j = obj;

	c->call = 0;
	j->aff_known = UNKNOWN;
	j->done = r->result == IPAMOBJ_OK || r->result == IPAMOBJ_NOT_FOUND;
	j->tries += !j->done;
}

static void deleted_handle(void *engine, void *obj, const struct ipamobj_reply *r)
{
	struct collect *c = engine;
	struct job *j = obj;

	c->call = 0;
	/* After a conflict or without an answer the next cycle looks again. */
	j->done = r->result != IPAMOBJ_AWAY && r->result != IPAMOBJ_BUSY;
	j->tries += !j->done;
	if (r->result == IPAMOBJ_OK)
		collect_say(c, "handle %s, which no block mentioned, was deleted", j->name);
}

static void get(struct collect *c, struct job *j, enum ipamobj_kind kind)
{
	char name[IPAMOBJ_NAME];
	struct ipamobj_request r = { .verb = IPAMOBJ_GET, .kind = kind };

	r.name = kind == IPAMOBJ_BLOCK ? ipamobj_block_name(&j->cidr, name)
				       : ipamobj_affinity_name(j->node, &j->cidr, name);
	collect_send(c, &r, kind == IPAMOBJ_BLOCK ? got_block : got_affinity, j);
}

static void delete_object(struct collect *c, struct job *j, enum ipamobj_kind kind,
			  const char *name, const char *uid, const char *version,
			  void (*done)(void *, void *, const struct ipamobj_reply *))
{
	struct ipamobj_request r = { .verb = IPAMOBJ_DELETE,
				     .kind = kind,
				     .name = name,
				     .uid = uid,
				     .resource_version = version };

	collect_send(c, &r, done, j);
}

/* Is it still what was observed, its node still gone, and nobody there? */
static bool still_leaked(struct collect *c, const struct job *j, const struct job_free *f)
{
	const struct ipamobj_attr *at =
		f->ordinal < j->block->size ? obj_attr(j->block, f->ordinal) : NULL;
	const char *node = at ? obj_secondary(at, "node") : "";

	if (!at || strcmp(at->handle_id, f->handle_id) != 0)
		return false;
	if (!node[0])
		node = j->node;
	struct sync_alloc al = { addr_add(&j->cidr.addr, f->ordinal), at->handle_id,
				 obj_secondary(at, "pod"), obj_secondary(at, "namespace"), node };
	return node[0] && collect_is_dead(c, node) && !c->ops->alive(c->arg, &al);
}

/* true: a request was sent. */
static bool free_leaks(struct collect *c, struct job *j)
{
	struct arena a = { 0 };
	struct ipamobj_block *b = obj_edit_block(&a, j->block);
	unsigned n = 0;
	char cidr[PREFIX_STRLEN];

	for (unsigned i = 0; i < j->nfrees; i++) {
		if (!still_leaked(c, j, &j->frees[i]))
			continue;
		obj_free_ordinal(b, j->frees[i].ordinal);
		n++;
	}
	if (n) {
		struct ipamobj_request r = { .verb = IPAMOBJ_UPDATE,
					     .kind = IPAMOBJ_BLOCK,
					     .object = b };
		b->sequence++;
		collect_say(c,
			    "freeing %u addresses of pods that are gone with their node in block "
			    "%s",
			    n, prefix_format(&j->cidr, cidr, sizeof(cidr)));
		collect_send(c, &r, got_block, j);
	}
	arena_free(&a);
	return n > 0;
}

static void mark_affinity(struct collect *c, struct job *j)
{
	struct ipamobj_affinity f = *j->aff;
	struct ipamobj_request r = { .verb = IPAMOBJ_UPDATE,
				     .kind = IPAMOBJ_AFFINITY,
				     .object = &f };

	f.state = IPAMOBJ_PENDING_DELETION;
	collect_send(c, &r, got_affinity, j);
}

/* The order in which a node itself gives a block up: mark, delete the block, delete the mark. The
 * node that comes back undoes it by rewriting the block, whose version then is another. */
static bool step_block(struct collect *c, struct job *j)
{
	bool its;

	if (j->block_known == UNKNOWN) {
		get(c, j, IPAMOBJ_BLOCK);
		return true;
	}
	its = j->block_known == PRESENT && !j->block->deleted &&
	      obj_is_host(j->block->affinity, j->node);
	if (j->block_known == PRESENT && obj_block_sane(j->block) && free_leaks(c, j))
		return true;
	if (!j->node[0] || !collect_is_dead(c, j->node))
		return false;
	if (its && !obj_block_empty(j->block))
		return false;
	if (j->aff_known == UNKNOWN) {
		get(c, j, IPAMOBJ_AFFINITY);
		return true;
	}
	if (its) {
		if (j->aff_known == PRESENT && j->aff->state != IPAMOBJ_PENDING_DELETION &&
		    !j->aff->deleted)
			mark_affinity(c, j);
		else
			delete_object(c, j, IPAMOBJ_BLOCK, j->block->meta.name, j->block->meta.uid,
				      j->block->meta.resource_version, deleted_block);
		return true;
	}
	if (j->aff_known == ABSENT)
		return false;
	delete_object(c, j, IPAMOBJ_AFFINITY, j->aff->meta.name, j->aff->meta.uid,
		      j->aff->meta.resource_version, deleted_affinity);
	return true;
}

bool collect_step_job(struct collect *c, struct job *j)
{
	if (j->done)
		return false;
	if (j->kind == JOB_HANDLE) {
		delete_object(c, j, IPAMOBJ_HANDLE, j->name, j->uid, j->version, deleted_handle);
		return true;
	}
	return step_block(c, j);
}
