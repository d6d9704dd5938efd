/* The kinds, their fields, and what a field's value must be together with the others. */
#include "config.h"

#include <stddef.h>
#include <string.h>

#include "lib/msg.h"
#include "lib/nodeconf.h"
#include "lib/selector.h"
#include "store/model.h"

/* ---- helpers of the checks ---- */

static int wrong(struct problems *p, const struct object *o, const struct node *spec,
		 const char *key, const char *what)
{
	const struct node *at = node_get(spec, key);

	problem_add(p, o->file, at ? at : spec, "%s \"%s\": spec.%s: %s", o->kind_text, o->name,
		    key, what);
	return -1;
}

static int check_selector(struct problems *p, const struct object *o, const struct node *spec,
			  const char *key, const char *text)
{
	struct arena scratch = { 0 };
	struct err err;
	int rc = 0;

	if (!selector_parse(text, &scratch, &err))
		rc = wrong(p, o, spec, key, err.text);
	arena_free(&scratch);
	return rc;
}

/* ---- IPPool ---- */

#define AT(member) offsetof(struct spec_ippool, member)
static const char *const assignment_words[] = { "Automatic", "Manual", NULL };
static const struct field ippool_fields[] = {
	{ "cidr", F_PREFIX, AT(cidr), .required = true },
	{ "blockSize", F_U32, AT(block_size), .min = 0, .max = 128 },
	FIELD("natOutgoing", F_BOOL, AT(nat_outgoing)),
	FIELD("disabled", F_BOOL, AT(disabled)),
	FIELD("disableBGPExport", F_BOOL, AT(disable_bgp_export)),
	{ "nodeSelector", F_STR, AT(node_selector), .def = "all()" },
	{ "namespaceSelector", F_STR, AT(namespace_selector), .def = "all()" },
	{ "allowedUses", F_LIST, AT(allowed_uses), .item = F_STR },
	{ "assignmentMode", F_ENUM, AT(assignment_mode), .words = assignment_words },
	FIELD_IGNORE("ipipMode"),
	FIELD_IGNORE("vxlanMode"),
	FIELD_IGNORE("ipip"),
	FIELD_IGNORE("nat-outgoing"),
	FIELDS_END,
};
#undef AT

static int finish_ippool(void *spec, const struct node *node, struct object *o, struct problems *p)
{
	static const char *const uses[] = { "Workload", "Tunnel", "LoadBalancer", NULL };
	struct spec_ippool *s = spec;
	bool v4 = s->cidr.addr.fam == FAM_V4;
	uint32_t low = v4 ? 20 : 116, high = v4 ? 32 : 128;
	int rc = 0;

	if (!s->block_size)
		s->block_size = v4 ? 26 : 122;
	if (s->block_size < low || s->block_size > high)
		rc = wrong(p, o, node, "blockSize",
			   v4 ? "must be from 20 to 32 in an IPv4 pool"
			      : "must be from 116 to 128 in an IPv6 pool");
	else if (s->block_size < s->cidr.len)
		rc = wrong(p, o, node, "cidr",
			   "is smaller than one block; set blockSize or a wider cidr");
	rc |= check_selector(p, o, node, "nodeSelector", s->node_selector);
	rc |= check_selector(p, o, node, "namespaceSelector", s->namespace_selector);
	for (uint32_t i = 0; i < s->allowed_uses.n; i++) {
		const char *use = ((const char **)s->allowed_uses.v)[i];
		unsigned u = 0;

		while (uses[u] && strcmp(uses[u], use) != 0)
			u++;
		if (!uses[u])
			rc = wrong(p, o, node, "allowedUses",
				   "expected Workload, Tunnel or LoadBalancer");
	}
	return rc;
}

/* ---- IPReservation, IPAMConfig, BlockAffinity ---- */

static const struct field ipreservation_fields[] = {
	{ "reservedCIDRs", F_LIST, offsetof(struct spec_ipreservation, cidrs), .item = F_PREFIX },
	FIELDS_END,
};

#define AT(member) offsetof(struct spec_ipamconfig, member)
static const struct field ipamconfig_fields[] = {
	FIELD("strictAffinity", F_BOOL, AT(strict_affinity)),
	{ "autoAllocateBlocks", F_BOOL, AT(auto_allocate_blocks), .def = "true" },
	FIELD("maxBlocksPerHost", F_U32, AT(max_blocks_per_host)),
	{ "ipCooldownSeconds", F_U32, AT(cooldown_seconds), .min = 0, .max = 1200 },
	FIELD_IGNORE("kubeVirtVMAddressPersistence"),
	FIELDS_END,
};
#undef AT

