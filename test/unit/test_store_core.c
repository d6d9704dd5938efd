#include "config.h"

#include <string.h>

#include "store/model.h"
#include "test/unit/unit.h"

static struct arena arena;
static struct problems problems;
static struct object *last;

static void on_item(void *arg, const struct model_item *item)
{
	(void)arg;
	last = item->object;
}

static int read_one(const char *text)
{
	struct doc *docs;
	struct err err;
	uint32_t position = 0;
	bool anonymous;

	last = NULL;
	problems = (struct problems){ .arena = &arena };
	ck_assert_msg(!yaml_parse(text, strlen(text), "f.yaml", &arena, &docs, &err), "%s",
		      err.text);
	return model_read(docs->root, "f.yaml", &position, on_item, NULL, &problems, &anonymous);
}

static const struct object *good(const char *text)
{
	int rc = read_one(text);

	ck_assert_msg(!rc && !problems.n && last, "%s: %s", text,
		      problems.n ? problems.text[0] : "?");
	return last;
}

#define SERVICE(rest)                                                                              \
	"apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: ns}\n" rest "\n"
#define SLICE(rest)                                                                                \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"                                   \
	"metadata: {name: e, namespace: ns, labels: {kubernetes.io/service-name: s}}\n" rest "\n"
#define SECRET(rest) "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n" rest "\n"

static void ips_are(const struct field_list *l, const char *want)
{
	char text[256] = "", buf[ADDR_STRLEN];
	const struct addr *v = l->v;

	for (uint32_t i = 0; i < l->n; i++) {
		strcat(text, i ? " " : "");
		strcat(text, addr_format(&v[i], buf, sizeof(buf)));
	}
	ck_assert_str_eq(text, want);
}

/* As the API gives it, with much that is not looked at. */
START_TEST(service_of_the_api)
{
	const struct object *o =
		good("apiVersion: v1\nkind: Service\n"
		     "metadata: {name: s, namespace: ns, uid: u, resourceVersion: '7', newKey: 1}\n"
		     "spec:\n  type: LoadBalancer\n  clusterIP: 10.96.0.10\n"
		     "  clusterIPs: [10.96.0.10, 'fd00:96::10']\n  externalIPs: [192.0.2.1]\n"
		     "  loadBalancerIP: 198.51.100.9\n  externalTrafficPolicy: Local\n"
		     "  internalTrafficPolicy: Cluster\n  ipFamilies: [IPv4, IPv6]\n"
		     "  ipFamilyPolicy: PreferDualStack\n  sessionAffinity: None\n"
		     "  selector: {app: web}\n"
		     "  ports: [{name: http, port: 80, targetPort: http, nodePort: 30080, "
		     "protocol: TCP}]\n"
		     "status: {loadBalancer: {ingress: [{ip: 198.51.100.7, ipMode: VIP}, "
		     "{hostname: h}]},\n"
		     "  conditions: []}\n");
	const struct spec_service *s = o->spec;

	ck_assert_int_eq(o->kind, KIND_SERVICE);
	ck_assert_str_eq(o->namespace_, "ns");
	ck_assert_int_eq(s->type, SERVICE_LOAD_BALANCER);
	ck_assert(s->local && !s->cluster && !s->headless);
	ck_assert_uint_eq(s->families, 1u << FAM_V4 | 1u << FAM_V6);
	ips_are(&s->cluster_ips, "10.96.0.10 fd00:96::10");
	ips_are(&s->external_ips, "192.0.2.1");
	/* What was asked for is not what was given. */
	ips_are(&s->lb_ips, "198.51.100.7");
	object_unref(last);
}
END_TEST

START_TEST(service_forms)
{
	const struct spec_service *s;

	s = good(SERVICE("spec: {clusterIP: None, clusterIPs: [None]}"))->spec;
	ck_assert(s->headless);
	ck_assert_int_eq(s->type, SERVICE_CLUSTER_IP);
	ck_assert_uint_eq(s->cluster_ips.n, 0);
	object_unref(last);
	/* Older documents have the one address alone; its family is the service's. */
	s = good(SERVICE("spec: {clusterIP: 10.96.0.1, externalTrafficPolicy: Cluster}"))->spec;
	ips_are(&s->cluster_ips, "10.96.0.1");
	ck_assert(s->cluster && !s->local);
	ck_assert_uint_eq(s->families, 1u << FAM_V4);
	object_unref(last);
	/* A file has no status: it means what it asks for. */
	s = good(SERVICE("spec: {type: LoadBalancer, loadBalancerIP: 198.51.100.9}"))->spec;
	ips_are(&s->lb_ips, "198.51.100.9");
	object_unref(last);
	s = good(SERVICE("spec: {type: LoadBalancer, loadBalancerIP: 198.51.100.9}\n"
			 "status: {loadBalancer: {}}"))
		    ->spec;
	ck_assert_uint_eq(s->lb_ips.n, 0);
	ck_assert_int_eq(s->lb_asked.fam, FAM_V4);
	object_unref(last);
	s = good(SERVICE("spec: {type: ExternalName, externalName: a.example}"))->spec;
	ck_assert_int_eq(s->type, SERVICE_EXTERNAL_NAME);
	object_unref(last);
}
END_TEST

