#include "config.h"

#include "test/unit/sync_rig.h"

/* The collector alone: rig.sync is not used. */
struct crig {
	struct rig r;
	struct collect *c;
	char said[4096];
};

static void on_request(void *arg, uint64_t id, const struct ipamobj_request *q)
{
	struct crig *c = arg;

	rig_log(&c->r, q);
	sim_send(&c->r.sim, c, 0, id, q);
}

static bool on_pods(void *arg, const char *node)
{
	struct crig *c = arg;

	return c->r.pods_on && strcmp(c->r.pods_on, node) == 0;
}

static bool on_alive(void *arg, const struct sync_alloc *a)
{
	struct crig *c = arg;

	(void)a;
	return c->r.alive;
}

static void on_collected(void *arg, const char *text)
{
	struct crig *c = arg;

	rig_add(c->said, sizeof(c->said), "%s\n", text);
}

static const struct collect_ops cops = { on_request, on_pods, on_alive, on_collected };

static void deliver(void *arg, void *who, unsigned gen, uint64_t id, const struct ipamobj_reply *r)
{
	struct crig *c = who;

	(void)arg;
	(void)gen;
	collect_reply(c->c, id, r, rig_now(&c->r));
}

static void begin(struct crig *c, const char *node)
{
	memset(c, 0, sizeof(*c));
	sim_init(&c->r.sim, 1);
	c->r.sim.latency_max = 1;
	c->r.sim.epoch_s = 1800000000;
	c->r.sim.deliver = deliver;
	c->c = collect_new(node, 1, &cops, c);
}

static void end(struct crig *c)
{
	collect_free(c->c);
	sim_free(&c->r.sim);
}

static void nodes(struct crig *c, const char *a, const char *b)
{
	const char *v[] = { a, b };

	collect_set_nodes(c->c, v, b ? 2 : 1, rig_now(&c->r));
}

static void run(struct crig *c, uint64_t ms)
{
	uint64_t until = c->r.sim.now + ms;

	for (unsigned turns = 0;; turns++) {
		uint64_t t = sim_next(&c->r.sim), n = collect_next(c->c), least = t < n ? t : n;

		ck_assert_uint_lt(turns, 100000);
		if (least > until)
			break;
		if (least > c->r.sim.now)
			c->r.sim.now = least;
		if (t <= least)
			sim_step(&c->r.sim);
		else
			collect_tick(c->c, rig_now(&c->r));
	}
	c->r.sim.now = until;
}

enum { MINUTE = 60000 };

/* n1 is the dead one of sync_rig.h's helpers. */
static void dead_block(struct crig *c)
{
	rig_put_affinity(&c->r, "10.0.0.0/26", IPAMOBJ_CONFIRMED, "x");
	rig_put_block(&c->r, "10.0.0.0/26", "host:n1");
}

START_TEST(empty_block_after_15_minutes)
{
	struct crig c;

	begin(&c, "n2");
	dead_block(&c);
	nodes(&c, "n1", "n2");
	run(&c, 60 * MINUTE);
	ck_assert_str_eq(c.r.log, "");
	nodes(&c, "n2", NULL);
	run(&c, 14 * MINUTE);
	ck_assert_str_eq(c.r.log, "");
	run(&c, 8 * MINUTE);
	ck_assert_str_eq(c.r.log, "PUT aff n1-10-0-0-0-26 pendingDeletion\n"
				  "DELETE block 10-0-0-0-26\nDELETE aff n1-10-0-0-0-26\n");
	ck_assert_ptr_nonnull(strstr(c.said, "10.0.0.0/26"));
	end(&c);
}
END_TEST

/* Back for a moment, unknown for a moment, pods left there: each begins the wait anew or stops it.
 */
START_TEST(not_dead_enough)
{
	struct crig c;

	begin(&c, "n2");
	dead_block(&c);
	nodes(&c, "n2", NULL);
	run(&c, 10 * MINUTE);
	nodes(&c, "n1", "n2");
	nodes(&c, "n2", NULL);
	run(&c, 10 * MINUTE);
	collect_forget_nodes(c.c);
	nodes(&c, "n2", NULL);
	run(&c, 14 * MINUTE);
	ck_assert_str_eq(c.r.log, "");
	c.r.pods_on = "n1";
	run(&c, 60 * MINUTE);
	ck_assert_str_eq(c.r.log, "");
	end(&c);
}
END_TEST

