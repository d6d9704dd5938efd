/* One peer's place in what its group is told: it follows the group's log, or catches up by itself.
 *
 * A peer that joins, that asked for a refresh, or that was too slow for the log is brought to the
 * state of the group's Adj-RIB-Out from its own cursor and set of changed entries, at the speed it
 * reads; when nothing is left it follows the log from its end.
 */
#include "bgpd/rib/internal.h"

void member_start(struct rib *rib, struct rib_peer *p)
{
	(void)rib;
	struct group *g = p->group;
	peer_list_add(&g->catching, p);
	p->attached = false;
	reader_to_end(&p->rd, &g->log);
	p->stop = p->rd.pos;
	for (unsigned f = 0; f < NFAM; f++) {
		bool on = g->key.families & FAMILY_BIT(IX_FAM(f));
		p->cu[f] = (struct catchup){ .cursor = on ? 0 : BITS_NONE, .end_of_rib = on };
	}
}

static void forget_todo(struct rib *rib, struct rib_peer *p, unsigned f)
{
	uint32_t i = 0;
	while ((i = bits_next(&p->cu[f].todo, i)) != BITS_NONE) {
		bits_del(&p->cu[f].todo, i);
		node_unpin(rib, f, i);
	}
	bits_clear(&p->cu[f].todo);
}

void member_stop(struct rib *rib, struct rib_peer *p)
{
	struct group *g = p->group;
	for (unsigned f = 0; f < NFAM; f++) {
		forget_todo(rib, p, f);
		p->mine[f] = 0;
	}
	peer_list_del(p->attached ? &g->attached : &g->catching, p);
	reader_drop(&p->rd);
	reader_drop(&p->prd);
	outlog_clear(&p->priv);
	outlog_trim(&g->log);
}

void member_detach(struct rib_peer *p)
{
	struct group *g = p->group;
	peer_list_del(&g->attached, p);
	peer_list_add(&g->catching, p);
	p->attached = false;
	p->stop = g->log.end;
}

static void attach(struct rib_peer *p)
{
	struct group *g = p->group;
	peer_list_del(&g->catching, p);
	peer_list_add(&g->attached, p);
	p->attached = true;
	reader_to_end(&p->rd, &g->log);
	p->took = p->rd.pos;
}

void member_restart(struct rib *rib, struct rib_peer *p, unsigned f, bool told)
{
	(void)rib;
	if (!(p->group->key.families & FAMILY_BIT(IX_FAM(f))))
		return;
	p->cu[f].cursor = 0;
	p->cu[f].told = told;
}

void member_mark(struct rib *rib, struct rib_peer *p, unsigned f, uint32_t i, bool has)
{
	struct catchup *cu = &p->cu[f];
	if (!(p->group->key.families & FAMILY_BIT(IX_FAM(f))))
		return;
	if (i >= cu->cursor && (has || !cu->told))
		return;
	if (bits_add(&cu->todo, i))
		node_pin(table_node(&rib->tab[f], i));
}

uint64_t member_lag(const struct rib_peer *p)
{
	return p->rd.buf ? p->group->log.end - p->rd.pos : 0;
}

static uint64_t stop_of(const struct rib_peer *p)
{
	return p->attached ? UINT64_MAX : p->stop;
}

bool member_work(const struct rib *rib, const struct rib_peer *p)
{
	return !p->attached && !p->rd.buf && p->priv.end - p->prd.pos < rib->limits.private_low &&
	       !group_filling(rib, p->group);
}

static void add_entry(struct rib *rib, const struct rib_peer *p, unsigned f, uint32_t i)
{
	uint32_t a = map32_get(&p->group->out[f], i);
	if (a && attr_at(&rib->attrs, a)->peer == p->id)
		a = 0;
	encoder_add(rib->enc, i, a, RUN_ALL, 0);
}

/* The next stretch of the dump. */
static unsigned add_from_cursor(struct rib *rib, struct rib_peer *p, unsigned f, unsigned budget)
{
	struct catchup *cu = &p->cu[f];
	unsigned n = 0;
	while (n < budget) {
		cu->cursor = map32_next(&p->group->out[f], cu->cursor);
		if (cu->cursor == BITS_NONE)
			break;
		uint32_t i = cu->cursor++;
		n++;
		if (attr_at(&rib->attrs, map32_get(&p->group->out[f], i))->peer != p->id)
			add_entry(rib, p, f, i);
	}
	return n;
}

