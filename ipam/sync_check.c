#include "config.h"

#include "ipam/sync_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipam/sync_obj.h"

static const char *const kind_names[CHECK_KINDS] = {
	[CHECK_BLOCK_BROKEN] = "block-broken",
	[CHECK_BLOCK_OVERLAP] = "block-overlap",
	[CHECK_BLOCK_OUTSIDE] = "block-outside-pools",
	[CHECK_BLOCK_NO_AFFINITY] = "block-without-affinity",
	[CHECK_AFFINITY_NO_BLOCK] = "affinity-without-block",
	[CHECK_AFFINITY_OTHER] = "affinity-of-another-block",
	[CHECK_NODE_GONE] = "node-gone",
	[CHECK_ADDRESS_TWICE] = "address-twice",
	[CHECK_ALLOC_LEAKED] = "address-leaked",
	[CHECK_ALLOC_OTHER] = "address-of-another",
	[CHECK_LEASE_NOT_IN_BLOCK] = "lease-not-in-block",
	[CHECK_LEASE_NO_POD] = "lease-without-pod",
	[CHECK_LINK_NO_LEASE] = "link-without-lease",
	[CHECK_POD_NO_ALLOC] = "pod-without-allocation",
	[CHECK_HANDLE_UNREFERENCED] = "handle-unreferenced",
	[CHECK_HANDLE_MISSING] = "handle-missing",
	[CHECK_HANDLE_COUNT] = "handle-count",
};

const char *sync_check_kind_name(enum sync_check_kind k)
{
	return kind_names[k];
}

const char *sync_check_mend_name(enum sync_check_mend m)
{
	static const char *const names[] = {
		"none", "wait", "free-address", "delete-handle", "delete-affinity", "release-lease"
	};
	return names[m];
}

struct ctx {
	const struct sync_check_in *in;
	struct arena *a;
	struct sync_finding *v;
	unsigned n, cap;
	const struct ipamobj_block **blocks; /* without deleted ones, in order of their CIDR */
	unsigned nblocks;
	const struct sync_check_pod **pods; /* one entry an address, in order of the addresses */
	unsigned *pod_addr;
	unsigned npods;
};

static struct sync_finding *find(struct ctx *c, enum sync_check_kind kind,
				 enum sync_check_mend mend, const char *object, const char *fmt,
				 ...) __attribute__((format(printf, 5, 6)));

static struct sync_finding *find(struct ctx *c, enum sync_check_kind kind,
				 enum sync_check_mend mend, const char *object, const char *fmt,
				 ...)
{
	char text[400];
	va_list ap;

	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 32;
		struct sync_finding *v = arena_array(c->a, c->cap, sizeof(*v));
		if (c->n)
			memcpy(v, c->v, c->n * sizeof(*v));
		c->v = v;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct sync_finding *f = &c->v[c->n++];
	*f = (struct sync_finding){ .kind = kind,
				    .mend = mend,
				    .object = arena_strdup(c->a, object),
				    .node = "",
				    .handle_id = "",
				    .uid = "",
				    .resource_version = "",
				    .what = arena_strdup(c->a, text) };
	return f;
}

static void of_object(struct ctx *c, struct sync_finding *f, const struct ipamobj_meta *m)
{
	f->uid = arena_strdup(c->a, m->uid);
	f->resource_version = arena_strdup(c->a, m->resource_version);
}

/* ---- looking up ---- */

static int by_block(const void *a, const void *b)
{
	return prefix_cmp(&(*(const struct ipamobj_block *const *)a)->cidr,
			  &(*(const struct ipamobj_block *const *)b)->cidr);
}

/* The block that an address lies in (the last that begins at or before it). */
static const struct ipamobj_block *block_of(const struct ctx *c, const struct addr *addr)
{
	unsigned lo = 0, hi = c->nblocks;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (addr_cmp(&c->blocks[mid]->cidr.addr, addr) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo-- > 0) {
		if (prefix_contains(&c->blocks[lo]->cidr, addr))
			return c->blocks[lo];
		/* Only where blocks overlap can an earlier one hold it. */
		if (lo == 0 || !prefix_overlaps(&c->blocks[lo]->cidr, &c->blocks[lo - 1]->cidr))
			break;
	}
	return NULL;
}

static const struct ipamobj_attr *attr_of(const struct ctx *c, const struct addr *addr)
{
	const struct ipamobj_block *b = block_of(c, addr);

	if (!b || !obj_block_sane(b))
		return NULL;
	return obj_attr(b, (uint32_t)prefix_offset(&b->cidr, addr));
}

