/* The rows of every message. A new field is one line here; a struct whose row forgets a field does
 * not compile (the probe below), a message type without a row does not compile either (the switch
 * of msg_def() names each one).
 *
 * In a list of fields, F(x) takes the field as its C type says, E(x, last) is a uint8_t that
 * holds an enum up to `last`, and L(x, row) is a list of structs.
 */
#include "config.h"

#include "lib/msg_def.h"

#include "lib/log.h"

/* clang-format off */

#define FIELDS_msg_addr_item(F, E, L) F(a)
#define FIELDS_msg_text(F, E, L) F(text)
#define FIELDS_msg_u32(F, E, L) F(v)
#define FIELDS_msg_kv(F, E, L) F(key) F(value)

#define FIELDS_m_init_fd(F, E, L) F(kind) F(name)
#define FIELDS_m_init(F, E, L)                                                                     \
	F(config_path)                                                                             \
	F(node)                                                                                    \
	F(uid)                                                                                     \
	F(gid)                                                                                     \
	F(restarts)                                                                                \
	F(check_only)                                                                              \
	L(fds, m_init_fd)
#define FIELDS_m_ctl_client(F, E, L) F(readonly)
#define FIELDS_m_log_level(F, E, L) F(sub) E(level, LOG_DEBUG)
#define FIELDS_m_ready(F, E, L) F(ready) F(reason)
#define FIELDS_m_fatal(F, E, L) F(text)

#define FIELDS_m_bgp_begin(F, E, L)                                                                \
	F(asn)                                                                                     \
	F(router_id)                                                                               \
	E(export_mode, EXPORT_ALL)                                                                 \
	F(install)                                                                                 \
	F(require_policy)                                                                          \
	F(cluster_id)
#define FIELDS_m_bgp_peer(F, E, L)                                                                 \
	F(name)                                                                                    \
	E(type, PEER_LOCAL)                                                                        \
	F(address)                                                                                 \
	F(interface)                                                                               \
	F(port)                                                                                    \
	F(asn)                                                                                     \
	F(local_asn)                                                                               \
	F(hold_time)                                                                               \
	F(keepalive)                                                                               \
	F(connect_retry)                                                                           \
	E(nexthop_mode, NEXTHOP_KEEP)                                                              \
	F(source)                                                                                  \
	F(ttl_security)                                                                            \
	F(allowed_own_as)                                                                          \
	F(password)                                                                                \
	F(restart_time)                                                                            \
	F(max_prefixes)                                                                            \
	F(passive)                                                                                 \
	F(reflector_client)
#define FIELDS_m_bgp_origin(F, E, L) E(kind, ORIGIN_KEEP_OUT) F(prefixes)
#define FIELDS_m_bgp_pool(F, E, L) F(cidr) F(disable_export)
#define FIELDS_m_bgp_pools(F, E, L) L(pools, m_bgp_pool)
#define FIELDS_m_iface(F, E, L) F(ifindex) F(name) F(up) F(addresses)
#define FIELDS_m_iface_gone(F, E, L) F(ifindex)
#define FIELDS_m_nh_state(F, E, L) F(nexthop) F(reachable) F(metric)
#define FIELDS_m_routes_failed(F, E, L) F(reason) F(prefixes)

#define FIELDS_m_nh_track(F, E, L) F(nexthop) F(on)
#define FIELDS_m_nexthop(F, E, L) F(gateway) F(ifindex) F(weight)
#define FIELDS_m_nhg(F, E, L) F(id) L(nexthops, m_nexthop)
#define FIELDS_m_nhg_del(F, E, L) F(id)
#define FIELDS_m_routes(F, E, L) F(nhg) F(prefixes)

#define FIELDS_m_cni_add(F, E, L)                                                                  \
	F(container_id)                                                                            \
	F(ifname)                                                                                  \
	F(network)                                                                                 \
	F(netns)                                                                                   \
	F(namespace_)                                                                              \
	F(pod)                                                                                     \
	F(uid)                                                                                     \
	L(labels, msg_kv)                                                                          \
	L(annotations, msg_kv)                                                                     \
	L(ips, msg_addr_item)                                                                      \
	F(mac)                                                                                     \
	F(mtu)                                                                                     \
	F(expect)                                                                                  \
	L(ipv4_pools, msg_text)                                                                    \
	L(ipv6_pools, msg_text)                                                                    \
	E(families, 6)                                                                             \
	F(started)
