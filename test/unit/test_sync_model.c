#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "lib/log.h"
#include "test/unit/sync_world.h"
#include "test/unit/unit.h"

/* SYNC_SEEDS=20000 for a longer run, SYNC_SEED=n for one, SYNC_VERBOSE=1 to hear the nodes. */
static void seeds(uint64_t *from, uint64_t *n)
{
	const char *one = getenv("SYNC_SEED"), *many = getenv("SYNC_SEEDS");

	*from = one ? strtoull(one, NULL, 10) : 1;
	*n = one ? 1 : many ? strtoull(many, NULL, 10) : 200;
}

static void check_world(const struct world_conf *conf, bool slow, const char *test)
{
	struct world *w = malloc(sizeof(*w));

	world_init(w, conf);
	/* A busy while, or hours in which nodes die for long enough to be collected. */
	if (slow)
		world_run(w, w->sim.now + 3 * 3600000, 15000);
	else
		world_run(w, w->sim.now + 120000, 400);
	if (!w->broken[0])
		world_settle(w);
	if (w->broken[0])
		fprintf(stderr, "SYNC_SEED=%" PRIu64 " %s: at %" PRIu64 " ms: %s\n", conf->seed,
			test, w->sim.now, w->broken);
	ck_assert_msg(!w->broken[0], "seed %" PRIu64 ": %s", conf->seed, w->broken);
	world_free(w);
	free(w);
}

static void run_seeds(const struct world_conf *base, bool slow, const char *test)
{
	uint64_t from, n;

	log_init("test", LOG_ERROR);
	seeds(&from, &n);
	for (uint64_t i = from; i < from + n; i++) {
		struct world_conf conf = *base;

		conf.seed = i;
		conf.nodes = 2 + (unsigned)(i % 3);
		check_world(&conf, slow, test);
	}
}

START_TEST(no_faults)
{
	static const struct world_conf conf = { .v6 = true };

	run_seeds(&conf, false, "no_faults");
}
END_TEST

START_TEST(lossy)
{
	static const struct world_conf conf = { .faults = { 30, 30, 30, 30, 0 } };

	run_seeds(&conf, false, "lossy");
}
END_TEST

START_TEST(late)
{
	static const struct world_conf conf = { .v6 = true, .faults = { 10, 20, 20, 20, 30 } };

	run_seeds(&conf, false, "late");
}
END_TEST

START_TEST(mixed)
{
	static const struct world_conf conf = { .mixed = true, .faults = { 10, 20, 20, 20, 0 } };

	run_seeds(&conf, false, "mixed");
}
END_TEST

START_TEST(hours)
{
	static const struct world_conf conf = { .faults = { 10, 10, 10, 10, 0 } };

	run_seeds(&conf, true, "hours");
}
END_TEST

START_TEST(hours_mixed)
{
	static const struct world_conf conf = { .mixed = true, .faults = { 10, 10, 10, 10, 10 } };

	run_seeds(&conf, true, "hours_mixed");
}
END_TEST

UNIT_MAIN("sync_model", no_faults, lossy, late, mixed, hours, hours_mixed)
