/* Policies, tiers, network sets and services in. */
#include "config.h"

#include "felix/policy/calc_impl.h"

/* ---- policies ---- */

struct policy_key {
	enum policy_kind kind;
	const char *kind_text, *namespace_, *name;
};

static bool policy_eq(const void *item, const void *key)
{
	const struct polrec *r = item;
	const struct policy *p = r->policy ? r->policy : r->next;
	const struct policy_key *want = key;

	return p->kind == want->kind && !strcmp(p->name, want->name) &&
	       !strcmp(p->namespace_, want->namespace_) && !strcmp(p->kind_text, want->kind_text);
}

static uint32_t policy_hash(const struct policy_key *k)
{
	return hash_u64(hash_text(name_hash(k->namespace_, k->name), k->kind_text), k->kind);
}

void policy_dirty(struct calc *c, struct polrec *r)
{
	if (r->dirty)
		return;
	r->dirty = true;
	pvec_add(&c->dirty_policies, r);
}

void calc_policy(struct calc *c, const struct policy *p)
{
	struct policy_key key = { p->kind, p->kind_text, p->namespace_, p->name };
	uint32_t hash = policy_hash(&key);
	struct polrec *r = hset_find(&c->policies, hash, policy_eq, &key);

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		r->hash = hash;
		r->next = policy_ref(p);
		hset_add(&c->policies, r);
	} else {
		if (r->next)
			policy_unref(r->next);
		r->next = policy_ref(p);
	}
	r->gone = false;
	policy_dirty(c, r);
}

void calc_policy_del(struct calc *c, enum policy_kind kind, const char *kind_text,
		     const char *namespace_, const char *name)
{
	struct policy_key key = { kind, kind_text, namespace_, name };
	struct polrec *r = hset_find(&c->policies, policy_hash(&key), policy_eq, &key);

	if (!r)
		return;
	r->gone = true;
	policy_dirty(c, r);
}

/* ---- tiers ---- */

static bool tier_eq(const void *item, const void *key)
{
	return !strcmp(((const struct tierrec *)item)->tier->name, key);
}

static struct tierrec *tier_find(const struct calc *c, const char *name)
{
	return hset_find(&c->tiers, name_hash(NULL, name), tier_eq, name);
}

const struct tier *calc_tier_find(const struct calc *c, const char *name)
{
	const struct tierrec *r = tier_find(c, name);

	return r ? r->tier : NULL;
}

void calc_tier(struct calc *c, const struct tier *t)
{
	struct tierrec *r = tier_find(c, t->name);
	struct tier *was = r ? r->tier : NULL;

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		r->hash = name_hash(NULL, t->name);
	}
	r->tier = tier_ref(t);
	if (was)
		pvec_add(&c->old_tiers, was);
	else
		hset_add(&c->tiers, r);
	c->tiers_changed = true;
}

void calc_tier_del(struct calc *c, const char *name)
{
	struct tierrec *r = tier_find(c, name);

	if (!r)
		return;
	hset_remove(&c->tiers, r);
	pvec_add(&c->old_tiers, r->tier);
	free(r);
	c->tiers_changed = true;
}

/* ---- network sets ---- */

static bool netset_eq(const void *item, const void *key)
{
	const struct netset *s = ((const struct netsetrec *)item)->set;
	const struct name *want = key;

	return !strcmp(s->name, want->name) && !strcmp(s->namespace_, want->namespace_);
}

static void netset_detach(struct calc *c, struct netsetrec *r)
{
	for (uint32_t i = 0; i < r->set->nets.n; i++)
		attr_detach(&c->idents, r->attr, &r->set->nets.v[i]);
	attr_put(&c->idents, r->attr);
	r->attr = NULL;
}

/* The sets with the same labels are one attr: policies cannot tell them apart. */
static void netset_attach(struct calc *c, struct netsetrec *r)
{
	struct sets *sets = &c->idents.sets;
	struct scope none = scope_none(sets);
	struct kvset *own = kvset_get(sets, r->set->labels.v, r->set->labels.n);
	struct portset *ports = portset_get(sets, NULL, 0);
	struct lset *l = lset_get(sets, false, own, r->ns ? &r->ns->scope : &none, &none, ports);

	r->attr = attr_get(&c->idents, ATTR_NETSET, &l, sizeof(l));
	if (!r->attr->labels)
		r->attr->labels = lset_ref(l);
	for (uint32_t i = 0; i < r->set->nets.n; i++)
		attr_attach(&c->idents, r->attr, &r->set->nets.v[i]);
	lset_put(sets, l);
	portset_put(sets, ports);
	kvset_put(sets, own);
	scope_put(sets, &none);
}

