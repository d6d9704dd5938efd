#include "config.h"

#include "felix/policy/flatten.h"

enum { TCP = 6, UDP = 17, SCTP = 132, ICMP = 1, ICMP6 = 58, OTHER = CALC_ALL_PROTOCOLS };

static bool has_ports(unsigned proto)
{
	return proto == TCP || proto == UDP || proto == SCTP;
}

static bool is_icmp(unsigned proto)
{
	return proto == ICMP || proto == ICMP6;
}

static uint16_t top_of(unsigned proto)
{
	return is_icmp(proto) ? 255 : 65535;
}

static bool same_value(const struct flat_value *a, const struct flat_value *b)
{
	return a->rule == b->rule && a->log == b->log && a->allow == b->allow;
}

static struct flat_value row_value(const struct calc_row *r)
{
	return (struct flat_value){ r->rule, r->log, r->allow };
}

static struct calc_row make_row(unsigned proto, struct flat_range d, struct flat_range s,
				const struct flat_value *v)
{
	return (struct calc_row){
		(uint16_t)proto, d.lo, d.hi, s.lo, s.hi, v->allow, v->rule, v->log
	};
}

/* ---- one point ---- */

static bool in_ranges(const struct flat_range *v, uint32_t n, uint16_t port)
{
	for (uint32_t i = 0; i < n; i++)
		if (port >= v[i].lo && port <= v[i].hi)
			return true;
	return false;
}

static bool ports_hold(const struct flat_ports *p, unsigned proto, uint16_t port)
{
	if (!has_ports(proto))
		return !p->asked;
	if (p->asked && !in_ranges(p->in, p->n_in, port))
		return false;
	return !in_ranges(p->out, p->n_out, port);
}

static bool icmp_is(const struct policy_icmp *want, unsigned proto, uint16_t type, uint16_t code)
{
	return is_icmp(proto) && want->type == type && (!want->has_code || want->code == code);
}

static bool step_holds(const struct flat_step *s, unsigned proto, uint16_t d, uint16_t src)
{
	if (s->end)
		return true;
	if (s->protocol.set && s->protocol.number != proto)
		return false;
	if (s->not_protocol.set && s->not_protocol.number == proto)
		return false;
	if (s->icmp && !icmp_is(s->icmp, proto, d, src))
		return false;
	if (s->not_icmp && icmp_is(s->not_icmp, proto, d, src))
		return false;
	return ports_hold(&s->dports, proto, d) && ports_hold(&s->sports, proto, src);
}

static struct flat_value decide(const struct flat_step *v, uint32_t n, struct flat_value last,
				unsigned proto, uint16_t d, uint16_t src)
{
	uint32_t log = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!step_holds(&v[i], proto, d, src))
			continue;
		if (v[i].action == POLICY_LOG) {
			log = log ? log : v[i].id;
		} else if (v[i].action == POLICY_PASS) {
			while (!v[i].end)
				i++;
		} else {
			return (struct flat_value){ v[i].id, log, v[i].action == POLICY_ALLOW };
		}
	}
	last.log = log;
	return last;
}

/* ---- where decisions may change ---- */

/* The first numbers of intervals; the first is 0. */
struct cuts {
	uint32_t *v, n, cap;
};

static void cut(struct cuts *c, uint32_t at)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 32;
		c->v = xrealloc(c->v, c->cap * sizeof(*c->v));
	}
	c->v[c->n++] = at;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void cuts_sort(struct cuts *c, uint32_t top)
{
	uint32_t kept = 0;

	qsort(c->v, c->n, sizeof(*c->v), by_number);
	for (uint32_t i = 0; i < c->n; i++)
		if (c->v[i] <= top && (!kept || c->v[kept - 1] != c->v[i]))
			c->v[kept++] = c->v[i];
	c->n = kept;
}