START_TEST(slices)
{
	const struct spec_endpointslice *s;
	const char *const *v;

	s = good(SLICE("addressType: IPv4\nports: [{port: 80}]\nendpoints:\n"
		       "- {addresses: [10.1.0.1], nodeName: n2, conditions: {ready: true}, zone: "
		       "z}\n"
		       "- {addresses: [10.1.0.2], nodeName: n1}\n"
		       "- {addresses: [10.1.0.3], nodeName: n1, conditions: {}}\n"
		       "- {addresses: [10.1.0.4], nodeName: n3, conditions: {ready: null}}\n"
		       "- {addresses: [10.1.0.5], nodeName: n4, conditions: {ready: false, "
		       "serving: "
		       "true, terminating: true}}\n"
		       "- {addresses: [10.1.0.6], conditions: {ready: true}}"))
		    ->spec;
	v = s->ready_nodes.v;
	ck_assert_str_eq(s->service, "s");
	ck_assert_int_eq(s->family, FAM_V4);
	ck_assert(s->any_ready);
	ck_assert_uint_eq(s->ready_nodes.n, 3);
	ck_assert_str_eq(v[0], "n1");
	ck_assert_str_eq(v[1], "n2");
	ck_assert_str_eq(v[2], "n3");
	object_unref(last);
	s = good(SLICE("addressType: IPv6\nendpoints: null"))->spec;
	ck_assert_int_eq(s->family, FAM_V6);
	ck_assert(!s->any_ready);
	object_unref(last);
	s = good(SLICE("addressType: FQDN\nendpoints: [{addresses: [a.example]}]"))->spec;
	ck_assert_int_eq(s->family, FAM_NONE);
	ck_assert(s->any_ready);
	ck_assert_uint_eq(s->ready_nodes.n, 0);
	object_unref(last);
}
END_TEST

static void item_is(const struct spec_secret *s, const char *key, const char *bytes, uint32_t len)
{
	const struct secret_item *v = s->items.v;

	for (uint32_t i = 0; i < s->items.n; i++) {
		if (strcmp(v[i].key, key) != 0)
			continue;
		ck_assert_msg(v[i].len == len && !memcmp(v[i].bytes, bytes, len), "%s", key);
		ck_assert_int_eq(v[i].bytes[len], 0);
		return;
	}
	ck_abort_msg("no %s", key);
}

START_TEST(secrets)
{
	const struct object *o = good(
		"apiVersion: v1\nkind: Secret\ntype: Opaque\nimmutable: true\n"
		"metadata: {name: x, annotations: "
		"{kubectl.kubernetes.io/last-applied-configuration: "
		"'{}'}}\n"
		"data: {one: Zg==, two: Zm8=, three: Zm9v, four: Zm9vYg==, none: '', odd: AP8A, "
		"both: Zm9v,\n  lines: \"Zm9v\\nYmFy\\n\"}\n"
		"stringData: {both: bar, empty: null}\n");
	const struct spec_secret *s = o->spec;

	ck_assert_int_eq(o->kind, KIND_SECRET);
	ck_assert_str_eq(o->namespace_, "default");
	/* It would hold the values once more. */
	ck_assert_uint_eq(o->annotations.n, 0);
	ck_assert_uint_eq(s->items.n, 9);
	/* RFC 4648 section 10. */
	item_is(s, "one", "f", 1);
	item_is(s, "two", "fo", 2);
	item_is(s, "three", "foo", 3);
	item_is(s, "four", "foob", 4);
	item_is(s, "none", "", 0);
	item_is(s, "odd", "\0\377\0", 3);
	item_is(s, "lines", "foobar", 6);
	item_is(s, "both", "bar", 3);
	item_is(s, "empty", "", 0);
	object_unref(last);
}
END_TEST

#define NODE(rest) "apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\n" rest "\n"