static int finish_ipamconfig(void *spec, const struct node *node, struct object *o,
			     struct problems *p)
{
	struct spec_ipamconfig *s = spec;

	(void)node;
	(void)o;
	(void)p;
	if (!s->max_blocks_per_host)
		s->max_blocks_per_host = 20;
	return 0;
}

struct affinity_read {
	struct spec_blockaffinity s;
	const char *deleted; /* the API keeps a text, "true" or "false" */
};

/* In the order of enum affinity_state; the empty word is an old spelling of confirmed. */
static const char *const affinity_words[] = { "confirmed", "pending", "pendingDeletion", "", NULL };
enum { AFFINITY_EMPTY = 3 };

#define AT(member) offsetof(struct affinity_read, member)
static const struct field blockaffinity_fields[] = {
	{ "node", F_STR, AT(s.node), .required = true },
	{ "cidr", F_PREFIX, AT(s.cidr), .required = true },
	{ "state", F_ENUM, AT(s.state), .words = affinity_words },
	{ "type", F_STR, AT(s.type), .def = "host" },
	{ "deleted", F_STR, AT(deleted), .def = "false" },
	FIELDS_END,
};
#undef AT

static int finish_blockaffinity(void *spec, const struct node *node, struct object *o,
				struct problems *p)
{
	struct affinity_read *a = spec;
	int rc = 0;

	if (a->s.state == AFFINITY_EMPTY)
		a->s.state = AFFINITY_CONFIRMED;
	if (!*a->s.type)
		a->s.type = "host";
	if (strcmp(a->s.type, "host") != 0 && strcmp(a->s.type, "virtual") != 0)
		rc = wrong(p, o, node, "type", "expected host or virtual");
	if (*a->deleted && strcmp(a->deleted, "true") != 0 && strcmp(a->deleted, "false") != 0)
		rc = wrong(p, o, node, "deleted", "expected \"true\" or \"false\"");
	if (!*a->s.node)
		rc = wrong(p, o, node, "node", "is empty; name the node that owns the block");
	a->s.deleted = !strcmp(a->deleted, "true");
	return rc;
}

/* ---- BGPConfiguration ---- */

static const struct field community_fields[] = {
	FIELD("name", F_STR, offsetof(struct community_name, name)),
	FIELD("value", F_STR, offsetof(struct community_name, value)),
	FIELDS_END,
};
static const struct field advertisement_fields[] = {
	{ "cidr", F_PREFIX, offsetof(struct prefix_advertisement, cidr), .required = true },
	{ "communities", F_LIST, offsetof(struct prefix_advertisement, communities),
	  .item = F_STR },
	FIELDS_END,
};
static const struct field cidr_fields[] = {
	{ "cidr", F_PREFIX, offsetof(struct cidr_item, cidr), .required = true },
	FIELDS_END,
};
static const char *const bind_words[] = { "None", "NodeIP", NULL };
/* In the order of enum lb_aggregation. */
static const char *const aggregation_words[] = { "", "Enabled", "Disabled", NULL };

static const struct field secret_ref_fields[] = {
	FIELD("name", F_STR, offsetof(struct secret_ref, name)),
	FIELD("key", F_STR, offsetof(struct secret_ref, key)),
	FIELD_IGNORE("optional"),
	FIELDS_END,
};
static const struct field password_fields[] = {
	{ "secretKeyRef", F_MAP, 0, .sub = secret_ref_fields },
	FIELDS_END,
};

#define AT(member) offsetof(struct spec_bgpconfiguration, member)
#define CIDRS(name, member)                                                                        \
	{                                                                                          \
		name, F_LIST, AT(member), .item = F_MAP, .item_size = sizeof(struct cidr_item),    \
					  .sub = cidr_fields                                       \
	}
