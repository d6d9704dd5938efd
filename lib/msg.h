/* What the processes say to each other: every message, its body, and the table that encodes it.
 *
 * This is the only place where the daemons meet. A message is a C struct here and a row of
 * fields in lib/msg_table.c; the codec walks the row. On the wire (SOCK_SEQPACKET, one message a
 * packet, lib/ipc.h): u8 magic 0xB6, u8 version, u16 type, body; integers big-endian, strings and
 * lists with a u16 or u32 count before them. A packet that does not decode to its last byte, or
 * that carries descriptors its row does not allow, makes the receiver drop the sender.
 *
 * Decoded strings, bytes and lists live in the arena given to msg_decode(). In a body to be
 * encoded, a NULL string is the empty string; a decoded string is never NULL.
 */
#ifndef SELVAGE_LIB_MSG_H
#define SELVAGE_LIB_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/bytes.h"
#include "lib/err.h"
#include "lib/prefix.h"

enum { MSG_MAGIC = 0xB6, MSG_VERSION = 1, MSG_MAX = 60 * 1024, MSG_MAX_FDS = 64 };

enum msg_type {
	/* noded -> child */
	M_INIT = 1,     /* first message to a child, with all its descriptors */
	M_CHANNEL,      /* a new channel to the other daemon (1 fd) */
	M_CTL_CLIENT,   /* a control client to serve (1 fd) */
	M_LOG_LEVEL,    /* also nodectl -> noded */
	/* child -> noded */
	M_READY,        /* how the child is; the first one ends start-up */
	M_FATAL,        /* the first start cannot succeed; noded says so and exits */
	/* noded -> felix: the access to the Kubernetes API has changed (1 fd, as INIT_KUBE) */
	M_KUBE_ACCESS,
	/* felix -> noded: the API refuses the credentials (401): read them again */
	M_KUBE_REFRESH,

	/* felix -> bgpd: one whole configuration between BEGIN and END; bgpd applies the difference */
	M_BGP_BEGIN = 32,
	M_BGP_PEER,
	M_BGP_ORIGIN,   /* prefixes that this node originates */
	M_BGP_POOLS,
	M_BGP_END,
	/* felix -> bgpd: what the kernel knows */
	M_IFACE,        /* an interface is new or changed: whole state */
	M_IFACE_GONE,
	M_IFACE_SYNC,   /* all interfaces have been told */
	M_NH_STATE,
	M_ROUTES_FAILED, /* the kernel refused these */
	/* bgpd -> felix */
	M_NH_TRACK,
	M_NHG,          /* a next-hop group: define or change */
	M_NHG_DEL,      /* no route uses it any more */
	M_ROUTES,       /* these prefixes now go to this group; group 0: withdrawn */
	M_ROUTES_END,   /* all learned routes are known: sweep what was left from before */

	/* plugin -> felix (cni.sock) and the answers */
	M_CNI_ADD = 64, /* 1 fd: a NETLINK_ROUTE socket opened in the pod's netns */
	M_CNI_DEL,
	M_CNI_CHECK,    /* 1 fd, as ADD */
	M_CNI_RESULT,   /* answer to ADD */
	M_CNI_OK,       /* answer to DEL and CHECK */
	M_CNI_ERROR,

	/* nodectl -> noded, then (the descriptor handed on) -> bgpd or felix; rows, then END */
	M_CTL_OPEN = 96,
	M_CTL_QUERY,
	M_CTL_END,
	M_CTL_ERROR,
	M_CTL_NODE,     /* rows of noded */
	M_CTL_DAEMON,
	M_CTL_BGP,      /* rows of bgpd */
	M_CTL_PEER,
	M_CTL_ROUTE,
	M_CTL_FELIX,    /* rows of felix */
	M_CTL_POOL,
	M_CTL_BLOCK,
	M_CTL_ENDPOINT,
	M_CTL_NODE_USE, /* felix: what another node holds */
	M_CTL_ISSUE,    /* felix: one finding of `ipam check` */

	M_TYPE_END
};

/* A list: v points at n items in the arena. */
#define MSG_LIST(T)                                                                                \
	struct {                                                                                   \
		uint32_t n;                                                                        \
		T *v;                                                                              \
	}

