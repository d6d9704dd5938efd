#include "config.h"

#include "felix/bgpconf.h"

#include <string.h>

#include "felix/blocks.h"
#include "ipam/ipam.h"
#include "test/unit/store_dir.h"
#include "test/unit/unit.h"

#define CALICO(kind, name)                                                                         \
	"apiVersion: projectcalico.org/v3\nkind: " kind "\nmetadata: {name: " name "}\n"
#define LABELLED(kind, name, labels)                                                               \
	"apiVersion: projectcalico.org/v3\nkind: " kind "\nmetadata: {name: " name                 \
	", labels: {" labels "}}\n"
#define NOTED(kind, name, annotations)                                                             \
	"apiVersion: projectcalico.org/v3\nkind: " kind "\nmetadata: {name: " name                 \
	", annotations: {" annotations "}}\n"
#define NODE(name, bgp)		 CALICO("Node", name) "spec: {bgp: {" bgp "}}\n---\n"
#define LNODE(name, labels, bgp) LABELLED("Node", name, labels) "spec: {bgp: {" bgp "}}\n---\n"
#define PEER(name, spec)	 CALICO("BGPPeer", name) "spec: {" spec "}\n---\n"
#define BGPC(name, spec)	 CALICO("BGPConfiguration", name) "spec: {" spec "}\n---\n"
#define POOL(name, spec)	 CALICO("IPPool", name) "spec: {" spec "}\n---\n"
#define AFF(name, node, cidr)                                                                      \
	CALICO("BlockAffinity", name) "spec: {node: " node ", cidr: " cidr "}\n---\n"
#define NO_MESH BGPC("default", "nodeToNodeMeshEnabled: false")

static struct arena arena;
static struct store_dir dir;
static struct store *store;
static struct nodeconf *conf;

static struct nodeconf *conf_of(const char *text)
{
	struct problems p = { .arena = &arena };
	FILE *f = tmpfile();

	fputs(text, f);
	fflush(f);
	struct nodeconf *c = nodeconf_load_fd(fileno(f), "n.yaml", &p);

	fclose(f);
	ck_assert_msg(c != NULL, "%s", p.n ? p.text[0] : "?");
	return c;
}

static void open_store(const char *resources, const char *yaml)
{
	struct store_status st;

	dir_make(&dir);
	dir_write(&dir, "r.yaml", resources);
	store = dir_open(&dir);
	store_status(store, &st);
	ck_assert_msg(!st.nerrors, "%s", st.nerrors ? st.errors[0] : "");
	conf = conf_of(yaml);
}

/* As node n1 with 10.0.0.1/24 and fd00::1/64. */
static struct bgpconf *compile(const char *resources, const char *yaml)
{
	struct prefix addrs[2];

	prefix_parse("10.0.0.1/24", &addrs[0]);
	prefix_parse("fd00::1/64", &addrs[1]);
	open_store(resources, yaml);
	const struct bgpconf_input in = { store, conf, "n1", addrs, 2, NULL };
	struct bgpconf *c = bgpconf_compile(&in);

	/* Nothing in it is borrowed. */
	store_close(store);
	nodeconf_free(conf);
	dir_free(&dir);
	return c;
}

static const struct m_bgp_peer *peer(const struct bgpconf *c, const char *name)
{
	for (unsigned i = 0; i < c->npeers; i++)
		if (!strcmp(c->peers[i].name, name))
			return &c->peers[i];
	return NULL;
}

static bool says(const struct bgpconf *c, const char *text)
{
	for (unsigned i = 0; i < c->problems.n; i++)
		if (strstr(c->problems.text[i], text))
			return true;
	return false;
}

static void addr_is(const struct addr *a, const char *text)
{
	char buf[ADDR_STRLEN];

	ck_assert_str_eq(addr_format(a, buf, sizeof(buf)), text);
}

static void prefix_is(const struct prefix *p, const char *text)
{
	char buf[PREFIX_STRLEN];

	ck_assert_str_eq(prefix_format(p, buf, sizeof(buf)), text);
}