#define FIELDS_m_cni_del(F, E, L) F(container_id) F(ifname) F(network) F(started)
#define FIELDS_m_cni_ip(F, E, L) F(address) F(gateway)
#define FIELDS_m_cni_result(F, E, L)                                                               \
	F(host_ifname)                                                                             \
	F(host_mac)                                                                                \
	F(pod_mac)                                                                                 \
	F(mtu)                                                                                     \
	L(ips, m_cni_ip)
#define FIELDS_m_cni_error(F, E, L) F(code) F(text) F(details)

#define FIELDS_m_ctl_open(F, E, L) E(target, CTL_FELIX)
#define FIELDS_m_ctl_query(F, E, L) F(what) E(filter, CTL_ROUTE_OUT) F(name) F(prefix)
#define FIELDS_m_ctl_error(F, E, L) F(text)
#define FIELDS_m_ctl_node(F, E, L) F(node) F(version)
#define FIELDS_m_ctl_daemon(F, E, L)                                                               \
	F(name)                                                                                    \
	F(state)                                                                                   \
	F(pid)                                                                                     \
	F(since)                                                                                   \
	F(restarts)                                                                                \
	F(pss)                                                                                     \
	F(ready)                                                                                   \
	F(reason)
#define FIELDS_m_ctl_bgp(F, E, L) F(asn) F(router_id)
#define FIELDS_m_ctl_peer(F, E, L)                                                                 \
	F(name)                                                                                    \
	F(interface)                                                                               \
	F(address)                                                                                 \
	F(local)                                                                                   \
	F(asn)                                                                                     \
	F(local_asn)                                                                               \
	E(type, PEER_LOCAL)                                                                        \
	E(state, 5)                                                                                \
	F(since)                                                                                   \
	F(received)                                                                                \
	F(accepted)                                                                                \
	F(advertised)                                                                              \
	F(last_error)                                                                              \
	F(hold_time)                                                                               \
	F(keepalive)                                                                               \
	F(updates_in)                                                                              \
	F(updates_out)                                                                             \
	F(messages_in)                                                                             \
	F(messages_out)                                                                            \
	F(capabilities)
#define FIELDS_m_ctl_path(F, E, L)                                                                 \
	F(peer)                                                                                    \
	F(nexthop)                                                                                 \
	L(as_path, msg_u32)                                                                        \
	F(as_path_text)                                                                            \
	F(local_pref)                                                                              \
	F(med)                                                                                     \
	F(has_med)                                                                                 \
	E(origin, 2)                                                                               \
	L(communities, msg_text)                                                                   \
	F(best)                                                                                    \
	F(multipath)                                                                               \
	F(stale)                                                                                   \
	F(reason)
#define FIELDS_m_ctl_route(F, E, L)                                                                \
	F(prefix)                                                                                  \
	F(installed)                                                                               \
	L(paths, m_ctl_path)                                                                       \
	L(advertised_to, msg_text)
#define FIELDS_m_ctl_felix(F, E, L)                                                                \
	F(ready)                                                                                   \
	L(reasons, msg_text)                                                                       \
	F(store_kind)                                                                              \
	F(synced)                                                                                  \
	F(last_contact)                                                                            \
	L(store_errors, msg_text)                                                                  \
	F(endpoints)                                                                               \
	F(endpoints_ready)                                                                         \
	F(policies)                                                                                \
	F(policies_invalid)                                                                        \
	F(policy_applied)                                                                          \
	F(routes_learned)                                                                          \
	F(routes_local)
#define FIELDS_m_ctl_pool(F, E, L) F(cidr) F(name) F(size) F(used) F(claimed) F(whole)
#define FIELDS_m_ctl_node_use(F, E, L) F(node) F(blocks) F(size) F(used)
#define FIELDS_m_ctl_issue(F, E, L) F(kind) F(object) F(text) F(mend) F(mended)
#define FIELDS_m_ctl_block(F, E, L) F(cidr) F(size) F(used) F(free) F(cooling)
#define FIELDS_m_ctl_endpoint(F, E, L)                                                             \
	F(namespace_)                                                                              \
	F(name)                                                                                    \
	F(container_id)                                                                            \
	F(ifname)                                                                                  \
	F(host)                                                                                    \
	F(network)                                                                                 \
	F(addresses)                                                                               \
	L(labels, msg_kv)                                                                          \
	L(policies, msg_text)                                                                      \
	F(ready)

