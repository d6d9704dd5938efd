/* Tiers and network sets. */
#include "config.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "felix/policy/read_impl.h"

/* ---- Tier ---- */

struct tier_fields_read {
	double order;
	int action;
};
static const char *const action_words[] = { "Deny", "Pass", NULL };
static const struct field tier_fields[] = {
	FIELD("order", F_F64, offsetof(struct tier_fields_read, order)),
	{ "defaultAction", F_ENUM, offsetof(struct tier_fields_read, action),
	  .words = action_words },
	FIELDS_END,
};

struct tier *tier_read(const struct object *o, struct problems *problems)
{
	struct tier_fields_read in;
	struct reading r;
	struct tier *t;
	unsigned n;

	if (policy_class_of(o) != POLICY_CLASS_TIER)
		return NULL;
	t = xcalloc(1, sizeof(*t));
	t->refs = 1;
	reading_begin(&r, o, &t->arena);
	t->name = keep_text(&r, o->name);
	t->order = INFINITY;
	t->action = POLICY_DENY;
	const struct tier *const *built = policy_builtin_tiers(&n);

	for (unsigned i = 0; i < n; i++)
		if (!strcmp(built[i]->name, t->name)) {
			t->order = built[i]->order;
			t->action = built[i]->action;
		}
	const char *path = r.path;

	if (!schema_read(r.spec, tier_fields, &in, sizeof(in), o->file, path, &r.scratch,
			 &r.problems)) {
		if (got(r.spec, "order"))
			t->order = in.order;
		if (got(r.spec, "defaultAction"))
			t->action = in.action ? POLICY_PASS : POLICY_DENY;
	}
	/* Kubernetes' NetworkPolicy lives here, which is final for the pods it selects. */
	if (t->action == POLICY_PASS && !strcmp(t->name, POLICY_TIER_DEFAULT))
		SAY(&r, got(r.spec, "defaultAction"),
		    "%s.defaultAction: of the tier \"default\" it is always Deny", path);
	if (r.problems.n)
		t->action = POLICY_DENY;
	t->invalid = reading_end(&r, problems);
	return t;
}

/* ---- NetworkSet, GlobalNetworkSet ---- */

static const struct field netset_fields[] = {
	FIELD_IGNORE("nets"),
	FIELDS_END,
};

struct netset *netset_read(const struct object *o, struct problems *problems)
{
	struct netset *s;
	struct reading r;

	if (policy_class_of(o) != POLICY_CLASS_NETSET)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->refs = 1;
	reading_begin(&r, o, &s->arena);
	s->global = !strcmp(o->kind_text, "GlobalNetworkSet");
	s->namespace_ = keep_text(&r, o->namespace_);
	s->name = keep_text(&r, o->name);
	s->display = r.what;
	s->labels = keep_kvs(&r, &o->labels);
	const char *path = r.path;

	known_keys(&r, r.spec, netset_fields, path);
	read_nets(&r, r.spec, "nets", path, true, &s->nets);
	s->invalid = reading_end(&r, problems);
	return s;
}
