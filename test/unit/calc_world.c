#include "config.h"

#include "test/unit/calc_world.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"

static const char *const ns_names[W_NAMESPACES] = { "a", "b", "c" };
static const char *const account_names[] = { "", "robot", "ops" };
static const char *const policy_names[W_POLICIES] = { "p0", "p1", "p2", "p3", "p4", "p5", "p6" };
static const char *const tier_names[W_TIERS] = { "security", "platform", POLICY_TIER_DEFAULT };
static const char *const set_names[W_NETSETS] = { "s0", "s1", "s2", "s3" };
static const char *const pod_names[W_PODS] = {
	"q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8"
};
static const char *const service_names[W_SERVICES] = { "v0", "v1" };
static const char *const port_names[] = { "http", "dns", "metrics" };
static const uint16_t port_numbers[] = { 80, 81, 443, 8080, 53, 65535, 0 };
static const uint8_t port_protocols[] = { 6, 17, 132 };
static const uint8_t protocols[] = { 6, 17, 132, 1, 58, 47 };

#define PICK(r, array) ((array)[rng_below(r, sizeof(array) / sizeof((array)[0]))])

/* ---- small parts ---- */

static struct field_kvs random_labels(struct rng *r, struct field_kv *v)
{
	static const char *const keys[W_LABELS] = { "app", "env", "team", "zone" };
	static const char *const values[] = { "web", "db", "prod", "x" };
	struct field_kvs kvs = { 0, v };

	for (unsigned i = 0; i < W_LABELS; i++)
		if (rng_one_in(r, 2))
			v[kvs.n++] = (struct field_kv){ keys[i], PICK(r, values) };
	return kvs;
}

/* Few, so that they meet each other and the networks. */
static struct addr random_addr(struct rng *r, unsigned fam)
{
	static const char *const v4[] = { "10.0.1.0", "192.168.0.0" };
	static const char *const v6[] = { "fd00::1:0", "fd01::" };
	const char *first = fam == FAM_V4 ? "10.0.0.0" : "fd00::";
	struct addr a;

	if (rng_one_in(r, 8))
		first = fam == FAM_V4 ? PICK(r, v4) : PICK(r, v6);
	ck_assert_int_eq(addr_parse(first, &a), 0);
	return addr_add(&a, rng_below(r, 16));
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

static struct policy_nets random_nets(struct rng *r, struct arena *arena, unsigned fam)
{
	static const char *const v4[] = { "10.0.0.0/28", "10.0.0.0/29",	   "10.0.0.8/29",
					  "10.0.0.4/30", "10.0.0.5/32",	   "10.0.0.0/16",
					  "0.0.0.0/0",	 "192.168.0.0/24", "10.0.0.12/31" };
	static const char *const v6[] = { "fd00::/124",	 "fd00::8/125", "::/0",	   "fd01::/64",
					  "fd00::3/128", "fd00::/16",	"8000::/1" };
	uint32_t n = 1 + rng_below(r, 3), kept = 0;
	struct prefix *v = arena_array(arena, n, sizeof(*v));