static struct flat_range cuts_range(const struct cuts *c, uint32_t i, uint16_t top)
{
	return (struct flat_range){ (uint16_t)c->v[i],
				    i + 1 < c->n ? (uint16_t)(c->v[i + 1] - 1) : top };
}

static void cut_range(struct cuts *c, uint32_t lo, uint32_t hi)
{
	cut(c, lo);
	cut(c, hi + 1);
}

static void cut_ports(struct cuts *c, const struct flat_ports *p)
{
	for (uint32_t i = 0; i < p->n_in; i++)
		cut_range(c, p->in[i].lo, p->in[i].hi);
	for (uint32_t i = 0; i < p->n_out; i++)
		cut_range(c, p->out[i].lo, p->out[i].hi);
}

static void cut_icmp(struct cuts *d, struct cuts *s, const struct policy_icmp *icmp)
{
	if (!icmp)
		return;
	cut_range(d, icmp->type, icmp->type);
	if (icmp->has_code)
		cut_range(s, icmp->code, icmp->code);
}

static void cut_steps(struct cuts *d, struct cuts *s, const struct flat_step *v, uint32_t n,
		      unsigned proto)
{
	d->n = s->n = 0;
	cut(d, 0);
	cut(s, 0);
	for (uint32_t i = 0; i < n; i++) {
		if (v[i].end || (v[i].protocol.set && v[i].protocol.number != proto))
			continue;
		if (has_ports(proto)) {
			cut_ports(d, &v[i].dports);
			cut_ports(s, &v[i].sports);
		} else if (is_icmp(proto)) {
			cut_icmp(d, s, v[i].icmp);
			cut_icmp(d, s, v[i].not_icmp);
		}
	}
	cuts_sort(d, top_of(proto));
	cuts_sort(s, top_of(proto));
}

/* ---- pieces ---- */

struct rows {
	struct calc_row *v;
	uint32_t n, cap;
};

static void row_add(struct rows *r, struct calc_row row)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 16;
		r->v = xrealloc(r->v, r->cap * sizeof(*r->v));
	}
	r->v[r->n++] = row;
}

/* In one column of destination ports: grows the row before where it can. */
static void row_add_source(struct rows *r, uint32_t column, struct calc_row row)
{
	struct calc_row *before = r->n > column ? &r->v[r->n - 1] : NULL;
	struct flat_value v = row_value(&row), w;

	if (before && before->shi + 1 == row.slo) {
		w = row_value(before);
		if (same_value(&v, &w)) {
			before->shi = row.shi;
			return;
		}
	}
	row_add(r, row);
}

/* The column from `column` on continues the one from `before` on: one of both. */
static bool columns_merge(struct rows *r, uint32_t before, uint32_t column)
{
	uint32_t n = r->n - column;

	if (!n || n != column - before || r->v[before].hi + 1 != r->v[column].lo)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		struct flat_value a = row_value(&r->v[before + i]),
				  b = row_value(&r->v[column + i]);

		if (r->v[before + i].slo != r->v[column + i].slo ||
		    r->v[before + i].shi != r->v[column + i].shi || !same_value(&a, &b))
			return false;
	}
	for (uint32_t i = 0; i < n; i++)
		r->v[before + i].hi = r->v[column + i].hi;
	r->n = column;
	return true;
}

typedef bool (*value_at)(const void *arg, unsigned proto, uint16_t d, uint16_t s,
			 struct flat_value *v);

/* Asks at a point of each cell; joins cells of the same value. False of value_at: no row there. */
static void pieces(struct rows *out, unsigned proto, const struct cuts *d, const struct cuts *s,
		   value_at at, const void *arg)
{
	uint32_t before = out->n, column;

	for (uint32_t i = 0; i < d->n; i++) {
		struct flat_range dr = cuts_range(d, i, top_of(proto));

		column = out->n;
		for (uint32_t k = 0; k < s->n; k++) {
			struct flat_range sr = cuts_range(s, k, top_of(proto));
			struct flat_value v;

			if (at(arg, proto, dr.lo, sr.lo, &v))
				row_add_source(out, column, make_row(proto, dr, sr, &v));
		}
		if (!columns_merge(out, before, column))
			before = column;
	}
}

