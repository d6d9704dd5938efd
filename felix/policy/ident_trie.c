/* The trie of addresses and networks, and what surrounds each of its nodes. */
#include "config.h"

#include "felix/policy/ident.h"

/* ---- the lists around an address ---- */

struct attr_list {
	struct attr **v;
	uint32_t n;
};

static bool netclass_eq(const void *item, const void *key)
{
	const struct netclass *nc = item;
	const struct attr_list *want = key;

	return nc->n == want->n && (!nc->n || !memcmp(nc->v, want->v, nc->n * sizeof(*nc->v)));
}

static struct netclass *netclass_get(struct idents *t, const struct attr_list *l)
{
	uint32_t hash = HASH_SEED;

	for (uint32_t i = 0; i < l->n; i++)
		hash = hash_u64(hash, l->v[i]->id);
	struct netclass *nc = hset_find(&t->netclasses, hash, netclass_eq, l);

	if (nc) {
		nc->refs++;
		return nc;
	}
	nc = xmalloc(sizeof(*nc) + l->n * sizeof(*nc->v));
	nc->hash = hash;
	nc->refs = 1;
	nc->n = l->n;
	for (uint32_t i = 0; i < l->n; i++) {
		nc->v[i] = l->v[i];
		l->v[i]->refs++;
	}
	hset_add(&t->netclasses, nc);
	return nc;
}

void netclass_put(struct idents *t, struct netclass *nc)
{
	if (--nc->refs)
		return;
	hset_remove(&t->netclasses, nc);
	for (uint32_t i = 0; i < nc->n; i++)
		attr_put(t, nc->v[i]);
	free(nc);
}

bool netclass_has(const struct netclass *nc, const struct attr *a)
{
	for (uint32_t i = 0; i < nc->n; i++)
		if (nc->v[i] == a)
			return true;
	return false;
}

/* ---- attrs ---- */

static bool attr_eq(const void *item, const void *key)
{
	const struct attr *a = item, *want = key;

	return a->kind == want->kind && a->keylen == want->keylen &&
	       !memcmp(a->key, want->key, a->keylen);
}

struct attr *attr_get(struct idents *t, enum attr_kind kind, const void *key, size_t keylen)
{
	struct attr want = { .kind = kind, .key = (void *)key, .keylen = keylen };

	want.hash = hash_end(hash_bytes(HASH_SEED + kind, key, keylen));
	struct attr *a = hset_find(&t->attrs, want.hash, attr_eq, &want);

	if (a) {
		a->refs++;
		return a;
	}
	a = xmalloc(sizeof(*a));
	*a = want;
	a->key = xmalloc(keylen ? keylen : 1);
	memcpy(a->key, key, keylen);
	a->refs = 1;
	a->id = t->next_attr++;
	hset_add(&t->attrs, a);
	return a;
}

/* The trie's nodes and netclasses refer to it too: the owner empties it before it lets go. */
void attr_put(struct idents *t, struct attr *a)
{
	if (!a || --a->refs)
		return;
	hset_remove(&t->attrs, a);
	if (a->labels)
		lset_put(&t->sets, a->labels);
	free((void *)a->nets.v);
	free(a->key);
	free(a);
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

void attr_set_nets(struct idents *t, struct attr *a, const struct policy_nets *nets)
{
	struct prefix *v = xmalloc((nets->n + 1) * sizeof(*v));
	struct policy_nets old = a->nets;

	if (nets->n)
		memcpy(v, nets->v, nets->n * sizeof(*v));
	qsort(v, nets->n, sizeof(*v), by_prefix);
	a->nets = (struct policy_nets){ nets->n, v };
	for (uint32_t i = 0; i < nets->n; i++)
		attr_attach(t, a, &v[i]);
	for (uint32_t i = 0; i < old.n; i++)
		attr_detach(t, a, &old.v[i]);
	free((void *)old.v);
}

/* ---- nodes ---- */

static bool bit_of(const uint8_t *b, unsigned i)
{
	return b[i / 8] >> (7 - i % 8) & 1;
}

/* How many leading bits are the same, at most max. */
static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned max)
{
	unsigned i = 0;

	while (i + 8 <= max && a[i / 8] == b[i / 8])
		i += 8;
	if (i < max) {
		uint8_t x = a[i / 8] ^ b[i / 8];
		unsigned same = x ? (unsigned)__builtin_clz(x) - 24 : 8;

		i += same;
	}
	return i < max ? i : max;
}

static struct place *node_new(struct idents *t, uint8_t fam, const uint8_t *b, uint8_t len,
			      struct place *parent)
{
	struct place *n = xcalloc(1, sizeof(*n));

	n->fam = fam;
	n->len = len;
	memcpy(n->b, b, 16);
	if (len < 128) {
		n->b[len / 8] &= (uint8_t)(0xff00 >> len % 8);
		memset(n->b + len / 8 + 1, 0, 15u - len / 8);
	}
	n->parent = parent;
	n->told = IDENT_UNSET;
	n->nc = parent ? parent->nc : t->empty;
	n->nc->refs++;
	t->nnodes++;
	return n;
}

