/* Where desired state comes from: one interface, two makers (`directory` and `kube`).
 *
 * The store keeps the last good version of every object by kind, namespace and name, and tells the
 * owner of each change after a batch of changes. Objects are immutable: a change makes a new one.
 * Calico's kinds are those of its v3 API; fields that Selvage does not act on are accepted, known
 * by name, and listed in the table with F_IGNORE.
 */
#ifndef SELVAGE_STORE_STORE_H
#define SELVAGE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/schema.h"

enum kind {
	KIND_IPPOOL,
	KIND_IPRESERVATION,
	KIND_IPAMCONFIG,
	KIND_BLOCKAFFINITY,
	KIND_BGPCONFIGURATION,
	KIND_BGPPEER,
	KIND_BGPFILTER,
	KIND_NODE,
	KIND_NAMESPACE,
	KIND_SERVICE,
	KIND_ENDPOINTSLICE,
	KIND_SECRET,
	KIND_SERVICEACCOUNT,
	KIND_POLICY, /* every policy kind: kept as a tree until the policy engine reads it */
	KIND_COUNT
};
const char *kind_name(enum kind k);

struct object {
	enum kind kind;
	const char *kind_text; /* as written: "GlobalNetworkPolicy" */
	const char *group;     /* "projectcalico.org/v3", "v1", "networking.k8s.io/v1", ... */
	const char *name, *namespace_; /* namespace_ "" for cluster kinds */
	struct field_kvs labels, annotations;
	const char *origin; /* "pools.yaml:12" */
	const char *file;   /* "pools.yaml" */
	uint32_t position;  /* among the documents of its file, from 0 */
	bool exposed;	    /* everyone on the host may read its file */
	const void *spec;   /* struct spec_<kind> below */
	struct arena arena; /* owns all of it */
	unsigned refs;
};

struct spec_ippool {
	struct prefix cidr;
	uint32_t block_size; /* default 26 / 122 */
	bool nat_outgoing, disabled, disable_bgp_export;
	const char *node_selector, *namespace_selector;
	struct field_list allowed_uses; /* const char * */
	int assignment_mode;		/* 0 Automatic, 1 Manual */
};

struct spec_ipreservation {
	struct field_list cidrs; /* struct prefix */
};

struct spec_ipamconfig {
	bool strict_affinity, auto_allocate_blocks;
	uint32_t max_blocks_per_host, cooldown_seconds;
};

enum affinity_state { AFFINITY_CONFIRMED, AFFINITY_PENDING, AFFINITY_PENDING_DELETION };
struct spec_blockaffinity {
	const char *node;
	struct prefix cidr;
	int state;	  /* enum affinity_state; "" = confirmed */
	const char *type; /* host, virtual; "" = host */
	bool deleted;
};

struct community_name {
	const char *name, *value;
};
struct prefix_advertisement {
	struct prefix cidr;
	struct field_list communities; /* const char * */
};
struct cidr_item {
	struct prefix cidr;
};
enum lb_aggregation { LB_AGGREGATION_UNSET, LB_AGGREGATION_ENABLED, LB_AGGREGATION_DISABLED };

struct secret_ref { /* secretKeyRef; name "" unset */
	const char *name, *key;
};

struct spec_bgpconfiguration {
	bool node_mesh;		    /* nodeToNodeMeshEnabled */
	uint32_t asn;		    /* 0 unset: Calico's 64512 */
	uint32_t listen_port;	    /* 0 unset: 179 */
	int bind_mode;		    /* 0 None, 1 NodeIP */
	uint32_t mesh_restart_time; /* ms */
	struct field_list service_cluster_ips, service_external_ips, service_lb_ips; /* cidr_item */
	int lb_aggregation; /* serviceLoadBalancerAggregation: enum lb_aggregation */
	struct field_list communities, prefix_advertisements;
	struct field_list ignored_interfaces; /* const char * */
	struct secret_ref mesh_password;      /* nodeMeshPassword */
};

struct spec_bgppeer {
	const char *node, *node_selector, *peer_selector;
	const char *peer_ip; /* "10.0.0.1", "10.0.0.1:1790", "[fd00::1]:1790" */
	uint32_t asn, local_asn;
	int next_hop_mode; /* enum bgp_nexthop_mode */
	bool keep_original_next_hop;
	struct secret_ref password;
	int source_address;			   /* 0 UseNodeIP, 1 None */
	uint32_t max_restart_time, keepalive_time; /* ms */
	uint32_t allowed_local_asn;
	bool ttl_security_set;
	uint32_t ttl_security;
	const char *reachable_by;
	int reverse_peering; /* 0 Auto: nodes that peerSelector takes also peer back; 1 Manual */
	struct field_list filters;	     /* const char * */
	const char *local_workload_selector; /* "" unset */
	struct conf_bgp_extra *extra;	     /* selvage.io/<key> annotations; NULL: none */
};

struct spec_node { /* Calico's Node; the metadata carries labels and annotations */
	const char *ipv4_address, *ipv6_address; /* with prefix length, "" unset */
	uint32_t asn;				 /* 0 unset */
	const char *route_reflector_cluster_id;
	const char *pod_cidr;
	struct field_list pod_cidrs; /* struct prefix, of spec.podCIDRs */
};

enum service_type {
	SERVICE_CLUSTER_IP,
	SERVICE_NODE_PORT,
	SERVICE_LOAD_BALANCER,
	SERVICE_EXTERNAL_NAME,
};