typedef MSG_LIST(struct prefix) msg_prefix_list;
typedef MSG_LIST(struct addr) msg_addr_list;
struct msg_text {
	const char *text;
};
typedef MSG_LIST(struct msg_text) msg_text_list;
struct msg_u32 {
	uint32_t v;
};
typedef MSG_LIST(struct msg_u32) msg_u32_list;
struct msg_kv {
	const char *key, *value;
};
typedef MSG_LIST(struct msg_kv) msg_kv_list;

/* ---- noded and its children ---- */

/* What each descriptor of M_INIT is, in their order. */
enum init_fd {
	INIT_CONFIG = 1, /* node.yaml, open for reading at offset 0 */
	INIT_CHANNEL,    /* to the other daemon */
	INIT_LISTENER,   /* bgpd: a bound, listening TCP socket; name = "address port" */
	INIT_CHROOT,     /* bgpd: the empty folder to chroot into */
	INIT_CNI,        /* felix: listening cni.sock */
	INIT_STATE_DIR,  /* felix: state.dir, owned by felix's uid */
	INIT_STORE_DIR,  /* felix: datastore.path, opened O_DIRECTORY */
	INIT_SPOOL_DIR,  /* felix: run/spool, where plugins leave DELs while felix is away */
	INIT_KUBE,       /* felix: a sealed memfd with kube_access_encode()'s bytes */
};

struct m_init_fd {
	uint8_t kind; /* enum init_fd */
	const char *name;
};

struct m_init {
	const char *config_path; /* for messages; read the descriptor */
	const char *node;        /* the node's name, resolved */
	uint32_t uid, gid;       /* to become; 0: stay root (tests that run unprivileged) */
	uint32_t restarts;       /* how often this child was started before */
	bool check_only;         /* felix: check the resources, M_READY or M_FATAL, exit */
	MSG_LIST(struct m_init_fd) fds;
};

struct m_ctl_client {
	bool readonly;
};

struct m_log_level {
	const char *sub; /* "" = all */
	uint8_t level;   /* enum log_level */
};

struct m_ready {
	bool ready;
	const char *reason; /* why not, for `nodectl status` and systemd */
};

struct m_fatal {
	const char *text;
};

/* ---- felix -> bgpd ---- */

enum bgp_export { EXPORT_NODE, EXPORT_POOLS, EXPORT_ALL };
enum bgp_peer_type { PEER_MESH, PEER_NODE, PEER_GLOBAL, PEER_DYNAMIC, PEER_LOCAL };
enum bgp_nexthop_mode { NEXTHOP_AUTO, NEXTHOP_SELF, NEXTHOP_KEEP };

struct m_bgp_begin {
	uint32_t asn, router_id; /* router_id in host order */
	uint8_t export_mode;     /* enum bgp_export */
	bool install;            /* send learned routes to felix */
	bool require_policy;     /* RFC 8212 */
	uint32_t cluster_id;     /* 0: this node is no reflector */
};

struct m_bgp_peer {
	const char *name;      /* the resource's name; "<name>/<node>" where one makes several */
	uint8_t type;          /* enum bgp_peer_type */
	struct addr address;   /* FAM_NONE: by interface */
	const char *interface; /* "" where the address says all */
	uint16_t port;
	uint32_t asn;          /* the peer's; 0: any external */
	uint32_t local_asn;    /* 0: the node's */
	uint32_t hold_time;    /* s; 0: no keepalives */
	uint32_t keepalive;    /* s; 0: a third of hold_time */
	uint32_t connect_retry; /* s */
	uint8_t nexthop_mode;
	struct addr source;    /* FAM_NONE: the kernel's choice */
	uint8_t ttl_security;  /* hops; 0: off (RFC 5082) */
	uint8_t allowed_own_as; /* numAllowedLocalASNumbers */
	const char *password;  /* RFC 2385; "" none */
	uint32_t restart_time; /* s announced for graceful restart (RFC 4724); 0: not announced */
	uint32_t max_prefixes; /* 0: no limit */
	bool passive, reflector_client;
};

enum origin_kind {
	ORIGIN_BLOCK,
	ORIGIN_SERVICE,
	ORIGIN_ADDRESS,
	ORIGIN_KEEP_OUT, /* not originated: learned routes inside of these stay out of the kernel */
};

