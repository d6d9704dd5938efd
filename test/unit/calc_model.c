#include "config.h"

#include "test/unit/calc_model.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"

struct told_row {
	struct calc_table table;
	uint32_t ident;
	struct calc_row row;
};
struct told_addr {
	struct addr addr;
	uint32_t ident;
};
struct told_endpoint {
	uint64_t id;
	uint32_t class_;
};

enum { MAX_ROWS = 1 << 16, MAX_THINGS = 1024 };

struct model {
	struct calc *c;
	struct told_row *rows;
	unsigned nrows, naddrs, nendpoints;
	struct told_addr addrs[MAX_THINGS];
	struct told_endpoint endpoints[MAX_THINGS];
	struct calc_atom *atoms[3];
	size_t natoms[3];
	uint8_t idents[MAX_THINGS]; /* its family */
	bool classes[MAX_THINGS];
};

struct model *model_new(void)
{
	struct model *m = xcalloc(1, sizeof(*m));

	m->rows = xmalloc(MAX_ROWS * sizeof(*m->rows));
	return m;
}

void model_free(struct model *m)
{
	free(m->rows);
	free(m->atoms[FAM_V4]);
	free(m->atoms[FAM_V6]);
	free(m);
}

void model_of(struct model *m, struct calc *c)
{
	m->c = c;
}

static bool same_table(const struct calc_table *a, const struct calc_table *b)
{
	return a->class_ == b->class_ && a->fam == b->fam && a->dir == b->dir &&
	       a->staged == b->staged;
}

static bool same_key(const struct calc_row *a, const struct calc_row *b)
{
	return a->proto == b->proto && a->lo == b->lo && a->hi == b->hi && a->slo == b->slo &&
	       a->shi == b->shi;
}

static bool same_row(const struct calc_row *a, const struct calc_row *b)
{
	return same_key(a, b) && a->allow == b->allow && a->rule == b->rule && a->log == b->log;
}

static bool overlap(const struct calc_row *a, const struct calc_row *b)
{
	return a->proto == b->proto && a->lo <= b->hi && b->lo <= a->hi && a->slo <= b->shi &&
	       b->slo <= a->shi;
}

static void check_target(const struct model *m, const struct calc_change *ch)
{
	ck_assert_uint_lt(ch->table.class_, MAX_THINGS);
	ck_assert_uint_lt(ch->ident, MAX_THINGS);
	ck_assert(m->classes[ch->table.class_]);
	if (ch->ident)
		ck_assert_uint_eq(m->idents[ch->ident], ch->table.fam);
}

static void change(struct model *m, const struct calc_change *ch)
{
	check_target(m, ch);
	for (size_t i = 0; i < ch->ndel; i++) {
		unsigned k = 0;

		while (k < m->nrows &&
		       !(same_table(&m->rows[k].table, &ch->table) &&
			 m->rows[k].ident == ch->ident && same_row(&m->rows[k].row, &ch->del[i])))
			k++;
		ck_assert_msg(k < m->nrows, "a row is deleted that is not there");
		m->rows[k] = m->rows[--m->nrows];
	}
	for (size_t i = 0; i < ch->nadd; i++) {
		for (unsigned k = 0; k < m->nrows; k++)
			ck_assert_msg(!(same_table(&m->rows[k].table, &ch->table) &&
					m->rows[k].ident == ch->ident &&
					overlap(&m->rows[k].row, &ch->add[i])),
				      "rows overlap");
		ck_assert_uint_lt(m->nrows, MAX_ROWS);
		m->rows[m->nrows++] = (struct told_row){ ch->table, ch->ident, ch->add[i] };
	}
}

static void on_class_add(void *arg, uint32_t class_)
{
	struct model *m = arg;

	ck_assert(class_ && class_ < MAX_THINGS && !m->classes[class_]);
	m->classes[class_] = true;
}

static void on_ident_add(void *arg, uint32_t ident, enum family fam)
{
	struct model *m = arg;

	ck_assert(ident && ident < MAX_THINGS && !m->idents[ident]);
	m->idents[ident] = fam;
}

static void on_rows_add(void *arg, const struct calc_change *ch)
{
	ck_assert_uint_eq(ch->ndel, 0);
	change(arg, ch);
}

static void on_rows_change(void *arg, const struct calc_change *ch)
{
	change(arg, ch);
}

static void on_rows_del(void *arg, const struct calc_change *ch)
{
	ck_assert_uint_eq(ch->nadd, 0);
	change(arg, ch);
}

static void on_address(void *arg, const struct addr *a, uint32_t ident)
{
	struct model *m = arg;
	unsigned k = 0;

	ck_assert(!ident || m->idents[ident] == a->fam);
	while (k < m->naddrs && !addr_eq(&m->addrs[k].addr, a))
		k++;
	if (k == m->naddrs)
		m->naddrs++;
	ck_assert_uint_lt(m->naddrs, MAX_THINGS);
	m->addrs[k] = (struct told_addr){ *a, ident };
}

static void on_address_del(void *arg, const struct addr *a)
{
	struct model *m = arg;
	unsigned k = 0;

	while (k < m->naddrs && !addr_eq(&m->addrs[k].addr, a))
		k++;
	ck_assert_uint_lt(k, m->naddrs);
	m->addrs[k] = m->addrs[--m->naddrs];
}