struct spec_service {
	int type;      /* enum service_type */
	bool local;    /* externalTrafficPolicy: Local */
	bool cluster;  /* externalTrafficPolicy: Cluster; neither: not said */
	bool headless; /* clusterIP: None */
	uint8_t families; /* 1 << enum family, of ipFamilies or else of the cluster IPs; 0 any */
	/* struct addr. lb_ips: those in status.loadBalancer.ingress; where a document has no status
	 * (a file's), spec.loadBalancerIP. lb_asked: spec.loadBalancerIP, FAM_NONE unset. */
	struct field_list cluster_ips, external_ips, lb_ips;
	struct addr lb_asked;
};

struct spec_endpointslice {
	const char *service; /* the label kubernetes.io/service-name; "" none */
	uint8_t family;      /* enum family; FAM_NONE: host names */
	bool any_ready;
	/* const char *: the nodes that have a ready endpoint, sorted, each once. Only this is kept
	 * of the endpoints. */
	struct field_list ready_nodes;
};

struct secret_item {
	const char *key;
	const char *bytes; /* a 0 stands behind them */
	uint32_t len;
};

struct spec_secret {
	struct field_list items; /* struct secret_item */
};

struct spec_tree { /* policies, BGPFilter, Namespace, ServiceAccount: read by whoever acts on it */
	const struct node *spec;
};

/* Which nodes, pods or namespaces a selector takes: the whole grammar of facts/calico.md
 * lives in lib/selector.h; store only keeps the text. */

struct store;

struct pod; /* store/pods.h */

/* Any of them may be NULL. */
struct store_ops {
	/* Something changed; called at most once a loop turn, after the batch. kube: from the
	 * moment when it is synced. */
	void (*on_change)(void *arg);
	/* kube: the API refused the credentials (401). Fetch them anew and give them with
	 * store_kube_access(), since which it is called once. */
	void (*on_unauthorized)(void *arg);
	/* kube: a pod was added (was NULL), changed or removed (is NULL); called at once, one
	 * change after the other, also while the first list is read. */
	void (*on_pod)(void *arg, const struct pod *was, const struct pod *is);
};

struct store_status {
	const char *kind;      /* "directory", "kubernetes" */
	bool synced;	       /* a first complete read has been done: kube: of each needed kind */
	uint64_t last_contact; /* s since the epoch */
	unsigned nerrors;
	const char *const *errors; /* "pools.yaml:3:7: ...", borrowed until the next change */
};

struct ev_loop;

/* Reads dirfd (taken; path only names it in messages) now, completely, and watches it: a file
 * changed, added, renamed or removed is in force within a second. Files other than *.yaml and *.yml
 * and hidden ones are passed over. A broken document keeps its object's last good version; of two
 * documents for one object the first by file name and position wins. on_change is not called for
 * this first reading. loop NULL: read once. NULL only when the directory itself cannot be read. */
struct store *store_directory_open(struct ev_loop *loop, int dirfd, const char *path,
				   const struct store_ops *ops, void *arg, struct err *err);

struct kube_access; /* lib/kubeconfig.h */
struct store_kube_conf {
	const char *node;		  /* this node's name */
	const struct kube_access *access; /* where and as whom; copied */
	const char *secrets_namespace;	  /* of passwords; NULL: access's own, else kube-system */
	/* Nothing is listed or watched: store/ipam_api.h alone. on_change says when the API is
	 * known; store_list() stays empty. */
	bool requests_only;
};

/* The Kubernetes API. Returns at once; on_change says when it is synced. What a node need not know
 * is not asked for: all pods and service accounts only while a policy exists, services only while
 * a BGPConfiguration advertises them, secrets one by one. While the API is away the last state
 * stays, and store_status() says why. NULL only where access cannot be used at all. */
struct store *store_kube_open(struct ev_loop *loop, const struct store_kube_conf *conf,
			      const struct store_ops *ops, void *arg, struct err *err);
/* Other credentials or servers; copied. What is under way goes on with the old ones. */
int store_kube_access(struct store *s, const struct kube_access *access, struct err *err);
/* Every kind that is needed of this one has been listed completely once since it was needed. */
bool store_kind_synced(const struct store *s, enum kind k);

/* Pods (kube only: the directory has none). Borrowed until the next change. */
const struct pod *store_pod_find(const struct store *s, const char *namespace_, const char *name);
void store_pods_each(const struct store *s, void (*cb)(void *arg, const struct pod *p), void *arg);
/* The pods that are needed now (this node's; all while a policy exists) have been listed. */
bool store_pods_synced(const struct store *s);

/* Not from inside a callback of the store. */
void store_close(struct store *s);
void store_status(const struct store *s, struct store_status *out);

/* Objects of a kind in the order of namespace and name. n is set. Borrowed until the next change;
 * take a reference with object_ref() to keep one. */
const struct object *const *store_list(const struct store *s, enum kind k, unsigned *n);
const struct object *store_find(const struct store *s, enum kind k, const char *namespace_,
				const char *name);
/* A BGPPeer's peerIP: "10.0.0.1", "10.0.0.1:1790", "fd00::1", "[fd00::1]:1790". *port 0: none is
 * said. 0, or -1 where it is none of these. */
int peer_ip_parse(const char *text, struct addr *out, uint16_t *port);

/* Which stands first in the documents: by file name, then position in the file. */
int object_order(const struct object *a, const struct object *b);
struct object *object_ref(const struct object *o);
void object_unref(struct object *o);

/* What one object cannot see: pools that overlap, a pool that overlaps one of the node's own
 * networks, two affinities for one block, an affinity outside every pool, a peer that names no one,
 * a secret that everyone may read.
 * Pure. node_nets: the node's addresses with their lengths. fatal is set where addresses would be
 * wrong. */
void store_check(const struct store *s, const struct prefix *node_nets, unsigned n_nets,
		 struct problems *problems, bool *fatal);

#endif
