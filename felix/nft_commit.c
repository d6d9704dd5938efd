/* From what is wanted to transactions. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "felix/nft_impl.h"
#include "lib/arena.h"

/* How long a packet under way may look at what it was led to. */
enum { GRACE_NS = 1000 * 1000, RETRIES = 64 };

#define TABS(c, f, d, t)                                                                           \
	for (unsigned f = 0; f < FAMS; f++)                                                        \
		for (unsigned d = 0; d < DIRS; d++)                                                \
			for (struct n_tab *t = &(c)->tab[f][d]; t; t = NULL)

static void failed(struct nft *n, enum nft_object object, uint64_t id, const struct err *err)
{
	struct nft_result *r = n->res;

	if (r->failures < sizeof(r->failed) / sizeof(r->failed[0]))
		r->failed[r->failures] = (struct nft_failure){ object, id, *err };
	r->failures++;
}

/* Sends what is in the batch. 1: the object that failed is to be left out, try again. */
static int send_batch(struct nft *n)
{
	uint64_t cookie;
	uint32_t gen;
	struct err err;

	if (!nb_end(&n->b))
		return 0;
	if (nft_sock_generation(n->sock, &gen, &err) == 0 && gen != n->gen)
		n->foreign = true;
	n->res->transactions++;
	n->res->messages += n->b.n;
	n->res->bytes += n->b.used;
	int rc = nft_sock_commit(n->sock, &n->b, &cookie, &err);
	if (rc == 0) {
		struct err ignored;

		/* Where this fails, nft_changed() compares once too often. */
		if (nft_sock_generation(n->sock, &gen, &ignored) == 0)
			n->gen = gen;
		return 0;
	}
	enum nft_object object = (enum nft_object)(cookie >> 56);
	uint64_t id = cookie & (UINT64_MAX >> 8);
	if (object == NFT_OBJ_CLASS) {
		uint32_t class_ = (uint32_t)id;
		struct n_class_ref *r = kmap_get(&n->classes, &class_);

		failed(n, object, id, &err);
		if (r && !r->c->failed) {
			r->c->failed = true;
			return 1;
		}
		return -1;
	}
	if (object == NFT_OBJ_ENDPOINT) {
		struct n_ep *e = (struct n_ep *)(uintptr_t)id; /* none moves during a commit */

		failed(n, object, e->id, &err);
		if (!e->failed) {
			e->failed = true;
			return 1;
		}
		return -1;
	}
	failed(n, object ? object : NFT_OBJ_BASE, 0, &err);
	return -1;
}

/* --- which chain an endpoint is led to --- */

static const struct n_chain *current(const struct n_tab *t)
{
	return t->next.gen ? &t->next : &t->k;
}

static void chains_of(struct nft *n, const struct n_ep *e, struct n_chain out[FAMS][DIRS])
{
	struct n_class_ref *r = e->has_class ? kmap_get(&n->classes, &e->class_) : NULL;

	memset(out, 0, sizeof(struct n_chain) * FAMS * DIRS);
	if (!r || !e->ifindex)
		return;
	TABS(r->c, f, d, t)
	out[f][d] = *current(t);
}

static void put_endpoint(struct nft *n, const struct n_ep *e)
{
	struct n_chain chains[FAMS][DIRS];

	chains_of(n, e, chains);
	n_endpoint(n, e, e->ifindex, chains);
}

static void settle_endpoints(struct nft *n)
{
	KMAP_EACH(&n->eps, struct n_ep, e)
	{
		if (e->failed)
			continue;
		chains_of(n, e, e->k_chain);
		e->k_ifindex = e->ifindex;
	}
}

/* --- chains: in place or anew --- */

static bool in_place(const struct n_tab *t, enum family fam)
{
	unsigned changed = 0;
	bool zero = false, other = false;

	if (!t->k.gen || t->stale)
		return false;
	for (size_t i = 0; i < t->npend; i++) {
		const struct n_pend *p = &t->pend[i];
		enum nft_kind kind = n_kind(fam, &p->row);

		if (kind == K_KINDS)
			continue;
		if (!p->del && !(t->k.kinds[p->row.k.ident == 0] & 1u << kind))
			return false;
		/* What packets look at now has to change within one map and one look. */
		if (p->phase == PHASE_CHANGE) {
			changed |= 1u << kind;
			*(p->row.k.ident == 0 ? &zero : &other) = true;
		}
	}
	return (changed & (changed - 1)) == 0 && !(zero && other);
}

