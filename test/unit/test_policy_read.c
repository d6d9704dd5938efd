/* Kubernetes' NetworkPolicy and ClusterNetworkPolicy: a test a point of their semantics that is a
 * matter of reading, then what becomes of what cannot be read. */
#include "config.h"

#include "test/unit/policy_text.h"
#include "test/unit/unit.h"

#define KNP(spec)                                                                                  \
	"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: " \
	"ns}\nspec: {" spec "}\n"
#define NONE "podSelector: {}"
#define HEAD "default/1000 I {ns=ns}"

/* ---- NetworkPolicy: isolation ---- */

START_TEST(isolation_is_per_direction)
{
	static const struct policy_row rows[] = {
		{ "ingress", KNP(NONE ", policyTypes: [Ingress]"), "default/1000 I {ns=ns}", NULL },
		{ "egress", KNP(NONE ", policyTypes: [Egress]"), "default/1000 E {ns=ns}", NULL },
		{ "both", KNP(NONE ", policyTypes: [Egress, Ingress]"), "default/1000 IE {ns=ns}",
		  NULL },
		{ "rules of a direction without isolation do nothing",
		  KNP(NONE ", policyTypes: [Egress], ingress: [{}]"), "default/1000 E {ns=ns}",
		  NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(policy_types_unset)
{
	static const struct policy_row rows[] = {
		{ "no rules", KNP(NONE), HEAD, NULL },
		{ "no spec",
		  "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
		  "metadata: {name: web, namespace: ns}\n",
		  HEAD, NULL },
		{ "an empty list is unset", KNP(NONE ", policyTypes: []"), HEAD, NULL },
		{ "ingress rules", KNP(NONE ", ingress: [{}]"), HEAD "\ningress[0] Allow", NULL },
		{ "egress rules", KNP(NONE ", egress: [{}]"),
		  "default/1000 IE {ns=ns}\negress[0] Allow", NULL },
		{ "no egress rule", KNP(NONE ", egress: []"), HEAD, NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(empty_ingress_denies_and_empty_rule_allows)
{
	static const struct policy_row rows[] = {
		{ "ingress: []", KNP(NONE ", ingress: []"), HEAD, NULL },
		{ "ingress: null", KNP(NONE ", ingress: null"), HEAD, NULL },
		{ "- {}", KNP(NONE ", ingress: [{}]"), HEAD "\ningress[0] Allow", NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

/* ---- NetworkPolicy: selectors ---- */

START_TEST(empty_pod_selector_is_the_whole_namespace)
{
	static const struct policy_row rows[] = {
		{ "empty", KNP("podSelector: {}"), HEAD, NULL },
		{ "null", KNP("podSelector: null"), HEAD, NULL },
		{ "empty parts", KNP("podSelector: {matchLabels: {}, matchExpressions: []}"), HEAD,
		  NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(label_selectors)
{
#define SELECTS(text) "default/1000 I {ns=ns labels=" text "}"
	static const struct policy_row rows[] = {
		{ "labels", KNP("podSelector: {matchLabels: {b: two, a: one}}"),
		  SELECTS("a == 'one' && b == 'two'"), NULL },
		{ "an empty value", KNP("podSelector: {matchLabels: {a: ''}}"), SELECTS("a == ''"),
		  NULL },
		{ "a name with a domain",
		  KNP("podSelector: {matchLabels: {app.kubernetes.io/name: x_1.2-3}}"),
		  SELECTS("app.kubernetes.io/name == 'x_1.2-3'"), NULL },
		{ "In",
		  KNP("podSelector: {matchExpressions: [{key: a, operator: In, values: [z, y]}]}"),
		  SELECTS("a in {'y', 'z'}"), NULL },
		{ "NotIn",
		  KNP("podSelector: {matchExpressions: [{key: a, operator: NotIn, values: [y]}]}"),
		  SELECTS("a not in {'y'}"), NULL },
		{ "Exists", KNP("podSelector: {matchExpressions: [{key: a, operator: Exists}]}"),
		  SELECTS("has(a)"), NULL },
		{ "DoesNotExist",
		  KNP("podSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}"),
		  SELECTS("!has(a)"), NULL },
		{ "all of them",
		  KNP("podSelector: {matchExpressions: [{key: b, operator: Exists}], "
		      "matchLabels: {a: one}}"),
		  SELECTS("a == 'one' && has(b)"), NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

#define FROM(peers) KNP(NONE ", ingress: [{from: [" peers "]}]")
#define ALL_NS	    "nsel=has(projectcalico.org/namespace)"

START_TEST(peers)
{
	static const struct policy_row rows[] = {
		{ "podSelector alone is the same namespace", FROM("{podSelector: {}}"),
		  HEAD "\ningress[0] Allow from{pods ns=ns}", NULL },
		{ "with labels", FROM("{podSelector: {matchLabels: {a: b}}}"),
		  HEAD "\ningress[0] Allow from{pods ns=ns labels=a == 'b'}", NULL },
		{ "namespaceSelector alone is all its pods",
		  FROM("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: x}}}"),
		  HEAD "\ningress[0] Allow from{pods nsel=kubernetes.io/metadata.name == 'x' && "
		       "has(projectcalico.org/namespace)}",
		  NULL },
		{ "an empty one is all namespaces", FROM("{namespaceSelector: {}}"),
		  HEAD "\ningress[0] Allow from{pods " ALL_NS "}", NULL },
		{ "both in one item: and",
		  FROM("{namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}"),
		  HEAD "\ningress[0] Allow from{pods labels=a == 'b' " ALL_NS "}", NULL },
		{ "two items: or",
		  FROM("{namespaceSelector: {}}, {podSelector: {matchLabels: {a: b}}}"),
		  HEAD "\ningress[0] Allow from{pods " ALL_NS "}"
		       "\ningress[0] Allow from{pods ns=ns labels=a == 'b'}",
		  NULL },
		{ "egress: destinations", KNP(NONE ", egress: [{to: [{podSelector: {}}]}]"),
		  "default/1000 IE {ns=ns}\negress[0] Allow to{pods ns=ns}", NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

/* ---- NetworkPolicy: ports ---- */

#define PORTS(ports) KNP(NONE ", ingress: [{ports: [" ports "]}]")

START_TEST(empty_from_and_ports_are_any)
{
	static const struct policy_row rows[] = {
		{ "from and ports empty", KNP(NONE ", ingress: [{from: [], ports: []}]"),
		  HEAD "\ningress[0] Allow", NULL },
		{ "from empty", KNP(NONE ", ingress: [{from: [], ports: [{port: 80}]}]"),
		  HEAD "\ningress[0] Allow tcp to{ports=80}", NULL },
		{ "ports null", KNP(NONE ", ingress: [{from: [{podSelector: {}}], ports: null}]"),
		  HEAD "\ningress[0] Allow from{pods ns=ns}", NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(ports)
{
	static const struct policy_row rows[] = {
		{ "protocol defaults to TCP", PORTS("{port: 80}"),
		  HEAD "\ningress[0] Allow tcp to{ports=80}", NULL },
		{ "a protocol without port is all its ports", PORTS("{protocol: UDP}"),
		  HEAD "\ningress[0] Allow udp", NULL },
		{ "nothing is all TCP", PORTS("{}"), HEAD "\ningress[0] Allow tcp", NULL },
		{ "all ports win over one", PORTS("{protocol: UDP, port: 53}, {protocol: UDP}"),
		  HEAD "\ningress[0] Allow udp", NULL },
		{ "endPort ranges", PORTS("{port: 32000, endPort: 32768}"),
		  HEAD "\ningress[0] Allow tcp to{ports=32000-32768}", NULL },
		{ "a range of one", PORTS("{port: 80, endPort: 80}"),
		  HEAD "\ningress[0] Allow tcp to{ports=80}", NULL },
		{ "ranges are joined",
		  PORTS("{port: 90, endPort: 99}, {port: 80, endPort: 89}, {port: 85}, {port: "
			"200}"),
		  HEAD "\ningress[0] Allow tcp to{ports=80-99,200}", NULL },
		{ "the last port", PORTS("{port: 65535}, {port: 65534}"),
		  HEAD "\ningress[0] Allow tcp to{ports=65534-65535}", NULL },
		{ "a named port", PORTS("{port: http}, {port: 80}, {port: http}"),
		  HEAD "\ningress[0] Allow tcp to{ports=80,http}", NULL },
		{ "a rule a protocol",
		  PORTS("{protocol: SCTP, port: 80}, {port: 80}, {protocol: UDP, port: dns}"),
		  HEAD "\ningress[0] Allow tcp to{ports=80}\ningress[0] Allow udp to{ports=dns}"
		       "\ningress[0] Allow sctp to{ports=80}",
		  NULL },
		{ "an SCTP rule never acts for TCP, yet isolates",
		  PORTS("{protocol: SCTP, port: 80}"), HEAD "\ningress[0] Allow sctp to{ports=80}",
		  NULL },
		{ "peers times protocols",
		  KNP(NONE ", egress: [{to: [{podSelector: {}}, {namespaceSelector: {}}], "
			   "ports: [{port: 1}, {port: 2, protocol: UDP}]}]"),
		  "default/1000 IE {ns=ns}"
		  "\negress[0] Allow tcp to{pods ns=ns ports=1}"
		  "\negress[0] Allow tcp to{pods " ALL_NS " ports=1}"
		  "\negress[0] Allow udp to{pods ns=ns ports=2}"
		  "\negress[0] Allow udp to{pods " ALL_NS " ports=2}",
		  NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(except_subtracts_inside_its_own_block)
{
	static const struct policy_row rows[] = {
		{ "a block", FROM("{ipBlock: {cidr: 10.0.0.0/8}}"),
		  HEAD "\ningress[0] Allow from{nets=10.0.0.0/8}", NULL },
		{ "blocks without except are one",
		  FROM("{ipBlock: {cidr: 'fd00::/8'}}, {ipBlock: {cidr: 10.1.2.3/8}}, "
		       "{ipBlock: {cidr: 10.0.0.0/8}}"),
		  HEAD "\ningress[0] Allow from{nets=10.0.0.0/8,fd00::/8}", NULL },
		{ "another rule's block stays",
		  FROM("{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16, 10.1.0.0/16]}}, "
		       "{ipBlock: {cidr: 10.1.1.0/24}}"),
		  HEAD "\ningress[0] Allow from{nets=10.0.0.0/8 !nets=10.1.0.0/16,10.2.0.0/16}"
		       "\ningress[0] Allow from{nets=10.1.1.0/24}",
		  NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

/* The example of Kubernetes' own page on network policies. */
START_TEST(documented_network_policy)
{
	static const struct policy_row row = {
		"test-network-policy",
		"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n"
		"  name: test-network-policy\n  namespace: default\nspec:\n"
		"  podSelector:\n    matchLabels:\n      role: db\n"
		"  policyTypes:\n  - Ingress\n  - Egress\n"
		"  ingress:\n  - from:\n    - ipBlock:\n        cidr: 172.17.0.0/16\n"
		"        except:\n        - 172.17.1.0/24\n"
		"    - namespaceSelector:\n        matchLabels:\n          project: myproject\n"
		"    - podSelector:\n        matchLabels:\n          role: frontend\n"
		"    ports:\n    - protocol: TCP\n      port: 6379\n"
		"  egress:\n  - to:\n    - ipBlock:\n        cidr: 10.0.0.0/24\n"
		"    ports:\n    - protocol: TCP\n      port: 5978\n",
		"default/1000 IE {ns=default labels=role == 'db'}"
		"\ningress[0] Allow tcp from{nets=172.17.0.0/16 !nets=172.17.1.0/24} to{ports=6379}"
		"\ningress[0] Allow tcp from{pods nsel=project == 'myproject' && "
		"has(projectcalico.org/namespace)} to{ports=6379}"
		"\ningress[0] Allow tcp from{pods ns=default labels=role == 'frontend'} "
		"to{ports=6379}"
		"\negress[0] Allow tcp to{nets=10.0.0.0/24 ports=5978}",
		NULL
	};

	check_policy(&row);
}
END_TEST

/* ---- NetworkPolicy: what cannot be read ---- */

START_TEST(broken_network_policy_denies_what_it_selects)
{
#define CLOSED	  "default/1000 I {ns=ns labels=a == 'b'}\ninvalid Deny"
#define BOTH	  "default/1000 IE {ns=ns labels=a == 'b'}\ninvalid Deny\ninvalid Deny"
#define BAD(rest) KNP("podSelector: {matchLabels: {a: b}}, " rest)
	static const struct policy_row rows[] = {
		{ "an unknown key", BAD("ingres: [{}]"), CLOSED, "p.yaml:4:44: unknown key" },
		{ "one bad rule of two", BAD("ingress: [{}, {form: []}]"), CLOSED,
		  "unknown key \"form\"" },
		{ "an empty peer", BAD("ingress: [{from: [{}]}]"), CLOSED,
		  "NetworkPolicy ns/web: spec.ingress[0].from[0]: expected podSelector" },
		{ "a missing peer", BAD("ingress: [{from: [null]}]"), CLOSED, "from[0]" },
		{ "a missing rule", BAD("ingress: [null]"), CLOSED, "spec.ingress[0]" },
		{ "rules that are none", BAD("egress: {to: []}"), BOTH,
		  "spec.egress: a mapping is not allowed" },
		{ "a block beside a selector",
		  BAD("ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]"),
		  CLOSED, "ipBlock cannot stand beside" },
		{ "no prefix", BAD("egress: [{to: [{ipBlock: {cidr: 10.0.0.0}}]}]"), BOTH,
		  "egress[0].to[0].ipBlock.cidr: \"10.0.0.0\" is no prefix" },
		{ "no exception",
		  BAD("ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, "
		      "except: [10.0.0.0/33]}}]}]"),
		  CLOSED, "except[0]" },
		{ "an unknown type", BAD("policyTypes: [Ingres]"), BOTH, "policyTypes[0]" },
		{ "types that are no list", BAD("policyTypes: Egress"), BOTH, "policyTypes" },
		{ "endPort with a name", BAD("ingress: [{ports: [{port: http, endPort: 90}]}]"),
		  CLOSED, "the port has a name" },
		{ "endPort alone", BAD("ingress: [{ports: [{endPort: 90}]}]"), CLOSED,
		  "needs a port" },
		{ "endPort before port", BAD("ingress: [{ports: [{port: 90, endPort: 89}]}]"),
		  CLOSED, "expected a number from 90 to 65535" },
		{ "port 0", BAD("ingress: [{ports: [{port: 0}]}]"), CLOSED, "no port" },
		{ "port 65536", BAD("ingress: [{ports: [{port: 65536}]}]"), CLOSED, "no port" },
		{ "a range in a text", BAD("ingress: [{ports: [{port: '80:90'}]}]"), CLOSED,
		  "no port" },
		{ "an unknown protocol", BAD("ingress: [{ports: [{protocol: ICMP}]}]"), CLOSED,
		  "expected TCP, UDP or SCTP" },
		{ "an unknown operator",
		  BAD("ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: "
		      "Gt, values: [1]}]}}]}]"),
		  CLOSED, "operator" },
		{ "In without values",
		  BAD("ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: "
		      "In}]}}]}]"),
		  CLOSED, "In needs values" },
		{ "Exists with values",
		  BAD("ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: "
		      "Exists, values: [b]}]}}]}]"),
		  CLOSED, "Exists takes no values" },
		{ "a value that breaks out of its quotes",
		  BAD("ingress: [{from: [{podSelector: {matchLabels: {a: \"' || all() || a == "
		      "'\"}}}]}]"),
		  CLOSED, "is not a label's value" },
		{ "a name that is none",
		  BAD("ingress: [{from: [{podSelector: {matchLabels: {'all() || a': b}}}]}]"),
		  CLOSED, "is not a label's name" },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(too_many_rules)
{
	struct objects o = { 0 };
	struct problems problems = { .arena = &o.arena };
	enum { PEERS = 22000 };
	static const char head[] = KNP(NONE ", ingress: [{ports: [{}, {protocol: UDP}, "
					    "{protocol: SCTP}], from: [{podSelector: {}}");
	static const char peer[] = ", {podSelector: {}}";
	char *text = arena_alloc(&o.arena, sizeof(head) + PEERS * sizeof(peer) + 8);
	char *to = stpcpy(text, head) - strlen("}\n");

	for (int i = 0; i < PEERS; i++)
		to = stpcpy(to, peer);
	strcpy(to, "]}]}\n");
	objects_read(&o, text);
	struct policy *p = policy_read(o.v[0], &problems);

	ck_assert_ptr_nonnull(strstr(p->invalid, "more than 65536 rules"));
	ck_assert_uint_eq(p->rules[POLICY_INGRESS].n, 1);
	policy_unref(p);
}
END_TEST

START_TEST(unknown_subject_is_the_whole_namespace)
{
	static const struct policy_row row = {
		"a selector that cannot be read",
		KNP("podSelector: {matchLabels: {a: 'b c'}}, ingress: [{}]"),
		"default/1000 I {ns=ns} unknown\ninvalid Deny", "podSelector.matchLabels"
	};

	check_policy(&row);
}
END_TEST

/* ---- ClusterNetworkPolicy ---- */

#define CNP(spec)                                                                                  \
	"apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"              \
	"metadata: {name: c}\nspec: {" spec "}\n"
#define ADMIN	 "tier: Admin, priority: 10, subject: {namespaces: {}}"
#define CNP_HEAD "kube-admin/10 I {" ALL_NS "}"
#define CNP_OUT	 "kube-admin/10 E {" ALL_NS "}"

START_TEST(cluster_policies)
{
	static const struct policy_row rows[] = {
		{ "no rules: no direction", CNP(ADMIN), "kube-admin/10  {" ALL_NS "}", NULL },
		{ "baseline, pods",
		  CNP("tier: Baseline, priority: 1000, subject: {pods: {podSelector: {matchLabels: "
		      "{a: b}}}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]"),
		  "kube-baseline/1000 I {labels=a == 'b' " ALL_NS "}"
		  "\ningress[0] Allow from{pods " ALL_NS "}",
		  NULL },
		{ "priority 0", CNP("tier: Admin, priority: 0, subject: {namespaces: {}}"),
		  "kube-admin/0  {" ALL_NS "}", NULL },
		{ "order of rules, actions, names",
		  CNP(ADMIN ", egress: [{name: n, action: Pass, to: [{pods: {namespaceSelector: "
			    "{matchLabels: {n: m}}, podSelector: {}}}]}, {action: Deny, to: "
			    "[{networks: [0.0.0.0/0, '::/0']}]}]"),
		  CNP_OUT "\negress[0] Pass to{pods nsel=n == 'm' && "
			  "has(projectcalico.org/namespace)}"
			  "\negress[1] Deny to{nets=0.0.0.0/0,::/0}",
		  NULL },
		{ "protocols",
		  CNP(ADMIN ", ingress: [{action: Deny, from: [{namespaces: {}}], protocols: "
			    "[{tcp: {destinationPort: {number: 80}}}, "
			    "{tcp: {destinationPort: {range: {start: 90, end: 99}}}}, {udp: "
			    "{destinationPort: {number: 53}}}, "
			    "{sctp: {destinationPort: {number: 1}}}]}]"),
		  CNP_HEAD "\ningress[0] Deny tcp from{pods " ALL_NS "} to{ports=80,90-99}"
			   "\ningress[0] Deny udp from{pods " ALL_NS "} to{ports=53}"
			   "\ningress[0] Deny sctp from{pods " ALL_NS "} to{ports=1}",
		  NULL },
		{ "a named port is of any protocol",
		  CNP(ADMIN ", ingress: [{action: Accept, from: [{namespaces: {}}], protocols: "
			    "[{destinationNamedPort: web}]}]"),
		  CNP_HEAD "\ningress[0] Allow tcp from{pods " ALL_NS "} to{ports=web}"
			   "\ningress[0] Allow udp from{pods " ALL_NS "} to{ports=web}"
			   "\ningress[0] Allow sctp from{pods " ALL_NS "} to{ports=web}",
		  NULL },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(broken_cluster_rule_is_closed_alone)
{
#define GOOD	  "{action: Accept, from: [{namespaces: {}}]}"
#define GOOD_RULE "\ningress[1] Allow from{pods " ALL_NS "}"
#define IN(rule)  CNP(ADMIN ", ingress: [" rule ", " GOOD "]")
#define GONE	  CNP_HEAD GOOD_RULE
#define DENIED	  CNP_HEAD "\ningress[0] Deny" GOOD_RULE
	static const struct policy_row rows[] = {
		{ "Accept matches nothing", IN("{action: Accept, from: [{new: {}}]}"), GONE,
		  "unknown key \"new\"" },
		{ "Deny denies everything", IN("{action: Deny, from: [{new: {}}]}"), DENIED,
		  "unknown key \"new\"" },
		{ "Pass denies everything", IN("{action: Pass, from: [{new: {}}]}"), DENIED,
		  "unknown key \"new\"" },
		{ "an unknown action", IN("{action: Reject, from: [{namespaces: {}}]}"), DENIED,
		  "action" },
		{ "no action", IN("{from: [{namespaces: {}}]}"), DENIED, "action: is missing" },
		{ "an unknown key beside Accept",
		  IN("{action: Accept, from: [{namespaces: {}}], when: now}"), GONE, "\"when\"" },
		{ "an empty peer", IN("{action: Deny, from: [{}]}"), DENIED,
		  "spec.ingress[0].from[0]: expected one of namespaces, pods" },
		{ "no peers", IN("{action: Deny, from: []}"), DENIED, "at least one peer" },
		{ "two kinds of peer in one",
		  IN("{action: Deny, from: [{namespaces: {}, pods: {podSelector: {}}}]}"), DENIED,
		  "remove one" },
		{ "pods without podSelector", IN("{action: Deny, from: [{pods: {}}]}"), DENIED,
		  "podSelector: is missing" },
		{ "networks are for egress", IN("{action: Deny, from: [{networks: ['::/0']}]}"),
		  DENIED, "unknown key \"networks\"" },
		{ "an empty protocol",
		  IN("{action: Deny, from: [{namespaces: {}}], protocols: [{}]}"), DENIED,
		  "expected one of tcp" },
		{ "a protocol without a port",
		  IN("{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {}}]}"), DENIED,
		  "tcp: expected destinationPort" },
		{ "a new protocol",
		  IN("{action: Accept, from: [{namespaces: {}}], protocols: [{icmp: {}}]}"), GONE,
		  "\"icmp\"" },
		{ "number and range",
		  IN("{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: "
		     "{number: 1, range: {start: 1, end: 2}}}}]}"),
		  DENIED, "either number or range" },
		{ "a range backwards",
		  IN("{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: "
		     "{range: {start: 3, end: 2}}}}]}"),
		  DENIED, "expected a number from 3" },
		{ "nodes", CNP(ADMIN ", egress: [{action: Accept, to: [{nodes: {}}]}]"), CNP_OUT,
		  "nodes: Selvage does not serve" },
		{ "domain names, denied",
		  CNP(ADMIN ", egress: [{action: Deny, to: [{domainNames: [a.example]}]}]"),
		  CNP_OUT "\negress[0] Deny", "domainNames: Selvage does not serve" },
		{ "named ports of networks",
		  CNP(ADMIN ", egress: [{action: Pass, to: [{networks: ['::/0']}], protocols: "
			    "[{destinationNamedPort: x}]}]"),
		  CNP_OUT "\negress[0] Deny", "networks have no named ports" },
	};
	CHECK_ROWS(rows);
}
END_TEST

START_TEST(broken_cluster_policy_denies_what_it_selects)
{
#define RULE ", ingress: [{action: Accept, from: [{namespaces: {}}]}]"
	static const struct policy_row rows[] = {
		{ "an unknown tier",
		  CNP("tier: Middle, priority: 1, subject: {namespaces: {}}" RULE),
		  "kube-admin/1 I {" ALL_NS "}\ninvalid Deny", "spec.tier" },
		{ "no priority", CNP("tier: Baseline, subject: {namespaces: {}}" RULE),
		  "kube-baseline/0 I {" ALL_NS "}\ninvalid Deny", "priority: is missing" },
		{ "priority 1001",
		  CNP("tier: Admin, priority: 1001, subject: {namespaces: {}}" RULE),
		  "kube-admin/0 I {" ALL_NS "}\ninvalid Deny", "priority" },
		{ "no subject", CNP("tier: Admin, priority: 1" RULE),
		  "kube-admin/1 I {} unknown\ninvalid Deny", "subject: is missing" },
		{ "an empty subject", CNP("tier: Admin, priority: 1, subject: {}" RULE),
		  "kube-admin/1 I {} unknown\ninvalid Deny", "expected namespaces or pods" },
		{ "an unknown key", CNP(ADMIN ", egres: []" RULE),
		  "kube-admin/10 I {" ALL_NS "}\ninvalid Deny", "unknown key \"egres\"" },
		{ "rules that are none", CNP(ADMIN ", egress: now"),
		  "kube-admin/10 E {" ALL_NS "}\ninvalid Deny", "spec.egress" },
	};
	CHECK_ROWS(rows);
}
END_TEST

/* ---- names and order ---- */

START_TEST(names)
{
	struct objects o = { 0 };
	struct problems problems = { .arena = &o.arena };

	objects_read(&o, KNP(NONE ", ingress: [{}, {from: [{podSelector: {}}]}]"));
	struct policy *p = policy_read(o.v[0], &problems);

	ck_assert_int_eq(p->kind, POLICY_KUBERNETES);
	ck_assert_str_eq(p->display, "NetworkPolicy ns/web");
	ck_assert_str_eq(p->sort_name, "web/ns/KubernetesNetworkPolicy");
	ck_assert_str_eq(p->kind_text, "NetworkPolicy");
	ck_assert_str_eq(p->group, "networking.k8s.io/v1");
	ck_assert_str_eq(p->namespace_, "ns");
	ck_assert_str_eq(p->name, "web");
	ck_assert_uint_eq(p->rules[POLICY_INGRESS].v[1].index, 1);
	ck_assert_str_eq(p->rules[POLICY_INGRESS].v[1].name, "ingress[1]");
	ck_assert_ptr_eq(policy_ref(p), p);
	policy_unref(p);
	policy_unref(p);
}
END_TEST

UNIT_MAIN("policy_read", isolation_is_per_direction, policy_types_unset,
	  empty_ingress_denies_and_empty_rule_allows, empty_pod_selector_is_the_whole_namespace,
	  label_selectors, peers, empty_from_and_ports_are_any, ports,
	  except_subtracts_inside_its_own_block, documented_network_policy,
	  broken_network_policy_denies_what_it_selects, unknown_subject_is_the_whole_namespace,
	  too_many_rules, cluster_policies, broken_cluster_rule_is_closed_alone,
	  broken_cluster_policy_denies_what_it_selects, names)
