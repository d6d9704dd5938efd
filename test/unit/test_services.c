#include "config.h"

#include "felix/services.h"

#include <string.h>

#include "test/unit/store_dir.h"
#include "test/unit/unit.h"

#define SERVICE(name, spec)                                                                        \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: ns}\nspec: {" spec   \
	"}\n---\n"
#define GIVEN(name, spec, lb)                                                                      \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: ns}\nspec: {" spec   \
	"}\nstatus: {loadBalancer: {ingress: [" lb "]}}\n---\n"
#define SLICE_IN(ns, name, service, type, endpoints)                                               \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " name             \
	", namespace: " ns ", labels: {kubernetes.io/service-name: " service                       \
	"}}\naddressType: " type "\nendpoints: [" endpoints "]\n---\n"
#define SLICE(name, service, type, endpoints) SLICE_IN("ns", name, service, type, endpoints)
#define HERE				      "{nodeName: n1}"
#define THERE				      "{nodeName: n2, conditions: {ready: true}}"
#define NOT_READY			      "{nodeName: n1, conditions: {ready: false, serving: true}}"
#define LOCAL				      "externalTrafficPolicy: Local"
#define CLUSTER				      "externalTrafficPolicy: Cluster"
#define DUAL				      "clusterIPs: [10.96.0.10, 'fd00:96::10'], ipFamilies: [IPv4, IPv6]"
#define WEB(extra)			      SERVICE("web", "clusterIPs: [10.96.0.10], " extra)

static struct arena arena;

struct ranges {
	const char *cluster, *external, *lb; /* separated by blanks */
	bool excluded, disabled;
};

static struct field_list list_of(const char *text)
{
	char *copy = arena_strdup(&arena, text ? text : ""), *save = NULL;
	struct cidr_item *v = arena_array(&arena, 16, sizeof(*v));
	struct field_list l = { 0, v };

	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
		ck_assert_int_eq(prefix_parse(p, &v[l.n++].cidr), 0);
	return l;
}

static const char *text_of(const struct prefix *v, unsigned n)
{
	const char *text = "";
	char buf[PREFIX_STRLEN];

	for (unsigned i = 0; i < n; i++)
		text = arena_printf(&arena, "%s%s%s", text, i ? " " : "",
				    prefix_format(&v[i], buf, sizeof(buf)));
	return text;
}

static struct services compute(const struct store *store, const struct ranges *r)
{
	const struct field_list cluster = list_of(r->cluster), external = list_of(r->external),
				lb = list_of(r->lb);
	const struct services_input in = { store,    "n1",	r->excluded, !r->disabled,
					   &cluster, &external, &lb };
	struct services out;

	services_compute(&in, &arena, &out);
	return out;
}

struct row {
	const char *what, *docs;
	struct ranges r;
	const char *want;
};

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct store_dir dir;
		struct store_status st;

		dir_make(&dir);
		dir_write(&dir, "r.yaml", rows[i].docs);
		struct store *store = dir_open(&dir);

		store_status(store, &st);
		ck_assert_msg(!st.nerrors, "%s: %s", rows[i].what, st.nerrors ? st.errors[0] : "");
		const struct services got = compute(store, &rows[i].r);
		const char *text = text_of(got.v, got.n);

		ck_assert_msg(!strcmp(text, rows[i].want), "%s: got \"%s\", want \"%s\"",
			      rows[i].what, text, rows[i].want);
		store_close(store);
		dir_free(&dir);
	}
}
#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof(rows[0]))