static void plan_next(struct n_class *c, struct n_tab *t, unsigned f, unsigned d)
{
	t->next = (struct n_chain){ .class_ = c->id,
				    .gen = ++c->last_gen,
				    .fam = (uint8_t)n_family(f),
				    .dir = (uint8_t)d };
	t->next.kinds[0] = n_kinds_of(t, n_family(f), false);
	t->next.kinds[1] = n_kinds_of(t, n_family(f), true);
}

static void write_chain(struct nft *n, const struct n_chain *c, const struct n_tab *t)
{
	n_chain_build(n, c);
	n_chain_fill(n, c, t);
}

static void put_phase(struct nft *n, const struct n_tab *t, enum n_phase phase)
{
	for (size_t i = 0; i < t->npend; i++)
		if (t->pend[i].phase == phase)
			n_chain_row(n, current(t), &t->pend[i].row, t->pend[i].del);
}

/* Counters of elements that are about to go, where the chain itself stays. */
static void retire_phase(struct nft *n, const struct n_class *c, enum n_phase phase)
{
	for (unsigned i = 0; i < FAMS * DIRS; i++) {
		const struct n_tab *t = &c->tab[i / DIRS][i % DIRS];

		for (size_t k = 0; k < t->npend && !t->next.gen; k++)
			if (t->pend[k].phase == phase && t->pend[k].del)
				n_retire_row(n, &t->k, &t->pend[k].row);
	}
}

static void pend_garbage(struct nft *n, const struct n_chain *c)
{
	if (!c->gen)
		return;
	if (n->ngarbage == n->cap_garbage) {
		n->cap_garbage = n->cap_garbage ? n->cap_garbage * 2 : 16;
		n->garbage = xrealloc(n->garbage, n->cap_garbage * sizeof(*n->garbage));
	}
	n->garbage[n->ngarbage++] = *c;
}

/* What nothing refers to yet: new chains, rows of new identities. */
static int phase_add(struct nft *n)
{
	int rc;

	KMAP_EACH(&n->classes, struct n_class_ref, r)
	{
		if (!r->c->touched || r->c->gone)
			continue;
		TABS(r->c, f, d, t)
		if (!in_place(t, n_family(f)))
			plan_next(r->c, t, f, d);
	}
	do {
		nb_begin(&n->b);
		KMAP_EACH(&n->classes, struct n_class_ref, r)
		{
			if (!r->c->touched || r->c->gone || r->c->failed)
				continue;
			TABS(r->c, f, d, t)
			{
				if (t->next.gen)
					write_chain(n, &t->next, t);
				else
					put_phase(n, t, PHASE_ADD);
			}
		}
		rc = send_batch(n);
	} while (rc == 1);
	KMAP_EACH(&n->classes, struct n_class_ref, r)
	TABS(r->c, f, d, t)
	{
		if (r->c->failed || rc < 0)
			t->next.gen = 0;
		else if (t->next.gen)
			n->res->flips++;
	}
	return rc;
}

static void put_address(struct nft *n, const struct addr *a)
{
	const struct n_addr *e = kmap_get(&n->addrs, a);

	if (!e || e->del || (e->has_k && e->k_ident == e->ident))
		return;
	if (e->has_k)
		n_address(n, a, e->k_ident, true);
	n_address(n, a, e->ident, false);
}

