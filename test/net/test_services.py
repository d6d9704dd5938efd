#!/usr/bin/python3
"""Services and passwords from documents: two nodes, a BIRD that hears both, a BIRD with TCP-MD5."""
import json
import os
import time

from nettest import case, expect, expect_eq, main
from lab import Lab, tail, wait_for
from nodes import POOLS, Node, peer_doc
import peers

CLUSTER = {4: "10.96.0.0/12", 6: "fd00:96::/112"}
LB = "198.51.100.0/24"
ALONE = "203.0.113.7/32"
WEB = {4: "10.96.0.10/32", 6: "fd00:96::10/128"}
GIVEN = "198.51.100.7/32"
PASSWORD, WRONG = "sesame-9b1d", "sesame-00ff"

BGPCONF = f"""apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {{name: default}}
spec:
  nodeToNodeMeshEnabled: false
  serviceClusterIPs: [{{cidr: {CLUSTER[4]}}}, {{cidr: "{CLUSTER[6]}"}}]
  serviceLoadBalancerIPs: [{{cidr: {LB}}}, {{cidr: {ALONE}}}]
"""
SERVICES = """apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, uid: 1b7f}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:96::10"]
  ipFamilies: [IPv4, IPv6]
  externalTrafficPolicy: Local
  ports: [{port: 80, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: 198.51.100.7}]}}
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.53, externalTrafficPolicy: Cluster}
status: {loadBalancer: {ingress: [{ip: 203.0.113.7}]}}
"""


def slice_doc(family, endpoints):
    """endpoints: [(node, ready)]"""
    address = {4: "10.1.0.9", 6: '"fd00:1::9"'}[family]
    rows = "".join(f"- {{addresses: [{address}], nodeName: {n}, "
                   f"conditions: {{ready: {str(r).lower()}}}}}\n" for n, r in endpoints)
    return (f"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
            f"metadata: {{name: web-{family}, namespace: shop, "
            f"labels: {{kubernetes.io/service-name: web}}}}\n"
            f"addressType: IPv{family}\nendpoints:\n{rows or '  []'}\n")


def node_doc(name, label=""):
    labels = f", labels: {{node.kubernetes.io/exclude-from-external-load-balancers: {label}}}" \
        if label else ""
    return (f"apiVersion: projectcalico.org/v3\nkind: Node\n"
            f"metadata: {{name: {name}{labels}}}\n")


def secret_doc(password):
    return (f"apiVersion: v1\nkind: Secret\nmetadata: {{name: bgp, namespace: kube-system}}\n"
            f"stringData: {{tor2: {password}}}\n")


class Rack:
    """n1 and n2, each with a link to tor1; tor2 is n1's alone and has a password."""

    def __init__(self, lab):
        self.lab = lab
        self.resources = lab.mkdir("resources.d")
        for name in ("tor1", "tor2"):
            lab.add_ns(name, forward=True)
        self.nodes, docs = [], []
        for n in (1, 2):
            lab.add_ns(f"n{n}")
            lab.link(f"n{n}", "tor1", "tor1", f"n{n}", [f"10.1.{n}.2/24", f"fd00:1:{n}::2/64"],
                     [f"10.1.{n}.1/24", f"fd00:1:{n}::1/64"])
            docs.append(peer_doc(f"n{n}-tor1", f"n{n}", f"10.1.{n}.1", 65001))
            self.nodes.append(Node(lab, f"n{n}", 65100 + n,
                                   [f"10.1.{n}.2/24", f"fd00:1:{n}::2/64"], self.resources))
        lab.link("n1", "tor2", "tor2", "n1", ["10.2.1.2/24", "fd00:2:1::2/64"],
                 ["10.2.1.1/24", "fd00:2:1::1/64"])
        docs.append(peer_doc("n1-tor2", "n1", "10.2.1.1", 65002,
                             ", password: {secretKeyRef: {name: bgp, key: tor2}}"))
        self.write("10-pools", POOLS)
        self.write("20-bgp", BGPCONF + "---\n" + "---\n".join(docs))
        self.write("30-nodes", node_doc("n1") + "---\n" + node_doc("n2"))
        self.tor1 = peers.Bird(lab, "tor1", 65001, "192.0.2.1",
                               [(f"10.1.{n}.2", 65100 + n) for n in (1, 2)])
        self.tor2 = peers.Bird(lab, "tor2", 65002, "192.0.2.2", [("10.2.1.2", 65101)],
                               {"session": f'password "{PASSWORD}";'})

    def write(self, name, text):
        self.lab.write(f"resources.d/{name}.yaml", text)

    def secret(self, password):
        path = self.lab.path("resources.d", "40-secret.yaml")
        with open(path + ".tmp", "w") as f:
            os.fchmod(f.fileno(), 0o644)
            f.write(secret_doc(password))
        os.rename(path + ".tmp", path)

    def endpoints(self, *endpoints):
        self.write("60-slices", slice_doc(4, endpoints) + "---\n" + slice_doc(6, endpoints))

    def start(self):
        for p in (self.tor1, self.tor2, *self.nodes):
            p.start()
        self.tor1.wait_established()

    def via(self, prefix):
        """The nodes that tor1 has this prefix from."""
        hops = self.tor1.routes(6 if ":" in prefix else 4).get(prefix, set())
        return {n for n in (1, 2) for h in hops
                if h in (f"10.1.{n}.2", f"fd00:1:{n}::2")}

    def wait_via(self, prefix, nodes, timeout=10):
        start = time.monotonic()
        wait_for(f"{prefix} from {sorted(nodes) or 'nobody'}",
                 lambda: self.via(prefix) == set(nodes), timeout, 0.005)
        return (time.monotonic() - start) * 1000

    def uptimes(self):
        return {p["name"]: (p["state"], p["since"]) for node in self.nodes
                for p in node.ctl("status")["bgp"]["peers"] if p["name"] != "n1-tor2"}


