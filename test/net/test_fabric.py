#!/usr/bin/python3
"""The whole chain: three nodes, FRR and BIRD as ToRs, pods, and what breaks under way."""
import os
import re
import signal
import time

from nettest import case, expect, expect_eq, main
from lab import Lab, run, wait_for
from nodes import Fabric, Pod

HOST_FIELDS = {"namespace", "name", "containerID", "ifname", "host", "addresses", "labels",
               "policies", "ready"}


def steady_ping(lab, a, address, seconds, name):
    return lab.spawn(a.ns, "ping", "-n", "-i", "0.02", "-c", str(int(seconds * 50)), "-W", "1",
                     address, log=f"{name}.log")


def ping_result(p, timeout=60):
    p.wait(timeout=timeout)
    with open(p.log_path) as f:
        m = re.search(r"(\d+) packets transmitted, (\d+) received", f.read())
    return int(m.group(1)), int(m.group(2))


@case
def converges(lab, fabric, pods):
    """Each node has a block of each family, and two kernel next hops to every other block."""
    blocks = fabric.wait_converged()
    every = sum(blocks.values(), [])
    expect_eq(len(every), 6, "blocks")
    expect_eq(len(set(every)), 6, "blocks that differ")
    for tor in fabric.tors:
        wait_for(f"{tor.name} to have every block",
                 lambda: set(every) <= set(tor.routes(4)) | set(tor.routes(6)))


@case
def pods_reach_each_other(lab, fabric, pods):
    """The first packet is answered, both families, through a ToR (TTL 61) or locally (63)."""
    for node in fabric.nodes:
        for k in (1, 2):
            pod = Pod(node, f"p{k}", labels={"app": "x"})
            pod.add()
            pods.append(pod)
    for a in pods:
        for b in pods:
            if a is b:
                continue
            for fam in (4, 6):
                got, ttls, out = a.ping(b.address(fam))
                want = 63 if a.node is b.node else 61
                expect_eq((got, ttls), (1, [want]), f"{a.ns} -> {b.ns} IPv{fam}: {out}")


@case
def node_reaches_its_pods(lab, fabric, pods):
    """From the node itself, both families."""
    for pod in pods:
        for fam in (4, 6):
            code, out, _ = lab.exec(pod.node.name, "ping", "-n", "-c", "1", "-W", "1",
                                    pod.address(fam), check=False)
            expect_eq(code, 0, f"{pod.node.name} -> {pod.ns}: {out}")


@case
def status_json(lab, fabric, pods):
    """nodectl -j has the contract's fields with their types."""
    node = fabric.nodes[0]
    s = node.ctl("status")
    expect_eq(set(s), {"node", "version", "ready", "reasons", "bgp", "ipam", "endpoints", "policy",
                       "datastore", "daemons"}, "status fields")
    expect_eq((s["node"], s["ready"], s["reasons"]), ("n1", True, []), "node, ready, reasons")
    expect_eq(s["bgp"]["asn"], 65101, "asn")
    expect_eq(s["bgp"]["routerID"], "10.1.1.2", "routerID")
    for p in s["bgp"]["peers"]:
        expect_eq(set(p), {"name", "address", "interface", "asn", "type", "state", "since",
                           "received", "accepted", "advertised", "bfd", "lastError"}, "peer")
        expect_eq((p["state"], p["type"]), ("Established", "node"), p["name"])
        expect(p["advertised"] >= 2, f"{p['name']}: {p}")
        expect(p["received"] >= 4 and p["accepted"] >= 4, f"{p['name']}: {p}")
        expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", p["since"]), p["since"])
    expect_eq(s["endpoints"], {"total": 2, "ready": 2}, "endpoints")
    used = {b["cidr"]: b["used"] for b in s["ipam"]["blocks"]}
    expect_eq(sorted(used.values()), [2, 2], "used addresses of the two blocks")
    for b in s["ipam"]["blocks"]:
        expect_eq(b["used"] + b["free"] + b["cooling"], b["size"], b["cidr"])
    expect_eq({d["name"] for d in s["daemons"]}, {"noded", "bgpd", "felix"}, "daemons")
    expect_eq(s["datastore"]["kind"], "directory", "datastore")
    eps = node.ctl("endpoints")
    for e in eps:
        expect_eq(set(e), HOST_FIELDS, "endpoint fields")
        expect_eq(e["labels"], {"app": "x"}, "labels")
        expect(e["host"].startswith("cali") and len(e["host"]) == 15, e["host"])


