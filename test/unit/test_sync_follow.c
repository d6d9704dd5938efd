#include "config.h"

#include "test/unit/sync_rig.h"

#define BLOCK "10-0-0-0-26"
#define AFF   "n1-10-0-0-0-26"

static void start(struct rig *r)
{
	sync_start(r->sync, rig_now(r));
	rig_run(r, 100);
}

/* A rig whose node owns 10.0.0.0/26 and is at rest. */
static void owner(struct rig *r)
{
	rig_init(r);
	start(r);
	ck_assert_str_eq(rig_list(r), "10.0.0.0/26 allocate advertise\n");
	r->log[0] = r->events[0] = 0;
	r->writes = r->reads = 0;
}

/* ---- follow ---- */

START_TEST(follow_writes_handle_then_block)
{
	struct rig r;

	owner(&r);
	uint64_t before = rig_block(&r, BLOCK)->sequence;
	rig_lease(&r, "10.0.0.3", "net.AbC");
	rig_run(&r, 3000);
	ck_assert_str_eq(r.log, "POST handle net.abc\nPUT block " BLOCK "\n");
	const struct ipamobj_block *b = rig_block(&r, BLOCK);
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "net.AbC");
	const struct ipamobj_attr *at = obj_attr(b, 3);
	ck_assert_str_eq(obj_secondary(at, "pod"), "web");
	ck_assert_str_eq(obj_secondary(at, "namespace"), "shop");
	ck_assert_str_eq(obj_secondary(at, "node"), "n1");
	ck_assert_str_eq(obj_secondary(at, "timestamp"), "2027-01-15 08:16:40 +0000 UTC");
	ck_assert_uint_eq(b->sequence, before + 1);
	ck_assert_uint_eq(b->nseqs, 1);
	ck_assert_uint_eq(b->seqs[0].ordinal, 3);
	ck_assert_uint_eq(b->seqs[0].seq, before);
	ck_assert_uint_eq(b->nunallocated, 63);
	const struct ipamobj_handle *h = sim_get(&r.sim, IPAMOBJ_HANDLE, "net.abc");
	ck_assert_str_eq(h->handle_id, "net.AbC");
	ck_assert_uint_eq(h->nblocks, 1);
	ck_assert_uint_eq(h->blocks[0].count, 1);

	r.log[0] = 0;
	rig_unlease(&r, "10.0.0.3");
	rig_run(&r, 3000);
	ck_assert_str_eq(r.log, "PUT block " BLOCK "\nDELETE handle net.abc\n");
	b = rig_block(&r, BLOCK);
	ck_assert_uint_eq(b->nunallocated, 64);
	ck_assert_uint_eq(b->unallocated[63], 3); /* the queue's end */
	ck_assert_uint_eq(b->nattrs, 0);
	ck_assert_uint_eq(b->nseqs, 0);
	ck_assert_uint_eq(b->sequence, before + 2);
	rig_free(&r);
}
END_TEST

/* 40 at once, 10 handles a second, and one block write a second at most. */
START_TEST(follow_is_slow_and_together)
{
	struct rig r;
	char addr[ADDR_STRLEN], id[32];
	unsigned posts = 0, puts = 0;

	owner(&r);
	for (int i = 0; i < 40; i++) {
		snprintf(addr, sizeof(addr), "10.0.0.%d", i);
		snprintf(id, sizeof(id), "net.c%d", i);
		rig_lease(&r, addr, id);
	}
	rig_run(&r, 1000);
	for (const char *p = r.log; (p = strstr(p, "POST handle")); p++)
		posts++;
	ck_assert_uint_le(posts, 31); /* 20 at once, then 10 a second */
	rig_run(&r, 5000);
	for (const char *p = r.log; (p = strstr(p, "PUT block")); p++)
		puts++;
	ck_assert_uint_le(puts, 5);
	ck_assert_uint_eq(rig_block(&r, BLOCK)->nunallocated, 24);
	rig_free(&r);
}
END_TEST

START_TEST(follow_skips_what_came_and_went)
{
	struct rig r;

	owner(&r);
	/* Handles wait: nothing of this pod is written. */
	r.sim.faults.away = 1000;
	rig_lease(&r, "10.0.0.200", "net.elsewhere");
	rig_lease(&r, "10.0.0.3", "net.a");
	rig_unlease(&r, "10.0.0.3");
	r.sim.faults.away = 0;
	rig_run(&r, 5000);
	ck_assert_uint_eq(r.writes, 0);
	rig_free(&r);
}
END_TEST

