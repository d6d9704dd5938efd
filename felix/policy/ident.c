/* Which identity each address has. */
#include "config.h"

#include "felix/policy/ident.h"

/* ---- numbers ---- */

static void index_set(struct idents *t, struct ident *i, uint32_t index)
{
	if (index >= t->cap_index) {
		uint32_t cap = t->cap_index ? t->cap_index * 2 : 64;

		t->by_index = xrealloc(t->by_index, cap * sizeof(*t->by_index));
		memset(t->by_index + t->cap_index, 0, (cap - t->cap_index) * sizeof(*t->by_index));
		t->cap_index = cap;
	}
	if (index >= t->nindex)
		t->nindex = index + 1;
	t->by_index[index] = i;
	i->index = index;
}

void ident_number_done(struct idents *t, uint32_t index)
{
	if (t->nfree == t->cap_free) {
		t->cap_free = t->cap_free ? t->cap_free * 2 : 64;
		t->free_index = xrealloc(t->free_index, t->cap_free * sizeof(*t->free_index));
	}
	t->free_index[t->nfree++] = index;
}

/* ---- the table ---- */

static bool ident_eq(const void *item, const void *key)
{
	const struct ident *a = item, *b = key;

	return a->fam == b->fam && a->lset == b->lset && a->nc == b->nc;
}

static uint32_t ident_hash(uint8_t fam, const struct lset *lset, const struct netclass *nc)
{
	return hash_end(hash_u64(hash_u64(fam, (uintptr_t)lset), (uintptr_t)nc));
}

static struct ident *ident_find(const struct idents *t, uint8_t fam, struct lset *lset,
				struct netclass *nc)
{
	struct ident want = { .fam = fam, .lset = lset, .nc = nc };

	return hset_find(&t->idents, ident_hash(fam, lset, nc), ident_eq, &want);
}

static struct ident *ident_new(struct idents *t, uint8_t fam, struct lset *lset,
			       struct netclass *nc)
{
	struct ident *i = xcalloc(1, sizeof(*i));

	i->hash = ident_hash(fam, lset, nc);
	i->fam = fam;
	i->lset = lset ? lset_ref(lset) : NULL;
	i->nc = nc;
	nc->refs++;
	i->index = IDENT_UNSET;
	hset_add(&t->idents, i);
	return i;
}

static void ident_free(struct idents *t, struct ident *i)
{
	if (i->lset)
		lset_put(&t->sets, i->lset);
	netclass_put(t, i->nc);
	free(i);
}

/* ---- the worlds ---- */

static void touch_networks(struct idents *t, struct place *n)
{
	if (!n || !n->networks)
		return;
	if (n->nattrs)
		node_touch(t, n);
	touch_networks(t, n->child[0]);
	touch_networks(t, n->child[1]);
}

/* A world keeps its number whatever surrounds it. Who shared its old key, or has its new one
 * already, is a network: all of them choose anew. */
static void world_follow(struct idents *t, unsigned fam)
{
	struct ident *w = t->world[fam], *other;
	struct place *root = t->root[fam];

	if (root->nc == w->nc)
		return;
	hset_remove(&t->idents, w);
	netclass_put(t, w->nc);
	w->nc = root->nc;
	w->nc->refs++;
	w->hash = ident_hash(w->fam, NULL, w->nc);
	other = ident_find(t, w->fam, NULL, w->nc);
	if (other) {
		hset_remove(&t->idents, other);
		other->unhashed = true;
	}
	hset_add(&t->idents, w);
	w->rekeyed = true;
	pvec_add(&t->rekeyed, w);
	touch_networks(t, root);
}

/* ---- assignment ---- */

static struct ident *wanted(struct idents *t, struct place *n)
{
	struct lset *lset = NULL;
	struct ident *i;

	if (n->claims)
		lset = t->claim_lset(n->claims);
	else if (!n->nattrs && n->parent)
		return NULL;
	i = ident_find(t, n->fam, lset, n->nc);
	if (!i) {
		i = ident_new(t, n->fam, lset, n->nc);
		i->fresh = true;
		pvec_add(&t->fresh, i);
	}
	return i;
}

static void plan_move(struct idents *t, struct place *n)
{
	struct ident *old = n->ident;

	n->want = wanted(t, n);
	if (n->nattrs || (old && !old->lset))
		t->atoms_changed[n->fam] = true;
	if (old == n->want)
		return;
	if (n->want)
		n->want->joined = true;
	if (!old)
		return;
	if (!old->moving++)
		old->target = n->want;
	else if (old->target != n->want)
		old->target = NULL;
}

/* Where all of an identity becomes one that was not there, it keeps its number: its rows change and
 * no address has to be told. */
static void plan_heir(struct place *n)
{
	struct ident *old = n->ident, *to = n->want;

	if (!old || old == to || !to || old->moving != old->refs || old->joined ||
	    old->target != to || !to->fresh || old->index < IDENT_WORLDS)
		return;
	if (!to->heir_of || old->index < to->heir_of->index)
		to->heir_of = old;
}