@case
def routes_json(lab, fabric, pods):
    """nodectl routes: both ToRs' paths, one best, both multipath, installed."""
    n1, n2 = fabric.nodes[0], fabric.nodes[1]
    for block in fabric.blocks(n2):
        routes = n1.ctl("routes", block)
        expect_eq(len(routes), 1, f"routes for {block}")
        r = routes[0]
        expect_eq(set(r), {"prefix", "paths", "installed", "advertisedTo"}, "fields")
        expect_eq((r["prefix"], r["installed"]), (block, True), "prefix, installed")
        expect_eq(len(r["paths"]), 2, "paths")
        expect_eq([p["multipath"] for p in r["paths"]], [True, True], "multipath")
        expect_eq(sum(p["best"] for p in r["paths"]), 1, "best")
        for p in r["paths"]:
            expect_eq(set(p), {"peer", "nextHop", "asPath", "localPref", "med", "origin",
                               "communities", "best", "multipath", "reason", "stale"}, "path")
            expect_eq(p["asPath"][-1], 65102, "origin AS")
    own = fabric.blocks(n1, 4)[0]
    r = n1.ctl("routes", own)[0]
    expect_eq(sorted(r["advertisedTo"]), ["n1-tor1", "n1-tor2"], f"{own} is advertised to")


@case
def own_block_is_a_blackhole(lab, fabric, pods):
    """An address of the own block that no pod has ends at its owner, not in a loop."""
    for fam in ("-4", "-6"):
        out = lab.ip_json(fabric.nodes[0].name, fam, "route", "show", "type", "blackhole")
        got = {r["dst"] for r in out}
        want = set(fabric.blocks(fabric.nodes[0], int(fam[1])))
        expect_eq(got, want, "blackhole routes")


@case
def bgpd_killed_loses_nothing(lab, fabric, pods):
    """SIGKILL of bgpd: routes stay, the ToRs keep theirs (graceful restart), no ping is lost."""
    a, b = pods[0], pods[5]
    node = b.node
    pid = node.daemon_pid("bgpd")
    pings = [steady_ping(lab, a, b.address(f), 8, f"bgpd-kill-{f}") for f in (4, 6)]
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)
    node_back = lambda: node.daemon_pid("bgpd") not in (0, None, pid)
    wait_for("bgpd to be back", node_back, 10)
    node.wait_peers(2, 30)
    for p in pings:
        sent, got = ping_result(p)
        expect_eq(got, sent, f"{p.log_path}: answers")
    fabric.wait_converged()
    expect(node.ctl("status")["daemons"] != [], "daemons")


@case
def felix_killed_loses_nothing(lab, fabric, pods):
    """SIGKILL of felix: pods keep forwarding, the new one adopts routes and endpoints."""
    a, b = pods[0], pods[5]
    node = b.node
    before = sorted((e["name"], e["addresses"]) for e in node.ctl("endpoints"))
    pid = node.daemon_pid("felix")
    pings = [steady_ping(lab, a, b.address(f), 6, f"felix-kill-{f}") for f in (4, 6)]
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)
    wait_for("felix to be back", lambda: node.daemon_pid("felix") not in (0, None, pid), 10)
    node.wait_ready()
    for p in pings:
        sent, got = ping_result(p)
        expect_eq(got, sent, f"{p.log_path}: answers")
    after = sorted((e["name"], e["addresses"]) for e in node.ctl("endpoints"))
    expect_eq(after, before, "endpoints")
    fabric.wait_converged()
    peers = node.peers()
    expect(all(p["state"] == "Established" for p in peers.values()), str(peers))