static const struct field bgpconfiguration_fields[] = {
	{ "nodeToNodeMeshEnabled", F_BOOL, AT(node_mesh), .def = "true" },
	FIELD("asNumber", F_ASN, AT(asn)),
	{ "listenPort", F_U32, AT(listen_port), .min = 1, .max = 65535 },
	{ "bindMode", F_ENUM, AT(bind_mode), .words = bind_words },
	{ "nodeMeshMaxRestartTime", F_DURATION, AT(mesh_restart_time), .def = "120s", .min = 0,
	  .max = 4095 * 1000 },
	{ "nodeMeshPassword", F_MAP, AT(mesh_password), .sub = password_fields },
	CIDRS("serviceClusterIPs", service_cluster_ips),
	CIDRS("serviceExternalIPs", service_external_ips),
	CIDRS("serviceLoadBalancerIPs", service_lb_ips),
	{ "serviceLoadBalancerAggregation", F_ENUM, AT(lb_aggregation),
	  .words = aggregation_words },
	{ "communities", F_LIST, AT(communities), .item = F_MAP,
	  .item_size = sizeof(struct community_name), .sub = community_fields },
	{ "prefixAdvertisements", F_LIST, AT(prefix_advertisements), .item = F_MAP,
	  .item_size = sizeof(struct prefix_advertisement), .sub = advertisement_fields },
	{ "ignoredInterfaces", F_LIST, AT(ignored_interfaces), .item = F_STR },
	FIELD_IGNORE("logSeverityScreen"),
	FIELD_IGNORE("localWorkloadPeeringIPV4"),
	FIELD_IGNORE("localWorkloadPeeringIPV6"),
	FIELD_IGNORE("programClusterRoutes"),
	FIELD_IGNORE("ipv4NormalRoutePriority"),
	FIELD_IGNORE("ipv4ElevatedRoutePriority"),
	FIELD_IGNORE("ipv6NormalRoutePriority"),
	FIELD_IGNORE("ipv6ElevatedRoutePriority"),
	FIELDS_END,
};
#undef AT

/* ---- BGPPeer ---- */

/* In the order of enum bgp_nexthop_mode. */
static const char *const nexthop_words[] = { "Auto", "Self", "Keep", NULL };
static const char *const reverse_words[] = { "Auto", "Manual", NULL };
static const char *const source_words[] = { "UseNodeIP", "None", NULL };

#define AT(member) offsetof(struct spec_bgppeer, member)
struct bgppeer_read {
	struct spec_bgppeer s;
	struct conf_bgp_extra extra;
};

static const struct field bgppeer_fields[] = {
	FIELD("node", F_STR, AT(node)),
	FIELD("nodeSelector", F_STR, AT(node_selector)),
	FIELD("peerSelector", F_STR, AT(peer_selector)),
	FIELD("localWorkloadSelector", F_STR, AT(local_workload_selector)),
	FIELD("peerIP", F_STR, AT(peer_ip)),
	FIELD("asNumber", F_ASN, AT(asn)),
	FIELD("localASNumber", F_ASN, AT(local_asn)),
	{ "nextHopMode", F_ENUM, AT(next_hop_mode), .words = nexthop_words },
	FIELD("keepOriginalNextHop", F_BOOL, AT(keep_original_next_hop)),
	{ "password", F_MAP, AT(password), .sub = password_fields },
	{ "sourceAddress", F_ENUM, AT(source_address), .words = source_words },
	{ "maxRestartTime", F_DURATION, AT(max_restart_time), .def = "120s", .min = 0,
	  .max = 4095 * 1000 },
	{ "keepaliveTime", F_DURATION, AT(keepalive_time), .min = 0, .max = 21845 * 1000 },
	{ "numAllowedLocalASNumbers", F_U32, AT(allowed_local_asn), .min = 0, .max = 255 },
	{ "ttlSecurity", F_U32, AT(ttl_security), .min = 0, .max = 255 },
	FIELD("reachableBy", F_STR, AT(reachable_by)),
	{ "filters", F_LIST, AT(filters), .item = F_STR },
	{ "reversePeering", F_ENUM, AT(reverse_peering), .words = reverse_words },
	FIELDS_END,
};
#undef AT

