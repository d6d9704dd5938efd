/* Passwords of sessions, nodes as the API has them, and what a change changes. */
#include "config.h"

#include "felix/bgpconf.h"

#include <string.h>

#include "test/unit/store_dir.h"
#include "test/unit/unit.h"

#define CALICO(kind, name)                                                                         \
	"apiVersion: projectcalico.org/v3\nkind: " kind "\nmetadata: {name: " name "}\n"
#define PEER(name, spec)      CALICO("BGPPeer", name) "spec: {" spec "}\n---\n"
#define BGPC(spec)	      CALICO("BGPConfiguration", "default") "spec: {" spec "}\n---\n"
#define SECRET_IN(meta, rest) "apiVersion: v1\nkind: Secret\nmetadata: {" meta "}\n" rest "\n---\n"
#define SECRET(name, rest)    SECRET_IN("name: " name, rest)
#define CORE(name, notes, rest)                                                                    \
	"apiVersion: v1\nkind: Node\nmetadata: {name: " name ", annotations: {" notes "}}\n" rest  \
	"\n---\n"
#define IP(name)	    "status: {addresses: [{type: InternalIP, address: " name "}]}"
#define REF(name, key)	    "{secretKeyRef: {name: " name ", key: " key "}}"
#define TOR(name, ip, more) PEER(name, "peerIP: " ip ", asNumber: 65000" more)
#define KEYED		    TOR("tor", "10.0.0.9", ", password: " REF("s", "k"))
#define NO_MESH		    BGPC("nodeToNodeMeshEnabled: false")

static struct arena arena;

static struct bgpconf *compile_as(const char *node, const char *ip, const char *resources)
{
	struct problems p = { .arena = &arena };
	struct store_dir dir;
	struct store_status st;
	struct prefix addr;
	FILE *f = tmpfile();
	struct nodeconf *conf = nodeconf_load_fd(fileno(f), "n.yaml", &p);

	fclose(f);
	dir_make(&dir);
	dir_write(&dir, "r.yaml", resources);
	struct store *store = dir_open(&dir);

	store_status(store, &st);
	ck_assert_msg(!st.nerrors, "%s", st.nerrors ? st.errors[0] : "");
	prefix_parse(ip, &addr);
	const struct bgpconf_input in = {
		.store = store, .conf = conf, .node = node, .addrs = &addr, .naddrs = 1
	};
	struct bgpconf *c = bgpconf_compile(&in);

	store_close(store);
	nodeconf_free(conf);
	dir_free(&dir);
	return c;
}

static struct bgpconf *compile(const char *resources)
{
	return compile_as("n1", "10.0.0.1/24", resources);
}

static const struct m_bgp_peer *peer(const struct bgpconf *c, const char *name)
{
	for (unsigned i = 0; i < c->npeers; i++)
		if (!strcmp(c->peers[i].name, name))
			return &c->peers[i];
	return NULL;
}

static const char *said(const struct bgpconf *c)
{
	return c->problems.n ? c->problems.text[0] : "";
}

/* ---- passwords ---- */

