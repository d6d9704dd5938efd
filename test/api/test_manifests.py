#!/usr/bin/python3
"""The manifests of etc/kubernetes: definitions, rights, admission, the kubeadm example.

Without a server they are judged by the rules in manifests.py. With KUBE_APISERVER=/path/to/binary
[ETCD=...] [KUBECTL=...] a real server takes them by kubectl, and node identities try what they may not.
"""
import base64
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "net")]
from manifests import (GROUP, at, definitions, documents, judge_object, path_of,  # noqa: E402
                       schema_of, structural)
from nettest import case, expect, expect_eq, main  # noqa: E402

RULE_FIELDS = "action ipVersion protocol notProtocol icmp.type icmp.code notICMP.type " + " ".join(
    f"{side}.{field}" for side in ("source", "destination")
    for field in "nets notNets selector notSelector namespaceSelector ports notPorts services.name "
    "services.namespace serviceAccounts.names serviceAccounts.selector".split())
POLICY = ("tier order selector serviceAccountSelector types " + " ".join(
    f"{way}[].{field}" for way in ("ingress", "egress") for field in RULE_FIELDS.split()))
GLOBAL = POLICY + " namespaceSelector doNotTrack preDNAT applyOnForward"
FILTER = " ".join(f"{way}[].{field}" for way in ("importV4", "exportV4", "importV6", "exportV6")
                  for field in "action cidr matchOperator prefixLength.min prefixLength.max source "
                  "interface peerType communities.values asPathPrefix priority "
                  "operations[].addCommunity.value operations[].prependASPath.prefix "
                  "operations[].setPriority.value".split())
# Kind, resource, namespaced, fields of spec: facts/calico.md's formats.
KINDS = {
    "IPPool": ("ippools", False, "cidr blockSize ipipMode vxlanMode natOutgoing disabled "
               "disableBGPExport nodeSelector namespaceSelector allowedUses assignmentMode"),
    "IPReservation": ("ipreservations", False, "reservedCIDRs"),
    "IPAMConfig": ("ipamconfigs", False, "strictAffinity autoAllocateBlocks maxBlocksPerHost "
                   "ipCooldownSeconds"),
    "IPAMBlock": ("ipamblocks", False, "cidr affinity affinityClaimTime allocations unallocated "
                  "attributes[].handle_id attributes[].secondary attributes[].alternate "
                  "attributes[].releasedAt sequenceNumber sequenceNumberForAllocation deleted "
                  "strictAffinity"),
    "BlockAffinity": ("blockaffinities", False, "state node type cidr deleted"),
    "IPAMHandle": ("ipamhandles", False, "handleID block deleted"),
    "BGPConfiguration": ("bgpconfigurations", False, "logSeverityScreen nodeToNodeMeshEnabled asNumber "
                         "listenPort bindMode nodeMeshPassword.secretKeyRef.name "
                         "nodeMeshPassword.secretKeyRef.key nodeMeshMaxRestartTime "
                         "serviceClusterIPs[].cidr serviceExternalIPs[].cidr "
                         "serviceLoadBalancerIPs[].cidr serviceLoadBalancerAggregation "
                         "communities[].name communities[].value prefixAdvertisements[].cidr "
                         "prefixAdvertisements[].communities ignoredInterfaces"),
    "BGPPeer": ("bgppeers", False, "node nodeSelector peerIP asNumber peerSelector localASNumber "
                "nextHopMode keepOriginalNextHop password.secretKeyRef.name password.secretKeyRef.key "
                "sourceAddress maxRestartTime keepaliveTime numAllowedLocalASNumbers ttlSecurity "
                "reachableBy filters reversePeering"),
    "BGPFilter": ("bgpfilters", False, FILTER),
    "GlobalNetworkPolicy": ("globalnetworkpolicies", False, GLOBAL),
    "NetworkPolicy": ("networkpolicies", True, POLICY),
    "GlobalNetworkSet": ("globalnetworksets", False, "nets"),
    "NetworkSet": ("networksets", True, "nets"),
    "Tier": ("tiers", False, "order defaultAction"),
    "StagedGlobalNetworkPolicy": ("stagedglobalnetworkpolicies", False, GLOBAL + " stagedAction"),
    "StagedNetworkPolicy": ("stagednetworkpolicies", True, POLICY + " stagedAction"),
    "StagedKubernetesNetworkPolicy": (
        "stagedkubernetesnetworkpolicies", True, "stagedAction podSelector.matchLabels policyTypes "
        "ingress[].ports[].port ingress[].ports[].endPort ingress[].from[].podSelector "
        "ingress[].from[].ipBlock.cidr ingress[].from[].ipBlock.except "
        "egress[].to[].namespaceSelector.matchExpressions"),
}
IMMUTABLE = {"IPPool": ["cidr"], "IPAMBlock": ["cidr"], "BlockAffinity": ["cidr", "node"],
             "IPAMHandle": ["handleID"]}