/* The same address again, for another pod, before the first was written away. */
START_TEST(follow_replaces)
{
	struct rig r;

	owner(&r);
	rig_lease(&r, "10.0.0.3", "net.a");
	rig_run(&r, 3000);
	rig_unlease(&r, "10.0.0.3");
	rig_lease(&r, "10.0.0.3", "net.b");
	rig_run(&r, 3000);
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "net.b");
	ck_assert_ptr_null(sim_get(&r.sim, IPAMOBJ_HANDLE, "net.a"));
	ck_assert_ptr_nonnull(sim_get(&r.sim, IPAMOBJ_HANDLE, "net.b"));
	ck_assert_ptr_null(strstr(r.events, "problem"));
	rig_free(&r);
}
END_TEST

/* Another writer was there in between: its allocation stays, ours is written beside it. */
START_TEST(follow_merges)
{
	struct rig r;

	owner(&r);
	rig_alloc(&r, BLOCK, 7, "k8s.other", "calico1", NULL);
	rig_lease(&r, "10.0.0.3", "net.a");
	rig_run(&r, 5000);
	ck_assert(strstr(r.events, "foreign 10.0.0.7 1\n"));
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "net.a");
	ck_assert_str_eq(rig_holder(&r, BLOCK, 7), "k8s.other");
	rig_alloc(&r, BLOCK, 7, NULL, "", NULL);
	rig_unlease(&r, "10.0.0.3");
	rig_run(&r, 5000);
	ck_assert(strstr(r.events, "foreign 10.0.0.7 0\n"));
	rig_free(&r);
}
END_TEST

START_TEST(follow_never_takes_from_another)
{
	struct rig r;

	owner(&r);
	rig_alloc(&r, BLOCK, 3, "k8s.other", "calico1", NULL);
	rig_lease(&r, "10.0.0.3", "net.a");
	rig_run(&r, 5000);
	ck_assert(strstr(r.events, "problem 1 10.0.0.3\n"));
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "k8s.other");
	/* Said once. */
	r.events[0] = 0;
	rig_lease(&r, "10.0.0.4", "net.b");
	rig_run(&r, 5000);
	ck_assert_ptr_null(strstr(r.events, "problem"));
	ck_assert_str_eq(rig_holder(&r, BLOCK, 4), "net.b");
	rig_unlease(&r, "10.0.0.3");
	rig_run(&r, 5000);
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "k8s.other");
	rig_free(&r);
}
END_TEST

START_TEST(follow_leaves_a_broken_block_alone)
{
	struct rig r;

	owner(&r);
	struct arena a = { 0 };
	struct ipamobj_block *b = obj_edit_block(&a, rig_block(&r, BLOCK));
	struct ipamobj_request q = { .verb = IPAMOBJ_UPDATE, .kind = IPAMOBJ_BLOCK, .object = b };
	b->allocations[9] = 4; /* there is no attribute */
	sim_apply(&r.sim, &q, &a);
	arena_free(&a);
	rig_lease(&r, "10.0.0.3", "net.a");
	rig_run(&r, 5000);
	ck_assert(strstr(r.events, "problem 3 10.0.0.0/26\n"));
	ck_assert_ptr_null(strstr(rig_list(&r), "10.0.0.0/26 allocate"));
	ck_assert_uint_eq(rig_block(&r, BLOCK)->nattrs, 0);
	rig_free(&r);
}
END_TEST

START_TEST(lost_block)
{
	struct rig r;

	owner(&r);
	rig_lease(&r, "10.0.0.3", "net.a");
	rig_run(&r, 3000);
	struct arena a = { 0 };
	struct ipamobj_block *b = obj_edit_block(&a, rig_block(&r, BLOCK));
	struct ipamobj_request q = { .verb = IPAMOBJ_UPDATE, .kind = IPAMOBJ_BLOCK, .object = b };
	b->affinity = "host:n2";
	sim_apply(&r.sim, &q, &a);
	arena_free(&a);
	r.log[0] = 0;
	rig_lease(&r, "10.0.0.4", "net.b");
	rig_run(&r, 3000);
	ck_assert(strstr(r.events, "problem 0 10.0.0.0/26\n"));
	ck_assert(strstr(rig_list(&r), "10.0.0.0/26 taken\n"));
	ck_assert_ptr_null(rig_affinity(&r, AFF));
	/* Nothing more is written there, and with its last pod it is forgotten. */
	ck_assert_str_eq(rig_block(&r, BLOCK)->affinity, "host:n2");
	ck_assert_str_eq(rig_holder(&r, BLOCK, 4), "");
	rig_unlease(&r, "10.0.0.3");
	rig_unlease(&r, "10.0.0.4");
	rig_run(&r, 1000);
	ck_assert_ptr_null(strstr(rig_list(&r), "10.0.0.0/26"));
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "net.a");
	rig_free(&r);
}
END_TEST

/* ---- settle ---- */