/* The annotations selvage.io/<key>, as if they were keys of a mapping. */
static int read_annotations(struct conf_bgp_extra *e, bool *any, struct object *o,
			    const struct node *spec, struct problems *p)
{
	static const char prefix[] = "selvage.io/";
	const char *words[33];
	unsigned n = 0;
	int rc = 0;

	for (; n < 32 && conf_bgp_extra_fields[n].key; n++)
		words[n] = conf_bgp_extra_fields[n].key;
	words[n] = NULL;
	schema_read(NULL, conf_bgp_extra_fields, e, sizeof(*e), o->file, "", &o->arena, p);
	for (uint32_t i = 0; i < o->annotations.n; i++) {
		const char *key = o->annotations.v[i].key;

		if (strncmp(key, prefix, sizeof(prefix) - 1) != 0)
			continue;
		unsigned f = 0;
		const char *bare = key + sizeof(prefix) - 1;
		const char *path =
			arena_printf(p->arena, "BGPPeer \"%s\": annotation %s", o->name, key);
		struct node value = { .kind = NODE_SCALAR,
				      .text = o->annotations.v[i].value,
				      .line = spec->line,
				      .col = spec->col };

		while (words[f] && strcmp(words[f], bare) != 0)
			f++;
		if (!words[f]) {
			const char *near = nearest_word(bare, words);

			problem_add(p, o->file, spec, "%s is unknown%s%s%s", path,
				    near ? "; did you mean \"selvage.io/" : "", near ? near : "",
				    near ? "\"?" : "");
			rc = -1;
			continue;
		}
		*any = true;
		e->set |= 1u << f;
		if (schema_read_value(&value, &conf_bgp_extra_fields[f],
				      (char *)e + conf_bgp_extra_fields[f].offset, o->file, path,
				      &o->arena, p))
			rc = -1;
	}
	return rc;
}

static int check_peer_ip(struct problems *p, const struct object *o, const struct node *node,
			 const struct spec_bgppeer *s)
{
	struct addr a;
	uint16_t port;

	if (*s->peer_ip && peer_ip_parse(s->peer_ip, &a, &port))
		return wrong(p, o, node, "peerIP",
			     "expected an address, 10.0.0.1:1790 or [fd00::1]:1790");
	return 0;
}

static int finish_bgppeer(void *spec, const struct node *node, struct object *o, struct problems *p)
{
	struct bgppeer_read *r = spec;
	struct spec_bgppeer *s = &r->s;
	bool any = false;
	int rc = read_annotations(&r->extra, &any, o, node, p);

	s->extra = any ? &r->extra : NULL;
	if (any && !rc) {
		struct conf_bgp_extra e = r->extra;

		/* A keepalive alone is judged with the hold time it will meet, in the node's
		 * configuration. */
		if (!(e.set & 1))
			e.hold_time = 0;
		const char *why = conf_bgp_extra_problem(&e);

		if (why) {
			problem_add(p, o->file, node, "BGPPeer \"%s\": annotations: %s", o->name,
				    why);
			rc = -1;
		}
	}
	s->ttl_security_set = node_get(node, "ttlSecurity") != NULL;
	rc |= check_peer_ip(p, o, node, s);
	if (*s->node && *s->node_selector)
		rc = wrong(p, o, node, "nodeSelector", "spec.node is set too; remove one of them");
	if (*s->peer_selector && (*s->peer_ip || s->asn))
		rc = wrong(p, o, node, "peerSelector",
			   "spec.peerIP or asNumber is set too; remove them or the selector");
	rc |= check_selector(p, o, node, "nodeSelector", s->node_selector);
	rc |= check_selector(p, o, node, "peerSelector", s->peer_selector);
	return rc;
}

/* ---- Node ---- */

struct node_read {
	struct spec_node s;
	struct field_list addresses; /* struct node_address_read */
};

struct node_address_read {
	const char *type, *address;
};

#define AT(member) offsetof(struct node_read, member)
static const struct field node_bgp_fields[] = {
	FIELD("ipv4Address", F_STR, AT(s.ipv4_address)),
	FIELD("ipv6Address", F_STR, AT(s.ipv6_address)),
	FIELD("asNumber", F_ASN, AT(s.asn)),
	FIELD("routeReflectorClusterID", F_STR, AT(s.route_reflector_cluster_id)),
	FIELD_IGNORE("ipv4IPIPTunnelAddr"),
	FIELDS_END,
};
static const struct field calico_node_fields[] = {
	{ "bgp", F_MAP, 0, .sub = node_bgp_fields },
	FIELD_IGNORE("orchRefs"),
	FIELD_IGNORE("addresses"),
	FIELD_IGNORE("interfaces"),
	FIELD_IGNORE("wireguard"),
	FIELD_IGNORE("ipv4VXLANTunnelAddr"),
	FIELD_IGNORE("ipv6VXLANTunnelAddr"),
	FIELD_IGNORE("vxlanTunnelMACAddr"),
	FIELD_IGNORE("vxlanTunnelMACAddrV6"),
	FIELDS_END,
};
static const struct field core_node_spec_fields[] = {
	FIELD("podCIDR", F_STR, AT(s.pod_cidr)),
	{ "podCIDRs", F_LIST, AT(s.pod_cidrs), .item = F_PREFIX },
	FIELDS_END,
};
static const struct field node_address_fields[] = {
	FIELD("type", F_STR, offsetof(struct node_address_read, type)),
	FIELD("address", F_STR, offsetof(struct node_address_read, address)),
	FIELDS_END,
};
static const struct field core_node_status_fields[] = {
	{ "addresses", F_LIST, AT(addresses), .item = F_MAP,
	  .item_size = sizeof(struct node_address_read), .sub = node_address_fields },
	FIELDS_END,
};
static const struct field core_node_fields[] = {
	{ "spec", F_MAP, 0, .sub = core_node_spec_fields },
	{ "status", F_MAP, 0, .sub = core_node_status_fields },
	FIELDS_END,
};
#undef AT