READ = {"get", "list", "watch"}
# What a node's identity may do in the whole cluster: nothing more, nothing less.
RIGHTS = {("", r): READ for r in ("nodes", "pods", "namespaces", "serviceaccounts", "services")}
RIGHTS |= {("discovery.k8s.io", "endpointslices"): READ,
           ("networking.k8s.io", "networkpolicies"): READ,
           ("policy.networking.k8s.io", "clusternetworkpolicies"): READ,
           ("", "nodes/status"): {"patch"}, ("", "pods/status"): {"patch"}}
for _g in (GROUP, "projectcalico.org"):  # a cluster serves one of them, or both
    RIGHTS |= {(_g, r): READ for r in [row[0] for row in KINDS.values()] + ["ipamconfigurations"]}
    RIGHTS |= {(_g, r): READ | {"create", "update", "delete"}
               for r in ("ipamblocks", "blockaffinities", "ipamhandles")}
# Written by nodes, but no owner can be seen in the object.
OWNERLESS = {"ipamhandles"}


def calico(kind, name, spec, **metadata):
    return {"apiVersion": GROUP + "/v1", "kind": kind, "metadata": {"name": name, **metadata},
            "spec": spec}


def block(cidr, affinity=None, **spec):
    name = re.sub(r"[.:/]", "-", cidr)
    return calico("IPAMBlock", name, {
        "cidr": cidr, "allocations": [None] * 64, "unallocated": list(range(64)), "attributes": [],
        "strictAffinity": False, "sequenceNumber": 1700000000000000000,
        **({"affinity": affinity} if affinity else {}), **spec})


def affinity(node, cidr, state="pending", **spec):
    return calico("BlockAffinity", f"{node}-{re.sub(r'[.:/]', '-', cidr)}",
                  {"node": node, "cidr": cidr, "state": state, "deleted": "false", "type": "host",
                   **spec})


USED_BLOCK = block("10.0.0.0/26", "host:n1", allocations=[0] + [None] * 63,
                   unallocated=list(range(1, 64)), affinityClaimTime="2026-01-01T00:00:00Z",
                   sequenceNumberForAllocation={"0": 1700000000000000001}, deleted=False,
                   attributes=[{"handle_id": "k8s-pod-network.0a1b", "secondary": {
                       "pod": "p", "namespace": "default", "node": "n1",
                       "timestamp": "2026-01-01 00:00:00 +0000 UTC"}, "newerKey": {"x": 1}}])
