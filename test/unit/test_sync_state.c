#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ipam/sync_state.h"
#include "test/unit/unit.h"

static const char good[] = "selvage blocks 1\n"
			   "node n1\n"
			   "instance abc\n"
			   "block 10.0.0.0/26 pool 10.0.0.0/16 allocate\n"
			   "block fd00::/122 pool fd00::/64\n"
			   "foreign 10.0.0.5\n";

static char *with_end(const char *body, size_t *len)
{
	static char out[2048];
	uint32_t c = UINT32_MAX;

	/* CRC-32C (Castagnoli), RFC 3720 section B.4. */
	for (const char *p = body; *p; p++) {
		c ^= (uint8_t)*p;
		for (int k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
	}
	*len = (size_t)snprintf(out, sizeof(out), "%send %08x\n", body, ~c);
	return out;
}

START_TEST(round_trip)
{
	struct sync_state st;
	struct arena a = { 0 };
	struct err err;
	size_t len, again;
	char *text = with_end(good, &len);

	ck_assert_msg(sync_state_decode(text, len, &st, &err) == 0, "%s", err.text);
	ck_assert_str_eq(st.node, "n1");
	ck_assert_str_eq(st.instance, "abc");
	ck_assert_uint_eq(st.nblocks, 2);
	ck_assert(st.blocks[0].allocate && !st.blocks[1].allocate);
	ck_assert_uint_eq(st.blocks[1].cidr.len, 122);
	ck_assert_uint_eq(st.nforeign, 1);
	char *out = sync_state_encode(&st, &a, &again);
	ck_assert_uint_eq(again, len);
	ck_assert_str_eq(out, text);
	sync_state_free(&st);
	arena_free(&a);
}
END_TEST

/* A file cut or changed anywhere is refused. */
START_TEST(torn_or_changed)
{
	struct sync_state st;
	struct err err;
	size_t len;
	char *text = with_end(good, &len), bad[2048];

	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(sync_state_decode(text, i, &st, &err), -1);
	for (size_t i = 0; i < len; i++) {
		memcpy(bad, text, len);
		bad[i] ^= 1;
		ck_assert_int_eq(sync_state_decode(bad, len, &st, &err), -1);
	}
}
END_TEST

START_TEST(nonsense)
{
	static const char *const bad[] = {
		"selvage blocks 2\nnode n1\n",
		"selvage blocks 1\nblock 10.0.0.0/26\n",
		"selvage blocks 1\nblock 10.0.0.1/26 pool 10.0.0.0/16\n",
		"selvage blocks 1\nblock 10.0.0.0/26 pool 10.1.0.0/16\n",
		"selvage blocks 1\nblock 10.0.0.0/26 pool 10.0.0.0/16 perhaps\n",
		"selvage blocks 1\nforeign 10.0.0\n",
		"selvage blocks 1\ncolour red\n",
		"selvage blocks 1\nnode\n",
	};
	struct sync_state st;
	struct err err;
	size_t len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *text = with_end(bad[i], &len);

		ck_assert_msg(sync_state_decode(text, len, &st, &err) == -1, "%s", bad[i]);
	}
	ck_assert_int_eq(sync_state_decode("", 0, &st, &err), -1);
}
END_TEST

UNIT_MAIN("sync_state", round_trip, torn_or_changed, nonsense)
