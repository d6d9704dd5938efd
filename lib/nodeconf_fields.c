/* The tables of node.yaml and of the BGP keys that Calico's schema does not have. */
#include "config.h"

#include <stddef.h>
#include <string.h>

#include "lib/log.h"
#include "lib/msg.h"
#include "lib/nodeconf.h"

enum { HOLD_MIN_MS = 3000, HOLD_MAX_MS = 65535 * 1000 };

#define CONF(member)  offsetof(struct nodeconf, member)
#define EXTRA(member) offsetof(struct conf_bgp_extra, member)

const struct field conf_bgp_extra_fields[] = {
	{ "holdTime", F_DURATION, EXTRA(hold_time), .def = "9s", .min = 0, .max = HOLD_MAX_MS,
	  .help = "BGP hold time offered to the peer: 0 (no keepalives) or at least 3s" },
	{ "keepaliveTime", F_DURATION, EXTRA(keepalive), .def = "0", .min = 0, .max = HOLD_MAX_MS,
	  .help = "time between keepalives; 0 is a third of the hold time agreed" },
	{ "bfd", F_BOOL, EXTRA(bfd), .def = "false",
	  .help = "watch the peer with BFD (taken, not served by this version)" },
	{ "interface", F_STR, EXTRA(interface), .def = "",
	  .help = "the interface that a link-local peer address belongs to" },
	{ "role", F_STR, EXTRA(role), .def = "",
	  .help = "BGP role, RFC 9234 (taken, not served by this version)" },
	{ "addPath", F_STR, EXTRA(add_path), .def = "",
	  .help = "several paths a prefix, RFC 7911 (taken, not served by this version)" },
	{ "longLivedGracefulRestart", F_DURATION, EXTRA(long_lived_gr), .def = "0",
	  .help = "how long stale routes are kept, RFC 9494 (taken, not served by this version)" },
	{ "maxPrefixes", F_U32, EXTRA(max_prefixes), .def = "0",
	  .help = "the session is ended when the peer sends more prefixes; 0 is no limit" },
	{ "passive", F_BOOL, EXTRA(passive), .def = "false",
	  .help = "wait for the peer to connect" },
	FIELDS_END,
};

static const struct field address_from_fields[] = {
	{ "interface", F_STR, CONF(node.address_from.interface), .def = "",
	  .help = "a glob of interface names, like eth*; the first with an address is taken" },
	{ "cidr", F_PREFIX, CONF(node.address_from.cidr),
	  .help = "a network that the node's address lies in" },
	{ "reach", F_ADDR, CONF(node.address_from.reach),
	  .help = "an address; the node's is the one from which the kernel would reach it" },
	FIELDS_END,
};

static const struct field node_fields[] = {
	{ "name", F_STR, CONF(node.name), .def = "",
	  .help = "the node's name, as in its Node document; empty is the host name" },
	{ "address", F_LIST, CONF(node.address), .item = F_IFADDR, .def = "[]",
	  .help = "the node's own addresses with their lengths, one a family; empty is found by "
		  "addressFrom" },
	{ "addressFrom", F_MAP, 0, .sub = address_from_fields,
	  .help = "how the node's address is found: one of the keys below; without it, the address "
		  "of the default route's interface" },
	FIELDS_END,
};

static const char *const datastore_kinds[] = { "directory", "kubernetes", NULL };

static const struct field datastore_fields[] = {
	{ "kind", F_ENUM, CONF(datastore.kind), .def = "directory", .words = datastore_kinds,
	  .help = "where resources come from: YAML files in a folder, or a Kubernetes API" },
	{ "path", F_STR, CONF(datastore.path), .def = "/etc/selvage/resources.d",
	  .help = "the folder of *.yaml files" },
	{ "kubeconfig", F_STR, CONF(datastore.kubeconfig), .def = "/etc/selvage/kubeconfig",
	  .help = "how the Kubernetes API is reached; unless this key or context is written, a "
		  "pod's "
		  "own service account comes first" },
	{ "context", F_STR, CONF(datastore.context), .def = "",
	  .help = "the context of the kubeconfig; empty is its current-context" },
	{ "servers", F_LIST, CONF(datastore.servers), .item = F_STR, .def = "[]",
	  .help = "addresses of API servers (https://HOST:PORT) to be used in turn, instead of the "
		  "kubeconfig's one" },
	FIELDS_END,
};

