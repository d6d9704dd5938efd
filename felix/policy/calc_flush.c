/* What changed, followed through: labels, policies, identities, classes; then told in a safe order.
 */
#include "config.h"

#include "felix/policy/calc_impl.h"

#include <math.h>

/* ---- groups ---- */

static bool name_eq(const void *item, const void *key)
{
	return !strcmp(((const struct nameuse *)item)->name, key);
}

/* Of its ports those whose names policies use. */
static struct portset *used_ports(struct calc *c, const struct group *g)
{
	struct pod_port *v = xmalloc((g->ports->n + 1) * sizeof(*v));
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->ports->n; i++)
		if (hset_find(&c->names, hash_end(hash_text(HASH_SEED, g->ports->v[i].name)),
			      name_eq, g->ports->v[i].name))
			v[n++] = g->ports->v[i];
	struct portset *p = portset_get(&c->idents.sets, v, n);

	free(v);
	return p;
}

static void group_label(struct calc *c, struct group *g)
{
	struct sets *sets = &c->idents.sets;
	struct scope none = scope_none(sets);
	struct portset *ports = used_ports(c, g);
	struct lset *l =
		lset_get(sets, true, g->own, &g->ns->scope, g->sa ? &g->sa->scope : &none, ports);

	portset_put(sets, ports);
	scope_put(sets, &none);
	if (l == g->lset) {
		lset_put(sets, l);
		return;
	}
	for (struct claim *cl = g->claims; cl; cl = cl->group_next)
		node_touch(&c->idents, cl->node);
	if (g->lset)
		lset_put(sets, g->lset);
	g->lset = l;
	g->reorder = true; /* its endpoints look for their class anew */
}

static void policy_count(struct calc *c, struct polrec *r, int by)
{
	r->active += (uint32_t)by;
	if (!r->counted) {
		r->counted = true;
		pvec_add(&c->counted, r);
	}
}

static void group_drop(struct calc *c, struct group *g)
{
	for (uint32_t i = 0; i < g->pols.n; i++)
		policy_count(c, g->pols.v[i], -1);
	g->pols.n = 0;
}

static void groups_follow(struct calc *c)
{
	for (uint32_t i = 0; i < c->dirty_groups.n; i++) {
		struct group *g = c->dirty_groups.v[i];

		g->dirty = false;
		if (!g->local && g->listed) {
			group_drop(c, g);
			pvec_remove(&c->local, g);
			g->listed = false;
		}
		if (!g->refs) {
			group_free(c, g);
			continue;
		}
		group_label(c, g);
		if (g->local && !g->listed) {
			g->listed = true;
			pvec_add(&c->local, g);
		}
	}
	c->dirty_groups.n = 0;
}

/* A name is used now, or no more: the ports of that name are, or are not, part of what a pod is. */
static void names_follow(struct calc *c)
{
	if (!c->names_changed)
		return;
	c->names_changed = false;
	HSET_EACH(&c->groups, struct group, g)
	if (g->ports->n)
		group_label(c, g);
}

/* ---- policies ---- */

static const struct tier *tier_of(struct calc *c, struct polrec *r)
{
	unsigned n;
	const struct tier *const *builtin = policy_builtin_tiers(&n);
	const struct tier *t = calc_tier_find(c, r->policy->tier);

	for (unsigned i = 0; i < n && !t; i++)
		if (!strcmp(builtin[i]->name, r->policy->tier))
			t = builtin[i];
	if (t)
		return t;
	r->unknown =
		(struct tier){ .name = r->policy->tier, .order = INFINITY, .action = POLICY_DENY };
	return &r->unknown;
}

static void tiers_follow(struct calc *c)
{
	if (!c->tiers_changed)
		return;
	c->tiers_changed = false;
	HSET_EACH(&c->policies, struct polrec, r)
	if (r->policy)
		r->tier = tier_of(c, r);
	for (uint32_t i = 0; i < c->local.n; i++)
		((struct group *)c->local.v[i])->reorder = true;
	for (uint32_t i = 0; i < c->old_tiers.n; i++)
		tier_unref(c->old_tiers.v[i]);
	c->old_tiers.n = 0;
}

static bool policy_selects(const struct policy *p, const struct group *g)
{
	return p->pods && p->kind != POLICY_PROFILE && match_takes(&p->subject, g->lset);
}

static bool uses_services(const struct policy *p)
{
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++)
		for (uint32_t i = 0; i < p->rules[dir].n; i++)
			if (p->rules[dir].v[i].destination.service.name)
				return true;
	return false;
}

static void policy_swap(struct calc *c, struct polrec *r)
{
	if (!r->next)
		return;
	if (r->policy)
		policy_unref(r->policy);
	r->policy = r->next;
	r->next = NULL;
	r->tier = tier_of(c, r);
	r->uses_services = uses_services(r->policy);
}

