#include "config.h"

#include "felix/bgp_saved.h"

#include <stdlib.h>
#include <string.h>

#include "felix/state_file.h"
#include "ipam/journal_format.h"

/* u32 magic, then for each message u32 length and its packet (lib/msg.h), then u32 CRC-32C of all
 * before it. Packets carry the version of lib/msg.h: those of another one are refused. */
enum { MAGIC = 0x53564231, MOST = 1 << 20 };

static const char name[] = "bgp";

struct out {
	uint8_t *buf;
	size_t len, cap;
};

static void add(struct out *o, const void *data, size_t len)
{
	while (o->cap - o->len < len) {
		o->cap = o->cap ? o->cap * 2 : 4096;
		o->buf = xrealloc(o->buf, o->cap);
	}
	memcpy(o->buf + o->len, data, len);
	o->len += len;
}

static void add_u32(struct out *o, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	add(o, b, sizeof(b));
}

static void add_msg(struct out *o, enum msg_type type, const void *body)
{
	uint8_t *packet = xmalloc(MSG_MAX);
	struct wr w = { packet, MSG_MAX, 0, false };

	msg_encode(&w, type, body);
	if (!w.full) {
		add_u32(o, (uint32_t)w.len);
		add(o, packet, w.len);
	}
	free(packet);
}

uint8_t *bgp_saved_encode(const struct bgpconf *c, size_t *len, unsigned *left_out)
{
	struct out o = { 0 };

	*left_out = 0;
	add_u32(&o, MAGIC);
	add_msg(&o, M_BGP_BEGIN, &c->begin);
	for (unsigned i = 0; i < c->npeers; i++) {
		if (c->peers[i].password && *c->peers[i].password)
			++*left_out;
		else
			add_msg(&o, M_BGP_PEER, &c->peers[i]);
	}
	for (unsigned i = 0; i < c->norigins; i++)
		add_msg(&o, M_BGP_ORIGIN, &c->origins[i]);
	for (unsigned i = 0; i < c->npools; i++)
		add_msg(&o, M_BGP_POOLS, &c->pools[i]);
	add_u32(&o, crc32c(0, o.buf, o.len));
	*len = o.len;
	return o.buf;
}

int bgp_saved_save(int dirfd, const struct bgpconf *c, unsigned *left_out, struct err *err)
{
	size_t len;
	uint8_t *buf = bgp_saved_encode(c, &len, left_out);
	int rc;

	/* What state_file_read() would refuse is not worth writing. */
	rc = len > MOST ? err_set(err, "state.dir: %s would be over 1 MiB", name)
			: state_file_save(dirfd, name, (const char *)buf, len, err);
	free(buf);
	return rc;
}

/* Room for one more; bodies are copied, what they point at stays in the arena. */
#define TAKE(c, list, n, T, body)                                                                  \
	do {                                                                                       \
		if (((n) & ((n)-1)) == 0) {                                                        \
			T *grown = arena_array(&(c)->arena, (n) ? 2u * (n) : 1u, sizeof(T));       \
			if (n)                                                                     \
				memcpy(grown, (list), (n) * sizeof(T));                            \
			(list) = grown;                                                            \
		}                                                                                  \
		(list)[(n)++] = *(const T *)(body);                                                \
	} while (0)

static int take(struct bgpconf *c, const struct msg *m, bool first, struct err *err)
{
	if (first != (m->type == M_BGP_BEGIN))
		return err_set(err, "%s in the wrong place", msg_name(m->type));
	switch (m->type) {
	case M_BGP_BEGIN:
		c->begin = *(const struct m_bgp_begin *)m->body;
		return 0;
	case M_BGP_PEER:
		TAKE(c, c->peers, c->npeers, struct m_bgp_peer, m->body);
		return 0;
	case M_BGP_ORIGIN:
		TAKE(c, c->origins, c->norigins, struct m_bgp_origin, m->body);
		return 0;
	case M_BGP_POOLS:
		TAKE(c, c->pools, c->npools, struct m_bgp_pools, m->body);
		return 0;
	default:
		return err_set(err, "%s does not belong here", msg_name(m->type));
	}
}

static int decode_all(struct bgpconf *c, struct rd *r, struct err *err)
{
	bool first = true;

	while (rd_left(r) > 0) {
		uint32_t len = rd_u32(r);
		const uint8_t *packet = rd_bytes(r, len);
		struct msg m;

		if (!packet)
			return err_set(err, "a message is cut short");
		if (msg_decode(packet, len, &c->arena, &m, err) < 0 || take(c, &m, first, err) < 0)
			return -1;
		first = false;
	}
	return first ? err_set(err, "it is empty") : 0;
}

struct bgpconf *bgp_saved_decode(const void *data, size_t len, struct err *err)
{
	struct rd r = rd_over(data, len);
	struct bgpconf *c;

	if (len < 8 || rd_u32(&r) != MAGIC) {
		err_set(err, "it is no file of felix");
		return NULL;
	}
	struct rd crc = rd_over((const uint8_t *)data + len - 4, 4);
	if (rd_u32(&crc) != crc32c(0, data, len - 4)) {
		err_set(err, "it is torn or damaged");
		return NULL;
	}
	r.end -= 4;
	c = xcalloc(1, sizeof(*c));
	c->problems.arena = &c->arena;
	if (decode_all(c, &r, err) < 0) {
		bgpconf_free(c);
		return NULL;
	}
	return c;
}

struct bgpconf *bgp_saved_load(int dirfd, struct err *err)
{
	struct arena arena = { 0 };
	struct bgpconf *c = NULL;
	size_t len;
	const char *text = state_file_read(dirfd, name, &arena, &len, err);

	if (text) {
		c = bgp_saved_decode(text, len, err);
		if (!c)
			err_ctx(err, "state.dir: %s", name);
	}
	arena_free(&arena);
	return c;
}
