#include "config.h"

#include <string.h>

#include "lib/msg.h"
#include "lib/nodeconf.h"
#include "store/model.h"
#include "test/unit/unit.h"

enum { MAX_ITEMS = 32 };

static struct arena arena;
static struct problems problems;
static struct model_item items[MAX_ITEMS];
static unsigned nitems;
static bool anonymous;

static void on_item(void *arg, const struct model_item *item)
{
	(void)arg;
	ck_assert_uint_lt(nitems, MAX_ITEMS);
	items[nitems++] = *item;
}

/* All documents of a text; the last result. */
static int read_all(const char *text)
{
	struct doc *docs;
	struct err err;
	uint32_t position = 0;
	int rc = 0;

	nitems = 0;
	anonymous = false;
	problems = (struct problems){ .arena = &arena };
	ck_assert_msg(!yaml_parse(text, strlen(text), "f.yaml", &arena, &docs, &err), "%s",
		      err.text);
	for (struct doc *d = docs; d; d = d->next)
		rc = model_read(d->root, "f.yaml", &position, on_item, NULL, &problems, &anonymous);
	return rc;
}

/* The one object of a text that must be right. */
static const struct object *one(const char *text)
{
	int rc = read_all(text);

	ck_assert_msg(!rc && !problems.n, "%s", problems.n ? problems.text[0] : "?");
	ck_assert_uint_eq(nitems, 1);
	ck_assert_ptr_nonnull(items[0].object);
	return items[0].object;
}

#define CALICO(kind, name)                                                                         \
	"apiVersion: projectcalico.org/v3\nkind: " kind "\nmetadata: {name: " name "}\n"

START_TEST(ippool)
{
	const struct object *o =
		one(CALICO("IPPool", "p") "spec: {cidr: 10.0.0.0/16, ipipMode: Always, "
					  "vxlanMode: Never, natOutgoing: true}\n");
	const struct spec_ippool *p = o->spec;

	ck_assert_int_eq(o->kind, KIND_IPPOOL);
	ck_assert_str_eq(o->name, "p");
	ck_assert_str_eq(o->namespace_, "");
	ck_assert_str_eq(o->origin, "f.yaml:1");
	ck_assert_uint_eq(p->block_size, 26);
	ck_assert(p->nat_outgoing);
	ck_assert_str_eq(p->node_selector, "all()");
	ck_assert_int_eq(p->assignment_mode, 0);
	p = one(CALICO("IPPool",
		       "p") "spec: {cidr: 'fd00:1::/48', disabled: true, disableBGPExport: true, "
			    "nodeSelector: \"has(x)\", allowedUses: [Workload, Tunnel], "
			    "assignmentMode: Manual}\n")
		    ->spec;
	ck_assert_uint_eq(p->block_size, 122);
	ck_assert(p->disabled);
	ck_assert(p->disable_bgp_export);
	ck_assert_str_eq(p->node_selector, "has(x)");
	ck_assert_uint_eq(p->allowed_uses.n, 2);
	ck_assert_int_eq(p->assignment_mode, 1);
	p = one(CALICO("IPPool", "p") "spec: {cidr: 10.0.0.0/24, blockSize: 28}\n")->spec;
	ck_assert_uint_eq(p->block_size, 28);
}
END_TEST