START_TEST(passwords)
{
	static const struct {
		const char *secrets, *password;
	} rows[] = {
		{ SECRET("s", "stringData: {k: hunter2}"), "hunter2" },
		{ SECRET("s", "data: {k: aHVudGVyMg==, other: Zm9v}"), "hunter2" },
		{ SECRET_IN("name: s, namespace: kube-system", "stringData: {k: a}"), "a" },
		{ SECRET_IN("name: s, namespace: any", "stringData: {k: a}"), "a" },
		{ SECRET_IN("name: s, namespace: any", "stringData: {k: a}")
			  SECRET_IN("name: s, namespace: kube-system", "stringData: {k: b}")
				  SECRET_IN("name: s, namespace: zoo", "stringData: {k: c}"),
		  "b" },
		/* Bytes that are no text, and as many as fit. */
		{ SECRET("s", "data: {k: /wEg}"), "\xff\x01 " },
		{ SECRET("s", "stringData: {k: "
			      "0123456789012345678901234567890123456789"
			      "012345678901234567890123456789012345678x}"),
		  "0123456789012345678901234567890123456789"
		  "012345678901234567890123456789012345678x" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bgpconf *c =
			compile(arena_printf(&arena, "%s%s", NO_MESH KEYED, rows[i].secrets));

		ck_assert_msg(c->npeers == 1 && !c->problems.n, "row %zu: %s", i, said(c));
		ck_assert_str_eq(c->peers[0].password, rows[i].password);
		bgpconf_free(c);
	}
}
END_TEST

/* It fails closed, and says what to do, but never the password. */
START_TEST(passwords_that_cannot_be_had)
{
	static const struct {
		const char *secrets, *says;
	} rows[] = {
		{ "",
		  "BGPPeer \"tor\": spec.password: Secret \"s\" (key \"k\") does not exist; make" },
		{ SECRET("other", "stringData: {k: hunter2}"), "does not exist" },
		{ SECRET("s", "stringData: {K: hunter2}"), "does not have the key" },
		{ SECRET("s", "stringData: {k: ''}"), "has nothing under the key" },
		{ SECRET("s", "data: {k: AGh1bnRlcjI=}"), "has a zero byte" },
		{ SECRET("s", "stringData: {k: "
			      "hunter2012345678901234567890123456789012"
			      "0123456789012345678901234567890123456789x}"),
		  "more than the 80 bytes" },
		{ SECRET_IN("name: s, namespace: a", "stringData: {k: hunter2}")
			  SECRET_IN("name: s, namespace: b", "stringData: {k: hunter2}"),
		  "is in several namespaces; keep the one in kube-system" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bgpconf *c = compile(arena_printf(&arena, "%s%s",
							 NO_MESH KEYED TOR("open", "10.0.0.8", ""),
							 rows[i].secrets));

		/* The others are not concerned. */
		ck_assert_msg(c->npeers == 1, "row %zu", i);
		ck_assert_str_eq(c->peers[0].name, "open");
		ck_assert_uint_eq(c->problems.n, 1);
		ck_assert_msg(strstr(said(c), rows[i].says), "row %zu: %s", i, said(c));
		ck_assert(!strstr(said(c), "hunter2"));
		bgpconf_free(c);
	}
}
END_TEST

START_TEST(a_line_break_is_named)
{
	struct bgpconf *c = compile(NO_MESH KEYED SECRET("s", "data: {k: aHVudGVyMgo=}"));

	ck_assert_uint_eq(c->npeers, 1);
	ck_assert_str_eq(c->peers[0].password, "hunter2\n");
	ck_assert_msg(strstr(said(c), "ends with a line break"), "%s", said(c));
	ck_assert(!strstr(said(c), "hunter2"));
	bgpconf_free(c);
}
END_TEST

#define THREE                                                                                      \
	CORE("n1", "", IP("10.0.0.1")) CORE("n2", "", IP("10.0.0.2")) CORE("n3", "", IP("10.0.0.3"))
#define MESH_KEY BGPC("nodeMeshPassword: " REF("mesh", "k"))

START_TEST(mesh_password)
{
	struct bgpconf *c = compile(THREE MESH_KEY SECRET("mesh", "stringData: {k: m}")
					    TOR("open", "10.0.0.8", ""));

	ck_assert_uint_eq(c->npeers, 3);
	ck_assert_str_eq(peer(c, "mesh/n2")->password, "m");
	ck_assert_str_eq(peer(c, "mesh/n3")->password, "m");
	ck_assert_str_eq(peer(c, "open")->password, "");
	bgpconf_free(c);
	c = compile(THREE MESH_KEY TOR("open", "10.0.0.8", ""));
	ck_assert_uint_eq(c->npeers, 1);
	ck_assert_ptr_nonnull(peer(c, "open"));
	ck_assert_msg(
		strstr(said(c), "spec.nodeMeshPassword: Secret \"mesh\" (key \"k\") does not") &&
			strstr(said(c), "the mesh is left out"),
		"%s", said(c));
	bgpconf_free(c);
}
END_TEST

/* Selected nodes have the password of the peer that selects them, from both ends. */
START_TEST(password_of_selected_nodes)
{
	static const char docs[] = NO_MESH THREE SECRET("s", "stringData: {k: p}")
		PEER("p", "node: n1, peerSelector: all(), password: " REF("s", "k"));
	struct bgpconf *c = compile(docs);

	ck_assert_uint_eq(c->npeers, 2);
	ck_assert_str_eq(peer(c, "p/n2")->password, "p");
	bgpconf_free(c);
	c = compile_as("n2", "10.0.0.2/24", docs);
	ck_assert_uint_eq(c->npeers, 1);
	ck_assert_str_eq(peer(c, "p/n1")->password, "p");
	bgpconf_free(c);
}
END_TEST

/* ---- nodes of the API ---- */

START_TEST(core_nodes)
{
	struct bgpconf *c = compile(
		CORE("n1", "projectcalico.org/ASNumber: '65001'", IP("10.0.0.1"))
			CORE("n2",
			     "projectcalico.org/IPv4Address: 10.1.0.2/24, "
			     "projectcalico.org/ASNumber: '65002'",
			     IP("10.0.0.2")) CORE("n3", "", IP("10.0.0.3"))
				CORE("rr", "projectcalico.org/RouteReflectorClusterID: 244.0.0.1",
				     IP("10.0.0.4")));
	char buf[ADDR_STRLEN];

	ck_assert_uint_eq(c->problems.n, 0);
	ck_assert_uint_eq(c->begin.asn, 65001);
	/* The reflector is not in the mesh. */
	ck_assert_uint_eq(c->npeers, 2);
	ck_assert_str_eq(addr_format(&peer(c, "mesh/n2")->address, buf, sizeof(buf)), "10.1.0.2");
	ck_assert_uint_eq(peer(c, "mesh/n2")->asn, 65002);
	ck_assert_str_eq(addr_format(&peer(c, "mesh/n3")->address, buf, sizeof(buf)), "10.0.0.3");
	ck_assert_uint_eq(peer(c, "mesh/n3")->asn, 64512);
	bgpconf_free(c);
}
END_TEST

/* ---- what a change changes ---- */

/* What bgpd compares, as a text; each peer that differs counts. */
static bool same_peer(const struct m_bgp_peer *a, const struct m_bgp_peer *b)
{
	return addr_eq(&a->address, &b->address) && !strcmp(a->interface, b->interface) &&
	       a->port == b->port && a->asn == b->asn && a->local_asn == b->local_asn &&
	       a->hold_time == b->hold_time && a->keepalive == b->keepalive &&
	       a->nexthop_mode == b->nexthop_mode && addr_eq(&a->source, &b->source) &&
	       a->ttl_security == b->ttl_security && a->allowed_own_as == b->allowed_own_as &&
	       !strcmp(a->password, b->password) && a->restart_time == b->restart_time &&
	       a->max_prefixes == b->max_prefixes && a->passive == b->passive &&
	       a->reflector_client == b->reflector_client;
}

/* The names that were added (+), removed (-) and changed (~). */
static const char *difference(const char *before, const char *after)
{
	struct bgpconf *a = compile(before), *b = compile(after);
	const char *text = "";

	for (unsigned i = 0; i < a->npeers; i++)
		if (!peer(b, a->peers[i].name))
			text = arena_printf(&arena, "%s-%s ", text, a->peers[i].name);
	for (unsigned i = 0; i < b->npeers; i++) {
		const struct m_bgp_peer *p = peer(a, b->peers[i].name);

		if (!p || !same_peer(p, &b->peers[i]))
			text = arena_printf(&arena, "%s%s%s ", text, p ? "~" : "+",
					    b->peers[i].name);
	}
	ck_assert_uint_eq(a->begin.asn, b->begin.asn);
	ck_assert_uint_eq(a->begin.router_id, b->begin.router_id);
	bgpconf_free(a);
	bgpconf_free(b);
	return text;
}

#define N1 CORE("n1", "", IP("10.0.0.1"))
#define N2 CORE("n2", "", IP("10.0.0.2"))
#define N3 CORE("n3", "", IP("10.0.0.3"))

START_TEST(only_what_is_concerned)
{
	static const struct {
		const char *before, *after, *want;
	} rows[] = {
		{ N1 N2 N3, N1 N2 N3, "" },
		{ N1 N2, N1 N2 N3, "+mesh/n3 " },
		{ N1 N2 N3, N1 N3, "-mesh/n2 " },
		{ N1 N2 N3, N1 N2 CORE("n3", "", IP("10.0.0.30")), "~mesh/n3 " },
		{ N1 N2 N3, N1 CORE("n2", "projectcalico.org/ASNumber: '7'", IP("10.0.0.2")) N3,
		  "~mesh/n2 " },
		{ N1 N2 N3,
		  N1 CORE("n2", "projectcalico.org/RouteReflectorClusterID: 244.0.0.1",
			  IP("10.0.0.2")) N3,
		  "-mesh/n2 " },
		/* A label that nothing asks for. */
		{ N1 N2 N3, N1 CORE("n2", "x: y", IP("10.0.0.2")) N3, "" },
		/* An explicit peer takes the mesh's place. */
		{ N1 N2 N3, N1 N2 N3 PEER("x", "peerIP: 10.0.0.2"), "-mesh/n2 +x " },
		/* The order of documents is nothing. */
		{ N1 N2 N3 TOR("a", "10.0.0.8", "") TOR("b", "10.0.0.9", ""),
		  TOR("b", "10.0.0.9", "") N3 N2 TOR("a", "10.0.0.8", "") N1, "" },
		{ NO_MESH KEYED TOR("o", "10.0.0.8", "") SECRET("s", "stringData: {k: a}"),
		  NO_MESH KEYED TOR("o", "10.0.0.8", "") SECRET("s", "stringData: {k: b}"),
		  "~tor " },
		{ NO_MESH KEYED TOR("o", "10.0.0.8", ""),
		  NO_MESH KEYED TOR("o", "10.0.0.8", "") SECRET("s", "stringData: {k: b}"),
		  "+tor " },
		/* The same bytes, said otherwise. */
		{ NO_MESH KEYED SECRET("s", "stringData: {k: foo}"),
		  NO_MESH KEYED SECRET("s", "data: {k: Zm9v}"), "" },
		{ N1 N2 N3, N1 N2 N3 BGPC("serviceClusterIPs: [{cidr: 10.96.0.0/12}]"), "" },
		{ N1 N2 N3 TOR("o", "10.0.0.8", ""), N1 N2 N3 TOR("o", "10.0.0.8", "") NO_MESH,
		  "-mesh/n2 -mesh/n3 " },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = difference(rows[i].before, rows[i].after);

		ck_assert_msg(!strcmp(got, rows[i].want), "row %zu: got \"%s\", want \"%s\"", i,
			      got, rows[i].want);
	}
}
END_TEST

START_TEST(same)
{
	static const struct {
		const char *docs;
		bool same;
	} rows[] = {
		{ N1 N2 N3, true },
		{ N3 N2 N1 SECRET("s", "stringData: {k: a}"), true },
		{ N1 N2, false },
		{ N1 N2 CORE("n3", "", IP("10.0.0.30")), false },
		{ N1 N2 N3 BGPC("asNumber: 7"), false },
		{ N1 N2 N3 BGPC("nodeMeshMaxRestartTime: 7s"), false },
		{ N1 N2 N3 BGPC("serviceClusterIPs: [{cidr: 10.96.0.0/12}]"), false },
		{ N1 N2 N3 CALICO("IPPool", "p") "spec: {cidr: 10.9.0.0/16}\n", false },
		{ N1 N2 N3 MESH_KEY SECRET("mesh", "stringData: {k: a}"), false },
	};
	struct bgpconf *a = compile(N1 N2 N3);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bgpconf *b = compile(rows[i].docs);

		ck_assert_msg(bgpconf_same(a, b) == rows[i].same, "row %zu", i);
		bgpconf_free(b);
	}
	bgpconf_free(a);
}
END_TEST

/* ---- services ---- */

/* A node's own BGPConfiguration stands above the default, list by list; a reflector passes on what
 * its clients say of services. */
START_TEST(services_of_the_configuration)
{
	struct bgpconf *c =
		compile(BGPC("serviceClusterIPs: [{cidr: 10.96.0.0/12}], "
			     "serviceLoadBalancerIPs: [{cidr: 198.51.100.0/24}], "
			     "serviceLoadBalancerAggregation: Enabled")
				CALICO("BGPConfiguration",
				       "node.n1") "spec: {serviceLoadBalancerAggregation: "
						  "Disabled}\n");

	ck_assert_uint_eq(c->norigins, 2);
	ck_assert_int_eq(c->origins[0].kind, ORIGIN_SERVICE);
	ck_assert_uint_eq(c->origins[0].prefixes.n, 1);
	ck_assert_int_eq(c->origins[1].kind, ORIGIN_KEEP_OUT);
	ck_assert_uint_eq(c->npools, 0);
	bgpconf_free(c);
	c = compile(CORE("n1", "projectcalico.org/RouteReflectorClusterID: 244.0.0.1",
			 IP("10.0.0.1")) BGPC("serviceClusterIPs: [{cidr: 10.96.0.0/12}], "
					      "serviceExternalIPs: [{cidr: 192.0.2.0/24}], "
					      "serviceLoadBalancerIPs: [{cidr: 198.51.100.0/24}]"));
	ck_assert_uint_eq(c->npools, 1);
	ck_assert_uint_eq(c->pools[0].pools.n, 2);
	ck_assert(!c->pools[0].pools.v[0].disable_export);
	bgpconf_free(c);
}
END_TEST

UNIT_MAIN("bgpconf_peers", passwords, passwords_that_cannot_be_had, a_line_break_is_named,
	  mesh_password, password_of_selected_nodes, core_nodes, only_what_is_concerned, same,
	  services_of_the_configuration)