/* Which groups here it selected and selects. */
static void policy_reselect(struct calc *c, struct polrec *r)
{
	for (uint32_t i = 0; i < c->local.n; i++) {
		struct group *g = c->local.v[i];

		if (g->choose)
			continue;
		bool was = r->active && pvec_remove(&g->pols, r);
		bool is = !r->gone && policy_selects(r->policy, g);

		if (was)
			policy_count(c, r, -1);
		if (is) {
			pvec_add(&g->pols, r);
			policy_count(c, r, 1);
		}
		g->reorder |= was || is;
	}
}

static void policies_follow(struct calc *c)
{
	for (uint32_t i = 0; i < c->dirty_policies.n; i++) {
		struct polrec *r = c->dirty_policies.v[i];

		policy_swap(c, r);
		policy_reselect(c, r);
	}
	for (uint32_t i = 0; i < c->local.n; i++) {
		struct group *g = c->local.v[i];

		if (!g->choose)
			continue;
		g->choose = false;
		g->reorder = true;
		group_drop(c, g);
		HSET_EACH(&c->policies, struct polrec, r)
		if (!r->gone && policy_selects(r->policy, g)) {
			pvec_add(&g->pols, r);
			policy_count(c, r, 1);
		}
	}
}

static void policy_recompile(struct calc *c, struct polrec *r, struct pvec *retired)
{
	if (r->compiled && (r->dirty || !r->active)) {
		pvec_add(retired, r->compiled);
		r->compiled = NULL;
	}
	if (r->active && !r->compiled)
		r->compiled = cpol_compile(c, r->policy);
}

/* New ones first: what old ones ask as well then stays. */
static void policies_compile(struct calc *c)
{
	struct pvec retired = { 0 };

	for (uint32_t i = 0; i < c->counted.n; i++) {
		struct polrec *r = c->counted.v[i];

		r->counted = false;
		policy_recompile(c, r, &retired);
	}
	for (uint32_t i = 0; i < c->dirty_policies.n; i++) {
		struct polrec *r = c->dirty_policies.v[i];

		r->dirty = false;
		if (!r->gone)
			continue;
		hset_remove(&c->policies, r);
		if (r->policy)
			policy_unref(r->policy);
		free(r);
	}
	c->counted.n = c->dirty_policies.n = 0;
	for (uint32_t i = 0; i < retired.n; i++) {
		cpol_retire(c, retired.v[i]);
		cpol_put(c, retired.v[i]);
	}
	pvec_free(&retired);
}

static int by_order(const void *a, const void *b)
{
	const struct polrec *x = *(struct polrec *const *)a, *y = *(struct polrec *const *)b;
	int order = tier_cmp(x->tier, y->tier);

	return order ? order : policy_cmp(x->policy, y->policy);
}

static void groups_reorder(struct calc *c)
{
	bool any = false;

	for (uint32_t i = 0; i < c->local.n; i++) {
		struct group *g = c->local.v[i];

		if (g->reorder && g->pols.n)
			qsort(g->pols.v, g->pols.n, sizeof(*g->pols.v), by_order);
		any |= g->reorder;
	}
	if (!any)
		return;
	HSET_EACH(&c->endpoints, struct endpoint, e)
	if (e->group && e->group->reorder)
		endpoint_dirty(c, e);
	for (uint32_t i = 0; i < c->local.n; i++)
		((struct group *)c->local.v[i])->reorder = false;
}

/* ---- identities and classes ---- */

static void idents_follow(struct calc *c)
{
	struct idents *t = &c->idents;

	idents_surround(t);
	for (uint32_t i = 0; i < t->touched.n; i++) {
		struct place *p = t->touched.v[i];

		for (struct claim *cl = p->claims; cl; cl = cl->next)
			if (cl->is_endpoint)
				endpoint_dirty(c, (struct endpoint *)cl->owner);
	}
	idents_assign(t);
	peers_update(c);
}

struct switched {
	uint64_t id;
	uint32_t class_;
};

static struct switched *endpoints_follow(struct calc *c, uint32_t *n)
{
	struct switched *v = xmalloc((c->dirty_endpoints.n + 1) * sizeof(*v));

	*n = 0;
	for (uint32_t i = 0; i < c->dirty_endpoints.n; i++) {
		struct endpoint *e = c->dirty_endpoints.v[i];
		struct cclass *was = e->class_;

		e->dirty = false;
		endpoint_classify(c, e);
		if (e->class_ != was || e->fresh)
			v[(*n)++] = (struct switched){ e->id, e->class_ ? e->class_->id
									: CALC_CLASS_NONE };
		e->fresh = false;
		if (was)
			class_put(c, was);
	}
	c->dirty_endpoints.n = 0;
	return v;
}

static void classes_follow(struct calc *c)
{
	const struct idents *t = &c->idents;

	if (t->fresh.n || t->rekeyed.n || t->gone.n)
		HSET_EACH(&c->classes, struct cclass, k)
	if (!k->fresh && k->refs)
		class_update(c, k);
	for (uint32_t i = 0; i < c->fresh_classes.n; i++)
		class_compile(c, c->fresh_classes.v[i]);
}

