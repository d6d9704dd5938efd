/* Kubernetes' NetworkPolicy, and Calico's staged one of that form. */
#include "config.h"

#include <stddef.h>
#include <string.h>

#include "felix/policy/read_impl.h"

/* Where Calico puts Kubernetes' policies in the default tier. */
enum { KUBERNETES_ORDER = 1000 };

static const struct field spec_fields[] = {
	FIELD_IGNORE("podSelector"),
	FIELD_IGNORE("policyTypes"),
	FIELD_IGNORE("ingress"),
	FIELD_IGNORE("egress"),
	FIELDS_END,
};
static const struct field staged_fields[] = {
	FIELD_IGNORE("podSelector"), FIELD_IGNORE("policyTypes"),  FIELD_IGNORE("ingress"),
	FIELD_IGNORE("egress"),	     FIELD_IGNORE("stagedAction"), FIELDS_END,
};
static const struct field rule_fields[POLICY_DIRECTIONS][3] = {
	{ FIELD_IGNORE("from"), FIELD_IGNORE("ports"), FIELDS_END },
	{ FIELD_IGNORE("to"), FIELD_IGNORE("ports"), FIELDS_END },
};
static const struct field peer_fields[] = {
	FIELD_IGNORE("podSelector"),
	FIELD_IGNORE("namespaceSelector"),
	FIELD_IGNORE("ipBlock"),
	FIELDS_END,
};
static const struct field block_fields[] = {
	FIELD_IGNORE("cidr"),
	FIELD_IGNORE("except"),
	FIELDS_END,
};
static const struct field port_fields[] = {
	FIELD_IGNORE("protocol"),
	FIELD_IGNORE("port"),
	FIELD_IGNORE("endPort"),
	FIELDS_END,
};

/* ---- ports ---- */

static int group_of(struct reading *r, const struct node *protocol, const char *path)
{
	static const char *const words[GROUPS] = { "TCP", "UDP", "SCTP" };

	if (!protocol)
		return GROUP_TCP;
	for (int g = 0; g < GROUPS; g++)
		if (protocol->kind == NODE_SCALAR && !strcmp(words[g], protocol->text))
			return g;
	return WRONG(r, protocol, "%s.protocol: expected TCP, UDP or SCTP", path);
}

static int read_one_port(struct reading *r, const struct node *x, const char *path,
			 struct port_group groups[GROUPS])
{
	const struct node *port = got(x, "port"), *end = got(x, "endPort");
	struct policy_port p;
	int g;

	if (known_keys(r, x, port_fields, path))
		return -1;
	g = group_of(r, got(x, "protocol"), path);
	if (g < 0)
		return -1;
	if (!port) {
		if (end)
			return WRONG(r, end, "%s.endPort: needs a port beside it", path);
		groups[g].said = groups[g].all = true;
		return 0;
	}
	if (read_port(r, port, path_key(r, path, "port"), false, &p))
		return -1;
	if (end) {
		if (p.name)
			return WRONG(r, end, "%s.endPort: the port has a name; give its number",
				     path);
		if (read_number(r, end, path_key(r, path, "endPort"), p.lo, 65535, &p.hi))
			return -1;
	}
	group_add(r, &groups[g], &p);
	return 0;
}

/* ---- peers ---- */

static int read_block(struct reading *r, const struct node *block, const char *path,
		      struct entity *out, struct prefix *net)
{
	const struct node *cidr = got(block, "cidr");

	if (known_keys(r, block, block_fields, path))
		return -1;
	if (!cidr)
		return WRONG(r, block, "%s.cidr: is missing", path);
	out->has_nets = true;
	return read_net(r, cidr, path_key(r, path, "cidr"), false, net) |
	       read_nets(r, block, "except", path, false, &out->not_nets);
}

static int read_selected(struct reading *r, const struct node *x, const char *path,
			 struct entity *out)
{
	const struct node *pods = got(x, "podSelector"), *ns = got(x, "namespaceSelector");
	int rc = 0;

	out->selected = out->match.pods_only = true;
	if (pods)
		rc = read_label_selector(r, pods, path_key(r, path, "podSelector"), OF_LABELS,
					 &out->match.labels);
	if (!ns)
		out->match.namespace_ = keep_text(r, r->o->namespace_);
	else
		rc |= read_label_selector(r, ns, path_key(r, path, "namespaceSelector"),
					  OF_NAMESPACE, &out->match.ns);
	return rc;
}

