/* Objects in: they are kept, and what they touch is marked for calc_flush(). */
#include "config.h"

#include "felix/policy/calc_impl.h"

/* ---- blobs ---- */

void blob_add(struct blob *b, const void *data, size_t n)
{
	if (b->n + n > b->cap) {
		b->cap = (b->n + n) * 2;
		b->v = xrealloc(b->v, b->cap);
	}
	if (n)
		memcpy(b->v + b->n, data, n);
	b->n += n;
}

void blob_u32(struct blob *b, uint32_t v)
{
	blob_add(b, &v, sizeof(v));
}

void blob_text(struct blob *b, const char *s)
{
	blob_u32(b, s ? (uint32_t)strlen(s) : UINT32_MAX);
	if (s)
		blob_add(b, s, strlen(s));
}

/* ---- names ---- */

uint32_t name_hash(const char *namespace_, const char *name)
{
	uint32_t h = HASH_SEED;

	if (namespace_)
		h = hash_text(h, namespace_);
	return hash_end(hash_text(h, name));
}

/* ---- namespaces and service accounts ---- */

static bool scope_eq(const void *item, const void *key)
{
	const struct scoperec *r = item;
	const struct name *want = key;

	return !strcmp(r->name, want->name) &&
	       (!want->namespace_ || !strcmp(r->namespace_, want->namespace_));
}

static struct hset *scopes_of(struct calc *c, const char *namespace_)
{
	return namespace_ ? &c->accounts : &c->namespaces;
}

static struct scope scope_of(struct calc *c, const char *namespace_, const char *name,
			     const struct field_kvs *labels)
{
	return namespace_ ? scope_account(&c->idents.sets, name, labels)
			  : scope_namespace(&c->idents.sets, name, labels);
}

struct scoperec *scope_get(struct calc *c, const char *namespace_, const char *name)
{
	struct hset *set = scopes_of(c, namespace_);
	struct name want = { namespace_, name };
	uint32_t hash = name_hash(namespace_, name);
	struct scoperec *r = hset_find(set, hash, scope_eq, &want);

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		r->hash = hash;
		r->namespace_ = namespace_ ? xstrdup(namespace_) : NULL;
		r->name = xstrdup(name);
		r->scope = scope_of(c, namespace_, name, NULL);
		hset_add(set, r);
	}
	r->refs++;
	return r;
}

static void scope_free(struct scoperec *r)
{
	free(r->namespace_);
	free(r->name);
	free(r);
}

void scope_release(struct calc *c, struct scoperec *r)
{
	if (!r || --r->refs)
		return;
	hset_remove(scopes_of(c, r->namespace_), r);
	scope_put(&c->idents.sets, &r->scope);
	scope_free(r);
}

static void scope_follow(struct calc *c, const struct scoperec *r)
{
	HSET_EACH(&c->groups, struct group, g)
	if (g->ns == r || g->sa == r) {
		group_dirty(c, g);
		g->choose = true;
	}
	HSET_EACH(&c->netsets, struct netsetrec, s)
	if (s->ns == r)
		netset_follow(c, s);
}

static void scope_set(struct calc *c, const char *namespace_, const char *name,
		      const struct field_kvs *labels, bool known)
{
	struct scoperec *r = scope_get(c, namespace_, name);
	struct scope was = r->scope;

	r->refs += (uint32_t)known - (uint32_t)r->known;
	r->known = known;
	r->scope = scope_of(c, namespace_, name, labels);
	if (r->scope.view != was.view)
		scope_follow(c, r);
	scope_put(&c->idents.sets, &was);
	scope_release(c, r);
}

void calc_namespace(struct calc *c, const char *name, const struct field_kvs *labels)
{
	scope_set(c, NULL, name, labels, true);
}

void calc_namespace_del(struct calc *c, const char *name)
{
	scope_set(c, NULL, name, NULL, false);
}

void calc_account(struct calc *c, const char *namespace_, const char *name,
		  const struct field_kvs *labels)
{
	scope_set(c, namespace_, name, labels, true);
}