# Objects that must be taken whole: as calicoctl, Calico's daemons and Selvage write them.
TAKEN = [
    calico("IPPool", "a", {"cidr": "10.0.0.0/16", "blockSize": 26, "ipipMode": "Never", "vxlanMode":
                           "Never", "natOutgoing": True, "nodeSelector": "all()", "allowedUses":
                           ["Workload", "Tunnel"], "assignmentMode": "Automatic"}),
    calico("IPPool", "b", {"cidr": "fd00::/48"}),
    calico("IPPool", "c", {"cidr": "10.9.9.9/32", "blockSize": 32}),
    calico("IPReservation", "a", {"reservedCIDRs": ["10.0.0.0/30", "10.0.0.77", "fd00::1"]}),
    calico("IPAMConfig", "default", {"strictAffinity": True, "autoAllocateBlocks": True,
                                     "maxBlocksPerHost": 0, "ipCooldownSeconds": 1200}),
    USED_BLOCK, block("fd00::40/122", "virtual:load-balancer"), block("10.0.0.64/26"),
    affinity("n1", "10.0.0.0/26"), affinity("n2", "fd00::40/122", "", type=""),
    calico("IPAMHandle", "net.0a1b", {"handleID": "net.0A1B", "block": {"10.0.0.0/26": 1}}),
    calico("BGPConfiguration", "default", {
        "asNumber": 4200000000, "nodeToNodeMeshEnabled": True, "nodeMeshMaxRestartTime": "2m0s",
        "nodeMeshPassword": {"secretKeyRef": {"name": "s", "key": "k"}}, "serviceClusterIPs":
        [{"cidr": "10.96.0.0/12"}], "communities": [{"name": "a", "value": "64512:1:2"}],
        "prefixAdvertisements": [{"cidr": "10.0.0.0/16", "communities": ["a", "1:2"]}],
        "logSeverityScreen": "Info", "listenPort": 1790, "bindMode": "NodeIP"}),
    calico("BGPPeer", "a", {"peerIP": "[fd00::1]:1790", "asNumber": 65000, "nodeSelector": "all()",
                            "keepaliveTime": "1s500ms", "filters": ["f"], "ttlSecurity": 1}),
    calico("BGPPeer", "b", {"node": "n1", "peerIP": "fe80::1%eth0", "asNumber": 65000}),
    calico("BGPPeer", "c", {"nodeSelector": "!has(rr)", "peerSelector": "has(rr)"}),
    calico("BGPFilter", "f", {"importV4": [
        {"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "In", "prefixLength":
         {"min": 16, "max": 24}, "operations": [{"addCommunity": {"value": "64512:1"}}]},
        {"action": "Reject"}], "exportV6": [
            {"action": "Accept", "source": "RemotePeers", "prefixLength": {"max": 128},
             "cidr": "fd00::/8", "matchOperator": "NotIn"}]}),
    calico("GlobalNetworkPolicy", "default.a", {"tier": "default", "order": 10.5, "selector":
           "role == 'db'", "types": ["Ingress", "Egress"], "ingress": [
               {"action": "Allow", "protocol": "TCP", "source": {"selector": "all()", "nets":
                ["10.0.0.0/8"]}, "destination": {"ports": [80, "8000:8010", "http"]}},
               {"action": "Log", "protocol": 132, "ipVersion": 4}, {"action": "Pass", "notICMP":
                {"type": 8, "code": 0}, "http": {"methods": ["GET"], "paths": [{"prefix": "/"}]}}],
               "egress": [{"action": "Deny"}]}),
    calico("NetworkPolicy", "a", {"selector": "all()", "egress": [{"action": "Allow", "destination":
           {"services": {"name": "dns", "namespace": "kube-system"}}}]}, namespace="default"),
    calico("StagedNetworkPolicy", "a", {"stagedAction": "Set", "selector": "all()"},
           namespace="default"),
    calico("StagedGlobalNetworkPolicy", "a", {"stagedAction": "Delete"}),
    calico("StagedKubernetesNetworkPolicy", "a", {
        "podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Ingress"], "ingress": [
            {"ports": [{"protocol": "TCP", "port": "http"}, {"port": 80, "endPort": 90}], "from": [
                {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}]}]},
        namespace="default"),
    calico("GlobalNetworkSet", "a", {"nets": ["10.0.0.0/8", "fd00::1"]}),
    calico("NetworkSet", "a", {"nets": []}, namespace="default"),
    calico("Tier", "a", {"order": 100, "defaultAction": "Pass"}),
]
# Objects that must be refused, and a part of the answer; rules in CEL only a server sees.
REFUSED = [
    (calico("IPPool", "x", {}), "cidr"),
    (calico("IPPool", "x", {"cidr": "10.0.0.0"}), "cidr"),
    (calico("IPPool", "x", {"cidr": "10.0.0.0/16", "blockSize": 200}), "blockSize"),
    (calico("IPPool", "x", {"cidr": "10.0.0.0/16", "allowedUses": ["Pods"]}), "allowedUses"),
    (calico("IPAMConfig", "x", {"ipCooldownSeconds": 1201}), "ipCooldownSeconds"),
    (block("10.0.0.0/26", "n1"), "affinity"),
    (affinity("n1", "10.0.0.0/26", "claimed"), "state"),
    (affinity("n1", "10.0.0.0/26", deleted=False), "deleted"),
    (affinity("", "10.0.0.0/26"), "node"),
    (calico("BGPConfiguration", "x", {"asNumber": 4294967296}), "asNumber"),
    (calico("BGPConfiguration", "x", {"serviceClusterIPs": [{"cidr": "10.96.0.1"}]}), "cidr"),
    (calico("BGPPeer", "x", {"peerIP": "10.0.0.1, 10.0.0.2"}), "peerIP"),
    (calico("BGPPeer", "x", {"maxRestartTime": "120"}), "maxRestartTime"),
    (calico("BGPFilter", "x", {"importV4": [{"action": "Allow"}]}), "action"),
    (calico("BGPFilter", "x", {"exportV4": [{"cidr": "10.0.0.0/8"}]}), "action"),
    (calico("GlobalNetworkPolicy", "x", {"ingress": [{"action": "Accept"}]}), "action"),
    (calico("GlobalNetworkPolicy", "x", {"types": ["Forward"]}), "types"),
    (calico("GlobalNetworkSet", "x", {"nets": ["example.com"]}), "nets"),
    (calico("Tier", "x", {"defaultAction": "Allow"}), "defaultAction"),
]
REFUSED_BY_CEL = [
    (calico("IPPool", "x", {"cidr": "10.0.0.0/16", "blockSize": 19}), "from 20 to 32"),
    (calico("IPPool", "x", {"cidr": "fd00::/48", "blockSize": 26}), "from 116 to 128"),
    (calico("IPPool", "x", {"cidr": "10.0.0.0/27"}), "smaller than one block"),
    (calico("BGPConfiguration", "x", {"nodeToNodeMeshEnabled": False, "nodeMeshPassword":
            {"secretKeyRef": {"key": "k"}}}), "needs the node mesh"),
    (calico("BGPPeer", "x", {"node": "n1", "nodeSelector": "all()"}), "both set"),
    (calico("BGPPeer", "x", {"peerSelector": "all()", "peerIP": "10.0.0.1"}), "peerSelector"),
    (calico("BGPFilter", "x", {"importV4": [{"action": "Accept", "cidr": "10.0.0.0/8"}]}),
     "matchOperator"),
    (calico("BGPFilter", "x", {"importV4": [{"action": "Reject", "operations":
            [{"setPriority": {"value": 1}}]}]}), "operations need"),
    (calico("GlobalNetworkPolicy", "x", {"doNotTrack": True, "preDNAT": True}), "both set"),
]


