/* Which pools serve a pod, and what its annotations ask for. */
#include "config.h"

#include "felix/cni_server.h"
#include "felix/ippools.h"
#include "store_dir.h"
#include "unit.h"

#define NOTE(key) "cni.projectcalico.org/" key
enum { V4 = 1 << FAM_V4, V6 = 1 << FAM_V6, NOTES_MAX = 4 };

/* Pools by name: every way in which one may not serve, and two of each family that may. */
static const char pools[] =
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: a4}\n"
	"spec: {cidr: 10.1.0.0/16}\n---\n"
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: a6}\n"
	"spec: {cidr: 'fd00:1::/64'}\n---\n"
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: b-node}\n"
	"spec: {cidr: 10.2.0.0/16, nodeSelector: rack == 'r1'}\n---\n"
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: c-ns}\n"
	"spec: {cidr: 10.3.0.0/16, namespaceSelector: team == 'red'}\n---\n"
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: d-off}\n"
	"spec: {cidr: 10.4.0.0/16, disabled: true}\n---\n"
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: e-manual}\n"
	"spec: {cidr: 10.5.0.0/16, assignmentMode: Manual}\n---\n"
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: f-lb}\n"
	"spec: {cidr: 10.6.0.0/16, allowedUses: [LoadBalancer]}\n---\n"
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: g-name}\n"
	"spec: {cidr: 10.7.0.0/16, namespaceSelector: kubernetes.io/metadata.name == 'blue'}\n---\n"
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: h-manual6}\n"
	"spec: {cidr: 'fd00:5::/64', assignmentMode: Manual}\n---\n"
	"apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {rack: r1}}\n---\n"
	"apiVersion: v1\nkind: Node\nmetadata: {name: n2}\n---\n"
	"apiVersion: v1\nkind: Namespace\nmetadata: {name: red, labels: {team: red}}\n---\n"
	"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ask\n  annotations:\n"
	"    cni.projectcalico.org/ipv4pools: '[\"d-off\", \"a4\"]'\n---\n"
	"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: six\n  annotations:\n"
	"    cni.projectcalico.org/ipFamilies: '[\"IPv6\"]'\n"
	"    cni.projectcalico.org/ipv4pools: '[\"c-ns\"]'\n";

struct bench {
	struct store_dir dir;
	struct store *store;
	struct arena arena;
	struct m_cni_add add;
	struct msg_kv notes[NOTES_MAX];
	struct ippools_in in;
	struct ippools_out out;
	struct err err;
};

static void begin_with(struct bench *b, const char *text)
{
	memset(b, 0, sizeof(*b));
	dir_make(&b->dir);
	dir_write(&b->dir, "a.yaml", text);
	b->store = dir_open(&b->dir);
	b->add = (struct m_cni_add){ .namespace_ = "default", .pod = "web", .mac = "" };
	b->add.annotations.v = b->notes;
	b->in = (struct ippools_in){ .store = b->store, .node = "n1", .add = &b->add };
}

static void begin(struct bench *b)
{
	begin_with(b, pools);
}

static void end(struct bench *b)
{
	arena_free(&b->arena);
	store_close(b->store);
	dir_free(&b->dir);
}

static void note(struct bench *b, const char *key, const char *value)
{
	b->notes[b->add.annotations.n++] = (struct msg_kv){ key, value };
}

static int want(struct bench *b)
{
	int rc = ippools_want(&b->in, &b->arena, &b->out, &b->err);

	b->add.annotations.n = 0;
	return rc;
}

static const char *text_of(const struct ipam_pools *p, char buf[256])
{
	size_t at = 0;
	char one[PREFIX_STRLEN];

	ck_assert(p->only || p->n == 0);
	buf[0] = '\0';
	for (unsigned i = 0; i < p->n; i++)
		at += (size_t)snprintf(buf + at, 256 - at, "%s%s", i ? " " : "",
				       prefix_format(&p->v[i], one, sizeof(one)));
	return buf;
}

static void expect(struct bench *b, unsigned families, unsigned if_any, const char *v4,
		   const char *v6)
{
	char buf[256];

	ck_assert_msg(want(b) == 0, "%s", b->err.text);
	ck_assert_uint_eq(b->out.want.families, families);
	ck_assert_uint_eq(b->out.want.if_any, if_any);
	ck_assert_uint_eq(b->out.want.naddrs, 0);
	ck_assert_str_eq(text_of(&b->out.want.v4, buf), v4);
	ck_assert_str_eq(text_of(&b->out.want.v6, buf), v6);
}