static int phase_switch(struct nft *n)
{
	int rc;

	KMAP_EACH(&n->classes, struct n_class_ref, r)
	if (r->c->touched && !r->c->gone && !r->c->failed)
		retire_phase(n, r->c, PHASE_CHANGE);
	do {
		nb_begin(&n->b);
		/* Deletions first: an address that came twice must not be added twice. */
		for (size_t i = 0; i < n->npend_addrs; i++)
			put_address(n, &n->pend_addrs[i]);
		for (unsigned f = 0; f < FAMS; f++) {
			if (!n->atoms_touched[f])
				continue;
			n->b.cookie = (uint64_t)NFT_OBJ_ATOMS << 56;
			nb_set_flush(&n->b, n_family(f), "atoms");
			n_atoms(n, n_family(f));
		}
		KMAP_EACH(&n->classes, struct n_class_ref, r)
		{
			if (!r->c->touched || r->c->gone || r->c->failed)
				continue;
			TABS(r->c, f, d, t)
			if (!t->next.gen)
				put_phase(n, t, PHASE_CHANGE);
		}
		KMAP_EACH(&n->eps, struct n_ep, e)
		if (!e->failed)
			put_endpoint(n, e);
		rc = send_batch(n);
	} while (rc == 1);
	if (rc < 0)
		return rc;
	settle_endpoints(n);
	for (size_t i = 0; i < n->npend_addrs; i++) {
		struct n_addr *e = kmap_get(&n->addrs, &n->pend_addrs[i]);

		if (e && !e->del) {
			e->has_k = true;
			e->k_ident = e->ident;
		}
	}
	return 0;
}

/* Is the chain still what an endpoint is led to? One that failed keeps its old one. */
static bool led_to(const struct nft *n, const struct n_chain *c)
{
	KMAP_EACH(&n->eps, struct n_ep, e)
	for (unsigned f = 0; f < FAMS; f++) {
		const struct n_chain *k = &e->k_chain[f][c->dir];

		if (n_family(f) == c->fam && k->class_ == c->class_ && k->gen == c->gen)
			return true;
	}
	return false;
}

static int phase_del(struct nft *n)
{
	const struct timespec grace = { .tv_nsec = GRACE_NS };
	size_t keep = 0;

	KMAP_EACH(&n->classes, struct n_class_ref, r)
	if (r->c->touched && !r->c->gone && !r->c->failed)
		retire_phase(n, r->c, PHASE_DEL);
	nb_begin(&n->b);
	for (size_t i = 0; i < n->npend_addrs; i++) {
		struct n_addr *e = kmap_get(&n->addrs, &n->pend_addrs[i]);

		if (!e || !e->del)
			continue;
		if (e->has_k)
			n_address(n, &n->pend_addrs[i], e->k_ident, true);
		kmap_del(&n->addrs, &n->pend_addrs[i]);
	}
	KMAP_EACH(&n->classes, struct n_class_ref, r)
	{
		TABS(r->c, f, d, t)
		{
			if (t->next.gen) {
				pend_garbage(n, &t->k);
				t->k = t->next;
				t->next.gen = 0;
				t->stale = false;
			}
			if (r->c->gone) {
				pend_garbage(n, &t->k);
				t->k.gen = 0;
			} else if (r->c->touched && !r->c->failed) {
				put_phase(n, t, PHASE_DEL);
			}
		}
	}
	for (size_t i = 0; i < n->ngarbage; i++) {
		if (led_to(n, &n->garbage[i])) {
			n->garbage[keep++] = n->garbage[i];
			continue;
		}
		n_retire(n, &n->garbage[i]);
		n_chain_drop(n, &n->garbage[i]);
	}
	n->ngarbage = keep;
	if (n->b.n > 1)
		nanosleep(&grace, NULL);
	return send_batch(n);
}

/* --- everything --- */

void n_write_all(struct nft *n, bool fresh)
{
	for (unsigned f = 0; f < FAMS; f++) {
		if (fresh) {
			/* Only what is there can be deleted. */
			n->b.cookie = (uint64_t)NFT_OBJ_BASE << 56;
			nb_table(&n->b, n_family(f));
			nb_table_del(&n->b, n_family(f));
		}
		n_base(n, n_family(f));
		n_atoms(n, n_family(f));
		KMAP_EACH(&n->addrs, struct n_addr, a)
		if (n_family(f) == a->a.fam && !a->del)
			n_address(n, &a->a, a->ident, false);
	}
	KMAP_EACH(&n->classes, struct n_class_ref, r)
	{
		if (r->c->gone || r->c->failed)
			continue;
		TABS(r->c, f, d, t)
		if (current(t)->gen)
			write_chain(n, current(t), t);
	}
	KMAP_EACH(&n->eps, struct n_ep, e)
	{
		struct n_ep empty = { .id = e->id };
		struct n_chain chains[FAMS][DIRS];

		if (e->failed)
			continue;
		chains_of(n, e, chains);
		n_endpoint(n, &empty, e->ifindex, chains);
	}
}

