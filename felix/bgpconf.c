#include "config.h"

#include "felix/bgpconf.h"

#include <stdlib.h>
#include <string.h>

#include "felix/bgpconf_impl.h"
#include "felix/blocks.h"
#include "felix/services.h"
#include "lib/ipc.h"

enum { DEFAULT_ASN = 64512, DEFAULT_PORT = 179 };

/* ---- what a node is ---- */

const struct spec_bgpconfiguration *bgp_configuration(const struct store *s, const char *name)
{
	const struct object *o = store_find(s, KIND_BGPCONFIGURATION, "", name);

	return o ? o->spec : NULL;
}

static const struct spec_bgpconfiguration *configuration_of(const struct compile *c,
							    const char *node)
{
	struct arena scratch = { 0 };
	const struct spec_bgpconfiguration *s =
		bgp_configuration(c->in->store, arena_printf(&scratch, "node.%s", node));

	arena_free(&scratch);
	return s;
}

static uint32_t asn_of(const struct compile *c, const struct object *node, const char *name)
{
	const struct spec_bgpconfiguration *own = configuration_of(c, name);

	if (node && ((const struct spec_node *)node->spec)->asn)
		return ((const struct spec_node *)node->spec)->asn;
	if (own && own->asn)
		return own->asn;
	return c->def && c->def->asn ? c->def->asn : DEFAULT_ASN;
}

uint32_t node_asn(const struct compile *c, const struct object *node)
{
	return asn_of(c, node, node->name);
}

uint16_t node_port(const struct compile *c, const char *node)
{
	const struct spec_bgpconfiguration *own = configuration_of(c, node);

	if (own && own->listen_port)
		return (uint16_t)own->listen_port;
	return c->def && c->def->listen_port ? (uint16_t)c->def->listen_port : DEFAULT_PORT;
}

/* ---- begin ---- */

static void find_addresses(struct compile *c)
{
	const struct spec_node *s = c->self ? c->self->spec : NULL;
	struct prefix p;

	for (unsigned i = 0; i < c->in->naddrs; i++)
		if (c->in->addrs[i].addr.fam <= FAM_V6)
			c->addr[c->in->addrs[i].addr.fam] = c->in->addrs[i].addr;
	if (s && c->addr[FAM_V4].fam == FAM_NONE && *s->ipv4_address &&
	    !prefix_parse(s->ipv4_address, &p))
		c->addr[FAM_V4] = p.addr;
	if (s && c->addr[FAM_V6].fam == FAM_NONE && *s->ipv6_address &&
	    !prefix_parse(s->ipv6_address, &p))
		c->addr[FAM_V6] = p.addr;
}

static uint32_t hash_name(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h ? h : 1;
}

static uint32_t router_id(const struct compile *c)
{
	if (c->in->conf->bgp.router_id.fam == FAM_V4)
		return addr_to_u32(&c->in->conf->bgp.router_id);
	if (c->addr[FAM_V4].fam == FAM_V4)
		return addr_to_u32(&c->addr[FAM_V4]);
	/* An IPv6-only node: any number will do that differs from the others' (RFC 6286). */
	return hash_name(c->in->node);
}

static void compile_begin(struct compile *c)
{
	const struct nodeconf *conf = c->in->conf;
	struct m_bgp_begin *b = &c->out->begin;
	struct addr id;

	b->asn = conf->bgp.asn ? conf->bgp.asn : asn_of(c, c->self, c->in->node);
	b->router_id = router_id(c);
	b->export_mode = (uint8_t)conf->bgp.export_mode;
	b->install = conf->bgp.install;
	b->require_policy = conf->bgp.require_policy;
	if (c->self) {
		const struct spec_node *s = c->self->spec;

		if (*s->route_reflector_cluster_id &&
		    !addr_parse(s->route_reflector_cluster_id, &id))
			b->cluster_id = addr_to_u32(&id);
	}
}

/* ---- origins and pools ---- */