/* ---- profiles ---- */

struct steps {
	const struct flat_step *v;
	uint32_t n;
	struct flat_value last;
};

static bool at_steps(const void *arg, unsigned proto, uint16_t d, uint16_t s, struct flat_value *v)
{
	const struct steps *st = arg;

	*v = decide(st->v, st->n, st->last, proto, d, s);
	return true;
}

static void name_protocols(bool *named, const struct flat_step *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (v[i].end)
			continue;
		if (v[i].protocol.set)
			named[v[i].protocol.number] = true;
		if (v[i].not_protocol.set)
			named[v[i].not_protocol.number] = true;
		if (v[i].icmp || v[i].not_icmp)
			named[ICMP] = named[ICMP6] = true;
		if (v[i].dports.asked || v[i].dports.n_out || v[i].sports.asked ||
		    v[i].sports.n_out)
			named[TCP] = named[UDP] = named[SCTP] = true;
	}
}

static bool profile_eq(const void *item, const void *key)
{
	const struct profile *a = item, *b = key;

	if (a->n != b->n || !same_value(&a->other, &b->other))
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct calc_row *x = &a->v[i], *y = &b->v[i];

		if (x->proto != y->proto || x->lo != y->lo || x->hi != y->hi || x->slo != y->slo ||
		    x->shi != y->shi || x->allow != y->allow || x->rule != y->rule ||
		    x->log != y->log)
			return false;
	}
	return true;
}

static uint32_t profile_hash(const struct flat_value *other, const struct rows *r)
{
	uint32_t h = hash_u64(other->allow, (uint64_t)other->rule << 32 | other->log);

	for (uint32_t i = 0; i < r->n; i++) {
		const struct calc_row *x = &r->v[i];

		h = hash_u64(h, (uint64_t)x->proto << 33 | (uint64_t)x->lo << 17 |
					(uint64_t)x->hi << 1 | x->allow);
		h = hash_u64(h, (uint64_t)x->slo << 16 | x->shi);
		h = hash_u64(h, (uint64_t)x->rule << 32 | x->log);
	}
	return h;
}

static struct profile *profile_get(struct profiles *profiles, const struct flat_value *other,
				   const struct rows *r)
{
	struct profile want = { .other = *other, .n = r->n, .v = r->v };
	struct profile *p;

	want.hash = profile_hash(other, r);
	p = hset_find(&profiles->set, want.hash, profile_eq, &want);
	if (p)
		return profile_ref(p);
	p = xmalloc(sizeof(*p));
	*p = want;
	p->refs = 1;
	p->serial = ++profiles->serial;
	p->v = xmalloc((r->n + 1) * sizeof(*p->v));
	if (r->n)
		memcpy(p->v, r->v, r->n * sizeof(*p->v));
	hset_add(&profiles->set, p);
	return p;
}

struct profile *flatten(struct profiles *profiles, const struct flat_step *v, uint32_t n,
			struct flat_value last)
{
	struct steps st = { v, n, last };
	struct flat_value other = decide(v, n, last, OTHER, 0, 0);
	struct cuts d = { 0 }, s = { 0 };
	struct rows out = { 0 };
	bool named[256] = { false };

	name_protocols(named, v, n);
	for (unsigned proto = 0; proto < 256; proto++) {
		uint32_t before = out.n;

		if (!named[proto])
			continue;
		cut_steps(&d, &s, v, n, proto);
		pieces(&out, proto, &d, &s, at_steps, &st);
		struct flat_value first = row_value(&out.v[before]);

		if (out.n == before + 1 && same_value(&first, &other))
			out.n = before;
	}
	struct profile *p = profile_get(profiles, &other, &out);

	free(d.v);
	free(s.v);
	free(out.v);
	return p;
}

