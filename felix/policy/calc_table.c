/* Tables: what holds for each identity, from the rules of a class. */
#include "config.h"

#include "felix/policy/calc_impl.h"

/* ---- steps ---- */

static bool takes_part(const struct cpol *p, unsigned dir, bool staged)
{
	return p->policy->types[dir] && (staged || !p->policy->staged);
}

static bool has_staged(const struct cclass *k, unsigned dir)
{
	for (uint32_t i = 0; i < k->npols; i++)
		if (k->pols[i]->policy->staged && k->pols[i]->policy->types[dir])
			return true;
	return false;
}

static void table_steps(const struct cclass *k, struct table *t, unsigned kind, unsigned fam)
{
	unsigned dir = kind & 1;
	uint32_t max = 0;
	bool in_tier = false;

	for (uint32_t i = 0; i < k->npols; i++)
		max += k->pols[i]->n[dir] + 1;
	t->steps = xmalloc((max + 1) * sizeof(*t->steps));
	for (uint32_t i = 0; i < k->npols; i++) {
		const struct cpol *p = k->pols[i];

		if (takes_part(p, dir, kind & 2)) {
			in_tier = true;
			for (uint32_t n = 0; n < p->n[dir]; n++) {
				const struct crule *r = &p->rules[dir][n];

				if (r->rule->family && r->rule->family != fam)
					continue;
				if (own_takes(r, fam, k->lset, k->around))
					t->steps[t->nsteps++] =
						(struct cstep){ .rule = r,
								.action = r->rule->action };
			}
		}
		if (k->ends[i] && in_tier)
			t->steps[t->nsteps++] =
				(struct cstep){ .end_id = k->ends[i]->id, .action = k->actions[i] };
		in_tier = in_tier && !k->ends[i];
	}
}

/* ---- one identity in a table ---- */

static uint32_t resolve(struct arena *a, const struct policy_ports *ports,
			const struct portset *have, uint8_t proto, const struct flat_range **out)
{
	uint32_t n = 0, max = 0;

	for (uint32_t i = 0; i < ports->n; i++)
		max += ports->v[i].name ? (have ? have->n : 0) : 1;
	struct flat_range *v = arena_array(a, max + 1, sizeof(*v));

	for (uint32_t i = 0; i < ports->n; i++) {
		const struct policy_port *p = &ports->v[i];

		if (!p->name)
			v[n++] = (struct flat_range){ p->lo, p->hi };
		for (uint32_t k = 0; p->name && have && k < have->n; k++)
			if (have->v[k].protocol == proto && !strcmp(have->v[k].name, p->name))
				v[n++] = (struct flat_range){ have->v[k].port, have->v[k].port };
	}
	*out = v;
	return n;
}

static struct flat_ports flat_ports(struct arena *a, const struct entity *e,
				    const struct portset *have, uint8_t proto)
{
	struct flat_ports p = { .asked = e->ports.n > 0 };

	if (e->ports.n)
		p.n_in = resolve(a, &e->ports, have, proto, &p.in);
	if (e->not_ports.n)
		p.n_out = resolve(a, &e->not_ports, have, proto, &p.out);
	return p;
}

/* A service's port joins what the rule asks of ports; false: they exclude each other. */
static bool with_service(struct arena *a, const struct crule *r, struct flat_step *s)
{
	struct flat_range *one;
	bool in = !s->dports.asked;

	for (uint32_t i = 0; i < s->dports.n_in; i++)
		in |= s->dports.in[i].lo <= r->service_port &&
		      s->dports.in[i].hi >= r->service_port;
	if (!in || (s->protocol.set && s->protocol.number != r->service_proto))
		return false;
	one = arena_alloc(a, sizeof(*one));
	*one = (struct flat_range){ r->service_port, r->service_port };
	s->dports.asked = true;
	s->dports.in = one;
	s->dports.n_in = 1;
	s->protocol = (struct policy_protocol){ true, r->service_proto };
	return true;
}

static bool flat_step(struct arena *a, const struct cstep *st, unsigned dir,
		      const struct portset *own, const struct portset *remote,
		      struct flat_step *out)
{
	if (!st->rule) {
		*out = (struct flat_step){ .action = st->action, .end = true, .id = st->end_id };
		return true;
	}
	const struct rule *r = st->rule->rule;
	bool in = dir == POLICY_INGRESS;
	uint8_t proto = r->protocol.set	    ? r->protocol.number
			: st->rule->service ? st->rule->service_proto
					    : 0;