static void hook_private(struct rib_peer *p, struct outbuf *b)
{
	if (b && !p->prd.buf)
		reader_hook(&p->prd, b);
	outlog_trim(&p->priv);
}

static unsigned run_family(struct rib *rib, struct rib_peer *p, unsigned f, unsigned budget)
{
	struct catchup *cu = &p->cu[f];
	uint32_t seen[BATCH];
	unsigned n = 0, done;
	budget = budget < BATCH ? budget : BATCH;
	encoder_start(rib->enc);
	if (cu->cursor != BITS_NONE) {
		done = add_from_cursor(rib, p, f, budget);
	} else {
		for (uint32_t i = 0; n < budget; n++) {
			i = bits_next(&cu->todo, i);
			if (i == BITS_NONE)
				break;
			bits_del(&cu->todo, i);
			add_entry(rib, p, f, i);
			seen[n] = i;
		}
		done = n;
	}
	hook_private(p, encoder_run(rib->enc, rib, p->group, f, &p->priv));
	for (unsigned k = 0; k < n; k++)
		node_unpin(rib, f, seen[k]);
	if (cu->cursor == BITS_NONE && cu->end_of_rib) {
		cu->end_of_rib = false;
		hook_private(p, encoder_end_of_rib(&p->priv, f));
		done++;
	}
	return done;
}

unsigned member_run(struct rib *rib, struct rib_peer *p, unsigned budget)
{
	unsigned done = 0;
	bool more = false;
	for (unsigned f = 0; f < NFAM; f++) {
		if (done < budget && member_work(rib, p))
			done += run_family(rib, p, f, budget - done);
		more |= p->cu[f].cursor != BITS_NONE || p->cu[f].end_of_rib || p->cu[f].todo.count;
	}
	if (!more)
		attach(p);
	if (!p->has_out && member_output(p))
		notify_add(rib, p);
	return done + !more;
}

/* ---- output ---- */

bool member_output(struct rib_peer *p)
{
	if (p->rd.msg_left || p->prd.msg_left)
		return true;
	bool any =
		reader_skip(&p->prd, p->id, UINT64_MAX) || reader_skip(&p->rd, p->id, stop_of(p));
	outlog_trim(&p->priv);
	outlog_trim(&p->group->log);
	return any;
}

/* What was held up because this peer had not read. */
static void pull(struct rib *rib, struct rib_peer *p)
{
	if (member_work(rib, p))
		member_run(rib, p, BATCH);
	if (p->attached && group_encodable(rib, p->group))
		group_encode(rib, p->group, BATCH);
}

unsigned rib_out_peek(struct rib *rib, struct rib_peer *p, struct iovec *iov, unsigned max)
{
	if (p->dead)
		return 0;
	if (!member_output(p)) {
		p->has_out = true; /* who asks needs no call of ops->output() */
		pull(rib, p);
		notify_output(rib);
		p->has_out = !p->dead && member_output(p);
		if (!p->has_out)
			return 0;
	}
	/* A message that was begun comes first, wherever it is. */
	if (p->rd.msg_left || !p->prd.buf)
		return reader_peek(&p->rd, p->id, stop_of(p), iov, max);
	return reader_peek(&p->prd, p->id, UINT64_MAX, iov, max);
}

void rib_out_consume(struct rib *rib, struct rib_peer *p, size_t bytes)
{
	(void)rib;
	if (p->dead)
		return;
	if (p->rd.msg_left || !p->prd.buf) {
		p->updates_out += reader_consume(&p->rd, p->id, stop_of(p), bytes);
		p->took = p->rd.pos;
	} else {
		p->updates_out += reader_consume(&p->prd, p->id, UINT64_MAX, bytes);
	}
}

bool rib_out_mid_message(const struct rib_peer *p)
{
	return p->rd.msg_left || p->prd.msg_left;
}
