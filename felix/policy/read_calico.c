/* Calico's NetworkPolicy and GlobalNetworkPolicy, their staged kinds, and Profile. */
#include "config.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "felix/policy/read_impl.h"

/* ---- one end of a rule ---- */

static const struct field entity_fields[] = {
	FIELD_IGNORE("nets"),
	FIELD_IGNORE("notNets"),
	FIELD_IGNORE("selector"),
	FIELD_IGNORE("notSelector"),
	FIELD_IGNORE("namespaceSelector"),
	FIELD_IGNORE("serviceAccounts"),
	FIELD_IGNORE("services"),
	FIELD_IGNORE("ports"),
	FIELD_IGNORE("notPorts"),
	FIELDS_END,
};

struct accounts_read {
	struct field_list names; /* const char * */
};
static const struct field accounts_fields[] = {
	{ "names", F_LIST, offsetof(struct accounts_read, names), .item = F_STR },
	FIELD_IGNORE("selector"),
	FIELDS_END,
};

static const struct field service_fields[] = {
	{ "name", F_STR, offsetof(struct policy_service, name), .required = true },
	FIELD("namespace", F_STR, offsetof(struct policy_service, namespace_)),
	FIELDS_END,
};

static int read_accounts(struct reading *r, const struct node *x, const char *path,
			 struct match *out)
{
	struct accounts_read a;
	const char **v;

	if (schema_read(x, accounts_fields, &a, sizeof(a), r->o->file, path, &r->scratch,
			&r->problems))
		return -1;
	v = arena_array(r->keep, a.names.n, sizeof(*v));
	for (uint32_t i = 0; i < a.names.n; i++)
		v[i] = keep_text(r, ((const char **)a.names.v)[i]);
	out->accounts = (struct policy_names){ a.names.n, v };
	return read_selector(r, got(x, "selector"), path_key(r, path, "selector"), OF_ACCOUNT,
			     &out->sa);
}

static int read_service(struct reading *r, const struct node *entity, const char *path,
			const char *ns, struct policy_service *out)
{
	static const char *const alone[] = {
		"nets", "notNets", "selector", "notSelector", "namespaceSelector", "serviceAccounts"
	};
	const struct node *x = got(entity, "services");
	struct policy_service s;

	if (schema_read(x, service_fields, &s, sizeof(s), r->o->file, path_key(r, path, "services"),
			&r->scratch, &r->problems))
		return -1;
	if (!*s.name)
		return WRONG(r, x, "%s.services.name: is missing", path);
	if (!*s.namespace_ && !*ns)
		return WRONG(r, x, "%s.services.namespace: is missing; a %s has none of its own",
			     path, r->o->kind_text);
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++)
		if (got(entity, alone[i]))
			return WRONG(r, x, "%s.services: cannot stand beside %s", path, alone[i]);
	out->name = keep_text(r, s.name);
	out->namespace_ = keep_text(r, *s.namespace_ ? s.namespace_ : ns);
	return 0;
}

static int read_ports(struct reading *r, const struct node *entity, const char *key,
		      const char *path, struct policy_ports *out)
{
	const struct node *x;
	struct policy_port *v;
	uint32_t n, i = 0;
	int rc = got_list(r, entity, key, path, &x, &n);

	v = arena_array(&r->scratch, n + 1, sizeof(*v));
	for (; x; x = x->next, i++)
		rc |= read_port(r, x, path_item(r, path, key, i), true, &v[i]);
	if (!rc)
		ports_keep(r, v, n, out);
	return rc;
}

/* As soon as any selector is there, a namespaced policy means its own namespace, unless it selects
 * namespaces. */
static int read_selectors(struct reading *r, const struct node *x, const char *path,
			  struct entity *out)
{
	const struct node *accounts = got(x, "serviceAccounts");
	struct match *m = &out->match;
	bool positive;
	int rc = read_selector(r, got(x, "selector"), path_key(r, path, "selector"), OF_LABELS,
			       &m->labels) |
		 read_selector(r, got(x, "notSelector"), path_key(r, path, "notSelector"),
			       OF_LABELS, &out->not_labels) |
		 read_selector(r, got(x, "namespaceSelector"),
			       path_key(r, path, "namespaceSelector"), OF_NAMESPACE, &m->ns);

