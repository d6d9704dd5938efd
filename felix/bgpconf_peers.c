/* The peers: BGPPeer resources and the mesh. */
#include "config.h"

#include <stddef.h>
#include <string.h>

#include "felix/bgpconf_impl.h"
#include "felix/blocks.h"

/* connect_retry: as Calico sets BIRD; RFC 4271's 120 s would keep a node off the fabric for long.
 */
enum { CONNECT_RETRY_S = 5, MS = 1000 };

struct target { /* whom a peer message is about, besides what its BGPPeer says */
	const char *name;
	struct addr address;
	uint16_t port;
	uint32_t asn;
	uint32_t cluster_id; /* of the node it is; 0 none */
	const char *password;
};

static const struct spec_node *node_spec(const struct object *o)
{
	return o->spec;
}

static uint32_t cluster_id(const struct object *node)
{
	struct addr id;

	if (!node || !*node_spec(node)->route_reflector_cluster_id ||
	    addr_parse(node_spec(node)->route_reflector_cluster_id, &id))
		return 0;
	return addr_to_u32(&id);
}

static struct addr node_addr(const struct object *node, enum family fam)
{
	const char *text =
		fam == FAM_V4 ? node_spec(node)->ipv4_address : node_spec(node)->ipv6_address;
	struct prefix p = { 0 };

	if (*text && prefix_parse(text, &p))
		memset(&p, 0, sizeof(p));
	return p.addr;
}

/* The address for a session with this node: IPv4 where both have it; FAM_NONE where they share no
 * family. */
static struct addr shared_addr(const struct compile *c, const struct object *node)
{
	static const struct addr none = { 0 };

	for (enum family f = FAM_V4; f <= FAM_V6; f++) {
		struct addr a = node_addr(node, f);

		if (a.fam != FAM_NONE && c->addr[f].fam != FAM_NONE)
			return a;
	}
	return none;
}

static const struct object *node_with_addr(const struct compile *c, const struct addr *a)
{
	unsigned n;
	const struct object *const *v = store_list(c->in->store, KIND_NODE, &n);

	for (unsigned i = 0; i < n; i++) {
		struct addr have = node_addr(v[i], a->fam);

		if (addr_eq(&have, a))
			return v[i];
	}
	return NULL;
}

/* ---- the list ---- */

/* One link-local address may stand on several links. */
static bool has_peer(const struct compile *c, const struct addr *a, const char *interface)
{
	for (unsigned i = 0; i < c->out->npeers; i++) {
		const struct m_bgp_peer *p = &c->out->peers[i];

		if (p->address.fam != FAM_NONE && addr_eq(&p->address, a) &&
		    (!addr_is_linklocal(a) || !strcmp(p->interface, interface)))
			return true;
	}
	return false;
}

static struct m_bgp_peer *new_peer(struct compile *c)
{
	struct bgpconf *o = c->out;

	if (o->npeers == c->peers_cap) {
		unsigned cap = c->peers_cap ? c->peers_cap * 2 : 16;
		struct m_bgp_peer *v = arena_array(&o->arena, cap, sizeof(*v));

		if (o->npeers)
			memcpy(v, o->peers, o->npeers * sizeof(*v));
		o->peers = v;
		c->peers_cap = cap;
	}
	return &o->peers[o->npeers++];
}

static void fill_target(struct compile *c, struct m_bgp_peer *p, const struct target *t)
{
	uint32_t local = p->local_asn ? p->local_asn : c->out->begin.asn;

	p->name = arena_strdup(&c->out->arena, t->name);
	p->address = t->address;
	p->port = t->port;
	p->asn = t->asn;
	p->connect_retry = CONNECT_RETRY_S;
	/* Calico: whoever is not a reflector of the same cluster is a client. */
	p->reflector_client = c->out->begin.cluster_id && t->asn == local &&
			      t->cluster_id != c->out->begin.cluster_id;
}

static void fill_times(struct m_bgp_peer *p, const struct conf_bgp_extra *e)
{
	p->hold_time = e->hold_time / MS;
	p->keepalive = e->keepalive / MS;
}

/* ---- the mesh ---- */

