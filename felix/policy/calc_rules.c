/* Policies to rules that ask about identities. Each question about one end is asked once for all
 * rules that ask it, and answered once an identity.
 */
#include "config.h"

#include "felix/policy/calc_impl.h"

/* ---- numbers of rules ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool rule_eq(const void *item, const void *key)
{
	const struct calc_rule *a = &((const struct ruleref *)item)->info, *b = key;

	return a->kind == b->kind && a->dir == b->dir && a->index == b->index &&
	       same_text(a->name, b->name) && same_text(a->namespace_, b->namespace_) &&
	       same_text(a->kind_text, b->kind_text) && (a->name || same_text(a->tier, b->tier));
}

/* Copies the texts; behind each other, in one piece. */
static void rule_texts(struct ruleref *r)
{
	const char **texts[] = { &r->info.kind_text, &r->info.namespace_, &r->info.name,
				 &r->info.display,   &r->info.tier,	  &r->info.rule_name };
	size_t size = 0;
	char *p;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		size += *texts[i] ? strlen(*texts[i]) + 1 : 0;
	r->texts = p = xmalloc(size + 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!*texts[i])
			continue;
		const char *from = *texts[i];

		*texts[i] = p;
		p = stpcpy(p, from) + 1;
	}
}

static struct ruleref *rule_get(struct calc *c, const struct calc_rule *info)
{
	uint32_t hash = hash_u64(HASH_SEED, (uint64_t)info->index << 8 | info->dir);

	hash = hash_text(hash, info->name ? info->name : info->tier);
	hash = hash_end(info->name ? hash_text(hash, info->namespace_) : hash);
	struct ruleref *r = hset_find(&c->rules, hash, rule_eq, info);

	if (r) {
		/* It may say its name or tier in another way now. */
		if (!same_text(r->info.tier, info->tier) ||
		    !same_text(r->info.rule_name, info->rule_name)) {
			free(r->texts);
			r->info = *info;
			rule_texts(r);
		}
		r->refs++;
		return r;
	}
	r = xcalloc(1, sizeof(*r));
	r->hash = hash;
	r->refs = 1;
	r->info = *info;
	rule_texts(r);
	r->id = c->nfree_rules ? c->free_rules[--c->nfree_rules] : c->nrules++;
	if (r->id >= c->caprules) {
		c->caprules = r->id * 2 + 64;
		c->rule_by_id = xrealloc(c->rule_by_id, c->caprules * sizeof(struct ruleref *));
	}
	c->rule_by_id[r->id] = r;
	hset_add(&c->rules, r);
	return r;
}

struct ruleref *rule_tier_end(struct calc *c, const char *tier)
{
	struct calc_rule info = { .tier = tier, .rule_name = "" };

	return rule_get(c, &info);
}

void rule_put(struct calc *c, struct ruleref *r)
{
	if (!r || --r->refs)
		return;
	hset_remove(&c->rules, r);
	c->rule_by_id[r->id] = NULL;
	if (c->nfree_rules == c->cap_free_rules) {
		c->cap_free_rules = c->cap_free_rules ? c->cap_free_rules * 2 : 64;
		c->free_rules = xrealloc(c->free_rules, c->cap_free_rules * sizeof(uint32_t));
	}
	c->free_rules[c->nfree_rules++] = r->id;
	free(r->texts);
	free(r);
}

const struct calc_rule *calc_rule_get(const struct calc *c, uint32_t rule)
{
	static const struct calc_rule nobody = { .tier = "", .rule_name = "" };

	if (!rule)
		return &nobody;
	return rule < c->nrules && c->rule_by_id[rule] ? &c->rule_by_id[rule]->info : NULL;
}

/* ---- questions ---- */

static bool selector_takes(const struct policy_selector *s, const struct field_kvs *labels)
{
	return !s->text || selector_matches(s->sel, labels);
}