struct m_bgp_origin {
	uint8_t kind; /* enum origin_kind */
	msg_prefix_list prefixes;
};

struct m_bgp_pool {
	struct prefix cidr;
	bool disable_export;
};

struct m_bgp_pools {
	MSG_LIST(struct m_bgp_pool) pools;
};

struct m_iface {
	uint32_t ifindex;
	const char *name;
	bool up; /* administratively up and carrier */
	msg_prefix_list addresses; /* with host bits; tentative IPv6 addresses are left out */
};

struct m_iface_gone {
	uint32_t ifindex;
};

struct m_nh_state {
	struct addr nexthop;
	bool reachable;
	uint32_t metric;
};

struct m_routes_failed {
	const char *reason;
	msg_prefix_list prefixes;
};

/* ---- bgpd -> felix ---- */

struct m_nh_track {
	struct addr nexthop;
	bool on;
};

struct m_nexthop {
	struct addr gateway;
	uint32_t ifindex; /* 0: felix resolves; else on-link there (unnumbered) */
	uint16_t weight;  /* 1 = plain ECMP */
};

struct m_nhg {
	uint32_t id; /* bgpd's number, not the kernel's; never 0 */
	MSG_LIST(struct m_nexthop) nexthops;
};

struct m_nhg_del {
	uint32_t id;
};

struct m_routes {
	uint32_t nhg;
	msg_prefix_list prefixes;
};

/* ---- the plugin and felix ---- */

struct m_cni_add { /* also CHECK */
	const char *container_id, *ifname, *network, *netns; /* netns: its path, for messages */
	const char *namespace_, *pod;                        /* "" outside an orchestrator */
	const char *uid; /* the pod's, where the runtime says it; else "" */
	msg_kv_list labels, annotations;
	msg_addr_list ips;   /* asked for; empty: IPAM chooses */
	const char *mac;     /* asked for, or "" */
	uint32_t mtu;        /* 0: the node's */
	msg_prefix_list expect; /* CHECK: the addresses that prevResult names */
	/* The configuration's ipv4_pools and ipv6_pools (names or CIDRs), and the families (bits,
	 * 1 << FAM_V4 ...) of assign_ipv4 and assign_ipv6; 0: they say nothing. */
	msg_text_list ipv4_pools, ipv6_pools;
	uint8_t families;
	uint64_t started; /* when the plugin was: ns of CLOCK_BOOTTIME; 0 unknown */
};

struct m_cni_del {
	const char *container_id, *ifname, *network;
	uint64_t started; /* as above */
};

struct m_cni_ip {
	struct prefix address; /* /32 or /128 */
	struct addr gateway;
};

struct m_cni_result {
	const char *host_ifname, *host_mac, *pod_mac;
	uint32_t mtu;
	MSG_LIST(struct m_cni_ip) ips;
};

/* code: a CNI error code (SPEC section 5; 100 and more are ours). */
struct m_cni_error {
	uint32_t code;
	const char *text, *details;
};

/* ---- nodectl ---- */

enum ctl_target { CTL_NODED, CTL_BGPD, CTL_FELIX };

struct m_ctl_open {
	uint8_t target; /* enum ctl_target; noded answers its own rows at once */
};

enum ctl_what {
	CTL_STATUS = 1, /* bgpd: BGP and PEER rows; felix: FELIX, POOL, BLOCK rows */
	CTL_PEERS,      /* bgpd; name = one peer or "" */
	CTL_ROUTES,     /* bgpd; prefix or FAM_NONE, name = peer of --in/--out, filter */
	CTL_IPAM,       /* felix: POOL, BLOCK rows */
	CTL_ENDPOINTS,  /* felix */
	CTL_IPAM_ALL,   /* felix: POOL, BLOCK rows and, with an API, NODE_USE rows of every node */
	CTL_IPAM_CHECK, /* felix: ISSUE rows */
	CTL_IPAM_RELEASE, /* felix, not read-only: mends what is safe; name = one address or "" */
};

enum ctl_route_filter { CTL_ROUTE_ALL, CTL_ROUTE_BEST, CTL_ROUTE_IN, CTL_ROUTE_OUT };

