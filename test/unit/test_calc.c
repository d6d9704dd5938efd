/* The calc graph against a naive evaluator, in random worlds that change in random order, and
 * against its own promises: what it tells is what is in force, and nothing is left over.
 *
 * SEED=n runs one world; BENCH=1 measures instead (see calc_bench.c).
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/calc_bench.h"
#include "test/unit/calc_model.h"
#include "test/unit/calc_world.h"
#include "test/unit/unit.h"

enum { WORLDS = 2500, STEPS = 24, SAMPLES = 30 };

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

/* The rule that the row names is the one that the naive evaluator found. */
static bool same_rule(const struct calc *c, uint32_t number, const struct policy *policy,
		      uint32_t index, const char *tier)
{
	const struct calc_rule *rule = calc_rule_get(c, number);

	if (!rule)
		return false;
	if (!policy)
		return !rule->name && same_text(rule->tier, tier);
	return rule->name && rule->kind == policy->kind && rule->index == index &&
	       same_text(rule->name, policy->name) && same_text(rule->tier, policy->tier) &&
	       same_text(rule->namespace_, policy->namespace_);
}

static void show(const struct naive_packet *p, const struct calc_row *row,
		 const struct naive_verdict *v, uint64_t seed)
{
	char a[ADDR_STRLEN], b[ADDR_STRLEN];

	fprintf(stderr,
		"SEED=%llu: %s -> %s proto %u sport %u dport %u: compiled %s by rule %u, naive %s "
		"by "
		"%s %u tier %s\n",
		(unsigned long long)seed, addr_format(&p->src, a, sizeof(a)),
		addr_format(&p->dst, b, sizeof(b)), p->proto, p->sport, p->dport,
		row->allow ? "allow" : "deny", row->rule, v->allow ? "allow" : "deny",
		v->policy ? v->policy->name : "-", v->index, v->tier);
}

/* One packet, judged by the graph's tables, by what was told of them, and by the naive evaluator.
 */
static void check_packet(const struct world *w, const struct calc *c, const struct model *m,
			 const struct naive_endpoint *e, enum policy_direction dir,
			 const struct naive_packet *p, bool staged, uint64_t seed)
{
	const struct addr *remote = dir == POLICY_INGRESS ? &p->src : &p->dst;
	struct calc_table t = { calc_class_of(c, e->id), remote->fam, (uint8_t)dir, staged };
	struct naive_verdict v = naive_judge(&w->n, e, dir, p, staged);
	struct calc_row row = { 0 }, told = { 0 };
	uint32_t ident = calc_ident_of(c, remote);
	bool found = calc_lookup(c, &t, ident, p->proto, p->sport, p->dport, &row);

	ck_assert_msg(found == !v.unknown, "SEED=%llu: table is %sthere", (unsigned long long)seed,
		      found ? "" : "not ");
	ck_assert_msg(model_ident(m, remote) == ident && model_class(m, e->id) == t.class_,
		      "SEED=%llu: told identity %u for %u", (unsigned long long)seed,
		      model_ident(m, remote), ident);
	if (!found)
		return;
	ck_assert(model_lookup(m, &t, ident, p->proto, p->sport, p->dport, &told));
	if (row.allow != v.allow || !same_rule(c, row.rule, v.policy, v.index, v.tier) ||
	    (v.log_policy && !row.log) ||
	    (row.log && !same_rule(c, row.log, v.log_policy, v.log_index, ""))) {
		show(p, &row, &v, seed);
		ck_abort_msg("compiled and naive verdict differ");
	}
	ck_assert_msg(told.allow == row.allow && told.rule == row.rule && told.log == row.log,
		      "SEED=%llu: told another verdict", (unsigned long long)seed);
}