@case
def aggregates_from_every_node(lab, rack):
    """The ranges come from both nodes; a single address among them does not without a service."""
    for prefix in (CLUSTER[4], CLUSTER[6], LB):
        rack.wait_via(prefix, {1, 2})
    expect_eq(rack.via(ALONE), set(), ALONE)


@case
def local_service_follows_its_endpoints(lab, rack):
    """Cluster IPs and the given address come only from nodes with a ready endpoint."""
    rack.write("50-services", SERVICES)
    # Cluster policy, named as a single address: from every node, without an endpoint.
    rack.wait_via(ALONE, {1, 2})
    everything = (WEB[4], WEB[6], GIVEN)
    for prefix in everything:
        expect_eq(rack.via(prefix), set(), f"{prefix} without endpoints")
    for endpoints, nodes in (([("n1", True)], {1}), ([("n1", True), ("n2", True)], {1, 2}),
                             ([("n1", False), ("n2", True)], {2}),
                             ([("n1", False), ("n2", False), ("n1", True)], {1})):
        rack.endpoints(*endpoints)
        for prefix in everything:
            rack.wait_via(prefix, nodes)
    expect_eq(rack.via(CLUSTER[4]), {1, 2}, "the aggregate")


@case
def withdrawn_with_the_last_endpoint(lab, rack):
    """The last endpoint goes, and with it the routes; the time is printed, not judged."""
    times = []
    for _ in range(5):
        rack.endpoints(("n1", True), ("n2", True))
        for prefix in (WEB[4], WEB[6], GIVEN):
            rack.wait_via(prefix, {1, 2})
        time.sleep(0.5)
        rack.endpoints(("n1", True), ("n2", False))
        times.append(rack.wait_via(WEB[4], {1}))
        rack.wait_via(WEB[6], {1})
    print("        file renamed to route gone from BIRD: "
          f"{', '.join(f'{t:.0f}' for t in times)} ms", flush=True)
    rack.endpoints()
    for prefix in (WEB[4], WEB[6], GIVEN):
        rack.wait_via(prefix, set())


@case
def nothing_in_the_kernel(lab, rack):
    """Ranges and services are kube-proxy's: neither own nor learned ones are installed."""
    rack.endpoints(("n1", True))
    n2 = rack.nodes[1]
    for prefix in (WEB[4], WEB[6], GIVEN):
        # tor1 passes n1's route on to n2, which knows it but must not install it.
        wait_for(f"n2 to have learned {prefix}", lambda: n2.ctl("routes", prefix))
        expect_eq(n2.ctl("routes", prefix)[0]["installed"], False, f"{prefix} on n2")
    time.sleep(0.3)
    for node in rack.nodes:
        for fam in ("-4", "-6"):
            have = {r["dst"] for r in lab.ip_json(node.name, fam, "route", "show", "table", "all")}
            for net in (CLUSTER[4], CLUSTER[6], LB, ALONE.split("/")[0], "10.96.0.10",
                        "fd00:96::10", "198.51.100.7"):
                expect(net not in have, f"{node.name}: {net} is in the kernel")


