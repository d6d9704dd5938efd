#include "config.h"

#include "test/unit/sync_rig.h"

#define BLOCK "10-0-0-0-26"
#define AFF   "n1-10-0-0-0-26"
#define CLAIM "POST aff " AFF " pending\nPOST block " BLOCK "\nPUT aff " AFF " confirmed\n"

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

/* ---- claim ---- */

START_TEST(claim_is_three_writes)
{
	struct rig r;

	rig_init(&r);
	sync_want(r.sync, FAM_V4, NULL, rig_now(&r));
	start(&r);
	ck_assert_str_eq(r.log, CLAIM);
	ck_assert(strstr(r.events, "blocks\n") && strstr(r.events, "claimed 1 0\n"));
	const struct ipamobj_block *b = rig_block(&r, BLOCK);
	ck_assert_str_eq(b->affinity, "host:n1");
	ck_assert_uint_eq(b->nunallocated, 64);
	ck_assert_uint_eq(b->unallocated[63], 63);
	ck_assert_int_eq(b->allocations[63], -1);
	ck_assert(b->strict_affinity && !b->deleted && b->nattrs == 0);
	ck_assert_uint_gt(b->sequence, UINT64_C(1800000000000000000));
	ck_assert_str_eq(b->claim_time, "2027-01-15T08:16:40Z");
	const struct ipamobj_affinity *f = rig_affinity(&r, AFF);
	ck_assert_int_eq(f->state, IPAMOBJ_CONFIRMED);
	ck_assert_str_eq(f->instance, "me");
	ck_assert_str_eq(f->type, "host");
	rig_free(&r);
}
END_TEST

/* Another was quicker: the next block is taken, and nothing of the first try is left. */
START_TEST(claim_conflict)
{
	struct rig r;

	rig_init(&r);
	rig_bend(&r, IPAMOBJ_CREATE, IPAMOBJ_BLOCK, IPAMOBJ_EXISTS, false);
	sync_start(r.sync, rig_now(&r));
	while (!r.bend.on || r.log[0] == 0)
		rig_run(&r, 1);
	rig_put_block(&r, "10.0.0.0/26", "host:n2");
	rig_run(&r, 500);
	ck_assert_ptr_null(rig_affinity(&r, AFF));
	ck_assert_str_eq(rig_block(&r, BLOCK)->affinity, "host:n2");
	ck_assert_str_eq(rig_list(&r), "10.0.0.64/26 allocate advertise\n");
	ck_assert_uint_eq(r.writes, 6); /* 2 lost, 1 to clean up, 3 */
	ck_assert_ptr_null(strstr(r.events, "problem"));
	rig_free(&r);
}
END_TEST

/* No answer: it is read, and what is there decides. */
START_TEST(claim_without_answer)
{
	static const enum ipamobj_kind kinds[] = { IPAMOBJ_AFFINITY, IPAMOBJ_BLOCK };
	static const enum ipamobj_verb verbs[] = { IPAMOBJ_CREATE, IPAMOBJ_UPDATE };

	for (unsigned i = 0; i < 8; i++) {
		struct rig r;

		if (kinds[i / 4] == IPAMOBJ_BLOCK && verbs[i / 2 % 2] == IPAMOBJ_UPDATE)
			continue;
		rig_init(&r);
		rig_bend(&r, verbs[i / 2 % 2], kinds[i / 4], IPAMOBJ_UNKNOWN, i % 2);
		start(&r);
		rig_run(&r, 1000);
		ck_assert_str_eq(rig_list(&r), "10.0.0.0/26 allocate advertise\n");
		ck_assert_int_eq(rig_affinity(&r, AFF)->state, IPAMOBJ_CONFIRMED);
		ck_assert_uint_eq(r.sim.count[IPAMOBJ_BLOCK], 1);
		ck_assert_uint_eq(r.sim.count[IPAMOBJ_AFFINITY], 1);
		ck_assert_ptr_null(strstr(r.events, "problem"));
		rig_free(&r);
	}
}
END_TEST