START_TEST(aggregates)
{
	static const struct row rows[] = {
		{ "no range: nothing, whatever the services",
		  WEB(LOCAL) SLICE("a", "web", "IPv4", HERE),
		  { .excluded = false },
		  "" },
		{ "every range, sorted, once",
		  "",
		  { .cluster = "10.96.0.0/12 fd00:96::/112",
		    .external = "192.0.2.0/24",
		    .lb = "198.51.100.0/24 192.0.2.0/24" },
		  "10.96.0.0/12 192.0.2.0/24 198.51.100.0/24 fd00:96::/112" },
		{ "single addresses come with a service, but for cluster IPs",
		  "",
		  { .cluster = "10.96.0.1/32",
		    .external = "192.0.2.1/32 192.0.2.8/29",
		    .lb = "198.51.100.1/32 fd00:7::1/128" },
		  "10.96.0.1/32 192.0.2.8/29" },
		{ "not aggregated",
		  "",
		  { .cluster = "10.96.0.0/12",
		    .external = "192.0.2.0/24",
		    .lb = "198.51.100.0/24",
		    .disabled = true },
		  "10.96.0.0/12 192.0.2.0/24" },
		{ "an excluded node says nothing",
		  WEB(LOCAL) SLICE("a", "web", "IPv4", HERE),
		  { .cluster = "10.96.0.0/12",
		    .external = "192.0.2.0/24",
		    .lb = "198.51.100.0/24",
		    .excluded = true },
		  "" },
	};

	CHECK_ROWS(rows);
}
END_TEST

#define CIDR "10.96.0.0/12"

START_TEST(local_services)
{
	static const struct row rows[] = {
		{ "ready here",
		  WEB(LOCAL) SLICE("a", "web", "IPv4", THERE ", " HERE),
		  { .cluster = CIDR },
		  CIDR " 10.96.0.10/32" },
		{ "ready elsewhere",
		  WEB(LOCAL) SLICE("a", "web", "IPv4", THERE),
		  { .cluster = CIDR },
		  CIDR },
		{ "not ready",
		  WEB(LOCAL) SLICE("a", "web", "IPv4", NOT_READY ", " THERE),
		  { .cluster = CIDR },
		  CIDR },
		{ "one of two slices",
		  WEB(LOCAL) SLICE("a", "web", "IPv4", NOT_READY) SLICE("b", "web", "IPv4", HERE)
			  SLICE("c", "web", "IPv4", ""),
		  { .cluster = CIDR },
		  CIDR " 10.96.0.10/32" },
		{ "no slice", WEB(LOCAL), { .cluster = CIDR }, CIDR },
		{ "the slice of another service",
		  WEB(LOCAL) SLICE("a", "web2", "IPv4", HERE),
		  { .cluster = CIDR },
		  CIDR },
		{ "the slice of another namespace",
		  WEB(LOCAL) SLICE_IN("other", "a", "web", "IPv4", HERE),
		  { .cluster = CIDR },
		  CIDR },
		{ "a slice of a family that the service has not",
		  WEB(LOCAL) SLICE("a", "web", "IPv6", HERE),
		  { .cluster = CIDR },
		  CIDR },
		{ "host names",
		  WEB(LOCAL) SLICE("a", "web", "FQDN", HERE),
		  { .cluster = CIDR },
		  CIDR },
		{ "host names, of a service that no cluster IP gives a family",
		  SERVICE("web", "externalIPs: [192.0.2.7], " LOCAL)
			  SLICE("a", "web", "FQDN", HERE),
		  { .external = "192.0.2.0/24" },
		  "192.0.2.0/24" },
		{ "no cluster IP is no matter in a directory",
		  SERVICE("web", "externalIPs: [192.0.2.7], " LOCAL)
			  SLICE("a", "web", "IPv4", HERE),
		  { .external = "192.0.2.0/24" },
		  "192.0.2.0/24 192.0.2.7/32" },
		{ "dual stack",
		  SERVICE("web", DUAL ", " LOCAL) SLICE("a", "web", "IPv4", HERE)
			  SLICE("b", "web", "IPv6", HERE),
		  { .cluster = CIDR " fd00:96::/112" },
		  CIDR " 10.96.0.10/32 fd00:96::/112 fd00:96::10/128" },
		{ "a cluster IP outside of the ranges",
		  SERVICE("web", DUAL ", " LOCAL) SLICE("a", "web", "IPv4", HERE),
		  { .cluster = CIDR },
		  CIDR " 10.96.0.10/32" },
		{ "headless",
		  SERVICE("web", "clusterIP: None, externalIPs: [192.0.2.7], " LOCAL)
			  SLICE("a", "web", "IPv4", HERE),
		  { .cluster = CIDR, .external = "192.0.2.0/24" },
		  CIDR " 192.0.2.0/24" },
		{ "ExternalName",
		  SERVICE("web", "type: ExternalName, externalIPs: [192.0.2.7], " LOCAL)
			  SLICE("a", "web", "IPv4", HERE),
		  { .cluster = CIDR, .external = "192.0.2.0/24" },
		  CIDR " 192.0.2.0/24" },
		{ "all its addresses, each within its own ranges",
		  GIVEN("web",
			"type: LoadBalancer, clusterIPs: [10.96.0.10], " LOCAL
			", externalIPs: [192.0.2.7, 203.0.113.1, 198.51.100.9]",
			"{ip: 198.51.100.7}, {ip: 192.0.2.9}, {hostname: x}")
			  SLICE("a", "web", "IPv4", HERE),
		  { .cluster = CIDR, .external = "192.0.2.0/24", .lb = "198.51.100.0/24" },
		  CIDR " 10.96.0.10/32 192.0.2.0/24 192.0.2.7/32 198.51.100.0/24 198.51.100.7/32" },
		{ "a cluster IP is said only with a range of its own",
		  SERVICE("web", "clusterIPs: [10.96.0.10], externalIPs: [192.0.2.7], " LOCAL)
			  SLICE("a", "web", "IPv4", HERE),
		  { .external = "192.0.2.0/24" },
		  "192.0.2.0/24 192.0.2.7/32" },
		{ "two services with one external IP, once",
		  SERVICE("a", "clusterIP: 10.96.0.1, externalIPs: [192.0.2.7], " LOCAL)
			  SERVICE("b", "clusterIP: 10.96.0.2, externalIPs: [192.0.2.7], " LOCAL)
				  SLICE("a", "a", "IPv4", HERE) SLICE("b", "b", "IPv4", HERE),
		  { .external = "192.0.2.0/24" },
		  "192.0.2.0/24 192.0.2.7/32" },
		{ "a single address of a Local service: only with an endpoint",
		  GIVEN("web", "type: LoadBalancer, clusterIP: 10.96.0.1, " LOCAL,
			"{ip: 198.51.100.7}") SLICE("a", "web", "IPv4", THERE),
		  { .lb = "198.51.100.7/32" },
		  "" },
		{ "the same of an external IP",
		  SERVICE("web", "clusterIP: 10.96.0.1, externalIPs: [192.0.2.7], " LOCAL)
			  SLICE("a", "web", "IPv4", THERE),
		  { .external = "192.0.2.7/32" },
		  "" },
	};

	CHECK_ROWS(rows);
}
END_TEST