static void add_mesh_peer(struct compile *c, const struct object *node, uint32_t restart_ms,
			  const char *password)
{
	const struct conf_bgp_extra *e = &c->in->conf->bgp.defaults;
	struct addr v4 = node_addr(node, FAM_V4), v6 = node_addr(node, FAM_V6);
	const struct target t = {
		.name = arena_printf(&c->out->arena, "mesh/%s", node->name),
		.address = shared_addr(c, node),
		.port = node_port(c, node->name),
		.asn = node_asn(c, node),
	};

	if ((v4.fam != FAM_NONE && has_peer(c, &v4, "")) ||
	    (v6.fam != FAM_NONE && has_peer(c, &v6, "")))
		return;
	if (t.address.fam == FAM_NONE) {
		SAY(c, node,
		    "no session in the mesh: it has no address of a family that this node has; "
		    "set spec.bgp.ipv4Address or ipv6Address");
		return;
	}
	struct m_bgp_peer *p = new_peer(c);

	p->type = PEER_MESH;
	p->interface = "";
	p->password = password;
	fill_times(p, e);
	p->nexthop_mode = NEXTHOP_AUTO;
	p->source = c->addr[t.address.fam];
	p->restart_time = restart_ms / MS;
	p->max_prefixes = e->max_prefixes;
	fill_target(c, p, &t);
}

static const char *mesh_password(struct compile *c)
{
	if (!c->def)
		return "";
	return find_password(c, store_find(c->in->store, KIND_BGPCONFIGURATION, "", "default"),
			     "nodeMeshPassword", &c->def->mesh_password, "the mesh");
}

static void compile_mesh(struct compile *c)
{
	unsigned n;
	const struct object *const *v = store_list(c->in->store, KIND_NODE, &n);
	uint32_t restart = c->def ? c->def->mesh_restart_time : 120 * MS;

	if ((c->def && !c->def->node_mesh) || cluster_id(c->self))
		return;
	const char *password = mesh_password(c);

	if (!password)
		return;
	for (unsigned i = 0; i < n; i++)
		if (strcmp(v[i]->name, c->in->node) != 0 && !cluster_id(v[i]))
			add_mesh_peer(c, v[i], restart, password);
}

/* ---- BGPPeer ---- */

struct later_arg {
	struct compile *c;
	const struct object *o;
};

static void say_later(void *arg, const char *key, const char *what)
{
	struct later_arg *l = arg;

	SAY(l->c, l->o, "annotation selvage.io/%s: taken, but this version has no %s yet", key,
	    what);
}

/* node.yaml's defaults, then the resource's own field, then its annotations. */
static void peer_extra(struct compile *c, const struct object *o, struct conf_bgp_extra *e)
{
	const struct spec_bgppeer *s = o->spec;
	const struct conf_bgp_extra *own = s->extra;
	struct later_arg l = { c, o };

	*e = c->in->conf->bgp.defaults;
	if (s->keepalive_time)
		e->keepalive = s->keepalive_time;
	/* A longer keepalive of Calico's own field means a longer hold time, which that API cannot
	 * say. */
	if (s->keepalive_time && e->hold_time && e->keepalive >= e->hold_time)
		e->hold_time = e->keepalive <= 65535u * MS / 3 ? 3 * e->keepalive : 65535u * MS;
	if (own) {
		conf_bgp_extra_merge(e, own);
		conf_bgp_extra_later(own, say_later, &l);
	}
	const char *why = conf_bgp_extra_problem(e);

	if (why) {
		SAY(c, o, "%s; keepalives are sent at a third of the hold time", why);
		e->keepalive = 0;
	}
}

static uint8_t nexthop_mode(const struct spec_bgppeer *s)
{
	if (s->next_hop_mode == NEXTHOP_AUTO && s->keep_original_next_hop)
		return NEXTHOP_KEEP;
	return (uint8_t)s->next_hop_mode;
}

static void add_explicit(struct compile *c, const struct object *o, const struct target *t)
{
	const struct spec_bgppeer *s = o->spec;
	struct conf_bgp_extra e;

	peer_extra(c, o, &e);
	if (t->address.fam != FAM_NONE && has_peer(c, &t->address, e.interface ? e.interface : ""))
		return;
	struct m_bgp_peer *p = new_peer(c);

	p->type = *s->node || *s->node_selector ? PEER_NODE : PEER_GLOBAL;
	p->interface = arena_strdup(&c->out->arena, e.interface ? e.interface : "");
	p->password = t->password;
	p->local_asn = s->local_asn;
	fill_times(p, &e);
	p->nexthop_mode = nexthop_mode(s);
	/* A link-local peer is spoken to from the link's own address. */
	if (s->source_address == 0 && t->address.fam != FAM_NONE && !addr_is_linklocal(&t->address))
		p->source = c->addr[t->address.fam];
	p->ttl_security = (uint8_t)s->ttl_security;
	p->allowed_own_as = (uint8_t)s->allowed_local_asn;
	p->restart_time = s->max_restart_time / MS;
	p->max_prefixes = e.max_prefixes;
	p->passive = e.passive;
	fill_target(c, p, t);
}