static void add_origins(struct compile *c, enum origin_kind kind, const struct prefix *p,
			unsigned n)
{
	struct bgpconf *o = c->out;
	unsigned batches = (n + IPC_BATCH - 1) / IPC_BATCH;
	struct m_bgp_origin *v = arena_array(&o->arena, o->norigins + batches + 1, sizeof(*v));

	if (o->norigins)
		memcpy(v, o->origins, o->norigins * sizeof(*v));
	o->origins = v;
	for (unsigned at = 0; at < n; at += IPC_BATCH) {
		unsigned now = n - at < IPC_BATCH ? n - at : IPC_BATCH;
		struct m_bgp_origin *m = &v[o->norigins++];

		m->kind = (uint8_t)kind;
		m->prefixes.n = now;
		m->prefixes.v = arena_array(&o->arena, now, sizeof(*p));
		memcpy(m->prefixes.v, p + at, now * sizeof(*p));
	}
}

static void compile_blocks(struct compile *c)
{
	struct node_blocks blocks;
	unsigned n = 0;

	node_blocks_find(c->in->store, c->in->node, c->in->claims, &c->out->arena, &blocks,
			 &c->out->problems);
	struct prefix *p = arena_array(&c->out->arena, blocks.n + 1, sizeof(*p));

	for (unsigned i = 0; i < blocks.n; i++)
		if (blocks.v[i].export_)
			p[n++] = blocks.v[i].cidr;
	add_origins(c, ORIGIN_BLOCK, p, n);
}

static bool excluded_from_services(const struct compile *c)
{
	const struct field_kvs *labels = node_labels(c->in->store, c->in->node);

	/* As Calico: kubeadm gives control-plane nodes the label with no value, and they announce. */
	for (uint32_t i = 0; i < labels->n; i++)
		if (!strcmp(labels->v[i].key,
			    "node.kubernetes.io/exclude-from-external-load-balancers") &&
		    !strcmp(labels->v[i].value, "true"))
			return true;
	return false;
}

static const struct field_list *own_or_default(const struct compile *c, size_t offset)
{
	static const struct field_list none = { 0 };
	const struct field_list *l = NULL;

	if (c->own)
		l = (const void *)((const char *)c->own + offset);
	if ((!l || !l->n) && c->def)
		l = (const void *)((const char *)c->def + offset);
	return l ? l : &none;
}

#define LIST(c, member) own_or_default(c, offsetof(struct spec_bgpconfiguration, member))

static bool aggregates(const struct compile *c)
{
	int said = c->own ? c->own->lb_aggregation : LB_AGGREGATION_UNSET;

	if (said == LB_AGGREGATION_UNSET && c->def)
		said = c->def->lb_aggregation;
	return said != LB_AGGREGATION_DISABLED;
}

static void compile_services(struct compile *c)
{
	struct services found;
	const struct services_input in = {
		.store = c->in->store,
		.node = c->in->node,
		.excluded = excluded_from_services(c),
		.aggregate = aggregates(c),
		.cluster = LIST(c, service_cluster_ips),
		.external = LIST(c, service_external_ips),
		.lb = LIST(c, service_lb_ips),
	};

	services_compute(&in, &c->out->arena, &found);
	add_origins(c, ORIGIN_SERVICE, found.v, found.n);
	add_origins(c, ORIGIN_KEEP_OUT, found.ranges, found.nranges);
}

static unsigned copy_ranges(struct m_bgp_pool *to, unsigned at, const struct field_list *list)
{
	const struct cidr_item *v = list->v;

	for (uint32_t i = 0; i < list->n; i++)
		to[at++] = (struct m_bgp_pool){ .cidr = v[i].cidr };
	return at;
}

static void compile_pools(struct compile *c)
{
	unsigned n, all = 0;
	const struct object *const *pools = store_list(c->in->store, KIND_IPPOOL, &n);
	const struct field_list *external = LIST(c, service_external_ips);
	const struct field_list *lb = LIST(c, service_lb_ips);
	struct bgpconf *o = c->out;
	struct m_bgp_pool *v = arena_array(&o->arena, n + external->n + lb->n + 1, sizeof(*v));

	for (; all < n; all++) {
		const struct spec_ippool *s = pools[all]->spec;

		v[all] = (struct m_bgp_pool){ s->cidr, s->disable_bgp_export };
	}
	/* A reflector passes on what its clients say of services too. */
	if (o->begin.cluster_id) {
		all = copy_ranges(v, all, external);
		all = copy_ranges(v, all, lb);
	}
	o->pools = arena_array(&o->arena, all / IPC_BATCH + 1, sizeof(*o->pools));
	for (unsigned at = 0; at < all; at += IPC_BATCH) {
		struct m_bgp_pools *m = &o->pools[o->npools++];

		m->pools.n = all - at < IPC_BATCH ? all - at : IPC_BATCH;
		m->pools.v = v + at;
	}
}