void netset_follow(struct calc *c, struct netsetrec *r)
{
	netset_detach(c, r);
	netset_attach(c, r);
}

static struct netsetrec *netset_find(const struct calc *c, const char *namespace_, const char *name)
{
	struct name want = { namespace_, name };

	return hset_find(&c->netsets, name_hash(namespace_, name), netset_eq, &want);
}

void calc_netset(struct calc *c, const struct netset *s)
{
	struct netsetrec *r = netset_find(c, s->namespace_, s->name);
	struct netset *was = r ? r->set : NULL;

	if (r) {
		netset_detach(c, r);
	} else {
		r = xcalloc(1, sizeof(*r));
		r->hash = name_hash(s->namespace_, s->name);
		r->ns = s->namespace_[0] ? scope_get(c, NULL, s->namespace_) : NULL;
	}
	r->set = netset_ref(s);
	if (was)
		netset_unref(was);
	else
		hset_add(&c->netsets, r);
	netset_attach(c, r);
}

void calc_netset_del(struct calc *c, const char *namespace_, const char *name)
{
	struct netsetrec *r = netset_find(c, namespace_, name);

	if (!r)
		return;
	hset_remove(&c->netsets, r);
	netset_detach(c, r);
	scope_release(c, r->ns);
	netset_unref(r->set);
	free(r);
}

/* ---- services ---- */

static bool service_eq(const void *item, const void *key)
{
	const struct svcrec *s = item;
	const struct name *want = key;

	return !strcmp(s->name, want->name) && !strcmp(s->namespace_, want->namespace_);
}

struct svcrec *service_rec(struct calc *c, const char *namespace_, const char *name, bool make)
{
	struct name want = { namespace_, name };
	uint32_t hash = name_hash(namespace_, name);
	struct svcrec *s = hset_find(&c->services, hash, service_eq, &want);

	if (s || !make)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->hash = hash;
	s->namespace_ = xstrdup(namespace_);
	s->name = xstrdup(name);
	hset_add(&c->services, s);
	return s;
}

void service_free(struct svcrec *s)
{
	pvec_free(&s->attrs);
	free(s->namespace_);
	free(s->name);
	free(s->v);
	free(s);
}

void service_rec_put(struct calc *c, struct svcrec *s)
{
	if (s->known || s->refs)
		return;
	hset_remove(&c->services, s);
	service_free(s);
}

static bool ports_among(const struct calc_backend *v, size_t n, const struct calc_backend *in,
			size_t nin)
{
	for (size_t i = 0; i < n; i++) {
		bool found = false;

		for (size_t k = 0; k < nin && !found; k++)
			found = v[i].port == in[k].port && v[i].proto == in[k].proto;
		if (!found)
			return false;
	}
	return true;
}

static bool refers_to(const struct policy *p, const struct svcrec *s)
{
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++)
		for (uint32_t i = 0; i < p->rules[dir].n; i++) {
			const struct policy_service *to = &p->rules[dir].v[i].destination.service;

			if (to->name && !strcmp(to->name, s->name) &&
			    !strcmp(to->namespace_, s->namespace_))
				return true;
		}
	return false;
}

static void service_set(struct calc *c, struct svcrec *s, const struct calc_backend *v, size_t n)
{
	bool same_ports = ports_among(v, n, s->v, s->n) && ports_among(s->v, s->n, v, n);

	free(s->v);
	s->v = xmalloc((n + 1) * sizeof(*v));
	if (n)
		memcpy(s->v, v, n * sizeof(*v));
	s->n = n;
	service_attrs_update(c, s);
	if (same_ports)
		return;
	/* Its ports are part of the compiled rules. */
	HSET_EACH(&c->policies, struct polrec, r)
	if (r->uses_services && refers_to(r->policy, s))
		policy_dirty(c, r);
}

void calc_service(struct calc *c, const char *namespace_, const char *name,
		  const struct calc_backend *v, size_t n)
{
	struct svcrec *s = service_rec(c, namespace_, name, true);

	s->known = true;
	service_set(c, s, v, n);
}

void calc_service_del(struct calc *c, const char *namespace_, const char *name)
{
	struct svcrec *s = service_rec(c, namespace_, name, false);

	if (!s)
		return;
	s->known = false;
	service_set(c, s, NULL, 0);
	service_rec_put(c, s);
}