/* Every struct; one that others list comes before them. */
#define STRUCTS(S)                                                                                 \
	S(msg_addr_item) S(msg_text) S(msg_u32) S(msg_kv)                                          \
	S(m_init_fd) S(m_init) S(m_ctl_client) S(m_log_level) S(m_ready) S(m_fatal)                \
	S(m_bgp_begin) S(m_bgp_peer) S(m_bgp_origin) S(m_bgp_pool) S(m_bgp_pools)                  \
	S(m_iface) S(m_iface_gone) S(m_nh_state) S(m_routes_failed)                                \
	S(m_nh_track) S(m_nexthop) S(m_nhg) S(m_nhg_del) S(m_routes)                               \
	S(m_cni_add) S(m_cni_del) S(m_cni_ip) S(m_cni_result) S(m_cni_error)                       \
	S(m_ctl_open) S(m_ctl_query) S(m_ctl_error) S(m_ctl_node) S(m_ctl_daemon)                  \
	S(m_ctl_bgp) S(m_ctl_peer) S(m_ctl_path) S(m_ctl_route) S(m_ctl_felix)                     \
	S(m_ctl_pool) S(m_ctl_block) S(m_ctl_endpoint) S(m_ctl_node_use) S(m_ctl_issue)

/* Every message: type, struct of its body, fewest and most descriptors; N(type) has no body. */
#define MESSAGES(M, N)                                                                             \
	M(M_INIT, m_init, 0, MSG_MAX_FDS)                                                          \
	N(M_CHANNEL, 1)                                                                            \
	M(M_CTL_CLIENT, m_ctl_client, 1, 1)                                                        \
	M(M_LOG_LEVEL, m_log_level, 0, 0)                                                          \
	M(M_READY, m_ready, 0, 0)                                                                  \
	M(M_FATAL, m_fatal, 0, 0)                                                                  \
	N(M_KUBE_ACCESS, 1)                                                                        \
	N(M_KUBE_REFRESH, 0)                                                                       \
	M(M_BGP_BEGIN, m_bgp_begin, 0, 0)                                                          \
	M(M_BGP_PEER, m_bgp_peer, 0, 0)                                                            \
	M(M_BGP_ORIGIN, m_bgp_origin, 0, 0)                                                        \
	M(M_BGP_POOLS, m_bgp_pools, 0, 0)                                                          \
	N(M_BGP_END, 0)                                                                            \
	M(M_IFACE, m_iface, 0, 0)                                                                  \
	M(M_IFACE_GONE, m_iface_gone, 0, 0)                                                        \
	N(M_IFACE_SYNC, 0)                                                                         \
	M(M_NH_STATE, m_nh_state, 0, 0)                                                            \
	M(M_ROUTES_FAILED, m_routes_failed, 0, 0)                                                  \
	M(M_NH_TRACK, m_nh_track, 0, 0)                                                            \
	M(M_NHG, m_nhg, 0, 0)                                                                      \
	M(M_NHG_DEL, m_nhg_del, 0, 0)                                                              \
	M(M_ROUTES, m_routes, 0, 0)                                                                \
	N(M_ROUTES_END, 0)                                                                         \
	M(M_CNI_ADD, m_cni_add, 1, 1)                                                              \
	M(M_CNI_DEL, m_cni_del, 0, 0)                                                              \
	M(M_CNI_CHECK, m_cni_add, 1, 1)                                                            \
	M(M_CNI_RESULT, m_cni_result, 0, 0)                                                        \
	N(M_CNI_OK, 0)                                                                             \
	M(M_CNI_ERROR, m_cni_error, 0, 0)                                                          \
	M(M_CTL_OPEN, m_ctl_open, 0, 0)                                                            \
	M(M_CTL_QUERY, m_ctl_query, 0, 0)                                                          \
	N(M_CTL_END, 0)                                                                            \
	M(M_CTL_ERROR, m_ctl_error, 0, 0)                                                          \
	M(M_CTL_NODE, m_ctl_node, 0, 0)                                                            \
	M(M_CTL_DAEMON, m_ctl_daemon, 0, 0)                                                        \
	M(M_CTL_BGP, m_ctl_bgp, 0, 0)                                                              \
	M(M_CTL_PEER, m_ctl_peer, 0, 0)                                                            \
	M(M_CTL_ROUTE, m_ctl_route, 0, 0)                                                          \
	M(M_CTL_FELIX, m_ctl_felix, 0, 0)                                                          \
	M(M_CTL_POOL, m_ctl_pool, 0, 0)                                                            \
	M(M_CTL_BLOCK, m_ctl_block, 0, 0)                                                          \
	M(M_CTL_ENDPOINT, m_ctl_endpoint, 0, 0)                                                    \
	M(M_CTL_NODE_USE, m_ctl_node_use, 0, 0)                                                    \
	M(M_CTL_ISSUE, m_ctl_issue, 0, 0)

