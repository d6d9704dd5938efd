/* What policies are, apart from how they are read: their order, their lives, what a match takes. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "felix/policy/read_impl.h"

enum policy_class policy_class_of(const struct object *o)
{
	if (!strcmp(o->kind_text, "Tier"))
		return POLICY_CLASS_TIER;
	if (!strcmp(o->kind_text, "NetworkSet") || !strcmp(o->kind_text, "GlobalNetworkSet"))
		return POLICY_CLASS_NETSET;
	if (!strcmp(o->kind_text, "HostEndpoint"))
		return POLICY_CLASS_IGNORED;
	return POLICY_CLASS_POLICY;
}

/* ---- matches ---- */

static bool holds(const struct policy_selector *s, const struct field_kvs *labels)
{
	return !s->text || selector_matches(s->sel, labels);
}

static bool among(const struct policy_names *names, const char *name)
{
	for (uint32_t i = 0; i < names->n; i++)
		if (!strcmp(names->v[i], name))
			return true;
	return !names->n;
}

bool match_holds(const struct match *m, const struct match_subject *s)
{
	return (s->is_pod || !m->pods_only) &&
	       (!m->namespace_ || !strcmp(m->namespace_, s->namespace_)) &&
	       among(&m->accounts, s->account) && holds(&m->ns, s->ns) && holds(&m->sa, s->sa) &&
	       holds(&m->labels, s->labels);
}

/* ---- order ---- */

static int by_order(double a, double b)
{
	return a < b ? -1 : a > b;
}

int tier_cmp(const struct tier *a, const struct tier *b)
{
	int c = by_order(a->order, b->order);
	bool last_a = !strcmp(a->name, POLICY_TIER_BASELINE);
	bool last_b = !strcmp(b->name, POLICY_TIER_BASELINE);

	if (c || last_a != last_b)
		return c ? c : last_a - last_b;
	return strcmp(a->name, b->name);
}

int policy_cmp(const struct policy *a, const struct policy *b)
{
	int c = by_order(a->order, b->order);

	return c ? c : strcmp(a->sort_name, b->sort_name);
}

/* The order of the default tier is Calico's. */
static const struct tier admin_tier = { .name = POLICY_TIER_ADMIN,
					.order = -INFINITY,
					.action = POLICY_PASS };
static const struct tier default_tier = { .name = POLICY_TIER_DEFAULT,
					  .order = 1000000,
					  .action = POLICY_DENY };
static const struct tier baseline_tier = { .name = POLICY_TIER_BASELINE,
					   .order = INFINITY,
					   .action = POLICY_PASS };

const struct tier *const *policy_builtin_tiers(unsigned *n)
{
	static const struct tier *const all[] = { &admin_tier, &default_tier, &baseline_tier };

	*n = 3;
	return all;
}

/* ---- lives ---- */

/* The counter is the one part that changes. */
struct policy *policy_ref(const struct policy *p)
{
	struct policy *x = (struct policy *)(uintptr_t)p;

	x->refs++;
	return x;
}

void policy_unref(struct policy *p)
{
	if (!p || --p->refs)
		return;
	for (int d = 0; d < POLICY_DIRECTIONS; d++)
		rules_free(&p->rules[d]);
	arena_free(&p->arena);
	free(p);
}

struct tier *tier_ref(const struct tier *t)
{
	struct tier *x = (struct tier *)(uintptr_t)t;

	x->refs++;
	return x;
}

void tier_unref(struct tier *t)
{
	if (!t || --t->refs)
		return;
	arena_free(&t->arena);
	free(t);
}

struct netset *netset_ref(const struct netset *s)
{
	struct netset *x = (struct netset *)(uintptr_t)s;

	x->refs++;
	return x;
}

void netset_unref(struct netset *s)
{
	if (!s || --s->refs)
		return;
	arena_free(&s->arena);
	free(s);
}

/* ---- names ---- */

const char *policy_action_name(enum policy_action a)
{
	static const char *const names[] = { "Allow", "Deny", "Pass", "Log" };

	return names[a];
}

const char *policy_direction_name(enum policy_direction d)
{
	return d == POLICY_INGRESS ? "ingress" : "egress";
}