START_TEST(claim_never_overlaps)
{
	struct rig r;

	rig_init(&r);
	rig_put_block(&r, "10.0.0.64/28", "host:old");	/* in the second */
	rig_put_block(&r, "10.0.0.128/25", "host:old"); /* the third and fourth */
	rig_put_affinity(&r, "10.0.0.0/26", IPAMOBJ_CONFIRMED, "me");
	rig_put_block(&r, "10.0.0.0/26", "host:n1");
	sync_want(r.sync, FAM_V4, NULL, rig_now(&r));
	start(&r);
	rig_run(&r, 1000);
	ck_assert_str_eq(rig_list(&r), "10.0.0.0/26 allocate advertise\n");
	ck_assert(strstr(r.events, "claimed 1 1\n"));
	ck_assert_uint_eq(r.writes, 0);
	rig_free(&r);
}
END_TEST

START_TEST(claim_refusals)
{
	struct rig r;
	struct sync_settings set = { .auto_allocate_blocks = true, .max_blocks_per_host = 1 };

	owner(&r);
	sync_set_settings(r.sync, &set, rig_now(&r));
	sync_want(r.sync, FAM_V4, NULL, rig_now(&r));
	sync_want(r.sync, FAM_V6, NULL, rig_now(&r));
	rig_run(&r, 100);
	ck_assert(strstr(r.events, "claimed 1 2\n")); /* SYNC_MAX_BLOCKS */
	ck_assert(strstr(r.events, "claimed 2 3\n")); /* SYNC_NO_POOL */
	ck_assert_uint_eq(r.writes, 0);
	rig_free(&r);
}
END_TEST

/* A pool that is full but for a block without an owner: an empty one is taken, others never. */
START_TEST(claim_takes_what_nobody_owns)
{
	struct rig r;

	rig_init(&r);
	rig_put_block(&r, "10.0.0.0/26", "host:n2");
	rig_put_block(&r, "10.0.0.64/26", "");
	rig_alloc(&r, "10-0-0-64-26", 3, "k.x", "n3", NULL);
	rig_put_block(&r, "10.0.0.128/26", "");
	rig_put_block(&r, "10.0.0.192/26", "virtual:lb");
	start(&r);
	ck_assert_str_eq(rig_list(&r), "10.0.0.128/26 allocate advertise\n");
	ck_assert_str_eq(rig_block(&r, "10-0-0-128-26")->affinity, "host:n1");
	ck_assert_str_eq(rig_block(&r, "10-0-0-64-26")->affinity, "");
	rig_free(&r);
}
END_TEST

/* Below 16 free addresses one more is claimed, without being asked. */
START_TEST(watermark)
{
	struct rig r;
	struct ipam_block_use u = { .size = 64, .used = 48, .free = 16, .ours = true };

	owner(&r);
	prefix_parse("10.0.0.0/26", &u.cidr);
	prefix_parse("10.0.0.0/24", &u.pool);
	sync_set_usage(r.sync, &u, 1, rig_now(&r));
	rig_run(&r, 100);
	ck_assert_uint_eq(r.writes, 0);
	u.used = 49;
	u.free = 15;
	sync_set_usage(r.sync, &u, 1, rig_now(&r));
	rig_run(&r, 100);
	ck_assert_uint_eq(r.writes, 3);
	ck_assert_str_eq(rig_list(&r), "10.0.0.0/26 allocate advertise\n"
				       "10.0.0.64/26 allocate advertise\n");
	rig_free(&r);
}
END_TEST

START_TEST(pools_that_are_asked_for)
{
	struct rig r;
	struct sync_pool pool = { .block_size = 26, .use = SYNC_POOL_ASKED };

	rig_init(&r);
	prefix_parse("10.0.0.0/24", &pool.cidr);
	sync_set_pools(r.sync, &pool, 1, rig_now(&r));
	sync_want(r.sync, FAM_V4, NULL, rig_now(&r));
	start(&r);
	ck_assert(strstr(r.events, "claimed 1 3\n"));
	ck_assert_uint_eq(r.writes, 0);
	sync_want(r.sync, FAM_V4, &pool.cidr, rig_now(&r));
	rig_run(&r, 6000);
	ck_assert(strstr(r.events, "claimed 1 0\n"));
	ck_assert_str_eq(rig_list(&r), "10.0.0.0/26 advertise\n");
	rig_free(&r);
}
END_TEST

/* ---- start ---- */