	for (uint32_t i = 0; i < n; i++) {
		bool four = fam == FAM_V4 || (fam == FAM_NONE && !rng_one_in(r, 3));

		ck_assert_int_eq(prefix_parse(four ? PICK(r, v4) : PICK(r, v6), &v[i]), 0);
	}
	qsort(v, n, sizeof(*v), by_prefix);
	for (uint32_t i = 0; i < n; i++)
		if (!kept || !prefix_eq(&v[kept - 1], &v[i]))
			v[kept++] = v[i];
	return (struct policy_nets){ kept, v };
}

static void select_by(struct arena *arena, struct policy_selector *s, const char *text)
{
	struct err err;

	s->text = text;
	s->sel = selector_parse(text, arena, &err);
	ck_assert_ptr_nonnull(s->sel);
}

static void random_selector(struct rng *r, struct arena *arena, struct policy_selector *s)
{
	static const char *const texts[] = {
		"app == 'web'",
		"app == 'db'",
		"has(env)",
		"!has(app)",
		"all()",
		"env == 'prod' && app != 'db'",
		"team in {'x', 'web'} || zone == 'prod'",
		"pcns.env == 'prod'",
		"projectcalico.org/namespace == 'a'",
		"pcsa.team == 'x'",
		"global()",
		"zone not in {'x'}",
		"projectcalico.org/orchestrator == 'k8s'",
	};

	select_by(arena, s, PICK(r, texts));
}

static void random_match(struct rng *r, struct arena *arena, struct match *m, bool pods_only)
{
	static const char *const ns[] = { "env == 'prod'", "kubernetes.io/metadata.name == 'a'",
					  "all()", "projectcalico.org/name in {'a', 'b'}",
					  "has(team)" };
	static const char *const sa[] = { "team == 'x'", "all()", "has(env)",
					  "projectcalico.org/name == 'robot'" };
	static const char *const robots[] = { "ops", "robot" };

	m->pods_only = pods_only || rng_one_in(r, 3);
	if (rng_one_in(r, 3))
		m->namespace_ = PICK(r, ns_names);
	if (rng_one_in(r, 2))
		random_selector(r, arena, &m->labels);
	if (rng_one_in(r, 4))
		select_by(arena, &m->ns, PICK(r, ns));
	if (rng_one_in(r, 6))
		select_by(arena, &m->sa, PICK(r, sa));
	if (rng_one_in(r, 8)) {
		m->accounts.v = robots;
		m->accounts.n = 1 + rng_below(r, 2);
	}
}

/* ---- rules ---- */

static struct policy_ports random_ports(struct rng *r, struct arena *arena)
{
	uint32_t n = 1 + rng_below(r, 3);
	struct policy_port *v = arena_array(arena, n, sizeof(*v));

	for (uint32_t i = 0; i < n; i++) {
		v[i].lo = v[i].hi = PICK(r, port_numbers);
		if (rng_one_in(r, 3))
			v[i].name = PICK(r, port_names);
		else if (rng_one_in(r, 3))
			v[i].hi = (uint16_t)(v[i].lo + rng_below(r, 65536u - v[i].lo));
	}
	return (struct policy_ports){ n, v };
}

static void random_entity(struct rng *r, struct arena *arena, struct entity *e, unsigned fam,
			  bool has_ports, unsigned rare)
{
	if (rng_one_in(r, 3 * rare)) {
		e->has_nets = true;
		e->nets = random_nets(r, arena, fam);
		if (rng_one_in(r, 12))
			e->nets.n = 0;
	}
	if (rng_one_in(r, 5 * rare))
		e->not_nets = random_nets(r, arena, fam);
	if (rng_one_in(r, 2 * rare)) {
		e->selected = true;
		random_match(r, arena, &e->match, false);
	}
	if (rng_one_in(r, 6 * rare))
		random_selector(r, arena, &e->not_labels);
	if (rng_one_in(r, 10 * rare))
		e->service = (struct policy_service){ PICK(r, service_names), "a" };
	if (has_ports && rng_one_in(r, 2 * rare))
		e->ports = random_ports(r, arena);
	if (has_ports && rng_one_in(r, 6 * rare))
		e->not_ports = random_ports(r, arena);
}

static void random_icmp(struct rng *r, struct policy_icmp *icmp)
{
	*icmp = (struct policy_icmp){ true, rng_one_in(r, 2), (uint8_t)(rng_below(r, 3) * 4),
				      (uint8_t)rng_below(r, 3) };
}

static void random_rule(struct rng *r, struct arena *arena, struct rule *out,
			enum policy_direction dir, uint32_t index)
{
	static const enum policy_action actions[] = { POLICY_ALLOW, POLICY_ALLOW, POLICY_ALLOW,
						      POLICY_DENY,  POLICY_PASS,  POLICY_LOG };
	bool has_ports = rng_one_in(r, 2), in = dir == POLICY_INGRESS;