START_TEST(settle)
{
	struct rig r;
	struct sync_settings set = { .auto_allocate_blocks = true, .mixed = true, .nodes = 1 };
	struct addr three, four;

	owner(&r);
	sync_set_settings(r.sync, &set, rig_now(&r));
	addr_parse("10.0.0.3", &three);
	addr_parse("10.0.0.4", &four);
	rig_lease(&r, "10.0.0.3", "net.a");
	ck_assert_int_eq(sync_settle(r.sync, &three, rig_now(&r)), SYNC_SETTLING);
	rig_run(&r, 50); /* at once: no waiting for others */
	ck_assert_str_eq(r.log, "POST handle net.a\nPUT block " BLOCK "\n");
	ck_assert(strstr(r.events, "settled 10.0.0.3 0\n"));
	ck_assert_int_eq(sync_settle(r.sync, &three, rig_now(&r)), SYNC_SETTLED);

	rig_alloc(&r, BLOCK, 4, "k8s.other", "calico1", NULL);
	rig_lease(&r, "10.0.0.4", "net.b");
	ck_assert_int_eq(sync_settle(r.sync, &four, rig_now(&r)), SYNC_SETTLING);
	rig_run(&r, 50);
	ck_assert(strstr(r.events, "settled 10.0.0.4 1\n"));
	ck_assert(strstr(r.events, "foreign 10.0.0.4 1\n"));
	ck_assert_ptr_null(strstr(r.events, "problem"));
	rig_unlease(&r, "10.0.0.4");
	rig_run(&r, 5000);
	ck_assert_ptr_null(sim_get(&r.sim, IPAMOBJ_HANDLE, "net.b"));
	rig_free(&r);
}
END_TEST

/* ---- release ---- */

static void two_blocks(struct rig *r)
{
	owner(r);
	sync_want(r->sync, FAM_V4, NULL, rig_now(r));
	rig_run(r, 100);
	ck_assert_uint_eq(sync_block_count(r->sync), 2);
	r->log[0] = r->events[0] = 0;
}

/* The block that is being given back; waits for it. */
static const char *releasing(struct rig *r)
{
	static const char *const names[] = { BLOCK, "10-0-0-64-26" };

	while (!strstr(r->log, "pendingDeletion"))
		rig_run(r, 1);
	return names[strstr(r->log, "n1-10-0-0-64-26 pendingDeletion") != NULL];
}

START_TEST(release_empty)
{
	struct rig r;
	char expect[300];

	two_blocks(&r);
	rig_run(&r, 250000);
	ck_assert_str_eq(r.log, "");
	rig_run(&r, 100000);
	const char *name = releasing(&r);
	snprintf(expect, sizeof(expect),
		 "PUT aff n1-%s pendingDeletion\nDELETE block %s\nDELETE aff n1-%s\n", name, name,
		 name);
	ck_assert_str_eq(r.log, expect);
	/* The last of the pool stays. */
	rig_run(&r, 3600000);
	ck_assert_uint_eq(sync_block_count(r.sync), 1);
	ck_assert_uint_eq(r.sim.count[IPAMOBJ_BLOCK], 1);
	rig_free(&r);
}
END_TEST

START_TEST(release_waits_for_the_other_to_be_roomy)
{
	struct rig r;
	struct ipam_block_use u = { .size = 64, .used = 50, .free = 14, .ours = true };

	two_blocks(&r);
	rig_lease(&r, "10.0.0.65", "net.a");
	prefix_parse("10.0.0.64/26", &u.cidr);
	sync_set_usage(r.sync, &u, 1, rig_now(&r));
	rig_run(&r, 600000);
	ck_assert_uint_eq(sync_block_count(r.sync), 2);
	rig_free(&r);
}
END_TEST

/* A borrower comes at the last moment: the block stays. */
START_TEST(release_aborted_by_a_borrower)
{
	struct rig r;

	two_blocks(&r);
	const char *name = releasing(&r);
	rig_alloc(&r, name, 4, "k8s.other", "calico1", NULL);
	rig_run(&r, 5000);
	ck_assert_str_eq(rig_holder(&r, name, 4), "k8s.other");
	ck_assert_int_eq(
		rig_affinity(&r, strcmp(name, BLOCK) == 0 ? AFF : "n1-10-0-0-64-26")->state,
		IPAMOBJ_CONFIRMED);
	ck_assert_uint_eq(sync_block_count(r.sync), 2);
	ck_assert(strstr(r.events, " 1\n") && strstr(r.events, "foreign 10.0.0."));
	rig_free(&r);
}
END_TEST