struct profile *profile_ref(struct profile *p)
{
	p->refs++;
	return p;
}

void profile_free(struct profile *p)
{
	free(p->v);
	free(p->rows);
	free(p);
}

void profile_put(struct profiles *profiles, struct profile *p)
{
	if (!p || --p->refs)
		return;
	hset_remove(&profiles->set, p);
	profile_free(p);
}

/* ---- rows ---- */

static struct flat_value value_of(const struct profile *p, unsigned proto, uint16_t sport,
				  uint16_t dport)
{
	for (uint32_t i = 0; i < p->n; i++) {
		const struct calc_row *r = &p->v[i];

		if (r->proto == proto && dport >= r->lo && dport <= r->hi && sport >= r->slo &&
		    sport <= r->shi)
			return row_value(r);
	}
	return p->other;
}

struct flat_value profile_at(const struct profile *p, uint8_t proto, uint16_t sport, uint16_t dport)
{
	return value_of(p, proto, sport, dport);
}

struct pair {
	const struct profile *p, *base;
	struct flat_value rest; /* base NULL: what needs no row */
};

static bool at_pair(const void *arg, unsigned proto, uint16_t d, uint16_t s, struct flat_value *v)
{
	const struct pair *pair = arg;
	struct flat_value without = pair->base ? value_of(pair->base, proto, s, d) : pair->rest;

	*v = value_of(pair->p, proto, s, d);
	return !same_value(v, &without);
}

static void cut_profile(struct cuts *d, struct cuts *s, const struct profile *p, unsigned proto)
{
	for (uint32_t i = 0; i < p->n; i++) {
		if (p->v[i].proto != proto)
			continue;
		cut_range(d, p->v[i].lo, p->v[i].hi);
		cut_range(s, p->v[i].slo, p->v[i].shi);
	}
}

/* Rows where p and base differ; base NULL: where p differs from `rest`. */
static void differ(struct rows *out, const struct profile *p, const struct profile *base,
		   struct flat_value rest)
{
	struct pair pair = { p, base, rest };
	struct cuts d = { 0 }, s = { 0 };
	bool named[256] = { false };

	for (uint32_t i = 0; i < p->n; i++)
		named[p->v[i].proto] = true;
	for (uint32_t i = 0; base && i < base->n; i++)
		named[base->v[i].proto] = true;
	for (unsigned proto = 0; proto < 256; proto++) {
		if (!named[proto])
			continue;
		d.n = s.n = 0;
		cut(&d, 0);
		cut(&s, 0);
		cut_profile(&d, &s, p, proto);
		if (base)
			cut_profile(&d, &s, base, proto);
		cuts_sort(&d, top_of(proto));
		cuts_sort(&s, top_of(proto));
		pieces(out, proto, &d, &s, at_pair, &pair);
	}
	free(d.v);
	free(s.v);
}

static void row_all(struct rows *out, const struct flat_value *v)
{
	const struct flat_range full = { 0, 65535 };

	row_add(out, make_row(CALC_ALL_PROTOCOLS, full, full, v));
}

const struct calc_row *flat_rows(struct profile *p, const struct profile *base, uint32_t *n)
{
	struct rows own = { 0 }, beside = { 0 };

	uint64_t serial = base ? base->serial : 0;

	if (p->rows && p->rows_base == serial) {
		*n = p->nrows;
		return p->rows;
	}
	/* All of its own, or only what is different where the rest is the same. */
	differ(&own, p, NULL, p->other);
	row_all(&own, &p->other);
	if (base && same_value(&p->other, &base->other)) {
		differ(&beside, p, base, p->other);
		if (beside.n <= own.n) {
			struct rows swap = own;

			own = beside;
			beside = swap;
		}
	}
	free(beside.v);
	free(p->rows);
	p->rows_base = serial;
	p->rows = own.v ? own.v : xmalloc(sizeof(*own.v));
	*n = p->nrows = own.n;
	return p->rows;
}