	out->action = PICK(r, actions);
	out->index = index;
	out->name = "rule";
	if (rng_one_in(r, 6))
		out->family = rng_one_in(r, 2) ? FAM_V4 : FAM_V6;
	if (has_ports) {
		out->protocol = (struct policy_protocol){ true, PICK(r, port_protocols) };
	} else if (rng_one_in(r, 3)) {
		out->protocol = (struct policy_protocol){ true, PICK(r, protocols) };
		if (out->protocol.number == 1 || out->protocol.number == 58) {
			if (rng_one_in(r, 2))
				random_icmp(r, &out->icmp);
			if (rng_one_in(r, 3))
				random_icmp(r, &out->not_icmp);
		}
	}
	if (rng_one_in(r, 6))
		out->not_protocol = (struct policy_protocol){ true, PICK(r, protocols) };
	random_entity(r, arena, &out->source, out->family, has_ports, in ? 1 : 3);
	random_entity(r, arena, &out->destination, out->family, has_ports, in ? 3 : 1);
}

static struct policy *random_policy(struct rng *r, unsigned slot)
{
	static const char *const tiers[] = { "security",
					     "platform",
					     POLICY_TIER_DEFAULT,
					     POLICY_TIER_DEFAULT,
					     POLICY_TIER_ADMIN,
					     POLICY_TIER_BASELINE,
					     "unknown" };
	struct policy *p = xcalloc(1, sizeof(*p));

	p->refs = 1;
	p->kind = slot % 2 ? POLICY_CALICO : POLICY_GLOBAL;
	p->staged = slot == W_POLICIES - 1 || slot == W_POLICIES - 2;
	p->kind_text = slot % 2 ? "NetworkPolicy" : "GlobalNetworkPolicy";
	p->group = "projectcalico.org/v3";
	p->namespace_ = slot % 2 ? ns_names[slot / 2 % W_NAMESPACES] : "";
	p->name = p->display = p->sort_name = policy_names[slot];
	p->tier = PICK(r, tiers);
	p->order = rng_one_in(r, 4) ? INFINITY : rng_below(r, 3);
	p->pods = !rng_one_in(r, 20);
	random_match(r, &p->arena, &p->subject, true);
	if (slot % 2)
		p->subject.namespace_ = p->namespace_;
	if (rng_one_in(r, 3))
		p->subject = (struct match){ .pods_only = true };
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++) {
		uint32_t n = rng_below(r, 5);
		struct rule *v = xcalloc(n + 1, sizeof(*v));

		p->types[dir] = !rng_one_in(r, 3);
		for (uint32_t i = 0; i < n; i++)
			random_rule(r, &p->arena, &v[i], dir, i);
		p->rules[dir] = (struct policy_rules){ n, v };
	}
	return p;
}

/* ---- telling the calc ---- */

static void tell_pod(struct calc *c, const struct naive_pod *n)
{
	struct pod_labels *labels = xcalloc(1, sizeof(*labels) + W_LABELS * sizeof(*labels->v));
	struct pod_ports *ports = xcalloc(1, sizeof(*ports) + NAIVE_PORTS * sizeof(*ports->v));
	struct pod p = { .namespace_ = n->namespace_,
			 .name = n->name,
			 .node = "n",
			 .service_account = n->account,
			 .labels = labels,
			 .ports = ports,
			 .naddrs = n->naddrs & 3,
			 .phase = n->over ? POD_FAILED : POD_RUNNING,
			 .terminating = n->terminating,
			 .host_network = n->host_network };

	labels->n = (uint16_t)n->labels.n;
	for (unsigned i = 0; i < n->labels.n; i++)
		labels->v[i] = (struct pod_label){ n->labels.v[i].key, n->labels.v[i].value };
	ports->n = (uint16_t)n->nports;
	memcpy(ports->v, n->ports, n->nports * sizeof(*ports->v));
	for (unsigned i = 0; i < n->naddrs; i++) {
		p.fam[i] = n->addrs[i].fam;
		memcpy(p.addr[i], n->addrs[i].b, 16);
	}
	calc_pod(c, &p);
	free(labels);
	free(ports);
}