static void number_fresh(struct idents *t)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->fresh.n; i++) {
		struct ident *to = t->fresh.v[i];

		if (to->heir_of) {
			index_set(t, to, to->heir_of->index);
			to->heir_of->index = IDENT_UNSET;
			to->heir_of = NULL;
			to->fresh = false;
			to->rekeyed = true;
			pvec_add(&t->rekeyed, to);
			continue;
		}
		index_set(t, to, t->nfree ? t->free_index[--t->nfree] : t->nindex);
		t->fresh.v[kept++] = to;
	}
	t->fresh.n = kept;
}

static void tell(struct idents *t, struct place *n)
{
	uint32_t id = n->claims ? ident_id(n->ident) : IDENT_UNSET;

	if (n->told == id)
		return;
	n->told = id;
	if (n->claims) {
		pvec_add(&t->moved, n);
		return;
	}
	struct addr *a = xmalloc(sizeof(*a));

	*a = node_addr(n);
	pvec_add(&t->lost, a);
}

static void leave(struct idents *t, struct ident *old)
{
	old->moving = 0;
	old->target = NULL;
	if (--old->refs)
		return;
	if (!old->unhashed)
		hset_remove(&t->idents, old);
	pvec_add(&t->gone, old);
}

void idents_assign(struct idents *t)
{
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++)
		world_follow(t, fam);
	for (uint32_t i = 0; i < t->touched.n; i++)
		plan_move(t, t->touched.v[i]);
	for (uint32_t i = 0; i < t->touched.n; i++)
		plan_heir(t->touched.v[i]);
	number_fresh(t);
	for (uint32_t i = 0; i < t->touched.n; i++) {
		struct place *n = t->touched.v[i];

		if (n->want && n->want != n->ident) {
			n->want->refs++;
			n->want->joined = false;
		}
	}
	for (uint32_t i = 0; i < t->touched.n; i++) {
		struct place *n = t->touched.v[i];

		if (n->ident && n->ident != n->want)
			leave(t, n->ident);
		n->ident = n->want;
		n->want = NULL;
		tell(t, n);
	}
}

void idents_end(struct idents *t)
{
	for (uint32_t i = 0; i < t->fresh.n; i++)
		((struct ident *)t->fresh.v[i])->fresh = false;
	for (uint32_t i = 0; i < t->rekeyed.n; i++)
		((struct ident *)t->rekeyed.v[i])->rekeyed = false;
	for (uint32_t i = 0; i < t->gone.n; i++) {
		struct ident *gone = t->gone.v[i];

		if (gone->index != IDENT_UNSET)
			t->by_index[gone->index] = NULL;
		ident_free(t, gone);
	}
	for (uint32_t i = 0; i < t->lost.n; i++)
		free(t->lost.v[i]);
	for (uint32_t i = 0; i < t->touched.n; i++) {
		struct place *n = t->touched.v[i];

		n->touched = false;
		node_prune(t, n);
	}
	t->fresh.n = t->rekeyed.n = t->gone.n = t->lost.n = t->moved.n = t->touched.n = 0;
	t->atoms_changed[FAM_V4] = t->atoms_changed[FAM_V6] = false;
}

uint32_t idents_of(const struct idents *t, const struct addr *a)
{
	const struct place *n = t->root[a->fam];
	const struct ident *best = n->ident;
	unsigned bits = family_bits(a->fam);
	struct addr masked;

	for (; n; n = n->len < bits ? n->child[a->b[n->len / 8] >> (7 - n->len % 8) & 1] : NULL) {
		struct prefix p = { *a, n->len };

		masked = prefix_mask(&p).addr;
		if (memcmp(masked.b, n->b, 16) != 0)
			break;
		if (n->ident)
			best = n->ident;
	}
	return ident_id(best);
}

/* ---- life ---- */

void idents_init(struct idents *t)
{
	idents_trie_init(t);
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
		struct ident *w = ident_new(t, (uint8_t)fam, NULL, t->empty);

		index_set(t, w, fam - FAM_V4);
		w->refs = 2; /* its root, and for good */
		t->world[fam] = w;
		t->root[fam]->ident = w;
	}
}

/* One by one, for their references to each other do not matter any more. */
void idents_free(struct idents *t)
{
	idents_trie_free(t);
	HSET_EACH(&t->idents, void, i)
	free(i);
	HSET_EACH(&t->netclasses, void, nc)
	free(nc);
	HSET_EACH(&t->attrs, struct attr, a)
	{
		free((void *)a->nets.v);
		free(a->key);
		free(a);
	}
	HSET_EACH(&t->sets.lsets, struct lset, l)
	{
		free(l->labels.v);
		free(l);
	}
	HSET_EACH(&t->sets.kvs, void, k)
	free(k);
	HSET_EACH(&t->sets.ports, void, p)
	free(p);
	hset_free(&t->idents);
	hset_free(&t->netclasses);
	hset_free(&t->attrs);
	hset_free(&t->sets.lsets);
	hset_free(&t->sets.kvs);
	hset_free(&t->sets.ports);
	pvec_free(&t->stale);
	pvec_free(&t->touched);
	pvec_free(&t->fresh);
	pvec_free(&t->rekeyed);
	pvec_free(&t->gone);
	pvec_free(&t->moved);
	for (uint32_t i = 0; i < t->lost.n; i++)
		free(t->lost.v[i]);
	pvec_free(&t->lost);
	free(t->by_index);
	free(t->free_index);
}