START_TEST(release_aborted_by_need)
{
	struct rig r;

	two_blocks(&r);
	while (!strstr(r.log, "pendingDeletion"))
		rig_run(&r, 1);
	sync_want(r.sync, FAM_V4, NULL, rig_now(&r));
	rig_run(&r, 1000);
	ck_assert(strstr(r.events, "claimed 1 0\n"));
	ck_assert_uint_eq(sync_block_count(r.sync), 2);
	ck_assert_uint_eq(r.sim.count[IPAMOBJ_BLOCK], 2);
	rig_free(&r);
}
END_TEST

/* ---- leaks ---- */

START_TEST(leak_freed_after_two_looks)
{
	struct rig r;

	owner(&r);
	rig_alloc(&r, BLOCK, 3, "net.dead", "n1", NULL);
	rig_alloc(&r, BLOCK, 4, "ipip-tunnel-addr-n1", "n1", "ipipTunnelAddress");
	rig_alloc(&r, BLOCK, 5, "net.other", "n2", NULL);
	struct prefix p;
	prefix_parse("10.0.0.0/26", &p);
	sync_hint_changed(r.sync, IPAMOBJ_BLOCK, &p, rig_now(&r));
	r.alive = true;
	rig_run(&r, 600000);
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "net.dead");
	r.alive = false;
	rig_run(&r, 59000);
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "net.dead");
	rig_run(&r, 60000);
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "");
	ck_assert(strstr(r.events, "foreign 10.0.0.3 0\n"));
	ck_assert_str_eq(rig_holder(&r, BLOCK, 4), "ipip-tunnel-addr-n1");
	ck_assert_str_eq(rig_holder(&r, BLOCK, 5), "net.other");
	rig_free(&r);
}
END_TEST

START_TEST(leak_by_word)
{
	struct rig r;
	struct err err;
	struct addr a;

	owner(&r);
	r.alive = true;
	rig_alloc(&r, BLOCK, 3, "net.dead", "n1", NULL);
	rig_run(&r, 1000000);
	addr_parse("10.0.0.3", &a);
	ck_assert_int_eq(sync_release_leak(r.sync, &a, "net.else", rig_now(&r), &err), -1);
	ck_assert_int_eq(sync_release_leak(r.sync, &a, "net.dead", rig_now(&r), &err), 0);
	rig_run(&r, 1000);
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "");
	rig_lease(&r, "10.0.0.9", "net.live");
	rig_run(&r, 3000);
	addr_parse("10.0.0.9", &a);
	ck_assert_int_eq(sync_release_leak(r.sync, &a, "net.live", rig_now(&r), &err), -1);
	rig_free(&r);
}
END_TEST

START_TEST(stale_lease_is_only_told)
{
	struct rig r;

	owner(&r);
	rig_lease(&r, "10.0.0.3", "net.a");
	rig_run(&r, 200000);
	ck_assert(strstr(r.events, "problem 4 10.0.0.3\n"));
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "net.a");
	rig_free(&r);
}
END_TEST

/* ---- the API's moods ---- */

START_TEST(busy_is_obeyed)
{
	struct rig r;

	owner(&r);
	rig_bend(&r, IPAMOBJ_CREATE, IPAMOBJ_HANDLE, IPAMOBJ_BUSY, false);
	r.bend.retry_after = 5000;
	rig_lease(&r, "10.0.0.3", "net.a");
	rig_run(&r, 4900);
	ck_assert_uint_eq(r.writes, 1);
	rig_run(&r, 5000);
	ck_assert_str_eq(rig_holder(&r, BLOCK, 3), "net.a");
	rig_free(&r);
}
END_TEST

START_TEST(refusal_is_said)
{
	struct rig r;

	rig_init(&r);
	rig_bend(&r, IPAMOBJ_CREATE, IPAMOBJ_BLOCK, IPAMOBJ_REFUSED, false);
	r.bend.times = 1000;
	sync_want(r.sync, FAM_V4, NULL, rig_now(&r));
	start(&r);
	rig_run(&r, 300000);
	ck_assert(strstr(r.events, "problem 3 10.0.0.0/26\n"));
	ck_assert(strstr(r.events, "claimed 1 6\n"));
	ck_assert_uint_lt(r.writes, 10);
	rig_free(&r);
}
END_TEST

UNIT_MAIN("sync_follow", follow_writes_handle_then_block, follow_is_slow_and_together,
	  follow_skips_what_came_and_went, follow_replaces, follow_merges,
	  follow_never_takes_from_another, follow_leaves_a_broken_block_alone, lost_block, settle,
	  release_empty, release_waits_for_the_other_to_be_roomy, release_aborted_by_a_borrower,
	  release_aborted_by_need, leak_freed_after_two_looks, leak_by_word,
	  stale_lease_is_only_told, busy_is_obeyed, refusal_is_said)