static void tell_endpoint(struct calc *c, const struct naive_endpoint *n)
{
	struct calc_endpoint e = { .id = n->id,
				   .namespace_ = n->pod.namespace_,
				   .name = n->pod.name,
				   .own_labels = n->own_labels,
				   .account = n->pod.account,
				   .labels = (const struct pod_label *)n->pod.labels.v,
				   .nlabels = n->pod.labels.n,
				   .ports = n->pod.ports,
				   .nports = n->pod.nports,
				   .addrs = n->pod.addrs,
				   .naddrs = n->pod.naddrs };

	calc_endpoint(c, &e);
}

/* ---- changes ---- */

enum thing {
	O_NAMESPACE,
	O_ACCOUNT,
	O_POD,
	O_ENDPOINT,
	O_SERVICE,
	O_POLICY,
	O_TIER,
	O_NETSET,
	O_COUNT
};
static const unsigned counts[O_COUNT] = { W_NAMESPACES, W_ACCOUNTS, W_PODS,  W_ENDPOINTS,
					  W_SERVICES,	W_POLICIES, W_TIERS, W_NETSETS };

static bool is_there(const struct world *w, enum thing o, unsigned i)
{
	switch (o) {
	case O_NAMESPACE:
		return w->namespaces[i].there;
	case O_ACCOUNT:
		return w->accounts[i].there;
	case O_POD:
		return w->pods[i].there;
	case O_ENDPOINT:
		return w->endpoints[i].pod.there;
	case O_SERVICE:
		return w->services[i].there;
	case O_POLICY:
		return w->policies[i];
	case O_TIER:
		return w->tiers[i];
	default:
		return w->netsets[i];
	}
}

static void tell(const struct world *w, enum thing o, unsigned i, struct calc *c)
{
	switch (o) {
	case O_NAMESPACE:
		calc_namespace(c, w->namespaces[i].name, &w->namespaces[i].labels);
		return;
	case O_ACCOUNT:
		calc_account(c, w->accounts[i].namespace_, w->accounts[i].name,
			     &w->accounts[i].labels);
		return;
	case O_POD:
		tell_pod(c, &w->pods[i]);
		return;
	case O_ENDPOINT:
		tell_endpoint(c, &w->endpoints[i]);
		return;
	case O_SERVICE:
		calc_service(c, w->services[i].namespace_, w->services[i].name, w->services[i].v,
			     w->services[i].n);
		return;
	case O_POLICY:
		calc_policy(c, w->policies[i]);
		return;
	case O_TIER:
		calc_tier(c, w->tiers[i]);
		return;
	default:
		calc_netset(c, w->netsets[i]);
	}
}

static void take(struct world *w, enum thing o, unsigned i, struct calc *c)
{
	switch (o) {
	case O_NAMESPACE:
		calc_namespace_del(c, w->namespaces[i].name);
		w->namespaces[i].there = false;
		return;
	case O_ACCOUNT:
		calc_account_del(c, w->accounts[i].namespace_, w->accounts[i].name);
		w->accounts[i].there = false;
		return;
	case O_POD:
		calc_pod_del(c, w->pods[i].namespace_, w->pods[i].name);
		w->pods[i].there = false;
		return;
	case O_ENDPOINT:
		calc_endpoint_del(c, w->endpoints[i].id);
		w->endpoints[i].pod.there = false;
		return;
	case O_SERVICE:
		calc_service_del(c, w->services[i].namespace_, w->services[i].name);
		w->services[i].there = false;
		return;
	case O_POLICY:
		calc_policy_del(c, w->policies[i]->kind, w->policies[i]->kind_text,
				w->policies[i]->namespace_, w->policies[i]->name);
		policy_unref(w->policies[i]);
		w->policies[i] = NULL;
		return;
	case O_TIER:
		calc_tier_del(c, w->tiers[i]->name);
		tier_unref(w->tiers[i]);
		w->tiers[i] = NULL;
		return;
	default:
		calc_netset_del(c, w->netsets[i]->namespace_, w->netsets[i]->name);
		netset_unref(w->netsets[i]);
		w->netsets[i] = NULL;
	}
}