struct m_ctl_query {
	uint8_t what, filter;
	const char *name;
	struct prefix prefix;
};

struct m_ctl_error {
	const char *text;
};

/* Times are seconds since the epoch (UTC), 0 = never. */
struct m_ctl_node {
	const char *node, *version;
};

/* noded's own reason where a daemon's row says which. */
#define CTL_REASON_DAEMON "a daemon is not ready"

struct m_ctl_daemon {
	const char *name, *state; /* state: running, starting, "waiting 2 s after signal 11" */
	uint32_t pid;
	uint64_t since;
	uint32_t restarts;
	uint64_t pss; /* bytes */
	bool ready;
	const char *reason;
};

struct m_ctl_bgp {
	uint32_t asn, router_id;
};

struct m_ctl_peer {
	const char *name, *interface;
	struct addr address, local;
	uint32_t asn, local_asn;
	uint8_t type, state; /* enum bgp_peer_type; RFC 4271 state 0 Idle .. 5 Established */
	uint64_t since;
	uint32_t received, accepted, advertised;
	const char *last_error;
	uint32_t hold_time, keepalive;
	uint64_t updates_in, updates_out, messages_in, messages_out;
	const char *capabilities; /* words, agreed ones */
};

struct m_ctl_path {
	const char *peer; /* "" = local */
	struct addr nexthop;
	msg_u32_list as_path;
	const char *as_path_text; /* with sets in braces */
	uint32_t local_pref, med;
	bool has_med;
	uint8_t origin;
	msg_text_list communities;
	bool best, multipath, stale;
	const char *reason; /* why not best */
};

struct m_ctl_route {
	struct prefix prefix;
	bool installed;
	MSG_LIST(struct m_ctl_path) paths;
	msg_text_list advertised_to;
};

struct m_ctl_felix {
	bool ready;
	msg_text_list reasons;
	const char *store_kind;
	bool synced;
	uint64_t last_contact;
	msg_text_list store_errors;
	uint32_t endpoints, endpoints_ready;
	uint32_t policies, policies_invalid;
	uint64_t policy_applied;
	uint32_t routes_learned, routes_local; /* in the kernel now */
};

struct m_ctl_pool {
	struct prefix cidr;
	const char *name;
	uint64_t size, used; /* addresses, of this node's blocks and all it knows */
	uint64_t claimed;    /* addresses in blocks that some node has; 0 unknown */
	bool whole;	     /* used and claimed are of every node, not of this one */
};

struct m_ctl_node_use {
	const char *node; /* "" blocks of no node */
	uint32_t blocks;
	uint64_t size, used;
};

/* The journal, the links, the API's objects and the pods do not agree in this. */
struct m_ctl_issue {
	const char *kind;   /* a fixed word: "leaked-address", ... */
	const char *object; /* what it is about: an address, a block, a handle */
	const char *text;   /* what is wrong, for people */
	const char *mend;   /* what `ipam release` does about it; "" nothing safe: see text */
	bool mended;	    /* it was done just now */
};

struct m_ctl_block {
	struct prefix cidr;
	uint64_t size, used, free, cooling;
};

struct m_ctl_endpoint {
	const char *namespace_, *name, *container_id, *ifname, *host, *network;
	msg_prefix_list addresses;
	msg_kv_list labels;
	msg_text_list policies;
	bool ready;
};

/* ---- the codec ---- */

struct msg {
	uint16_t type;
	const void *body; /* the struct of that type, in the arena */
	const int *fds;   /* owned by whoever received the message (ipc.h says) */
	unsigned nfds;
};

struct msg_def;

/* The row of a type; NULL for a number that is no type. */
const struct msg_def *msg_def(unsigned type);
const char *msg_name(unsigned type); /* "M_ROUTES"; "?" for an unknown number */
unsigned msg_max_fds(unsigned type);

/* Writes header and body; w->full tells a body that does not fit MSG_MAX or w's room. Body may be
 * NULL for types that have none. */
void msg_encode(struct wr *w, enum msg_type type, const void *body);

/* Decodes a whole packet; body memory comes from the arena. 0 or -1 (what is wrong, at which
 * field). out->fds is left alone. */
int msg_decode(const void *data, size_t len, struct arena *arena, struct msg *out,
	       struct err *err);

#endif