/* ---- telling ---- */

static void tell_rows(struct calc *c, struct pvec *v,
		      void (*op)(void *arg, const struct calc_change *ch))
{
	for (uint32_t i = 0; i < v->n; i++) {
		if (op)
			op(c->arg, v->v[i]);
		free(v->v[i]);
	}
	v->n = 0;
}

static void tell_added(struct calc *c)
{
	struct idents *t = &c->idents;

	for (uint32_t i = 0; i < c->fresh_classes.n && c->ops.class_add; i++)
		c->ops.class_add(c->arg, ((struct cclass *)c->fresh_classes.v[i])->id);
	for (uint32_t i = 0; i < t->fresh.n && c->ops.ident_add; i++) {
		const struct ident *x = t->fresh.v[i];

		c->ops.ident_add(c->arg, x->index, x->fam);
	}
	for (uint32_t i = 0; i < c->fresh_classes.n; i++) {
		struct cclass *k = c->fresh_classes.v[i];

		k->fresh = false;
		if (c->ops.rows_add)
			class_rows_all(c, k);
	}
	c->fresh_classes.n = 0;
	tell_rows(c, &c->pending.add, c->ops.rows_add);
}

static void tell_atoms(struct calc *c, enum family fam)
{
	size_t n;
	struct calc_atom *v;

	if (!c->idents.atoms_changed[fam])
		return;
	v = idents_atoms(&c->idents, fam, &n);
	if (n == c->natoms[fam] && (!n || !memcmp(v, c->atoms[fam], n * sizeof(*v)))) {
		free(v);
		return;
	}
	free(c->atoms[fam]);
	c->atoms[fam] = v;
	c->natoms[fam] = n;
	if (c->ops.atoms)
		c->ops.atoms(c->arg, fam, v, n);
}

static void tell_switched(struct calc *c, const struct switched *v, uint32_t n)
{
	for (uint32_t i = 0; i < c->idents.moved.n && c->ops.address; i++) {
		const struct place *p = c->idents.moved.v[i];
		struct addr a = node_addr(p);

		c->ops.address(c->arg, &a, p->told);
	}
	tell_atoms(c, FAM_V4);
	tell_atoms(c, FAM_V6);
	for (uint32_t i = 0; i < n && c->ops.endpoint; i++)
		c->ops.endpoint(c->arg, v[i].id, v[i].class_);
}

static void tell_deleted(struct calc *c)
{
	struct idents *t = &c->idents;

	for (uint32_t i = 0; i < c->nlost && c->ops.endpoint_del; i++)
		if (!calc_endpoint_there(c, c->lost_endpoints[i]))
			c->ops.endpoint_del(c->arg, c->lost_endpoints[i]);
	c->nlost = 0;
	for (uint32_t i = 0; i < t->lost.n && c->ops.address_del; i++)
		c->ops.address_del(c->arg, t->lost.v[i]);
	tell_rows(c, &c->pending.del, c->ops.rows_del);
	for (uint32_t i = 0; i < t->gone.n && c->ops.ident_del; i++) {
		const struct ident *x = t->gone.v[i];

		if (x->index != IDENT_UNSET)
			c->ops.ident_del(c->arg, x->index, x->fam);
	}
	for (uint32_t i = 0; i < c->idle_classes.n; i++) {
		struct cclass *k = c->idle_classes.v[i];

		k->idle = false;
		if (k->refs)
			continue;
		if (c->ops.class_del)
			c->ops.class_del(c->arg, k->id);
		hset_remove(&c->classes, k);
		c->class_by_id.v[k->id] = NULL;
		class_free(c, k);
	}
	c->idle_classes.n = 0;
}

void calc_flush(struct calc *c)
{
	struct switched *switched;
	uint32_t n;

	groups_follow(c);
	tiers_follow(c);
	policies_follow(c);
	policies_compile(c);
	names_follow(c);
	groups_reorder(c);
	idents_follow(c);
	switched = endpoints_follow(c, &n);
	classes_follow(c);
	tell_added(c);
	tell_rows(c, &c->pending.change, c->ops.rows_change);
	tell_switched(c, switched, n);
	tell_deleted(c);
	idents_end(&c->idents);
	free(switched);
}

void calc_ident_done(struct calc *c, uint32_t ident)
{
	ident_number_done(&c->idents, ident);
}

void calc_class_done(struct calc *c, uint32_t class_)
{
	if (c->nfree_class == c->cap_free_class) {
		c->cap_free_class = c->cap_free_class ? c->cap_free_class * 2 : 16;
		c->free_class = xrealloc(c->free_class, c->cap_free_class * sizeof(uint32_t));
	}
	c->free_class[c->nfree_class++] = class_;
}