START_TEST(core_nodes)
{
	const struct object *o =
		good(NODE("  labels: {rack: a}\n  annotations:\n"
			  "    projectcalico.org/IPv4Address: 10.0.0.3/24\n"
			  "    projectcalico.org/ASNumber: '65003'\n"
			  "    projectcalico.org/RouteReflectorClusterID: 244.0.0.1\n"
			  "    other: x\n"
			  "spec: {podCIDR: 10.244.3.0/24, podCIDRs: [10.244.3.0/24, "
			  "'fd00:244:3::/64'], unheardOf: {a: b}}\n"
			  "status:\n  addresses:\n  - {type: InternalIP, address: 10.9.9.9}\n"
			  "  - {type: InternalIP, address: 'fd00::3'}\n"
			  "  - {type: InternalIP, address: 'fd00::4'}\n"
			  "  - {type: ExternalIP, address: 192.0.2.3}\n"
			  "  - {type: Hostname, address: n1}\n  nodeInfo: {kernelVersion: '6.1'}"));
	const struct spec_node *n = o->spec;
	const struct prefix *cidrs = n->pod_cidrs.v;

	ck_assert_str_eq(o->labels.v[0].value, "a");
	/* The annotation stands above the kubelet's word; where it is absent, that one counts. */
	ck_assert_str_eq(n->ipv4_address, "10.0.0.3/24");
	ck_assert_str_eq(n->ipv6_address, "fd00::3");
	ck_assert_uint_eq(n->asn, 65003);
	ck_assert_str_eq(n->route_reflector_cluster_id, "244.0.0.1");
	ck_assert_str_eq(n->pod_cidr, "10.244.3.0/24");
	ck_assert_uint_eq(n->pod_cidrs.n, 2);
	ck_assert_int_eq(cidrs[1].addr.fam, FAM_V6);
	ck_assert_uint_eq(cidrs[1].len, 64);
	object_unref(last);
	n = good(NODE("spec: {podCIDRs: ['fd00:244:3::/64']}"))->spec;
	ck_assert_str_eq(n->pod_cidr, "fd00:244:3::/64");
	ck_assert_str_eq(n->ipv4_address, "");
	object_unref(last);
}
END_TEST

START_TEST(broken)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ SERVICE("spec: {clusterIP: 10.96.0}"),
		  "Service \"s\": spec.clusterIP: \"10.96.0\"" },
		{ SERVICE("spec: {externalIPs: [x]}"), "spec.externalIPs" },
		{ SERVICE("spec: {externalIPs: 192.0.2.1}"), "spec.externalIPs" },
		{ SERVICE("spec: {type: Other}"), "spec.type" },
		{ SERVICE("spec: {externalTrafficPolicy: local}"), "expected Cluster or Local" },
		{ SERVICE("spec: {ipFamilies: [IPv5]}"), "expected IPv4 or IPv6" },
		{ SERVICE("spec: 7"), "Service \"s\".spec" },
		{ SERVICE("status: {loadBalancer: {ingress: [{ip: x}]}}"), "status.loadBalancer" },
		{ SLICE("endpoints: []"), "addressType: is missing" },
		{ SLICE("addressType: IPv5"), "addressType" },
		{ SLICE("addressType: IPv4\nendpoints: {}"),
		  "endpoints: a mapping is not allowed" },
		{ SLICE("addressType: IPv4\nendpoints: [x]"), "EndpointSlice \"e\".endpoints" },
		{ SLICE("addressType: IPv4\nendpoints: [{nodeName: [n]}]"), "nodeName" },
		{ SLICE("addressType: IPv4\nendpoints: [{conditions: {ready: 'true'}}]"),
		  "true or false without quotes" },
		{ SLICE("addressType: IPv4\nendpoints: [{conditions: []}]"), "conditions" },
		{ SECRET("data: {k: hunter2!}"), "data.k: is not base64" },
		{ SECRET("data: {k: Zg}"), "data.k: is not base64" },
		{ SECRET("data: {k: Zg==Zg==}"), "data.k: is not base64" },
		{ SECRET("data: {k: Zm=v}"), "data.k: is not base64" },
		{ SECRET("data: {k: Z===}"), "data.k: is not base64" },
		{ SECRET("data: hunter2"), "data: expected a mapping" },
		{ SECRET("stringData: {k: [hunter2]}"), "stringData.k: expected a text" },
		{ "apiVersion: v1\nkind: EndpointSlice\nmetadata: {name: e}\n",
		  "expected discovery.k8s.io/v1" },
		{ NODE("  annotations: {projectcalico.org/ASNumber: x}"), "is no AS number" },
		{ NODE("spec: {podCIDRs: [x]}"), "podCIDRs" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(read_one(rows[i].text) < 0, "%s", rows[i].text);
		ck_assert_ptr_null(last);
		ck_assert_uint_ge(problems.n, 1);
		ck_assert_msg(strstr(problems.text[0], rows[i].says), "%s", problems.text[0]);
		/* Whatever is wrong with a secret, its value is in no message. */
		ck_assert_msg(!strstr(problems.text[0], "hunter2"), "%s", problems.text[0]);
	}
}
END_TEST

UNIT_MAIN("store_core", service_of_the_api, service_forms, slices, secrets, core_nodes, broken)