	if (accounts)
		rc |= read_accounts(r, accounts, path_key(r, path, "serviceAccounts"), m);
	positive = m->labels.text || m->ns.text || m->sa.text || m->accounts.n;
	if (!m->ns.text && *r->o->namespace_ && (positive || out->not_labels.text)) {
		m->namespace_ = keep_text(r, r->o->namespace_);
		positive = true;
	}
	out->selected = positive;
	return rc;
}

/* service_ok: services may be asked of this end. */
static int read_entity(struct reading *r, const struct node *x, const char *path, bool service_ok,
		       struct entity *out)
{
	int rc;

	if (known_keys(r, x, entity_fields, path))
		return -1;
	rc = read_nets(r, x, "nets", path, true, &out->nets) |
	     read_nets(r, x, "notNets", path, true, &out->not_nets) |
	     read_ports(r, x, "ports", path, &out->ports) |
	     read_ports(r, x, "notPorts", path, &out->not_ports) | read_selectors(r, x, path, out);
	out->has_nets = out->nets.n > 0;
	if (got(x, "services")) {
		if (!service_ok)
			return WRONG(r, got(x, "services"),
				     "%s.services: is for an ingress rule's source and an egress "
				     "rule's destination",
				     path);
		rc |= read_service(r, x, path, r->o->namespace_, &out->service);
	}
	return rc;
}

/* ---- a rule ---- */

static const char *const action_words[] = { "Allow", "Deny", "Pass", "Log", NULL };

struct rule_read {
	int action;
	uint32_t version;
};
static const struct field rule_fields[] = {
	{ "action", F_ENUM, offsetof(struct rule_read, action), .words = action_words,
	  .required = true },
	{ "ipVersion", F_U32, offsetof(struct rule_read, version), .min = 4, .max = 6 },
	FIELD_IGNORE("protocol"),
	FIELD_IGNORE("notProtocol"),
	FIELD_IGNORE("icmp"),
	FIELD_IGNORE("notICMP"),
	FIELD_IGNORE("source"),
	FIELD_IGNORE("destination"),
	FIELD_IGNORE("http"),
	FIELD_IGNORE("metadata"),
	FIELDS_END,
};
static const struct field icmp_fields[] = {
	FIELD_IGNORE("type"),
	FIELD_IGNORE("code"),
	FIELDS_END,
};

static int read_icmp(struct reading *r, const struct node *x, const char *path,
		     struct policy_icmp *out)
{
	const struct node *type = got(x, "type"), *code = got(x, "code");
	uint16_t t = 0, c = 0;

	if (!x)
		return 0;
	if (known_keys(r, x, icmp_fields, path))
		return -1;
	if (code && !type)
		return WRONG(r, x, "%s.code: needs a type beside it", path);
	if ((type && read_number(r, type, path_key(r, path, "type"), 0, 255, &t)) ||
	    (code && read_number(r, code, path_key(r, path, "code"), 0, 255, &c)))
		return -1;
	*out = (struct policy_icmp){ type != NULL, code != NULL, (uint8_t)t, (uint8_t)c };
	return 0;
}

/* The rule is about one family alone. */
static int narrow(struct reading *r, const struct node *at, const char *path, enum family fam,
		  struct rule *rule)
{
	if (rule->family && rule->family != fam)
		return WRONG(r, at, "%s: is about IPv%d, other parts of the rule about IPv%d", path,
			     fam == FAM_V4 ? 4 : 6, fam == FAM_V4 ? 6 : 4);
	rule->family = (uint8_t)fam;
	return 0;
}

/* Prefixes of one family alone, also those that are excepted, make a rule of that family. */
static int narrow_nets(struct reading *r, const struct node *at, const char *path,
		       const struct policy_nets *nets, struct rule *rule)
{
	enum family first, last;

	if (!nets->n)
		return 0;
	/* Sorted by family first. */
	first = (enum family)nets->v[0].addr.fam;
	last = (enum family)nets->v[nets->n - 1].addr.fam;
	return first == last ? narrow(r, at, path, first, rule) : 0;
}

