#include "config.h"

#include "test/unit/naive_policy.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VIEW_MAX = 96, TEXT_MAX = 160 };

/* ---- what selectors see ---- */

struct view {
	struct field_kv v[VIEW_MAX];
	char keys[VIEW_MAX][TEXT_MAX];
	struct field_kvs kvs;
};

static void view_add(struct view *v, const char *prefix, const char *key, const char *value)
{
	ck_assert_uint_lt(v->kvs.n, VIEW_MAX);
	snprintf(v->keys[v->kvs.n], TEXT_MAX, "%s%s", prefix, key);
	v->v[v->kvs.n].key = v->keys[v->kvs.n];
	v->v[v->kvs.n].value = (char *)value;
	v->kvs.n++;
	v->kvs.v = v->v;
}

static const struct naive_labels *find_labels(const struct naive_labels *v, unsigned n,
					      const char *namespace_, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (v[i].there && !strcmp(v[i].name, name) &&
		    (!namespace_ || !strcmp(v[i].namespace_, namespace_)))
			return &v[i];
	return NULL;
}

static void add_namespace(struct view *v, const struct naive_world *w, const char *prefix,
			  const char *namespace_)
{
	const struct naive_labels *ns =
		find_labels(w->namespaces, w->nnamespaces, NULL, namespace_);
	bool said = false;

	view_add(v, prefix, POLICY_LABEL_NAME, namespace_);
	for (unsigned i = 0; ns && i < ns->labels.n; i++) {
		view_add(v, prefix, ns->labels.v[i].key, ns->labels.v[i].value);
		said |= !strcmp(ns->labels.v[i].key, "kubernetes.io/metadata.name");
	}
	if (!said)
		view_add(v, prefix, "kubernetes.io/metadata.name", namespace_);
}

static void add_account(struct view *v, const struct naive_world *w, const char *prefix,
			const char *namespace_, const char *account)
{
	const struct naive_labels *sa = find_labels(w->accounts, w->naccounts, namespace_, account);

	view_add(v, prefix, POLICY_LABEL_NAME, account);
	for (unsigned i = 0; sa && i < sa->labels.n; i++)
		view_add(v, prefix, sa->labels.v[i].key, sa->labels.v[i].value);
}

struct seen {
	struct view labels, ns, sa;
	struct match_subject s;
};

static void see(struct seen *x, const struct naive_world *w, bool is_pod, const char *namespace_,
		const char *account, const struct field_kvs *own)
{
	memset(x, 0, sizeof(*x));
	if (is_pod)
		view_add(&x->labels, "", POLICY_LABEL_ORCHESTRATOR, "k8s");
	if (namespace_[0]) {
		view_add(&x->labels, "", POLICY_LABEL_NAMESPACE, namespace_);
		add_namespace(&x->labels, w, POLICY_PREFIX_NAMESPACE, namespace_);
		add_namespace(&x->ns, w, "", namespace_);
		view_add(&x->ns, "", POLICY_LABEL_NAMESPACE, namespace_);
	}
	if (account[0]) {
		view_add(&x->labels, "", POLICY_LABEL_ACCOUNT, account);
		add_account(&x->labels, w, POLICY_PREFIX_ACCOUNT, namespace_, account);
		add_account(&x->sa, w, "", namespace_, account);
		view_add(&x->sa, "", POLICY_LABEL_ACCOUNT, account);
	}
	for (unsigned i = 0; i < own->n; i++)
		view_add(&x->labels, "", own->v[i].key, own->v[i].value);
	x->s = (struct match_subject){ is_pod,	       namespace_, account,
				       &x->labels.kvs, &x->ns.kvs, &x->sa.kvs };
}

static void see_pod(struct seen *x, const struct naive_world *w, const struct naive_pod *p)
{
	see(x, w, true, p->namespace_, p->account, &p->labels);
}

/* ---- whose is an address ---- */

static const struct naive_pod *endpoint_pod(const struct naive_world *w,
					    const struct naive_endpoint *e)
{
	if (e->own_labels)
		return &e->pod;
	for (unsigned i = 0; i < w->npods; i++)
		if (w->pods[i].there && !strcmp(w->pods[i].namespace_, e->pod.namespace_) &&
		    !strcmp(w->pods[i].name, e->pod.name))
			return &w->pods[i];
	return NULL;
}

static bool has_addr(const struct naive_pod *p, const struct addr *a)
{
	for (unsigned i = 0; i < p->naddrs; i++)
		if (addr_eq(&p->addrs[i], a))
			return true;
	return false;
}

static bool comes_first(const struct naive_pod *a, const struct naive_pod *b)
{
	int order;

	if (a->terminating != b->terminating)
		return b->terminating;
	order = strcmp(a->namespace_, b->namespace_);
	return (order ? order : strcmp(a->name, b->name)) < 0;
}