static bool is_node(const struct ctx *c, const char *name)
{
	for (unsigned i = 0; i < c->in->nnodes; i++)
		if (strcmp(c->in->nodes[i], name) == 0)
			return true;
	return false;
}

static const struct sync_pool *pool_of_addr(const struct ctx *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->in->npools; i++)
		if (prefix_contains(&c->in->pools[i].cidr, a))
			return &c->in->pools[i];
	return NULL;
}

static const struct sync_check_pod *pod_with(const struct ctx *c, const struct addr *a,
					     const struct sync_check_pod *but)
{
	unsigned lo = 0, hi = c->npods;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (addr_cmp(&c->pods[mid]->addrs[c->pod_addr[mid]], a) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < c->npods && addr_eq(&c->pods[lo]->addrs[c->pod_addr[lo]], a); lo++)
		if (c->pods[lo] != but)
			return c->pods[lo];
	return NULL;
}

/* A pod that is starting has no address yet: its name counts as well. */
static bool pod_named(const struct ctx *c, const char *namespace_, const char *name)
{
	for (unsigned i = 0; name[0] && i < c->in->npods; i++)
		if (strcmp(c->in->pods[i].name, name) == 0 &&
		    strcmp(c->in->pods[i].namespace_, namespace_) == 0)
			return true;
	return false;
}

static const struct sync_lease *lease_of(const struct ctx *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->in->nleases; i++)
		if (addr_eq(&c->in->leases[i].addr, a))
			return &c->in->leases[i];
	return NULL;
}

static bool link_with(const struct ctx *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->in->nlinks; i++)
		if (addr_eq(&c->in->links[i].addr, a))
			return true;
	return false;
}

struct pod_addr {
	const struct sync_check_pod *pod;
	unsigned i;
};

static int by_pod_addr(const void *a, const void *b)
{
	const struct pod_addr *x = a, *y = b;

	return addr_cmp(&x->pod->addrs[x->i], &y->pod->addrs[y->i]);
}

static void sort_pods(struct ctx *c)
{
	struct pod_addr *v = arena_array(c->a, 2ul * c->in->npods, sizeof(*v));

	for (unsigned i = 0; i < c->in->npods; i++)
		for (unsigned k = 0; k < c->in->pods[i].naddrs; k++)
			v[c->npods++] = (struct pod_addr){ &c->in->pods[i], k };
	if (c->npods)
		qsort(v, c->npods, sizeof(*v), by_pod_addr);
	c->pods = arena_array(c->a, c->npods, sizeof(*c->pods));
	c->pod_addr = arena_array(c->a, c->npods, sizeof(*c->pod_addr));
	for (unsigned i = 0; i < c->npods; i++) {
		c->pods[i] = v[i].pod;
		c->pod_addr[i] = v[i].i;
	}
}

static void sort_blocks(struct ctx *c)
{
	c->blocks = arena_array(c->a, c->in->nblocks, sizeof(*c->blocks));
	for (unsigned i = 0; i < c->in->nblocks; i++)
		if (!c->in->blocks[i]->deleted)
			c->blocks[c->nblocks++] = c->in->blocks[i];
	if (c->nblocks)
		qsort(c->blocks, c->nblocks, sizeof(*c->blocks), by_block);
}

/* ---- blocks ---- */

static const struct ipamobj_affinity *affinity_of(const struct ctx *c, const char *node,
						  const struct prefix *cidr)
{
	for (unsigned i = 0; i < c->in->naffinities; i++) {
		const struct ipamobj_affinity *f = c->in->affinities[i];

		if (!f->deleted && strcmp(f->node, node) == 0 && prefix_eq(&f->cidr, cidr))
			return f;
	}
	return NULL;
}

static bool lists_agree(const struct ipamobj_block *b)
{
	uint32_t used = 0;

	if (!obj_block_sane(b))
		return false;
	for (uint32_t i = 0; i < b->size; i++)
		used += b->allocations[i] >= 0;
	return used + b->nunallocated == b->size;
}

static void check_owner(struct ctx *c, const struct ipamobj_block *b, const char *cidr)
{
	const char *owner = strncmp(b->affinity, "host:", 5) == 0 ? b->affinity + 5 : "";
	struct sync_finding *f;

	if (!owner[0])
		return;
	if (!is_node(c, owner)) {
		f = find(c, CHECK_NODE_GONE, MEND_WAIT, cidr,
			 "block %s belongs to node %s, which does not exist; it is collected 15 "
			 "minutes after the node went, once no pod is left there",
			 cidr, owner);
		f->node = arena_strdup(c->a, owner);
		return;
	}
	if (affinity_of(c, owner, &b->cidr))
		return;
	f = find(c, CHECK_BLOCK_NO_AFFINITY, MEND_NONE, cidr,
		 "block %s says that node %s owns it, but there is no BlockAffinity of this node "
		 "for it",
		 cidr, owner);
	f->node = arena_strdup(c->a, owner);
}