# ---- without a server ----


@case
def structural_schemas(*_):
    """Every definition is a structural v1 schema under the right names."""
    crds = definitions()
    expect_eq(set(crds), set(KINDS), "the kinds defined")
    expect_eq(len(documents("crds.yaml")), len(KINDS), "a document a kind")
    for kind, (plural, namespaced, _) in KINDS.items():
        crd = crds[kind]
        spec = crd["spec"]
        expect_eq(crd["apiVersion"], "apiextensions.k8s.io/v1", kind)
        expect_eq(crd["metadata"]["name"], f"{plural}.{GROUP}", kind)
        expect_eq(spec["names"], {"kind": kind, "listKind": kind + "List", "plural": plural,
                                  "singular": kind.lower()}, kind)
        expect_eq((spec["group"], spec["scope"]),
                  (GROUP, "Namespaced" if namespaced else "Cluster"), kind)
        expect_eq([(v["name"], v["served"], v["storage"]) for v in spec["versions"]],
                  [("v1", True, True)], f"{kind}'s versions")
        expect_eq(structural(schema_of(crd)), [], f"{kind}'s schema")
        expect_eq(schema_of(crd)["required"], ["spec"], f"{kind} without a spec")


@case
def fields_of_the_formats(*_):
    """Every field that Calico's formats have, and that Selvage reads or writes, is there."""
    for kind, crd in definitions().items():
        missing = [f for f in KINDS[kind][2].split() if at(schema_of(crd), "spec." + f) is None]
        expect_eq(missing, [], f"{kind} lacks fields")


@case
def printer_columns(*_):
    """Columns name fields that exist, with their type; the last is the age."""
    for kind, crd in definitions().items():
        columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
        expect_eq(columns[-1]["jsonPath"], ".metadata.creationTimestamp", f"{kind}'s last column")
        for c in columns[:-1]:
            field = at(schema_of(crd), c["jsonPath"].replace("[*]", "[]").lstrip("."))
            expect(field, f"{kind}: column {c['name']} shows {c['jsonPath']}, which is no field")
            want = {"array": "string", "string": "string"}.get(field["type"], field["type"])
            if field.get("format") == "date-time":
                want = "date"
            expect_eq(c["type"], want, f"{kind}: column {c['name']}")


@case
def immutable_fields(*_):
    """What must not change is guarded by a transition rule that says what to do."""
    for kind, fields in IMMUTABLE.items():
        for field in fields:
            rules = at(schema_of(definitions()[kind]), "spec." + field).get(
                "x-kubernetes-validations", [])
            expect("self == oldSelf" in [r["rule"] for r in rules], f"{kind} {field} may change")
    rules = at(schema_of(definitions()["IPPool"]), "spec")["x-kubernetes-validations"]
    expect([r for r in rules if "self.blockSize" in r["rule"] and "oldSelf.blockSize" in r["rule"]
            and "cannot be changed" in r["message"]], "IPPool blockSize may change")


@case
def objects_judged(*_):
    """Objects as Calico and Selvage write them fit whole; wrong ones do not."""
    crds = definitions()
    expect_eq({o["kind"] for o in TAKEN}, set(KINDS), "kinds among the samples")
    for obj in TAKEN + documents("kubeadm-example.yaml"):
        expect_eq(judge_object(obj, crds[obj["kind"]]), [],
                  f"{obj['kind']} {obj['metadata']['name']}")
    for obj, says in REFUSED:
        problems = judge_object(obj, crds[obj["kind"]])
        expect(any(says in p for p in problems), f"{obj} is taken: {problems}")


