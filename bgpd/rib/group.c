/* Update groups: what peers that are sent the same bytes were told, and the log of it. */
#include <stdlib.h>

#include "bgpd/rib/internal.h"
#include "lib/arena.h"

enum {
	PATIENCE = 64, /* turns */
	AHEAD = 12,    /* how many deletions ahead memory is fetched */
};

static struct group_key make_key(const struct rib_peer_conf *c)
{
	struct group_key k;
	memset(&k, 0, sizeof(k));
	k.local_asn = c->local_asn;
	k.max_message = (uint32_t)c->tx.max_message;
	k.local4 = c->local4;
	k.local6 = c->local6;
	k.families = c->tx.families;
	k.add_path = c->tx.add_path;
	k.ext_nexthop = c->tx.ext_nexthop;
	k.nexthop_mode = (uint8_t)c->nexthop_mode;
	k.ebgp = c->ebgp;
	k.client = !c->ebgp && c->reflector_client;
	k.as4 = c->tx.as4;
	k.policy = c->policy;
	return k;
}

/* RFC 8950: IPv4 goes over an IPv6 next hop where there is no other and the peer takes it. */
static void set_self(struct group *g)
{
	const struct group_key *k = &g->key;
	unsigned v4 = FAM_IX(FAM_V4), v6 = FAM_IX(FAM_V6);
	g->self[v4].global = k->local4;
	g->self[v6].global = k->local6;
	if (!k->local4.fam && k->ext_nexthop & FAMILY_BIT(FAM_V4))
		g->self[v4].global = k->local6;
	g->has_self[v4] = g->self[v4].global.fam;
	g->has_self[v6] = g->self[v6].global.fam;
}

static struct group *find_or_make(struct rib *rib, const struct rib_peer_conf *conf)
{
	struct group_key key = make_key(conf);
	for (uint32_t k = 0; k < rib->ngroups; k++) {
		struct group *g = rib->groups[k];
		if (!g->dying && memcmp(&g->key, &key, sizeof(key)) == 0)
			return g;
	}
	struct group *g = xcalloc(1, sizeof(*g));
	g->key = key;
	g->tx = conf->tx;
	g->tx.ebgp = conf->ebgp;
	g->tx.peer_as = 0;
	set_self(g);
	if (rib->ngroups == rib->groups_cap) {
		rib->groups_cap = rib->groups_cap ? rib->groups_cap * 2 : 8;
		rib->groups = xrealloc(rib->groups, rib->groups_cap * sizeof(*rib->groups));
	}
	rib->groups[rib->ngroups++] = g;
	return g;
}

void group_join(struct rib *rib, struct rib_peer *p)
{
	p->group = find_or_make(rib, &p->conf);
	member_start(rib, p);
}

void group_leave(struct rib *rib, struct rib_peer *p)
{
	struct group *g = p->group;
	member_stop(rib, p);
	p->group = NULL;
	if (!g->attached.n && !g->catching.n)
		g->dying = true;
}

void groups_mark(struct rib *rib, unsigned f, uint32_t i)
{
	for (uint32_t k = 0; k < rib->ngroups; k++) {
		struct group *g = rib->groups[k];
		if (!g->dying && bits_add(&g->pending[f], i))
			node_pin(table_node(&rib->tab[f], i));
	}
}

void groups_restart(struct rib *rib)
{
	for (uint32_t k = 0; k < rib->ngroups; k++) {
		struct group *g = rib->groups[k];
		while (g->attached.n)
			member_detach(g->attached.v[0]);
		for (uint32_t m = 0; m < g->catching.n; m++)
			for (unsigned f = 0; f < NFAM; f++)
				member_restart(rib, g->catching.v[m], f, true);
	}
}

static uint64_t window(const struct rib *rib, const struct group *g)
{
	const struct rib_limits *l = &rib->limits;
	uint64_t w = l->window_all / (g->attached.n + g->catching.n);
	return w > l->window_max ? l->window_max : w < l->window_min ? l->window_min : w;
}

enum room { ROOM, FULL, HELD_UP };

/* Whether the log may grow. Where one member has read everything while another one's place lies
 * too far back, the log does not wait for long: the slow ones leave it and are told the difference
 * when they come round. Longer where those that have read everything took nothing of late, as
 * whoever all routes come from does. */
