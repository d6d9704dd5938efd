/* Rows: what a table says of an identity, what changed of it, and how it decides. */
#include "config.h"

#include "felix/policy/calc_impl.h"

/* ---- rows ---- */

static bool same_row(const struct calc_row *a, const struct calc_row *b)
{
	return a->proto == b->proto && a->lo == b->lo && a->hi == b->hi && a->slo == b->slo &&
	       a->shi == b->shi && a->allow == b->allow && a->rule == b->rule && a->log == b->log;
}

static size_t rows_without(struct calc_row *out, const struct calc_row *v, uint32_t n,
			   const struct calc_row * not, uint32_t nnot)
{
	size_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool both = false;

		for (uint32_t k = 0; k < nnot && !both; k++)
			both = same_row(&v[i], &not [k]);
		if (!both)
			out[kept++] = v[i];
	}
	return kept;
}

/* From one's rows to the other's; NULL: no rows. */
static void pend(struct pvec *to, const struct calc_table *table, uint32_t ident,
		 const struct calc_row *del, uint32_t ndel, const struct calc_row *add,
		 uint32_t nadd)
{
	struct calc_change *ch = xmalloc(sizeof(*ch) + (ndel + nadd) * sizeof(struct calc_row));
	struct calc_row *rows = (struct calc_row *)(ch + 1);

	*ch = (struct calc_change){ .table = *table, .ident = ident, .del = rows };
	ch->ndel = rows_without(rows, del, ndel, add, nadd);
	ch->add = rows + ch->ndel;
	ch->nadd = rows_without(rows + ch->ndel, add, nadd, del, ndel);
	if (ch->ndel || ch->nadd)
		pvec_add(to, ch);
	else
		free(ch);
}

static struct calc_table table_key(const struct cclass *k, unsigned kind, unsigned fam)
{
	return (struct calc_table){ k->id, (uint8_t)fam, kind & 1, kind & 2 };
}

void class_rows_all(struct calc *c, const struct cclass *k)
{
	for (unsigned kind = 0; kind < TABLE_KINDS; kind++)
		for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
			const struct table *t = &k->tables[kind][fam];
			struct calc_table key = table_key(k, kind, fam);
			struct calc_change ch = { .table = key };
			uint32_t n;

			if (!t->there)
				continue;
			ch.add = flat_rows(t->base, NULL, &n);
			ch.nadd = n;
			c->ops.rows_add(c->arg, &ch);
			for (uint32_t i = 0; i < t->n; i++) {
				ch.ident = t->v[i].index;
				ch.add = flat_rows(t->v[i].profile, t->base, &n);
				ch.nadd = n;
				c->ops.rows_add(c->arg, &ch);
			}
		}
}

