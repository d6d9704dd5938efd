/* What a group of peers is told: which routes, with what next hop and attributes. */
#include "bgpd/rib/internal.h"

uint8_t pool_flags(const struct rib *rib, const struct table *t, const struct node *n)
{
	struct prefix p;
	uint8_t flags = 0;
	table_prefix(t, n, &p);
	for (uint32_t k = 0; k < rib->npools; k++)
		if (prefix_covers(&rib->pools[k].cidr, &p))
			flags |= rib->pools[k].disable_export ? NODE_NO_POOL : NODE_POOL;
	return flags;
}

/* RFC 4456 section 6, and RFC 4271 9.2.1 where this node is no reflector. */
static bool may_reflect(const struct rib *rib, const struct group *g, const struct rib_peer *from)
{
	return rib->global.cluster_id && (from->conf.reflector_client || g->key.client);
}

static bool mode_allows(const struct rib *rib, const struct node *n, bool local)
{
	switch (rib->global.export_mode) {
	case EXPORT_NODE:
		return local && !(n->flags & NODE_NO_POOL);
	case EXPORT_POOLS:
		return !(n->flags & NODE_NO_POOL) && (local || n->flags & NODE_POOL);
	case EXPORT_ALL:
		break;
	}
	return true;
}

uint32_t export_select(struct rib *rib, const struct group *g, unsigned f, uint32_t i)
{
	uint32_t best = best_attr(rib, f, i);
	if (!best || !(g->key.families & FAMILY_BIT(IX_FAM(f))))
		return 0;
	const struct attr *a = attr_at(&rib->attrs, best);
	const struct rib_peer *from = rib->peers[a->peer];
	bool local = a->peer == LOCAL_PEER;
	if (!mode_allows(rib, table_node(&rib->tab[f], i), local))
		return 0;
	if (a->flags & ATTR_NO_ADVERTISE || (a->flags & ATTR_NO_EXPORT && g->key.ebgp))
		return 0;
	if (g->key.ebgp && rib->global.require_policy && !g->key.policy)
		return 0;
	if (!g->key.ebgp && !local && !from->conf.ebgp && !may_reflect(rib, g, from))
		return 0;
	struct bgp_nexthop nh;
	return export_nexthop(rib, g, f, a, &nh) ? best : 0;
}

bool export_nexthop(const struct rib *rib, const struct group *g, unsigned f, const struct attr *a,
		    struct bgp_nexthop *nh)
{
	bool keep = g->key.nexthop_mode == NEXTHOP_KEEP ||
		    (g->key.nexthop_mode == NEXTHOP_AUTO && !g->key.ebgp);
	if (keep && a->nh) {
		*nh = nexthop_at(&rib->nexthops, a->nh)->addr;
		/* A link-local address means nothing on another link (RFC 2545 section 3). */
		nh->linklocal = (struct addr){ 0 };
		bool says =
			nh->global.fam == IX_FAM(f) ||
			(nh->global.fam == FAM_V6 && g->key.ext_nexthop & FAMILY_BIT(IX_FAM(f)));
		if (says && !addr_is_linklocal(&nh->global))
			return true;
	}
	*nh = g->self[f];
	return g->has_self[f];
}

/* RFC 4360 section 6: what is not transitive stays inside the AS. */
static struct blob transitive_only(struct blob ext, uint8_t *out)
{
	uint16_t n = 0;
	for (uint16_t k = 0; k + 8 <= ext.len; k = (uint16_t)(k + 8)) {
		if (ext.p[k] & 0x40)
			continue;
		memcpy(out + n, ext.p + k, 8);
		n = (uint16_t)(n + 8);
	}
	return (struct blob){ out, n };
}

static bool to_external(const struct group *g, const struct attr *a, uint8_t *buf,
			struct attrs *out)
{
	size_t len = as_path_prepend(out->as_path, g->key.local_asn, 1, buf, EXPORT_PART);
	if (!len)
		return false;
	out->as_path = (struct blob){ buf, (uint16_t)len };
	if (a->peer != LOCAL_PEER)
		out->has_med = false;
	out->has_local_pref = out->has_originator = false;
	out->cluster_list.len = 0;
	if (out->ext_communities.len)
		out->ext_communities = transitive_only(out->ext_communities, buf + EXPORT_PART);
	return true;
}

/* RFC 4456 section 8. */
static bool reflect(const struct rib *rib, const struct rib_peer *from, uint8_t *buf,
		    struct attrs *out)
{
	uint16_t len = out->cluster_list.len;
	if (len + 4 > EXPORT_PART)
		return false;
	if (!out->has_originator) {
		out->has_originator = true;
		out->originator = from->conf.id;
	}
	put_u32(buf, rib->global.cluster_id);
	if (len)
		memcpy(buf + 4, out->cluster_list.p, len);
	out->cluster_list = (struct blob){ buf, (uint16_t)(len + 4) };
	return true;
}

bool export_attrs(const struct rib *rib, const struct group *g, const struct attr *a, uint8_t *buf,
		  struct attrs *out)
{
	attrs_decode_own(attr_blob(a), a->len, out);
	if (g->key.ebgp)
		return to_external(g, a, buf, out);
	out->has_local_pref = true;
	out->local_pref = a->local_pref;
	const struct rib_peer *from = rib->peers[a->peer];
	return a->peer == LOCAL_PEER || from->conf.ebgp || reflect(rib, from, buf, out);
}