bool match_takes(const struct match *m, const struct lset *l)
{
	if (m->pods_only && !l->is_pod)
		return false;
	if (m->namespace_ && strcmp(m->namespace_, l->namespace_) != 0)
		return false;
	if (m->accounts.n) {
		bool one = false;

		for (uint32_t i = 0; i < m->accounts.n && !one; i++)
			one = !strcmp(m->accounts.v[i], l->account);
		if (!one)
			return false;
	}
	return selector_takes(&m->ns, &l->ns->kvs) && selector_takes(&m->sa, &l->sa->kvs) &&
	       selector_takes(&m->labels, &l->labels);
}

static bool match_in(const struct match *m, const struct lset *lset, const struct netclass *nc)
{
	if (lset && match_takes(m, lset))
		return true;
	for (uint32_t i = 0; i < nc->n && !m->pods_only; i++)
		if (nc->v[i]->labels && match_takes(m, nc->v[i]->labels))
			return true;
	return false;
}

static bool labels_in(const struct selector *s, const struct lset *lset, const struct netclass *nc)
{
	if (lset && selector_matches(s, &lset->labels))
		return true;
	for (uint32_t i = 0; i < nc->n; i++)
		if (nc->v[i]->labels && selector_matches(s, &nc->v[i]->labels->labels))
			return true;
	return false;
}

bool peer_takes(const struct peer *p, unsigned fam, const struct lset *lset,
		const struct netclass *nc)
{
	if (p->has_nets && !p->nets_all[fam] && !(p->nets && netclass_has(nc, p->nets)))
		return false;
	if (p->not_all[fam] || (p->not_nets && netclass_has(nc, p->not_nets)))
		return false;
	if (p->service && !netclass_has(nc, p->service))
		return false;
	if (p->selected && !match_in(p->match, lset, nc))
		return false;
	return !p->not_labels || !labels_in(p->not_labels, lset, nc);
}

static void peer_answer(struct peer *p, const struct ident *i)
{
	uint64_t bit = UINT64_C(1) << i->index % 64;

	if (i->index / 64 >= p->words) {
		uint32_t words = i->index / 64 + 1 + p->words / 2;

		p->bits = xrealloc(p->bits, words * sizeof(*p->bits));
		memset(p->bits + p->words, 0, (words - p->words) * sizeof(*p->bits));
		p->words = words;
	}
	if (peer_takes(p, i->fam, i->lset, i->nc))
		p->bits[i->index / 64] |= bit;
	else
		p->bits[i->index / 64] &= ~bit;
}

void peers_update(struct calc *c)
{
	struct idents *t = &c->idents;

	if (t->fresh.n || t->rekeyed.n)
		HSET_EACH(&c->peers, struct peer, p)
		{
			if (p->fresh)
				continue;
			for (uint32_t i = 0; i < t->fresh.n; i++)
				peer_answer(p, t->fresh.v[i]);
			for (uint32_t i = 0; i < t->rekeyed.n; i++)
				peer_answer(p, t->rekeyed.v[i]);
		}
	for (uint32_t i = 0; i < c->fresh_peers.n; i++) {
		struct peer *p = c->fresh_peers.v[i];

		for (uint32_t k = t->nindex; k-- > 0;)
			if (t->by_index[k] && t->by_index[k]->refs)
				peer_answer(p, t->by_index[k]);
		p->fresh = false;
	}
	c->fresh_peers.n = 0;
}

/* ---- networks and services that questions are about ---- */

static void attr_use(struct calc *c, struct attr *a, const struct policy_nets *nets)
{
	if (!a->users++)
		attr_set_nets(&c->idents, a, nets);
}

static void attr_unuse(struct calc *c, struct attr *a)
{
	static const struct policy_nets none;

	if (!a)
		return;
	if (!--a->users)
		attr_set_nets(&c->idents, a, &none);
	attr_put(&c->idents, a);
}

