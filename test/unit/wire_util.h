/* Shared by the wire tests: messages from hex, and a small random source that repeats itself.
 */
#ifndef SELVAGE_TEST_WIRE_UTIL_H
#define SELVAGE_TEST_WIRE_UTIL_H

#include "bgpd/wire/wire.h"
#include "unit.h"

static inline unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

/* Appends hex digits; blanks are passed over. */
static inline void wr_hex(struct wr *w, const char *hex)
{
	for (; *hex; hex++) {
		if (*hex == ' ')
			continue;
		wr_u8(w, (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1])));
		hex++;
	}
	ck_assert(!w->full);
}

/* A whole message of the given type around a body in hex. */
static inline size_t message_from_hex(uint8_t *buf, size_t size, uint8_t type, const char *body)
{
	struct wr w = wr_over(buf, size);

	for (int i = 0; i < 16; i++)
		wr_u8(&w, 0xff);
	wr_u16(&w, 0);
	wr_u8(&w, type);
	wr_hex(&w, body);
	put_u16(buf + 16, (uint16_t)w.len);
	return w.len;
}

/* xorshift64*: the same sequence in every run. */
static inline uint32_t random_u32(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (uint32_t)((*state * 0x2545F4914F6CDD1Dull) >> 32);
}

#endif
