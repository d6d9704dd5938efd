/* Questions about the compiled state. */
#include "config.h"

#include "felix/policy/calc_impl.h"

uint32_t calc_ident_of(const struct calc *c, const struct addr *a)
{
	return idents_of(&c->idents, a);
}

bool calc_endpoint_at(const struct calc *c, const struct addr *a, uint64_t *id)
{
	const struct place *p = node_find(&c->idents, a);

	if (!p || !p->claims || !p->claims->is_endpoint)
		return false;
	*id = ((const struct endpoint *)p->claims->owner)->id;
	return true;
}

void calc_why(const struct calc *c, const struct addr *src, const struct addr *dst, uint8_t proto,
	      uint16_t sport, uint16_t dport, struct calc_why *why)
{
	memset(why, 0, sizeof(*why));
	why->allow = true;
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++) {
		const struct addr *own = dir == POLICY_INGRESS ? dst : src;
		const struct addr *remote = dir == POLICY_INGRESS ? src : dst;
		struct calc_table t = { .fam = own->fam, .dir = (uint8_t)dir };
		struct calc_row row;
		uint64_t id;

		if (own->fam != remote->fam || !calc_endpoint_at(c, own, &id))
			continue;
		uint32_t ident = calc_ident_of(c, remote);

		t.class_ = calc_class_of(c, id);
		why->side[dir].here = true;
		if (calc_lookup(c, &t, ident, proto, sport, dport, &row)) {
			why->side[dir].allow = row.allow;
			why->side[dir].rule = row.rule;
		}
		t.staged = true;
		if (calc_lookup(c, &t, ident, proto, sport, dport, &row)) {
			why->side[dir].has_staged = true;
			why->side[dir].staged_allow = row.allow;
			why->side[dir].staged_rule = row.rule;
		}
		why->allow = why->allow && why->side[dir].allow;
	}
}

/* ---- who selects whom ---- */

struct selecting {
	const struct polrec *rec;
	unsigned endpoints;
};

static int by_order(const void *a, const void *b)
{
	const struct polrec *x = ((const struct selecting *)a)->rec,
			    *y = ((const struct selecting *)b)->rec;
	int order = tier_cmp(x->tier, y->tier);

	return order ? order : policy_cmp(x->policy, y->policy);
}

static unsigned count_endpoints(const struct calc *c, const struct polrec *r)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < c->local.n; i++) {
		const struct group *g = c->local.v[i];

		for (uint32_t k = 0; k < g->pols.n; k++)
			if (g->pols.v[k] == r)
				n += g->local;
	}
	return n;
}

void calc_each_policy(const struct calc *c,
		      void (*cb)(void *arg, const struct policy *p, unsigned endpoints), void *arg)
{
	struct selecting *v = xmalloc((c->policies.n + 1) * sizeof(*v));
	size_t n = 0;

	HSET_EACH(&c->policies, const struct polrec, r)
	if (r->compiled)
		v[n++] = (struct selecting){ r, count_endpoints(c, r) };
	qsort(v, n, sizeof(*v), by_order);
	for (size_t i = 0; i < n; i++)
		cb(arg, v[i].rec->policy, v[i].endpoints);
	free(v);
}

void calc_each_policy_of(const struct calc *c, uint64_t endpoint,
			 void (*cb)(void *arg, const struct policy *p), void *arg)
{
	const struct endpoint *e = calc_endpoint_there(c, endpoint);

	for (uint32_t i = 0; e && e->group && i < e->group->pols.n; i++)
		cb(arg, ((const struct polrec *)e->group->pols.v[i])->policy);
}

uint32_t calc_class_of(const struct calc *c, uint64_t endpoint)
{
	const struct endpoint *e = calc_endpoint_there(c, endpoint);

	return e && e->class_ ? e->class_->id : CALC_CLASS_NONE;
}

/* ---- numbers ---- */

static size_t count_rows(const struct cclass *k)
{
	size_t rows = 0;
	uint32_t n;

	for (unsigned kind = 0; kind < TABLE_KINDS; kind++)
		for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
			const struct table *t = &k->tables[kind][fam];

			if (!t->there)
				continue;
			flat_rows(t->base, NULL, &n);
			rows += n;
			for (uint32_t i = 0; i < t->n; i++) {
				flat_rows(t->v[i].profile, t->base, &n);
				rows += n;
			}
		}
	return rows;
}

struct calc_stats calc_stats(const struct calc *c)
{
	struct calc_stats s = {
		.pods = c->pods.n,
		.endpoints = c->endpoints.n,
		.policies = c->policies.n,
		.groups = c->groups.n,
		.label_sets = c->idents.sets.lsets.n,
		.identities = c->idents.idents.n,
		.classes = c->classes.n,
		.profiles = c->profiles.set.n,
		.peers = c->peers.n,
		.nodes = c->idents.nnodes,
		.rules = c->rules.n,
	};

	HSET_EACH(&c->policies, const struct polrec, r)
	{
		s.active += r->compiled != NULL;
		s.invalid += r->policy && r->policy->invalid;
	}
	HSET_EACH(&c->classes, const struct cclass, k)
	s.rows += count_rows(k);
	return s;
}