START_TEST(ipam_kinds)
{
	const struct spec_blockaffinity *a;
	const struct spec_ipamconfig *c;
	const struct spec_ipreservation *r;

	a = one(CALICO("BlockAffinity", "n1-10-0-0-0-26") "spec: {node: n1, cidr: 10.0.0.0/26, "
							  "state: confirmed}\n")
		    ->spec;
	ck_assert_str_eq(a->node, "n1");
	ck_assert_int_eq(a->state, AFFINITY_CONFIRMED);
	ck_assert_str_eq(a->type, "host");
	ck_assert(!a->deleted);
	a = one(CALICO("BlockAffinity",
		       "x") "spec: {node: n1, cidr: 10.0.0.0/26, state: '', type: '', "
			    "deleted: \"true\"}\n")
		    ->spec;
	ck_assert_int_eq(a->state, AFFINITY_CONFIRMED);
	ck_assert_str_eq(a->type, "host");
	ck_assert(a->deleted);
	a = one(CALICO("BlockAffinity", "x") "spec: {node: n1, cidr: 10.0.0.0/26, state: "
					     "pendingDeletion, type: virtual}\n")
		    ->spec;
	ck_assert_int_eq(a->state, AFFINITY_PENDING_DELETION);
	c = one(CALICO("IPAMConfiguration", "default") "spec: {strictAffinity: true}\n")->spec;
	ck_assert(c->strict_affinity);
	ck_assert(c->auto_allocate_blocks);
	ck_assert_uint_eq(c->max_blocks_per_host, 20);
	r = one(CALICO("IPReservation", "r") "spec: {reservedCIDRs: [10.0.0.1, 10.0.0.8/29]}\n")
		    ->spec;
	ck_assert_uint_eq(r->cidrs.n, 2);
	ck_assert_uint_eq(((const struct prefix *)r->cidrs.v)[0].len, 32);
}
END_TEST

START_TEST(bgp_kinds)
{
	const struct spec_bgpconfiguration *c;
	const struct spec_bgppeer *p;

	c = one(CALICO("BGPConfiguration", "default") "spec: {}\n")->spec;
	ck_assert(c->node_mesh);
	ck_assert_uint_eq(c->asn, 0);
	ck_assert_uint_eq(c->mesh_restart_time, 120000);
	c = one(CALICO("BGPConfiguration",
		       "default") "spec: {nodeToNodeMeshEnabled: false, asNumber: 65001, "
				  "listenPort: 1790,\n"
				  "  serviceClusterIPs: [{cidr: 10.96.0.0/12}], logSeverityScreen: "
				  "Info,\n"
				  "  communities: [{name: a, value: '65001:1'}],\n"
				  "  prefixAdvertisements: [{cidr: 10.0.0.0/16, communities: "
				  "[a]}]}\n")
		    ->spec;
	ck_assert(!c->node_mesh);
	ck_assert_uint_eq(c->asn, 65001);
	ck_assert_uint_eq(c->listen_port, 1790);
	ck_assert_uint_eq(c->service_cluster_ips.n, 1);
	ck_assert_uint_eq(((struct cidr_item *)c->service_cluster_ips.v)[0].cidr.len, 12);
	p = one(CALICO("BGPPeer", "tor1") "spec: {peerIP: '10.0.0.1:1790', asNumber: 65000}\n")
		    ->spec;
	ck_assert_str_eq(p->peer_ip, "10.0.0.1:1790");
	ck_assert_uint_eq(p->asn, 65000);
	ck_assert_uint_eq(p->max_restart_time, 120000);
	ck_assert_int_eq(p->next_hop_mode, NEXTHOP_AUTO);
	ck_assert_int_eq(p->source_address, 0);
	ck_assert(!p->ttl_security_set);
	ck_assert_ptr_null(p->extra);
	p = one(CALICO("BGPPeer",
		       "rr") "spec: {nodeSelector: all(), peerSelector: \"has(rr)\", "
			     "nextHopMode: Keep, sourceAddress: None, ttlSecurity: 1, "
			     "keepaliveTime: 20s, filters: [f], reversePeering: Manual, "
			     "numAllowedLocalASNumbers: 2, localASNumber: 1.1, password: "
			     "{secretKeyRef: {name: s, key: k}}}\n")
		    ->spec;
	ck_assert_int_eq(p->next_hop_mode, NEXTHOP_KEEP);
	ck_assert_int_eq(p->source_address, 1);
	ck_assert(p->ttl_security_set);
	ck_assert_uint_eq(p->keepalive_time, 20000);
	ck_assert_int_eq(p->reverse_peering, 1);
	ck_assert_uint_eq(p->local_asn, 65537);
	ck_assert_str_eq(p->password.name, "s");
}
END_TEST

