#include "config.h"

#include "bgpd/conf.h"

#include <stdlib.h>

#include "bgpd/felix_link.h"
#include "bgpd/listener.h"
#include "bgpd/peer.h"
#include "lib/log.h"

enum { ORIGIN_KINDS = ORIGIN_KEEP_OUT, DEFAULT_RETRY_S = 5, BGP_PORT = 179, MAX_PATHS = 64 };

struct prefixes {
	struct prefix *v;
	unsigned n, cap;
};

struct config {
	struct bgpd *b;
	bool open; /* between BEGIN and END */
	struct arena arena;
	struct m_bgp_begin begin;
	struct m_bgp_peer *peers;
	unsigned npeers, peers_cap;
	struct prefixes origin[ORIGIN_KINDS + 1]; /* the last: ORIGIN_KEEP_OUT */
	struct m_bgp_pool *pools;
	unsigned npools, pools_cap;
};

struct config *config_new(struct bgpd *b)
{
	struct config *c = xcalloc(1, sizeof(*c));
	c->b = b;
	return c;
}

void config_abort(struct config *c)
{
	c->open = false;
	c->npeers = c->npools = 0;
	for (unsigned k = 0; k <= ORIGIN_KEEP_OUT; k++)
		c->origin[k].n = 0;
	arena_reset(&c->arena);
}

void config_free(struct config *c)
{
	arena_free(&c->arena);
	for (unsigned k = 0; k <= ORIGIN_KEEP_OUT; k++)
		free(c->origin[k].v);
	free(c->peers);
	free(c->pools);
	free(c);
}

/* ---- gathering ---- */

static void *grow(void *v, unsigned need, unsigned *cap, size_t size)
{
	if (need <= *cap)
		return v;
	*cap = need > *cap * 2 ? need : *cap * 2;
	return xrealloc(v, *cap * size);
}

static void add_peer(struct config *c, const struct m_bgp_peer *m)
{
	c->peers = grow(c->peers, c->npeers + 1, &c->peers_cap, sizeof(*c->peers));
	struct m_bgp_peer *p = &c->peers[c->npeers++];
	*p = *m;
	p->name = arena_strdup(&c->arena, m->name);
	p->interface = arena_strdup(&c->arena, m->interface);
	p->password = arena_strdup(&c->arena, m->password);
	if (!p->port)
		p->port = BGP_PORT;
	if (!p->connect_retry)
		p->connect_retry = DEFAULT_RETRY_S;
	if (p->hold_time == 1 || p->hold_time == 2) {
		log_obj(LOG_WARN, "config", "peer", p->name,
			"a hold time of %u s is not allowed (RFC 4271): 3 s is used", p->hold_time);
		p->hold_time = 3;
	}
}

static void add_origin(struct config *c, const struct m_bgp_origin *m)
{
	if (m->kind > ORIGIN_KEEP_OUT) {
		log_error("config", "prefixes of an unknown kind %u are left out", m->kind);
		return;
	}
	struct prefixes *o = &c->origin[m->kind];
	o->v = grow(o->v, o->n + m->prefixes.n, &o->cap, sizeof(*o->v));
	for (uint32_t k = 0; k < m->prefixes.n; k++)
		o->v[o->n++] = prefix_mask(&m->prefixes.v[k]);
}

static void add_pools(struct config *c, const struct m_bgp_pools *m)
{
	c->pools = grow(c->pools, c->npools + m->pools.n, &c->pools_cap, sizeof(*c->pools));
	for (uint32_t k = 0; k < m->pools.n; k++)
		c->pools[c->npools++] = m->pools.v[k];
}

/* ---- applying ---- */

static bool same_end(const struct m_bgp_peer *a, const struct m_bgp_peer *b)
{
	return addr_eq(&a->address, &b->address) && !strcmp(a->interface, b->interface);
}

