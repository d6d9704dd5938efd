/* Any document as a policy, a tier or a network set: it never crashes, and what cannot be read is a
 * policy that denies, never nothing. The first bytes choose a place of the tree that is damaged in
 * a way that YAML's syntax would hardly meet: a key that nobody knows, a value of another kind.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "felix/policy/policy.h"
#include "store/model.h"

enum { HEAD = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* ---- what must hold of every policy ---- */

static void check_selector(const struct policy_selector *s)
{
	struct arena scratch = { 0 };
	struct err err;

	must(!s->text == !s->sel, "a selector without its text, or the other way");
	must(!s->text || selector_parse(s->text, &scratch, &err), "a text that is no selector");
	arena_free(&scratch);
}

static void check_match(const struct match *m)
{
	static const struct field_kvs none;
	const struct match_subject nobody = { false, "", "", &none, &none, &none };
	const struct match_subject pod = { true, "ns", "sa", &none, &none, &none };

	check_selector(&m->labels);
	check_selector(&m->ns);
	check_selector(&m->sa);
	must(!m->pods_only || !match_holds(m, &nobody), "a match of pods takes something else");
	match_holds(m, &pod);
}

static void check_nets(const struct policy_nets *n)
{
	for (uint32_t i = 0; i < n->n; i++) {
		must(!prefix_has_host_bits(&n->v[i]), "a prefix with host bits");
		must(!i || prefix_cmp(&n->v[i - 1], &n->v[i]) < 0, "prefixes out of order");
	}
}

static void check_ports(const struct rule *r, const struct policy_ports *p)
{
	must(!p->n || (r->protocol.set && (r->protocol.number == 6 || r->protocol.number == 17 ||
					   r->protocol.number == 132)),
	     "ports of a protocol without ports");
	for (uint32_t i = 0; i < p->n; i++) {
		const struct policy_port *x = &p->v[i], *before = i ? x - 1 : NULL;

		must(x->name ? *x->name != 0 : x->lo <= x->hi, "a port that is none");
		if (before && !x->name)
			must(!before->name && before->hi + 1 < x->lo, "ports out of order");
		if (before && x->name && before->name)
			must(strcmp(before->name, x->name) < 0, "names of ports out of order");
	}
}

static void check_entity(const struct rule *r, const struct entity *e)
{
	check_nets(&e->nets);
	check_nets(&e->not_nets);
	check_match(&e->match);
	check_selector(&e->not_labels);
	check_ports(r, &e->ports);
	check_ports(r, &e->not_ports);
	must(!e->service.name || (*e->service.name && *e->service.namespace_), "half a service");
	must(e->selected || !(e->match.labels.text || e->match.ns.text || e->match.sa.text ||
			      e->match.accounts.n || e->match.namespace_),
	     "a match that is not asked");
}

static void check_policy(const struct policy *p)
{
	must(p->display && p->sort_name && p->tier && p->group && p->kind_text, "a text is NULL");
	must(p->order == p->order, "an order that is none");
	must(!policy_cmp(p, p), "a policy differs from itself");
	check_match(&p->subject);
	for (int d = 0; d < POLICY_DIRECTIONS; d++) {
		const struct policy_rules *rules = &p->rules[d];

		must(p->types[d] || !rules->n, "rules of a direction that is none");
		if (p->invalid && p->kind != POLICY_CLUSTER && p->types[d])
			must(rules->n == 1 && rules->v[0].action == POLICY_DENY &&
				     !rules->v[0].protocol.set && !rules->v[0].source.selected &&
				     !rules->v[0].destination.selected,
			     "an invalid policy that does not deny everything");
		for (uint32_t i = 0; i < rules->n; i++) {
			must(rules->v[i].name != NULL, "a rule without a name");
			check_entity(&rules->v[i], &rules->v[i].source);
			check_entity(&rules->v[i], &rules->v[i].destination);
		}
	}
	must(!p->invalid || p->kind == POLICY_CLUSTER || p->not_served ||
		     p->types[POLICY_INGRESS] || p->types[POLICY_EGRESS],
	     "an invalid policy that does nothing");
}

/* ---- damage ---- */

struct damage {
	unsigned at, how;
	bool unknown_key; /* done, so that the policy must be invalid */
};