START_TEST(nothing_at_all)
{
	struct bgpconf *c = compile("", "");

	ck_assert_uint_eq(c->begin.asn, 64512);
	ck_assert_uint_eq(c->begin.router_id, 0x0a000001);
	ck_assert_int_eq(c->begin.export_mode, EXPORT_POOLS);
	ck_assert(c->begin.install);
	ck_assert_uint_eq(c->begin.cluster_id, 0);
	ck_assert_uint_eq(c->npeers, 0);
	ck_assert_uint_eq(c->norigins, 0);
	ck_assert_uint_eq(c->npools, 0);
	ck_assert_uint_eq(c->problems.n, 0);
	bgpconf_free(c);
}
END_TEST

/* node.yaml over Node over node.<name> over default over 64512. */
START_TEST(local_as)
{
	static const struct {
		const char *resources, *yaml;
		uint32_t asn;
	} rows[] = {
		{ BGPC("default", "asNumber: 1"), "", 1 },
		{ BGPC("default", "asNumber: 1") BGPC("node.n1", "asNumber: 2"), "", 2 },
		{ BGPC("node.n2", "asNumber: 2"), "", 64512 },
		{ BGPC("node.n1", "asNumber: 2") NODE("n1", "asNumber: 3"), "", 3 },
		{ NODE("n1", "asNumber: 3"), "bgp: {asn: 4}", 4 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bgpconf *c = compile(rows[i].resources, rows[i].yaml);

		ck_assert_msg(c->begin.asn == rows[i].asn, "row %zu: %u", i, c->begin.asn);
		bgpconf_free(c);
	}
}
END_TEST

START_TEST(router_id)
{
	struct prefix v6;
	struct bgpconf *c = compile("", "bgp: {routerID: 1.2.3.4, export: all, install: false}");

	ck_assert_uint_eq(c->begin.router_id, 0x01020304);
	ck_assert_int_eq(c->begin.export_mode, EXPORT_ALL);
	ck_assert(!c->begin.install);
	bgpconf_free(c);
	/* A node without IPv4: its name makes one, never 0, and two names two. */
	prefix_parse("fd00::1/64", &v6);
	open_store("", "");
	struct bgpconf_input in = { store, conf, "n1", &v6, 1, NULL };
	struct bgpconf *c1 = bgpconf_compile(&in);

	in.node = "n2";
	struct bgpconf *c2 = bgpconf_compile(&in);

	ck_assert_uint_ne(c1->begin.router_id, 0);
	ck_assert_uint_ne(c1->begin.router_id, c2->begin.router_id);
	bgpconf_free(c1);
	bgpconf_free(c2);
	store_close(store);
	nodeconf_free(conf);
	dir_free(&dir);
}
END_TEST

START_TEST(tor_peers)
{
	struct bgpconf *c = compile(
		NO_MESH PEER("tor1", "peerIP: 10.0.0.254, asNumber: 65000") PEER(
			"tor2", "peerIP: '[fd00::fe]:1790', asNumber: 65000, sourceAddress: None, "
				"nextHopMode: Self, ttlSecurity: 1, localASNumber: 7, "
				"maxRestartTime: 30s, numAllowedLocalASNumbers: 3")
			PEER("here", "node: n1, peerIP: 10.0.0.253, asNumber: 1")
				PEER("there", "node: n2, peerIP: 10.0.0.252, asNumber: 1"),
		"bgp: {defaults: {holdTime: 12s, maxPrefixes: 9}}");
	const struct m_bgp_peer *p = peer(c, "tor1");

	ck_assert_uint_eq(c->npeers, 3);
	ck_assert_uint_eq(c->problems.n, 0);
	ck_assert_int_eq(p->type, PEER_GLOBAL);
	addr_is(&p->address, "10.0.0.254");
	addr_is(&p->source, "10.0.0.1");
	ck_assert_uint_eq(p->port, 179);
	ck_assert_uint_eq(p->asn, 65000);
	ck_assert_uint_eq(p->local_asn, 0);
	ck_assert_uint_eq(p->hold_time, 12);
	ck_assert_uint_eq(p->keepalive, 0);
	ck_assert_uint_eq(p->connect_retry, 5);
	ck_assert_int_eq(p->nexthop_mode, NEXTHOP_AUTO);
	ck_assert_uint_eq(p->restart_time, 120);
	ck_assert_uint_eq(p->max_prefixes, 9);
	ck_assert_str_eq(p->password, "");
	ck_assert_str_eq(p->interface, "");
	ck_assert(!p->reflector_client);
	p = peer(c, "tor2");
	addr_is(&p->address, "fd00::fe");
	ck_assert_int_eq(p->source.fam, FAM_NONE);
	ck_assert_uint_eq(p->port, 1790);
	ck_assert_uint_eq(p->local_asn, 7);
	ck_assert_int_eq(p->nexthop_mode, NEXTHOP_SELF);
	ck_assert_uint_eq(p->ttl_security, 1);
	ck_assert_uint_eq(p->allowed_own_as, 3);
	ck_assert_uint_eq(p->restart_time, 30);
	ck_assert_int_eq(peer(c, "here")->type, PEER_NODE);
	ck_assert_ptr_null(peer(c, "there"));
	bgpconf_free(c);
}
END_TEST

START_TEST(times)
{
	static const struct {
		const char *annotations, *spec, *yaml;
		uint32_t hold, keepalive;
	} rows[] = {
		{ "", "", "", 9, 0 },
		{ "", "keepaliveTime: 2s", "", 9, 2 },
		/* Calico's field cannot say the hold time that goes with it. */
		{ "", "keepaliveTime: 20s", "", 60, 20 },
		{ "selvage.io/holdTime: 90s", "keepaliveTime: 20s", "", 90, 20 },
		{ "selvage.io/keepaliveTime: 1s", "keepaliveTime: 2s", "", 9, 1 },
		{ "selvage.io/holdTime: 30s", "",
		  "bgp: {defaults: {holdTime: 60s, keepaliveTime: 5s}}", 30, 5 },
		{ "selvage.io/holdTime: 0", "", "", 0, 0 },
		/* What does not fit together is said, and a session is had all the same. */
		{ "selvage.io/keepaliveTime: 30s", "", "", 9, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bgpconf *c = compile(
			arena_printf(
				&arena,
				"apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: "
				"t, "
				"annotations: {%s}}\nspec: {peerIP: 10.0.0.9, asNumber: 1, %s}\n",
				rows[i].annotations, rows[i].spec),
			rows[i].yaml);

		ck_assert_msg(c->peers[0].hold_time == rows[i].hold &&
				      c->peers[0].keepalive == rows[i].keepalive,
			      "row %zu: %u/%u", i, c->peers[0].hold_time, c->peers[0].keepalive);
		ck_assert_uint_eq(c->problems.n, i == 7 ? 1 : 0);
		bgpconf_free(c);
	}
}
END_TEST

START_TEST(annotations)
{
	struct bgpconf *c = compile(NOTED("BGPPeer", "t",
					  "selvage.io/bfd: true, selvage.io/passive: true, "
					  "selvage.io/maxPrefixes: 5, selvage.io/interface: "
					  "eth1") "spec: {peerIP: 'fe80::1', asNumber: "
						  "1}\n---\n" NOTED("BGPPeer", "u",
								    "selvage.io/interface: "
								    "eth2") "spec: {asNumber: "
									    "2}\n",
				    "");
	const struct m_bgp_peer *p = peer(c, "t");

	ck_assert(p->passive);
	ck_assert_uint_eq(p->max_prefixes, 5);
	ck_assert_str_eq(p->interface, "eth1");
	/* The node's own address is not on that link. */
	ck_assert_int_eq(p->source.fam, FAM_NONE);
	ck_assert(says(
		c, "r.yaml:1: BGPPeer \"t\": annotation selvage.io/bfd: taken, but this version "
		   "has no BFD yet"));
	p = peer(c, "u");
	ck_assert_int_eq(p->address.fam, FAM_NONE);
	ck_assert_str_eq(p->interface, "eth2");
	ck_assert_uint_eq(p->asn, 2);
	bgpconf_free(c);
}
END_TEST

START_TEST(one_link_local_address_on_two_links)
{
	struct bgpconf *c = compile(
		NOTED("BGPPeer",
		      "t", "selvage.io/interface: eth1") "spec: {peerIP: 'fe80::1', asNumber: "
							 "1}\n---\n" NOTED("BGPPeer", "u",
									   "selvage.io/interface: "
									   "eth2") "spec: {peerIP: "
										   "'fe80::1', "
										   "asNumber: "
										   "1}\n---"
										   "\n" NOTED("BGPP"
											      "eer",
											      "v",
											      "selv"
											      "age."
											      "io/"
											      "inte"
											      "rfac"
											      "e: "
											      "eth"
											      "2") "spec: {peerIP: 'fe80::1', "
												   "asNumber: 1}\n",
		"");

	ck_assert_uint_eq(c->npeers, 2);
	ck_assert_ptr_null(peer(c, "v"));
	bgpconf_free(c);
}
END_TEST

START_TEST(peers_left_out)
{
	static const struct {
		const char *spec, *expect;
	} rows[] = {
		{ "peerIP: 10.0.0.9",
		  "BGPPeer \"t\": spec.asNumber is missing; the peer is left out" },
		{ "peerIP: 'fe80::1', asNumber: 1",
		  "spec.peerIP is link-local; name its interface" },
		{ "peerIP: 10.0.0.9, asNumber: 1, password: {secretKeyRef: {name: s, key: k}}",
		  "spec.password: Secret \"s\"" },
		{ "peerIP: 10.0.0.9, asNumber: 1, filters: [f]", "spec.filters: this version" },
		{ "localWorkloadSelector: all()", "spec.localWorkloadSelector: this version" },
		/* Not about this node: no word. */
		{ "node: n2, peerIP: 10.0.0.9, filters: [f]", NULL },
		{ "nodeSelector: has(x), peerIP: 10.0.0.9", NULL },
		/* A global peer that is this node itself. */
		{ "peerIP: 10.0.0.1, asNumber: 1", NULL },
		{ "peerIP: 'fd00::1', asNumber: 1", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bgpconf *c = compile(
			arena_printf(&arena, CALICO("BGPPeer", "t") "spec: {%s}\n", rows[i].spec),
			"");

		ck_assert_msg(c->npeers == 0, "row %zu", i);
		ck_assert_msg(c->problems.n == (rows[i].expect ? 1 : 0), "row %zu: %u", i,
			      c->problems.n);
		ck_assert_msg(!rows[i].expect || says(c, rows[i].expect), "row %zu: %s", i,
			      c->problems.n ? c->problems.text[0] : "");
		bgpconf_free(c);
	}
}
END_TEST

#define FOUR_NODES                                                                                 \
	NODE("n1", "ipv4Address: 10.0.0.1/24, ipv6Address: 'fd00::1/64'")                          \
	NODE("n2", "ipv4Address: 10.0.0.2/24, ipv6Address: 'fd00::2/64', asNumber: 65002")         \
	NODE("n3", "ipv6Address: 'fd00::3/64'")                                                    \
	NODE("rr", "ipv4Address: 10.0.0.9/24, routeReflectorClusterID: 244.0.0.1")

START_TEST(mesh)
{
	struct bgpconf *c =
		compile(FOUR_NODES NODE("n4", "") BGPC("node.n2", "listenPort: 1790"), "");
	const struct m_bgp_peer *p = peer(c, "mesh/n2");

	ck_assert_uint_eq(c->npeers, 2);
	ck_assert_int_eq(p->type, PEER_MESH);
	addr_is(&p->address, "10.0.0.2");
	addr_is(&p->source, "10.0.0.1");
	ck_assert_uint_eq(p->asn, 65002);
	ck_assert_uint_eq(p->port, 1790);
	ck_assert_uint_eq(p->hold_time, 9);
	ck_assert_uint_eq(p->restart_time, 120);
	p = peer(c, "mesh/n3");
	addr_is(&p->address, "fd00::3");
	addr_is(&p->source, "fd00::1");
	ck_assert_uint_eq(p->asn, 64512);
	ck_assert_uint_eq(p->port, 179);
	ck_assert(says(c, "Node \"n4\": no session in the mesh"));
	ck_assert_uint_eq(c->problems.n, 1);
	bgpconf_free(c);
	c = compile(FOUR_NODES NO_MESH, "");
	ck_assert_uint_eq(c->npeers, 0);
	bgpconf_free(c);
	c = compile(
		FOUR_NODES BGPC("default", "nodeMeshPassword: {secretKeyRef: {name: s, key: k}}"),
		"");
	ck_assert_uint_eq(c->npeers, 0);
	ck_assert(says(c, "spec.nodeMeshPassword"));
	bgpconf_free(c);
	/* A reflector is not in the mesh. */
	c = compile(NODE("n1", "routeReflectorClusterID: 244.0.0.1")
			    NODE("n2", "ipv4Address: 10.0.0.2/24"),
		    "");
	ck_assert_uint_eq(c->npeers, 0);
	ck_assert_uint_eq(c->begin.cluster_id, 0xf4000001);
	bgpconf_free(c);
}
END_TEST

START_TEST(explicit_wins)
{
	struct bgpconf *c =
		compile(FOUR_NODES PEER("b-global", "peerIP: 10.0.0.2, asNumber: 1")
				PEER("a-node", "node: n1, peerIP: 10.0.0.2, asNumber: 2")
					PEER("c", "peerIP: 'fd00::3', asNumber: 3"),
			"");

	/* The global one over the node's, though its name comes later; both over the mesh. */
	ck_assert_uint_eq(c->npeers, 2);
	ck_assert_ptr_nonnull(peer(c, "b-global"));
	ck_assert_ptr_nonnull(peer(c, "c"));
	bgpconf_free(c);
	/* The mesh would speak IPv4, the explicit peer has the same node's IPv6 address. */
	c = compile(FOUR_NODES PEER("x", "peerIP: 'fd00::2'"), "");
	ck_assert_ptr_null(peer(c, "mesh/n2"));
	/* The AS is the node's where the peer does not say. */
	ck_assert_uint_eq(peer(c, "x")->asn, 65002);
	bgpconf_free(c);
}
END_TEST

#define RACK                                                                                       \
	LNODE("n1", "rack: a", "ipv4Address: 10.0.0.1/24")                                         \
	LNODE("n2", "rack: a", "ipv4Address: 10.0.0.2/24")                                         \
	LNODE("n3", "rack: b", "ipv4Address: 10.0.0.3/24")                                         \
	LNODE("r1", "rr: 'true'", "ipv4Address: 10.0.0.8/24, routeReflectorClusterID: 244.0.0.1")  \
	LNODE("r2", "rr: 'true'", "ipv4Address: 10.0.0.9/24, routeReflectorClusterID: 244.0.0.1")  \
	NO_MESH

START_TEST(selectors)
{
	struct bgpconf *c =
		compile(RACK PEER("p", "nodeSelector: rack == 'a', peerSelector: has(rr)"), "");

	ck_assert_uint_eq(c->npeers, 2);
	ck_assert_int_eq(peer(c, "p/r1")->type, PEER_NODE);
	addr_is(&peer(c, "p/r2")->address, "10.0.0.9");
	ck_assert_uint_eq(peer(c, "p/r1")->asn, 64512);
	ck_assert(!peer(c, "p/r1")->reflector_client);
	bgpconf_free(c);
	/* Itself is never its own peer. */
	c = compile(RACK PEER("p", "peerSelector: rack == 'a'"), "");
	ck_assert_uint_eq(c->npeers, 4);
	ck_assert_ptr_null(peer(c, "p/n1"));
	bgpconf_free(c);
	c = compile(RACK PEER("p", "nodeSelector: rack == 'b', peerSelector: has(rr)"), "");
	ck_assert_uint_eq(c->npeers, 0);
	bgpconf_free(c);
	/* Whom the selector takes peers back with those that peer with it, unless Manual. */
	c = compile(RACK PEER("p", "nodeSelector: rack == 'b', peerSelector: rack == 'a'"), "");
	ck_assert_uint_eq(c->npeers, 1);
	ck_assert_ptr_nonnull(peer(c, "p/n3"));
	bgpconf_free(c);
	c = compile(RACK PEER("p", "nodeSelector: rack == 'b', peerSelector: rack == 'a', "
				   "reversePeering: Manual"),
		    "");
	ck_assert_uint_eq(c->npeers, 0);
	bgpconf_free(c);
}
END_TEST

START_TEST(reflector)
{
	struct prefix addr;

	prefix_parse("10.0.0.8/24", &addr);
	open_store(RACK PEER("p", "nodeSelector: all(), peerSelector: has(rr)")
			   PEER("tor", "peerIP: 10.0.0.254, asNumber: 65000"),
		   "");
	const struct bgpconf_input in = { store, conf, "r1", &addr, 1, NULL };
	struct bgpconf *c = bgpconf_compile(&in);

	ck_assert_uint_eq(c->begin.cluster_id, 0xf4000001);
	ck_assert_uint_eq(c->npeers, 5);
	ck_assert(peer(c, "p/n1")->reflector_client);
	ck_assert(peer(c, "p/n3")->reflector_client);
	/* Of the same cluster, and eBGP: no clients. */
	ck_assert(!peer(c, "p/r2")->reflector_client);
	ck_assert(!peer(c, "tor")->reflector_client);
	bgpconf_free(c);
	store_close(store);
	nodeconf_free(conf);
	dir_free(&dir);
}
END_TEST

START_TEST(origins_and_pools)
{
	struct bgpconf *c = compile(
		POOL("a", "cidr: 10.1.0.0/16") POOL("b",
						    "cidr: 10.2.0.0/16, disableBGPExport: true")
			AFF("x", "n1", "10.1.3.0/26") AFF("y", "n1", "10.2.3.0/26")
				BGPC("default", "serviceClusterIPs: [{cidr: 10.96.0.0/12}], "
						"serviceLoadBalancerIPs: [{cidr: 192.0.2.0/24}]"),
		"");

	ck_assert_uint_eq(c->norigins, 3);
	ck_assert_int_eq(c->origins[0].kind, ORIGIN_BLOCK);
	ck_assert_uint_eq(c->origins[0].prefixes.n, 1);
	prefix_is(&c->origins[0].prefixes.v[0], "10.1.3.0/26");
	ck_assert_int_eq(c->origins[1].kind, ORIGIN_SERVICE);
	ck_assert_uint_eq(c->origins[1].prefixes.n, 2);
	ck_assert_int_eq(c->origins[2].kind, ORIGIN_KEEP_OUT);
	ck_assert_uint_eq(c->origins[2].prefixes.n, 2);
	ck_assert_uint_eq(c->npools, 1);
	ck_assert_uint_eq(c->pools[0].pools.n, 2);
	ck_assert(!c->pools[0].pools.v[0].disable_export);
	ck_assert(c->pools[0].pools.v[1].disable_export);
	bgpconf_free(c);
	c = compile(
		LABELLED("Node", "n1", "node.kubernetes.io/exclude-from-external-load-balancers: 'true'") "---\n" BGPC(
			"default", "serviceClusterIPs: [{cidr: 10.96.0.0/12}]"),
		"");
	/* What others say of the range is kept out of its kernel all the same. */
	ck_assert_uint_eq(c->norigins, 1);
	ck_assert_int_eq(c->origins[0].kind, ORIGIN_KEEP_OUT);
	bgpconf_free(c);
}
END_TEST

START_TEST(not_served)
{
	struct bgpconf *c = compile(
		BGPC("default", "listenPort: 1790, bindMode: NodeIP, "
				"prefixAdvertisements: [{cidr: 10.0.0.0/8, communities: ['1:2']}]")
			PEER("t", "peerIP: 10.0.0.9, asNumber: 1, reachableBy: 10.0.0.7"),
		"");

	ck_assert_uint_eq(c->problems.n, 4);
	ck_assert(says(c, "spec.listenPort: 1790, but node.yaml's bgp.listen has no such port"));
	ck_assert(says(c, "spec.bindMode"));
	ck_assert(says(c, "spec.prefixAdvertisements"));
	ck_assert(says(c, "spec.reachableBy"));
	ck_assert_uint_eq(c->npeers, 1);
	bgpconf_free(c);
}
END_TEST

/* ---- blocks ---- */

static struct problems problems;

static struct node_blocks find(const char *resources, const char *node)
{
	struct node_blocks b;

	open_store(resources, "");
	problems = (struct problems){ .arena = &arena };
	node_blocks_find(store, node, NULL, &arena, &b, &problems);
	return b;
}

static void done(void)
{
	store_close(store);
	nodeconf_free(conf);
	dir_free(&dir);
}

START_TEST(blocks_of_affinities)
{
	struct node_blocks b = find(
		POOL("a", "cidr: 10.1.0.0/16") POOL("off", "cidr: 10.2.0.0/16, disabled: true")
			POOL("manual", "cidr: 10.3.0.0/16, assignmentMode: Manual")
				AFF("z", "n1", "10.1.9.0/26") AFF("y", "n1", "10.1.3.0/26")
					AFF("y2", "n1", "10.1.3.0/26") AFF("w", "n2", "10.1.4.0/26")
						AFF("v", "n1", "10.2.0.0/26")
							AFF("u", "n1", "10.3.0.0/26")
								AFF("t", "n1", "10.9.0.0/26"),
		"n1");

	ck_assert_uint_eq(b.n, 4);
	prefix_is(&b.v[0].cidr, "10.1.3.0/26");
	prefix_is(&b.v[1].cidr, "10.1.9.0/26");
	ck_assert(b.v[0].allocate);
	ck_assert(b.v[0].export_);
	prefix_is(&b.v[0].pool, "10.1.0.0/16");
	prefix_is(&b.v[2].cidr, "10.3.0.0/26");
	ck_assert(!b.v[2].allocate);
	prefix_is(&b.v[3].cidr, "10.2.0.0/26");
	ck_assert(!b.v[3].allocate);
	done();
	/* Not confirmed, deleted, virtual: not ours; but the pool has affinities, so none is
	 * computed. */
	b = find(POOL("a", "cidr: 10.1.0.0/16")
			 CALICO("BlockAffinity", "x") "spec: {node: n1, cidr: "
						      "10.1.0.0/26, state: pending}\n",
		 "n1");
	ck_assert_uint_eq(b.n, 0);
	done();
}
END_TEST

START_TEST(blocks_computed)
{
	const char *const names[] = { "n1", "n2", "n3" };
	struct blocks_pool pool = { .block_size = 26 };
	struct prefix expect[3];
	struct node_blocks b;

	prefix_parse("10.1.0.0/16", &pool.cidr);
	blocks_compute(&pool, names, 3, NULL, 0, expect);
	for (unsigned i = 0; i < 3; i++) {
		b = find(POOL("a", "cidr: 10.1.0.0/16") POOL("v6", "cidr: 'fd00:1::/48'")
				 NODE("n1", "") NODE("n2", "") NODE("n3", ""),
			 names[i]);
		ck_assert_uint_eq(b.n, 2);
		ck_assert(prefix_eq(&b.v[0].cidr, &expect[i]));
		ck_assert_uint_eq(b.v[1].cidr.len, 122);
		ck_assert_uint_eq(problems.n, 0);
		done();
	}
	/* No Node documents: this node alone. */
	b = find(POOL("a", "cidr: 10.1.0.0/16"), "n1");
	ck_assert_uint_eq(b.n, 1);
	done();
	/* Others have one, this node does not: what it would take could be another's. */
	b = find(POOL("a", "cidr: 10.1.0.0/16") NODE("n2", ""), "n1");
	ck_assert_uint_eq(b.n, 0);
	ck_assert_ptr_nonnull(strstr(problems.text[0], "none named \"n1\""));
	done();
	b = find(POOL("a", "cidr: 10.1.0.0/16, disabled: true")
			 POOL("b", "cidr: 10.2.0.0/16, assignmentMode: Manual")
				 POOL("c", "cidr: 10.3.0.0/16, nodeSelector: has(x)") POOL(
					 "d", "cidr: 10.4.0.0/16, allowedUses: [LoadBalancer]"),
		 "n1");
	ck_assert_uint_eq(b.n, 0);
	ck_assert_uint_eq(problems.n, 0);
	done();
	b = find(POOL("a", "cidr: 10.1.0.0/16, namespaceSelector: has(x)"), "n1");
	/* Which pods it serves is asked at each ADD (felix/ippools.h). */
	ck_assert_uint_eq(b.n, 1);
	ck_assert(b.v[0].allocate);
	done();
}
END_TEST

/* Names alone must not move a block: the order is that of the documents. */
START_TEST(blocks_do_not_move)
{
	struct node_blocks b;
	struct prefix first[4];
	/* Four blocks only, so that starts collide. */
	const char *pool = POOL("a", "cidr: 10.1.0.0/24");
	const char *nodes = NODE("n3", "") NODE("n1", "") NODE("n4", "");
	static const char *const names[] = { "n3", "n1", "n4", "a0" };

	for (unsigned i = 0; i < 3; i++) {
		b = find(arena_printf(&arena, "%s%s", pool, nodes), names[i]);
		ck_assert_uint_eq(b.n, 1);
		first[i] = b.v[0].cidr;
		for (unsigned j = 0; j < i; j++)
			ck_assert(!prefix_eq(&first[i], &first[j]));
		done();
	}
	for (unsigned i = 0; i < 4; i++) {
		b = find(arena_printf(&arena, "%s%s%s", pool, nodes, NODE("a0", "")), names[i]);
		ck_assert_uint_eq(b.n, 1);
		if (i < 3)
			ck_assert(prefix_eq(&first[i], &b.v[0].cidr));
		done();
	}
	b = find(arena_printf(&arena, "%s%s%s%s", pool, nodes, NODE("a0", ""), NODE("a1", "")),
		 "a1");
	ck_assert_uint_eq(b.n, 0);
	ck_assert_ptr_nonnull(strstr(problems.text[0], "no block is left"));
	done();
}
END_TEST

/* A pool of one rack is divided among that rack's nodes. */
START_TEST(blocks_of_a_rack)
{
	const char *text = POOL("a", "cidr: 10.1.0.0/25, nodeSelector: rack == 'b'")
		LNODE("n1", "rack: a", "") LNODE("n2", "rack: a", "") LNODE("n3", "rack: a", "")
			LNODE("n4", "rack: b", "") LNODE("n5", "rack: b", "");
	struct node_blocks b = find(text, "n4");
	struct prefix p;

	ck_assert_uint_eq(b.n, 1);
	p = b.v[0].cidr;
	done();
	b = find(text, "n5");
	ck_assert_uint_eq(b.n, 1);
	ck_assert(!prefix_eq(&p, &b.v[0].cidr));
	done();
	b = find(text, "n1");
	ck_assert_uint_eq(b.n, 0);
	ck_assert_uint_eq(problems.n, 0);
	done();
}
END_TEST

UNIT_MAIN("bgpconf", nothing_at_all, local_as, router_id, tor_peers, times, annotations,
	  one_link_local_address_on_two_links, peers_left_out, mesh, explicit_wins, selectors,
	  reflector, origins_and_pools, not_served, blocks_of_affinities, blocks_computed,
	  blocks_do_not_move, blocks_of_a_rack)