void calc_account_del(struct calc *c, const char *namespace_, const char *name)
{
	scope_set(c, namespace_, name, NULL, false);
}

/* ---- groups ---- */

static bool group_eq(const void *item, const void *key)
{
	const struct group *a = item, *b = key;

	return a->ns == b->ns && a->sa == b->sa && a->own == b->own && a->ports == b->ports;
}

void group_dirty(struct calc *c, struct group *g)
{
	if (g->dirty)
		return;
	g->dirty = true;
	pvec_add(&c->dirty_groups, g);
}

/* Takes the references in want. */
static struct group *group_get(struct calc *c, struct group *want)
{
	want->hash = hash_u64(hash_u64(HASH_SEED, (uintptr_t)want->ns), (uintptr_t)want->sa);
	want->hash = hash_u64(want->hash, (uintptr_t)want->own);
	want->hash = hash_u64(want->hash, (uintptr_t)want->ports);
	struct group *g = hset_find(&c->groups, want->hash, group_eq, want);

	if (g) {
		scope_release(c, want->ns);
		scope_release(c, want->sa);
		kvset_put(&c->idents.sets, want->own);
		portset_put(&c->idents.sets, want->ports);
	} else {
		g = xmalloc(sizeof(*g));
		*g = *want;
		hset_add(&c->groups, g);
		group_dirty(c, g);
	}
	g->refs++;
	return g;
}

static struct group *group_of(struct calc *c, const char *namespace_, const char *account,
			      const struct field_kv *labels, uint32_t nlabels,
			      const struct pod_port *ports, uint32_t nports)
{
	struct group want = {
		.ns = scope_get(c, NULL, namespace_),
		.sa = account && account[0] ? scope_get(c, namespace_, account) : NULL,
		.own = kvset_get(&c->idents.sets, labels, nlabels),
		.ports = portset_get(&c->idents.sets, ports, nports),
	};

	return group_get(c, &want);
}

static void group_put(struct calc *c, struct group *g)
{
	if (g && !--g->refs)
		group_dirty(c, g);
}

void group_free(struct calc *c, struct group *g)
{
	hset_remove(&c->groups, g);
	scope_release(c, g->ns);
	scope_release(c, g->sa);
	kvset_put(&c->idents.sets, g->own);
	portset_put(&c->idents.sets, g->ports);
	if (g->lset)
		lset_put(&c->idents.sets, g->lset);
	pvec_free(&g->pols);
	free(g);
}

static void group_local(struct calc *c, struct group *g, int by)
{
	g->choose |= !g->local;
	g->local += (uint32_t)by;
	group_dirty(c, g);
}

/* ---- claims ---- */

static void claim_make(struct calc *c, struct claim *cl, struct group *g, const struct addr *a)
{
	cl->group = g;
	cl->group_prev = NULL;
	cl->group_next = g->claims;
	if (g->claims)
		g->claims->group_prev = cl;
	g->claims = cl;
	claim_add(&c->idents, cl, a);
}

static void claim_drop(struct calc *c, struct claim *cl)
{
	if (!cl->node)
		return;
	if (cl->group_prev)
		cl->group_prev->group_next = cl->group_next;
	else
		cl->group->claims = cl->group_next;
	if (cl->group_next)
		cl->group_next->group_prev = cl->group_prev;
	claim_remove(&c->idents, cl);
}

/* This node's endpoints before other pods, pods that stay before those that go. */
static bool claim_before(const struct claim *a, const struct claim *b)
{
	if (a->is_endpoint != b->is_endpoint)
		return a->is_endpoint;
	if (a->is_endpoint)
		return ((const struct endpoint *)a->owner)->id <
		       ((const struct endpoint *)b->owner)->id;
	const struct cpod *x = a->owner, *y = b->owner;
	int order;

	if (x->terminating != y->terminating)
		return y->terminating;
	order = strcmp(x->ns->name, y->ns->name);
	return (order ? order : strcmp(x->name, y->name)) < 0;
}

static struct lset *claim_lset(const struct claim *cl)
{
	return cl->group->lset;
}

/* ---- pods ---- */