static int check_entity(struct reading *r, const struct node *x, const char *path,
			const struct entity *e, struct rule *rule)
{
	if ((e->ports.n || e->not_ports.n) &&
	    !(rule->protocol.set && has_ports(rule->protocol.number)))
		return WRONG(r, x, "%s: ports need a protocol that has them: TCP, UDP or SCTP",
			     path);
	return narrow_nets(r, x, path_key(r, path, "nets"), &e->nets, rule) |
	       narrow_nets(r, x, path_key(r, path, "notNets"), &e->not_nets, rule);
}

static int check_rule(struct reading *r, const struct node *x, const char *path, struct rule *rule)
{
	const struct policy_protocol *p = &rule->protocol;
	bool icmp = p->set && (p->number == PROTO_ICMP || p->number == PROTO_ICMPV6);
	const struct node *source = got(x, "source"), *destination = got(x, "destination");
	int rc = 0;

	if (got(x, "http"))
		rc = WRONG(r, got(x, "http"),
			   "%s.http: Selvage does not look into HTTP; remove it or use ports",
			   path);
	if ((got(x, "icmp") || rule->not_icmp.set) && !icmp)
		rc = WRONG(r, x, "%s: icmp and notICMP need protocol ICMP or ICMPv6", path);
	if (icmp)
		rc |= narrow(r, got(x, "protocol"), path_key(r, path, "protocol"),
			     p->number == PROTO_ICMP ? FAM_V4 : FAM_V6, rule);
	if (rule->destination.service.name &&
	    (rule->destination.ports.n || rule->destination.not_ports.n))
		rc = WRONG(r, destination,
			   "%s.destination: ports cannot stand beside services, which have theirs",
			   path);
	rc |= check_entity(r, source, path_key(r, path, "source"), &rule->source, rule);
	return rc | check_entity(r, destination, path_key(r, path, "destination"),
				 &rule->destination, rule);
}

static void read_rule(struct reading *r, const struct node *x, enum policy_direction d,
		      uint32_t index, struct rule_list *l)
{
	const char *path = path_item(r, r->path, policy_direction_name(d), index);
	struct rule rule = { .index = index, .name = rule_name(r, d, index) };
	const struct node *source = got(x, "source"), *destination = got(x, "destination");
	struct rule_read in;
	int rc = schema_read(x, rule_fields, &in, sizeof(in), r->o->file, path, &r->scratch,
			     &r->problems);

	rule.action = (enum policy_action)in.action;
	if (in.version == 5)
		rc = WRONG(r, got(x, "ipVersion"), "%s.ipVersion: expected 4 or 6", path);
	rule.family = in.version == 4 ? FAM_V4 : in.version == 6 ? FAM_V6 : FAM_NONE;
	rc |= read_protocol(r, got(x, "protocol"), path_key(r, path, "protocol"), &rule.protocol) |
	      read_protocol(r, got(x, "notProtocol"), path_key(r, path, "notProtocol"),
			    &rule.not_protocol) |
	      read_icmp(r, got(x, "icmp"), path_key(r, path, "icmp"), &rule.icmp) |
	      read_icmp(r, got(x, "notICMP"), path_key(r, path, "notICMP"), &rule.not_icmp);
	if (source)
		rc |= read_entity(r, source, path_key(r, path, "source"), d == POLICY_INGRESS,
				  &rule.source);
	if (destination)
		rc |= read_entity(r, destination, path_key(r, path, "destination"),
				  d == POLICY_EGRESS, &rule.destination);
	if (!rc && !check_rule(r, x, path, &rule) && !rule_push(r, l, &rule))
		SAY(r, x, "%s: there are more than %d rules", path, RULES_MAX);
}

static void read_rules(struct reading *r, struct policy *p)
{
	for (enum policy_direction d = 0; d < POLICY_DIRECTIONS; d++) {
		const struct node *x;
		struct rule_list l = { 0 };
		uint32_t n, i = 0;

		got_list(r, r->spec, policy_direction_name(d), r->path, &x, &n);
		for (; x; x = x->next)
			read_rule(r, x, d, i++, &l);
		if (p->types[d])
			rules_keep(&l, &p->rules[d]);
	}
}

/* ---- the policies ---- */

struct spec_read {
	const char *tier;
	bool do_not_track, pre_dnat, apply_on_forward;
};

#define AT(member) offsetof(struct spec_read, member)
#define COMMON                                                                                     \
	FIELD("tier", F_STR, AT(tier)), FIELD_IGNORE("order"), FIELD_IGNORE("selector"),           \
		FIELD_IGNORE("serviceAccountSelector"), FIELD_IGNORE("types"),                     \
		FIELD_IGNORE("ingress"), FIELD_IGNORE("egress"), FIELD_IGNORE("performanceHints")