START_TEST(leaks_of_a_dead_node)
{
	struct crig c;

	begin(&c, "n2");
	dead_block(&c);
	rig_alloc(&c.r, "10-0-0-0-26", 1, "net.a", "n1", NULL);
	rig_alloc(&c.r, "10-0-0-0-26", 2, "net.b", "n2", NULL); /* borrowed by a live node */
	rig_put_block(&c.r, "10.0.0.64/26", "host:n2");
	rig_alloc(&c.r, "10-0-0-64-26", 3, "net.c", "n1", NULL); /* borrowed by the dead one */
	rig_alloc(&c.r, "10-0-0-64-26", 4, "net.d", "n1", "vxlanTunnelAddress");
	rig_put_block(&c.r, "10.0.0.128/26", "virtual:lb");
	rig_alloc(&c.r, "10-0-0-128-26", 5, "lb-x", "n1", NULL);
	nodes(&c, "n2", NULL);
	c.r.alive = true;
	run(&c, 60 * MINUTE);
	ck_assert_str_eq(c.r.log, "");
	c.r.alive = false;
	run(&c, 15 * MINUTE);
	ck_assert_str_eq(rig_holder(&c.r, "10-0-0-0-26", 1), "");
	ck_assert_str_eq(rig_holder(&c.r, "10-0-0-0-26", 2), "net.b");
	ck_assert_str_eq(rig_holder(&c.r, "10-0-0-64-26", 3), "");
	ck_assert_str_eq(rig_holder(&c.r, "10-0-0-64-26", 4), "net.d");
	ck_assert_str_eq(rig_holder(&c.r, "10-0-0-128-26", 5), "lb-x");
	/* Not empty: it stays until the borrower is gone. */
	ck_assert_int_eq(rig_affinity(&c.r, "n1-10-0-0-0-26")->state, IPAMOBJ_CONFIRMED);
	end(&c);
}
END_TEST

START_TEST(leftover_affinities)
{
	struct crig c;

	begin(&c, "n2");
	rig_put_affinity(&c.r, "10.0.0.0/26", IPAMOBJ_PENDING, "x"); /* no block */
	rig_put_affinity(&c.r, "10.0.0.64/26", IPAMOBJ_CONFIRMED, "x");
	rig_put_block(&c.r, "10.0.0.64/26", "host:n2"); /* another's */
	nodes(&c, "n2", NULL);
	run(&c, 30 * MINUTE);
	ck_assert_uint_eq(c.r.sim.count[IPAMOBJ_AFFINITY], 0);
	ck_assert_str_eq(rig_block(&c.r, "10-0-0-64-26")->affinity, "host:n2");
	end(&c);
}
END_TEST

START_TEST(orphan_handles)
{
	struct crig c;
	struct arena a = { 0 };
	static const char *const names[] = { "net.orphan", "net.used" };

	begin(&c, "n2");
	rig_put_block(&c.r, "10.0.0.64/26", "host:n2");
	rig_alloc(&c.r, "10-0-0-64-26", 3, "net.Used", "n2", NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct ipamobj_handle h = { .meta = { names[i], "", "", "", 0 },
					    .handle_id = names[i] };
		struct ipamobj_request q = { .verb = IPAMOBJ_CREATE,
					     .kind = IPAMOBJ_HANDLE,
					     .object = &h };

		sim_apply(&c.r.sim, &q, &a);
	}
	nodes(&c, "n2", NULL);
	run(&c, 9 * MINUTE);
	ck_assert_uint_eq(c.r.sim.count[IPAMOBJ_HANDLE], 2);
	run(&c, 15 * MINUTE);
	ck_assert_str_eq(c.r.log, "DELETE handle net.orphan\n");
	arena_free(&a);
	end(&c);
}
END_TEST

/* Of all that live exactly one works. */
START_TEST(one_is_elected)
{
	struct crig c[2];

	for (unsigned i = 0; i < 2; i++) {
		begin(&c[i], i ? "n3" : "n2");
		dead_block(&c[i]);
		nodes(&c[i], "n2", "n3");
		run(&c[i], 60 * MINUTE);
	}
	ck_assert_int_ne(collect_elected(c[0].c), collect_elected(c[1].c));
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(c[i].r.writes > 0, collect_elected(c[i].c));
		ck_assert_uint_eq(c[i].r.reads > 0, collect_elected(c[i].c));
		end(&c[i]);
	}
}
END_TEST

UNIT_MAIN("collect", empty_block_after_15_minutes, not_dead_enough, leaks_of_a_dead_node,
	  leftover_affinities, orphan_handles, one_is_elected)