static bool pod_eq(const void *item, const void *key)
{
	const struct cpod *p = item;
	const struct name *want = key;

	return !strcmp(p->name, want->name) && !strcmp(p->ns->name, want->namespace_);
}

static struct cpod *pod_find(const struct calc *c, const char *namespace_, const char *name)
{
	struct name want = { namespace_, name };

	return hset_find(&c->pods, name_hash(namespace_, name), pod_eq, &want);
}

static void endpoint_join(struct calc *c, struct endpoint *e, struct group *g);

static struct cpod *pod_new(struct calc *c, const char *namespace_, const char *name)
{
	struct cpod *p = xcalloc(1, sizeof(*p) + strlen(name) + 1);

	p->hash = name_hash(namespace_, name);
	memcpy(p->name, name, strlen(name) + 1);
	p->ns = scope_get(c, NULL, namespace_);
	hset_add(&c->pods, p);
	for (struct endpoint **at = &c->orphans, *e; (e = *at);) {
		if (strcmp(e->name, name) != 0 || strcmp(e->namespace_, namespace_) != 0) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		e->next = p->endpoints;
		p->endpoints = e;
		e->pod = p;
	}
	return p;
}

static void pod_claims(struct calc *c, struct cpod *p, const struct addr *addrs, uint8_t n)
{
	for (unsigned i = 0; i < p->naddrs; i++)
		claim_drop(c, &p->claims[i]);
	p->naddrs = n;
	for (unsigned i = 0; i < n; i++) {
		p->addrs[i] = addrs[i];
		p->claims[i] = (struct claim){ .owner = p };
		claim_make(c, &p->claims[i], p->group, &addrs[i]);
	}
}

static bool same_addrs(const struct cpod *p, const struct addr *addrs, uint8_t n)
{
	return p->naddrs == n && (!n || !memcmp(p->addrs, addrs, n * sizeof(*addrs)));
}

static struct group *pod_group(struct calc *c, const struct pod *p)
{
	_Static_assert(sizeof(struct pod_label) == sizeof(struct field_kv), "the same two texts");
	struct field_kv few[32], *v = few;

	few[0] = (struct field_kv){ NULL, NULL };
	if (p->labels->n > 32)
		v = xmalloc(p->labels->n * sizeof(*v));
	for (unsigned i = 0; i < p->labels->n; i++)
		v[i] = (struct field_kv){ p->labels->v[i].key, p->labels->v[i].value };
	struct group *g = group_of(c, p->namespace_, p->service_account, v, p->labels->n,
				   p->ports->v, p->ports->n);

	if (v != few)
		free(v);
	return g;
}

void calc_pod(struct calc *c, const struct pod *in)
{
	struct cpod *p = pod_find(c, in->namespace_, in->name);
	bool silent = in->host_network || pod_is_over(in);
	struct group *g = pod_group(c, in), *was;
	struct addr addrs[2];
	uint8_t n = 0;

	for (unsigned i = 0; i < in->naddrs && !silent; i++) {
		addrs[n] = pod_addr(in, i);
		if (n && addr_eq(&addrs[0], &addrs[n]))
			continue;
		n++;
	}
	if (!p)
		p = pod_new(c, in->namespace_, in->name);
	was = p->group;
	if (was == g && same_addrs(p, addrs, n) && p->terminating == in->terminating) {
		group_put(c, g);
		return;
	}
	/* Before anything that orders claims changes. */
	for (unsigned i = 0; i < p->naddrs; i++)
		claim_drop(c, &p->claims[i]);
	p->naddrs = 0;
	p->group = g;
	p->terminating = in->terminating;
	pod_claims(c, p, addrs, n);
	for (struct endpoint *e = p->endpoints; e; e = e->next)
		if (e->group != g)
			endpoint_join(c, e, g);
	group_put(c, was);
}

void calc_pod_del(struct calc *c, const char *namespace_, const char *name)
{
	struct cpod *p = pod_find(c, namespace_, name);

	if (!p)
		return;
	pod_claims(c, p, NULL, 0);
	for (struct endpoint *e = p->endpoints, *next; e; e = next) {
		next = e->next;
		endpoint_join(c, e, NULL);
		e->pod = NULL;
		e->next = c->orphans;
		c->orphans = e;
	}
	group_put(c, p->group);
	hset_remove(&c->pods, p);
	scope_release(c, p->ns);
	free(p);
}