#define LB(policy, ip)                                                                             \
	GIVEN("web", "type: LoadBalancer, clusterIPs: [10.96.0.10], " policy, "{ip: " ip "}")

START_TEST(cluster_services)
{
	static const struct row rows[] = {
		{ "the aggregate says it",
		  WEB(CLUSTER) SLICE("a", "web", "IPv4", HERE),
		  { .cluster = CIDR },
		  CIDR },
		{ "no policy at all",
		  WEB("type: ClusterIP") SLICE("a", "web", "IPv4", HERE),
		  { .cluster = CIDR },
		  CIDR },
		{ "a single load balancer address, given",
		  LB(CLUSTER, "198.51.100.7"),
		  { .lb = "198.51.100.7/32 198.51.100.64/26" },
		  "198.51.100.7/32 198.51.100.64/26" },
		{ "inside of a range only",
		  LB(CLUSTER, "198.51.100.65"),
		  { .lb = "198.51.100.7/32 198.51.100.64/26" },
		  "198.51.100.64/26" },
		{ "a single address that was asked for, and another given",
		  GIVEN("web",
			"type: LoadBalancer, clusterIP: 10.96.0.1, loadBalancerIP: "
			"198.51.100.7, " CLUSTER,
			"{ip: 198.51.100.65}"),
		  { .lb = "198.51.100.7/32 198.51.100.64/26" },
		  "198.51.100.64/26 198.51.100.65/32" },
		{ "a single address that is no load balancer's",
		  SERVICE("web", "clusterIP: 10.96.0.1, loadBalancerIP: 198.51.100.7, " CLUSTER),
		  { .lb = "198.51.100.7/32" },
		  "" },
		{ "a single external address, with the service's others",
		  SERVICE("web",
			  "clusterIP: 10.96.0.1, externalIPs: [192.0.2.7, 203.0.113.5], " CLUSTER),
		  { .cluster = CIDR, .external = "192.0.2.7/32 203.0.113.0/24" },
		  CIDR " 10.96.0.1/32 192.0.2.7/32 203.0.113.0/24 203.0.113.5/32" },
		{ "a single IPv6 address",
		  LB(CLUSTER, "'fd00:7::7'"),
		  { .lb = "fd00:7::7/128" },
		  "fd00:7::7/128" },
		{ "not aggregated: from every node while any endpoint is ready",
		  LB(CLUSTER, "198.51.100.7") SLICE("a", "web", "IPv4", THERE),
		  { .lb = "198.51.100.0/24", .disabled = true },
		  "198.51.100.7/32" },
		{ "not aggregated, no endpoint",
		  LB(CLUSTER, "198.51.100.7") SLICE("a", "web", "IPv4", NOT_READY),
		  { .lb = "198.51.100.0/24", .disabled = true },
		  "" },
		{ "not aggregated, endpoints of another family",
		  LB(CLUSTER, "198.51.100.7") SLICE("a", "web", "IPv6", THERE),
		  { .lb = "198.51.100.0/24", .disabled = true },
		  "" },
		{ "not aggregated, Local",
		  LB(LOCAL, "198.51.100.7") SLICE("a", "web", "IPv4", THERE),
		  { .lb = "198.51.100.0/24", .disabled = true },
		  "" },
		{ "an excluded node",
		  LB(CLUSTER, "198.51.100.7"),
		  { .lb = "198.51.100.7/32", .excluded = true },
		  "" },
	};

	CHECK_ROWS(rows);
}
END_TEST