#define GLOBAL                                                                                     \
	FIELD_IGNORE("namespaceSelector"), FIELD("doNotTrack", F_BOOL, AT(do_not_track)),          \
		FIELD("preDNAT", F_BOOL, AT(pre_dnat)),                                            \
		FIELD("applyOnForward", F_BOOL, AT(apply_on_forward))
static const struct field local_fields[] = { COMMON, FIELDS_END };
static const struct field global_fields[] = { COMMON, GLOBAL, FIELDS_END };
static const struct field staged_local_fields[] = { COMMON, FIELD_IGNORE("stagedAction"),
						    FIELDS_END };
static const struct field staged_global_fields[] = { COMMON, GLOBAL, FIELD_IGNORE("stagedAction"),
						     FIELDS_END };
#undef AT

static void read_subject(struct reading *r, const char *path, struct policy *p)
{
	struct match *m = &p->subject;
	const struct node *ns = p->kind == POLICY_GLOBAL ? got(r->spec, "namespaceSelector") : NULL;

	if (read_selector(r, got(r->spec, "selector"), path_key(r, path, "selector"), OF_LABELS,
			  &m->labels) |
	    read_selector(r, ns, path_key(r, path, "namespaceSelector"), OF_NAMESPACE, &m->ns) |
	    read_selector(r, got(r->spec, "serviceAccountSelector"),
			  path_key(r, path, "serviceAccountSelector"), OF_ACCOUNT, &m->sa))
		p->subject_unknown = true;
}

/* What has an order that cannot be read denies first, so that nothing comes before it. */
static void read_order(struct reading *r, const char *path, struct policy *p)
{
	static const struct field f = FIELD("order", F_F64, 0);
	const struct node *order = got(r->spec, "order");

	if (order && schema_read_value(order, &f, &p->order, r->o->file, path_key(r, path, "order"),
				       &r->scratch, &r->problems))
		p->order = -INFINITY;
}

/* Those of doNotTrack and preDNAT never act for pods in Calico either. */
static void read_host_flags(const struct spec_read *s, struct policy *p)
{
	if (s->do_not_track || s->pre_dnat)
		p->pods = false;
	p->not_served = s->do_not_track	      ? "doNotTrack"
			: s->pre_dnat	      ? "preDNAT"
			: s->apply_on_forward ? "applyOnForward"
					      : NULL;
}

void read_calico(struct reading *r, struct policy *p)
{
	const struct field *fields = p->kind == POLICY_GLOBAL
					     ? p->staged ? staged_global_fields : global_fields
				     : p->staged ? staged_local_fields
						 : local_fields;
	const char *path = r->path;
	struct spec_read s;

	schema_read(r->spec, fields, &s, sizeof(s), r->o->file, path, &r->scratch, &r->problems);
	if (s.tier && *s.tier)
		p->tier = keep_text(r, s.tier);
	read_order(r, path, p);
	if (!read_types(r, "types", p->types)) {
		p->types[POLICY_EGRESS] = has_rules(r, POLICY_EGRESS);
		p->types[POLICY_INGRESS] = has_rules(r, POLICY_INGRESS) || !p->types[POLICY_EGRESS];
	}
	read_host_flags(&s, p);
	if (p->staged)
		read_staged_action(r, p);
	read_subject(r, path, p);
	read_rules(r, p);
}

/* ---- Profile ---- */

struct profile_read {
	struct field_kvs apply;
};
static const struct field profile_fields[] = {
	FIELD("labelsToApply", F_KV, offsetof(struct profile_read, apply)),
	FIELD_IGNORE("ingress"),
	FIELD_IGNORE("egress"),
	FIELDS_END,
};

void read_profile(struct reading *r, struct policy *p)
{
	struct profile_read s;

	schema_read(r->spec, profile_fields, &s, sizeof(s), r->o->file, r->path, &r->scratch,
		    &r->problems);
	p->apply = keep_kvs(r, &s.apply);
	p->types[POLICY_INGRESS] = p->types[POLICY_EGRESS] = true;
	p->pods = false;
	read_rules(r, p);
}