/* A list that contains all of a family's addresses is not asked about in that family. */
static struct attr *nets_attr(struct calc *c, const struct policy_nets *nets, bool *all)
{
	struct prefix *v = xmalloc((nets->n + 1) * sizeof(*v));
	struct policy_nets rest = { 0, v };
	struct attr *a = NULL;

	for (uint32_t i = 0; i < nets->n; i++)
		if (!nets->v[i].len)
			all[nets->v[i].addr.fam] = true;
	for (uint32_t i = 0; i < nets->n; i++)
		if (!all[nets->v[i].addr.fam])
			v[rest.n++] = nets->v[i];
	if (rest.n) {
		a = attr_get(&c->idents, ATTR_NETS, v, rest.n * sizeof(*v));
		attr_use(c, a, &rest);
	}
	free(v);
	return a;
}

/* What an attr of a service is about; the key begins with it. */
struct service_part {
	struct svcrec *service;
	uint32_t any; /* all its addresses, whatever the port */
	uint16_t port, proto;
};

static void service_nets(const struct service_part *part, struct policy_nets *out)
{
	const struct svcrec *s = part->service;
	struct prefix *v = xmalloc((s->n + 1) * sizeof(*v));
	uint32_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (part->any || (s->v[i].port == part->port && s->v[i].proto == part->proto))
			v[n++] = prefix_host(&s->v[i].addr);
	*out = (struct policy_nets){ n, v };
}

static struct attr *service_attr(struct calc *c, const struct service_part *part)
{
	struct attr *a = attr_get(&c->idents, ATTR_SERVICE, part, sizeof(*part));
	struct policy_nets nets;

	if (!a->users) {
		pvec_add(&part->service->attrs, a);
		part->service->refs++;
	}
	service_nets(part, &nets);
	attr_use(c, a, &nets);
	free((void *)nets.v);
	return a;
}

static void service_unuse(struct calc *c, struct attr *a)
{
	struct service_part part;

	if (!a)
		return;
	memcpy(&part, a->key, sizeof(part));
	if (a->users == 1) {
		pvec_remove(&part.service->attrs, a);
		part.service->refs--;
	}
	attr_unuse(c, a);
	service_rec_put(c, part.service);
}

void service_attrs_update(struct calc *c, struct svcrec *s)
{
	for (uint32_t i = 0; i < s->attrs.n; i++) {
		struct attr *a = s->attrs.v[i];
		struct service_part part;
		struct policy_nets nets;

		memcpy(&part, a->key, sizeof(part));
		service_nets(&part, &nets);
		attr_set_nets(&c->idents, a, &nets);
		free((void *)nets.v);
	}
}

/* ---- peers ---- */

static bool peer_eq(const void *item, const void *key)
{
	const struct blob *a = &((const struct peer *)item)->key, *b = key;

	return a->n == b->n && !memcmp(a->v, b->v, a->n);
}

static void key_nets(struct blob *k, bool asked, const struct policy_nets *nets)
{
	blob_u32(k, asked ? nets->n : UINT32_MAX);
	if (asked && nets->n)
		blob_add(k, nets->v, nets->n * sizeof(*nets->v));
}

static void key_match(struct blob *k, const struct match *m)
{
	blob_text(k, m->namespace_);
	blob_u32(k, m->pods_only);
	blob_text(k, m->labels.text);
	blob_text(k, m->ns.text);
	blob_text(k, m->sa.text);
	blob_u32(k, m->accounts.n);
	for (uint32_t i = 0; i < m->accounts.n; i++)
		blob_text(k, m->accounts.v[i]);
}

static void peer_fill(struct calc *c, struct peer *p, const struct entity *e,
		      const struct service_part *part)
{
	p->has_nets = e->has_nets;
	if (e->has_nets)
		p->nets = nets_attr(c, &e->nets, p->nets_all);
	p->not_nets = nets_attr(c, &e->not_nets, p->not_all);
	p->selected = e->selected;
	p->match = &e->match;
	p->not_labels = e->not_labels.text ? e->not_labels.sel : NULL;
	if (part)
		p->service = service_attr(c, part);
}