static void check_block(struct ctx *c, unsigned i)
{
	const struct ipamobj_block *b = c->blocks[i];
	char cidr[PREFIX_STRLEN], other[PREFIX_STRLEN];

	prefix_format(&b->cidr, cidr, sizeof(cidr));
	if (!lists_agree(b))
		find(c, CHECK_BLOCK_BROKEN, MEND_NONE, cidr,
		     "block %s: its lists of allocated and unallocated addresses do not fit "
		     "together",
		     cidr);
	/* In order: what an earlier block covers follows it. */
	for (unsigned k = i + 1; k < c->nblocks && prefix_overlaps(&b->cidr, &c->blocks[k]->cidr);
	     k++)
		find(c, CHECK_BLOCK_OVERLAP, MEND_NONE, cidr,
		     "block %s (%s) overlaps block %s (%s)", cidr, b->affinity,
		     prefix_format(&c->blocks[k]->cidr, other, sizeof(other)),
		     c->blocks[k]->affinity);
	if (!pool_of_addr(c, &b->cidr.addr) && strncmp(b->affinity, "virtual:", 8) != 0)
		find(c, CHECK_BLOCK_OUTSIDE, MEND_NONE, cidr, "block %s lies in no IPPool", cidr);
	check_owner(c, b, cidr);
}

static bool is_used(const struct ctx *c, const struct ipamobj_attr *at, const struct addr *a)
{
	const struct sync_lease *l = lease_of(c, a);

	return pod_with(c, a, NULL) || link_with(c, a) ||
	       (l && strcmp(l->handle_id, at->handle_id) == 0) ||
	       pod_named(c, obj_secondary(at, "namespace"), obj_secondary(at, "pod"));
}

/* An allocation with a type is a tunnel's or a service's; one of a cool-down is nobody's. */
static void check_allocation(struct ctx *c, const struct ipamobj_block *b, uint32_t i)
{
	const struct ipamobj_attr *at = obj_attr(b, i);
	struct addr a = addr_add(&b->cidr.addr, i);
	char text[ADDR_STRLEN];

	if (!at || obj_secondary(at, "type")[0] || at->released_at[0] ||
	    strcmp(at->handle_id, "windows-reserved-ipam-handle") == 0 || is_used(c, at, &a))
		return;
	addr_format(&a, text, sizeof(text));
	struct sync_finding *f = find(c, CHECK_ALLOC_LEAKED, MEND_FREE_ADDRESS, text,
				      "address %s is allocated to %s (pod %s/%s, node %s), but "
				      "there is no such pod, lease or link",
				      text, at->handle_id[0] ? at->handle_id : "no handle",
				      obj_secondary(at, "namespace"), obj_secondary(at, "pod"),
				      obj_secondary(at, "node"));
	f->addr = a;
	f->handle_id = arena_strdup(c->a, at->handle_id);
	f->node = arena_strdup(c->a, obj_secondary(at, "node"));
	if (!at->handle_id[0])
		f->mend = MEND_NONE;
}

/* ---- affinities ---- */

static void check_affinity(struct ctx *c, const struct ipamobj_affinity *af)
{
	const struct ipamobj_block *b = NULL;
	struct sync_finding *f = NULL;
	char cidr[PREFIX_STRLEN];

	for (unsigned i = 0; i < c->nblocks; i++)
		if (prefix_eq(&c->blocks[i]->cidr, &af->cidr))
			b = c->blocks[i];
	prefix_format(&af->cidr, cidr, sizeof(cidr));
	if (af->type[0] && strcmp(af->type, "host") != 0)
		return;
	if (b && !obj_is_host(b->affinity, af->node)) {
		f = find(c, CHECK_AFFINITY_OTHER, MEND_DELETE_AFFINITY, af->meta.name,
			 "BlockAffinity %s says that node %s owns block %s, the block says %s",
			 af->meta.name, af->node, cidr, b->affinity[0] ? b->affinity : "nobody");
	} else if (!b && af->state == IPAMOBJ_CONFIRMED) {
		f = find(c, CHECK_AFFINITY_NO_BLOCK,
			 is_node(c, af->node) ? MEND_WAIT : MEND_DELETE_AFFINITY, af->meta.name,
			 "BlockAffinity %s is confirmed, but there is no block %s", af->meta.name,
			 cidr);
	} else if (!b && !is_node(c, af->node)) {
		f = find(c, CHECK_NODE_GONE, MEND_DELETE_AFFINITY, af->meta.name,
			 "BlockAffinity %s was left by node %s, which does not exist",
			 af->meta.name, af->node);
	}
	if (!f)
		return;
	f->node = arena_strdup(c->a, af->node);
	of_object(c, f, &af->meta);
}