static void refused(struct bench *b, uint32_t code, const char *what)
{
	ck_assert_int_eq(want(b), -1);
	ck_assert_uint_eq(b->out.code, code);
	ck_assert_msg(strstr(b->err.text, what) != NULL, "\"%s\" is not in: %s", what, b->err.text);
}

START_TEST(by_itself)
{
	struct bench b;

	begin(&b);
	expect(&b, 0, V4 | V6, "10.1.0.0/16 10.2.0.0/16", "fd00:1::/64");
	b.in.claims = true;
	expect(&b, V4 | V6, 0, "10.1.0.0/16 10.2.0.0/16", "fd00:1::/64");
	b.in.node = "n2"; /* no label rack */
	expect(&b, V4 | V6, 0, "10.1.0.0/16", "fd00:1::/64");
	b.in.node = "n3"; /* no document */
	expect(&b, V4 | V6, 0, "10.1.0.0/16", "fd00:1::/64");
	b.add.namespace_ = "red";
	expect(&b, V4 | V6, 0, "10.1.0.0/16 10.3.0.0/16", "fd00:1::/64");
	b.add.namespace_ = "blue"; /* no document, but every namespace has the label of its name */
	expect(&b, V4 | V6, 0, "10.1.0.0/16 10.7.0.0/16", "fd00:1::/64");
	b.add.namespace_ = b.add.pod = ""; /* outside any orchestrator */
	expect(&b, V4 | V6, 0, "10.1.0.0/16", "fd00:1::/64");
	end(&b);
}
END_TEST

START_TEST(pools_by_annotation)
{
	struct bench b;

	begin(&b);
	/* In the order given, by name or CIDR, past selectors and assignmentMode; IPv6 as before.
	 */
	note(&b, NOTE("ipv4pools"), "[\"e-manual\", \"10.3.0.0/16\"]");
	expect(&b, V4, V6, "10.5.0.0/16 10.3.0.0/16", "fd00:1::/64");
	note(&b, NOTE("ipv6pools"), "[\"h-manual6\"]");
	expect(&b, V6, V4, "10.1.0.0/16 10.2.0.0/16", "fd00:5::/64");
	note(&b, NOTE("ipv4pools"), "[]"); /* as if it were not there */
	expect(&b, 0, V4 | V6, "10.1.0.0/16 10.2.0.0/16", "fd00:1::/64");
	note(&b, NOTE("ipv4pools"), "");
	expect(&b, 0, V4 | V6, "10.1.0.0/16 10.2.0.0/16", "fd00:1::/64");

	/* The CNI configuration's, then the namespace's, then the pod's. */
	struct msg_text conf[1] = { { "10.3.0.0/16" } };
	b.add.ipv4_pools.n = 1;
	b.add.ipv4_pools.v = conf;
	expect(&b, V4, V6, "10.3.0.0/16", "fd00:1::/64");
	b.add.namespace_ = "ask";
	refused(&b, CNI_CODE_CONFIG, "namespace ask: annotation " NOTE("ipv4pools"));
	ck_assert_ptr_nonnull(strstr(b.err.text, "\"d-off\": it is disabled"));
	note(&b, NOTE("ipv4pools"), "[\"b-node\"]");
	expect(&b, V4, V6, "10.2.0.0/16", "fd00:1::/64");
	end(&b);
}
END_TEST

START_TEST(the_pods_object_is_asked_where_it_is_known)
{
	struct bench b;
	struct pod pod = { .namespace_ = "default", .name = "web" };
	struct pod_notes *notes = xcalloc(1, sizeof(*notes) + sizeof(struct pod_note));

	begin(&b);
	notes->n = 1;
	notes->v[0] = (struct pod_note){ "ipv4pools", "[\"e-manual\"]" };
	pod.notes = notes;
	b.in.pod = &pod;
	note(&b, NOTE("ipv6pools"), "[\"h-manual6\"]"); /* the runtime's may be of before */
	expect(&b, V4, V6, "10.5.0.0/16", "fd00:1::/64");
	pod.notes = NULL;
	expect(&b, 0, V4 | V6, "10.1.0.0/16 10.2.0.0/16", "fd00:1::/64");
	free(notes);
	end(&b);
}
END_TEST