static void add_node_peer(struct compile *c, const struct object *o, const struct object *node,
			  const char *password)
{
	const struct target t = {
		.name = arena_printf(&c->out->arena, "%s/%s", o->name, node->name),
		.address = shared_addr(c, node),
		.port = node_port(c, node->name),
		.asn = node_asn(c, node),
		.cluster_id = cluster_id(node),
		.password = password,
	};

	if (t.address.fam == FAM_NONE)
		SAY(c, o,
		    "no session with node %s: it has no address of a family that this node has",
		    node->name);
	else
		add_explicit(c, o, &t);
}

static bool for_node(struct compile *c, const struct object *o, const struct object *node)
{
	static const struct field_kvs none = { 0 };
	const struct spec_bgppeer *s = o->spec;
	const char *name = node ? node->name : c->in->node;

	if (*s->node)
		return !strcmp(s->node, name);
	return !*s->node_selector ||
	       selector_takes(o, "nodeSelector", s->node_selector, node ? &node->labels : &none,
			      &c->out->problems);
}

static void add_selected(struct compile *c, const struct object *o, bool forward, bool reverse,
			 const char *password)
{
	const struct spec_bgppeer *s = o->spec;
	struct problems *p = &c->out->problems;
	unsigned n;
	const struct object *const *v = store_list(c->in->store, KIND_NODE, &n);

	for (unsigned i = 0; i < n; i++) {
		if (!strcmp(v[i]->name, c->in->node))
			continue;
		if ((forward &&
		     selector_takes(o, "peerSelector", s->peer_selector, &v[i]->labels, p)) ||
		    (reverse && for_node(c, o, v[i])))
			add_node_peer(c, o, v[i], password);
	}
}

static void add_by_address(struct compile *c, const struct object *o, const char *password)
{
	const struct spec_bgppeer *s = o->spec;
	struct target t = { .name = o->name, .asn = s->asn, .password = password };
	const struct object *node = NULL;
	const char *interface = s->extra ? s->extra->interface : "";

	if (*s->peer_ip) {
		if (peer_ip_parse(s->peer_ip, &t.address, &t.port))
			return;
		/* A global peer that is this node itself. */
		if (addr_eq(&t.address, &c->addr[t.address.fam]))
			return;
		node = node_with_addr(c, &t.address);
		if (node && !strcmp(node->name, c->in->node))
			return;
	}
	if (node) {
		t.cluster_id = cluster_id(node);
		t.asn = t.asn ? t.asn : node_asn(c, node);
	}
	if (!t.port)
		t.port = node ? node_port(c, node->name) : 179;
	if (addr_is_linklocal(&t.address) && !*interface) {
		SAY(c, o,
		    "spec.peerIP is link-local; name its interface with the annotation "
		    "selvage.io/interface (the peer is left out)");
		return;
	}
	if (!t.asn && t.address.fam != FAM_NONE) {
		SAY(c, o, "spec.asNumber is missing; the peer is left out");
		return;
	}
	add_explicit(c, o, &t);
}

/* true: this peer cannot be had as it is written, and half of it would be worse than nothing. */
static bool refused(struct compile *c, const struct object *o)
{
	const struct spec_bgppeer *s = o->spec;

	if (s->filters.n) {
		SAY(c, o,
		    "spec.filters: this version does not apply BGPFilter; the peer is left out "
		    "rather than spoken to without its filters");
		return true;
	}
	if (*s->local_workload_selector) {
		SAY(c, o, "spec.localWorkloadSelector: this version does not peer with workloads");
		return true;
	}
	return false;
}

static void compile_peer(struct compile *c, const struct object *o)
{
	const struct spec_bgppeer *s = o->spec;
	bool mine = for_node(c, o, c->self);
	bool reverse = *s->peer_selector && s->reverse_peering == 0 && c->self &&
		       selector_takes(o, "peerSelector", s->peer_selector, &c->self->labels,
				      &c->out->problems);

	if ((!mine && !reverse) || refused(c, o))
		return;
	const char *password = find_password(c, o, "password", &s->password, "the peer");

	if (!password)
		return;
	if (*s->peer_selector) {
		add_selected(c, o, mine, reverse, password);
		return;
	}
	if (*s->reachable_by)
		SAY(c, o, "spec.reachableBy: taken, but this version adds no route to a peer");
	/* store_check() names a peer that names no one. */
	if (*s->peer_ip || (s->extra && *s->extra->interface))
		add_by_address(c, o, password);
}

void compile_peers(struct compile *c)
{
	unsigned n;
	const struct object *const *v = store_list(c->in->store, KIND_BGPPEER, &n);

	/* Who comes first keeps the address: global peers, then those of nodes, then the mesh. */
	for (int pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < n; i++) {
			const struct spec_bgppeer *s = v[i]->spec;
			bool global = !*s->node && !*s->node_selector;

			if (global == (pass == 0))
				compile_peer(c, v[i]);
		}
	compile_mesh(c);
}