static void check_world(const struct world *w, const struct calc *c, const struct model *m,
			struct rng *r, unsigned samples, uint64_t seed)
{
	for (unsigned i = 0; i < samples; i++) {
		const struct naive_endpoint *e = &w->endpoints[rng_below(r, W_ENDPOINTS)];
		enum policy_direction dir = rng_below(r, POLICY_DIRECTIONS);

		if (!e->pod.there)
			continue;
		struct naive_packet p = world_packet(w, r, e, dir);

		check_packet(w, c, m, e, dir, &p, false, seed);
		if (naive_has_staged(&w->n, e, dir))
			check_packet(w, c, m, e, dir, &p, true, seed);
	}
}

static void check_same(const struct calc *a, const struct calc *b, uint64_t seed)
{
	struct calc_stats x = calc_stats(a), y = calc_stats(b);

	ck_assert_msg(!memcmp(&x, &y, sizeof(x)),
		      "SEED=%llu: another order ends in another state: identities %zu %zu, classes "
		      "%zu %zu, rows %zu %zu, nodes %zu %zu, label sets %zu %zu, peers %zu %zu, "
		      "profiles %zu %zu, rules %zu %zu, groups %zu %zu",
		      (unsigned long long)seed, x.identities, y.identities, x.classes, y.classes,
		      x.rows, y.rows, x.nodes, y.nodes, x.label_sets, y.label_sets, x.peers,
		      y.peers, x.profiles, y.profiles, x.rules, y.rules, x.groups, y.groups);
}

static void check_empty(const struct calc *c, const struct model *m, uint64_t seed)
{
	struct calc_stats s = calc_stats(c), none = { .identities = 2, .nodes = 2 };

	ck_assert_msg(
		!memcmp(&s, &none, sizeof(s)),
		"SEED=%llu: left over: groups %zu, label sets %zu, identities %zu, classes %zu, "
		"profiles %zu, peers %zu, nodes %zu, rules %zu",
		(unsigned long long)seed, s.groups, s.label_sets, s.identities, s.classes,
		s.profiles, s.peers, s.nodes, s.rules);
	ck_assert_msg(model_empty(m), "SEED=%llu: something told was never taken back",
		      (unsigned long long)seed);
}

static void run_world(uint64_t seed)
{
	struct rng r = { seed * 2 + 1 };
	struct model *m = model_new(), *m2 = model_new();
	struct calc *c = calc_new(&model_ops, m), *other = calc_new(&model_ops, m2);
	struct world w;

	model_of(m, c);
	model_of(m2, other);
	world_init(&w);
	for (unsigned i = 0; i < STEPS; i++) {
		world_step(&w, &r, c);
		if (i < STEPS / 2 && !rng_one_in(&r, 3))
			continue;
		calc_flush(c);
		check_world(&w, c, m, &r, 4, seed);
	}
	calc_flush(c);
	check_world(&w, c, m, &r, SAMPLES, seed);
	world_tell_all(&w, &r, other);
	calc_flush(other);
	check_same(c, other, seed);
	check_world(&w, other, m2, &r, SAMPLES / 2, seed);
	world_clear(&w, &r, c);
	calc_flush(c);
	check_empty(c, m, seed);
	calc_free(c);
	calc_free(other);
	model_free(m);
	model_free(m2);
	world_free(&w);
}

START_TEST(any_order_of_events_gives_the_naive_verdicts)
{
	const char *seed = getenv("SEED");

	if (seed) {
		run_world(strtoull(seed, NULL, 10));
		return;
	}
	for (uint64_t i = 1; i <= WORLDS; i++)
		run_world(i);
}
END_TEST

/* ---- the worlds, whose identity has its number for good ---- */

static void tell_netset(struct calc *c, const char *name, const char *net)
{
	struct netset *s = xcalloc(1, sizeof(*s));
	struct prefix *v = arena_array(&s->arena, 1, sizeof(*v));

	s->refs = 1;
	s->global = true;
	s->namespace_ = "";
	s->name = s->display = name;
	s->labels.v = arena_array(&s->arena, 1, sizeof(*s->labels.v));
	s->labels.v[0] = (struct field_kv){ "role", "outside" };
	s->labels.n = 1;
	ck_assert_int_eq(prefix_parse(net, v), 0);
	s->nets = (struct policy_nets){ 1, v };
	calc_netset(c, s);
	netset_unref(s);
	calc_flush(c);
}