START_TEST(families)
{
	struct bench b;

	begin(&b);
	note(&b, NOTE("ipFamilies"), "[\"IPv4\"]");
	expect(&b, V4, 0, "10.1.0.0/16 10.2.0.0/16", "");
	note(&b, NOTE("ipFamilies"), " [ \"IPv6\" , \"IPv4\" ] ");
	expect(&b, V4 | V6, 0, "10.1.0.0/16 10.2.0.0/16", "fd00:1::/64");
	b.add.families = V4; /* assign_ipv4 */
	expect(&b, V4, 0, "10.1.0.0/16 10.2.0.0/16", "");
	note(&b, NOTE("ipFamilies"), "[\"IPv6\"]");
	expect(&b, V6, 0, "", "fd00:1::/64");
	b.add.namespace_ = "six"; /* its IPv4 pools are then of no interest */
	expect(&b, V6, 0, "", "fd00:1::/64");
	static const char *const wrong[] = { "[\"ipv4\"]", "[\"IPv4\", \"x\"]", "[]" };
	for (unsigned i = 0; i < 3; i++) {
		note(&b, NOTE("ipFamilies"), wrong[i]);
		refused(&b, CNI_CODE_CONFIG, "or both");
		ck_assert_ptr_nonnull(strstr(b.err.text, wrong[i]));
	}
	end(&b);
}
END_TEST

START_TEST(lists_are_json)
{
	static const char *const wrong[] = {
		"a4",	    "\"a4\"",	   "[a4]",
		"[\"a4\"",  "[\"a4\", 4]", "{\"a4\": 1}",
		"- \"a4\"", "[[\"a4\"]]",  "[\"a4\"]\n---\n[\"a4\"]",
		"[null]",
	};
	struct bench b;

	begin(&b);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		note(&b, NOTE("ipv4pools"), wrong[i]);
		refused(&b, CNI_CODE_CONFIG, "pod default/web: annotation " NOTE("ipv4pools"));
		ck_assert_ptr_nonnull(strstr(b.err.text, "JSON list"));
	}
	note(&b, NOTE("ipv4pools"), "[\"nope\"]");
	refused(&b, CNI_CODE_CONFIG, "\"nope\": there is no such IPPool");
	note(&b, NOTE("ipv4pools"), "[\"10.1.0.0/17\"]");
	refused(&b, CNI_CODE_CONFIG, "no such IPPool");
	note(&b, NOTE("ipv4pools"), "[\"a6\"]");
	refused(&b, CNI_CODE_CONFIG, "it is no IPv4 pool");
	note(&b, NOTE("ipv6pools"), "[\"a4\"]");
	refused(&b, CNI_CODE_CONFIG, "it is no IPv6 pool");
	note(&b, NOTE("ipv4pools"), "[\"f-lb\"]");
	refused(&b, CNI_CODE_CONFIG, "Workload");
	end(&b);
}
END_TEST

START_TEST(exact_addresses)
{
	struct bench b;
	char text[ADDR_STRLEN];
	struct addr ip;

	begin(&b);
	note(&b, NOTE("ipAddrs"), "[\"10.5.0.9\", \"fd00:5::9\"]"); /* selectors do not count */
	ck_assert_msg(want(&b) == 0, "%s", b.err.text);
	ck_assert_uint_eq(b.out.want.naddrs, 2);
	ck_assert_str_eq(addr_format(&b.out.want.addrs[0], text, sizeof(text)), "10.5.0.9");
	ck_assert_str_eq(addr_format(&b.out.want.addrs[1], text, sizeof(text)), "fd00:5::9");

	addr_parse("10.1.0.7", &ip);
	b.add.ips.n = 1;
	b.add.ips.v = &ip;
	ck_assert_int_eq(want(&b), 0);
	ck_assert_uint_eq(b.out.want.naddrs, 1);
	ck_assert(addr_eq(&b.out.want.addrs[0], &ip));
	note(&b, NOTE("ipAddrs"), "[\"10.1.0.8\"]"); /* nearer to the pod */
	ck_assert_int_eq(want(&b), 0);
	ck_assert_str_eq(addr_format(&b.out.want.addrs[0], text, sizeof(text)), "10.1.0.8");

	static const struct {
		const char *value, *what;
		uint32_t code;
	} rows[] = {
		{ "[\"10.1.0.8\", \"10.1.0.9\"]", "at most one IPv4", CNI_CODE_CONFIG },
		{ "[\"10.1.0.8/32\"]", "10.1.0.8/32", CNI_CODE_CONFIG },
		{ "[\"web\"]", "web", CNI_CODE_CONFIG },
		{ "[\"127.0.0.1\"]", "127.0.0.1", CNI_CODE_CONFIG },
		{ "[\"192.0.2.1\"]", "lies in no IPPool", CNI_CODE_OUTSIDE },
		{ "[\"10.4.0.1\"]", "\"d-off\", which is disabled", CNI_CODE_OUTSIDE },
		{ "[\"10.6.0.1\"]", "\"f-lb\"", CNI_CODE_OUTSIDE },
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		note(&b, NOTE("ipAddrs"), rows[i].value);
		refused(&b, rows[i].code, rows[i].what);
		ck_assert_ptr_nonnull(strstr(b.err.text, NOTE("ipAddrs")));
	}
	addr_parse("192.0.2.1", &ip);
	refused(&b, CNI_CODE_OUTSIDE, "the runtime");
	note(&b, NOTE("ipAddrsNoIpam"), "[\"10.1.0.8\"]");
	refused(&b, CNI_CODE_CONFIG, NOTE("ipAddrsNoIpam") ": [\"10.1.0.8\"]");
	end(&b);
}
END_TEST