static int reload(struct nft *n)
{
	int rc;

	n->res->reloaded = true;
	KMAP_EACH(&n->classes, struct n_class_ref, r)
	TABS(r->c, f, d, t)
	{
		size_t keep = 0;

		if (n->loaded)
			n_retire(n, &t->k);
		for (size_t i = 0; i < t->npend; i++)
			if (t->pend[i].phase != PHASE_DEL)
				t->pend[keep++] = t->pend[i];
		t->npend = keep; /* all comes at once: nothing has to leave later */
		if (!r->c->gone)
			plan_next(r->c, t, f, d);
	}
	do {
		KMAP_EACH(&n->classes, struct n_class_ref, r)
		if (r->c->failed)
			TABS(r->c, f, d, t)
		t->next.gen = t->k.gen = 0;
		nb_begin(&n->b);
		n_write_all(n, true);
		rc = send_batch(n);
	} while (rc == 1);
	KMAP_EACH(&n->classes, struct n_class_ref, r)
	TABS(r->c, f, d, t)
	{
		if (rc == 0)
			t->k = t->next;
		t->next.gen = 0;
	}
	if (rc < 0)
		return rc;
	n->reload = n->foreign = false;
	n->loaded = true;
	n->ngarbage = 0;
	for (size_t i = 0; i < n->npend_addrs; i++) {
		struct n_addr *e = kmap_get(&n->addrs, &n->pend_addrs[i]);

		if (e && e->del)
			kmap_del(&n->addrs, &n->pend_addrs[i]);
	}
	KMAP_EACH(&n->addrs, struct n_addr, a)
	{
		a->has_k = true;
		a->k_ident = a->ident;
	}
	KMAP_EACH(&n->eps, struct n_ep, e)
	if (e->failed) {
		e->k_ifindex = 0;
		memset(e->k_chain, 0, sizeof(e->k_chain));
	}
	settle_endpoints(n);
	return 0;
}

/* --- the end of a commit --- */

static void forget_classes(struct nft *n)
{
	for (uint32_t i = 0;;) {
		struct n_class_ref *r = kmap_next(&n->classes, &i);

		if (!r)
			return;
		struct n_class *c = r->c;
		TABS(c, f, d, t)
		{
			t->npend = 0;
			t->stale = c->failed;
		}
		/* What failed is tried again, anew, when the next commit comes. */
		c->touched = c->failed;
		n->pending |= c->failed;
		c->failed = false;
		if (c->gone) {
			uint32_t id = c->id;

			n_class_free(c);
			kmap_del(&n->classes, &id);
			i = 0; /* entries moved */
		}
	}
}

static void forget_endpoints(struct nft *n)
{
	for (uint32_t i = 0;;) {
		struct n_ep *e = kmap_next(&n->eps, &i);

		if (!e)
			return;
		n->pending |= e->failed;
		if (!e->failed && !e->has_class && !e->ifindex) {
			uint64_t id = e->id;

			kmap_del(&n->eps, &id);
			i = 0;
			continue;
		}
		e->failed = false;
	}
}

int nft_commit(struct nft *n, struct nft_result *result)
{
	*result = (struct nft_result){ 0 };
	n->res = result;
	int rc = 0;
	if (n->reload) {
		rc = reload(n);
	} else if (n->pending) {
		rc = phase_add(n);
		if (rc == 0)
			rc = phase_switch(n);
		if (rc == 0)
			rc = phase_del(n);
	}
	n_retired(n, rc == 0);
	if (rc != 0) {
		/* Some of it may hold, some not: all is written anew the next time. */
		n->reload = true;
		KMAP_EACH(&n->classes, struct n_class_ref, r)
		{
			r->c->failed = false;
			TABS(r->c, f, d, t)
			t->next.gen = 0;
		}
		KMAP_EACH(&n->eps, struct n_ep, e)
		e->failed = false;
		n->res = NULL;
		return -1;
	}
	n->pending = false;
	n->npend_addrs = 0;
	n->atoms_touched[0] = n->atoms_touched[1] = false;
	forget_classes(n);
	forget_endpoints(n);
	n->res = NULL;
	return result->failures ? -1 : 0;
}
