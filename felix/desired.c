#include "config.h"

#include "felix/desired.h"

#include <stdlib.h>
#include <string.h>

#include "felix/blocks.h"

enum { COOLDOWN = 60 };

static void find_blocks(struct desired *d, const struct bgpconf_input *in)
{
	struct node_blocks found = { 0 };

	node_blocks_find(in->store, in->node, in->claims, &d->arena, &found, &d->problems);
	d->blocks = arena_array(&d->arena, found.n + 1, sizeof(*d->blocks));
	for (unsigned i = 0; i < found.n; i++) {
		d->blocks[d->nblocks++] =
			(struct ipam_block_conf){ found.v[i].cidr, found.v[i].pool,
						  found.v[i].allocate, found.v[i].closed };
		d->nallocate += found.v[i].allocate;
	}
	store_list(in->store, KIND_IPPOOL, &d->npools);
}

static void find_reservations(struct desired *d, const struct store *s)
{
	unsigned n, total = 0;
	const struct object *const *v = store_list(s, KIND_IPRESERVATION, &n);

	for (unsigned i = 0; i < n; i++)
		total += ((const struct spec_ipreservation *)v[i]->spec)->cidrs.n;
	d->reserved = arena_array(&d->arena, total + 1, sizeof(*d->reserved));
	for (unsigned i = 0; i < n; i++) {
		const struct field_list *l =
			&((const struct spec_ipreservation *)v[i]->spec)->cidrs;

		for (uint32_t k = 0; k < l->n; k++)
			d->reserved[d->nreserved++] = ((const struct prefix *)l->v)[k];
	}
}

/* Never less than the floor: what was a pod's a moment ago is still being sent to. */
static unsigned find_cooldown(const struct store *s)
{
	const struct object *o = store_find(s, KIND_IPAMCONFIG, "", "default");
	const struct spec_ipamconfig *c = o ? o->spec : NULL;

	return c && c->cooldown_seconds > COOLDOWN ? c->cooldown_seconds : COOLDOWN;
}

static void add_line(struct desired *d, const struct object *o, const char *text)
{
	char *line = *o->namespace_ ? arena_printf(&d->arena, "%s: %s %s/%s: %s", o->origin,
						   o->kind_text, o->namespace_, o->name, text)
				    : arena_printf(&d->arena, "%s: %s %s: %s", o->origin,
						   o->kind_text, o->name, text);

	problem_line(&d->problems, line);
}

/* A person must not believe in a protection that is not there. */
static void name_what_is_not_served(struct desired *d, const struct store *s)
{
	unsigned n;
	const struct object *const *v = store_list(s, KIND_POLICY, &n);

	d->npolicies = n;
	for (unsigned i = 0; i < n; i++) {
		char *text = arena_printf(&d->arena, "policy %s is not enforced by this version",
					  v[i]->name);

		add_line(d, v[i], text);
	}
	v = store_list(s, KIND_IPPOOL, &n);
	for (unsigned i = 0; i < n; i++)
		if (((const struct spec_ippool *)v[i]->spec)->nat_outgoing)
			add_line(d, v[i],
				 "natOutgoing is not served by this version: pods leave the pool "
				 "with their own addresses");
}

struct desired *desired_compute(const struct bgpconf_input *in)
{
	struct desired *d = xcalloc(1, sizeof(*d));

	d->problems.arena = &d->arena;
	store_check(in->store, in->addrs, in->naddrs, &d->problems, &d->fatal);
	find_blocks(d, in);
	find_reservations(d, in->store);
	d->cooldown = find_cooldown(in->store);
	d->bgp = bgpconf_compile(in);
	for (unsigned i = 0; i < d->bgp->problems.n; i++)
		problem_line(&d->problems, d->bgp->problems.text[i]);
	name_what_is_not_served(d, in->store);
	return d;
}

void desired_free(struct desired *d)
{
	if (!d)
		return;
	bgpconf_free(d->bgp);
	arena_free(&d->arena);
	free(d);
}
