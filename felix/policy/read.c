/* From an object to a policy, and what becomes of one that cannot be read. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "felix/policy/read_impl.h"

static const struct node empty = { .kind = NODE_MAP };

/* ---- a reading ---- */

void reading_begin(struct reading *r, const struct object *o, struct arena *keep)
{
	const struct spec_tree *tree = o->spec;

	*r = (struct reading){ .o = o, .keep = keep };
	r->problems.arena = &r->scratch;
	r->spec = tree && tree->spec && tree->spec->kind != NODE_NULL ? tree->spec : &empty;
	r->what = *o->namespace_
			  ? arena_printf(keep, "%s %s/%s", o->kind_text, o->namespace_, o->name)
			  : arena_printf(keep, "%s %s", o->kind_text, o->name);
	r->path = arena_printf(&r->scratch, "%s: spec", r->what);
}

const char *path_key(struct reading *r, const char *path, const char *key)
{
	size_t np = strlen(path), nk = strlen(key);
	char *out = arena_alloc(&r->scratch, np + nk + 2);

	memcpy(out, path, np);
	out[np] = '.';
	memcpy(out + np + 1, key, nk);
	return out;
}

const char *path_item(struct reading *r, const char *path, const char *key, uint32_t index)
{
	char digits[10];
	size_t np = strlen(path), nk = strlen(key), n = 0;
	char *out = arena_alloc(&r->scratch, np + nk + sizeof(digits) + 4), *to = out;

	do
		digits[n++] = (char)('0' + index % 10);
	while (index /= 10);
	memcpy(to, path, np);
	to += np;
	*to++ = '.';
	memcpy(to, key, nk);
	to += nk;
	*to++ = '[';
	while (n)
		*to++ = digits[--n];
	*to = ']';
	return out;
}

const char *reading_end(struct reading *r, struct problems *to)
{
	const char *first = r->problems.n ? arena_strdup(r->keep, r->problems.text[0]) : NULL;

	for (unsigned i = 0; i < r->problems.n; i++)
		problem_line(to, r->problems.text[i]);
	arena_free(&r->scratch);
	return first;
}

const char *keep_text(const struct reading *r, const char *text)
{
	return arena_strdup(r->keep, text);
}

struct field_kvs keep_kvs(const struct reading *r, const struct field_kvs *kvs)
{
	struct field_kvs out = { kvs->n, arena_array(r->keep, kvs->n, sizeof(*out.v)) };

	for (uint32_t i = 0; i < kvs->n; i++)
		out.v[i] = (struct field_kv){ keep_text(r, kvs->v[i].key),
					      keep_text(r, kvs->v[i].value) };
	return out;
}

const struct node *got(const struct node *map, const char *key)
{
	const struct node *n = node_get(map, key);

	return n && n->kind != NODE_NULL ? n : NULL;
}

int got_list(struct reading *r, const struct node *map, const char *key, const char *path,
	     const struct node **first, uint32_t *n)
{
	const struct node *list = got(map, key);
	uint32_t i = 0;
	int rc = 0;

	*first = NULL;
	*n = 0;
	if (!list)
		return 0;
	if (list->kind != NODE_LIST)
		return WRONG(r, list, "%s.%s: %s is not allowed here; expected a list", path, key,
			     node_kind_name(list->kind));
	for (const struct node *x = list->child; x; x = x->next, i++)
		if (x->kind == NODE_NULL)
			rc = WRONG(r, x, "%s.%s[%u]: the value is missing", path, key, i);
	if (rc)
		return -1;
	*first = list->child;
	*n = list->nchildren;
	return 0;
}

int known_keys(struct reading *r, const struct node *map, const struct field *fields,
	       const char *path)
{
	char none[1];
	const struct node *x = map->kind == NODE_MAP ? map->child : NULL;

	/* The common case needs no messages, and so no paths for them. */
	for (; x; x = x->next) {
		const struct field *f = fields;

		while (f->key && strcmp(f->key, x->key) != 0)
			f++;
		if (!f->key)
			break;
	}
	if (!x && map->kind == NODE_MAP)
		return 0;
	return schema_read(map, fields, none, 0, r->o->file, path, &r->scratch, &r->problems);
}

/* ---- rules ---- */

