#include "config.h"

#include "ipam/journal_format.h"

#include <string.h>

#include "lib/bytes.h"

enum { JREC_MAGIC = 0x534c5672, CRC_AT = 8, MAGIC_LEN = 8 };

static const char header_magic[MAGIC_LEN + 1] = "SELVIPAM";

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	/* Half a byte at a time: a whole journal takes about a millisecond, and no large table. */
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	const uint8_t *p = data;

	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc = table[(crc ^ p[i]) & 15] ^ crc >> 4;
		crc = table[(crc ^ (uint32_t)(p[i] >> 4)) & 15] ^ crc >> 4;
	}
	return ~crc;
}

void jhdr_encode(const struct jhdr *h, uint8_t out[JHDR_SIZE])
{
	struct wr w = wr_over(out, JHDR_SIZE);

	memset(out, 0, JHDR_SIZE);
	wr_bytes(&w, header_magic, MAGIC_LEN);
	wr_u16(&w, h->version);
	wr_u64(&w, h->first_seq);
	wr_u64(&w, h->created);
	wr_bytes(&w, h->boot_id, BOOT_ID_LEN);
	put_u32(out + JHDR_SIZE - 4, crc32c(0, out, JHDR_SIZE - 4));
}

int jhdr_decode(const uint8_t *buf, size_t len, struct jhdr *out)
{
	if (len < JHDR_SIZE || memcmp(buf, header_magic, MAGIC_LEN) != 0)
		return -1;
	struct rd crc = rd_over(buf + JHDR_SIZE - 4, 4);
	if (rd_u32(&crc) != crc32c(0, buf, JHDR_SIZE - 4))
		return -1;
	struct rd r = rd_over(buf + MAGIC_LEN, JHDR_SIZE - MAGIC_LEN);
	out->version = rd_u16(&r);
	out->first_seq = rd_u64(&r);
	out->created = rd_u64(&r);
	rd_copy(&r, out->boot_id, BOOT_ID_LEN);
	return out->boot_id[BOOT_ID_LEN - 1] == '\0' ? 0 : -1;
}

static void put_string(struct wr *w, const char *text)
{
	size_t n = text ? strlen(text) + 1 : 1;

	if (n > JREC_MAX) {
		w->full = true;
		return;
	}
	wr_u16(w, (uint16_t)n);
	wr_bytes(w, text ? text : "", n);
}

/* The terminating zero is in the record, so that what is read can be used in place. */
static const char *get_string(struct rd *r)
{
	size_t n = rd_u16(r);
	const uint8_t *p = rd_bytes(r, n);

	if (!p || n == 0 || memchr(p, 0, n) != p + n - 1) {
		r->bad = true;
		return "";
	}
	return (const char *)p;
}

static void put_addr(struct wr *w, const struct addr *a)
{
	wr_u8(w, a->fam);
	wr_bytes(w, a->b, family_bytes(a->fam));
}

static struct addr get_addr(struct rd *r)
{
	uint8_t fam = rd_u8(r);
	unsigned n = family_bytes(fam);
	const uint8_t *p = rd_bytes(r, n);

	if (n == 0)
		r->bad = true;
	if (r->bad)
		return (struct addr){ 0 };
	return addr_make((enum family)fam, p);
}

static void put_prefix(struct wr *w, const struct prefix *p)
{
	put_addr(w, &p->addr);
	wr_u8(w, p->len);
}

static struct prefix get_prefix(struct rd *r)
{
	struct prefix p = { .addr = get_addr(r) };

	p.len = rd_u8(r);
	if (p.len > family_bits(p.addr.fam))
		r->bad = true;
	return p;
}

static void put_key(struct wr *w, const struct jrec *r)
{
	put_string(w, r->network);
	put_string(w, r->container_id);
	put_string(w, r->ifname);
}

static void get_key(struct rd *r, struct jrec *out)
{
	out->network = get_string(r);
	out->container_id = get_string(r);
	out->ifname = get_string(r);
}

static void put_body(struct wr *w, const struct jrec *r)
{
	switch (r->type) {
	case JREC_BLOCK:
		put_prefix(w, &r->cidr);
		put_prefix(w, &r->pool);
		wr_u8(w, r->flags);
		break;
	case JREC_BLOCK_GONE:
		put_prefix(w, &r->cidr);
		break;
	case JREC_ALLOC:
		put_key(w, r);
		put_string(w, r->namespace_);
		put_string(w, r->pod);
		put_string(w, r->host_ifname);
		wr_u8(w, r->state);
		wr_u64(w, r->time);
		wr_u8(w, (uint8_t)r->naddrs);
		for (unsigned i = 0; i < r->naddrs; i++)
			put_addr(w, &r->addrs[i]);
		break;
	case JREC_READY:
		put_key(w, r);
		put_string(w, r->host_ifname);
		break;
	case JREC_RELEASE:
		put_key(w, r);
		wr_u64(w, r->time);
		break;
	case JREC_FREED:
		put_addr(w, &r->addrs[0]);
		wr_u64(w, r->time);
		break;
	default:
		w->full = true;
	}
}