/* NULL: it asks nothing about addresses. */
static struct peer *peer_get(struct calc *c, struct policy *owner, const struct entity *e,
			     const struct service_part *part)
{
	struct blob key = { 0 };
	struct peer *p;

	if (!e->has_nets && !e->not_nets.n && !e->selected && !e->not_labels.text && !part)
		return NULL;
	key_nets(&key, e->has_nets, &e->nets);
	key_nets(&key, true, &e->not_nets);
	blob_u32(&key, e->selected);
	if (e->selected)
		key_match(&key, &e->match);
	blob_text(&key, e->not_labels.text);
	if (part)
		blob_add(&key, part, sizeof(*part));
	uint32_t hash = hash_end(hash_bytes(HASH_SEED, key.v, key.n));

	p = hset_find(&c->peers, hash, peer_eq, &key);
	if (p) {
		free(key.v);
		p->refs++;
		p->uses++;
		return p;
	}
	p = xcalloc(1, sizeof(*p));
	p->hash = hash;
	p->refs = 1;
	p->uses = 1;
	p->key = key;
	p->owner = policy_ref(owner);
	peer_fill(c, p, e, part);
	p->fresh = true;
	pvec_add(&c->fresh_peers, p);
	hset_add(&c->peers, p);
	return p;
}

void peer_free(struct peer *p)
{
	policy_unref(p->owner);
	free(p->bits);
	free(p->key.v);
	free(p);
}

static void peer_retire(struct calc *c, struct peer *p)
{
	if (!p || --p->uses)
		return;
	hset_remove(&c->peers, p);
	if (p->fresh)
		pvec_remove(&c->fresh_peers, p);
	attr_unuse(c, p->nets);
	attr_unuse(c, p->not_nets);
	service_unuse(c, p->service);
	p->nets = p->not_nets = p->service = NULL;
}

static void peer_put(struct peer *p)
{
	if (p && !--p->refs)
		peer_free(p);
}

/* ---- names of ports ---- */

static bool nameuse_eq(const void *item, const void *key)
{
	return !strcmp(((const struct nameuse *)item)->name, key);
}

static struct nameuse *name_use(struct calc *c, const char *name)
{
	uint32_t hash = hash_end(hash_text(HASH_SEED, name));
	struct nameuse *n = hset_find(&c->names, hash, nameuse_eq, name);

	if (!n) {
		n = xcalloc(1, sizeof(*n) + strlen(name) + 1);
		n->hash = hash;
		memcpy(n->name, name, strlen(name) + 1);
		hset_add(&c->names, n);
		c->names_changed = true;
	}
	n->refs++;
	return n;
}

static void name_unuse(struct calc *c, struct nameuse *n)
{
	if (--n->refs)
		return;
	hset_remove(&c->names, n);
	free(n);
	c->names_changed = true;
}

static bool ports_named(struct calc *c, struct cpol *p, const struct policy_ports *ports)
{
	bool any = false;

	for (uint32_t i = 0; i < ports->n; i++)
		if (ports->v[i].name) {
			pvec_add(&p->names, name_use(c, ports->v[i].name));
			any = true;
		}
	return any;
}

static bool entity_named(struct calc *c, struct cpol *p, const struct entity *e)
{
	bool a = ports_named(c, p, &e->ports), b = ports_named(c, p, &e->not_ports);

	return a || b;
}

/* ---- policies ---- */

struct compiling {
	struct calc *c;
	struct cpol *p;
	enum policy_direction dir;
	uint32_t cap;
};