@case
def rights(*_):
    """A node's rights are those of the table, no wildcard, no secret but the named ones."""
    docs = {(d["kind"], d["metadata"]["name"]): d for d in documents("rbac.yaml")}
    expect_eq(set(docs), {(k, "selvage-node") for k in
                          ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")}, "documents")
    got = {}
    for rule in docs["ClusterRole", "selvage-node"]["rules"]:
        expect_eq(set(rule), {"apiGroups", "resources", "verbs"}, "a rule's keys")
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                got.setdefault((group, resource), set()).update(rule["verbs"])
    expect_eq(got, RIGHTS, "the ClusterRole")
    role = docs["Role", "selvage-node"]
    expect_eq(role["metadata"]["namespace"], "kube-system", "the secrets' namespace")
    for rule in role["rules"]:
        expect_eq((rule["apiGroups"], rule["resources"], set(rule["verbs"])),
                  ([""], ["secrets"], READ), "the Role")
        expect(rule.get("resourceNames"), "the Role shows every secret of kube-system")
    for kind, ref in (("ClusterRoleBinding", "ClusterRole"), ("RoleBinding", "Role")):
        binding = docs[kind, "selvage-node"]
        expect_eq((binding["roleRef"]["kind"], binding["roleRef"]["name"]), (ref, "selvage-node"),
                  kind)
        expect_eq([(s["kind"], s["name"]) for s in binding["subjects"]],
                  [("Group", "selvage:nodes")], kind)


@case
def admission_covers_the_rights(*_):
    """Each thing that a node may write has a policy in force, for nodes only, that fails closed."""
    docs = documents("admission.yaml")
    policies = {d["metadata"]["name"]: d["spec"] for d in docs
                if d["kind"] == "ValidatingAdmissionPolicy"}
    bindings = {d["spec"]["policyName"]: d["spec"] for d in docs
                if d["kind"] == "ValidatingAdmissionPolicyBinding"}
    expect_eq(set(policies), set(bindings), "policies and bindings")
    covered = {}
    for name, spec in policies.items():
        expect_eq(spec["failurePolicy"], "Fail", name)
        expect_eq(bindings[name]["validationActions"], ["Deny"], name)
        expect_eq("paramKind" in spec, "paramRef" in bindings[name], f"{name}'s parameter")
        expect_eq(spec["matchConditions"][0]["expression"],
                  "'selvage:nodes' in request.userInfo.groups", name)
        for v in spec["validations"]:
            expect_eq(v["reason"], "Forbidden", name)
        for rule in spec["matchConstraints"]["resourceRules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    covered.setdefault((group, resource), set()).update(rule["operations"])
    for what, verbs in RIGHTS.items():
        if verbs - READ and what[1] not in OWNERLESS:
            expect_eq(covered.get(what), {"CREATE", "UPDATE", "DELETE"}, what)


@case
def script_is_shell(*_):
    """node-kubeconfig.sh parses, and refuses what is no node."""
    script = path_of("node-kubeconfig.sh")
    expect(os.access(script, os.X_OK), f"{script} is not executable")
    expect_eq(subprocess.run(["sh", "-n", script], check=False).returncode, 0, "sh -n")
    for argv in ([], ["a", "b"], ["N1"], ["n1/x"], ["-d", "x", "n1"], ["-x", "n1"]):
        run = subprocess.run([script, *argv], capture_output=True, text=True, check=False,
                             env={**os.environ, "KUBECTL": "/bin/false"})
        expect_eq((run.returncode, run.stdout), (2, ""), f"node-kubeconfig.sh {argv}")
        expect("node-kubeconfig: " in run.stderr, f"node-kubeconfig.sh {argv} says {run.stderr!r}")


# ---- with a server ----

MERGE = "application/merge-patch+json"
CALICO = f"/apis/{GROUP}/v1"


def kubectl(api, *argv, stdin=None):
    run = subprocess.run([api.kubectl, "--kubeconfig", api.admin, *argv], capture_output=True,
                         text=True, input=stdin, check=False)
    return run.returncode, run.stdout + run.stderr


def path_to(obj, name=True, sub=""):
    ns = obj["metadata"].get("namespace")
    plural = KINDS[obj["kind"]][0]
    return CALICO + (f"/namespaces/{ns}" if ns else "") + f"/{plural}" + \
        (f"/{obj['metadata']['name']}" if name else "") + sub


def as_node(api, node, method, path, body=None):
    """A request with a node's own certificate: (code, Status or object)."""
    context = ssl.create_default_context(cafile=api.ca)
    context.load_cert_chain(*api.cert(f"selvage:node:{node}", ["selvage:nodes"]))
    host, port = api.listen[0]
    c = http.client.HTTPSConnection(host, port, context=context, timeout=30)
    try:
        kind = MERGE if method == "PATCH" else "application/json"
        c.request(method, path, None if body is None else json.dumps(body), {"Content-Type": kind})
        r = c.getresponse()
        return r.status, json.loads(r.read())
    finally:
        c.close()


def refused(answer, says, what, code=403):
    expect_eq(answer[0], code, f"{what}: {answer[1].get('message')}")
    expect(says in answer[1]["message"], f"{what}: {answer[1]['message']}")


def with_server(fn):
    """A case that needs a real server; without one main says so."""
    return case(fn) if os.environ.get("KUBE_APISERVER") else fn


@with_server
def kubectl_takes_all(api):
    """kubectl creates the definitions, leaves existing ones alone, and applies the rest."""
    theirs = json.loads(json.dumps(definitions()["Tier"]))
    theirs["metadata"]["labels"] = {"whose": "calico"}
    expect_eq(kubectl(api, "create", "-f", "-", stdin=json.dumps(theirs))[0], 0, "a first CRD")
    code, said = kubectl(api, "create", "-f", path_of("crds.yaml"))
    expect_eq((code, said.count(" created\n"), said.count("already exists")), (1, len(KINDS) - 1, 1),
              said)
    code, got = kubectl(api, "get", "crd", f"tiers.{GROUP}", "-o", "jsonpath={.metadata.labels}")
    expect_eq((code, got), (0, '{"whose":"calico"}'), "Calico's definition")
    api.delete("customresourcedefinitions", f"tiers.{GROUP}")
    while api.get("customresourcedefinitions", f"tiers.{GROUP}"):
        time.sleep(0.05)
    for name in ("crds.yaml", "crds.yaml", "rbac.yaml", "admission.yaml"):
        code, said = kubectl(api, "apply", "-f", path_of(name))
        expect_eq((code, said.lower().count("error")), (0, 0), f"apply {name}: {said}")
    api.wait_crds([f"{plural}.{GROUP}" for plural, _, _ in KINDS.values()])
    code, said = kubectl(api, "apply", "--server-side", "--force-conflicts", "-f", path_of("crds.yaml"))
    expect_eq(code, 0, f"apply --server-side: {said}")
    code, said = kubectl(api, "apply", "-f", path_of("kubeadm-example.yaml"))
    expect_eq((code, said.count("created")), (0, len(documents("kubeadm-example.yaml"))), said)
    for obj in documents("kubeadm-example.yaml"):
        expect_eq(api.request("DELETE", path_to(obj))[0], 200, "delete the example")
    for name in ("n1", "n2"):
        api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    # Policies come into force a moment after they are stored.
    deadline = time.monotonic() + 20
    probe = affinity("n2", "192.0.2.0/26")
    while as_node(api, "n1", "POST", path_to(probe, False), probe)[0] != 403:
        api.request("DELETE", path_to(probe))
        expect(time.monotonic() < deadline, "the admission policies are not in force after 20 s")
        time.sleep(0.1)


@with_server
def server_takes_objects(api):
    """Objects as Calico and Selvage write them come back as they were written."""
    for obj in TAKEN:
        code, got = api.request("POST", path_to(obj, False), obj)
        expect_eq(code, 201, f"{obj['kind']}: {got}")
        for key, value in obj["spec"].items():
            expect_eq(got["spec"].get(key), value, f"{obj['kind']} spec.{key}")
    for obj, says in REFUSED + REFUSED_BY_CEL:
        refused(api.request("POST", path_to(obj, False), obj), says, f"{obj}", 422)


@with_server
def server_keeps_what_is_immutable(api):
    """A changed cidr is refused, and so is a changed blockSize; its default may be written out."""
    steps = [("ippools/a", {"cidr": "10.0.0.0/15"}, "cidr cannot be changed"),
             ("ippools/a", {"blockSize": 27}, "blockSize cannot be changed"),
             ("ippools/b", {"blockSize": 120}, "blockSize cannot be changed"),
             ("ippools/b", {"blockSize": 122}, None), ("ippools/b", {"disabled": True}, None),
             ("ipamblocks/10-0-0-0-26", {"cidr": "10.0.0.64/26"}, "cidr of a block"),
             ("blockaffinities/n1-10-0-0-0-26", {"cidr": "10.0.0.64/26"}, "cidr of a block"),
             ("blockaffinities/n1-10-0-0-0-26", {"node": "n2"}, "node of a block"),
             ("ipamhandles/net.0a1b", {"handleID": "net.other"}, "handleID cannot")]
    for path, spec, says in steps:
        answer = api.request("PATCH", f"{CALICO}/{path}", {"spec": spec}, MERGE)
        if says:
            refused(answer, says, f"{path} {spec}", 422)
        else:
            expect_eq(answer[0], 200, f"{path} {spec}: {answer[1].get('message')}")


@with_server
def node_writes_its_own_node_and_pods(api):
    """Annotations of its Node and its pods, by the status subresource, and nothing else of them."""
    def annotate(key):
        return {"metadata": {"annotations": {key: "x"}}}
    for name, node in (("p1", "n1"), ("p2", "n2"), ("p0", None)):
        api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace":
                    "default", "labels": {"a": "b"}}, "spec": {"containers": [
                        {"name": "c", "image": "i"}], **({"nodeName": node} if node else {})}})
    pod = "/api/v1/namespaces/default/pods/"
    for path, body, says in [
            ("/api/v1/nodes/n1/status", annotate("projectcalico.org/IPv4Address"), None),
            ("/api/v1/nodes/n1/status", annotate("selvage.io/instance"), None),
            ("/api/v1/nodes/n1/status", {"metadata": {"annotations": {"selvage.io/instance": None}}},
             None),
            ("/api/v1/nodes/n1/status", annotate("example.com/x"), "may change only the annotations"),
            ("/api/v1/nodes/n1/status", {"metadata": {"labels": {"x": "y"}}}, "nothing of its Node"),
            ("/api/v1/nodes/n1/status", {"metadata": {"finalizers": ["x/y"]}}, "nothing of its Node"),
            ("/api/v1/nodes/n1/status", {"status": {"phase": "Running"}}, "nothing of its Node"),
            ("/api/v1/nodes/n2/status", annotate("selvage.io/instance"), "only its own Node"),
            ("/api/v1/nodes/n1", annotate("selvage.io/instance"), "cannot patch resource"),
            (pod + "p1/status", annotate("cni.projectcalico.org/podIP"), None),
            (pod + "p1/status", annotate("selvage.io/x"), "annotations cni.projectcalico.org/"),
            (pod + "p1/status", {"metadata": {"labels": {"a": None}}}, "nothing of a pod"),
            (pod + "p1/status", {"status": {"podIP": "10.0.0.1"}}, "nothing of a pod"),
            (pod + "p2/status", annotate("cni.projectcalico.org/podIP"), "pods that run on its node"),
            (pod + "p0/status", annotate("cni.projectcalico.org/podIP"), "pods that run on its node"),
            (pod + "p1", annotate("cni.projectcalico.org/podIP"), "cannot patch resource")]:
        answer = as_node(api, "n1", "PATCH", path, body)
        if says:
            refused(answer, says, f"{path} {body}")
        else:
            expect_eq(answer[0], 200, f"{path} {body}: {answer[1].get('message')}")