static void get_alloc(struct rd *r, struct jrec *out)
{
	get_key(r, out);
	out->namespace_ = get_string(r);
	out->pod = get_string(r);
	out->host_ifname = get_string(r);
	out->state = rd_u8(r);
	out->time = rd_u64(r);
	out->naddrs = rd_u8(r);
	if (out->naddrs == 0 || out->naddrs > 2) {
		r->bad = true;
		return;
	}
	for (unsigned i = 0; i < out->naddrs; i++)
		out->addrs[i] = get_addr(r);
}

static void get_body(struct rd *r, struct jrec *out)
{
	switch (out->type) {
	case JREC_BLOCK:
		out->cidr = get_prefix(r);
		out->pool = get_prefix(r);
		out->flags = rd_u8(r);
		break;
	case JREC_BLOCK_GONE:
		out->cidr = get_prefix(r);
		break;
	case JREC_ALLOC:
		get_alloc(r, out);
		break;
	case JREC_READY:
		get_key(r, out);
		out->host_ifname = get_string(r);
		break;
	case JREC_RELEASE:
		get_key(r, out);
		out->time = rd_u64(r);
		break;
	case JREC_FREED:
		out->naddrs = 1;
		out->addrs[0] = get_addr(r);
		out->time = rd_u64(r);
		break;
	default:
		r->bad = true;
	}
}

static uint32_t record_crc(const uint8_t *buf, size_t len)
{
	return crc32c(crc32c(0, buf, CRC_AT), buf + CRC_AT + 4, len - CRC_AT - 4);
}

size_t jrec_encode(const struct jrec *r, uint8_t *buf, size_t cap)
{
	struct wr w = wr_over(buf, cap < JREC_MAX ? cap : JREC_MAX);

	wr_u32(&w, JREC_MAGIC);
	wr_u32(&w, 0);
	wr_u32(&w, 0);
	wr_u64(&w, r->seq);
	wr_u64(&w, r->durable);
	wr_u8(&w, r->type);
	put_body(&w, r);
	if (w.full)
		return 0;
	put_u32(buf + 4, (uint32_t)w.len);
	put_u32(buf + CRC_AT, record_crc(buf, w.len));
	return w.len;
}

size_t jrec_decode(const uint8_t *buf, size_t len, struct jrec *out)
{
	struct rd r = rd_over(buf, len);

	memset(out, 0, sizeof(*out));
	out->network = out->container_id = out->ifname = "";
	out->namespace_ = out->pod = out->host_ifname = "";
	if (rd_u32(&r) != JREC_MAGIC)
		return 0;
	size_t size = rd_u32(&r);
	if (size < JREC_HEAD || size > JREC_MAX || size > len)
		return 0;
	if (rd_u32(&r) != record_crc(buf, size))
		return 0;
	struct rd body = rd_sub(&r, size - CRC_AT - 4);
	out->seq = rd_u64(&body);
	out->durable = rd_u64(&body);
	out->type = rd_u8(&body);
	get_body(&body, out);
	return body.bad || rd_left(&body) != 0 ? 0 : size;
}

void jscan_init(struct jscan *s, const uint8_t *buf, size_t len, const struct jhdr *h)
{
	*s = (struct jscan){ buf, len, JHDR_SIZE, h->first_seq };
}

bool jscan_next(struct jscan *s, struct jrec *out)
{
	size_t n = jrec_decode(s->buf + s->off, s->len - s->off, out);

	if (n == 0 || out->seq != s->next_seq)
		return false;
	s->off += n;
	s->next_seq++;
	return true;
}

enum jend jscan_end(const struct jscan *s)
{
	enum jend end = JEND_CLEAN;
	struct jrec r;

	for (size_t at = s->off; at < s->len; at++) {
		if (s->buf[at] == 0)
			continue;
		end = JEND_TORN;
		if (jrec_decode(s->buf + at, s->len - at, &r) > 0 && r.seq > s->next_seq &&
		    r.durable >= s->next_seq)
			return JEND_DAMAGED;
	}
	return end;
}
