#include "config.h"

#include "test/unit/unit.h"

#include "lib/bytes.h"

static const uint8_t data[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

START_TEST(reads_big_endian)
{
	struct rd r = rd_over(data, sizeof(data));

	ck_assert_uint_eq(rd_u8(&r), 0x01);
	ck_assert_uint_eq(rd_u16(&r), 0x0203);
	ck_assert_uint_eq(rd_u32(&r), 0x04050607);
	ck_assert_uint_eq(rd_u64(&r), UINT64_C(0x08090a0b0c0d0e0f));
	ck_assert(!r.bad);
	ck_assert_uint_eq(rd_left(&r), 0);
}
END_TEST

START_TEST(past_the_end_is_sticky_and_gives_zeros)
{
	struct rd r = rd_over(data, 3);
	uint8_t out[4] = { 9, 9, 9, 9 };

	ck_assert_uint_eq(rd_u32(&r), 0);
	ck_assert(r.bad);
	ck_assert_uint_eq(rd_left(&r), 0);
	ck_assert_uint_eq(rd_u8(&r), 0);
	ck_assert_ptr_null(rd_bytes(&r, 0));
	rd_copy(&r, out, sizeof(out));
	ck_assert_mem_eq(out, "\0\0\0\0", 4);
}
END_TEST

START_TEST(a_size_that_would_wrap_is_refused)
{
	struct rd r = rd_over(data, sizeof(data));
	struct wr w = { (uint8_t[4]){ 0 }, 4, 1, false };

	ck_assert_ptr_null(rd_bytes(&r, SIZE_MAX));
	ck_assert(r.bad);
	ck_assert_ptr_null(wr_space(&w, SIZE_MAX));
	ck_assert(w.full);
	ck_assert_uint_eq(w.len, 1);
}
END_TEST

START_TEST(a_part_reads_only_its_own)
{
	struct rd r = rd_over(data, sizeof(data));
	struct rd sub = rd_sub(&r, 2);

	ck_assert_uint_eq(rd_u16(&sub), 0x0102);
	ck_assert_uint_eq(rd_u8(&sub), 0);
	ck_assert(sub.bad && !r.bad);
	ck_assert_uint_eq(rd_u8(&r), 3);
	sub = rd_sub(&r, 100);
	ck_assert(sub.bad && r.bad);
	ck_assert_uint_eq(rd_left(&sub), 0);
}
END_TEST

START_TEST(writes_what_is_read)
{
	uint8_t buf[15];
	struct wr w = wr_over(buf, sizeof(buf));

	wr_u8(&w, 1);
	wr_u16(&w, 0x0203);
	wr_u32(&w, 0x04050607);
	wr_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
	ck_assert(!w.full);
	ck_assert_mem_eq(buf, data, sizeof(buf));
}
END_TEST

START_TEST(full_is_sticky_and_touches_nothing)
{
	uint8_t buf[8] = { 0 };
	struct wr w = wr_over(buf, 3);

	wr_u16(&w, 0x0102);
	wr_u32(&w, 0xffffffff);
	ck_assert(w.full);
	wr_u8(&w, 0xff);
	wr_bytes(&w, NULL, 0);
	ck_assert_uint_eq(w.len, 2);
	ck_assert_mem_eq(buf, "\1\2\0\0\0\0\0\0", 8);
}
END_TEST

UNIT_MAIN("bytes", reads_big_endian, past_the_end_is_sticky_and_gives_zeros,
	  a_size_that_would_wrap_is_refused, a_part_reads_only_its_own, writes_what_is_read,
	  full_is_sticky_and_touches_nothing)
