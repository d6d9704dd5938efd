/* ClusterNetworkPolicy v1alpha2 of policy.networking.k8s.io.
 *
 * A rule that cannot be understood is closed alone, as its API asks: Accept matches nothing, Deny
 * and Pass (and what has no known action) deny everything.
 */
#include "config.h"

#include <stddef.h>
#include <string.h>

#include "felix/policy/read_impl.h"

static const char *const tier_words[] = { "Admin", "Baseline", NULL };
struct spec_read {
	int tier;
	uint32_t priority;
};
static const struct field spec_fields[] = {
	{ "tier", F_ENUM, offsetof(struct spec_read, tier), .words = tier_words, .required = true },
	{ "priority", F_U32, offsetof(struct spec_read, priority), .max = 1000, .required = true },
	FIELD_IGNORE("subject"),
	FIELD_IGNORE("ingress"),
	FIELD_IGNORE("egress"),
	FIELDS_END,
};

/* ---- pods, of a subject and of peers ---- */

static const struct field pods_fields[] = {
	FIELD_IGNORE("namespaceSelector"),
	FIELD_IGNORE("podSelector"),
	FIELDS_END,
};

/* x has `namespaces` or `pods`, one of them. 1: none; the caller judges. */
static int read_pods(struct reading *r, const struct node *x, const char *path, struct match *out)
{
	const struct node *ns = got(x, "namespaces"), *pods = got(x, "pods"), *labels;

	if (!ns && !pods)
		return 1;
	if (ns && pods)
		return WRONG(r, x, "%s: namespaces and pods stand both; remove one", path);
	out->pods_only = true;
	if (ns)
		return read_label_selector(r, ns, path_key(r, path, "namespaces"), OF_NAMESPACE,
					   &out->ns);
	path = path_key(r, path, "pods");
	if (known_keys(r, pods, pods_fields, path))
		return -1;
	labels = got(pods, "podSelector");
	if (!labels)
		return WRONG(r, pods, "%s.podSelector: is missing", path);
	ns = got(pods, "namespaceSelector");
	/* Absent is empty: it selects all namespaces. */
	const struct node all = { .kind = NODE_MAP, .line = pods->line, .col = pods->col };

	return read_label_selector(r, ns ? ns : &all, path_key(r, path, "namespaceSelector"),
				   OF_NAMESPACE, &out->ns) |
	       read_label_selector(r, labels, path_key(r, path, "podSelector"), OF_LABELS,
				   &out->labels);
}

static const struct field subject_fields[] = {
	FIELD_IGNORE("namespaces"),
	FIELD_IGNORE("pods"),
	FIELDS_END,
};

static int read_subject(struct reading *r, const char *path, struct policy *p)
{
	const struct node *subject = got(r->spec, "subject");
	int rc;

	path = path_key(r, path, "subject");
	if (!subject)
		return WRONG(r, NULL, "%s: is missing", path);
	if (known_keys(r, subject, subject_fields, path))
		return -1;
	rc = read_pods(r, subject, path, &p->subject);
	return rc > 0 ? WRONG(r, subject, "%s: expected namespaces or pods", path) : rc;
}

/* ---- protocols ---- */

static const struct field protocol_fields[] = {
	FIELD_IGNORE("tcp"),  FIELD_IGNORE("udp"),
	FIELD_IGNORE("sctp"), FIELD_IGNORE("destinationNamedPort"),
	FIELDS_END,
};
static const struct field destination_fields[] = {
	FIELD_IGNORE("destinationPort"),
	FIELDS_END,
};
static const struct field port_fields[] = {
	FIELD_IGNORE("number"),
	FIELD_IGNORE("range"),
	FIELDS_END,
};
static const struct field range_fields[] = {
	FIELD_IGNORE("start"),
	FIELD_IGNORE("end"),
	FIELDS_END,
};

static int read_number_or_range(struct reading *r, const struct node *x, const char *path,
				struct policy_port *out)
{
	const struct node *number = got(x, "number"), *range = got(x, "range");