static void set_child(struct place *parent, struct place *child)
{
	parent->child[bit_of(child->b, parent->len)] = child;
	child->parent = parent;
}

static struct place *node_make(struct idents *t, uint8_t fam, const uint8_t *b, uint8_t len)
{
	struct place *n = t->root[fam];

	for (;;) {
		if (n->len == len)
			return n;
		struct place *c = n->child[bit_of(b, n->len)];

		if (!c) {
			c = node_new(t, fam, b, len, n);
			set_child(n, c);
			return c;
		}
		unsigned same = common_bits(b, c->b, len < c->len ? len : c->len);

		if (same == c->len) {
			n = c;
			continue;
		}
		struct place *mid = node_new(t, fam, b, (uint8_t)same, n);

		mid->networks = c->networks;
		set_child(n, mid);
		set_child(mid, c);
		if (same == len)
			return mid;
		n = mid;
	}
}

static struct place *lookup(const struct idents *t, uint8_t fam, const uint8_t *b, uint8_t len)
{
	struct place *n = t->root[fam];

	while (n && n->len < len)
		n = n->child[bit_of(b, n->len)];
	return n && n->len == len && common_bits(n->b, b, len) == len ? n : NULL;
}

const struct place *node_find(const struct idents *t, const struct addr *a)
{
	return lookup(t, a->fam, a->b, (uint8_t)family_bits(a->fam));
}

struct addr node_addr(const struct place *n)
{
	return addr_make(n->fam, n->b);
}

void node_prune(struct idents *t, struct place *n)
{
	while (n && n->parent && !n->nattrs && !n->claims && !n->stale && !n->touched &&
	       !n->ident && n->told == IDENT_UNSET && !(n->child[0] && n->child[1])) {
		struct place *parent = n->parent, *only = n->child[0] ? n->child[0] : n->child[1];

		if (only)
			set_child(parent, only);
		else
			parent->child[bit_of(n->b, parent->len)] = NULL;
		netclass_put(t, n->nc);
		free(n->attrs);
		free(n);
		t->nnodes--;
		n = only ? NULL : parent;
	}
}

void node_touch(struct idents *t, struct place *n)
{
	if (n->touched)
		return;
	n->touched = true;
	pvec_add(&t->touched, n);
}

static void node_stale(struct idents *t, struct place *n)
{
	if (n->stale)
		return;
	n->stale = true;
	pvec_add(&t->stale, n);
}

static void count_networks(struct place *n, int by)
{
	for (; n; n = n->parent)
		n->networks += (uint32_t)by;
}

void attr_attach(struct idents *t, struct attr *a, const struct prefix *p)
{
	struct place *n = node_make(t, p->addr.fam, p->addr.b, p->len);

	for (unsigned i = 0; i < n->nattrs; i++)
		if (n->attrs[i].attr == a) {
			n->attrs[i].refs++;
			return;
		}
	n->attrs = xrealloc(n->attrs, (n->nattrs + 1u) * sizeof(*n->attrs));
	n->attrs[n->nattrs++] = (struct node_attr){ a, 1 };
	a->refs++;
	if (n->nattrs == 1)
		count_networks(n, 1);
	node_stale(t, n);
}

void attr_detach(struct idents *t, struct attr *a, const struct prefix *p)
{
	struct place *n = lookup(t, p->addr.fam, p->addr.b, p->len);

	for (unsigned i = 0; i < n->nattrs; i++) {
		if (n->attrs[i].attr != a)
			continue;
		if (--n->attrs[i].refs)
			return;
		n->attrs[i] = n->attrs[--n->nattrs];
		if (!n->nattrs)
			count_networks(n, -1);
		node_stale(t, n);
		attr_put(t, a);
		return;
	}
}

/* ---- claims ---- */

void claim_add(struct idents *t, struct claim *c, const struct addr *a)
{
	struct place *n = node_make(t, a->fam, a->b, (uint8_t)family_bits(a->fam));
	struct claim **at = &n->claims;

	while (*at && t->claim_before(*at, c))
		at = &(*at)->next;
	c->next = *at;
	*at = c;
	c->node = n;
	node_touch(t, n);
}

void claim_remove(struct idents *t, struct claim *c)
{
	struct claim **at = &c->node->claims;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	node_touch(t, c->node);
	c->node = NULL;
}

/* ---- around ---- */

