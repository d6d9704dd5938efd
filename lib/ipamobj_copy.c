#include "config.h"

#include <string.h>

#include "lib/ipamobj.h"

static const char *text(struct arena *a, const char *t)
{
	return *t ? arena_strdup(a, t) : "";
}

static void *array(struct arena *a, const void *v, size_t n, size_t size)
{
	void *copy = arena_array(a, n ? n : 1, size);

	if (n)
		memcpy(copy, v, n * size);
	return copy;
}

static struct ipamobj_meta meta(struct arena *a, const struct ipamobj_meta *m)
{
	return (struct ipamobj_meta){
		.name = text(a, m->name),
		.uid = text(a, m->uid),
		.resource_version = text(a, m->resource_version),
		.raw = "",
		.created = m->created,
	};
}

static void attr(struct arena *a, struct ipamobj_attr *t)
{
	t->handle_id = text(a, t->handle_id);
	t->released_at = text(a, t->released_at);
	t->raw = "";
	t->secondary = array(a, t->secondary, t->nsecondary, sizeof(*t->secondary));
	for (uint32_t i = 0; i < t->nsecondary; i++) {
		t->secondary[i].key = text(a, t->secondary[i].key);
		t->secondary[i].value = text(a, t->secondary[i].value);
	}
}

struct ipamobj_block *ipamobj_copy_block(const struct ipamobj_block *b, struct arena *a)
{
	struct ipamobj_block *c = array(a, b, 1, sizeof(*b));

	c->meta = meta(a, &b->meta);
	c->affinity = text(a, b->affinity);
	c->claim_time = text(a, b->claim_time);
	c->allocations = array(a, b->allocations, b->size, sizeof(*b->allocations));
	c->unallocated = array(a, b->unallocated, b->nunallocated, sizeof(*b->unallocated));
	c->seqs = array(a, b->seqs, b->nseqs, sizeof(*b->seqs));
	c->attrs = array(a, b->attrs, b->nattrs, sizeof(*b->attrs));
	for (uint32_t i = 0; i < c->nattrs; i++)
		attr(a, &c->attrs[i]);
	return c;
}

struct ipamobj_affinity *ipamobj_copy_affinity(const struct ipamobj_affinity *f, struct arena *a)
{
	struct ipamobj_affinity *c = array(a, f, 1, sizeof(*f));

	c->meta = meta(a, &f->meta);
	c->node = text(a, f->node);
	c->type = text(a, f->type);
	c->instance = text(a, f->instance);
	return c;
}

struct ipamobj_handle *ipamobj_copy_handle(const struct ipamobj_handle *h, struct arena *a)
{
	struct ipamobj_handle *c = array(a, h, 1, sizeof(*h));

	c->meta = meta(a, &h->meta);
	c->handle_id = text(a, h->handle_id);
	c->blocks = array(a, h->blocks, h->nblocks, sizeof(*h->blocks));
	return c;
}