/* ---- pods, leases, links ---- */

static void check_pod(struct ctx *c, const struct sync_check_pod *p)
{
	char text[ADDR_STRLEN];

	for (unsigned i = 0; i < p->naddrs; i++) {
		const struct sync_check_pod *q = pod_with(c, &p->addrs[i], p);
		struct sync_finding *f = NULL;

		addr_format(&p->addrs[i], text, sizeof(text));
		/* Named once, by the pod that stands first. */
		if (q && p < q)
			f = find(c, CHECK_ADDRESS_TWICE, MEND_NONE, text,
				 "address %s belongs to two pods: %s/%s on %s and %s/%s on %s; "
				 "delete one of them",
				 text, p->namespace_, p->name, p->node, q->namespace_, q->name,
				 q->node);
		else if (!attr_of(c, &p->addrs[i]) && pool_of_addr(c, &p->addrs[i]) &&
			 !lease_of(c, &p->addrs[i]))
			f = find(c, CHECK_POD_NO_ALLOC, MEND_NONE, text,
				 "address %s of pod %s/%s on %s is allocated in no block: another "
				 "pod may get it; delete the pod",
				 text, p->namespace_, p->name, p->node);
		if (!f)
			continue;
		f->addr = p->addrs[i];
		f->node = arena_strdup(c->a, p->node);
	}
}

static void check_lease(struct ctx *c, const struct sync_lease *l)
{
	const struct ipamobj_attr *at = attr_of(c, &l->addr);
	char text[ADDR_STRLEN];
	struct sync_finding *f = NULL;

	addr_format(&l->addr, text, sizeof(text));
	if (at && strcmp(at->handle_id, l->handle_id) != 0)
		f = find(c, CHECK_ALLOC_OTHER, MEND_NONE, text,
			 "address %s is leased here to %s/%s (%s), its block gives it to %s on %s",
			 text, l->namespace_, l->pod, l->handle_id, at->handle_id,
			 obj_secondary(at, "node"));
	else if (!at)
		f = find(c, CHECK_LEASE_NOT_IN_BLOCK, block_of(c, &l->addr) ? MEND_WAIT : MEND_NONE,
			 text, "address %s is leased here to %s/%s (%s), but %s", text,
			 l->namespace_, l->pod, l->handle_id,
			 block_of(c, &l->addr) ? "its block does not show it yet"
					       : "no block of the API has it");
	if (f) {
		f->addr = l->addr;
		f->handle_id = arena_strdup(c->a, l->handle_id);
		f->node = c->in->node;
	}
	if (link_with(c, &l->addr) || pod_with(c, &l->addr, NULL) ||
	    pod_named(c, l->namespace_, l->pod))
		return;
	f = find(c, CHECK_LEASE_NO_POD, MEND_RELEASE_LEASE, text,
		 "address %s is leased here to %s/%s (%s), but there is neither such a pod nor a "
		 "link",
		 text, l->namespace_, l->pod, l->handle_id);
	f->addr = l->addr;
	f->handle_id = arena_strdup(c->a, l->handle_id);
	f->node = c->in->node;
}

static void check_link(struct ctx *c, const struct sync_check_link *l)
{
	char text[ADDR_STRLEN];

	if (lease_of(c, &l->addr))
		return;
	addr_format(&l->addr, text, sizeof(text));
	struct sync_finding *f = find(c, CHECK_LINK_NO_LEASE, MEND_NONE, text,
				      "interface %s uses address %s, which no lease of this node "
				      "holds: another pod may get it; delete the pod",
				      l->name, text);
	f->addr = l->addr;
	f->node = c->in->node;
}

/* ---- handles ---- */

struct use {
	const char *name;
	const struct ipamobj_block *block;
	const char *handle_id;
};

static int by_use(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	return d ? d : prefix_cmp(&x->block->cidr, &y->block->cidr);
}