/* ---- endpoints ---- */

static bool endpoint_eq(const void *item, const void *key)
{
	return ((const struct endpoint *)item)->id == *(const uint64_t *)key;
}

static struct endpoint *endpoint_find(const struct calc *c, uint64_t id)
{
	return hset_find(&c->endpoints, hash_u64(HASH_SEED, id), endpoint_eq, &id);
}

const struct endpoint *calc_endpoint_there(const struct calc *c, uint64_t id)
{
	return endpoint_find(c, id);
}

void endpoint_dirty(struct calc *c, struct endpoint *e)
{
	if (e->dirty)
		return;
	e->dirty = true;
	pvec_add(&c->dirty_endpoints, e);
}

/* g NULL: of none. */
static void endpoint_join(struct calc *c, struct endpoint *e, struct group *g)
{
	struct group *was = e->group;

	endpoint_dirty(c, e);
	for (size_t i = 0; was && i < e->naddrs; i++)
		claim_drop(c, &e->claims[i]);
	if (g) {
		g->refs++;
		group_local(c, g, 1);
	}
	e->group = g;
	for (size_t i = 0; g && i < e->naddrs; i++) {
		e->claims[i] = (struct claim){ .owner = e, .is_endpoint = true };
		claim_make(c, &e->claims[i], g, &e->addrs[i]);
	}
	if (was) {
		group_local(c, was, -1);
		group_put(c, was);
	}
}

static void endpoint_unlink(struct calc *c, struct endpoint *e)
{
	struct endpoint **at = e->pod ? &e->pod->endpoints : &c->orphans;

	if (e->own_labels)
		return;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	e->pod = NULL;
}

static void endpoint_clear(struct calc *c, struct endpoint *e)
{
	endpoint_join(c, e, NULL);
	endpoint_unlink(c, e);
	group_put(c, e->own);
	e->own = NULL;
	free(e->namespace_);
	free(e->name);
	free(e->addrs);
	free(e->claims);
}

static void endpoint_fill(struct calc *c, struct endpoint *e, const struct calc_endpoint *in)
{
	e->own_labels = in->own_labels;
	e->namespace_ = xstrdup(in->namespace_);
	e->name = xstrdup(in->name);
	e->addrs = xmalloc((in->naddrs + 1) * sizeof(*e->addrs));
	e->claims = xcalloc(in->naddrs + 1, sizeof(*e->claims));
	e->naddrs = 0;
	for (size_t i = 0; i < in->naddrs; i++) {
		bool twice = false;

		for (size_t k = 0; k < e->naddrs; k++)
			twice |= addr_eq(&e->addrs[k], &in->addrs[i]);
		if (!twice)
			e->addrs[e->naddrs++] = in->addrs[i];
	}
	if (in->own_labels) {
		e->own = group_of(c, in->namespace_, in->account,
				  (const struct field_kv *)in->labels, (uint32_t)in->nlabels,
				  in->ports, (uint32_t)in->nports);
		endpoint_join(c, e, e->own);
		return;
	}
	e->pod = pod_find(c, in->namespace_, in->name);
	struct endpoint **list = e->pod ? &e->pod->endpoints : &c->orphans;

	e->next = *list;
	*list = e;
	endpoint_join(c, e, e->pod ? e->pod->group : NULL);
}

void calc_endpoint(struct calc *c, const struct calc_endpoint *in)
{
	struct endpoint *e = endpoint_find(c, in->id);

	if (e) {
		endpoint_clear(c, e);
	} else {
		e = xcalloc(1, sizeof(*e));
		e->hash = hash_u64(HASH_SEED, in->id);
		e->id = in->id;
		e->fresh = true;
		hset_add(&c->endpoints, e);
	}
	endpoint_fill(c, e, in);
}