static enum room look_for_room(const struct rib *rib, struct group *g)
{
	uint64_t max = 0, limit = window(rib, g);
	unsigned waiting = 0, keen = 0;
	for (uint32_t m = 0; m < g->attached.n; m++) {
		const struct rib_peer *p = g->attached.v[m];
		uint64_t lag = member_lag(p);
		max = lag > max ? lag : max;
		waiting += !lag;
		keen += !lag && g->log.end - p->took <= limit;
	}
	if (!g->attached.n || max < limit) {
		g->patience = 0;
		return ROOM;
	}
	if (!waiting)
		return FULL;
	if (++g->patience < (keen ? PATIENCE : 16 * PATIENCE))
		return HELD_UP;
	g->patience = 0;
	for (uint32_t m = g->attached.n; m-- > 0;)
		if (member_lag(g->attached.v[m]) > limit / 2)
			member_detach(g->attached.v[m]);
	return ROOM;
}

bool group_filling(const struct rib *rib, const struct group *g)
{
	for (unsigned f = 0; f < NFAM; f++)
		if (g->fill[f] < table_end(&rib->tab[f]))
			return true;
	return false;
}

static bool has_pending(const struct rib *rib, const struct group *g)
{
	return g->pending[0].count || g->pending[1].count || group_filling(rib, g);
}

bool group_encodable(const struct rib *rib, struct group *g)
{
	return has_pending(rib, g) && look_for_room(rib, g) == ROOM;
}

bool group_work(struct rib *rib, struct group *g)
{
	if (g->dying || (has_pending(rib, g) && look_for_room(rib, g) != FULL))
		return true;
	for (uint32_t m = 0; m < g->catching.n; m++)
		if (member_work(rib, g->catching.v[m]))
			return true;
	return false;
}

/* The member of g that an attribute set came from, or NULL. */
static struct rib_peer *source_in(const struct rib *rib, const struct group *g, uint32_t attr)
{
	if (!attr)
		return NULL;
	struct rib_peer *p = rib->peers[attr_at(&rib->attrs, attr)->peer];
	return p->group == g ? p : NULL;
}

/* Split horizon: a route goes to all but the peer it came from; where that one had been told
 * another route, it is told to forget it. */
static void add_change(struct rib *rib, uint32_t i, uint32_t now, struct rib_peer *src_old,
		       bool had, struct rib_peer *src_now)
{
	struct encoder *e = rib->enc;
	if (!now) {
		encoder_add(e, i, 0, src_old ? RUN_EXCEPT : RUN_ALL, src_old ? src_old->id : 0);
		return;
	}
	encoder_add(e, i, now, src_now ? RUN_EXCEPT : RUN_ALL, src_now ? src_now->id : 0);
	if (src_now && src_now->attached && had && src_old != src_now)
		encoder_add(e, i, 0, RUN_ONLY, src_now->id);
}

/* Brings one entry up to date. true: there was one and there is none now; its pin is the caller's.
 */
static bool update_entry(struct rib *rib, struct group *g, unsigned f, uint32_t i)
{
	uint32_t now = export_select(rib, g, f, i), old = map32_get(&g->out[f], i);
	if (now == old)
		return false;
	struct rib_peer *src_old = source_in(rib, g, old), *src_now = source_in(rib, g, now);
	if (g->attached.n)
		add_change(rib, i, now, src_old, old, src_now);
	for (uint32_t m = 0; m < g->catching.n; m++) {
		struct rib_peer *p = g->catching.v[m];
		bool has = now && p != src_now, had = old && p != src_old;
		if (has || had)
			member_mark(rib, p, f, i, has);
	}
	if (src_old)
		src_old->mine[f]--;
	if (src_now)
		src_now->mine[f]++;
	map32_set(&g->out[f], i, now);
	if (now)
		attr_ref(rib, now);
	if (!old)
		node_pin(table_node(&rib->tab[f], i));
	if (old)
		attr_unref(rib, old);
	return !now;
}

static void publish(struct rib *rib, struct group *g, struct outbuf *first)
{
	if (!first)
		return;
	for (uint32_t m = 0; m < g->attached.n; m++)
		if (!g->attached.v[m]->rd.buf)
			reader_hook(&g->attached.v[m]->rd, first);
	for (uint32_t m = 0; m < g->attached.n; m++)
		if (!g->attached.v[m]->has_out && member_output(g->attached.v[m]))
			notify_add(rib, g->attached.v[m]);
	outlog_trim(&g->log);
}