START_TEST(resume_pending)
{
	struct rig r;

	rig_init(&r);
	rig_put_affinity(&r, "10.0.0.128/26", IPAMOBJ_PENDING, "me");
	start(&r);
	ck_assert_str_eq(r.log, "POST block 10-0-0-128-26\nPUT aff n1-10-0-0-128-26 confirmed\n");
	ck_assert_str_eq(rig_list(&r), "10.0.0.128/26 allocate advertise\n");
	rig_free(&r);
}
END_TEST

/* Whether it was claimed or was being given back, a collector may be about to delete the block: it
 * gets another version before it counts. */
START_TEST(resume_pending_with_block)
{
	struct rig r;

	rig_init(&r);
	rig_put_affinity(&r, "10.0.0.128/26", IPAMOBJ_PENDING, "me");
	rig_put_block(&r, "10.0.0.128/26", "host:n1");
	start(&r);
	ck_assert_str_eq(r.log, "PUT block 10-0-0-128-26\nPUT aff n1-10-0-0-128-26 confirmed\n");
	ck_assert_str_eq(rig_list(&r), "10.0.0.128/26 allocate advertise\n");
	rig_free(&r);
}
END_TEST

START_TEST(resume_release)
{
	struct rig r;

	rig_init(&r);
	rig_put_affinity(&r, "10.0.0.128/26", IPAMOBJ_PENDING_DELETION, "me");
	rig_put_block(&r, "10.0.0.128/26", "host:n1");
	start(&r);
	ck_assert(strstr(r.log, "DELETE block 10-0-0-128-26\n"));
	ck_assert(strstr(r.log, "DELETE aff n1-10-0-0-128-26\n"));
	ck_assert_str_eq(rig_list(&r), "10.0.0.0/26 allocate advertise\n");
	rig_free(&r);
}
END_TEST

START_TEST(resume_block_of_another)
{
	struct rig r;

	rig_init(&r);
	rig_put_affinity(&r, "10.0.0.128/26", IPAMOBJ_PENDING, "me");
	rig_put_block(&r, "10.0.0.128/26", "host:n2");
	start(&r);
	ck_assert_ptr_null(rig_affinity(&r, "n1-10-0-0-128-26"));
	ck_assert_str_eq(rig_block(&r, "10-0-0-128-26")->affinity, "host:n2");
	ck_assert_ptr_null(strstr(r.log, "block 10-0-0-128-26"));
	rig_free(&r);
}
END_TEST

/* Calico's own (no mark), a predecessor's, and one without labels: all are taken over. */
START_TEST(adopt_all)
{
	struct rig r;

	rig_init(&r);
	rig_put_affinity(&r, "10.0.0.64/26", IPAMOBJ_CONFIRMED, "");
	rig_put_affinity(&r, "10.0.0.128/26", IPAMOBJ_CONFIRMED, "before");
	rig_put_affinity(&r, "10.0.0.192/26", IPAMOBJ_CONFIRMED, "me");
	for (unsigned i = 0; i < SIM_BUCKETS; i++)
		for (struct sim_obj *o = r.sim.buckets[IPAMOBJ_AFFINITY][i]; o; o = o->next)
			o->unlabelled = strstr(o->name, "192") != NULL;
	rig_put_block(&r, "10.0.0.64/26", "host:n1");
	rig_put_block(&r, "10.0.0.128/26", "host:n1");
	rig_put_block(&r, "10.0.0.192/26", "host:n1");
	start(&r);
	ck_assert_uint_eq(sync_block_count(r.sync), 3);
	ck_assert_str_eq(rig_affinity(&r, "n1-10-0-0-64-26")->instance, "me");
	ck_assert_str_eq(rig_affinity(&r, "n1-10-0-0-128-26")->instance, "me");
	ck_assert_uint_eq(r.writes, 2);
	ck_assert_ptr_null(strstr(r.events, "problem"));
	rig_free(&r);
}
END_TEST