void calc_endpoint_del(struct calc *c, uint64_t id)
{
	struct endpoint *e = endpoint_find(c, id);

	if (!e)
		return;
	endpoint_clear(c, e);
	pvec_remove(&c->dirty_endpoints, e);
	hset_remove(&c->endpoints, e);
	if (!e->fresh) {
		if (c->nlost == c->caplost) {
			c->caplost = c->caplost ? c->caplost * 2 : 8;
			c->lost_endpoints = xrealloc(c->lost_endpoints,
						     c->caplost * sizeof(*c->lost_endpoints));
		}
		c->lost_endpoints[c->nlost++] = id;
	}
	if (e->class_)
		class_put(c, e->class_);
	free(e);
}

/* ---- life ---- */

struct calc *calc_new(const struct calc_ops *ops, void *arg)
{
	struct calc *c = xcalloc(1, sizeof(*c));

	c->ops = *ops;
	c->arg = arg;
	c->next_class = 1;
	c->nrules = 1;
	c->idents.claim_before = claim_before;
	c->idents.claim_lset = claim_lset;
	idents_init(&c->idents);
	return c;
}

static void free_inputs(struct calc *c)
{
	HSET_EACH(&c->namespaces, struct scoperec, ns)
	scope_free(ns);
	HSET_EACH(&c->accounts, struct scoperec, sa)
	scope_free(sa);
	HSET_EACH(&c->pods, void, pod)
	free(pod);
	HSET_EACH(&c->groups, struct group, g)
	{
		pvec_free(&g->pols);
		free(g);
	}
	HSET_EACH(&c->endpoints, struct endpoint, e)
	{
		free(e->namespace_);
		free(e->name);
		free(e->addrs);
		free(e->claims);
		free(e);
	}
	HSET_EACH(&c->policies, struct polrec, r)
	{
		if (r->policy)
			policy_unref(r->policy);
		if (r->next)
			policy_unref(r->next);
		if (r->compiled && !--r->compiled->refs)
			cpol_free(r->compiled);
		free(r);
	}
	HSET_EACH(&c->tiers, struct tierrec, t)
	{
		tier_unref(t->tier);
		free(t);
	}
	for (uint32_t i = 0; i < c->old_tiers.n; i++)
		tier_unref(c->old_tiers.v[i]);
	HSET_EACH(&c->netsets, struct netsetrec, s)
	{
		netset_unref(s->set);
		free(s);
	}
	HSET_EACH(&c->services, struct svcrec, s)
	service_free(s);
}

void calc_free(struct calc *c)
{
	if (!c)
		return;
	HSET_EACH(&c->classes, struct cclass, k)
	class_free(c, k);
	free_inputs(c);
	HSET_EACH(&c->peers, struct peer, p)
	peer_free(p);
	HSET_EACH(&c->names, void, n)
	free(n);
	HSET_EACH(&c->rules, struct ruleref, r)
	{
		free(r->texts);
		free(r);
	}
	HSET_EACH(&c->profiles.set, struct profile, p)
	profile_free(p);
	struct hset *sets[] = { &c->namespaces, &c->accounts,	 &c->groups, &c->pods,
				&c->endpoints,	&c->policies,	 &c->tiers,  &c->netsets,
				&c->services,	&c->names,	 &c->peers,  &c->rules,
				&c->classes,	&c->profiles.set };
	struct pvec *vecs[] = { &c->dirty_groups, &c->local,	     &c->dirty_policies,
				&c->counted,	  &c->old_tiers,     &c->dirty_endpoints,
				&c->fresh_peers,  &c->fresh_classes, &c->idle_classes,
				&c->class_by_id,  &c->pending.add,   &c->pending.change,
				&c->pending.del };

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		hset_free(sets[i]);
	for (size_t i = 0; i < sizeof(vecs) / sizeof(vecs[0]); i++)
		pvec_free(vecs[i]);
	idents_free(&c->idents);
	free(c->rule_by_id);
	free(c->free_rules);
	free(c->free_class);
	free(c->lost_endpoints);
	free(c->atoms[FAM_V4]);
	free(c->atoms[FAM_V6]);
	arena_free(&c->scratch);
	free(c);
}