bool rule_push(struct reading *r, struct rule_list *l, const struct rule *rule)
{
	if (l->n >= RULES_MAX)
		return false;
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 8;
		struct rule *v = arena_array(&r->scratch, cap, sizeof(*v));

		if (l->n)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *rule;
	return true;
}

void rules_keep(const struct rule_list *l, struct policy_rules *out)
{
	struct rule *v = NULL;

	/* Not in the arena, whose chunks double: rules are most of what a policy weighs. */
	if (l->n)
		v = memcpy(xmalloc(l->n * sizeof(*v)), l->v, l->n * sizeof(*v));
	rules_free(out);
	*out = (struct policy_rules){ l->n, v };
}

void rules_free(struct policy_rules *rules)
{
	free((void *)(uintptr_t)rules->v);
	*rules = (struct policy_rules){ 0 };
}

const char *rule_name(const struct reading *r, enum policy_direction d, uint32_t index)
{
	return arena_printf(r->keep, "%s[%u]", policy_direction_name(d), index);
}

const uint8_t group_protocol[GROUPS] = { PROTO_TCP, PROTO_UDP, PROTO_SCTP };

void group_add(struct reading *r, struct port_group *g, const struct policy_port *port)
{
	if (g->n == g->cap) {
		uint32_t cap = g->cap ? g->cap * 2 : 4;
		struct policy_port *v = arena_array(&r->scratch, cap, sizeof(*v));

		if (g->n)
			memcpy(v, g->v, g->n * sizeof(*v));
		g->v = v;
		g->cap = cap;
	}
	g->v[g->n++] = *port;
	g->said = true;
}

int rules_cross(struct reading *r, struct rule_list *l, enum policy_direction d,
		const struct rule *rule, const struct entity *ends, uint32_t nends,
		struct port_group groups[GROUPS])
{
	static const struct entity any;
	bool said = false;

	if (!nends) {
		ends = &any;
		nends = 1;
	}
	for (int g = 0; g < GROUPS; g++)
		said |= groups[g].said;
	for (int g = 0; g < GROUPS; g++) {
		struct rule one = *rule;
		struct policy_ports ports = { 0 };

		if (said ? !groups[g].said : g > 0)
			continue;
		if (said)
			one.protocol = (struct policy_protocol){ true, group_protocol[g] };
		if (said && !groups[g].all)
			ports_keep(r, groups[g].v, groups[g].n, &ports);
		for (uint32_t i = 0; i < nends; i++) {
			*(d == POLICY_INGRESS ? &one.source : &one.destination) = ends[i];
			one.destination.ports = ports;
			if (!rule_push(r, l, &one))
				return -1;
		}
	}
	return 0;
}

int read_types(struct reading *r, const char *key, bool types[POLICY_DIRECTIONS])
{
	const struct node *x;
	uint32_t n, i = 0;
	int rc = got_list(r, r->spec, key, r->path, &x, &n);

	for (; x; x = x->next, i++) {
		if (x->kind == NODE_SCALAR && !strcmp(x->text, "Ingress"))
			types[POLICY_INGRESS] = true;
		else if (x->kind == NODE_SCALAR && !strcmp(x->text, "Egress"))
			types[POLICY_EGRESS] = true;
		else
			rc = WRONG(r, x, "%s: spec.%s[%u]: expected Ingress or Egress", r->what,
				   key, i);
	}
	if (rc)
		types[POLICY_INGRESS] = types[POLICY_EGRESS] = true;
	return rc || n;
}

bool has_rules(const struct reading *r, enum policy_direction d)
{
	const struct node *list = got(r->spec, policy_direction_name(d));

	return list && (list->kind != NODE_LIST || list->nchildren);
}

void read_staged_action(struct reading *r, struct policy *p)
{
	static const char *const words[] = { "Set", "Delete", "Learn", "Ignore", NULL };
	static const struct field f = { "stagedAction", F_ENUM, 0, .words = words };
	const struct node *action = got(r->spec, "stagedAction");
	int word = 0;

	if (!action ||
	    schema_read_value(action, &f, &word, r->o->file, path_key(r, r->path, "stagedAction"),
			      &r->scratch, &r->problems))
		return;
	if (word == 1 || word == 3) {
		p->not_served = word == 1 ? "stagedAction Delete" : "stagedAction Ignore";
		p->pods = false;
	}
}

/* ---- a policy ---- */

