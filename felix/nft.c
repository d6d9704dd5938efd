#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "felix/nft_impl.h"
#include "lib/arena.h"

struct nft *nft_open(const struct nft_config *config, struct err *err)
{
	struct nft_sock *sock;
	uint32_t gen;

	if (!config->prefix || strlen(config->prefix) != 4) {
		err_set(err, "nftables: a prefix of interfaces has 4 characters");
		return NULL;
	}
	sock = nft_sock_open(err);
	if (!sock)
		return NULL;
	if (nft_sock_generation(sock, &gen, err) < 0) {
		err_ctx(err, "this kernel has no nftables, or felix lacks CAP_NET_ADMIN");
		nft_sock_close(sock);
		return NULL;
	}
	struct nft *n = xcalloc(1, sizeof(*n));
	n->config = *config;
	n->sock = sock;
	n->gen = gen;
	n->reload = n->pending = true;
	nb_init(&n->b);
	kmap_init(&n->addrs, sizeof(struct addr), sizeof(struct n_addr));
	kmap_init(&n->classes, sizeof(uint32_t), sizeof(struct n_class_ref));
	kmap_init(&n->eps, sizeof(uint64_t), sizeof(struct n_ep));
	kmap_init(&n->totals, sizeof(uint32_t), sizeof(struct n_total));
	kmap_init(&n->leaving, sizeof(uint32_t), sizeof(struct n_total));
	return n;
}

void n_class_free(struct n_class *c)
{
	for (unsigned f = 0; f < FAMS; f++)
		for (unsigned d = 0; d < DIRS; d++) {
			kmap_free(&c->tab[f][d].rows);
			free(c->tab[f][d].pend);
		}
	free(c);
}

void nft_close(struct nft *n)
{
	if (!n)
		return;
	KMAP_EACH(&n->classes, struct n_class_ref, r)
	n_class_free(r->c);
	kmap_free(&n->classes);
	kmap_free(&n->addrs);
	kmap_free(&n->eps);
	kmap_free(&n->totals);
	kmap_free(&n->leaving);
	for (unsigned f = 0; f < FAMS; f++)
		free(n->atoms[f]);
	free(n->pend_addrs);
	free(n->garbage);
	nb_free(&n->b);
	nft_sock_close(n->sock);
	free(n);
}

bool nft_pending(const struct nft *n)
{
	return n->pending;
}

void nft_resync(struct nft *n)
{
	n->reload = n->pending = true;
}

/* --- what the calc graph says --- */

static struct n_class *class_of(struct nft *n, uint32_t id)
{
	struct n_class_ref *r = kmap_get(&n->classes, &id);

	return r ? r->c : NULL;
}

static void op_class_add(void *arg, uint32_t id)
{
	struct nft *n = arg;
	struct n_class_ref *r = kmap_put(&n->classes, &id);

	n->pending = true;
	if (!r->c) {
		r->c = xcalloc(1, sizeof(*r->c));
		r->c->id = id;
		for (unsigned f = 0; f < FAMS; f++)
			for (unsigned d = 0; d < DIRS; d++)
				kmap_init(&r->c->tab[f][d].rows, sizeof(struct n_row_key),
					  sizeof(struct n_row));
	}
	r->c->touched = true;
	r->c->gone = false;
}

static void op_class_del(void *arg, uint32_t id)
{
	struct nft *n = arg;
	struct n_class *c = class_of(n, id);

	if (c)
		c->gone = c->touched = n->pending = true;
}

static struct n_row row_of(uint32_t ident, const struct calc_row *r)
{
	return (struct n_row){ .k = { .ident = ident,
				      .proto = r->proto,
				      .lo = r->lo,
				      .hi = r->hi,
				      .slo = r->slo,
				      .shi = r->shi },
			       .rule = r->rule,
			       .allow = r->allow };
}

static void pend(struct n_tab *t, enum n_phase phase, const struct n_row *row, bool del)
{
	/* A second flush before the commit: what leaves in the first may come again in the second.
	 * A new chain has just what is wanted in the end. */
	if (t->npend && phase < t->pend[t->npend - 1].phase) {
		size_t keep = 0;

		for (size_t i = 0; i < t->npend; i++)
			if (t->pend[i].phase != PHASE_DEL)
				t->pend[keep++] = t->pend[i];
		t->npend = keep;
		t->stale = true;
	}
	if (t->npend == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 16;
		t->pend = xrealloc(t->pend, t->cap * sizeof(*t->pend));
	}
	t->pend[t->npend++] = (struct n_pend){ phase, del, *row };
}