static void random_pod(struct rng *r, struct naive_pod *p, struct field_kv *labels,
		       const char *namespace_, const char *name)
{
	*p = (struct naive_pod){ .there = true, .namespace_ = namespace_, .name = name };
	p->account = PICK(r, account_names);
	p->labels = random_labels(r, labels);
	p->nports = rng_below(r, NAIVE_PORTS);
	for (unsigned i = 0; i < p->nports; i++)
		p->ports[i] = (struct pod_port){ PICK(r, port_names), PICK(r, port_numbers),
						 PICK(r, port_protocols) };
	p->naddrs = rng_below(r, 3);
	for (unsigned i = 0; i < p->naddrs; i++)
		p->addrs[i] = random_addr(r, i == rng_below(r, 4) ? FAM_V6 : FAM_V4);
	p->host_network = rng_one_in(r, 12);
	p->over = rng_one_in(r, 12);
	p->terminating = rng_one_in(r, 6);
}

static struct field_kv *labels_of(struct world *w, enum thing o, unsigned i)
{
	for (unsigned k = 0; k < o; k++)
		i += counts[k];
	return w->labels[i];
}

static void renew_endpoint(struct world *w, struct rng *r, unsigned i)
{
	struct naive_endpoint *e = &w->endpoints[i];
	unsigned pod = rng_below(r, 4);

	random_pod(r, &e->pod, labels_of(w, O_ENDPOINT, i), ns_names[pod % W_NAMESPACES],
		   pod_names[pod]);
	e->own_labels = rng_one_in(r, 4);
	e->id = 100 - i;
	e->pod.naddrs = 1 + rng_below(r, NAIVE_ADDRS);
	for (unsigned k = 0; k < e->pod.naddrs; k++)
		e->pod.addrs[k] = random_addr(r, k % 2 ? FAM_V6 : FAM_V4);
}

static void renew_service(struct world *w, struct rng *r, unsigned i)
{
	struct naive_service *s = &w->services[i];

	*s = (struct naive_service){ .there = true, .namespace_ = "a", .name = service_names[i] };
	s->n = rng_below(r, NAIVE_BACKENDS + 1);
	for (unsigned k = 0; k < s->n; k++)
		s->v[k] = (struct calc_backend){ random_addr(r, rng_one_in(r, 3) ? FAM_V6 : FAM_V4),
						 PICK(r, port_numbers), PICK(r, port_protocols) };
}

static void renew_tier(struct world *w, struct rng *r, unsigned i)
{
	struct tier *t = xcalloc(1, sizeof(*t));

	t->refs = 1;
	t->name = tier_names[i];
	t->order = rng_one_in(r, 5) ? INFINITY : rng_below(r, 3);
	t->action = rng_one_in(r, 2) ? POLICY_DENY : POLICY_PASS;
	if (w->tiers[i])
		tier_unref(w->tiers[i]);
	w->tiers[i] = t;
}

static void renew_netset(struct world *w, struct rng *r, unsigned i)
{
	struct netset *s = xcalloc(1, sizeof(*s));

	s->refs = 1;
	s->global = i % 2;
	s->namespace_ = i % 2 ? "" : ns_names[i / 2];
	s->name = s->display = set_names[i];
	s->labels.v = arena_array(&s->arena, W_LABELS, sizeof(*s->labels.v));
	s->labels = random_labels(r, s->labels.v);
	s->nets = random_nets(r, &s->arena, FAM_NONE);
	if (rng_one_in(r, 4)) /* all of a family, sorted before the others */
		prefix_parse(rng_one_in(r, 3) ? "::/0" : "0.0.0.0/0",
			     (struct prefix *)&s->nets.v[0]);
	if (w->netsets[i])
		netset_unref(w->netsets[i]);
	w->netsets[i] = s;
}

static void renew(struct world *w, struct rng *r, enum thing o, unsigned i)
{
	struct field_kv *labels = labels_of(w, o, i);
	struct naive_labels *l = o == O_NAMESPACE ? w->namespaces : w->accounts;

	switch (o) {
	case O_NAMESPACE:
	case O_ACCOUNT:
		l += i;
		l->there = true;
		l->namespace_ = ns_names[i / 2];
		l->name = o == O_NAMESPACE ? ns_names[i] : account_names[1 + i % 2];
		l->labels = random_labels(r, labels);
		return;
	case O_POD:
		random_pod(r, &w->pods[i], labels, ns_names[i % W_NAMESPACES], pod_names[i]);
		return;
	case O_ENDPOINT:
		renew_endpoint(w, r, i);
		return;
	case O_SERVICE:
		renew_service(w, r, i);
		return;
	case O_POLICY:
		policy_unref(w->policies[i]);
		w->policies[i] = random_policy(r, i);
		return;
	case O_TIER:
		renew_tier(w, r, i);
		return;
	default:
		renew_netset(w, r, i);
	}
}

