/* What one object cannot see. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/nodeconf.h"
#include "store/store.h"

struct check {
	const struct store *store;
	struct problems *problems;
	bool *fatal;
};

#define SAY(c, o, ...)                                                                             \
	problem_line((c)->problems, arena_printf((c)->problems->arena, "%s: %s", (o)->origin,      \
						 arena_printf((c)->problems->arena, __VA_ARGS__)))

static const char *text(const struct check *c, const struct prefix *p)
{
	char buf[PREFIX_STRLEN];

	return arena_strdup(c->problems->arena, prefix_format(p, buf, sizeof(buf)));
}

/* ---- pools ---- */

static void check_pool_pair(const struct check *c, const struct object *a, const struct object *b)
{
	const struct spec_ippool *pa = a->spec, *pb = b->spec;

	if (!prefix_overlaps(&pa->cidr, &pb->cidr))
		return;
	SAY(c, b,
	    "IPPool \"%s\" (%s) overlaps IPPool \"%s\" (%s, %s); one address would be given "
	    "twice, change one of them",
	    b->name, text(c, &pb->cidr), a->name, text(c, &pa->cidr), a->origin);
	if (!pa->disabled && !pb->disabled)
		*c->fatal = true;
}

static void check_pools(const struct check *c, const struct prefix *nets, unsigned n_nets)
{
	unsigned n;
	const struct object *const *v = store_list(c->store, KIND_IPPOOL, &n);

	for (unsigned i = 0; i < n; i++) {
		const struct spec_ippool *p = v[i]->spec;

		for (unsigned j = 0; j < i; j++)
			check_pool_pair(c, v[j], v[i]);
		for (unsigned j = 0; j < n_nets && !p->disabled; j++) {
			struct prefix net = prefix_mask(&nets[j]);

			if (!prefix_overlaps(&p->cidr, &net))
				continue;
			SAY(c, v[i],
			    "IPPool \"%s\" (%s) overlaps this node's network %s; pods need "
			    "addresses of their own, change the pool's cidr",
			    v[i]->name, text(c, &p->cidr), text(c, &net));
			*c->fatal = true;
		}
	}
}

/* ---- affinities ---- */

static int by_cidr(const void *a, const void *b)
{
	const struct object *x = *(const struct object *const *)a;
	const struct object *y = *(const struct object *const *)b;
	const struct spec_blockaffinity *sx = x->spec, *sy = y->spec;
	int c = prefix_cmp(&sx->cidr, &sy->cidr);

	return c ? c : object_order(x, y);
}

static bool in_a_pool(const struct check *c, const struct prefix *block)
{
	unsigned n;
	const struct object *const *v = store_list(c->store, KIND_IPPOOL, &n);

	for (unsigned i = 0; i < n; i++)
		if (prefix_covers(&((const struct spec_ippool *)v[i]->spec)->cidr, block))
			return true;
	return false;
}

static void check_affinity_pair(const struct check *c, const struct object *a,
				const struct object *b)
{
	const struct spec_blockaffinity *sa = a->spec, *sb = b->spec;
	bool same_owner = !strcmp(sa->node, sb->node) && !strcmp(sa->type, sb->type);

	SAY(c, b, "BlockAffinity \"%s\": block %s of node %s %s %s of node %s (%s); %s", b->name,
	    text(c, &sb->cidr), sb->node,
	    prefix_eq(&sa->cidr, &sb->cidr) ? "is also" : "lies in block", text(c, &sa->cidr),
	    sa->node, a->origin,
	    same_owner ? "remove one of them"
		       : "two nodes would give out the same addresses, remove one of them");
	if (!same_owner)
		*c->fatal = true;
}

static void check_affinities(const struct check *c)
{
	unsigned n, live = 0;
	const struct object *const *all = store_list(c->store, KIND_BLOCKAFFINITY, &n);
	const struct object **v = xmalloc(n * sizeof(*v));
	const struct object *cover = NULL;

	for (unsigned i = 0; i < n; i++) {
		const struct spec_blockaffinity *s = all[i]->spec;

		if (s->deleted || s->state != AFFINITY_CONFIRMED)
			continue;
		if (!in_a_pool(c, &s->cidr))
			SAY(c, all[i],
			    "BlockAffinity \"%s\": block %s lies in no IPPool; it is not used",
			    all[i]->name, text(c, &s->cidr));
		v[live++] = all[i];
	}
	if (live)
		qsort(v, live, sizeof(*v), by_cidr);
	/* Prefixes nest or are apart, so whoever overlaps lies behind the one that covers it. */
	for (unsigned i = 0; i < live; i++) {
		const struct spec_blockaffinity *s = v[i]->spec;

		if (cover && prefix_covers(&((const struct spec_blockaffinity *)cover->spec)->cidr,
					   &s->cidr))
			check_affinity_pair(c, cover, v[i]);
		else
			cover = v[i];
	}
	free(v);
}

/* ---- peers ---- */

static void check_peers(const struct check *c)
{
	unsigned n, n_nodes;
	const struct object *const *v = store_list(c->store, KIND_BGPPEER, &n);

	store_list(c->store, KIND_NODE, &n_nodes);
	for (unsigned i = 0; i < n; i++) {
		const struct spec_bgppeer *s = v[i]->spec;

		if (!*s->peer_ip && !*s->peer_selector && !*s->local_workload_selector &&
		    !(s->extra && *s->extra->interface))
			SAY(c, v[i],
			    "BGPPeer \"%s\" names no one; set spec.peerIP or spec.peerSelector",
			    v[i]->name);
		if (*s->node && n_nodes && !store_find(c->store, KIND_NODE, "", s->node))
			SAY(c, v[i], "BGPPeer \"%s\": spec.node: there is no Node \"%s\"",
			    v[i]->name, s->node);
	}
}

/* ---- secrets ---- */

static void check_secrets(const struct check *c)
{
	unsigned n;
	const struct object *const *v = store_list(c->store, KIND_SECRET, &n);

	for (unsigned i = 0; i < n; i++)
		if (v[i]->exposed)
			SAY(c, v[i],
			    "Secret \"%s\": everyone on this host may read its file; keep it from "
			    "others (chgrp selvage-felix, chmod 0640)",
			    v[i]->name);
}

void store_check(const struct store *s, const struct prefix *node_nets, unsigned n_nets,
		 struct problems *problems, bool *fatal)
{
	const struct check c = { s, problems, fatal };

	*fatal = false;
	check_pools(&c, node_nets, n_nets);
	check_affinities(&c);
	check_peers(&c);
	check_secrets(&c);
}