/* A new group has told nothing yet, so every prefix has to be looked at once. */
static uint32_t next_unfilled(struct rib *rib, struct group *g, unsigned f)
{
	const struct table *t = &rib->tab[f];
	while (g->fill[f] < table_end(t)) {
		uint32_t i = g->fill[f]++;
		struct node *n = table_live(t, i);
		if (!n || !n->first.attr)
			continue;
		bits_add(&g->pending[f], i);
		node_pin(n);
		return i;
	}
	g->fill[f] = BITS_NONE;
	return BITS_NONE;
}

static uint32_t next_pending(struct rib *rib, struct group *g, unsigned f)
{
	if (!g->pending[f].count)
		return next_unfilled(rib, g, f);
	uint32_t i = bits_next(&g->pending[f], g->at[f]);
	if (i == BITS_NONE)
		i = bits_next(&g->pending[f], 0);
	g->at[f] = i + 1;
	return i;
}

static unsigned encode_family(struct rib *rib, struct group *g, unsigned f, unsigned budget)
{
	struct {
		uint32_t node;
		bool emptied;
	} seen[BATCH];
	unsigned n = 0;
	encoder_start(rib->enc);
	while (n < BATCH && n < budget) {
		uint32_t i = next_pending(rib, g, f);
		if (i == BITS_NONE)
			break;
		seen[n].node = i;
		seen[n].emptied = update_entry(rib, g, f, i);
		bits_del(&g->pending[f], i);
		n++;
	}
	publish(rib, g, encoder_run(rib->enc, rib, g, f, &g->log));
	/* Only now: a node must stand until its prefix is in a message. */
	for (unsigned k = 0; k < n; k++) {
		if (k + AHEAD < n && seen[k + AHEAD].emptied)
			table_del_soon(&rib->tab[f], seen[k + AHEAD].node);
		if (seen[k].emptied)
			node_unpin(rib, f, seen[k].node);
		node_unpin(rib, f, seen[k].node);
	}
	return n;
}

unsigned group_encode(struct rib *rib, struct group *g, unsigned budget)
{
	unsigned done = 0;
	for (unsigned f = 0; f < NFAM && done < budget; f++)
		done += encode_family(rib, g, f, budget - done);
	return done;
}

/* Lets go of what a group without members holds. true: all of it. */
static bool wind_up(struct rib *rib, struct group *g, unsigned *budget)
{
	for (unsigned f = 0; f < NFAM; f++) {
		uint32_t i = 0;
		for (; *budget && (i = bits_next(&g->pending[f], i)) != BITS_NONE; --*budget) {
			bits_del(&g->pending[f], i);
			node_unpin(rib, f, i);
		}
		i = 0;
		for (; *budget && (i = map32_next(&g->out[f], i)) != BITS_NONE; --*budget) {
			attr_unref(rib, map32_get(&g->out[f], i));
			map32_set(&g->out[f], i, 0);
			node_unpin(rib, f, i);
		}
	}
	return *budget > 0;
}

void group_free(struct group *g)
{
	for (unsigned f = 0; f < NFAM; f++) {
		bits_clear(&g->pending[f]);
		map32_clear(&g->out[f]);
	}
	outlog_clear(&g->log);
	free(g->attached.v);
	free(g->catching.v);
	free(g);
}

static unsigned run_one(struct rib *rib, struct group *g, unsigned budget)
{
	unsigned left = budget;
	if (g->dying) {
		if (wind_up(rib, g, &left)) {
			for (uint32_t k = 0; k < rib->ngroups; k++)
				if (rib->groups[k] == g)
					rib->groups[k] = rib->groups[--rib->ngroups];
			group_free(g);
		}
		return budget - left + 1;
	}
	unsigned done = group_encodable(rib, g) ? group_encode(rib, g, budget) : 0;
	for (uint32_t m = g->catching.n; m-- > 0 && done < budget && g->catching.n;) {
		struct rib_peer *p = g->catching.v[g->turn++ % g->catching.n];
		if (member_work(rib, p))
			done += member_run(rib, p, budget - done);
	}
	return done;
}

unsigned groups_run(struct rib *rib, unsigned budget)
{
	unsigned done = 0;
	for (uint32_t k = rib->ngroups; k-- > 0 && done < budget;) {
		rib->group_turn = (rib->group_turn + 1) % rib->ngroups;
		done += run_one(rib, rib->groups[rib->group_turn], budget - done);
		if (!rib->ngroups)
			break;
	}
	return done;
}
