/* Calico's policies, tiers, network sets and profiles, the order of them all, and matches. */
#include "config.h"

#include "test/unit/policy_text.h"
#include "test/unit/unit.h"

#define META(kind, meta)   "apiVersion: projectcalico.org/v3\nkind: " kind "\nmetadata: {" meta "}\n"
#define CALICO(kind, spec) META(kind, "name: web, namespace: ns") "spec: {" spec "}\n"
#define NP(spec)	   CALICO("NetworkPolicy", spec)
#define GNP(spec)	   META("GlobalNetworkPolicy", "name: web") "spec: {" spec "}\n"
#define HEAD		   "default/- I {ns=ns}"
#define GHEAD		   "default/- I {}"
#define FROM(entity)	   NP("ingress: [{action: Allow, source: {" entity "}}]")
#define GFROM(entity)	   GNP("ingress: [{action: Allow, source: {" entity "}}]")
#define SOME_NS		   "has(projectcalico.org/namespace)"

START_TEST(types_default_by_the_rules)
{
	static const struct policy_row rows[] = {
		{ "none", NP(""), HEAD, NULL },
		{ "ingress", NP("ingress: [{action: Deny}]"), HEAD "\ningress[0] Deny", NULL },
		{ "egress alone", NP("egress: [{action: Deny}]"),
		  "default/- E {ns=ns}\negress[0] Deny", NULL },
		{ "both", NP("ingress: [{action: Allow}], egress: [{action: Deny}]"),
		  "default/- IE {ns=ns}\ningress[0] Allow\negress[0] Deny", NULL },
		{ "empty lists", NP("ingress: [], egress: []"), HEAD, NULL },
		{ "said", NP("types: [Egress], ingress: [{action: Allow}]"), "default/- E {ns=ns}",
		  NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(tier_order_and_subject)
{
	static const struct policy_row rows[] = {
		{ "tier and order", NP("tier: security, order: 1.5"), "security/1.5 I {ns=ns}",
		  NULL },
		{ "order 0 is set", NP("order: 0"), "default/0 I {ns=ns}", NULL },
		{ "an empty tier is the default", NP("tier: ''"), HEAD, NULL },
		{ "selectors of a namespaced one",
		  NP("selector: \"a == 'b'\", serviceAccountSelector: role == 'x'"),
		  "default/- I {ns=ns labels=a == 'b' sa=role == 'x'}", NULL },
		{ "of a global one",
		  GNP("selector: all(), namespaceSelector: env == 'prod', "
		      "serviceAccountSelector: all()"),
		  "default/- I {labels=all() nsel=env == 'prod' "
		  "sa=has(projectcalico.org/serviceaccount)}",
		  NULL },
		{ "all() of namespaces: there is one", GNP("namespaceSelector: all()"),
		  "default/- I {nsel=" SOME_NS "}", NULL },
		{ "texts stay as they are",
		  GNP("namespaceSelector: \"a == 'all()' || all( )||b == \\\"'all()\\\"\""),
		  "default/- I {nsel=a == 'all()' || " SOME_NS "||b == \"'all()\"}", NULL },
		{ "host endpoints alone: doNotTrack", GNP("doNotTrack: true"),
		  "default/- I hosts !doNotTrack {}", NULL },
		{ "host endpoints alone: preDNAT", GNP("preDNAT: true, applyOnForward: true"),
		  "default/- I hosts !preDNAT {}", NULL },
		{ "applyOnForward", GNP("applyOnForward: true"), "default/- I !applyOnForward {}",
		  NULL },
		{ "hints", NP("performanceHints: [AssumeNeededOnEveryNode]"), HEAD, NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(staged_kinds)
{
	static const struct policy_row rows[] = {
		{ "namespaced",
		  CALICO("StagedNetworkPolicy", "stagedAction: Set, ingress: [{action: Allow}]"),
		  "default/- I staged {ns=ns}\ningress[0] Allow", NULL },
		{ "global", META("StagedGlobalNetworkPolicy", "name: web") "spec: {order: 3}",
		  "default/3 I staged {}", NULL },
		{ "of Kubernetes' form",
		  CALICO("StagedKubernetesNetworkPolicy",
			 "stagedAction: Set, podSelector: {}, egress: [{}]"),
		  "default/1000 IE staged {ns=ns}\negress[0] Allow", NULL },
		{ "one that will delete", CALICO("StagedNetworkPolicy", "stagedAction: Delete"),
		  "default/- I staged hosts !stagedAction Delete {ns=ns}", NULL },
		{ "an unknown action", CALICO("StagedNetworkPolicy", "stagedAction: Send"),
		  "default/- I staged {ns=ns}\ninvalid Deny", "spec.stagedAction" },
		{ "an action of one that is not staged", NP("stagedAction: Set"),
		  HEAD "\ninvalid Deny", "unknown key \"stagedAction\"" },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(entities)
{
	static const struct policy_row rows[] = {
		{ "selector in a namespaced policy: its namespace", FROM("selector: has(a)"),
		  HEAD "\ningress[0] Allow from{any ns=ns labels=has(a)}", NULL },
		{ "in a global one: everywhere", GFROM("selector: has(a)"),
		  GHEAD "\ningress[0] Allow from{any labels=has(a)}", NULL },
		{ "namespaceSelector alone", FROM("namespaceSelector: n == 'm'"),
		  HEAD "\ningress[0] Allow from{any nsel=n == 'm'}", NULL },
		{ "both", FROM("namespaceSelector: n == 'm', selector: has(a)"),
		  HEAD "\ningress[0] Allow from{any labels=has(a) nsel=n == 'm'}", NULL },
		{ "all() of namespaces", GFROM("namespaceSelector: all()"),
		  GHEAD "\ningress[0] Allow from{any nsel=" SOME_NS "}", NULL },
		{ "global() of namespaces", FROM("namespaceSelector: global(), selector: has(a)"),
		  HEAD "\ningress[0] Allow from{any labels=has(a) nsel=global()}", NULL },
		{ "notSelector in a namespaced policy: others of its namespace",
		  FROM("notSelector: has(a)"),
		  HEAD "\ningress[0] Allow from{any ns=ns !labels=has(a)}", NULL },
		{ "notSelector in a global one: whatever else", GFROM("notSelector: has(a)"),
		  GHEAD "\ningress[0] Allow from{!labels=has(a)}", NULL },
		{ "blank selectors ask nothing", FROM("selector: '', namespaceSelector: ' '"),
		  HEAD "\ningress[0] Allow", NULL },
		{ "service accounts",
		  FROM("serviceAccounts: {names: [b, a], selector: \"r == 'x'\"}"),
		  HEAD "\ningress[0] Allow from{any ns=ns sa=r == 'x' accounts=b,a}", NULL },
		{ "service accounts elsewhere",
		  GFROM("serviceAccounts: {names: [a]}, namespaceSelector: n == 'm'"),
		  GHEAD "\ningress[0] Allow from{any nsel=n == 'm' accounts=a}", NULL },
		{ "no service accounts", FROM("serviceAccounts: {}"), HEAD "\ningress[0] Allow",
		  NULL },
		{ "nets and notNets, of both families",
		  FROM("nets: [10.1.0.0/8, 192.0.2.1, 'fd00::/8'], notNets: [10.2.0.0/16, "
		       "'fd01::/16']"),
		  HEAD "\ningress[0] Allow from{nets=10.0.0.0/8,192.0.2.1/32,fd00::/8 "
		       "!nets=10.2.0.0/16,fd01::/16}",
		  NULL },
		{ "nets with a selector: both must hold",
		  FROM("nets: [10.0.0.0/8], selector: has(a)"),
		  HEAD "\ningress[0] Allow v4 from{nets=10.0.0.0/8 any ns=ns labels=has(a)}",
		  NULL },
		{ "notNets of one family make a rule of it", FROM("notNets: ['fd00::/8']"),
		  HEAD "\ningress[0] Allow v6 from{!nets=fd00::/8}", NULL },
		{ "an empty list of nets is none", FROM("nets: []"), HEAD "\ningress[0] Allow",
		  NULL },
		{ "a service as a source", FROM("services: {name: s}"),
		  HEAD "\ningress[0] Allow from{svc=ns/s}", NULL },
		{ "a service as a destination",
		  GNP("egress: [{action: Deny, destination: {services: {name: s, namespace: x}}}]"),
		  "default/- E {}\negress[0] Deny to{svc=x/s}", NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(rules)
{
#define RULE(text) NP("ingress: [{" text "}]")
#define R	   HEAD "\ningress[0] "
	static const struct policy_row rows[] = {
		{ "actions, in order",
		  NP("ingress: [{action: Log}, {action: Pass}, {action: Deny}, {action: Allow}]"),
		  R "Log\ningress[1] Pass\ningress[2] Deny\ningress[3] Allow", NULL },
		{ "ipVersion", RULE("action: Allow, ipVersion: 6"), R "Allow v6", NULL },
		{ "protocols by name", RULE("action: Allow, protocol: sctp, notProtocol: UDPLite"),
		  R "Allow sctp !136", NULL },
		{ "protocols by number", RULE("action: Allow, notProtocol: 47"), R "Allow !47",
		  NULL },
		{ "ports",
		  RULE("action: Allow, protocol: TCP, source: {ports: ['1024:65535'], notPorts: "
		       "[5000]}, destination: {ports: [443, '80', https, '81:90', 91], notPorts: "
		       "[x]}"),
		  R "Allow tcp from{ports=1024-65535 !ports=5000} to{ports=80-91,443,https "
		    "!ports=x}",
		  NULL },
		{ "ICMP", RULE("action: Allow, protocol: ICMP, icmp: {type: 3, code: 4}"),
		  R "Allow v4 icmp type=3/4", NULL },
		{ "ICMPv6 and not",
		  RULE("action: Deny, protocol: ICMPv6, icmp: {type: 128}, notICMP: {type: 1, "
		       "code: 0}"),
		  R "Deny v6 icmp6 type=128 !type=1/0", NULL },
		{ "code 0 and type 0",
		  RULE("action: Deny, protocol: ICMP, icmp: {type: 0, code: 0}"),
		  R "Deny v4 icmp type=0/0", NULL },
		{ "notProtocol ICMP is of both families", RULE("action: Allow, notProtocol: ICMP"),
		  R "Allow !icmp", NULL },
		{ "metadata", RULE("action: Allow, metadata: {annotations: {a: b}}"), R "Allow",
		  NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

/* Calico's documentation: allow frontend to port 6379 of the database. */
START_TEST(documented_policy)
{
	static const struct policy_row rows[] = {
		{ "NetworkPolicy",
		  "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata:\n"
		  "  name: allow-tcp-6379\n  namespace: production\nspec:\n"
		  "  selector: role == 'database'\n  types:\n  - Ingress\n  - Egress\n"
		  "  ingress:\n  - action: Allow\n    metadata:\n      annotations:\n"
		  "        from: frontend\n        to: database\n    protocol: TCP\n    source:\n"
		  "      selector: role == 'frontend'\n    destination:\n      ports:\n"
		  "      - 6379\n  egress:\n  - action: Allow\n",
		  "default/- IE {ns=production labels=role == 'database'}"
		  "\ningress[0] Allow tcp from{any ns=production labels=role == 'frontend'} "
		  "to{ports=6379}\negress[0] Allow",
		  NULL },
		{ "GlobalNetworkPolicy",
		  "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata:\n"
		  "  name: internal-access.allow-tcp-6379\nspec:\n  tier: internal-access\n"
		  "  selector: role == 'database'\n  types:\n  - Ingress\n  - Egress\n"
		  "  ingress:\n  - action: Allow\n    protocol: TCP\n    source:\n"
		  "      selector: role == 'frontend'\n    destination:\n      ports:\n"
		  "      - 6379\n  egress:\n  - action: Allow\n",
		  "internal-access/- IE {labels=role == 'database'}"
		  "\ningress[0] Allow tcp from{any labels=role == 'frontend'} to{ports=6379}"
		  "\negress[0] Allow",
		  NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(broken_policy_denies_what_it_selects)
{
#define CLOSED	 HEAD "\ninvalid Deny"
#define OUT(end) NP("egress: [{action: Allow, destination: {" end "}}]")
#define NO_OUT	 "default/- E {ns=ns}\ninvalid Deny"
	static const struct policy_row rows[] = {
		{ "an unknown key", NP("ingres: []"), CLOSED,
		  "p.yaml:4:8: unknown key \"ingres\"" },
		{ "a key of another kind", NP("namespaceSelector: all()"), CLOSED,
		  "unknown key \"namespaceSelector\"" },
		{ "no action", RULE("protocol: TCP"), CLOSED, "action: is missing" },
		{ "an unknown action", RULE("action: allow"), CLOSED, "did you mean \"Allow\"?" },
		{ "a selector in a rule", FROM("selector: \"a = 'b'\""), CLOSED,
		  "NetworkPolicy ns/web: spec.ingress[0].source.selector: column 3:" },
		{ "a namespace selector's column", FROM("namespaceSelector: \"all() || a = 'b'\""),
		  CLOSED, "namespaceSelector: column 12:" },
		{ "no net", FROM("nets: [10.0.0.0/8, nowhere]"), CLOSED,
		  "spec.ingress[0].source.nets[1]: \"nowhere\" is no prefix" },
		{ "ports without a protocol", RULE("action: Allow, destination: {ports: [80]}"),
		  CLOSED, "ports need a protocol" },
		{ "ports of ICMP", RULE("action: Allow, protocol: ICMP, source: {notPorts: [80]}"),
		  CLOSED, "ports need a protocol" },
		{ "a port too high", RULE("action: Allow, protocol: TCP, source: {ports: [65536]}"),
		  CLOSED, "no port" },
		{ "a range backwards",
		  RULE("action: Allow, protocol: TCP, source: {ports: ['90:80']}"), CLOSED,
		  "no port" },
		{ "an unknown protocol", RULE("action: Allow, protocol: TPC"), CLOSED,
		  "\"TPC\" is no protocol" },
		{ "protocol 256", RULE("action: Allow, notProtocol: 256"), CLOSED, "no protocol" },
		{ "icmp without its protocol", RULE("action: Allow, icmp: {type: 8}"), CLOSED,
		  "need protocol ICMP" },
		{ "a code without a type", RULE("action: Allow, protocol: ICMP, icmp: {code: 8}"),
		  CLOSED, "needs a type" },
		{ "families that differ",
		  RULE("action: Allow, source: {nets: [10.0.0.0/8]}, destination: {nets: "
		       "['fd00::/8']}"),
		  CLOSED, "destination.nets: is about IPv6, other parts of the rule about IPv4" },
		{ "ipVersion 4 with ICMPv6", RULE("action: Allow, ipVersion: 4, protocol: ICMPv6"),
		  CLOSED, "is about IPv6" },
		{ "ipVersion 5", RULE("action: Allow, ipVersion: 5"), CLOSED, "expected 4 or 6" },
		{ "HTTP", RULE("action: Allow, http: {methods: [GET]}"), CLOSED,
		  "does not look into HTTP" },
		{ "a service beside a selector", FROM("services: {name: s}, selector: all()"),
		  CLOSED, "cannot stand beside selector" },
		{ "a service's ports",
		  NP("egress: [{action: Allow, protocol: TCP, destination: {services: {name: s}, "
		     "ports: [80]}}]"),
		  NO_OUT, "ports cannot stand beside services" },
		{ "a service at the other end",
		  NP("egress: [{action: Allow, source: {services: {name: s}}}]"), NO_OUT,
		  "services: is for an ingress rule's source" },
		{ "a service without a name", OUT("services: {namespace: s}"), NO_OUT,
		  "services.name: is missing" },
		{ "a global policy's service without a namespace", GFROM("services: {name: s}"),
		  GHEAD "\ninvalid Deny", "services.namespace: is missing" },
		{ "an order that cannot be read comes first", NP("order: first"),
		  "default/-inf I {ns=ns}\ninvalid Deny", "spec.order" },
		{ "a subject that cannot be read: all that it may mean",
		  GNP("selector: a ==, namespaceSelector: n == 'm', egress: [{action: Allow}]"),
		  "default/- E {nsel=n == 'm'} unknown\ninvalid Deny", "spec.selector: column" },
		{ "staged", CALICO("StagedNetworkPolicy", "ingres: []"),
		  "default/- I staged {ns=ns}\ninvalid Deny", "\"ingres\"" },
	};
	CHECK_ROWS(rows);
}
END_TEST

/* ---- Profile ---- */

START_TEST(profiles)
{
	struct objects o = { 0 };
	struct problems problems = { .arena = &o.arena };
	struct out out;

	objects_read(&o, META("Profile", "name: p") "spec: {labelsToApply: {a: b}, ingress: "
						    "[{action: Allow}], egress: [{action: Deny}]}");
	struct policy *p = policy_read(o.v[0], &problems);

	ck_assert_int_eq(p->kind, POLICY_PROFILE);
	ck_assert_str_eq(policy_text(&out, p), "/- IE hosts {}\ningress[0] Allow\negress[0] Deny");
	ck_assert_uint_eq(p->apply.n, 1);
	ck_assert_str_eq(p->apply.v[0].key, "a");
	ck_assert_str_eq(p->apply.v[0].value, "b");
	ck_assert_ptr_null(p->invalid);
}
END_TEST

/* ---- tiers ---- */

START_TEST(tiers)
{
	static const struct {
		const char *name, *spec;
		double order;
		enum policy_action action;
		const char *problem;
	} rows[] = {
		{ "sec", "order: 100, defaultAction: Pass", 100, POLICY_PASS, NULL },
		{ "sec", "order: 0", 0, POLICY_DENY, NULL },
		{ "sec", "", INFINITY, POLICY_DENY, NULL },
		{ "default", "", 1000000, POLICY_DENY, NULL },
		{ "default", "order: 5", 5, POLICY_DENY, NULL },
		{ "default", "defaultAction: Pass", 1000000, POLICY_DENY, "always Deny" },
		{ "kube-admin", "", -INFINITY, POLICY_PASS, NULL },
		{ "kube-admin", "order: 1000, defaultAction: Pass", 1000, POLICY_PASS, NULL },
		{ "kube-baseline", "", INFINITY, POLICY_PASS, NULL },
		{ "sec", "order: 100, defaultAction: Allow", INFINITY, POLICY_DENY,
		  "Tier sec: spec.defaultAction" },
		{ "kube-admin", "ordr: 100", -INFINITY, POLICY_DENY, "unknown key" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct objects o = { 0 };
		struct problems problems = { .arena = &o.arena };
		const char *doc = arena_printf(&o.arena, META("Tier", "name: %s") "spec: {%s}\n",
					       rows[i].name, rows[i].spec);

		objects_read(&o, doc);
		ck_assert_int_eq(policy_class_of(o.v[0]), POLICY_CLASS_TIER);
		ck_assert_ptr_null(policy_read(o.v[0], &problems));
		ck_assert_ptr_null(netset_read(o.v[0], &problems));
		struct tier *t = tier_read(o.v[0], &problems);

		object_unref(o.v[0]);
		ck_assert_str_eq(t->name, rows[i].name);
		ck_assert_msg(t->order == rows[i].order, "%s: %g", doc, t->order);
		ck_assert_msg(t->action == rows[i].action, "%s", doc);
		ck_assert_msg(!t->invalid == !rows[i].problem, "%s: %s", doc, t->invalid);
		if (rows[i].problem)
			ck_assert_ptr_nonnull(strstr(t->invalid, rows[i].problem));
		tier_unref(t);
	}
}
END_TEST

static void add_tier(const struct tier *v[], unsigned *n, const struct tier *t)
{
	unsigned i = (*n)++;

	for (; i && tier_cmp(t, v[i - 1]) < 0; i--)
		v[i] = v[i - 1];
	v[i] = t;
}

START_TEST(order_of_tiers)
{
	static const struct tier a = { .name = "a", .order = INFINITY },
				 b = { .name = "zz", .order = INFINITY },
				 zero = { .name = "zero", .order = 0 },
				 c = { .name = "c", .order = 1000000 },
				 z = { .name = "z", .order = 2000000 };
	static const char *const want[] = { "kube-admin", "zero", "c",	"default",
					    "z",	  "a",	  "zz", "kube-baseline" };
	const struct tier *v[8];
	unsigned n = 0, nbuilt;
	const struct tier *const *built = policy_builtin_tiers(&nbuilt);

	ck_assert_uint_eq(nbuilt, 3);
	add_tier(v, &n, &b);
	add_tier(v, &n, &z);
	for (unsigned i = 0; i < nbuilt; i++)
		add_tier(v, &n, built[i]);
	add_tier(v, &n, &a);
	add_tier(v, &n, &c);
	add_tier(v, &n, &zero);
	for (unsigned i = 0; i < n; i++)
		ck_assert_str_eq(v[i]->name, want[i]);
	ck_assert_int_eq(tier_cmp(&a, &a), 0);
	ck_assert_int_eq(built[0]->action, POLICY_PASS);
	ck_assert_int_eq(built[1]->action, POLICY_DENY);
	ck_assert_int_eq(built[2]->action, POLICY_PASS);
}
END_TEST

START_TEST(order_of_policies)
{
	/* In the order that is expected. */
	static const char
		text
			[] = META("GlobalNetworkPolicy", "name: z") "spec: {order: -1}\n---\n" META("NetworkPolicy", "name: z, namespace: ns") "spec: {order: 999.5}\n---\n" META("GlobalNetworkPolicy", "name: a") "spec: {order: 1000}\n---\n" META(
				"NetworkPolicy",
				"name: a, namespace: "
				"ns") "spec: {order: "
				      "1000}\n---\n"
				      "apiVersion: "
				      "networking.k8s."
				      "io/v1\nkind: "
				      "NetworkPolicy\n"
				      "metadata: "
				      "{name: b, "
				      "namespace: "
				      "ns}\n---"
				      "\n" META(
					      "Network"
					      "Policy",
					      "name:"
					      " b, "
					      "names"
					      "pace:"
					      " ns") "spec: {order: "
						     "1000}\n---\n" META(
							     "Netwo"
							     "rkPol"
							     "icy",
							     "name:"
							     " b, "
							     "names"
							     "pace:"
							     " ns2") "spec:"
								     " {"
								     "order"
								     ": "
								     "1000}"
								     "\n---"
								     "\n" META("NetworkPolicy", "na"
												"me"
												": "
												"a,"
												" n"
												"am"
												"es"
												"pa"
												"ce"
												": "
												"n"
												"s") "spec: {}\n---\n" META(
									     "NetworkPolicy",
									     "name: b, namespace: "
									     "ns") "spec: {}\n";
	struct objects o = { 0 };
	struct problems problems = { .arena = &o.arena };
	struct policy *v[16];

	objects_read(&o, text);
	ck_assert_uint_eq(o.n, 9);
	for (unsigned i = 0; i < o.n; i++)
		v[i] = policy_read(o.v[i], &problems);
	for (unsigned i = 0; i < o.n; i++)
		for (unsigned k = 0; k < o.n; k++) {
			int c = policy_cmp(v[i], v[k]);

			ck_assert_msg(i < k   ? c < 0
				      : i > k ? c > 0
					      : !c,
				      "%s, %s: %d", v[i]->sort_name, v[k]->sort_name, c);
		}
}
END_TEST

/* ---- network sets ---- */

START_TEST(network_sets)
{
	struct objects o = { 0 };
	struct problems problems = { .arena = &o.arena };
	char buf[PREFIX_STRLEN];

	objects_read(
		&o,
		META("NetworkSet",
		     "name: s, namespace: ns, labels: {a: b}") "spec: {nets: "
							       "[10.1.2.3/8, 192.0.2.7, "
							       "10.0.0.0/8]}\n---\n" META(
								       "GlobalNetworkSet",
								       "name: g") "spec: {nets: "
										  "['fd00::/8', "
										  "x]}\n---"
										  "\n" META("Glo"
											    "bal"
											    "Net"
											    "wor"
											    "kSe"
											    "t",
											    "nam"
											    "e: "
											    "e"));
	struct netset *s = netset_read(o.v[0], &problems);

	ck_assert(!s->global);
	ck_assert_str_eq(s->display, "NetworkSet ns/s");
	ck_assert_str_eq(s->namespace_, "ns");
	ck_assert_uint_eq(s->labels.n, 1);
	ck_assert_str_eq(s->labels.v[0].value, "b");
	ck_assert_uint_eq(s->nets.n, 2);
	ck_assert_str_eq(prefix_format(&s->nets.v[0], buf, sizeof(buf)), "10.0.0.0/8");
	ck_assert_str_eq(prefix_format(&s->nets.v[1], buf, sizeof(buf)), "192.0.2.7/32");
	ck_assert_ptr_null(s->invalid);
	netset_unref(s);

	s = netset_read(o.v[1], &problems);
	ck_assert(s->global);
	ck_assert_str_eq(s->namespace_, "");
	ck_assert_uint_eq(s->nets.n, 1);
	ck_assert_ptr_nonnull(strstr(s->invalid, "GlobalNetworkSet g: spec.nets[1]"));
	ck_assert_uint_eq(problems.n, 1);
	netset_unref(s);

	s = netset_read(o.v[2], &problems);
	ck_assert_uint_eq(s->nets.n, 0);
	ck_assert_ptr_null(s->invalid);
	netset_unref(s);
}
END_TEST

START_TEST(classes)
{
	struct objects o = { 0 };
	struct problems problems = { .arena = &o.arena };

	objects_read(&o, META("HostEndpoint", "name: h") "spec: {node: n}\n---\n" META("Profile",
										       "name: p"));
	ck_assert_int_eq(policy_class_of(o.v[0]), POLICY_CLASS_IGNORED);
	ck_assert_ptr_null(policy_read(o.v[0], &problems));
	ck_assert_int_eq(policy_class_of(o.v[1]), POLICY_CLASS_POLICY);
	ck_assert_uint_eq(problems.n, 0);
}
END_TEST

/* A kind that a later version reads and this one does not know. */
START_TEST(unknown_kind_is_invalid)
{
	struct objects o = { 0 };
	struct problems problems = { .arena = &o.arena };
	struct object x;

	objects_read(&o, NP("egress: [{action: Allow}]"));
	x = *o.v[0];
	x.kind_text = "StagedTier";
	struct policy *p = policy_read(&x, &problems);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(strstr(p->invalid, "knows no policy of this kind"));
	ck_assert_str_eq(p->display, "StagedTier ns/web");
	ck_assert_uint_eq(p->rules[POLICY_EGRESS].n, 1);
	ck_assert_int_eq(p->rules[POLICY_EGRESS].v[0].action, POLICY_DENY);
	policy_unref(p);
}
END_TEST

/* ---- matches ---- */

static struct policy_selector sel(struct arena *a, const char *text)
{
	struct err err;

	return (struct policy_selector){ text, text ? selector_parse(text, a, &err) : NULL };
}

START_TEST(matches)
{
	struct field_kv own[] = { { "a", "b" }, { POLICY_LABEL_NAMESPACE, "ns" } };
	struct field_kv ns[] = { { "env", "prod" }, { POLICY_LABEL_NAMESPACE, "ns" } };
	struct field_kv sa[] = { { "role", "x" }, { POLICY_LABEL_ACCOUNT, "robot" } };
	const struct field_kvs own_labels = { 2, own }, ns_labels = { 2, ns },
			       sa_labels = { 2, sa }, none = { 0 };
	const struct match_subject pod = {
		true, "ns", "robot", &own_labels, &ns_labels, &sa_labels
	};
	const struct match_subject netset = { false, "ns", "", &own_labels, &ns_labels, &none };
	const struct match_subject global = { false, "", "", &none, &none, &none };
	static const struct {
		const char *labels, *nsel, *sa, *ns, *account;
		bool pods_only, pod, netset, global;
	} rows[] = {
		{ NULL, NULL, NULL, NULL, NULL, false, true, true, true },
		{ NULL, NULL, NULL, NULL, NULL, true, true, false, false },
		{ NULL, NULL, NULL, "ns", NULL, false, true, true, false },
		{ NULL, NULL, NULL, "other", NULL, false, false, false, false },
		{ "a == 'b'", NULL, NULL, NULL, NULL, false, true, true, false },
		{ "a == 'c'", NULL, NULL, NULL, NULL, false, false, false, false },
		{ "!has(a)", NULL, NULL, NULL, NULL, false, false, false, true },
		{ NULL, "env == 'prod'", NULL, NULL, NULL, false, true, true, false },
		{ NULL, "env != 'prod'", NULL, NULL, NULL, false, false, false, true },
		{ NULL, SOME_NS, NULL, NULL, NULL, false, true, true, false },
		{ NULL, "global()", NULL, NULL, NULL, false, false, false, true },
		{ NULL, NULL, "role == 'x'", NULL, NULL, false, true, false, false },
		{ NULL, NULL, NULL, NULL, "robot", false, true, false, false },
		{ NULL, NULL, NULL, NULL, "other", false, false, false, false },
		{ "a == 'b'", "env == 'prod'", "role == 'y'", NULL, NULL, false, false, false,
		  false },
	};
	struct arena arena = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct match m = {
			.namespace_ = rows[i].ns,
			.pods_only = rows[i].pods_only,
			.labels = sel(&arena, rows[i].labels),
			.ns = sel(&arena, rows[i].nsel),
			.sa = sel(&arena, rows[i].sa),
			.accounts = { rows[i].account != NULL, &rows[i].account },
		};

		ck_assert_msg(match_holds(&m, &pod) == rows[i].pod, "row %zu, pod", i);
		ck_assert_msg(match_holds(&m, &netset) == rows[i].netset, "row %zu, set", i);
		ck_assert_msg(match_holds(&m, &global) == rows[i].global, "row %zu, global", i);
	}
	arena_free(&arena);
}
END_TEST

UNIT_MAIN("policy_calico", types_default_by_the_rules, tier_order_and_subject, staged_kinds,
	  entities, rules, documented_policy, broken_policy_denies_what_it_selects, profiles, tiers,
	  order_of_tiers, order_of_policies, network_sets, classes, unknown_kind_is_invalid,
	  matches)
