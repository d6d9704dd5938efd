/* Byte cursors with a sticky error: parse or write a whole message, test once at the end.
 *
 * Every integer is big-endian (BGP's and our IPC's order). A reader that runs past its end sets
 * `bad` and gives zeros from then on; a writer that runs out of room sets `full` and writes no
 * more. Neither ever touches a byte outside its range.
 */
#ifndef SELVAGE_LIB_BYTES_H
#define SELVAGE_LIB_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rd {
	const uint8_t *p, *end;
	bool bad;
};

struct wr {
	uint8_t *buf;
	size_t cap, len;
	bool full;
};

static inline struct rd rd_over(const void *data, size_t len)
{
	return (struct rd){ data, (const uint8_t *)data + len, false };
}

static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

/* The next n bytes in place (borrowed from the buffer), or NULL and bad. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	if (r->bad || rd_left(r) < n) {
		r->bad = true;
		r->p = r->end;
		return NULL;
	}
	const uint8_t *at = r->p;
	r->p += n;
	return at;
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);
	return p ? p[0] : 0;
}

static inline uint16_t rd_u16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);
	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t rd_u32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);
	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t rd_u64(struct rd *r)
{
	uint64_t hi = rd_u32(r);
	return hi << 32 | rd_u32(r);
}

static inline void rd_copy(struct rd *r, void *to, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	if (p)
		memcpy(to, p, n);
	else
		memset(to, 0, n);
}

/* A reader over the next n bytes alone; this one moves past them. A short buffer makes both bad. */
static inline struct rd rd_sub(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	struct rd sub = { p ? p : r->end, p ? p + n : r->end, !p };
	return sub;
}

static inline struct wr wr_over(void *buf, size_t cap)
{
	return (struct wr){ buf, cap, 0, false };
}

/* Room for n bytes, to be filled by the caller, or NULL and full. */
static inline uint8_t *wr_space(struct wr *w, size_t n)
{
	if (w->full || w->cap - w->len < n) {
		w->full = true;
		return NULL;
	}
	uint8_t *at = w->buf + w->len;
	w->len += n;
	return at;
}

static inline void wr_bytes(struct wr *w, const void *data, size_t n)
{
	uint8_t *p = wr_space(w, n);
	if (p && n)
		memcpy(p, data, n);
}

static inline void put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
	put_u16(p, (uint16_t)(v >> 16));
	put_u16(p + 2, (uint16_t)v);
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	uint8_t *p = wr_space(w, 1);
	if (p)
		p[0] = v;
}

static inline void wr_u16(struct wr *w, uint16_t v)
{
	uint8_t *p = wr_space(w, 2);
	if (p)
		put_u16(p, v);
}

static inline void wr_u32(struct wr *w, uint32_t v)
{
	uint8_t *p = wr_space(w, 4);
	if (p)
		put_u32(p, v);
}

static inline void wr_u64(struct wr *w, uint64_t v)
{
	wr_u32(w, (uint32_t)(v >> 32));
	wr_u32(w, (uint32_t)v);
}

#endif