void world_step(struct world *w, struct rng *r, struct calc *c)
{
	static const enum thing often[] = { O_POD,	 O_POD,	    O_POD,	O_POLICY,
					    O_POLICY,	 O_POLICY,  O_ENDPOINT, O_NETSET,
					    O_NAMESPACE, O_ACCOUNT, O_TIER,	O_SERVICE };
	enum thing o = PICK(r, often);
	unsigned i = rng_below(r, counts[o]);

	if (is_there(w, o, i) && rng_one_in(r, 4)) {
		take(w, o, i, c);
		return;
	}
	renew(w, r, o, i);
	tell(w, o, i, c);
}

/* All places, in random order. */
static unsigned shuffle(struct rng *r, enum thing *o, unsigned *at)
{
	unsigned n = 0;

	for (unsigned k = 0; k < O_COUNT; k++)
		for (unsigned i = 0; i < counts[k]; i++) {
			unsigned x = rng_below(r, n + 1);

			o[n] = o[x];
			at[n] = at[x];
			o[x] = k;
			at[x] = i;
			n++;
		}
	return n;
}

void world_clear(struct world *w, struct rng *r, struct calc *c)
{
	enum thing o[64];
	unsigned at[64], n = shuffle(r, o, at);

	for (unsigned i = 0; i < n; i++) {
		if (is_there(w, o[i], at[i]))
			take(w, o[i], at[i], c);
		if (rng_one_in(r, 8))
			calc_flush(c);
	}
}

void world_tell_all(const struct world *w, struct rng *r, struct calc *c)
{
	enum thing o[64];
	unsigned at[64], n = shuffle(r, o, at);

	for (unsigned i = 0; i < n; i++) {
		if (is_there(w, o[i], at[i]))
			tell(w, o[i], at[i], c);
		if (rng_one_in(r, 12))
			calc_flush(c);
	}
}

void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->n = (struct naive_world){ w->pods,	  w->namespaces, w->accounts, w->endpoints,
				     w->services, w->policies,	 w->tiers,    w->netsets,
				     W_PODS,	  W_NAMESPACES,	 W_ACCOUNTS,  W_ENDPOINTS,
				     W_SERVICES,  W_POLICIES,	 W_TIERS,     W_NETSETS };
}

void world_free(struct world *w)
{
	for (unsigned i = 0; i < W_POLICIES; i++)
		policy_unref(w->policies[i]);
	for (unsigned i = 0; i < W_TIERS; i++)
		tier_unref(w->tiers[i]);
	for (unsigned i = 0; i < W_NETSETS; i++)
		netset_unref(w->netsets[i]);
}

struct naive_packet world_packet(const struct world *w, struct rng *r,
				 const struct naive_endpoint *e, enum policy_direction dir)
{
	struct addr own = e->pod.addrs[rng_below(r, e->pod.naddrs)];
	struct addr remote = random_addr(r, own.fam);
	struct naive_packet p = { .proto = PICK(r, protocols) };

	(void)w;
	p.src = dir == POLICY_INGRESS ? remote : own;
	p.dst = dir == POLICY_INGRESS ? own : remote;
	if (p.proto == 1 || p.proto == 58) {
		p.dport = (uint16_t)(rng_below(r, 3) * 4);
		p.sport = (uint16_t)rng_below(r, 3);
	} else if (p.proto != 47) {
		p.dport = rng_one_in(r, 4) ? (uint16_t)rng_next(r) : PICK(r, port_numbers);
		p.sport = rng_one_in(r, 2) ? (uint16_t)rng_next(r) : PICK(r, port_numbers);
	}
	return p;
}