START_TEST(mac_and_what_is_not_acted_on)
{
	struct bench b;

	begin(&b);
	b.add.mac = "02:00:00:00:00:01";
	ck_assert_int_eq(want(&b), 0);
	ck_assert_str_eq(b.out.mac, "02:00:00:00:00:01");
	ck_assert_uint_eq(b.out.nnotes, 0);
	note(&b, NOTE("hwAddr"), "1c:0c:0a:c0:ff:ee");
	note(&b, NOTE("floatingIPs"), "[\"192.0.2.9\"]");
	note(&b, NOTE("allowedSourcePrefixes"), "[\"192.0.2.0/24\"]");
	ck_assert_int_eq(want(&b), 0);
	ck_assert_str_eq(b.out.mac, "1c:0c:0a:c0:ff:ee");
	ck_assert_uint_eq(b.out.nnotes, 2);
	ck_assert_ptr_nonnull(strstr(b.out.notes[0], "floatingIPs: [\"192.0.2.9\"]"));
	ck_assert_ptr_nonnull(strstr(b.out.notes[1], "allowedSourcePrefixes"));
	static const char *const wrong[] = { "01:00:00:00:00:01", "1c:0c:0a:c0:ff", "x",
					     "00:00:00:00:00:00", "1c-0c-0a-c0-ff-ee" };
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		note(&b, NOTE("hwAddr"), wrong[i]);
		refused(&b, CNI_CODE_CONFIG, wrong[i]);
	}
	end(&b);
}
END_TEST

START_TEST(no_pool_says_why)
{
	struct bench b;

	begin_with(&b, "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: x}\n"
		       "spec: {cidr: 10.1.0.0/16, namespaceSelector: has(x)}\n---\n"
		       "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: y}\n"
		       "spec: {cidr: 10.2.0.0/16, disabled: true}\n");
	refused(&b, CNI_CODE_EXHAUSTED, "no IPPool may serve pod default/web on node n1");
	ck_assert_ptr_nonnull(strstr(b.err.text, "\"x\" does not take the pod's namespace"));
	ck_assert_ptr_nonnull(strstr(b.err.text, "\"y\" is disabled"));
	b.add.families = V6;
	refused(&b, CNI_CODE_EXHAUSTED, "assign_ipv6: no IPv6 IPPool may serve");
	note(&b, NOTE("ipFamilies"), "[\"IPv4\"]");
	refused(&b, CNI_CODE_EXHAUSTED, NOTE("ipFamilies") ": [\"IPv4\"]: no IPv4 IPPool");
	note(&b, NOTE("ipv4pools"), "[\"x\"]"); /* asked for by name */
	b.add.families = 0;
	expect(&b, V4, 0, "10.1.0.0/16", "");
	end(&b);
}
END_TEST

UNIT_MAIN("ippools", by_itself, pools_by_annotation, the_pods_object_is_asked_where_it_is_known,
	  families, lists_are_json, exact_addresses, mac_and_what_is_not_acted_on, no_pool_says_why)