@with_server
def node_writes_its_own_blocks(api):
    """Blocks and affinities: its own, free ones, and those of nodes that are gone; no others."""
    mine, theirs = affinity("n1", "10.5.0.0/26"), affinity("n2", "10.5.0.64/26")

    def put(node, obj, **spec):
        obj = api.request("GET", path_to(obj))[1]
        obj["spec"].update(spec)
        obj["spec"] = {k: v for k, v in obj["spec"].items() if v is not None}
        return as_node(api, node, "PUT", path_to(obj), obj)

    def done(answer, what, code=200):
        expect_eq(answer[0], code, f"{what}: {answer[1].get('message')}")

    done(as_node(api, "n1", "POST", path_to(mine, False), mine), "claim", 201)
    refused(as_node(api, "n1", "POST", path_to(theirs, False), theirs), "of its node", "claim for n2")
    virtual = affinity("n1", "10.5.1.0/26", type="virtual")
    refused(as_node(api, "n1", "POST", path_to(virtual, False), virtual), "of its node", "virtual")
    done(put("n1", mine, state="confirmed"), "confirm")
    refused(put("n2", mine, state="pendingDeletion"), "the node n1 exists", "release by n2")
    refused(as_node(api, "n2", "DELETE", path_to(mine)), "the node n1 exists", "delete by n2")

    own, other = block("10.5.0.0/26", "host:n1"), block("10.5.0.64/26", "host:n2")
    done(as_node(api, "n1", "POST", path_to(own, False), own), "own block", 201)
    refused(as_node(api, "n1", "POST", path_to(other, False), other), "blocks of its node", "n2's")
    free = block("10.5.0.128/26")
    refused(as_node(api, "n1", "POST", path_to(free, False), free), "blocks of its node", "nobody's")
    done(put("n1", own, sequenceNumber=5), "update")
    refused(put("n2", own, sequenceNumber=6), "host:n1 exists", "update by n2")
    # Two policies refuse it; either may speak first.
    refused(put("n2", own, affinity="host:n2"), "blocks", "theft")
    refused(put("n1", own, affinity="host:n2"), "blocks of its node", "gift")
    refused(as_node(api, "n2", "DELETE", path_to(own)), "host:n1 exists", "delete by n2")
    refused(as_node(api, "n1", "DELETE", path_to(block("fd00::40/122"))), "blocks of its node",
            "a load balancer's block")
    api.request("POST", path_to(free, False), free)
    done(put("n2", free, affinity="host:n2"), "claim of a free block")
    done(put("n2", free, affinity=None), "release to nobody")

    api.delete("nodes", "n1")
    deadline = time.monotonic() + 10
    while put("n2", mine, state="pendingDeletion")[0] != 200:
        expect(time.monotonic() < deadline, "what a gone node left cannot be released")
        time.sleep(0.1)
    refused(put("n2", mine, state="confirmed"), "of its node", "confirming for a gone node")
    refused(put("n2", own, affinity="host:n3"), "blocks of its node", "gift of a gone node's")
    done(put("n2", own, deleted=True), "mark a gone node's block")
    for obj in (own, mine):
        done(as_node(api, "n2", "DELETE", path_to(obj)), "delete what a gone node left")