/* Mappings of the user's own keys, and what is passed over. */
static bool is_free(const struct node *n)
{
	static const char *const keys[] = { "matchLabels", "labelsToApply", "metadata",
					    "performanceHints" };

	for (size_t i = 0; n->key && i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(n->key, keys[i]))
			return true;
	return false;
}

static void damage_node(struct node *n, struct damage *d, struct arena *a)
{
	static struct node odd = { .kind = NODE_SCALAR, .text = "1", .key = "selvage-unknown" };

	if (n->kind == NODE_MAP && d->how % 4 == 0) {
		struct node *x = arena_alloc(a, sizeof(*x));

		*x = odd;
		x->next = n->child;
		n->child = x;
		n->nchildren++;
		d->unknown_key = true;
	} else if (d->how % 4 == 1) {
		n->kind = NODE_NULL;
	} else if (d->how % 4 == 2) {
		n->kind = NODE_SCALAR;
		n->text = d->how & 4 ? "" : "4294967296";
	} else if (d->how % 4 == 3) {
		n->kind = d->how & 4 ? NODE_MAP : NODE_LIST;
		n->child = NULL;
		n->nchildren = 0;
	}
}

/* The d->at'th node, counted from the top. */
static void damage_tree(struct node *n, struct damage *d, struct arena *a)
{
	if (is_free(n))
		return;
	if (!d->at--) {
		damage_node(n, d, a);
		return;
	}
	if (n->kind != NODE_LIST && n->kind != NODE_MAP)
		return;
	for (struct node *x = n->child; x && d->at != ~0u; x = x->next)
		damage_tree(x, d, a);
}

/* ---- */

static void as_policy(const struct object *o, struct problems *problems, bool unknown_key)
{
	struct policy *p = policy_read(o, problems);
	struct tier *t = tier_read(o, problems);
	struct netset *s = netset_read(o, problems);
	enum policy_class c = policy_class_of(o);

	must(!p == (c != POLICY_CLASS_POLICY), "a policy that is lost, or none that is one");
	must(!t == (c != POLICY_CLASS_TIER), "a tier that is lost, or none that is one");
	must(!s == (c != POLICY_CLASS_NETSET), "a set that is lost, or none that is one");
	if (p)
		check_policy(p);
	if (s)
		check_nets(&s->nets);
	const char *invalid = p ? p->invalid : t ? t->invalid : s ? s->invalid : "ignored";

	must(!problems->n == !invalid || c == POLICY_CLASS_IGNORED, "invalid without a problem");
	must(!unknown_key || invalid, "a key that nobody knows was passed over");
	must(!t || !t->invalid || t->action == POLICY_DENY, "a broken tier that passes");
	policy_unref(p);
	tier_unref(t);
	netset_unref(s);
}

struct run {
	struct damage damage;
	struct arena *arena;
};

static void on_item(void *arg, const struct model_item *item)
{
	const struct run *run = arg;
	struct problems problems = { .arena = run->arena };
	struct damage damage = run->damage;
	struct object *o = item->object;

	if (!o || o->kind != KIND_POLICY) {
		object_unref(o);
		return;
	}
	as_policy(o, &problems, false);
	const struct spec_tree *tree = o->spec;
	struct spec_tree copy = { tree->spec ? node_copy(tree->spec, run->arena) : NULL };
	struct object damaged = *o;

	if (copy.spec)
		damage_tree((struct node *)(uintptr_t)copy.spec, &damage, run->arena);
	damaged.spec = &copy;
	problems.n = 0;
	as_policy(&damaged, &problems, damage.unknown_key);
	object_unref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena arena = { 0 };
	struct problems problems = { .arena = &arena };
	struct run run = { .arena = &arena };
	struct doc *docs = NULL;
	uint32_t position = 0;
	bool anonymous;
	struct err err;

	if (len < HEAD)
		return 0;
	run.damage = (struct damage){ .at = data[0], .how = data[1] };
	yaml_parse((const char *)data + HEAD, len - HEAD, "f", &arena, &docs, &err);
	for (const struct doc *d = docs; d; d = d->next)
		model_read(d->root, "f", &position, on_item, &run, &problems, &anonymous);
	arena_free(&arena);
	return 0;
}