	*out = (struct policy_port){ 0 };
	if (known_keys(r, x, port_fields, path))
		return -1;
	if (!number == !range)
		return WRONG(r, x, "%s: expected either number or range", path);
	if (number) {
		if (read_number(r, number, path_key(r, path, "number"), 1, 65535, &out->lo))
			return -1;
		out->hi = out->lo;
		return 0;
	}
	path = path_key(r, path, "range");
	if (known_keys(r, range, range_fields, path))
		return -1;
	if (!got(range, "start") || !got(range, "end"))
		return WRONG(r, range, "%s: expected start and end", path);
	if (read_number(r, got(range, "start"), path_key(r, path, "start"), 1, 65535, &out->lo))
		return -1;
	return read_number(r, got(range, "end"), path_key(r, path, "end"), out->lo, 65535,
			   &out->hi);
}

/* named: a named port was asked, which no network has. */
static int read_protocol_of(struct reading *r, const struct node *x, const char *path,
			    struct port_group groups[GROUPS], bool *named)
{
	static const char *const keys[GROUPS] = { "tcp", "udp", "sctp" };
	struct policy_port p;

	if (known_keys(r, x, protocol_fields, path))
		return -1;
	if (x->nchildren != 1)
		return WRONG(r, x, "%s: expected one of tcp, udp, sctp, destinationNamedPort",
			     path);
	if (got(x, "destinationNamedPort")) {
		path = path_key(r, path, "destinationNamedPort");
		if (read_port(r, got(x, "destinationNamedPort"), path, false, &p))
			return -1;
		if (!p.name)
			return WRONG(r, x, "%s: expected a port's name", path);
		*named = true;
		for (int g = 0; g < GROUPS; g++)
			group_add(r, &groups[g], &p);
		return 0;
	}
	for (int g = 0; g < GROUPS; g++) {
		const struct node *at = got(x, keys[g]), *port = got(at, "destinationPort");
		const char *here = path_key(r, path, keys[g]);

		if (!at)
			continue;
		if (known_keys(r, at, destination_fields, here))
			return -1;
		/* The API knows no empty one: something was asked that it did not keep. */
		if (!port)
			return WRONG(r, at, "%s: expected destinationPort", here);
		if (read_number_or_range(r, port, path_key(r, here, "destinationPort"), &p))
			return -1;
		group_add(r, &groups[g], &p);
		return 0;
	}
	return WRONG(r, x, "%s: the value is missing", path);
}

/* ---- peers ---- */

static const struct field from_fields[] = {
	FIELD_IGNORE("namespaces"),
	FIELD_IGNORE("pods"),
	FIELDS_END,
};
/* `nodes` and `domainNames` are known, and said to be not served. */
static const struct field to_fields[] = {
	FIELD_IGNORE("namespaces"), FIELD_IGNORE("pods"),	 FIELD_IGNORE("networks"),
	FIELD_IGNORE("nodes"),	    FIELD_IGNORE("domainNames"), FIELDS_END,
};

static int read_peer(struct reading *r, const struct node *x, const char *path,
		     enum policy_direction d, struct entity *out)
{
	const struct node *networks = got(x, "networks");
	const struct node *other = got(x, "nodes") ? got(x, "nodes") : got(x, "domainNames");
	int rc;

	if (known_keys(r, x, d == POLICY_INGRESS ? from_fields : to_fields, path))
		return -1;
	if (other)
		return WRONG(r, other, "%s.%s: Selvage does not serve this kind of peer", path,
			     other->key);
	rc = read_pods(r, x, path, &out->match);
	if (rc < 0)
		return -1;
	if (rc ? !networks || !networks->nchildren : networks != NULL)
		return WRONG(r, x, "%s: expected one of namespaces, pods%s", path,
			     d == POLICY_EGRESS ? ", networks" : "");
	out->selected = !rc;
	out->has_nets = networks != NULL;
	return networks ? read_nets(r, x, "networks", path, false, &out->nets) : 0;
}

/* ---- rules ---- */

static const char *const action_words[] = { "Accept", "Deny", "Pass", NULL };
struct rule_read {
	int action;
};
#define RULE_FIELDS(peers)                                                                         \
	{                                                                                          \
		{ "action", F_ENUM, offsetof(struct rule_read, action), .words = action_words,     \
		  .required = true },                                                              \
			FIELD_IGNORE("name"), FIELD_IGNORE(peers), FIELD_IGNORE("protocols"),      \
			FIELDS_END                                                                 \
	}