@with_server
def node_may_not_more(api):
    """No other write, no secret but the named ones; a stranger in the group owns nothing."""
    for method, path, body in [
            ("POST", path_to(TAKEN[0], False), TAKEN[0]), ("DELETE", path_to(TAKEN[0]), None),
            ("DELETE", CALICO + "/ipamblocks", None),
            ("PATCH", CALICO + "/ipamblocks/10-5-0-128-26", {"spec": {"deleted": True}}),
            ("GET", "/api/v1/secrets", None),
            ("GET", "/api/v1/namespaces/kube-system/secrets", None),
            ("GET", "/api/v1/namespaces/kube-system/secrets/other", None),
            ("GET", "/api/v1/namespaces/default/secrets/bgp-passwords", None),
            ("DELETE", "/api/v1/nodes/n2", None),
            ("DELETE", "/api/v1/namespaces/default/pods/p2", None),
            ("POST", "/api/v1/namespaces/default/pods/p2/exec?command=sh&stdout=1", None)]:
        expect_eq(as_node(api, "n2", method, path, body)[0], 403, f"{method} {path}")
    named = "/api/v1/namespaces/kube-system/secrets"
    expect_eq(as_node(api, "n2", "GET", named + "/bgp-passwords")[0], 404, "the named secret")
    expect_eq(as_node(api, "n2", "GET", named + "?fieldSelector=metadata.name%3Dbgp-passwords")[0],
              200, "a list of the named secret")
    for group, resource in RIGHTS:
        base = f"/apis/{group}" if group else "/api"
        if "/" not in resource and resource != "ipamconfigurations" and group not in (
                "policy.networking.k8s.io", "projectcalico.org"):
            expect_eq(as_node(api, "n2", "GET", f"{base}/v1/{resource}?limit=1")[0], 200, resource)
    empty = affinity("n2", "10.7.0.0/26")
    empty["spec"]["node"] = "x"
    refused(as_node(api, "", "POST", path_to(empty, False), empty), "of its node", "no name")