const struct naive_pod *naive_owner(const struct naive_world *w, const struct addr *a)
{
	const struct naive_endpoint *e = NULL;
	const struct naive_pod *p = NULL;

	for (unsigned i = 0; i < w->nendpoints; i++) {
		const struct naive_endpoint *x = &w->endpoints[i];

		if (x->pod.there && has_addr(&x->pod, a) && endpoint_pod(w, x) &&
		    (!e || x->id < e->id))
			e = x;
	}
	if (e)
		return endpoint_pod(w, e);
	for (unsigned i = 0; i < w->npods; i++) {
		const struct naive_pod *x = &w->pods[i];

		if (x->there && !x->host_network && !x->over && has_addr(x, a) &&
		    (!p || comes_first(x, p)))
			p = x;
	}
	return p;
}

/* ---- one end of a packet against one end of a rule ---- */

static bool in_nets(const struct policy_nets *nets, const struct addr *a)
{
	for (uint32_t i = 0; i < nets->n; i++)
		if (prefix_contains(&nets->v[i], a))
			return true;
	return false;
}

static bool selected(const struct naive_world *w, const struct match *m, const struct addr *a,
		     const struct naive_pod *pod)
{
	struct seen x;

	if (pod) {
		see_pod(&x, w, pod);
		if (match_holds(m, &x.s))
			return true;
	}
	for (unsigned i = 0; i < w->nnetsets; i++) {
		const struct netset *s = w->netsets[i];

		if (!s || !in_nets(&s->nets, a))
			continue;
		see(&x, w, false, s->namespace_, "", &s->labels);
		if (match_holds(m, &x.s))
			return true;
	}
	return false;
}

static bool not_labels_hold(const struct naive_world *w, const struct policy_selector *sel,
			    const struct addr *a, const struct naive_pod *pod)
{
	const struct match any = { .labels = *sel };

	return !sel->text || !selected(w, &any, a, pod);
}

static bool service_holds(const struct naive_world *w, const struct policy_service *want,
			  const struct addr *a, uint8_t proto, uint16_t port, bool with_port)
{
	if (!want->name)
		return true;
	for (unsigned i = 0; i < w->nservices; i++) {
		const struct naive_service *s = &w->services[i];

		if (!s->there || strcmp(s->name, want->name) != 0 ||
		    strcmp(s->namespace_, want->namespace_) != 0)
			continue;
		for (unsigned k = 0; k < s->n; k++)
			if (addr_eq(&s->v[k].addr, a) &&
			    (!with_port || (s->v[k].proto == proto && s->v[k].port == port)))
				return true;
	}
	return false;
}

static bool in_ports(const struct policy_ports *ports, const struct naive_pod *pod, uint8_t proto,
		     uint16_t port)
{
	for (uint32_t i = 0; i < ports->n; i++) {
		const struct policy_port *want = &ports->v[i];

		if (!want->name && port >= want->lo && port <= want->hi)
			return true;
		for (unsigned k = 0; want->name && pod && k < pod->nports; k++)
			if (!strcmp(pod->ports[k].name, want->name) &&
			    pod->ports[k].protocol == proto && pod->ports[k].port == port)
				return true;
	}
	return false;
}

static bool has_ports(uint8_t proto)
{
	return proto == 6 || proto == 17 || proto == 132;
}

static bool ports_hold(const struct entity *e, const struct naive_pod *pod, uint8_t proto,
		       uint16_t port)
{
	if (!has_ports(proto))
		return !e->ports.n;
	if (e->ports.n && !in_ports(&e->ports, pod, proto, port))
		return false;
	return !in_ports(&e->not_ports, pod, proto, port);
}

static bool end_holds(const struct naive_world *w, const struct entity *e, const struct addr *a,
		      const struct naive_pod *pod, uint8_t proto, uint16_t port, bool is_dst)
{
	if (e->has_nets && !in_nets(&e->nets, a))
		return false;
	if (in_nets(&e->not_nets, a))
		return false;
	if (e->selected && !selected(w, &e->match, a, pod))
		return false;
	if (!not_labels_hold(w, &e->not_labels, a, pod))
		return false;
	if (!service_holds(w, &e->service, a, proto, port, is_dst))
		return false;
	return ports_hold(e, pod, proto, port);
}

/* ---- a rule ---- */

static bool icmp_is(const struct policy_icmp *want, const struct naive_packet *p)
{
	return (p->proto == 1 || p->proto == 58) && p->dport == want->type &&
	       (!want->has_code || p->sport == want->code);
}

struct ends {
	struct addr src, dst;
	const struct naive_pod *src_pod, *dst_pod;
};

static bool rule_holds(const struct naive_world *w, const struct rule *r,
		       const struct naive_packet *p, const struct ends *at)
{
	if (r->family != FAM_NONE && r->family != at->src.fam)
		return false;
	if (r->protocol.set && r->protocol.number != p->proto)
		return false;
	if (r->not_protocol.set && r->not_protocol.number == p->proto)
		return false;
	if (r->icmp.set && !icmp_is(&r->icmp, p))
		return false;
	if (r->not_icmp.set && icmp_is(&r->not_icmp, p))
		return false;
	return end_holds(w, &r->source, &at->src, at->src_pod, p->proto, p->sport, false) &&
	       end_holds(w, &r->destination, &at->dst, at->dst_pod, p->proto, p->dport, true);
}