static const struct field rule_fields[POLICY_DIRECTIONS][5] = { RULE_FIELDS("from"),
								RULE_FIELDS("to") };

struct rule_work {
	struct rule rule;
	struct port_group groups[GROUPS];
	struct entity *ends;
	uint32_t nends;
	bool named, networks;
};

static int read_ends(struct reading *r, const struct node *x, enum policy_direction d,
		     const char *path, struct rule_work *w)
{
	const char *key = d == POLICY_INGRESS ? "from" : "to";
	const struct node *item;
	uint32_t n, i = 0;
	int rc = got_list(r, x, key, path, &item, &n);

	if (!rc && !n)
		rc = WRONG(r, x, "%s.%s: expected at least one peer", path, key);
	w->ends = arena_array(&r->scratch, n + 1, sizeof(*w->ends));
	for (; item; item = item->next, i++) {
		rc |= read_peer(r, item, path_item(r, path, key, i), d, &w->ends[i]);
		w->networks |= w->ends[i].has_nets;
	}
	w->nends = n;
	return rc;
}

static int read_rule(struct reading *r, const struct node *x, enum policy_direction d,
		     const char *path, struct rule_work *w)
{
	const struct node *item;
	struct rule_read in;
	uint32_t n, i = 0;
	int rc = schema_read(x, rule_fields[d], &in, sizeof(in), r->o->file, path, &r->scratch,
			     &r->problems);

	/* What has no action that is known, is not known to be an Accept. */
	w->rule.action = rc ? POLICY_DENY : (enum policy_action)in.action;
	if (rc)
		return -1;
	rc = read_ends(r, x, d, path, w) | got_list(r, x, "protocols", path, &item, &n);
	for (; item; item = item->next, i++)
		rc |= read_protocol_of(r, item, path_item(r, path, "protocols", i), w->groups,
				       &w->named);
	if (!rc && w->named && w->networks)
		rc = WRONG(r, x, "%s: networks have no named ports", path);
	return rc;
}

/* false: there are too many rules. */
static bool add_rule(struct reading *r, const struct node *x, enum policy_direction d,
		     uint32_t index, struct rule_list *l)
{
	const char *path = path_item(r, r->path, policy_direction_name(d), index);
	struct rule_work w = { .rule = { .index = index, .name = rule_name(r, d, index) } };
	const struct node *action = got(x, "action");

	if (!read_rule(r, x, d, path, &w)) {
		if (!rules_cross(r, l, d, &w.rule, w.ends, w.nends, w.groups))
			return true;
		SAY(r, x, "%s: peers and protocols make more than %d rules", path, RULES_MAX);
		return false;
	}
	if (action && action->kind == NODE_SCALAR && !strcmp(action->text, "Accept"))
		return true;
	w.rule.action = POLICY_DENY;
	return rule_push(r, l, &w.rule);
}

bool read_cluster(struct reading *r, struct policy *p)
{
	const char *path = r->path;
	struct spec_read s;
	bool broken = schema_read(r->spec, spec_fields, &s, sizeof(s), r->o->file, path,
				  &r->scratch, &r->problems) != 0;

	p->tier = s.tier ? POLICY_TIER_BASELINE : POLICY_TIER_ADMIN;
	p->order = s.priority;
	if (read_subject(r, path, p))
		p->subject_unknown = broken = true;
	for (enum policy_direction d = 0; d < POLICY_DIRECTIONS; d++) {
		const struct node *x;
		struct rule_list l = { 0 };
		uint32_t n, i = 0;

		broken |= got_list(r, r->spec, policy_direction_name(d), path, &x, &n) != 0;
		for (; x; x = x->next)
			broken |= !add_rule(r, x, d, i++, &l);
		/* Its tiers pass what no rule decides, so a direction without rules is none. */
		p->types[d] = has_rules(r, d);
		rules_keep(&l, &p->rules[d]);
	}
	return broken;
}