START_TEST(annotations_of_a_peer)
{
	const struct spec_bgppeer *p =
		one("apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata:\n  name: t\n"
		    "  annotations: {selvage.io/holdTime: 0, selvage.io/passive: \"true\", other: "
		    "x,\n"
		    "    selvage.io/maxPrefixes: '10', selvage.io/interface: eth1}\n"
		    "spec: {peerIP: 'fe80::1'}\n")
			->spec;

	ck_assert_ptr_nonnull(p->extra);
	ck_assert_uint_eq(p->extra->hold_time, 0);
	ck_assert(p->extra->passive);
	ck_assert_uint_eq(p->extra->max_prefixes, 10);
	ck_assert_str_eq(p->extra->interface, "eth1");
	/* A key that was not written does not count, whatever the table's default is. */
	struct conf_bgp_extra base = { .hold_time = 9000, .keepalive = 2000, .bfd = true };

	conf_bgp_extra_merge(&base, p->extra);
	ck_assert_uint_eq(base.hold_time, 0);
	ck_assert_uint_eq(base.keepalive, 2000);
	ck_assert(base.bfd);
}
END_TEST

START_TEST(nodes)
{
	const struct object *o;
	const struct spec_node *n;

	o = one("apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: n1, labels: {rack: "
		"r1}}\n"
		"spec: {bgp: {ipv4Address: 10.0.0.1/24, ipv6Address: 'fd00::1/64', asNumber: "
		"65001, "
		"routeReflectorClusterID: 244.0.0.1}, orchRefs: [{nodeName: n1, orchestrator: "
		"k8s}]}\n");
	n = o->spec;
	ck_assert_str_eq(o->labels.v[0].value, "r1");
	ck_assert_str_eq(n->ipv4_address, "10.0.0.1/24");
	ck_assert_str_eq(n->ipv6_address, "fd00::1/64");
	ck_assert_uint_eq(n->asn, 65001);
	ck_assert_str_eq(n->route_reflector_cluster_id, "244.0.0.1");
	ck_assert_str_eq(n->pod_cidr, "");
	n = one(CALICO("Node", "n2"))->spec;
	ck_assert_str_eq(n->ipv4_address, "");
	ck_assert_str_eq(n->route_reflector_cluster_id, "");
	n = one("apiVersion: v1\nkind: Node\nmetadata:\n  name: n3\n  annotations:\n"
		"    projectcalico.org/IPv4Address: 10.0.0.3/24\n    projectcalico.org/ASNumber: "
		"'65003'\n"
		"spec: {podCIDR: 10.244.0.0/24, podCIDRs: [10.244.0.0/24], taints: []}\nstatus: "
		"{x: 1}\n")
		    ->spec;
	ck_assert_str_eq(n->ipv4_address, "10.0.0.3/24");
	ck_assert_str_eq(n->ipv6_address, "");
	ck_assert_uint_eq(n->asn, 65003);
	ck_assert_str_eq(n->pod_cidr, "10.244.0.0/24");
}
END_TEST