	*out = (struct flat_step){
		.action = r->action,
		.id = st->rule->ref ? st->rule->ref->id : 0,
		.protocol = r->protocol,
		.not_protocol = r->not_protocol,
		.icmp = r->icmp.set ? &r->icmp : NULL,
		.not_icmp = r->not_icmp.set ? &r->not_icmp : NULL,
		.dports = flat_ports(a, &r->destination, in ? own : remote, proto),
		.sports = flat_ports(a, &r->source, in ? remote : own, proto),
	};
	return !st->rule->service || with_service(a, st->rule, out);
}

/* What follows for an identity for which exactly these steps hold. */
static struct profile *profile_of(struct calc *c, const struct cclass *k, unsigned kind,
				  const struct table *t, const uint32_t *steps, uint32_t n,
				  const struct ident *i)
{
	static const struct flat_value nobody = { 0, 0, true };
	struct flat_step *v = arena_array(&c->scratch, n + 1, sizeof(*v));
	uint32_t kept = 0;

	for (uint32_t s = 0; s < n; s++)
		if (flat_step(&c->scratch, &t->steps[steps[s]], kind & 1, k->ports,
			      i->lset ? i->lset->ports : NULL, &v[kept]))
			kept++;
	struct profile *p = flatten(&c->profiles, v, kept, nobody);

	arena_reset(&c->scratch);
	return p;
}

static bool step_holds(const struct cstep *s, const struct ident *i)
{
	return !s->rule || !s->rule->remote || peer_has(s->rule->remote, i->index);
}

struct profile *profile_for(struct calc *c, const struct cclass *k, unsigned kind,
			    const struct table *t, const struct ident *i)
{
	uint32_t *steps = xmalloc((t->nsteps + 1) * sizeof(*steps)), n = 0;

	for (uint32_t s = 0; s < t->nsteps; s++)
		if (step_holds(&t->steps[s], i))
			steps[n++] = s;
	struct profile *p = profile_of(c, k, kind, t, steps, n, i);

	free(steps);
	return p;
}

/* ---- a whole table ---- */

/* The steps that hold for each identity: of those that ask about it. */
struct asked {
	uint32_t *first; /* by index: where its steps begin; one more at the end */
	uint32_t *steps;
};

static bool asks(const struct cstep *s)
{
	return s->rule && (s->rule->remote || s->rule->remote_names);
}

static const struct ident *live(const struct calc *c, uint32_t index, unsigned fam)
{
	const struct ident *i = index < c->idents.nindex ? c->idents.by_index[index] : NULL;

	return i && i->refs && i->fam == fam ? i : NULL;
}

static void each_asked(const struct calc *c, const struct table *t, struct asked *a, bool fill)
{
	uint32_t n = c->idents.nindex;

	for (uint32_t s = 0; s < t->nsteps; s++) {
		const struct cstep *st = &t->steps[s];

		if (!asks(st))
			continue;
		const struct peer *p = st->rule->remote;
		uint32_t words = p ? p->words : (n + 63) / 64;

		for (uint32_t w = 0; w < words; w++) {
			uint64_t bits = p ? p->bits[w] : UINT64_MAX;

			for (; bits; bits &= bits - 1) {
				uint32_t index = w * 64 + (uint32_t)__builtin_ctzll(bits);

				if (index >= n)
					break;
				if (fill)
					a->steps[a->first[index]] = s;
				a->first[index]++;
			}
		}
	}
}

static void find_asked(const struct calc *c, const struct table *t, struct asked *a)
{
	uint32_t n = c->idents.nindex, sum = 0;

	a->first = xcalloc(n + 1, sizeof(*a->first));
	each_asked(c, t, a, false);
	for (uint32_t i = 0; i <= n; i++) {
		uint32_t count = a->first[i];

		a->first[i] = sum;
		sum += count;
	}
	a->steps = xmalloc((sum + 1) * sizeof(*a->steps));
	each_asked(c, t, a, true);
	/* Each start has moved to the next one's. */
	memmove(a->first + 1, a->first, n * sizeof(*a->first));
	a->first[0] = 0;
}

struct memo {
	uint32_t hash, n;
	const uint32_t *steps;
	const struct portset *ports;
	struct profile *profile;
};

static bool memo_eq(const void *item, const void *key)
{
	const struct memo *a = item, *b = key;

	return a->n == b->n && a->ports == b->ports &&
	       (!a->n || !memcmp(a->steps, b->steps, a->n * sizeof(*a->steps)));
}

struct build {
	struct calc *c;
	const struct cclass *k;
	unsigned kind, fam;
	struct table *t;
	struct asked asked;
	struct hset memos;
	uint32_t *steps; /* scratch */
	bool named;	 /* some step depends on the identity's ports */
};

/* Those that ask of this identity and those that ask of none, in order. */
static uint32_t merge_steps(struct build *b, const uint32_t *own, uint32_t n)
{
	uint32_t out = 0, at = 0;

	for (uint32_t s = 0; s < b->t->nsteps; s++) {
		bool mine = at < n && own[at] == s;

		if (mine)
			at++;
		if (mine || !asks(&b->t->steps[s]))
			b->steps[out++] = s;
	}
	return out;
}