static unsigned list_uses(struct ctx *c, struct use **out)
{
	unsigned n = 0, cap = 0;
	char name[IPAMOBJ_NAME];
	struct use *v = NULL;

	for (unsigned i = 0; i < c->nblocks; i++) {
		const struct ipamobj_block *b = c->blocks[i];

		for (uint32_t k = 0; obj_block_sane(b) && k < b->size; k++) {
			const struct ipamobj_attr *at = obj_attr(b, k);

			if (!at || !at->handle_id[0] ||
			    strcmp(at->handle_id, "windows-reserved-ipam-handle") == 0)
				continue;
			if (n == cap) {
				cap = cap ? 2 * cap : 64;
				v = xrealloc(v, cap * sizeof(*v));
			}
			ipamobj_handle_name(at->handle_id, name);
			v[n++] = (struct use){ arena_strdup(c->a, name), b, at->handle_id };
		}
	}
	if (n)
		qsort(v, n, sizeof(*v), by_use);
	*out = v;
	return n;
}

static int by_handle(const void *a, const void *b)
{
	return strcmp((*(const struct ipamobj_handle *const *)a)->meta.name,
		      (*(const struct ipamobj_handle *const *)b)->meta.name);
}

static void check_counts(struct ctx *c, const struct ipamobj_handle *h, const struct use *u,
			 unsigned n)
{
	for (uint32_t i = 0; i < h->nblocks; i++) {
		uint32_t used = 0;
		char cidr[PREFIX_STRLEN];

		for (unsigned k = 0; k < n; k++)
			used += prefix_eq(&u[k].block->cidr, &h->blocks[i].cidr);
		if (used == h->blocks[i].count)
			continue;
		struct sync_finding *f =
			find(c, CHECK_HANDLE_COUNT, MEND_NONE, h->meta.name,
			     "IPAMHandle %s counts %u addresses in block %s, the block has %u",
			     h->meta.name, h->blocks[i].count,
			     prefix_format(&h->blocks[i].cidr, cidr, sizeof(cidr)), used);
		f->handle_id = arena_strdup(c->a, h->handle_id);
	}
}

/* Both lists in order of the names, side by side. */
static void check_handles(struct ctx *c)
{
	struct use *uses;
	unsigned n = list_uses(c, &uses), u = 0, h = 0, nh = 0;
	const struct ipamobj_handle **v = arena_array(c->a, c->in->nhandles, sizeof(*v));

	for (unsigned i = 0; i < c->in->nhandles; i++)
		if (!c->in->handles[i]->deleted)
			v[nh++] = c->in->handles[i];
	if (nh)
		qsort(v, nh, sizeof(*v), by_handle);
	while (u < n || h < nh) {
		int d = u == n ? 1 : h == nh ? -1 : strcmp(uses[u].name, v[h]->meta.name);
		unsigned end = u;
		struct sync_finding *f;

		while (d <= 0 && end < n && strcmp(uses[end].name, uses[u].name) == 0)
			end++;
		if (d < 0) {
			f = find(c, CHECK_HANDLE_MISSING, MEND_NONE, uses[u].name,
				 "a block mentions IPAMHandle %s, which does not exist",
				 uses[u].name);
			f->handle_id = arena_strdup(c->a, uses[u].handle_id);
		} else if (d > 0) {
			f = find(c, CHECK_HANDLE_UNREFERENCED, MEND_DELETE_HANDLE, v[h]->meta.name,
				 "no block mentions IPAMHandle %s", v[h]->meta.name);
			f->handle_id = arena_strdup(c->a, v[h]->handle_id);
			of_object(c, f, &v[h]->meta);
		} else {
			check_counts(c, v[h], uses + u, end - u);
		}
		h += d >= 0;
		u = end;
	}
	free(uses);
}

unsigned sync_check(const struct sync_check_in *in, struct arena *a, struct sync_finding **out)
{
	struct ctx c = { .in = in, .a = a };

	sort_blocks(&c);
	sort_pods(&c);
	for (unsigned i = 0; i < c.nblocks; i++) {
		const struct ipamobj_block *b = c.blocks[i];

		check_block(&c, i);
		if (strncmp(b->affinity, "virtual:", 8) == 0 || !obj_block_sane(b))
			continue;
		for (uint32_t k = 0; k < b->size; k++)
			check_allocation(&c, b, k);
	}
	for (unsigned i = 0; i < in->naffinities; i++)
		if (!in->affinities[i]->deleted)
			check_affinity(&c, in->affinities[i]);
	for (unsigned i = 0; i < in->npods; i++)
		check_pod(&c, &in->pods[i]);
	for (unsigned i = 0; i < in->nleases; i++)
		check_lease(&c, &in->leases[i]);
	for (unsigned i = 0; i < in->nlinks; i++)
		check_link(&c, &in->links[i]);
	check_handles(&c);
	*out = c.v;
	return c.n;
}