static void on_atoms(void *arg, enum family fam, const struct calc_atom *v, size_t n)
{
	struct model *m = arg;

	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(m->idents[v[i].ident], fam);
		ck_assert_int_le(addr_cmp(&v[i].first, &v[i].last), 0);
		if (i)
			ck_assert_int_lt(addr_cmp(&v[i - 1].last, &v[i].first), 0);
	}
	free(m->atoms[fam]);
	m->atoms[fam] = xmalloc((n + 1) * sizeof(*v));
	if (n)
		memcpy(m->atoms[fam], v, n * sizeof(*v));
	m->natoms[fam] = n;
}

static void on_endpoint(void *arg, uint64_t id, uint32_t class_)
{
	struct model *m = arg;
	unsigned k = 0;

	ck_assert(class_ == CALC_CLASS_NONE || m->classes[class_]);
	while (k < m->nendpoints && m->endpoints[k].id != id)
		k++;
	if (k == m->nendpoints)
		m->nendpoints++;
	m->endpoints[k] = (struct told_endpoint){ id, class_ };
}

static void on_endpoint_del(void *arg, uint64_t id)
{
	struct model *m = arg;
	unsigned k = 0;

	while (k < m->nendpoints && m->endpoints[k].id != id)
		k++;
	ck_assert_uint_lt(k, m->nendpoints);
	m->endpoints[k] = m->endpoints[--m->nendpoints];
}

static void on_ident_del(void *arg, uint32_t ident, enum family fam)
{
	struct model *m = arg;

	ck_assert_uint_eq(m->idents[ident], fam);
	for (unsigned k = 0; k < m->naddrs; k++)
		ck_assert_uint_ne(m->addrs[k].ident, ident);
	for (size_t k = 0; k < m->natoms[fam]; k++)
		ck_assert_uint_ne(m->atoms[fam][k].ident, ident);
	m->idents[ident] = 0;
	calc_ident_done(m->c, ident);
}

static void on_class_del(void *arg, uint32_t class_)
{
	struct model *m = arg;

	ck_assert(m->classes[class_]);
	for (unsigned k = 0; k < m->nendpoints; k++)
		ck_assert_uint_ne(m->endpoints[k].class_, class_);
	for (unsigned k = 0; k < m->nrows;)
		if (m->rows[k].table.class_ == class_)
			m->rows[k] = m->rows[--m->nrows];
		else
			k++;
	m->classes[class_] = false;
	calc_class_done(m->c, class_);
}

const struct calc_ops model_ops = {
	.class_add = on_class_add,
	.ident_add = on_ident_add,
	.rows_add = on_rows_add,
	.rows_change = on_rows_change,
	.address = on_address,
	.atoms = on_atoms,
	.endpoint = on_endpoint,
	.endpoint_del = on_endpoint_del,
	.address_del = on_address_del,
	.rows_del = on_rows_del,
	.ident_del = on_ident_del,
	.class_del = on_class_del,
};

/* ---- what follows ---- */

uint32_t model_ident(const struct model *m, const struct addr *a)
{
	for (unsigned k = 0; k < m->naddrs; k++)
		if (addr_eq(&m->addrs[k].addr, a))
			return m->addrs[k].ident;
	for (size_t k = 0; k < m->natoms[a->fam]; k++)
		if (addr_cmp(&m->atoms[a->fam][k].first, a) <= 0 &&
		    addr_cmp(a, &m->atoms[a->fam][k].last) <= 0)
			return m->atoms[a->fam][k].ident;
	return 0;
}

uint32_t model_class(const struct model *m, uint64_t endpoint)
{
	for (unsigned k = 0; k < m->nendpoints; k++)
		if (m->endpoints[k].id == endpoint)
			return m->endpoints[k].class_;
	return CALC_CLASS_NONE;
}

static bool probe(const struct model *m, const struct calc_table *t, uint32_t ident, bool all,
		  uint8_t proto, uint16_t sport, uint16_t dport, struct calc_row *row)
{
	for (unsigned k = 0; k < m->nrows; k++) {
		const struct calc_row *r = &m->rows[k].row;

		if (m->rows[k].ident != ident || !same_table(&m->rows[k].table, t))
			continue;
		if (all ? r->proto != CALC_ALL_PROTOCOLS
			: r->proto != proto || dport < r->lo || dport > r->hi || sport < r->slo ||
				    sport > r->shi)
			continue;
		*row = *r;
		return true;
	}
	return false;
}

bool model_lookup(const struct model *m, const struct calc_table *t, uint32_t ident, uint8_t proto,
		  uint16_t sport, uint16_t dport, struct calc_row *row)
{
	if (ident && (probe(m, t, ident, false, proto, sport, dport, row) ||
		      probe(m, t, ident, true, proto, sport, dport, row)))
		return true;
	return probe(m, t, 0, false, proto, sport, dport, row) ||
	       probe(m, t, 0, true, proto, sport, dport, row);
}

bool model_empty(const struct model *m)
{
	unsigned left = 0;

	/* Rows of identities that are gone, in classes that stayed, were to be deleted. */
	for (unsigned i = 0; i < MAX_THINGS; i++)
		left += m->idents[i] || m->classes[i];
	return !left && !m->nrows && !m->naddrs && !m->nendpoints && !m->natoms[FAM_V4] &&
	       !m->natoms[FAM_V6];
}