static const struct field listen_fields[] = {
	{ "address", F_ADDR, offsetof(struct conf_listen, address), .required = true,
	  .help = "a local address; \"::\" and 0.0.0.0 are all of a family" },
	{ "port", F_U32, offsetof(struct conf_listen, port), .def = "179", .min = 1, .max = 65535,
	  .help = "the TCP port" },
	FIELDS_END,
};

static const struct field dynamic_fields[] = {
	{ "prefix", F_PREFIX, offsetof(struct conf_dynamic, prefix), .required = true,
	  .help = "neighbours from this network are accepted" },
	{ "asn", F_ASN, offsetof(struct conf_dynamic, asn), .help = "their AS number" },
	{ "max", F_U32, offsetof(struct conf_dynamic, max), .def = "100", .min = 1, .max = 65535,
	  .help = "at most so many at once" },
	{ "passwordFile", F_STR, offsetof(struct conf_dynamic, password_file), .def = "",
	  .help = "a file with their TCP MD5 password" },
	FIELDS_END,
};

static const struct field bfd_fields[] = {
	{ "interval", F_DURATION, CONF(bgp.bfd.interval), .def = "100ms", .min = 10, .max = 60000,
	  .help = "time between BFD packets" },
	{ "multiplier", F_U32, CONF(bgp.bfd.multiplier), .def = "3", .min = 1, .max = 255,
	  .help = "how many may be missed" },
	FIELDS_END,
};

/* In the order of enum bgp_export. */
static const char *const export_words[] = { "node", "pools", "all", NULL };

static const struct field bgp_fields[] = {
	{ "asn", F_ASN, CONF(bgp.asn),
	  .help = "the node's AS number; without it the Node document's, then BGPConfiguration's, "
		  "then 64512" },
	{ "routerID", F_ADDR, CONF(bgp.router_id),
	  .help = "the BGP identifier; without it the node's IPv4 address" },
	{ "listen", F_LIST, CONF(bgp.listen), .item = F_MAP,
	  .item_size = sizeof(struct conf_listen), .sub = listen_fields,
	  .def = "[{address: \"::\", port: 179}, {address: 0.0.0.0, port: 179}]",
	  .help = "where peers may connect to; [] for nowhere" },
	{ "defaults", F_MAP, CONF(bgp.defaults), .sub = conf_bgp_extra_fields,
	  .help = "for every peer; a BGPPeer's annotation selvage.io/<key> wins" },
	{ "export", F_ENUM, CONF(bgp.export_mode), .def = "pools", .words = export_words,
	  .help = "what peers are told: node (own blocks and services), pools (also learned routes "
		  "inside a pool), all (every valid route)" },
	{ "install", F_BOOL, CONF(bgp.install), .def = "true",
	  .help = "put learned routes into the kernel; false on a pure route reflector" },
	{ "dynamicNeighbors", F_LIST, CONF(bgp.dynamic), .item = F_MAP,
	  .item_size = sizeof(struct conf_dynamic), .sub = dynamic_fields, .def = "[]",
	  .help = "networks from which neighbours are accepted (taken, not served by this "
		  "version)" },
	{ "requirePolicy", F_BOOL, CONF(bgp.require_policy), .def = "false",
	  .help = "refuse routes of eBGP peers without a policy, RFC 8212 (taken, not served by "
		  "this "
		  "version)" },
	{ "bfd", F_MAP, 0, .sub = bfd_fields,
	  .help = "BFD timers (taken, not served by this version)" },
	FIELDS_END,
};

static const char *const mtu_words[] = { "auto=0", NULL };
static const char *const table_words[] = { "main=254", NULL };

