/* RFC 4271 section 6.8, RFC 6286 section 2.3, RFC 4724 section 5: which of two connections stays;
 * and both ends of a peering must choose the same one.
 */
#include "config.h"

#include "bgpd/fsm.h"
#include "test/unit/unit.h"

enum { LOW = 0x0A000001, HIGH = 0x0A000002 };

struct row {
	const char *what;
	bool fresh_ours;      /* the OPEN came on the connection that we opened */
	enum fsm_state other; /* the other one's state */
	bool other_ours;
	uint32_t local_id, peer_id, local_as, peer_as;
	bool gr;
	uint64_t age;
	enum fsm_verdict want;
};

static const struct row rows[] = {
	{ "lower id: the peer's new one stays", false, FSM_OPENCONFIRM, true, LOW, HIGH, 1, 2, 0, 0,
	  FSM_DROP_OLD },
	{ "lower id: our new one goes", true, FSM_OPENCONFIRM, false, LOW, HIGH, 1, 2, 0, 0,
	  FSM_DROP_NEW },
	{ "higher id: the peer's new one goes", false, FSM_OPENCONFIRM, true, HIGH, LOW, 1, 2, 0, 0,
	  FSM_DROP_NEW },
	{ "higher id: our new one stays", true, FSM_OPENCONFIRM, false, HIGH, LOW, 1, 2, 0, 0,
	  FSM_DROP_OLD },
	{ "ids compare as unsigned", true, FSM_OPENCONFIRM, false, 0xC0000001, 0x0A000001, 1, 2, 0,
	  0, FSM_DROP_OLD },
	{ "same id: the higher AS's stays", false, FSM_OPENCONFIRM, true, LOW, LOW, 65001, 65002, 0,
	  0, FSM_DROP_OLD },
	{ "same id, our AS is higher", false, FSM_OPENCONFIRM, true, LOW, LOW, 4200000000, 65002, 0,
	  0, FSM_DROP_NEW },
	{ "the other has no OPEN yet", false, FSM_OPENSENT, true, LOW, HIGH, 1, 2, 0, 0,
	  FSM_KEEP_BOTH },
	{ "the other connects", false, FSM_CONNECT, true, HIGH, LOW, 1, 2, 0, 0, FSM_KEEP_BOTH },
	{ "the other waits", false, FSM_ACTIVE, true, HIGH, LOW, 1, 2, 0, 0, FSM_KEEP_BOTH },
	{ "the other is idle", false, FSM_IDLE, true, HIGH, LOW, 1, 2, 0, 0, FSM_KEEP_BOTH },
	{ "established stays, lower id", false, FSM_ESTABLISHED, true, LOW, HIGH, 1, 2, 0, 3600000,
	  FSM_DROP_NEW },
	{ "established stays, higher id", false, FSM_ESTABLISHED, false, HIGH, LOW, 1, 2, 0,
	  3600000, FSM_DROP_NEW },
	{ "graceful restart: the new one replaces it", false, FSM_ESTABLISHED, true, HIGH, LOW, 1,
	  2, 1, 3600000, FSM_DROP_OLD_SILENT },
	{ "graceful restart, both from the peer", false, FSM_ESTABLISHED, false, LOW, HIGH, 1, 2, 1,
	  3600000, FSM_DROP_OLD_SILENT },
	{ "graceful restart, but one start", false, FSM_ESTABLISHED, true, LOW, HIGH, 1, 2, 1, 300,
	  FSM_DROP_NEW },
	{ "graceful restart, our own second one", true, FSM_ESTABLISHED, false, LOW, HIGH, 1, 2, 1,
	  3600000, FSM_DROP_NEW },
	{ "two from the peer: the newer", false, FSM_OPENCONFIRM, false, HIGH, LOW, 1, 2, 0, 0,
	  FSM_DROP_OLD },
};

START_TEST(table)
{
	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		const struct row *r = &rows[k];
		struct fsm_side fresh = { .state = FSM_OPENCONFIRM, .initiated = r->fresh_ours };
		struct fsm_side other = {
			.state = r->other, .initiated = r->other_ours, .gr = r->gr, .age_ms = r->age
		};
		struct fsm_ends ends = { r->local_id, r->local_as, r->peer_id, r->peer_as };
		ck_assert_msg(fsm_collide(&fresh, &other, &ends) == r->want, "%s", r->what);
	}
}
END_TEST

/* A's connection and B's; each end gets the two OPENs in either order. Both must keep the same one.
 */
START_TEST(both_ends_agree)
{
	static const uint32_t id[] = { LOW, HIGH, 0xC0A80001 };
	static const uint32_t as[] = { 64512, 65001 };
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = 0; j < 3; j++) {
			if (id[i] == id[j] && as[0] == as[1])
				continue;
			for (unsigned order = 0; order < 4; order++) {
				struct fsm_ends a = { id[i], as[0], id[j], as[1] };
				struct fsm_ends b = { id[j], as[1], id[i], as[0] };
				/* the second OPEN at A came on A's own connection? at B, on B's
				 * own? */
				bool ours_a = order & 1, ours_b = order & 2;
				struct fsm_side fa = { FSM_OPENCONFIRM, ours_a, false, 0 };
				struct fsm_side oa = { FSM_OPENCONFIRM, !ours_a, false, 0 };
				struct fsm_side fb = { FSM_OPENCONFIRM, ours_b, false, 0 };
				struct fsm_side ob = { FSM_OPENCONFIRM, !ours_b, false, 0 };
				bool a_keeps_own =
					(fsm_collide(&fa, &oa, &a) == FSM_DROP_OLD) == ours_a;
				bool b_keeps_own =
					(fsm_collide(&fb, &ob, &b) == FSM_DROP_OLD) == ours_b;
				ck_assert_msg(a_keeps_own != b_keeps_own, "ids %x %x order %u",
					      id[i], id[j], order);
			}
		}
}
END_TEST

UNIT_MAIN("collision", table, both_ends_agree)