@case
def excluded_node_says_nothing(lab, rack):
    """The label takes every service route of the node away, and its own sessions stay up."""
    before = rack.uptimes()
    rack.write("30-nodes", node_doc("n1", '"true"') + "---\n" + node_doc("n2"))
    for prefix in (CLUSTER[4], CLUSTER[6], LB, ALONE):
        rack.wait_via(prefix, {2})
    rack.wait_via(WEB[4], set())
    rack.write("30-nodes", node_doc("n1") + "---\n" + node_doc("n2"))
    for prefix in (CLUSTER[4], CLUSTER[6], LB, ALONE):
        rack.wait_via(prefix, {1, 2})
    rack.wait_via(WEB[4], {1})
    expect_eq(rack.uptimes(), before, "sessions")


@case
def broken_slice_keeps_the_routes(lab, rack):
    """A slice that cannot be read is named, and its last good version stays in force."""
    broken = slice_doc(4, []).replace("endpoints:\n  []", "endpoints: 7")
    rack.write("60-slices", broken + "---\n" + slice_doc(6, [("n1", True)]))
    wait_for("the error", lambda: any(
        "EndpointSlice" in e for e in rack.nodes[0].ctl("status")["datastore"]["errors"]), 5)
    expect_eq(rack.via(WEB[4]), {1}, WEB[4])
    rack.endpoints(("n1", True))
    wait_for("no error", lambda: not any(
        "EndpointSlice" in e for e in rack.nodes[0].ctl("status")["datastore"]["errors"]), 5)


@case
def a_peer_without_its_secret_is_left_out(lab, rack):
    """No Secret, no session and no attempt at one; the status says what to do."""
    s = rack.nodes[0].ctl("status")
    expect("n1-tor2" not in {p["name"] for p in s["bgp"]["peers"]}, str(s["bgp"]["peers"]))
    expect(any('n1-tor2' in e and 'Secret "bgp"' in e for e in s["datastore"]["errors"]),
           str(s["datastore"]["errors"]))
    expect_eq(rack.tor2.established(), set(), "tor2")


def tor2_up(rack):
    return rack.nodes[0].peers().get("n1-tor2", {}).get("state") == "Established"


@case
def secret_appears_and_the_session_comes_up(lab, rack):
    """A document is all it takes; other sessions do not notice."""
    before = rack.uptimes()
    rack.secret(PASSWORD)
    wait_for("the session with tor2", lambda: tor2_up(rack), 20)
    wait_for("a readable secret to be named", lambda: any(
        "everyone on this host may read" in e
        for e in rack.nodes[0].ctl("status")["datastore"]["errors"]), 5)
    wait_for("tor2 to have the range", lambda: CLUSTER[4] in rack.tor2.routes(4))
    expect_eq(rack.uptimes(), before, "the other sessions")


@case
def wrong_password_and_back(lab, rack):
    """Another password ends that session alone; the right one brings it back."""
    before = rack.uptimes()
    rack.secret(WRONG)
    wait_for("the session to end", lambda: not tor2_up(rack), 20)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        expect(not tor2_up(rack), "a session with the wrong password")
        time.sleep(0.2)
    rack.secret(PASSWORD)
    wait_for("the session with tor2", lambda: tor2_up(rack), 30)
    expect_eq(rack.uptimes(), before, "the other sessions")


@case
def same_secret_again_changes_nothing(lab, rack):
    """A file that is written again with the same password leaves the session alone."""
    def since():
        return rack.nodes[0].peers()["n1-tor2"]["since"]
    before = since()
    rack.secret(PASSWORD)
    time.sleep(1)
    expect(tor2_up(rack), "the session with tor2")
    expect_eq(since(), before, "since")


@case
def no_password_is_shown(lab, rack):
    """Neither logs nor nodectl have a password."""
    shown = {p.log_path: open(p.log_path, errors="replace").read() for p in lab.procs
             if "noded" in p.log_path}
    expect(len(shown) == 2, f"logs {list(shown)}")
    for words in (("status",), ("peers",), ("peers", "n1-tor2")):
        shown["nodectl -j " + " ".join(words)] = json.dumps(rack.nodes[0].ctl(*words))
        shown["nodectl " + " ".join(words)] = rack.nodes[0].ctl_text(*words)
    for where, text in shown.items():
        expect("sesame" not in text and PASSWORD not in text, f"{where} shows a password")


if __name__ == "__main__":
    the_lab = Lab("slvsvc")
    the_rack = Rack(the_lab)
    try:
        the_rack.start()
    except BaseException:
        for proc in the_lab.procs:
            print(f"--- end of {proc.log_path}\n{tail(proc.log_path, 12)}", flush=True)
        the_lab.close()
        raise
    main(the_lab, the_rack)
