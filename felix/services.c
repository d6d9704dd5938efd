#include "config.h"

#include "felix/services.h"

#include <stdlib.h>
#include <string.h>

/* What a service's slices say together. */
struct backing {
	const char *namespace_, *service; /* NULL: a free place */
	uint8_t local, any; /* 1 << family of slices with a ready endpoint: here, anywhere */
};

struct work {
	const struct services_input *in;
	struct arena *arena;
	struct services *out;
	unsigned cap;
	struct backing *table; /* open addressing */
	uint32_t mask;
};

/* ---- the list ---- */

static void add(struct work *w, const struct prefix *p)
{
	struct services *o = w->out;

	if (o->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 64;
		struct prefix *v = arena_array(w->arena, w->cap, sizeof(*v));

		if (o->n)
			memcpy(v, o->v, o->n * sizeof(*v));
		o->v = v;
	}
	o->v[o->n++] = *p;
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

static unsigned sort_once(struct prefix *v, unsigned n)
{
	unsigned kept = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_prefix);
	for (unsigned i = 0; i < n; i++)
		if (!kept || !prefix_eq(&v[kept - 1], &v[i]))
			v[kept++] = v[i];
	return kept;
}

/* ---- ranges ---- */

static const struct prefix *cidr(const struct field_list *l, uint32_t i)
{
	return &((const struct cidr_item *)l->v)[i].cidr;
}

static bool is_single(const struct prefix *p)
{
	return p->len == family_bits(p->addr.fam);
}

static bool within(const struct field_list *l, const struct addr *a)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (prefix_contains(cidr(l, i), a))
			return true;
	return false;
}

static bool named_alone(const struct field_list *l, const struct addr *a)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (is_single(cidr(l, i)) && addr_eq(&cidr(l, i)->addr, a))
			return true;
	return false;
}

static void add_ranges(struct work *w, const struct field_list *l, bool singles)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (is_single(cidr(l, i)) && !singles)
			continue;
		w->out->ranges[w->out->nranges++] = *cidr(l, i);
		if (!w->in->excluded)
			add(w, cidr(l, i));
	}
}

static void find_ranges(struct work *w)
{
	const struct services_input *in = w->in;
	struct services *o = w->out;

	o->ranges = arena_array(w->arena, in->cluster->n + in->external->n + in->lb->n + 1,
				sizeof(*o->ranges));
	add_ranges(w, in->cluster, true);
	add_ranges(w, in->external, false);
	if (in->aggregate)
		add_ranges(w, in->lb, false);
	o->nranges = sort_once(o->ranges, o->nranges);
}

/* ---- slices ---- */

static uint32_t hash_of(const char *namespace_, const char *service)
{
	uint32_t h = 2166136261u;

	for (; *namespace_; namespace_++)
		h = (h ^ (uint8_t)*namespace_) * 16777619u;
	h = (h ^ '/') * 16777619u;
	for (; *service; service++)
		h = (h ^ (uint8_t)*service) * 16777619u;
	return h;
}

/* The service's place, or the free one where it would stand. */
static struct backing *place(const struct work *w, const char *namespace_, const char *service)
{
	uint32_t i = hash_of(namespace_, service) & w->mask;

	while (w->table[i].service && (strcmp(w->table[i].service, service) != 0 ||
				       strcmp(w->table[i].namespace_, namespace_) != 0))
		i = (i + 1) & w->mask;
	return &w->table[i];
}

static int by_text(const void *key, const void *item)
{
	return strcmp(key, *(const char *const *)item);
}

static bool ready_here(const struct spec_endpointslice *s, const char *node)
{
	return s->ready_nodes.n &&
	       bsearch(node, s->ready_nodes.v, s->ready_nodes.n, sizeof(char *), by_text);
}

static void index_slices(struct work *w)
{
	unsigned n;
	const struct object *const *v = store_list(w->in->store, KIND_ENDPOINTSLICE, &n);
	uint32_t size = 16;

	while (size < 2 * n)
		size *= 2;
	w->mask = size - 1;
	w->table = xcalloc(size, sizeof(*w->table));
	for (unsigned i = 0; i < n; i++) {
		const struct spec_endpointslice *s = v[i]->spec;

		/* Host names are nothing that kube-proxy sends to. */
		if (!s->any_ready || s->family == FAM_NONE || !*s->service)
			continue;
		bool here = ready_here(s, w->in->node);

		/* Most slices of a big cluster end here. */
		if (!here && w->in->aggregate)
			continue;
		struct backing *b = place(w, v[i]->namespace_, s->service);

		b->namespace_ = v[i]->namespace_;
		b->service = s->service;
		b->any |= (uint8_t)(1u << s->family);
		if (here)
			b->local |= (uint8_t)(1u << s->family);
	}
}

/* ---- services ---- */

static bool any_named_alone(const struct field_list *ranges, const struct field_list *ips)
{
	const struct addr *v = ips->v;

	for (uint32_t i = 0; i < ips->n; i++)
		if (named_alone(ranges, &v[i]))
			return true;
	return false;
}

static bool wanted(const struct work *w, const struct object *o)
{
	const struct services_input *in = w->in;
	const struct spec_service *s = o->spec;

	if (s->type == SERVICE_EXTERNAL_NAME || s->headless)
		return false;
	if (s->cluster && s->type == SERVICE_LOAD_BALANCER &&
	    (named_alone(in->lb, &s->lb_asked) || any_named_alone(in->lb, &s->lb_ips)))
		return true;
	if (s->cluster && any_named_alone(in->external, &s->external_ips))
		return true;
	if (!s->local && in->aggregate)
		return false;
	const struct backing *b = place(w, o->namespace_, o->name);
	uint8_t ready = s->local ? b->local : b->any;

	return s->families ? ready & s->families : ready;
}

static void add_ips(struct work *w, const struct field_list *ips, const struct field_list *ranges)
{
	const struct addr *v = ips->v;

	for (uint32_t i = 0; i < ips->n; i++) {
		struct prefix p = prefix_host(&v[i]);

		if (within(ranges, &v[i]))
			add(w, &p);
	}
}

static void add_services(struct work *w)
{
	const struct services_input *in = w->in;
	unsigned n;
	const struct object *const *v = store_list(in->store, KIND_SERVICE, &n);

	for (unsigned i = 0; i < n; i++) {
		const struct spec_service *s = v[i]->spec;

		if (!wanted(w, v[i]))
			continue;
		add_ips(w, &s->cluster_ips, in->cluster);
		add_ips(w, &s->external_ips, in->external);
		add_ips(w, &s->lb_ips, in->lb);
	}
}

void services_compute(const struct services_input *in, struct arena *arena, struct services *out)
{
	struct work w = { .in = in, .arena = arena, .out = out };

	memset(out, 0, sizeof(*out));
	if (!in->cluster->n && !in->external->n && !in->lb->n)
		return;
	find_ranges(&w);
	if (!in->excluded) {
		index_slices(&w);
		add_services(&w);
		free(w.table);
	}
	out->n = sort_once(out->v, out->n);
}