static void tell_policy_from_set(struct calc *c)
{
	struct policy *p = xcalloc(1, sizeof(*p));
	struct rule *rule = xcalloc(1, sizeof(*rule));
	struct err err;

	p->refs = 1;
	p->kind = POLICY_GLOBAL;
	p->kind_text = "GlobalNetworkPolicy";
	p->namespace_ = "";
	p->group = "";
	p->name = p->display = p->sort_name = "from-outside";
	p->tier = POLICY_TIER_DEFAULT;
	p->pods = p->subject.pods_only = p->types[POLICY_INGRESS] = true;
	rule->name = "ingress[0]";
	rule->source.selected = true;
	rule->source.match.labels.text = "role == 'outside'";
	rule->source.match.labels.sel =
		selector_parse(rule->source.match.labels.text, &p->arena, &err);
	p->rules[POLICY_INGRESS] = (struct policy_rules){ 1, rule };
	calc_policy(c, p);
	policy_unref(p);
}

static bool allowed_from(const struct calc *c, const struct model *m, const char *text,
			 uint32_t *ident)
{
	struct calc_table t = { model_class(m, 7), FAM_V4, POLICY_INGRESS, false };
	struct calc_row row, told;
	struct addr a;

	ck_assert_int_eq(addr_parse(text, &a), 0);
	*ident = model_ident(m, &a);
	ck_assert_uint_eq(*ident, calc_ident_of(c, &a));
	ck_assert(calc_lookup(c, &t, *ident, 6, 1000, 80, &row));
	ck_assert(model_lookup(m, &t, *ident, 6, 1000, 80, &told));
	ck_assert_int_eq(row.allow, told.allow);
	return row.allow;
}

START_TEST(unlisted_addresses_keep_identity_0_whatever_surrounds_them)
{
	struct model *m = model_new();
	struct calc *c = calc_new(&model_ops, m);
	struct addr own = addr_v4(0x0a000001);
	struct calc_endpoint e = { .id = 7,
				   .namespace_ = "a",
				   .name = "p",
				   .own_labels = true,
				   .account = "",
				   .addrs = &own,
				   .naddrs = 1 };
	uint32_t near, far;

	model_of(m, c);
	calc_endpoint(c, &e);
	tell_policy_from_set(c);
	calc_flush(c);
	uint32_t class_ = calc_class_of(c, 7);

	ck_assert(!allowed_from(c, m, "192.0.2.1", &far) && !far);
	tell_netset(c, "near", "192.0.2.0/24");
	ck_assert(allowed_from(c, m, "192.0.2.1", &near) && near);
	ck_assert(!allowed_from(c, m, "198.51.100.1", &far) && !far);
	/* The world becomes what the network was: one identity, number 0. */
	tell_netset(c, "all", "0.0.0.0/0");
	ck_assert(allowed_from(c, m, "198.51.100.1", &far) && !far);
	ck_assert(allowed_from(c, m, "192.0.2.1", &near) && !near);
	calc_netset_del(c, "", "all");
	calc_flush(c);
	ck_assert(allowed_from(c, m, "192.0.2.1", &near) && near);
	ck_assert(!allowed_from(c, m, "198.51.100.1", &far) && !far);
	/* All that was without a new class. */
	ck_assert_uint_eq(calc_class_of(c, 7), class_);
	calc_free(c);
	model_free(m);
}
END_TEST

START_TEST(bench)
{
	if (getenv("BENCH"))
		calc_bench();
}
END_TEST

UNIT_MAIN("calc", any_order_of_events_gives_the_naive_verdicts,
	  unlisted_addresses_keep_identity_0_whatever_surrounds_them, bench)
