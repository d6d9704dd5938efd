/* Classes: which endpoints are alike to policies. */
#include "config.h"

#include "felix/policy/calc_impl.h"

/* ---- which class ---- */

/* The lists around an endpoint's first address of a family; none where it has no address there. */
static struct netclass *around(struct calc *c, const struct endpoint *e, unsigned fam)
{
	for (size_t i = 0; i < e->naddrs; i++)
		if (e->addrs[i].fam == fam)
			return e->claims[i].node->nc;
	return c->idents.empty;
}

static void key_ports(struct blob *k, const struct policy_ports *ports, const struct portset *have)
{
	for (uint32_t i = 0; i < ports->n; i++) {
		if (!ports->v[i].name)
			continue;
		for (uint32_t n = 0; n < have->n; n++)
			if (!strcmp(have->v[n].name, ports->v[i].name))
				blob_u32(k, (uint32_t)have->v[n].protocol << 16 | have->v[n].port);
		blob_u32(k, UINT32_MAX);
	}
}

bool own_takes(const struct crule *r, unsigned fam, const struct lset *l,
	       struct netclass *const *nc)
{
	return !r->own || peer_takes(r->own, fam, l, nc[fam]);
}

/* What the rules ask about the endpoint's own end is part of the key, as far as they ask it. */
static void key_policy(struct blob *k, const struct cpol *p, const struct lset *l,
		       struct netclass *const *nc)
{
	blob_add(k, &p->serial, sizeof(p->serial));
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++)
		for (uint32_t i = 0; i < p->n[dir]; i++) {
			const struct crule *r = &p->rules[dir][i];
			const struct entity *own =
				dir == POLICY_INGRESS ? &r->rule->destination : &r->rule->source;

			if (r->own)
				blob_u32(k, (uint32_t)own_takes(r, FAM_V4, l, nc) << 1 |
						    own_takes(r, FAM_V6, l, nc));
			if (r->own_names) {
				key_ports(k, &own->ports, l->ports);
				key_ports(k, &own->not_ports, l->ports);
			}
		}
}

static bool tier_ends(const struct pvec *pols, uint32_t i)
{
	const struct polrec *p = pols->v[i], *next;

	if (i + 1 == pols->n)
		return true;
	next = pols->v[i + 1];
	return tier_cmp(p->tier, next->tier) != 0;
}

static bool class_eq(const void *item, const void *key)
{
	const struct blob *a = &((const struct cclass *)item)->key, *b = key;

	return a->n == b->n && (!a->n || !memcmp(a->v, b->v, a->n));
}

static struct cclass *class_new(struct calc *c, const struct endpoint *e, struct netclass **nc)
{
	struct cclass *k = xcalloc(1, sizeof(*k));
	const struct pvec *pols = &e->group->pols;

	k->npols = pols->n;
	k->pols = xmalloc((pols->n + 1) * sizeof(struct cpol *));
	k->ends = xcalloc(pols->n + 1, sizeof(struct ruleref *));
	k->actions = xcalloc(pols->n + 1, sizeof(*k->actions));
	for (uint32_t i = 0; i < pols->n; i++) {
		struct polrec *p = pols->v[i];

		k->pols[i] = p->compiled;
		p->compiled->refs++;
		if (tier_ends(pols, i)) {
			k->ends[i] = rule_tier_end(c, p->tier->name);
			k->actions[i] = p->tier->action;
		}
	}
	k->lset = lset_ref(e->group->lset);
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
		k->around[fam] = nc[fam];
		nc[fam]->refs++;
	}
	k->id = c->nfree_class ? c->free_class[--c->nfree_class] : c->next_class++;
	k->fresh = true;
	pvec_add(&c->fresh_classes, k);
	while (c->class_by_id.n <= k->id)
		pvec_add(&c->class_by_id, NULL);
	c->class_by_id.v[k->id] = k;
	return k;
}

static struct cclass *class_of(struct calc *c, const struct endpoint *e)
{
	struct netclass *nc[3] = { NULL, around(c, e, FAM_V4), around(c, e, FAM_V6) };
	const struct pvec *pols = &e->group->pols;
	struct blob key = { 0 };

	for (uint32_t i = 0; i < pols->n; i++) {
		const struct polrec *p = pols->v[i];

		key_policy(&key, p->compiled, e->group->lset, nc);
		if (tier_ends(pols, i)) {
			blob_text(&key, p->tier->name);
			blob_u32(&key, p->tier->action);
		}
	}
	uint32_t hash = hash_end(hash_bytes(HASH_SEED, key.v, key.n));
	struct cclass *k = hset_find(&c->classes, hash, class_eq, &key);

	if (k) {
		free(key.v);
	} else {
		k = class_new(c, e, nc);
		k->hash = hash;
		k->key = key;
		hset_add(&c->classes, k);
	}
	k->refs++;
	return k;
}

/* The old class keeps its reference: the caller tells the change, then lets it go. */
void endpoint_classify(struct calc *c, struct endpoint *e)
{
	e->class_ = e->group ? class_of(c, e) : NULL;
}

/* ---- life ---- */

void class_put(struct calc *c, struct cclass *k)
{
	if (--k->refs || k->idle)
		return;
	k->idle = true;
	pvec_add(&c->idle_classes, k);
}

void class_free(struct calc *c, struct cclass *k)
{
	for (unsigned kind = 0; kind < TABLE_KINDS; kind++)
		for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
			struct table *t = &k->tables[kind][fam];

			for (uint32_t i = 0; i < t->n; i++)
				profile_put(&c->profiles, t->v[i].profile);
			profile_put(&c->profiles, t->base);
			free(t->v);
			free(t->steps);
		}
	for (uint32_t i = 0; i < k->npols; i++) {
		cpol_put(c, k->pols[i]);
		rule_put(c, k->ends[i]);
	}
	portset_put(&c->idents.sets, k->ports);
	free(k->pols);
	free(k->ends);
	free(k->actions);
	free(k->key.v);
	free(k);
}