static void rows(struct nft *n, const struct calc_change *ch, enum n_phase phase)
{
	struct n_class *c = class_of(n, ch->table.class_);

	if (!c || ch->table.staged || !family_bytes(ch->table.fam) || ch->table.dir >= DIRS)
		return;
	struct n_tab *t = &c->tab[ch->table.fam == FAM_V6][ch->table.dir];
	c->touched = n->pending = true;
	for (size_t i = 0; i < ch->ndel; i++) {
		struct n_row r = row_of(ch->ident, &ch->del[i]);
		struct n_row *have = kmap_get(&t->rows, &r.k);

		if (!have)
			continue;
		r = *have;
		kmap_del(&t->rows, &r.k);
		pend(t, phase, &r, true);
	}
	for (size_t i = 0; i < ch->nadd; i++) {
		struct n_row r = row_of(ch->ident, &ch->add[i]);

		*(struct n_row *)kmap_put(&t->rows, &r.k) = r;
		pend(t, phase, &r, false);
	}
}

static void op_rows_add(void *arg, const struct calc_change *c)
{
	rows(arg, c, PHASE_ADD);
}

static void op_rows_change(void *arg, const struct calc_change *c)
{
	rows(arg, c, PHASE_CHANGE);
}

static void op_rows_del(void *arg, const struct calc_change *c)
{
	rows(arg, c, PHASE_DEL);
}

static void pend_addr(struct nft *n, const struct addr *a)
{
	if (n->npend_addrs == n->cap_addrs) {
		n->cap_addrs = n->cap_addrs ? n->cap_addrs * 2 : 64;
		n->pend_addrs = xrealloc(n->pend_addrs, n->cap_addrs * sizeof(*n->pend_addrs));
	}
	n->pend_addrs[n->npend_addrs++] = *a;
	n->pending = true;
}

static void op_address(void *arg, const struct addr *a, uint32_t ident)
{
	struct nft *n = arg;
	struct n_addr *e = kmap_put(&n->addrs, a);

	e->ident = ident;
	e->del = false;
	pend_addr(n, a);
}

static void op_address_del(void *arg, const struct addr *a)
{
	struct nft *n = arg;
	struct n_addr *e = kmap_get(&n->addrs, a);

	if (!e)
		return;
	e->del = true;
	pend_addr(n, a);
}

static void op_atoms(void *arg, enum family fam, const struct calc_atom *v, size_t count)
{
	struct nft *n = arg;
	unsigned f = fam == FAM_V6;

	n->atoms[f] = xrealloc(n->atoms[f], (count + 1) * sizeof(*v));
	if (count)
		memcpy(n->atoms[f], v, count * sizeof(*v));
	n->natoms[f] = count;
	n->atoms_touched[f] = n->pending = true;
}

static void op_endpoint(void *arg, uint64_t id, uint32_t class_)
{
	struct nft *n = arg;
	struct n_ep *e = kmap_put(&n->eps, &id);

	e->class_ = class_;
	e->has_class = true;
	n->pending = true;
}

static void op_endpoint_del(void *arg, uint64_t id)
{
	struct nft *n = arg;
	struct n_ep *e = kmap_get(&n->eps, &id);

	if (!e)
		return;
	e->has_class = false;
	e->class_ = CALC_CLASS_NONE;
	n->pending = true;
}

void nft_iface(struct nft *n, uint64_t id, uint32_t ifindex)
{
	struct n_ep *e = kmap_put(&n->eps, &id);

	e->ifindex = ifindex;
	e->gone = false;
	n->pending = true;
}

void nft_iface_del(struct nft *n, uint64_t id)
{
	struct n_ep *e = kmap_get(&n->eps, &id);

	if (!e)
		return;
	e->ifindex = 0;
	e->gone = true;
	n->pending = true;
}

const struct calc_ops *nft_ops(void)
{
	static const struct calc_ops ops = {
		.class_add = op_class_add,
		.rows_add = op_rows_add,
		.rows_change = op_rows_change,
		.address = op_address,
		.atoms = op_atoms,
		.endpoint = op_endpoint,
		.endpoint_del = op_endpoint_del,
		.address_del = op_address_del,
		.rows_del = op_rows_del,
		.class_del = op_class_del,
	};

	return &ops;
}