START_TEST(trees)
{
	const struct object *o =
		one("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n"
		    "spec: {podSelector: {}}\n");

	ck_assert_int_eq(o->kind, KIND_POLICY);
	ck_assert_str_eq(o->kind_text, "NetworkPolicy");
	ck_assert_str_eq(o->group, "networking.k8s.io/v1");
	ck_assert_str_eq(o->namespace_, "default");
	ck_assert_ptr_nonnull(node_get(((const struct spec_tree *)o->spec)->spec, "podSelector"));
	o = one("apiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {a: b}}\n");
	ck_assert_int_eq(o->kind, KIND_NAMESPACE);
	ck_assert_str_eq(o->labels.v[0].key, "a");
	static const char *const kinds[] = { "GlobalNetworkPolicy",
					     "StagedNetworkPolicy",
					     "StagedGlobalNetworkPolicy",
					     "StagedKubernetesNetworkPolicy",
					     "Tier",
					     "NetworkSet",
					     "GlobalNetworkSet",
					     "Profile",
					     "HostEndpoint" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		ck_assert_int_eq(one(arena_printf(&arena,
						  "apiVersion: projectcalico.org/v3\nkind: %s\n"
						  "metadata: {name: x}\nspec: {}\n",
						  kinds[i]))
					 ->kind,
				 KIND_POLICY);
	ck_assert_int_eq(one("apiVersion: policy.networking.k8s.io/v1alpha2\n"
			     "kind: ClusterNetworkPolicy\nmetadata: {name: x}\nspec: {}\n")
				 ->kind,
			 KIND_POLICY);
	ck_assert_int_eq(one(CALICO("BGPFilter", "f") "spec: {exportV4: []}\n")->kind,
			 KIND_BGPFILTER);
}
END_TEST

START_TEST(crd_group_and_passed_over)
{
	ck_assert_int_eq(one("apiVersion: crd.projectcalico.org/v1\nkind: IPPool\nmetadata:\n"
			     "  name: p\n  resourceVersion: '5'\n  managedFields: [{a: b}]\n"
			     "spec: {cidr: 10.0.0.0/16}\n")
				 ->kind,
			 KIND_IPPOOL);
	ck_assert_int_eq(
		read_all(
			CALICO("FelixConfiguration", "default") "spec: {anything: 1}\n---\n" CALICO(
				"ClusterInformation",
				"default") "spec: {}\n---\n" CALICO("KubeControllersConfiguration",
								    "default") "spec: {}\n"),
		0);
	ck_assert_uint_eq(nitems, 0);
	ck_assert_uint_eq(problems.n, 0);
}
END_TEST

START_TEST(lists)
{
	ck_assert_int_eq(
		read_all("apiVersion: v1\nkind: List\nitems:\n"
			 "- apiVersion: projectcalico.org/v3\n  kind: IPPool\n"
			 "  metadata: {name: a}\n  spec: {cidr: 10.0.0.0/16}\n"
			 "- apiVersion: v1\n  kind: Namespace\n  metadata: {name: b}\n"
			 "---\n"
			 "apiVersion: projectcalico.org/v3\nkind: BGPPeerList\nmetadata: {}\n"
			 "items:\n- metadata: {name: c}\n  spec: {peerIP: 10.0.0.1}\n"
			 "---\napiVersion: v1\nkind: List\nitems:\n"),
		0);
	ck_assert_uint_eq(problems.n, 0);
	ck_assert_uint_eq(nitems, 3);
	ck_assert_str_eq(items[0].object->origin, "f.yaml:4");
	ck_assert_int_eq(items[2].kind, KIND_BGPPEER);
	/* Positions go on over the documents of a file. */
	ck_assert_uint_eq(items[0].object->position, 0);
	ck_assert_uint_eq(items[1].object->position, 1);
	ck_assert_uint_eq(items[2].object->position, 2);
	ck_assert_int_lt(object_order(items[0].object, items[1].object), 0);
}
END_TEST

START_TEST(errors)
{
	static const struct {
		const char *text, *expect;
		bool named; /* the object it was meant to be is known */
	} rows[] = {
		{ "- a\n", "f.yaml:1:1: expected a resource", false },
		{ "kind: IPPool\n", "f.yaml:1:1: apiVersion: is missing", false },
		{ "apiVersion: v1\n", "f.yaml:1:1: kind: is missing", false },
		{ CALICO("IPPol", "p"),
		  "f.yaml:2:7: kind: \"IPPol\" is not a kind that Selvage reads; did "
		  "you mean \"IPPool\"?",
		  true },
		{ "apiVersion: apps/v1\nkind: IPPool\nmetadata: {name: p}\n",
		  "f.yaml:1:13: apiVersion: \"apps/v1\" has no kind IPPool; expected "
		  "projectcalico.org/v3",
		  true },
		{ "apiVersion: projectcalico.org/v3\nkind: IPPool\nspec: {cidr: 10.0.0.0/16}\n",
		  "f.yaml:1:1: IPPool: metadata.name: is missing", false },
		{ CALICO("IPPool", "Big"),
		  "f.yaml:3:18: IPPool: metadata.name: \"Big\" is not a valid name", false },
		{ CALICO("IPPool", "p") "spec: {}\n",
		  "f.yaml:4:7: IPPool \"p\": spec.cidr: is missing", true },
		{ CALICO("IPPool", "p"), "f.yaml:1:1: IPPool \"p\": spec.cidr: is missing", true },
		{ CALICO("IPPool", "p") "spec: {cidr: 10.0.0.1/16}\n",
		  "f.yaml:4:14: IPPool \"p\": spec.cidr: \"10.0.0.1/16\" has bits set", true },
		{ CALICO("IPPool", "p") "spec: {cidr: 10.0.0.0/16, blocksize: 26}\n",
		  "f.yaml:4:27: unknown key \"blocksize\" in IPPool \"p\": spec; did you mean "
		  "\"blockSize\"?",
		  true },
		{ CALICO("IPPool", "p") "spec: {cidr: 10.0.0.0/16, blockSize: 19}\n",
		  "f.yaml:4:38: IPPool \"p\": spec.blockSize: must be from 20 to 32", true },
		{ CALICO("IPPool", "p") "spec: {cidr: 'fd00::/48', blockSize: 26}\n",
		  "f.yaml:4:38: IPPool \"p\": spec.blockSize: must be from 116 to 128", true },
		{ CALICO("IPPool", "p") "spec: {cidr: 10.0.0.0/27}\n",
		  "f.yaml:4:14: IPPool \"p\": spec.cidr: is smaller than one block", true },
		{ CALICO("IPPool", "p") "spec: {cidr: 10.0.0.0/16, nodeSelector: \"a = 'b'\"}\n",
		  "f.yaml:4:41: IPPool \"p\": spec.nodeSelector: column 3: expected ==", true },
		{ CALICO("IPPool", "p") "spec: {cidr: 10.0.0.0/16, allowedUses: [Work]}\n",
		  "f.yaml:4:40: IPPool \"p\": spec.allowedUses: expected Workload", true },
		{ CALICO("BlockAffinity", "b") "spec: {node: n, cidr: 10.0.0.0/26, state: done}\n",
		  "f.yaml:4:43: BlockAffinity \"b\": spec.state: \"done\" is not allowed", true },
		{ CALICO("BGPPeer", "b") "spec: {peerIP: 10.0.0, asNumber: 1}\n",
		  "f.yaml:4:16: BGPPeer \"b\": spec.peerIP: expected an address", true },
		{ CALICO("BGPPeer", "b") "spec: {peerIP: 10.0.0.1, peerSelector: all()}\n",
		  "f.yaml:4:40: BGPPeer \"b\": spec.peerSelector: spec.peerIP or asNumber is set "
		  "too",
		  true },
		{ CALICO("BGPPeer", "b") "spec: {node: a, nodeSelector: all(), peerIP: 10.0.0.1}\n",
		  "f.yaml:4:31: BGPPeer \"b\": spec.nodeSelector: spec.node is set too", true },
		{ "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: b, "
		  "annotations: "
		  "{selvage.io/hold: 9s}}\nspec: {peerIP: 10.0.0.1}\n",
		  "f.yaml:4:7: BGPPeer \"b\": annotation selvage.io/hold is unknown; did you mean "
		  "\"selvage.io/holdTime\"?",
		  true },
		{ "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: b, "
		  "annotations: "
		  "{selvage.io/holdTime: 2s}}\nspec: {peerIP: 10.0.0.1}\n",
		  "f.yaml:4:7: BGPPeer \"b\": annotations: holdTime must be 0", true },
		{ "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: b, "
		  "annotations: "
		  "{selvage.io/maxPrefixes: many}}\nspec: {peerIP: 10.0.0.1}\n",
		  "f.yaml:4:7: BGPPeer \"b\": annotation selvage.io/maxPrefixes: \"many\" is not "
		  "allowed",
		  true },
		{ CALICO("Node", "n") "spec: {bgp: {ipv4Address: 'fd00::1'}}\n",
		  "f.yaml:4:27: Node \"n\": \"fd00::1\" is not an IPv4 address", true },
		{ CALICO("Node", "n") "spec: {bgp: {routeReflectorClusterID: x}}\n",
		  "f.yaml:4:7: Node \"n\": routeReflectorClusterID \"x\"", true },
		{ CALICO("Tier", "t") "spec: [a]\n",
		  "f.yaml:4:7: Tier \"t\": spec: expected a mapping", true },
		{ CALICO("Tier", "t") "sepc: {}\n",
		  "f.yaml:4:1: unknown key \"sepc\"; did you mean \"spec\"?", true },
		{ "apiVersion: v1\nkind: List\nitems: 5\n", "f.yaml:3:8: items: expected a list",
		  false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(read_all(rows[i].text) == -1, "row %zu was taken", i);
		ck_assert_msg(problems.n == 1, "row %zu: %u problems", i, problems.n);
		ck_assert_msg(!strncmp(problems.text[0], rows[i].expect, strlen(rows[i].expect)),
			      "row %zu: %s", i, problems.text[0]);
		ck_assert_msg(nitems == rows[i].named, "row %zu: %u items", i, nitems);
		if (rows[i].named)
			ck_assert_msg(!items[0].object && *items[0].name, "row %zu", i);
	}
}
END_TEST

START_TEST(a_list_with_one_broken)
{
	ck_assert_int_eq(
		read_all("apiVersion: v1\nkind: List\nitems:\n"
			 "- {apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: a}}\n"
			 "- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n"),
		-1);
	ck_assert_uint_eq(nitems, 2);
	ck_assert_ptr_null(items[0].object);
	ck_assert_str_eq(items[0].name, "a");
	ck_assert_ptr_nonnull(items[1].object);
	ck_assert(!anonymous);
}
END_TEST

START_TEST(peer_ips)
{
	static const struct {
		const char *text;
		int port; /* -1: refused */
	} rows[] = {
		{ "10.0.0.1", 0 },	{ "10.0.0.1:1790", 1790 },
		{ "fd00::1", 0 },	{ "[fd00::1]:1790", 1790 },
		{ "[fd00::1]", 0 },	{ "10.0.0.1:", -1 },
		{ "10.0.0.1:0", -1 },	{ "10.0.0.1:65536", -1 },
		{ "10.0.0.1:1:2", -1 }, { "[10.0.0.1]:179", -1 },
		{ "[fd00::1", -1 },	{ "[fd00::1]x", -1 },
		{ "fe80::1%eth0", -1 }, { "tor1", -1 },
		{ "10.0.0.1:17x", -1 }, { "::ffff:10.0.0.1", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a;
		uint16_t port = 1;
		int rc = peer_ip_parse(rows[i].text, &a, &port);

		ck_assert_msg((rc == 0) == (rows[i].port >= 0), "%s", rows[i].text);
		if (!rc)
			ck_assert_int_eq(port, rows[i].port);
	}
}
END_TEST

UNIT_MAIN("store_model", ippool, ipam_kinds, bgp_kinds, annotations_of_a_peer, nodes, trees,
	  crd_group_and_passed_over, lists, errors, a_list_with_one_broken, peer_ips)