static int check_node_addr(struct problems *p, const struct object *o, const struct node *spec,
			   const char *text, enum family fam)
{
	const struct node *bgp = node_get(spec, "bgp");
	const struct node *at = node_get(bgp, fam == FAM_V4 ? "ipv4Address" : "ipv6Address");
	struct prefix px;

	if (!*text || (!prefix_parse(text, &px) && px.addr.fam == fam))
		return 0;
	problem_add(p, o->file, at ? at : spec, "Node \"%s\": \"%s\" is not an %s address, like %s",
		    o->name, text, fam == FAM_V4 ? "IPv4" : "IPv6",
		    fam == FAM_V4 ? "10.0.0.1/24" : "fd00::1/64");
	return -1;
}

static int finish_node(void *spec, const struct node *node, struct object *o, struct problems *p)
{
	struct node_read *r = spec;
	struct spec_node *s = &r->s;
	struct addr id;
	int rc = check_node_addr(p, o, node, s->ipv4_address, FAM_V4) |
		 check_node_addr(p, o, node, s->ipv6_address, FAM_V6);

	if (*s->route_reflector_cluster_id &&
	    (addr_parse(s->route_reflector_cluster_id, &id) || id.fam != FAM_V4)) {
		problem_add(
			p, o->file, node,
			"Node \"%s\": routeReflectorClusterID \"%s\" is not of the form 244.0.0.1",
			o->name, s->route_reflector_cluster_id);
		rc = -1;
	}
	if (!*s->pod_cidr && s->pod_cidrs.n) {
		char text[PREFIX_STRLEN];

		prefix_format(s->pod_cidrs.v, text, sizeof(text));
		s->pod_cidr = arena_strdup(&o->arena, text);
	}
	return rc;
}

/* A node that nothing annotated yet speaks BGP from where the kubelet says it is. */
static void take_internal_ips(struct node_read *r, struct object *o)
{
	const struct node_address_read *v = r->addresses.v;
	struct addr a;

	for (uint32_t i = 0; i < r->addresses.n; i++) {
		if (strcmp(v[i].type, "InternalIP") != 0 || addr_parse(v[i].address, &a))
			continue;
		const char **at = a.fam == FAM_V4 ? &r->s.ipv4_address : &r->s.ipv6_address;

		if (!**at)
			*at = arena_strdup(&o->arena, v[i].address);
	}
}

/* Calico keeps a Kubernetes node's BGP values in annotations. */
static int finish_core_node(void *spec, const struct node *node, struct object *o,
			    struct problems *p)
{
	struct node_read *r = spec;

	/* The table of a core Node has no BGP fields, so they begin unset here. */
	r->s.ipv4_address = r->s.ipv6_address = r->s.route_reflector_cluster_id = "";
	for (uint32_t i = 0; i < o->annotations.n; i++) {
		const char *key = o->annotations.v[i].key, *value = o->annotations.v[i].value;

		if (!strcmp(key, "projectcalico.org/IPv4Address"))
			r->s.ipv4_address = value;
		else if (!strcmp(key, "projectcalico.org/IPv6Address"))
			r->s.ipv6_address = value;
		else if (!strcmp(key, "projectcalico.org/RouteReflectorClusterID"))
			r->s.route_reflector_cluster_id = value;
		else if (!strcmp(key, "projectcalico.org/ASNumber") && *value) {
			int64_t asn = asn_parse(value);

			if (asn < 1) {
				problem_add(p, o->file, node,
					    "Node \"%s\": annotation %s: \"%s\" is no AS number",
					    o->name, key, value);
				return -1;
			}
			r->s.asn = (uint32_t)asn;
		}
	}
	const struct field_list cidrs = r->s.pod_cidrs;