/* ---- what is taken but not served ---- */

static void check_listen_port(struct compile *c, const struct object *o)
{
	const struct spec_bgpconfiguration *s = o->spec;
	const struct conf_listen *l = c->in->conf->bgp.listen.v;

	if (!s->listen_port)
		return;
	for (uint32_t i = 0; i < c->in->conf->bgp.listen.n; i++)
		if (l[i].port == s->listen_port)
			return;
	SAY(c, o, "spec.listenPort: %u, but node.yaml's bgp.listen has no such port; add it there",
	    s->listen_port);
}

static void check_configuration(struct compile *c, const char *name)
{
	const struct object *o = store_find(c->in->store, KIND_BGPCONFIGURATION, "", name);
	const struct spec_bgpconfiguration *s = o ? o->spec : NULL;

	if (!s)
		return;
	if (s->prefix_advertisements.n)
		SAY(c, o,
		    "spec.prefixAdvertisements: taken, but this version attaches no communities "
		    "yet");
	if (s->bind_mode)
		SAY(c, o,
		    "spec.bindMode: not used; node.yaml's bgp.listen says where peers connect to");
	check_listen_port(c, o);
}

/* ---- all of it ---- */

struct bgpconf *bgpconf_compile(const struct bgpconf_input *in)
{
	struct bgpconf *out = xcalloc(1, sizeof(*out));
	struct compile c = { .in = in, .out = out };

	out->problems.arena = &out->arena;
	c.self = store_find(in->store, KIND_NODE, "", in->node);
	c.def = bgp_configuration(in->store, "default");
	c.own = configuration_of(&c, in->node);
	find_addresses(&c);
	compile_begin(&c);
	compile_peers(&c);
	compile_blocks(&c);
	compile_services(&c);
	compile_pools(&c);
	check_configuration(&c, "default");
	check_configuration(&c, arena_printf(&out->arena, "node.%s", in->node));
	return out;
}

/* One message and its number of bytes; the codec knows every field. */
static size_t encoded(uint8_t *buf, enum msg_type type, const void *body)
{
	struct wr w = wr_over(buf, MSG_MAX);

	msg_encode(&w, type, body);
	return w.full ? 0 : w.len;
}

static bool same_bodies(enum msg_type type, const void *a, const void *b, unsigned n, size_t size)
{
	uint8_t *x = xmalloc(MSG_MAX), *y = xmalloc(MSG_MAX);
	bool same = true;

	for (unsigned i = 0; i < n && same; i++) {
		size_t len = encoded(x, type, (const char *)a + i * size);

		same = len && len == encoded(y, type, (const char *)b + i * size) &&
		       !memcmp(x, y, len);
	}
	free(x);
	free(y);
	return same;
}

bool bgpconf_same(const struct bgpconf *a, const struct bgpconf *b)
{
	return a->npeers == b->npeers && a->norigins == b->norigins && a->npools == b->npools &&
	       same_bodies(M_BGP_BEGIN, &a->begin, &b->begin, 1, sizeof(a->begin)) &&
	       same_bodies(M_BGP_PEER, a->peers, b->peers, a->npeers, sizeof(*a->peers)) &&
	       same_bodies(M_BGP_ORIGIN, a->origins, b->origins, a->norigins,
			   sizeof(*a->origins)) &&
	       same_bodies(M_BGP_POOLS, a->pools, b->pools, a->npools, sizeof(*a->pools));
}

void bgpconf_free(struct bgpconf *c)
{
	if (!c)
		return;
	arena_free(&c->arena);
	free(c);
}