@case
def noded_restart_keeps_pods(lab, fabric, pods):
    """A clean stop leaves what forwards; the new noded goes on with the same endpoints."""
    a, b = pods[0], pods[5]
    node = b.node
    pings = [steady_ping(lab, a, b.address(f), 10, f"noded-restart-{f}") for f in (4, 6)]
    time.sleep(1)
    expect_eq(node.stop(), 0, "exit status of noded after SIGTERM")
    left = lab.exec(node.name, "ip", "-j", "route", "show", "proto", "80")[1]
    expect("cali" in left, "pod routes stay after a clean stop")
    node.start()
    node.wait_peers(2, 30)
    for p in pings:
        sent, got = ping_result(p)
        expect(got >= sent - 1, f"{p.log_path}: {got} of {sent} answers")
    fabric.wait_converged()
    expect_eq(len(node.ctl("endpoints")), 2, "endpoints")


@case
def link_lost_fails_over_at_once(lab, fabric, pods):
    """A link goes down: the other ToR takes over within a second; with the link, ECMP is back."""
    a, b = pods[0], pods[3]
    node = a.node
    pings = [steady_ping(lab, a, b.address(f), 5, f"link-{f}") for f in (4, 6)]
    time.sleep(1)
    lab.ip(node.name, "link", "set", "tor2", "down")
    for p in pings:
        sent, got = ping_result(p)
        expect(got >= sent - 50, f"{p.log_path}: {got} of {sent} answers")
    block = fabric.blocks(b.node, 4)[0]
    wait_for("one next hop", lambda: node.route(block) == ["10.1.1.1"], 10)
    lab.ip(node.name, "link", "set", "tor2", "up")
    lab.ip(node.name, "addr", "replace", "fd00:2:1::2/64", "dev", "tor2", "nodad")
    fabric.wait_converged(60)


@case
def tor_killed(lab, fabric, pods):
    """A ToR's daemons are killed: its routes go, the other's carry on; it is taken in again."""
    tor, node = fabric.tors[1], fabric.nodes[0]
    block = fabric.blocks(fabric.nodes[2], 4)[0]
    tor.stop(signal.SIGKILL)
    wait_for("its next hop to be gone", lambda: node.route(block) == ["10.1.1.1"], 20)
    expect_eq(pods[0].ping(pods[5].address(4), wait=2)[0], 1, "ping over the other")
    tor.start()
    fabric.wait_converged(60)


@case
def foreign_route_deletion_is_healed(lab, fabric, pods):
    """Somebody deletes a learned route and a pod's route: both come back."""
    node = fabric.nodes[0]
    block = fabric.blocks(fabric.nodes[1], 4)[0]
    lab.ip(node.name, "route", "del", block)
    wait_for("the learned route again", lambda: len(node.route(block)) == 2, 10)
    addr = pods[0].address(4)
    lab.ip(node.name, "route", "del", addr)
    wait_for("the pod's route again", lambda: lab.ip_json(node.name, "route", "show", addr), 10)


@case
def pods_leave_nothing(lab, fabric, pods):
    """DEL: link, routes and leases are gone."""
    for pod in pods:
        pod.delete()
        expect_eq(pod.cni("DEL")[0], 0, "a second DEL")
    for node in fabric.nodes:
        expect_eq(node.ctl("endpoints"), [], "endpoints")
        links = [l["ifname"] for l in lab.ip_json(node.name, "link")]
        expect(not [l for l in links if l.startswith("cali")], f"links {links}")
        expect_eq([b["used"] for b in node.ctl("status")["ipam"]["blocks"]], [0, 0], "used")
        routes = lab.exec(node.name, "ip", "-4", "route", "show", "type", "unicast")[1]
        expect("cali" not in routes, routes)


if __name__ == "__main__":
    the_lab = Lab("slvfab")
    the_fabric = Fabric(the_lab)
    try:
        the_fabric.start()
    except BaseException:
        for p in the_lab.procs:
            print(f"--- {p.log_path}\n{open(p.log_path, errors='replace').read()[-3000:]}")
        the_lab.close()
        raise
    main(the_lab, the_fabric, [])