	r->s.pod_cidr = arena_strdup(&o->arena, r->s.pod_cidr);
	r->s.pod_cidrs.v = arena_array(&o->arena, cidrs.n + 1, sizeof(struct prefix));
	if (cidrs.n)
		memcpy(r->s.pod_cidrs.v, cidrs.v, cidrs.n * sizeof(struct prefix));
	take_internal_ips(r, o);
	return finish_node(spec, node, o, p);
}

static int finish_calico_node(void *spec, const struct node *node, struct object *o,
			      struct problems *p)
{
	((struct node_read *)spec)->s.pod_cidr = "";
	return finish_node(spec, node, o, p);
}

/* ---- the kinds ---- */

#define SPEC(fields, type)	  fields, sizeof(type), false, 0
#define WHOLE(fields, type, spec) fields, sizeof(type), true, sizeof(spec)
#define TREE			  NULL, sizeof(struct spec_tree), false, 0
#define POLICY(text, apis, namespaced)                                                             \
	{                                                                                          \
		text, apis, KIND_POLICY, namespaced, TREE, NULL                                    \
	}
#define PASSED(text)                                                                               \
	{                                                                                          \
		text, API_CALICO, KIND_COUNT, false, NULL, 0, false, 0, NULL                       \
	}

const struct model_kind model_kinds[] = {
	{ "IPPool", API_CALICO, KIND_IPPOOL, false, SPEC(ippool_fields, struct spec_ippool),
	  finish_ippool },
	{ "IPReservation", API_CALICO, KIND_IPRESERVATION, false,
	  SPEC(ipreservation_fields, struct spec_ipreservation), NULL },
	{ "IPAMConfig", API_CALICO, KIND_IPAMCONFIG, false,
	  SPEC(ipamconfig_fields, struct spec_ipamconfig), finish_ipamconfig },
	{ "IPAMConfiguration", API_CALICO, KIND_IPAMCONFIG, false,
	  SPEC(ipamconfig_fields, struct spec_ipamconfig), finish_ipamconfig },
	{ "BlockAffinity", API_CALICO, KIND_BLOCKAFFINITY, false,
	  SPEC(blockaffinity_fields, struct affinity_read), finish_blockaffinity },
	{ "BGPConfiguration", API_CALICO, KIND_BGPCONFIGURATION, false,
	  SPEC(bgpconfiguration_fields, struct spec_bgpconfiguration), NULL },
	{ "BGPPeer", API_CALICO, KIND_BGPPEER, false, SPEC(bgppeer_fields, struct bgppeer_read),
	  finish_bgppeer },
	{ "BGPFilter", API_CALICO, KIND_BGPFILTER, false, TREE, NULL },
	{ "Node", API_CALICO, KIND_NODE, false, SPEC(calico_node_fields, struct node_read),
	  finish_calico_node },
	{ "Node", API_CORE, KIND_NODE, false,
	  WHOLE(core_node_fields, struct node_read, struct spec_node), finish_core_node },
	{ "Service", API_CORE, KIND_SERVICE, true,
	  WHOLE(service_fields, struct service_read, struct spec_service), finish_service },
	{ "EndpointSlice", API_DISCOVERY, KIND_ENDPOINTSLICE, true,
	  WHOLE(slice_fields, struct slice_read, struct spec_endpointslice), finish_slice },
	{ "Secret", API_CORE, KIND_SECRET, true,
	  WHOLE(secret_fields, struct secret_read, struct spec_secret), finish_secret },
	{ "Namespace", API_CORE, KIND_NAMESPACE, false, TREE, NULL },
	{ "ServiceAccount", API_CORE, KIND_SERVICEACCOUNT, true, TREE, NULL },
	POLICY("NetworkPolicy", API_CALICO | API_NETWORKING, true),
	POLICY("GlobalNetworkPolicy", API_CALICO, false),
	POLICY("StagedNetworkPolicy", API_CALICO, true),
	POLICY("StagedGlobalNetworkPolicy", API_CALICO, false),
	POLICY("StagedKubernetesNetworkPolicy", API_CALICO, true),
	POLICY("Tier", API_CALICO, false),
	POLICY("NetworkSet", API_CALICO, true),
	POLICY("GlobalNetworkSet", API_CALICO, false),
	POLICY("Profile", API_CALICO, false),
	POLICY("HostEndpoint", API_CALICO, false),
	POLICY("ClusterNetworkPolicy", API_POLICY, false),
	PASSED("ClusterInformation"),
	PASSED("FelixConfiguration"),
	PASSED("KubeControllersConfiguration"),
	{ .text = NULL },
};