static const struct {
	const char *text, *of; /* of: the group's begin */
	enum policy_kind kind;
	bool staged;
	const char *sort; /* the name of the kind in Calico's tie-break */
} kinds[] = {
	{ "NetworkPolicy", "networking.k8s.io/", POLICY_KUBERNETES, false,
	  "KubernetesNetworkPolicy" },
	{ "NetworkPolicy", "", POLICY_CALICO, false, "NetworkPolicy" },
	{ "GlobalNetworkPolicy", "", POLICY_GLOBAL, false, "GlobalNetworkPolicy" },
	{ "StagedNetworkPolicy", "", POLICY_CALICO, true, "StagedNetworkPolicy" },
	{ "StagedGlobalNetworkPolicy", "", POLICY_GLOBAL, true, "StagedGlobalNetworkPolicy" },
	{ "StagedKubernetesNetworkPolicy", "", POLICY_KUBERNETES, true,
	  "StagedKubernetesNetworkPolicy" },
	{ "ClusterNetworkPolicy", "", POLICY_CLUSTER, false, "KubernetesClusterNetworkPolicy" },
	{ "Profile", "", POLICY_PROFILE, false, "Profile" },
};

/* The rule that stands for all that could not be read. */
static void deny_all(const struct reading *r, struct policy_rules *out)
{
	struct rule_list one = { .n = 1 };
	struct rule deny = { .action = POLICY_DENY, .name = keep_text(r, "invalid") };

	one.v = &deny;
	rules_keep(&one, out);
}

static void identify(struct reading *r, struct policy *p)
{
	const struct object *o = r->o;
	unsigned k = 0;

	while (k < sizeof(kinds) / sizeof(kinds[0]) - 1 &&
	       (strcmp(kinds[k].text, o->kind_text) != 0 ||
		strncmp(o->group, kinds[k].of, strlen(kinds[k].of)) != 0))
		k++;
	if (strcmp(kinds[k].text, o->kind_text) != 0) {
		SAY(r, NULL, "%s: Selvage knows no policy of this kind", r->what);
		k = *o->namespace_ ? 1 : 2;
	}
	p->kind = kinds[k].kind;
	p->staged = kinds[k].staged;
	p->kind_text = keep_text(r, o->kind_text);
	p->group = keep_text(r, o->group);
	p->namespace_ = keep_text(r, o->namespace_);
	p->name = keep_text(r, o->name);
	p->display = r->what;
	p->sort_name = arena_printf(r->keep, "%s/%s/%s", o->name, o->namespace_, kinds[k].sort);
	p->tier = p->kind == POLICY_PROFILE ? "" : POLICY_TIER_DEFAULT;
	p->order = INFINITY;
	p->pods = true;
	p->subject.pods_only = true;
	if (*p->namespace_)
		p->subject.namespace_ = p->namespace_;
}

/* Closes what is not closed yet. */
static void fail_closed(const struct reading *r, struct policy *p)
{
	for (int d = 0; d < POLICY_DIRECTIONS; d++) {
		rules_free(&p->rules[d]);
		if (p->types[d])
			deny_all(r, &p->rules[d]);
	}
}

struct policy *policy_read(const struct object *o, struct problems *problems)
{
	struct policy *p;
	struct reading r;
	bool broken;

	if (policy_class_of(o) != POLICY_CLASS_POLICY)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->refs = 1;
	reading_begin(&r, o, &p->arena);
	identify(&r, p);
	broken = r.problems.n > 0;
	if (r.spec->kind != NODE_MAP) {
		SAY(&r, NULL, "%s: spec: expected a mapping, got %s", r.what,
		    node_kind_name(r.spec->kind));
		r.spec = &empty;
		p->types[POLICY_INGRESS] = p->types[POLICY_EGRESS] = true;
		p->subject_unknown = broken = true;
	} else if (p->kind == POLICY_KUBERNETES) {
		read_kubernetes(&r, p);
	} else if (p->kind == POLICY_CLUSTER) {
		broken |= read_cluster(&r, p);
	} else if (p->kind == POLICY_PROFILE) {
		read_profile(&r, p);
	} else {
		read_calico(&r, p);
	}
	if (broken || (r.problems.n && p->kind != POLICY_CLUSTER))
		fail_closed(&r, p);
	p->invalid = reading_end(&r, problems);
	return p;
}