/* What others say inside of the ranges stays out of the kernel, also on a node that is excluded. */
START_TEST(ranges)
{
	struct store_dir dir;

	dir_make(&dir);
	struct store *store = dir_open(&dir);
	struct ranges r = { .cluster = CIDR,
			    .external = "192.0.2.7/32 192.0.2.64/26",
			    .lb = "198.51.100.0/24" };
	struct services s = compute(store, &r);

	ck_assert_str_eq(text_of(s.ranges, s.nranges), CIDR " 192.0.2.64/26 198.51.100.0/24");
	r.excluded = true;
	s = compute(store, &r);
	ck_assert_uint_eq(s.n, 0);
	ck_assert_str_eq(text_of(s.ranges, s.nranges), CIDR " 192.0.2.64/26 198.51.100.0/24");
	r.disabled = true;
	s = compute(store, &r);
	ck_assert_str_eq(text_of(s.ranges, s.nranges), CIDR " 192.0.2.64/26");
	store_close(store);
	dir_free(&dir);
}
END_TEST

/* Many services in one table: each finds its own slices. */
START_TEST(many)
{
	enum { N = 1500 };
	struct store_dir dir;
	size_t room = (size_t)N * 700, at = 0;
	char *all = xmalloc(room);

	for (unsigned i = 0; i < N; i++)
		at += (size_t)snprintf(all + at, room - at,
				       SERVICE("s%u", "clusterIP: 10.96.%u.%u, " LOCAL)
					       SLICE("e%u", "s%u", "IPv4", "{nodeName: %s}"),
				       i, i / 250, i % 250 + 1, i, i, i % 3 ? "n2" : "n1");
	ck_assert_uint_lt(at, room);
	dir_make(&dir);
	dir_write(&dir, "r.yaml", all);
	struct store *store = dir_open(&dir);
	const struct ranges r = { .cluster = CIDR };
	struct services s = compute(store, &r);
	unsigned right = 0;

	ck_assert_uint_eq(s.n, 1 + N / 3);
	for (unsigned i = 1; i < s.n; i++) {
		uint32_t a = addr_to_u32(&s.v[i].addr);

		right += ((a >> 8 & 0xff) * 250 + (a & 0xff) - 1) % 3 == 0;
		ck_assert_int_lt(prefix_cmp(&s.v[i - 1], &s.v[i]), 0);
	}
	ck_assert_uint_eq(right, N / 3);
	free(all);
	store_close(store);
	dir_free(&dir);
}
END_TEST

UNIT_MAIN("services", aggregates, local_services, cluster_services, ranges, many)
