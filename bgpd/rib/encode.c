/* A batch of changes to messages: the same attributes together, one UPDATE for many prefixes. */
#include <stdlib.h>

#include "bgpd/rib/internal.h"
#include "lib/arena.h"
#include "lib/log.h"

enum {
	ENC_MAX = 2 * BATCH,
	ENC_SLOTS = 2 * ENC_MAX, /* of the table that finds equal keys; a power of two */
	UPDATE_REST = 100, /* the most that an UPDATE of one prefix has besides its attributes */
	FLUSH_AT = 48 * 1024,
	DATA_MAX = FLUSH_AT + 2 * BGP_MAX_EXTENDED,
};

struct encoder {
	struct change change[ENC_MAX];
	uint32_t n;
	struct enc_key keys[ENC_MAX]; /* in order of first appearance */
	uint32_t nkeys;
	uint32_t slots[ENC_SLOTS]; /* number of key + 1 */
	struct wr w;
	struct outrun *runs;
	uint32_t nruns, runs_cap;
	uint8_t attr[BGP_MAX_EXTENDED];
	uint8_t scratch[EXPORT_SCRATCH];
	uint8_t data[DATA_MAX];
};

struct encoder *encoder_new(void)
{
	return xcalloc(1, sizeof(struct encoder));
}

void encoder_free(struct encoder *e)
{
	if (e)
		free(e->runs);
	free(e);
}

void encoder_start(struct encoder *e)
{
	for (uint32_t k = 0; k < e->nkeys; k++)
		e->slots[e->keys[k].slot] = 0;
	e->n = e->nkeys = e->nruns = 0;
	e->w = wr_over(e->data, sizeof(e->data));
}

unsigned encoder_count(const struct encoder *e)
{
	return e->n;
}

static struct enc_key *key_of(struct encoder *e, uint64_t key)
{
	if (e->nkeys && e->keys[e->nkeys - 1].key == key)
		return &e->keys[e->nkeys - 1];
	uint32_t s = (uint32_t)hash_end(key) & (ENC_SLOTS - 1);
	for (; e->slots[s]; s = (s + 1) & (ENC_SLOTS - 1))
		if (e->keys[e->slots[s] - 1].key == key)
			return &e->keys[e->slots[s] - 1];
	struct enc_key *k = &e->keys[e->nkeys++];
	e->slots[s] = e->nkeys;
	*k = (struct enc_key){ key, UINT32_MAX, UINT32_MAX, s };
	return k;
}

void encoder_add(struct encoder *e, uint32_t node, uint32_t attr, uint8_t kind, uint16_t who)
{
	uint64_t key = attr ? attr : 1ULL << 63 | (uint64_t)kind << 16 | who;
	struct enc_key *k = key_of(e, key);
	uint32_t c = e->n++;
	e->change[c] = (struct change){ node, attr, UINT32_MAX, who, kind };
	if (k->head == UINT32_MAX)
		k->head = c;
	else
		e->change[k->tail].next = c;
	k->tail = c;
}

struct job {
	struct encoder *e;
	struct rib *rib;
	const struct group *g;
	unsigned f;
	struct outlog *log;
	struct outbuf *first;
};

static void flush(struct job *j)
{
	struct encoder *e = j->e;
	if (!e->w.len)
		return;
	struct outbuf *b = outlog_append(j->log, e->data, (uint32_t)e->w.len, e->runs, e->nruns);
	if (!j->first)
		j->first = b;
	e->w = wr_over(e->data, sizeof(e->data));
	e->nruns = 0;
}

/* What was written since the last run is for these. */
static void mark_run(struct encoder *e, uint8_t kind, uint16_t who)
{
	uint32_t end = (uint32_t)e->w.len;
	struct outrun *last = e->nruns ? &e->runs[e->nruns - 1] : NULL;
	if (end == (last ? last->end : 0))
		return;
	if (last && last->kind == kind && (kind == RUN_ALL || last->who == who)) {
		last->end = end;
		return;
	}
	if (e->nruns == e->runs_cap) {
		e->runs_cap = e->runs_cap ? e->runs_cap * 2 : 64;
		e->runs = xrealloc(e->runs, e->runs_cap * sizeof(*e->runs));
	}
	e->runs[e->nruns++] = (struct outrun){ end, who, kind };
}

static bool add_prefix(struct job *j, struct update_builder *b, const struct change *c)
{
	struct prefix p;
	table_prefix(&j->rib->tab[j->f], table_node(&j->rib->tab[j->f], c->node), &p);
	return update_add(b, &p, 1);
}

static void encode_withdraws(struct job *j, uint32_t c)
{
	struct encoder *e = j->e;
	while (c != UINT32_MAX) {
		struct update_builder b;
		uint8_t kind = e->change[c].kind;
		uint16_t who = e->change[c].who;
		withdraw_begin(&b, &e->w, &j->g->tx, IX_FAM(j->f));
		for (; c != UINT32_MAX && add_prefix(j, &b, &e->change[c]); c = e->change[c].next)
			;
		update_end(&b);
		mark_run(e, kind, who);
		if (e->w.len > FLUSH_AT)
			flush(j);
	}
}

static void encode_announces(struct job *j, uint32_t c)
{
	struct encoder *e = j->e;
	const struct attr *a = attr_at(&j->rib->attrs, e->change[c].attr);
	struct bgp_nexthop nh;
	struct attrs out;
	struct wr w = wr_over(e->attr, sizeof(e->attr));
	bool fits = export_nexthop(j->rib, j->g, j->f, a, &nh) &&
		    export_attrs(j->rib, j->g, a, e->scratch, &out);
	if (fits) {
		attrs_encode(&w, &out, &j->g->tx);
		fits = !w.full && w.len + UPDATE_REST <= j->g->tx.max_message;
	}
	while (fits && c != UINT32_MAX) {
		struct update_builder b;
		uint8_t kind = e->change[c].kind;
		uint16_t who = e->change[c].who;
		uint32_t begun = c;
		update_begin(&b, &e->w, &j->g->tx, IX_FAM(j->f), &nh, e->attr, w.len);
		for (; c != UINT32_MAX && add_prefix(j, &b, &e->change[c]); c = e->change[c].next)
			;
		update_end(&b);
		mark_run(e, kind, who);
		if (e->w.len > FLUSH_AT)
			flush(j);
		fits = c != begun;
	}
	if (!fits) {
		/* RFC 8654 section 5: what does not fit the message cannot be announced; what the
		 * peer knew before must not stand. */
		log_warn("rib",
			 "attributes of %u bytes do not fit a message of %zu: the route is not "
			 "announced",
			 (unsigned)w.len, j->g->tx.max_message);
		encode_withdraws(j, c);
	}
}

struct outbuf *encoder_run(struct encoder *e, struct rib *rib, const struct group *g, unsigned f,
			   struct outlog *log)
{
	struct job j = { e, rib, g, f, log, NULL };
	for (uint32_t k = 0; k < e->nkeys; k++) {
		uint32_t c = e->keys[k].head;
		if (e->change[c].attr)
			encode_announces(&j, c);
		else
			encode_withdraws(&j, c);
	}
	flush(&j);
	return j.first;
}

struct outbuf *encoder_end_of_rib(struct outlog *log, unsigned f)
{
	uint8_t buf[64];
	struct wr w = wr_over(buf, sizeof(buf));
	end_of_rib_encode(&w, IX_FAM(f));
	struct outrun run = { (uint32_t)w.len, 0, RUN_ALL };
	return outlog_append(log, buf, (uint32_t)w.len, &run, 1);
}