/* Where index stands in t->v, or would. */
static uint32_t table_at(const struct table *t, uint32_t index)
{
	uint32_t lo = 0, hi = t->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (t->v[mid].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct profile *table_get(const struct table *t, uint32_t index)
{
	uint32_t at = table_at(t, index);

	return at < t->n && t->v[at].index == index ? t->v[at].profile : NULL;
}

/* Takes p; NULL: as identity 0. */
static void table_set(struct calc *c, struct table *t, uint32_t index, struct profile *p)
{
	uint32_t at = table_at(t, index);
	bool there = at < t->n && t->v[at].index == index;

	if (there)
		profile_put(&c->profiles, t->v[at].profile);
	if (p && there) {
		t->v[at].profile = p;
	} else if (p) {
		t->v = xrealloc(t->v, (t->n + 1) * sizeof(*t->v));
		memmove(t->v + at + 1, t->v + at, (t->n - at) * sizeof(*t->v));
		t->v[at] = (struct assigned){ index, p };
		t->n++;
	} else if (there) {
		t->n--;
		memmove(t->v + at, t->v + at + 1, (t->n - at) * sizeof(*t->v));
	}
}

/* Rows of p beside base, copied: asking for the next ones would end them. */
static struct calc_row *rows_copy(struct profile *p, const struct profile *base, uint32_t *n)
{
	*n = 0;
	if (!p)
		return NULL;
	const struct calc_row *rows = flat_rows(p, base, n);
	struct calc_row *v = xmalloc((*n + 1) * sizeof(*v));

	memcpy(v, rows, *n * sizeof(*v));
	return v;
}

static void pend_profiles(struct pvec *to, const struct calc_table *key, uint32_t ident,
			  struct profile *was, const struct profile *was_base, struct profile *is,
			  const struct profile *is_base)
{
	uint32_t nwas, nis;
	struct calc_row *a = rows_copy(was, was_base, &nwas), *b = rows_copy(is, is_base, &nis);

	pend(to, key, ident, a, nwas, b, nis);
	free(a);
	free(b);
}

struct update {
	struct calc *c;
	const struct cclass *k;
	unsigned kind;
	struct table *t;
	struct calc_table key;
};

static void update_ident(struct update *u, const struct ident *i, struct pvec *to)
{
	struct profile *was = table_get(u->t, i->index);
	struct profile *is = profile_for(u->c, u->k, u->kind, u->t, i);

	if (is == u->t->base) {
		profile_put(&u->c->profiles, is);
		is = NULL;
	}
	if (is != was)
		pend_profiles(to, &u->key, i->index, was, u->t->base, is, u->t->base);
	table_set(u->c, u->t, i->index, is);
}

static struct pvec *phase_of(struct calc *c, uint32_t index)
{
	const struct ident *i = c->idents.by_index[index];

	if (!i || !i->refs)
		return &c->pending.del;
	return i->fresh ? &c->pending.add : &c->pending.change;
}

/* Identity 0 has other rows: all others say what differs from them. */
static void update_all(struct update *u)
{
	struct table was = *u->t;
	uint32_t a = 0, b = 0;

	u->t->v = NULL;
	u->t->n = 0;
	table_build(u->c, u->k, u->kind, u->key.fam, u->t);
	pend_profiles(&u->c->pending.change, &u->key, 0, was.base, NULL, u->t->base, NULL);
	while (a < was.n || b < u->t->n) {
		const struct assigned *x = a < was.n ? &was.v[a] : NULL,
				      *y = b < u->t->n ? &u->t->v[b] : NULL;
		uint32_t index = !y || (x && x->index < y->index) ? x->index : y->index;
		bool in_was = x && x->index == index, in_is = y && y->index == index;

		pend_profiles(phase_of(u->c, index), &u->key, index, in_was ? x->profile : NULL,
			      was.base, in_is ? y->profile : NULL, u->t->base);
		a += in_was;
		b += in_is;
	}
	for (uint32_t i = 0; i < was.n; i++)
		profile_put(&u->c->profiles, was.v[i].profile);
	profile_put(&u->c->profiles, was.base);
	free(was.v);
}

static bool base_changes(struct update *u)
{
	struct ident *w = u->c->idents.world[u->key.fam];
	bool other;

	if (!w->rekeyed)
		return false;
	struct profile *is = profile_for(u->c, u->k, u->kind, u->t, w);

	other = is != u->t->base;
	profile_put(&u->c->profiles, is);
	return other;
}

static void table_update(struct update *u)
{
	struct idents *t = &u->c->idents;

	if (base_changes(u)) {
		update_all(u);
		return;
	}
	for (uint32_t i = 0; i < t->fresh.n; i++)
		if (((struct ident *)t->fresh.v[i])->fam == u->key.fam)
			update_ident(u, t->fresh.v[i], &u->c->pending.add);
	for (uint32_t i = 0; i < t->rekeyed.n; i++) {
		const struct ident *x = t->rekeyed.v[i];

		if (x->fam == u->key.fam && x->index >= IDENT_WORLDS)
			update_ident(u, x, &u->c->pending.change);
	}
	for (uint32_t i = 0; i < t->gone.n; i++) {
		const struct ident *x = t->gone.v[i];
		struct profile *was = table_get(u->t, x->index);

		if (x->fam != u->key.fam || x->index == IDENT_UNSET || !was)
			continue;
		pend_profiles(&u->c->pending.del, &u->key, x->index, was, u->t->base, NULL, NULL);
		table_set(u->c, u->t, x->index, NULL);
	}
}

void class_update(struct calc *c, struct cclass *k)
{
	for (unsigned kind = 0; kind < TABLE_KINDS; kind++)
		for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
			struct update u = { c, k, kind, &k->tables[kind][fam],
					    table_key(k, kind, fam) };

			if (u.t->there)
				table_update(&u);
		}
}

/* ---- lookup ---- */

static const struct cclass *class_find(const struct calc *c, uint32_t id)
{
	return id < c->class_by_id.n ? c->class_by_id.v[id] : NULL;
}

bool calc_lookup(const struct calc *c, const struct calc_table *key, uint32_t ident, uint8_t proto,
		 uint16_t sport, uint16_t dport, struct calc_row *row)
{
	const struct cclass *k = class_find(c, key->class_);
	const struct table *t;
	struct profile *p;

	if (!k)
		return false;
	t = &k->tables[key->dir | (key->staged ? 2 : 0)][key->fam];
	if (!t->there)
		return false;
	/* As the rows say it, for that is what is in force. */
	for (unsigned i = 0; i < 2; i++) {
		const struct calc_row *v, *all = NULL;
		uint32_t n;

		p = i ? t->base : ident ? table_get(t, ident) : NULL;
		if (!p)
			continue;
		v = flat_rows(p, i ? NULL : t->base, &n);
		for (uint32_t r = 0; r < n; r++) {
			if (v[r].proto == CALC_ALL_PROTOCOLS)
				all = &v[r];
			else if (v[r].proto == proto && dport >= v[r].lo && dport <= v[r].hi &&
				 sport >= v[r].slo && sport <= v[r].shi) {
				*row = v[r];
				return true;
			}
		}
		if (all) {
			*row = *all;
			return true;
		}
	}
	return false;
}