/* An item of msg_addr_list, which has no struct of its own. */
struct msg_addr_item {
	struct addr a;
};

/* The kind follows from the C type; a type that the codec does not know does not compile. */
#define KIND(m)                                                                                    \
	_Generic(((ROW *)0)->m,                                                                    \
		bool: MF_BOOL,                                                                     \
		uint8_t: MF_U8,                                                                    \
		uint16_t: MF_U16,                                                                  \
		uint32_t: MF_U32,                                                                  \
		uint64_t: MF_U64,                                                                  \
		const char *: MF_STR,                                                              \
		struct addr: MF_ADDR,                                                              \
		struct prefix: MF_PREFIX,                                                          \
		msg_prefix_list: MF_PREFIXES)
#define LIST_FITS(m, row)                                                                          \
	(0 * sizeof(char[sizeof(*((ROW *)0)->m.v) == sizeof(struct row) &&                         \
			 sizeof(((ROW *)0)->m) == sizeof(struct mlist) ? 1 : -1]))

/* ROW is a typedef of each row's function. */
#define AS_F(m) { #m, NULL, offsetof(ROW, m), KIND(m), 255 },
#define AS_E(m, last) { #m, NULL, offsetof(ROW, m), _Generic(((ROW *)0)->m, uint8_t: MF_U8), last },
#define AS_L(m, row) { #m, row_##row, offsetof(ROW, m) + LIST_FITS(m, row), MF_LIST, 0 },

/* The probe: a copy by an initialiser with one value a field. One too few is
 * -Wmissing-field-initializers; one too many, or two of different types in the wrong order, does
 * not compile. */
#define ONE_F(m) from->m,
#define ONE_E(m, last) from->m,
#define ONE_L(m, row) from->m,

#define ROW_OF(s)                                                                                  \
	static inline void probe_##s(const struct s *from)                                         \
	{                                                                                          \
		const struct s to = { FIELDS_##s(ONE_F, ONE_E, ONE_L) };                           \
		(void)to;                                                                          \
	}                                                                                          \
	static const struct mrow *row_##s(void)                                                    \
	{                                                                                          \
		typedef struct s ROW;                                                              \
		(void)probe_##s;                                                                   \
		static const struct mfield fields[] = { FIELDS_##s(AS_F, AS_E, AS_L) };            \
		static const struct mrow row = { #s, fields, sizeof(ROW), _Alignof(ROW),           \
						 sizeof(fields) / sizeof(fields[0]) };             \
		return &row;                                                                       \
	}

STRUCTS(ROW_OF)

#define CASE_M(type, s, least, most)                                                               \
	case type: {                                                                               \
		static const struct msg_def def = { #type, row_##s, least, most };                 \
		return &def;                                                                       \
	}
#define CASE_N(type, nfds)                                                                         \
	case type: {                                                                               \
		static const struct msg_def def = { #type, NULL, nfds, nfds };                     \
		return &def;                                                                       \
	}

/* clang-format on */

const struct msg_def *msg_def(unsigned type)
{
	switch ((enum msg_type)type) {
		MESSAGES(CASE_M, CASE_N)
	case M_TYPE_END:
		break;
	}
	return NULL;
}

const char *msg_name(unsigned type)
{
	const struct msg_def *def = msg_def(type);

	return def ? def->name : "?";
}

unsigned msg_max_fds(unsigned type)
{
	const struct msg_def *def = msg_def(type);

	return def ? def->max_fds : 0;
}