def sign_requests(api, stop):
    """kube-controller-manager's part: a certificate for each approved request."""
    base = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    while not stop.wait(0.1):
        for csr in api.request("GET", base)[1]["items"]:
            approved = any(c["type"] == "Approved" for c in csr["status"].get("conditions", []))
            if not approved or csr["status"].get("certificate"):
                continue
            name = os.path.join(api.folder, csr["metadata"]["name"])
            with open(name + ".csr", "wb") as f:
                f.write(base64.b64decode(csr["spec"]["request"]))
            subprocess.run(["openssl", "x509", "-req", "-in", name + ".csr", "-CA", api.ca, "-CAkey",
                            api.pki.path("ca.key"), "-CAcreateserial", "-days", "1", "-out",
                            name + ".crt"], check=True, capture_output=True)
            with open(name + ".crt", "rb") as f:
                csr["status"]["certificate"] = base64.b64encode(f.read()).decode()
            api.request("PUT", f"{base}/{csr['metadata']['name']}/status", csr)


@with_server
def kubeconfig_of_a_node(api):
    """node-kubeconfig.sh gives a kubeconfig with which the server knows the node and no one else."""
    stop = threading.Event()
    signer = threading.Thread(target=sign_requests, args=(api, stop), daemon=True)
    signer.start()
    try:
        run = subprocess.run([path_of("node-kubeconfig.sh"), "n2"], capture_output=True, text=True,
                             check=False, timeout=60,
                             env={**os.environ, "KUBECTL": api.kubectl, "KUBECONFIG": api.admin})
    finally:
        stop.set()
        signer.join()
    expect_eq((run.returncode, run.stderr), (0, ""), "node-kubeconfig.sh n2")
    path = os.path.join(api.folder, "n2.kubeconfig")
    with open(path, "w", encoding="utf-8") as f:
        f.write(run.stdout)
    who = subprocess.run([api.kubectl, "--kubeconfig", path, "auth", "whoami", "-o", "json"],
                         capture_output=True, text=True, check=False)
    user = json.loads(who.stdout or "{}").get("status", {}).get("userInfo", {})
    expect_eq((user.get("username"), sorted(user.get("groups", []))),
              ("selvage:node:n2", ["selvage:nodes", "system:authenticated"]), who.stderr)
    left = api.request("GET", "/apis/certificates.k8s.io/v1/certificatesigningrequests")[1]["items"]
    expect_eq(left, [], "requests left behind")


class NoServerHere:
    procs = ()

    def close(self):
        """Nothing to take away."""


def run_with_server():
    from realapi import NoServer, RealApiServer  # pylint: disable=import-outside-toplevel
    folder = tempfile.mkdtemp(prefix="selvage-manifests-")
    try:
        api = RealApiServer(folder, rbac=True, crds=())
    except NoServer as e:
        sys.exit(f"test_manifests.py: {e}")
    beside = os.path.join(os.path.dirname(api.apiserver), "kubectl")
    api.kubectl = os.environ.get("KUBECTL") or (beside if os.path.exists(beside) else "kubectl")
    api.admin = api.kubeconfig(os.path.join(folder, "admin"), user="admin",
                               groups=["system:masters"])
    if not shutil.which(api.kubectl):
        api.close()
        sys.exit("test_manifests.py: there is no kubectl; set KUBECTL=/path/to/kubectl")
    try:
        main(api)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if os.environ.get("KUBE_APISERVER"):
        run_with_server()
    print("not run here: what only a real server can say; set KUBE_APISERVER=/path/to/kube-apiserver",
          flush=True)
    main(NoServerHere())