static struct profile *build_profile(struct build *b, const struct ident *i)
{
	struct memo want = { .n = b->asked.first[i->index + 1] - b->asked.first[i->index],
			     .steps = b->asked.steps + b->asked.first[i->index],
			     .ports = b->named && i->lset ? i->lset->ports : NULL };

	want.hash = hash_u64(HASH_SEED, (uintptr_t)want.ports);
	for (uint32_t s = 0; s < want.n; s++)
		want.hash = hash_u64(want.hash, want.steps[s]);
	struct memo *m = hset_find(&b->memos, want.hash, memo_eq, &want);

	if (!m) {
		uint32_t n = merge_steps(b, want.steps, want.n);

		want.profile = profile_of(b->c, b->k, b->kind, b->t, b->steps, n, i);
		m = xmalloc(sizeof(*m));
		*m = want;
		hset_add(&b->memos, m);
	}
	return profile_ref(m->profile);
}

static void table_fill(struct build *b)
{
	struct table *t = b->t;
	uint32_t cap = 0;

	t->base = build_profile(b, b->c->idents.world[b->fam]);
	for (uint32_t index = IDENT_WORLDS; index < b->c->idents.nindex; index++) {
		const struct ident *i = live(b->c, index, b->fam);

		if (!i)
			continue;
		struct profile *p = build_profile(b, i);

		if (p == t->base) {
			profile_put(&b->c->profiles, p);
			continue;
		}
		if (t->n == cap) {
			cap = cap ? cap * 2 : 8;
			t->v = xrealloc(t->v, cap * sizeof(*t->v));
		}
		t->v[t->n++] = (struct assigned){ index, p };
	}
	if (t->n)
		t->v = xrealloc(t->v, t->n * sizeof(*t->v));
}

void table_build(struct calc *c, const struct cclass *k, unsigned kind, unsigned fam,
		 struct table *t)
{
	struct build b = { .c = c, .k = k, .kind = kind, .fam = fam, .t = t };

	for (uint32_t s = 0; s < t->nsteps; s++)
		b.named |= t->steps[s].rule && t->steps[s].rule->remote_names;
	find_asked(c, t, &b.asked);
	b.steps = xmalloc((t->nsteps + 1) * sizeof(*b.steps));
	table_fill(&b);
	HSET_EACH(&b.memos, struct memo, m)
	{
		profile_put(&c->profiles, m->profile);
		free(m);
	}
	hset_free(&b.memos);
	free(b.steps);
	free(b.asked.first);
	free(b.asked.steps);
}

static bool is_named(const struct policy_ports *ports, const char *name)
{
	for (uint32_t i = 0; i < ports->n; i++)
		if (ports->v[i].name && !strcmp(ports->v[i].name, name))
			return true;
	return false;
}

static bool asks_own_port(const struct cclass *k, const char *name)
{
	for (uint32_t i = 0; i < k->npols; i++)
		for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++)
			for (uint32_t n = 0; n < k->pols[i]->n[dir]; n++) {
				const struct rule *r = k->pols[i]->rules[dir][n].rule;
				const struct entity *own =
					dir == POLICY_INGRESS ? &r->destination : &r->source;

				if (is_named(&own->ports, name) || is_named(&own->not_ports, name))
					return true;
			}
	return false;
}

/* Of the endpoint that it was made for, a class keeps only what it has in common with all others.
 */
static void class_ports(struct calc *c, struct cclass *k)
{
	const struct portset *all = k->lset->ports;
	struct pod_port *v = xmalloc((all->n + 1) * sizeof(*v));
	uint32_t n = 0;

	for (uint32_t i = 0; i < all->n; i++)
		if (asks_own_port(k, all->v[i].name))
			v[n++] = all->v[i];
	k->ports = portset_get(&c->idents.sets, v, n);
	free(v);
}

static void class_unpin(struct calc *c, struct cclass *k)
{
	lset_put(&c->idents.sets, k->lset);
	k->lset = NULL;
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
		netclass_put(&c->idents, k->around[fam]);
		k->around[fam] = NULL;
	}
}

void class_compile(struct calc *c, struct cclass *k)
{
	class_ports(c, k);
	for (unsigned kind = 0; kind < TABLE_KINDS; kind++)
		for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
			struct table *t = &k->tables[kind][fam];

			if (kind & 2 && !has_staged(k, kind & 1))
				continue;
			t->there = true;
			table_steps(k, t, kind, fam);
			table_build(c, k, kind, fam, t);
		}
	class_unpin(c, k);
}