static const struct field dataplane_fields[] = {
	{ "mtu", F_U32, CONF(dataplane.mtu), .def = "auto", .words = mtu_words, .min = 1,
	  .max = 65535,
	  .help = "the MTU of pod interfaces; auto takes the smallest of the uplinks" },
	{ "routeTable", F_U32, CONF(dataplane.route_table), .def = "main", .words = table_words,
	  .min = 1, .max = UINT32_MAX, .help = "the kernel's table for routes" },
	FIELDS_END,
};

static const struct field state_fields[] = {
	{ "dir", F_STR, CONF(state.dir), .def = "/var/lib/selvage",
	  .help = "the folder of the address journal; it must survive a reboot" },
	{ "run", F_STR, CONF(state.run), .def = "/run/selvage",
	  .help = "the folder of the sockets" },
	FIELDS_END,
};

/* In the order of enum log_level. */
static const char *const level_words[] = { "error", "warn", "info", "debug", NULL };

static const struct field log_fields[] = {
	{ "level", F_ENUM, CONF(log_level), .def = "info", .words = level_words,
	  .help = "how much is logged; nodectl log changes it at run time" },
	FIELDS_END,
};

static const struct field metrics_fields[] = {
	{ "listen", F_STR, CONF(metrics.listen), .def = "",
	  .help = "address and port of the page of metrics" },
	FIELDS_END,
};

const struct field nodeconf_fields[] = {
	{ "node", F_MAP, 0, .sub = node_fields, .help = "this node" },
	{ "datastore", F_MAP, 0, .sub = datastore_fields, .help = "where resources come from" },
	{ "bgp", F_MAP, 0, .sub = bgp_fields, .help = "the BGP speaker" },
	{ "dataplane", F_MAP, 0, .sub = dataplane_fields, .help = "routes and pod interfaces" },
	{ "state", F_MAP, 0, .sub = state_fields, .help = "folders of this node" },
	{ "log", F_MAP, 0, .sub = log_fields, .help = "logging" },
	{ "metrics", F_MAP, 0, .sub = metrics_fields, .help = "metrics" },
	FIELDS_END,
};

/* ---- the BGP keys as a set ---- */

void conf_bgp_extra_mark(struct conf_bgp_extra *e, const struct node *map)
{
	e->set = 0;
	for (unsigned i = 0; conf_bgp_extra_fields[i].key; i++) {
		const struct node *n = node_get(map, conf_bgp_extra_fields[i].key);

		if (n && n->kind != NODE_NULL)
			e->set |= 1u << i;
	}
}

void conf_bgp_extra_merge(struct conf_bgp_extra *e, const struct conf_bgp_extra *over)
{
	for (unsigned i = 0; conf_bgp_extra_fields[i].key; i++) {
		const struct field *f = &conf_bgp_extra_fields[i];

		if (over->set & 1u << i)
			memcpy((char *)e + f->offset, (const char *)over + f->offset,
			       field_size(f));
	}
	e->set |= over->set;
}

const char *conf_bgp_extra_problem(const struct conf_bgp_extra *e)
{
	/* RFC 4271 section 4.2. */
	if (e->hold_time && e->hold_time < HOLD_MIN_MS)
		return "holdTime must be 0 (no keepalives) or at least 3s (RFC 4271)";
	if (e->hold_time % 1000)
		return "holdTime must be whole seconds";
	if (e->keepalive % 1000)
		return "keepaliveTime must be whole seconds";
	if (e->hold_time && e->keepalive >= e->hold_time)
		return "keepaliveTime must be shorter than holdTime; a third of it is usual";
	return NULL;
}

void conf_bgp_extra_later(const struct conf_bgp_extra *e,
			  void (*cb)(void *arg, const char *key, const char *what), void *arg)
{
	if (e->bfd)
		cb(arg, "bfd", "BFD");
	if (e->role && *e->role)
		cb(arg, "role", "BGP roles");
	if (e->add_path && *e->add_path)
		cb(arg, "addPath", "add-path");
	if (e->long_lived_gr)
		cb(arg, "longLivedGracefulRestart", "long-lived graceful restart");
}