/* ---- the policies of an endpoint ---- */

struct chosen {
	const struct policy *policy;
	struct tier tier;
};

static int by_order(const void *a, const void *b)
{
	const struct chosen *x = a, *y = b;
	int order = tier_cmp(&x->tier, &y->tier);

	return order ? order : policy_cmp(x->policy, y->policy);
}

static struct tier tier_of(const struct naive_world *w, const char *name)
{
	unsigned n;
	const struct tier *const *builtin = policy_builtin_tiers(&n);

	for (unsigned i = 0; i < w->ntiers; i++)
		if (w->tiers[i] && !strcmp(w->tiers[i]->name, name))
			return *w->tiers[i];
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(builtin[i]->name, name))
			return *builtin[i];
	return (struct tier){ .name = name, .order = INFINITY, .action = POLICY_DENY };
}

static unsigned choose(const struct naive_world *w, const struct naive_pod *pod,
		       enum policy_direction dir, bool staged, struct chosen *v)
{
	struct seen x;
	unsigned n = 0;

	see_pod(&x, w, pod);
	for (unsigned i = 0; i < w->npolicies; i++) {
		const struct policy *p = w->policies[i];

		if (!p || !p->pods || p->kind == POLICY_PROFILE || !p->types[dir] ||
		    (p->staged && !staged) || !match_holds(&p->subject, &x.s))
			continue;
		v[n++] = (struct chosen){ p, tier_of(w, p->tier) };
	}
	qsort(v, n, sizeof(*v), by_order);
	return n;
}

bool naive_has_staged(const struct naive_world *w, const struct naive_endpoint *e,
		      enum policy_direction dir)
{
	const struct naive_pod *pod = endpoint_pod(w, e);
	struct chosen *v = xcalloc(w->npolicies + 1, sizeof(*v));
	bool has = pod && choose(w, pod, dir, true, v) != choose(w, pod, dir, false, v);

	free(v);
	return has;
}

/* true: decided. */
static bool run_policy(const struct naive_world *w, const struct policy *policy,
		       enum policy_direction dir, const struct naive_packet *p,
		       const struct ends *at, struct naive_verdict *out, bool *pass)
{
	for (uint32_t i = 0; i < policy->rules[dir].n; i++) {
		const struct rule *r = &policy->rules[dir].v[i];

		if (!rule_holds(w, r, p, at))
			continue;
		if (r->action == POLICY_LOG) {
			if (!out->log_policy) {
				out->log_policy = policy;
				out->log_index = r->index;
			}
			continue;
		}
		if (r->action == POLICY_PASS) {
			*pass = true;
			return false;
		}
		out->allow = r->action == POLICY_ALLOW;
		out->policy = policy;
		out->index = r->index;
		return true;
	}
	return false;
}

static struct ends ends_of(const struct naive_world *w, const struct naive_endpoint *e,
			   const struct naive_pod *pod, enum policy_direction dir,
			   const struct naive_packet *p)
{
	struct ends at = { p->src, p->dst, NULL, NULL };
	struct addr *own = dir == POLICY_INGRESS ? &at.dst : &at.src;

	for (unsigned i = 0; i < e->pod.naddrs; i++)
		if (e->pod.addrs[i].fam == own->fam) {
			*own = e->pod.addrs[i];
			break;
		}
	at.src_pod = dir == POLICY_EGRESS ? pod : naive_owner(w, &p->src);
	at.dst_pod = dir == POLICY_INGRESS ? pod : naive_owner(w, &p->dst);
	return at;
}

struct naive_verdict naive_judge(const struct naive_world *w, const struct naive_endpoint *e,
				 enum policy_direction dir, const struct naive_packet *p,
				 bool staged)
{
	const struct naive_pod *pod = endpoint_pod(w, e);
	struct naive_verdict out = { .tier = "" };

	if (!pod) {
		out.unknown = true;
		return out;
	}
	struct ends at = ends_of(w, e, pod, dir, p);
	struct chosen *v = xcalloc(w->npolicies + 1, sizeof(*v));
	unsigned n = choose(w, pod, dir, staged, v);

	for (unsigned i = 0; i < n;) {
		unsigned end = i;
		bool pass = false;

		while (end < n && !tier_cmp(&v[end].tier, &v[i].tier))
			end++;
		for (unsigned k = i; k < end && !pass; k++)
			if (run_policy(w, v[k].policy, dir, p, &at, &out, &pass))
				goto decided;
		if (!pass && v[i].tier.action == POLICY_DENY) {
			out.tier = v[i].tier.name;
			goto decided;
		}
		i = end;
	}
	out.allow = true;
decided:
	free(v);
	return out;
}