struct peers {
	struct entity *v;
	uint32_t n;
	struct prefix *nets; /* of blocks that except nothing: one entity for all of them */
	uint32_t nnets;
};

static int read_peer(struct reading *r, const struct node *x, const char *path, struct peers *out)
{
	const struct node *block = got(x, "ipBlock");
	bool selected = got(x, "podSelector") || got(x, "namespaceSelector");
	struct entity e = { 0 };
	struct prefix net;

	if (known_keys(r, x, peer_fields, path))
		return -1;
	if (!block == !selected)
		return WRONG(r, x,
			     selected ? "%s: ipBlock cannot stand beside a selector"
				      : "%s: expected podSelector, namespaceSelector or ipBlock",
			     path);
	if (selected) {
		if (read_selected(r, x, path, &e))
			return -1;
		out->v[out->n++] = e;
		return 0;
	}
	if (read_block(r, block, path_key(r, path, "ipBlock"), &e, &net))
		return -1;
	if (!e.not_nets.n) {
		out->nets[out->nnets++] = net;
		return 0;
	}
	nets_keep(r, &net, 1, &e.nets);
	out->v[out->n++] = e;
	return 0;
}

static int read_peers(struct reading *r, const struct node *rule, const char *key, const char *path,
		      struct peers *out)
{
	const struct node *x;
	uint32_t n, i = 0;
	int rc = got_list(r, rule, key, path, &x, &n);

	*out = (struct peers){ .v = arena_array(&r->scratch, n + 1, sizeof(*out->v)),
			       .nets = arena_array(&r->scratch, n + 1, sizeof(*out->nets)) };
	for (; x; x = x->next, i++)
		rc |= read_peer(r, x, path_item(r, path, key, i), out);
	if (out->nnets) {
		struct entity e = { .has_nets = true };

		nets_keep(r, out->nets, out->nnets, &e.nets);
		out->v[out->n++] = e;
	}
	return rc;
}

/* ---- rules ---- */

static void read_rule(struct reading *r, const struct node *x, enum policy_direction d,
		      uint32_t index, struct rule_list *l)
{
	const char *path = path_item(r, r->path, policy_direction_name(d), index);
	struct port_group groups[GROUPS] = { 0 };
	struct rule rule = { .action = POLICY_ALLOW,
			     .index = index,
			     .name = rule_name(r, d, index) };
	const struct node *port;
	struct peers peers;
	uint32_t n, i = 0;

	if (known_keys(r, x, rule_fields[d], path))
		return;
	int rc = read_peers(r, x, d == POLICY_INGRESS ? "from" : "to", path, &peers) |
		 got_list(r, x, "ports", path, &port, &n);

	for (; port; port = port->next, i++)
		rc |= read_one_port(r, port, path_item(r, path, "ports", i), groups);
	if (!rc && rules_cross(r, l, d, &rule, peers.v, peers.n, groups))
		SAY(r, x, "%s: peers and ports make more than %d rules", path, RULES_MAX);
}

void read_kubernetes(struct reading *r, struct policy *p)
{
	const char *path = r->path;
	const struct node *pods = got(r->spec, "podSelector"), *x;

	known_keys(r, r->spec, p->staged ? staged_fields : spec_fields, path);
	p->order = KUBERNETES_ORDER;
	if (pods && read_label_selector(r, pods, path_key(r, path, "podSelector"), OF_LABELS,
					&p->subject.labels))
		p->subject_unknown = true;
	if (!read_types(r, "policyTypes", p->types)) {
		p->types[POLICY_INGRESS] = true;
		p->types[POLICY_EGRESS] = has_rules(r, POLICY_EGRESS);
	}
	if (p->staged)
		read_staged_action(r, p);
	for (enum policy_direction d = 0; d < POLICY_DIRECTIONS; d++) {
		struct rule_list l = { 0 };
		uint32_t n, i = 0;

		got_list(r, r->spec, policy_direction_name(d), path, &x, &n);
		for (; x; x = x->next)
			read_rule(r, x, d, i++, &l);
		if (p->types[d])
			rules_keep(&l, &p->rules[d]);
	}
}