static int by_id(const void *a, const void *b)
{
	const struct attr *x = *(struct attr *const *)a, *y = *(struct attr *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static struct netclass *netclass_of(struct idents *t, const struct place *n)
{
	const struct netclass *up = n->parent ? n->parent->nc : t->empty;
	struct attr_list l = { xmalloc((up->n + n->nattrs + 1u) * sizeof(*l.v)), up->n };

	memcpy(l.v, up->v, up->n * sizeof(*l.v));
	for (unsigned i = 0; i < n->nattrs; i++)
		if (!netclass_has(up, n->attrs[i].attr))
			l.v[l.n++] = n->attrs[i].attr;
	qsort(l.v, l.n, sizeof(*l.v), by_id);
	struct netclass *nc = netclass_get(t, &l);

	free(l.v);
	return nc;
}

/* The depth is at most 128. */
static void surround(struct idents *t, struct place *n)
{
	struct netclass *nc;

	if (n->nattrs) {
		nc = netclass_of(t, n);
	} else {
		nc = n->parent ? n->parent->nc : t->empty;
		nc->refs++;
	}
	if (nc == n->nc) {
		netclass_put(t, nc);
		return;
	}
	netclass_put(t, n->nc);
	n->nc = nc;
	if (n->nattrs || n->claims)
		node_touch(t, n);
	for (unsigned i = 0; i < 2; i++)
		if (n->child[i])
			surround(t, n->child[i]);
}

static int by_len(const void *a, const void *b)
{
	const struct place *x = *(struct place *const *)a, *y = *(struct place *const *)b;

	return (int)x->len - (int)y->len;
}

void idents_surround(struct idents *t)
{
	if (t->stale.n)
		qsort(t->stale.v, t->stale.n, sizeof(*t->stale.v), by_len);
	for (uint32_t i = 0; i < t->stale.n; i++) {
		struct place *n = t->stale.v[i];

		n->stale = false;
		surround(t, n);
		node_touch(t, n); /* it may have become a network, or be none any more */
	}
	t->stale.n = 0;
}

const struct netclass *idents_around(const struct idents *t, const struct addr *a)
{
	const struct place *n = t->root[a->fam], *best = n;
	unsigned bits = family_bits(a->fam);

	while (n && n->len <= bits && common_bits(n->b, a->b, n->len) == n->len) {
		best = n;
		n = n->len < bits ? n->child[bit_of(a->b, n->len)] : NULL;
	}
	return best->nc;
}

/* ---- atoms ---- */

struct atoms {
	struct calc_atom *v;
	size_t n, cap;
};

static void atom_add(struct atoms *out, const struct addr *first, const struct addr *last,
		     uint32_t ident)
{
	if (!ident)
		return;
	if (out->n) {
		struct calc_atom *before = &out->v[out->n - 1];
		struct addr next = addr_add(&before->last, 1);

		if (before->ident == ident && addr_eq(&next, first)) {
			before->last = *last;
			return;
		}
	}
	if (out->n == out->cap) {
		out->cap = out->cap ? out->cap * 2 : 16;
		out->v = xrealloc(out->v, out->cap * sizeof(*out->v));
	}
	out->v[out->n++] = (struct calc_atom){ *first, *last, ident };
}

static struct addr last_of(const struct place *n)
{
	struct addr a = node_addr(n);

	for (unsigned i = n->len; i < family_bits(n->fam); i++)
		a.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	return a;
}

static struct addr addr_before(struct addr a)
{
	for (int i = (int)family_bytes(a.fam) - 1; i >= 0 && a.b[i]-- == 0; i--)
		;
	return a;
}

struct walk {
	struct addr at; /* what is before it is done */
	bool end;	/* all is done */
	struct atoms *out;
};

/* Emits what is left of n. */
static void atoms_below(const struct place *n, uint32_t ident, struct walk *w)
{
	struct addr last = last_of(n);

	/* Where a pod has the address itself, the address is told and no atom is looked at. */
	if (n->nattrs && !n->claims)
		ident = ident_id(n->ident);
	for (unsigned i = 0; i < 2; i++) {
		const struct place *c = n->child[i];

		if (!c || !c->networks)
			continue;
		struct addr first = node_addr(c);

		if (addr_cmp(&w->at, &first) < 0) {
			struct addr before = addr_before(first);

			atom_add(w->out, &w->at, &before, ident);
		}
		w->at = first;
		atoms_below(c, ident, w);
	}
	if (w->end || addr_cmp(&w->at, &last) > 0)
		return;
	atom_add(w->out, &w->at, &last, ident);
	w->at = addr_add(&last, 1);
	w->end = addr_cmp(&w->at, &last) < 0;
}

struct calc_atom *idents_atoms(const struct idents *t, enum family fam, size_t *n)
{
	struct atoms out = { 0 };
	struct walk w = { .at = node_addr(t->root[fam]), .out = &out };

	atoms_below(t->root[fam], 0, &w);
	*n = out.n;
	return out.v;
}

/* ---- life ---- */

static void node_free(struct place *n)
{
	if (!n)
		return;
	node_free(n->child[0]);
	node_free(n->child[1]);
	free(n->attrs);
	free(n);
}

void idents_trie_init(struct idents *t)
{
	static const uint8_t zero[16];
	struct attr_list none = { NULL, 0 };

	t->empty = netclass_get(t, &none);
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++)
		t->root[fam] = node_new(t, (uint8_t)fam, zero, 0, NULL);
}

void idents_trie_free(struct idents *t)
{
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++)
		node_free(t->root[fam]);
}
