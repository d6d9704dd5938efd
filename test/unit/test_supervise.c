/* The supervisor's rules over simulated time. */
#include "config.h"

#include <string.h>
#include <sys/wait.h>

#include "noded/supervise.h"
#include "unit.h"

enum { SIG_11 = 11, EXIT_1 = 1 << 8 };

/* Starts, lives for life ms, ends; returns how long it then waits. */
static uint64_t live(struct sup *s, uint64_t *now, uint64_t life)
{
	ck_assert(sup_start_due(s, *now));
	sup_started(s, *now);
	ck_assert(!sup_start_due(s, *now + life));
	*now += life;
	sup_ended(s, *now, SIG_11);
	uint64_t wait = sup_next(s) - *now;
	/* A wait over a second is first interrupted by the refusal. */
	if (s->start_at - *now > SUP_REFUSE) {
		ck_assert_uint_eq(wait, SUP_REFUSE);
		ck_assert(!sup_refuse_due(s, *now + SUP_REFUSE - 1));
		ck_assert(sup_refuse_due(s, *now + SUP_REFUSE));
		ck_assert(!sup_refuse_due(s, *now + SUP_REFUSE));
		wait = sup_next(s) - *now;
	}
	ck_assert(!sup_start_due(s, *now + wait - 1));
	*now += wait;
	ck_assert(sup_start_due(s, *now));
	return wait;
}

START_TEST(backoff_doubles_to_ten_seconds)
{
	static const unsigned want[] = { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct sup s;
	uint64_t now = 5;

	sup_init(&s);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_uint_eq(live(&s, &now, 10), want[i]);
	ck_assert_uint_eq(sup_restarts(&s), sizeof(want) / sizeof(want[0]) - 1);
}
END_TEST

START_TEST(sixty_seconds_of_life_reset_it)
{
	struct sup s;
	uint64_t now = 1;

	sup_init(&s);
	ck_assert_uint_eq(live(&s, &now, 0), 100);
	ck_assert_uint_eq(live(&s, &now, 0), 200);
	ck_assert_uint_eq(live(&s, &now, 59999), 400);
	ck_assert_uint_eq(live(&s, &now, 60000), 100);
	ck_assert_uint_eq(live(&s, &now, 0), 200);
}
END_TEST

START_TEST(a_crash_loop_over_a_day_is_bounded)
{
	struct sup s;
	uint64_t now = 0, day = 24ull * 3600 * 1000;

	sup_init(&s);
	while (now < day)
		live(&s, &now, 3);
	/* One start every 10 s at most, after the first few. */
	ck_assert_uint_ge(sup_restarts(&s), 8600);
	ck_assert_uint_le(sup_restarts(&s), 8650);
}
END_TEST

START_TEST(readiness)
{
	struct sup s;

	sup_init(&s);
	ck_assert_int_eq(s.state, SUP_DOWN);
	sup_started(&s, 10);
	ck_assert(!s.was_ready && !s.ready);
	sup_said(&s, false, "no datastore");
	ck_assert(s.was_ready && !s.ready);
	ck_assert_str_eq(s.reason, "no datastore");
	sup_said(&s, true, NULL);
	ck_assert(s.ready);
	ck_assert_str_eq(s.reason, "");
	sup_ended(&s, 20, EXIT_1);
	/* Start-up happened once; being ready now is another matter. */
	ck_assert(s.was_ready && !s.ready);
}
END_TEST

START_TEST(words)
{
	struct sup s;
	char buf[96], tiny[8];

	sup_init(&s);
	ck_assert_str_eq(sup_describe(&s, 0, buf, sizeof(buf)), "not started");
	sup_started(&s, 0);
	ck_assert_str_eq(sup_describe(&s, 0, buf, sizeof(buf)), "starting");
	sup_said(&s, true, "");
	ck_assert_str_eq(sup_describe(&s, 0, buf, sizeof(buf)), "running");
	sup_ended(&s, 1000, SIG_11);
	ck_assert_str_eq(sup_describe(&s, 1000, buf, sizeof(buf)), "waiting 1 s after signal 11");
	s.start_at = 3000;
	ck_assert_str_eq(sup_describe(&s, 1500, buf, sizeof(buf)), "waiting 2 s after signal 11");
	ck_assert_str_eq(sup_describe(&s, 9999, buf, sizeof(buf)), "waiting 0 s after signal 11");
	ck_assert_str_eq(sup_why(EXIT_1, buf, sizeof(buf)), "exit status 1");
	ck_assert_uint_lt(strlen(sup_describe(&s, 0, tiny, sizeof(tiny))), sizeof(tiny));
}
END_TEST

UNIT_MAIN("supervise", backoff_doubles_to_ten_seconds, sixty_seconds_of_life_reset_it,
	  a_crash_loop_over_a_day_is_bounded, readiness, words)