static void rule_add(struct compiling *x, const struct rule *r, const struct service_part *src,
		     const struct service_part *dst)
{
	struct cpol *p = x->p;
	uint32_t *n = &p->n[x->dir];
	bool in = x->dir == POLICY_INGRESS;

	if (*n == x->cap) {
		x->cap = x->cap ? x->cap * 2 : r->index + 4;
		p->rules[x->dir] = xrealloc(p->rules[x->dir], x->cap * sizeof(struct crule));
	}
	struct peer *s = peer_get(x->c, p->policy, &r->source, src);
	struct peer *d = peer_get(x->c, p->policy, &r->destination, dst);
	bool s_named = entity_named(x->c, p, &r->source);
	bool d_named = entity_named(x->c, p, &r->destination);
	struct calc_rule info = {
		.kind = p->policy->kind,
		.kind_text = p->policy->kind_text,
		.namespace_ = p->policy->namespace_,
		.name = p->policy->name,
		.display = p->policy->display,
		.tier = p->policy->tier,
		.dir = x->dir,
		.index = r->index,
		.rule_name = r->name ? r->name : "",
	};
	struct crule *out = &p->rules[x->dir][(*n)++];

	*out = (struct crule){
		.rule = r,
		.ref = r->action == POLICY_PASS ? NULL : rule_get(x->c, &info),
		.remote = in ? s : d,
		.own = in ? d : s,
		.remote_names = in ? s_named : d_named,
		.own_names = in ? d_named : s_named,
	};
	if (dst) {
		out->service = true;
		out->service_proto = (uint8_t)dst->proto;
		out->service_port = dst->port;
	}
}

/* A service as the destination: a rule for each of its ports; none while it has no endpoints. */
static void rule_compile(struct compiling *x, const struct rule *r)
{
	const struct policy_service *from = &r->source.service, *to = &r->destination.service;
	struct service_part src = { .any = 1 }, dst = { 0 }, *srcp = NULL;

	if (from->name) {
		src.service = service_rec(x->c, from->namespace_, from->name, true);
		srcp = &src;
	}
	if (!to->name) {
		rule_add(x, r, srcp, NULL);
		return;
	}
	dst.service = service_rec(x->c, to->namespace_, to->name, true);
	for (size_t i = 0; i < dst.service->n; i++) {
		const struct calc_backend *b = &dst.service->v[i];
		bool done = false;

		for (size_t k = 0; k < i && !done; k++)
			done = dst.service->v[k].port == b->port &&
			       dst.service->v[k].proto == b->proto;
		if (done)
			continue;
		dst.port = b->port;
		dst.proto = b->proto;
		rule_add(x, r, srcp, &dst);
	}
	if (srcp && src.service != dst.service)
		service_rec_put(x->c, src.service);
	service_rec_put(x->c, dst.service);
}

struct cpol *cpol_compile(struct calc *c, struct policy *policy)
{
	struct cpol *p = xcalloc(1, sizeof(*p));

	p->refs = 1;
	p->serial = ++c->serial;
	p->policy = policy_ref(policy);
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++) {
		struct compiling x = { c, p, dir, 0 };

		for (uint32_t i = 0; i < policy->rules[dir].n; i++)
			rule_compile(&x, &policy->rules[dir].v[i]);
	}
	return p;
}

void cpol_free(struct cpol *p)
{
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++)
		free(p->rules[dir]);
	pvec_free(&p->names);
	policy_unref(p->policy);
	free(p);
}

void cpol_retire(struct calc *c, struct cpol *p)
{
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++)
		for (uint32_t i = 0; i < p->n[dir]; i++) {
			peer_retire(c, p->rules[dir][i].remote);
			peer_retire(c, p->rules[dir][i].own);
		}
	for (uint32_t i = 0; i < p->names.n; i++)
		name_unuse(c, p->names.v[i]);
	p->names.n = 0;
}

void cpol_put(struct calc *c, struct cpol *p)
{
	if (!p || --p->refs)
		return;
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++)
		for (uint32_t i = 0; i < p->n[dir]; i++) {
			peer_put(p->rules[dir][i].remote);
			peer_put(p->rules[dir][i].own);
			rule_put(c, p->rules[dir][i].ref);
		}
	cpol_free(p);
}