START_TEST(api_away_at_boot)
{
	struct rig r;
	struct sync_state st;
	struct addr foreign;

	owner(&r);
	rig_alloc(&r, BLOCK, 5, "net.other", "n2", NULL);
	addr_parse("10.0.0.0", &foreign);
	sync_hint_changed(r.sync, IPAMOBJ_BLOCK, &(struct prefix){ foreign, 26 }, rig_now(&r));
	rig_run(&r, 100);
	sync_save(r.sync, &st);
	rig_restart(&r, "me");
	r.sim.faults.away = 1000;
	sync_restore(r.sync, &st);
	sync_state_free(&st);
	ck_assert_str_eq(rig_list(&r), "10.0.0.0/26 allocate advertise\n");
	ck_assert_str_eq(r.events, "foreign 10.0.0.5 1\nblocks\n");
	sync_start(r.sync, rig_now(&r));
	rig_run(&r, 600000);
	ck_assert_str_eq(rig_list(&r), "10.0.0.0/26 allocate advertise\n");
	ck_assert_uint_eq(r.writes, 0);
	ck_assert_uint_lt(r.sim.requests, 100); /* backoff up to 30 s */
	/* Meanwhile another has it. */
	r.sim.faults.away = 0;
	struct arena a = { 0 };
	struct ipamobj_block *b = obj_edit_block(&a, rig_block(&r, BLOCK));
	struct ipamobj_request q = { .verb = IPAMOBJ_UPDATE, .kind = IPAMOBJ_BLOCK, .object = b };
	b->affinity = "host:n2";
	sim_apply(&r.sim, &q, &a);
	rig_run(&r, 40000);
	ck_assert(strstr(r.events, "problem 0 10.0.0.0/26\n"));
	ck_assert_ptr_null(strstr(rig_list(&r), "10.0.0.0/26"));
	ck_assert_ptr_null(strstr(r.log, "block " BLOCK));
	arena_free(&a);
	rig_free(&r);
}
END_TEST

/* ---- two daemons, and a Node that is gone ---- */

START_TEST(twin)
{
	struct rig r;

	owner(&r);
	struct arena a = { 0 };
	struct ipamobj_affinity *f = obj_copy_affinity(&a, rig_affinity(&r, AFF));
	struct ipamobj_request q = { .verb = IPAMOBJ_UPDATE,
				     .kind = IPAMOBJ_AFFINITY,
				     .object = f };
	f->instance = "twin";
	sim_apply(&r.sim, &q, &a);
	sync_hint_changed(r.sync, IPAMOBJ_AFFINITY, &f->cidr, rig_now(&r));
	rig_run(&r, 100);
	ck_assert(strstr(r.events, "problem 2 " AFF "\n"));
	ck_assert_str_eq(rig_list(&r), "10.0.0.0/26 advertise\n");
	rig_lease(&r, "10.0.0.9", "net.a");
	sync_want(r.sync, FAM_V4, NULL, rig_now(&r));
	rig_run(&r, 3600000);
	ck_assert(strstr(r.events, "claimed 1 5\n"));
	ck_assert_uint_eq(r.writes, 0);
	arena_free(&a);
	rig_free(&r);
}
END_TEST

START_TEST(node_gone_and_back)
{
	struct rig r;

	owner(&r);
	sync_set_node(r.sync, false, "", rig_now(&r));
	ck_assert_str_eq(rig_list(&r), "10.0.0.0/26 advertise\n");
	rig_run(&r, 1000);
	/* Collected and claimed by another while it was away. */
	struct arena a = { 0 };
	struct ipamobj_block *b = obj_edit_block(&a, rig_block(&r, BLOCK));
	struct ipamobj_request q = { .verb = IPAMOBJ_UPDATE, .kind = IPAMOBJ_BLOCK, .object = b };
	b->affinity = "host:n2";
	sim_apply(&r.sim, &q, &a);
	arena_free(&a);
	sync_set_node(r.sync, true, "me", rig_now(&r));
	ck_assert_ptr_null(strstr(rig_list(&r), "10.0.0.0/26 allocate"));
	rig_run(&r, 1000);
	ck_assert_str_eq(rig_list(&r), "10.0.0.64/26 allocate advertise\n");
	rig_free(&r);
}
END_TEST

UNIT_MAIN("sync", claim_is_three_writes, claim_conflict, claim_without_answer, claim_never_overlaps,
	  claim_refusals, claim_takes_what_nobody_owns, watermark, pools_that_are_asked_for,
	  resume_pending, resume_pending_with_block, resume_release, resume_block_of_another,
	  adopt_all, api_away_at_boot, twin, node_gone_and_back)