/* Two resources for one address would fight for its connections: the first has it. */
static void drop_doubles(struct config *c)
{
	unsigned kept = 0;
	for (unsigned k = 0; k < c->npeers; k++) {
		const struct m_bgp_peer *p = &c->peers[k], *first = NULL;
		for (unsigned j = 0; j < kept && !first; j++)
			if (same_end(&c->peers[j], p) || !strcmp(c->peers[j].name, p->name))
				first = &c->peers[j];
		if (first)
			log_obj(LOG_ERROR, "config", "peer", p->name,
				"left out: peer %s has the same name or address; remove one",
				first->name);
		else
			c->peers[kept++] = *p;
	}
	c->npeers = kept;
}

static void remove_peers(struct config *c)
{
	struct bgpd *b = c->b;
	for (struct peer *p = b->peers; p; p = p->next)
		p->keep = false;
	for (unsigned k = 0; k < c->npeers; k++) {
		struct peer *p = peer_by_name(b, c->peers[k].name);
		if (p)
			p->keep = true;
	}
	for (struct peer *p = b->peers, *next; p; p = next) {
		next = p->next;
		if (p->keep)
			continue;
		log_obj(LOG_INFO, "config", "peer", p->conf.name, "removed");
		peer_stop(p, BERR_CEASE, CEASE_DECONFIGURED, "removed from the configuration");
		peer_free(p);
	}
}

/* An address may go from one peer to another, so every change comes before every addition. */
static void set_peers(struct config *c, const struct rib_global *old)
{
	struct bgpd *b = c->b;
	bool id = old->router_id != b->global.router_id, asn = old->asn != b->global.asn;
	for (unsigned k = 0; k < c->npeers; k++) {
		struct peer *p = peer_by_name(b, c->peers[k].name);
		if (p)
			peer_set_conf(p, &c->peers[k], id || (asn && !p->conf.local_asn));
	}
	for (unsigned k = 0; k < c->npeers; k++) {
		if (peer_by_name(b, c->peers[k].name))
			continue;
		log_obj(LOG_INFO, "config", "peer", c->peers[k].name, "added");
		peer_start(peer_new(b, &c->peers[k]));
	}
}

static void apply(struct config *c)
{
	struct bgpd *b = c->b;
	struct rib_global old = b->global;
	struct rib_global global = {
		.asn = c->begin.asn,
		.router_id = c->begin.router_id,
		.cluster_id = c->begin.cluster_id,
		.export_mode = c->begin.export_mode,
		.install = c->begin.install,
		.require_policy = c->begin.require_policy,
		.max_paths = MAX_PATHS,
	};
	bgpd_set_global(b, &global);
	rib_set_pools(b->rib, c->pools, c->npools);
	rib_keep_out(b->rib, c->origin[ORIGIN_KEEP_OUT].v, c->origin[ORIGIN_KEEP_OUT].n);
	for (unsigned k = 0; k < ORIGIN_KINDS; k++)
		rib_originate(b->rib, (enum origin_kind)k, c->origin[k].v, c->origin[k].n);
	drop_doubles(c);
	remove_peers(c);
	if (!b->configured_at)
		b->configured_at = bgpd_now();
	set_peers(c, &old);
	listeners_open(b->listeners);
	bgpd_update_ready(b);
	bgpd_wake(b);
}

static void end(struct config *c)
{
	if (!c->begin.asn || !c->begin.router_id)
		log_error("config", "no %s: set bgp.%s in node.yaml; BGP keeps what it had",
			  c->begin.asn ? "router ID" : "AS number",
			  c->begin.asn ? "routerID" : "asn");
	else
		apply(c);
	config_abort(c);
}

void config_msg(struct config *c, const struct msg *m)
{
	if (m->type == M_BGP_BEGIN) {
		config_abort(c);
		c->begin = *(const struct m_bgp_begin *)m->body;
		c->open = true;
		return;
	}
	if (!c->open) {
		log_error("config", "%s without M_BGP_BEGIN is left out", msg_name(m->type));
		return;
	}
	switch (m->type) {
	case M_BGP_PEER:
		add_peer(c, m->body);
		break;
	case M_BGP_ORIGIN:
		add_origin(c, m->body);
		break;
	case M_BGP_POOLS:
		add_pools(c, m->body);
		break;
	case M_BGP_END:
		end(c);
		break;
	}
}
