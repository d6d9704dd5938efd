#!/usr/bin/python3
"""Whole nodes over the Kubernetes store: blocks in Calico's format, pods, the mesh, and the API away."""
import concurrent.futures
import ipaddress
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
from nettest import case, expect, expect_eq, in_tree, main
from lab import Lab, LabError, run, wait_for
from cluster import Cluster, KubePod, crd
from realapi import chosen

PREFIX = "slvapi"
HASH = "projectcalico.org/hostname-hash"


def hostname_hash(node):
    import base64
    import hashlib
    return base64.b32encode(hashlib.sha3_256(node.encode()).digest()).decode().rstrip("=")


def ordinal(block, address):
    return int(ipaddress.ip_address(address)) - int(ipaddress.ip_network(block).network_address)


def holder(cluster, address):
    """The handle that the API's blocks show for an address, or None."""
    for (cidr, i), handle in cluster.allocations().items():
        if ipaddress.ip_address(address) in ipaddress.ip_network(cidr) and \
                ordinal(cidr, address) == i:
            return handle
    return None


def writes(counts):
    return sum(n for key, n in counts["byVerbResource"].items()
               if key.split()[0] in ("create", "update", "patch", "delete"))


def settled(cluster, node):
    """The API has caught up: as many allocations as the node has addresses in use."""
    def same():
        used = sum(b["used"] for b in node.ctl("status")["ipam"]["blocks"])
        return used == len(cluster.allocations(node.name)) and used
    wait_for(f"{node.name}'s blocks in the API to follow", lambda: same() is not False, 15)


def ping(pod, address):
    return pod.ping(address, count=1, wait=2)[0] == 1


@case
def blocks_in_calicos_format(lab, cluster):
    """A node claims a block a family: names, labels, affinity, free list, all as Calico writes them."""
    for node in cluster.nodes:
        blocks = cluster.wait_blocks(node.name, 2)
        for cidr, spec in blocks.items():
            net = ipaddress.ip_network(cidr)
            expect_eq(net.prefixlen, 26 if net.version == 4 else 122, cidr)
            expect_eq(len(spec["allocations"]), 64, "allocations")
            expect_eq(sorted(spec["unallocated"]), list(range(64)), "unallocated")
            expect_eq(spec["attributes"], [], "attributes")
            expect("strictAffinity" in spec and spec["sequenceNumber"] > 1e18, str(spec))
            name = cidr.replace(".", "-").replace(":", "-").replace("/", "-")
            expect(cluster.api.get("ipamblocks", name), f"no IPAMBlock {name}")
            aff = cluster.api.get("blockaffinities", f"{node.name}-{name}")
            expect_eq((aff["spec"]["state"], aff["spec"]["node"], aff["spec"]["cidr"],
                       str(aff["spec"]["deleted"]).lower()),
                      ("confirmed", node.name, cidr, "false"), "affinity")
            expect_eq(aff["metadata"]["labels"][HASH], hostname_hash(node.name), "label")
    owned = [c for n in cluster.nodes for c in cluster.blocks(n.name)]
    expect_eq(len(owned), len(set(owned)), "blocks of two owners")


@case
def mesh_between_the_nodes(lab, cluster):
    """The Node annotations that each writes make the others' peers; blocks are routed over them."""
    a, b = cluster.nodes
    note = cluster.api.get("nodes", "n1")["metadata"]["annotations"]
    expect_eq(note["projectcalico.org/IPv4Address"], "10.50.0.11/24", "annotation")
    for node in (a, b):
        node.wait_peers(1)
    for cidr in cluster.blocks("n2"):
        wait_for(f"n1's route to {cidr}", lambda: a.route(cidr), 15)
    one, two = KubePod(cluster, a, "mesh1", labels={"app": "web"}), KubePod(cluster, b, "mesh2")
    time.sleep(0.3)
    one.add()
    expect_eq(a.ctl("endpoints")[0]["labels"], {"app": "web"}, "labels of the endpoint")
    two.add()
    for fam in (4, 6):
        expect(ping(one, two.address(fam)), f"no answer over IPv{fam}")
    one.remove()
    two.remove()


@case
@in_tree
def add_asks_the_api_nothing(lab, cluster):
    """In the steady state an ADD needs no answer of the API: it is frozen meanwhile. The block follows."""
    node = cluster.nodes[0]
    pod = KubePod(cluster, node, "quiet")
    time.sleep(1.0)
    cluster.api.reset()
    cluster.api.pause()
    try:
        pod.add()
    finally:
        cluster.api.resume()
    counts = cluster.api.counts()
    mine = {k: n for k, n in counts["byKey"].items() if "selvage:node:n1" in k}
    print(f"        ADD in {pod.add_ms:.1f} ms, requests of the node until its answer: "
          f"{sum(mine.values())}", flush=True)
    address = pod.address(4)
    handle = wait_for("the block to show it", lambda: holder(cluster, address), 10)
    expect(pod.container in handle, handle)
    expect(handle in cluster.handles(), f"no IPAMHandle {handle}")
    for spec in cluster.blocks("n1").values():
        for attr in spec["attributes"]:
            expect_eq((attr["secondary"]["pod"], attr["secondary"]["node"]), ("quiet", "n1"),
                      "attributes")
    notes = cluster.api.get("pods", "quiet", "default")["metadata"]["annotations"]
    expect_eq((notes["cni.projectcalico.org/podIPs"], notes["cni.projectcalico.org/containerID"]),
              (f"{address}/32,{pod.address(6)}/128", pod.container), "the pod's annotations")
    pod.delete()
    wait_for("podIP to be emptied", lambda: cluster.api.get("pods", "quiet", "default")[
        "metadata"]["annotations"]["cni.projectcalico.org/podIP"] == "", 10)
    cluster.api.delete("pods", "quiet", "default")
    wait_for("the address to be free in the API", lambda: holder(cluster, address) is None, 15)
    wait_for("the handle to go", lambda: handle not in cluster.handles(), 15)


@case
def pool_by_annotation(lab, cluster):
    """cni.projectcalico.org/ipv4pools: the pod gets its address from the pool that it names."""
    node = cluster.nodes[0]
    cluster.api.create(crd("IPPool", "special", {"cidr": "10.99.0.0/24", "blockSize": 28,
                                                 "nodeSelector": "!all()"}))
    time.sleep(1.0)
    pod = KubePod(cluster, node, "special", annotations={
        "cni.projectcalico.org/ipv4pools": '["special"]'})
    pod.add()
    expect(pod.address(4).startswith("10.99.0."), pod.address(4))
    plain = KubePod(cluster, node, "plain")
    plain.add()
    expect(plain.address(4).startswith("10.244."), plain.address(4))
    bad = KubePod(cluster, node, "bad", annotations={
        "cni.projectcalico.org/ipv4pools": '["nowhere"]'})
    code, out = bad.cni("ADD", check=False)
    expect(code != 0 and "nowhere" in out["msg"] + out.get("details", ""), str(out))
    for p in (pod, plain, bad):
        p.remove()


@case
def pods_at_once(lab, cluster):
    """110 pods at once on one node: every one gets its own address, more blocks are claimed."""
    node = cluster.nodes[1]
    pods = [KubePod(cluster, node, f"burst{i}") for i in range(110)]
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda p: p.add(), pods))
    print(f"        110 ADDs, 16 at a time: {time.monotonic() - start:.2f} s", flush=True)
    for fam in (4, 6):
        addresses = [p.address(fam) for p in pods]
        expect_eq(len(set(addresses)), 110, f"IPv{fam} addresses")
    settled(cluster, node)
    expect_eq(len(cluster.allocations("n2")), 220, "allocations in the API")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda p: p.remove(), pods))
    wait_for("all of it to be free in the API", lambda: not cluster.allocations("n2"), 30)
    wait_for("the handles to go", lambda: not cluster.handles(), 90)
    for p in pods:
        lab.del_ns(p.ns)


@case
@in_tree
def api_away(lab, cluster):
    """The API refuses everybody: pods come and go; at a restart too; it catches up afterwards."""
    node = cluster.nodes[0]
    kept = KubePod(cluster, node, "kept")
    kept.add()
    away = [KubePod(cluster, node, f"away{i}") for i in range(3)]
    time.sleep(1.0)
    cluster.api.frontend(0, "refuse")
    try:
        away[0].add()
        wait_for("status to name it", lambda: any("10.50.0.1" in e for e in node.ctl(
            "status")["datastore"]["errors"]), 30)
        node.stop()
        node.start(wait=False)
        wait_for("nodectl to answer", lambda: node.ctl("status")["node"] == "n1", 15)
        wait_for("an ADD without the API", lambda: away[1].cni("ADD", check=False)[0] == 0, 15)
        node.wait_peers(1)
        expect(ping(away[1], "10.50.0.12"), "the rest of the fabric is not reached")
        kept.delete()
        expect(not node.ctl("status")["ready"], "ready without the API")
    finally:
        cluster.api.frontend(0, "ok")
    node.wait_ready(60)
    wait_for("four addresses in use", lambda: sum(
        b["used"] for b in node.ctl("status")["ipam"]["blocks"]) == 4, 10)
    settled(cluster, node)
    for p in away[:2]:
        p.delete()
    for p in [kept] + away:
        cluster.api.delete("pods", p.name, p.namespace)
    wait_for("all of it to be free in the API", lambda: not cluster.allocations("n1"), 30)


@case
def reboot(lab, cluster):
    """The machine starts anew (another boot_id): the API's blocks are free of the pods of before at once."""
    node = cluster.nodes[0]
    pods = [KubePod(cluster, node, f"boot{i}") for i in range(3)]
    for pod in pods:
        pod.add()
    settled(cluster, node)
    node.stop()
    for link in lab.ip_json("n1", "link"):
        if link["ifname"].startswith("cali"):
            lab.ip("n1", "link", "del", link["ifname"])
    boot_id = lab.write("boot_id", "11111111-2222-3333-4444-555555555555\n")
    node.start(under=["unshare", "-m", "sh", "-c",
                      f'mount --bind {boot_id} /proc/sys/kernel/random/boot_id && exec "$@"', "sh"])
    wait_for("the addresses of before to be free in the API",
             lambda: not cluster.allocations("n1"), 20)
    after = KubePod(cluster, node, "after-boot")
    after.add()
    expect(after.address(4) not in [p.address(4) for p in pods], "an address without cool-down")
    after.remove()
    for pod in pods:
        pod.remove()
    node.stop()
    node.start()


@case
@in_tree
def killed_while_claiming(lab, cluster):
    """felix killed while the API commits a claim: it goes on from what is there, no block is lost."""
    node = cluster.nodes[0]
    before = set(cluster.blocks("n1"))
    cluster.api.create(crd("IPPool", "slow", {"cidr": "10.98.0.0/24", "blockSize": 27}))
    cluster.api.fault({"match": {"method": "POST", "resource": "ipamblocks"}, "times": 1,
                       "do": "delay", "ms": 1500, "where": "answer"})
    time.sleep(1.0)
    pod = KubePod(cluster, node, "slow", annotations={
        "cni.projectcalico.org/ipv4pools": '["slow"]'})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        job = pool.submit(pod.cni, "ADD", None, None, False)
        time.sleep(0.7)
        os.kill(node.daemon_pid("felix"), signal.SIGKILL)
        job.result()
    node.wait_ready(30)
    wait_for("an ADD", lambda: pod.cni("ADD", check=False)[0] == 0, 30)
    mine = set(cluster.blocks("n1")) - before
    # The ADD that waits again may claim before what was under way has been read.
    expect(1 <= len([c for c in mine if c.startswith("10.98.")]) <= 2, f"blocks of the pool: {mine}")
    wait_for("every affinity to be confirmed", lambda: {
        a["spec"]["state"] for a in cluster.api.list("blockaffinities")
        if a["spec"]["node"] == "n1"} == {"confirmed"}, 15)
    pod.remove()
    cluster.api.delete("ippools", "slow")


@case
def calico_nodes_in_the_cluster(lab, cluster):
    """strictAffinity off and a Calico node there: the API's block shows an address before ADD answers."""
    node = cluster.nodes[0]
    cluster.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {
        "name": "calico1", "annotations": {"projectcalico.org/IPv4Address": "10.50.0.99/24"}},
        "spec": {}})
    time.sleep(1.0)
    pod = KubePod(cluster, node, "mixed")
    pod.add()
    for fam in (4, 6):
        expect(holder(cluster, pod.address(fam)), f"{pod.address(fam)} is not in the API yet")
    # A Calico node borrows the next address that this node would give.
    cidr = next(c for c in cluster.blocks("n1") if c.startswith("10.244."))
    name = cidr.replace(".", "-").replace("/", "-")
    block = cluster.api.get("ipamblocks", name)
    spec = block["spec"]
    taken = spec["unallocated"].pop(0)
    spec["attributes"].append({"handle_id": "k8s-pod-network.borrowed", "secondary": {
        "pod": "b", "namespace": "default", "node": "calico1"}})
    spec["allocations"][taken] = len(spec["attributes"]) - 1
    spec["sequenceNumber"] += 1
    cluster.api.update(block)
    next_one = KubePod(cluster, node, "mixed2")
    next_one.add()
    expect(ordinal(cidr, next_one.address(4)) != taken, "a borrowed address was given again")
    expect_eq(cluster.allocations()[cidr, taken], "k8s-pod-network.borrowed", "the borrower")
    pod.remove()
    next_one.remove()
    cluster.api.delete("nodes", "calico1")
    block = cluster.api.get("ipamblocks", name)
    spec = block["spec"]
    expect(spec["allocations"][taken] is not None, "the borrowed address was freed")
    # Calico gives it back.
    gone = spec["allocations"][taken]
    spec["allocations"] = [None if a == gone else a - (a > gone) if a is not None else None
                           for a in spec["allocations"]]
    del spec["attributes"][gone]
    spec["unallocated"].append(taken)
    spec["sequenceNumber"] += 1
    cluster.api.update(block)


@case
def check_and_release(lab, cluster):
    """`nodectl ipam check` names a leak and an orphan handle; `release` mends them."""
    node = cluster.nodes[1]
    cidr = next(c for c in cluster.blocks("n2") if c.startswith("10.244."))
    block = cluster.api.get("ipamblocks", cidr.replace(".", "-").replace("/", "-"))
    spec = block["spec"]
    taken = spec["unallocated"].pop()
    spec["attributes"].append({"handle_id": "selvage.gone", "secondary": {
        "pod": "gone", "namespace": "default", "node": "n2"}})
    spec["allocations"][taken] = len(spec["attributes"]) - 1
    cluster.api.update(block)
    cluster.api.create(crd("IPAMHandle", "selvage.gone", {
        "handleID": "selvage.gone", "block": {cidr: 1}, "deleted": False}))
    cluster.api.create(crd("IPAMHandle", "selvage.orphan", {
        "handleID": "selvage.orphan", "block": {cidr: 1}, "deleted": False}))
    found = node.ctl("ipam", "check")
    address = str(ipaddress.ip_network(cidr)[taken])
    expect(any(address in f["object"] + f["text"] for f in found), str(found))
    expect(any("selvage.orphan" in f["object"] for f in found), str(found))
    node.ctl("ipam", "release")
    wait_for("the address to be free", lambda: holder(cluster, address) is None, 15)
    wait_for("the orphan to go", lambda: "selvage.orphan" not in cluster.handles(), 15)

    def clean():
        # An empty block of a pool that is gone is given back later.
        left = [f for f in node.ctl("ipam", "check") if f["kind"] != "block-outside-pools"]
        if left:
            raise ValueError(left)
        return True
    wait_for("nothing to be wrong", clean, 20)


@case
def show_by_node(lab, cluster):
    """`nodectl ipam show`: every node's blocks, and the share of each pool that is claimed."""
    shown = cluster.nodes[0].ctl("ipam", "show")
    nodes = {n["node"]: n["blocks"] for n in shown["nodes"]}
    for name in ("n1", "n2"):
        expect_eq(nodes.get(name), len(cluster.blocks(name)), f"blocks of {name}")
    pool = next(p for p in shown["pools"] if p["name"] == "pods-v4")
    expect(pool["claimed"] >= 128 and not pool["endsSoon"], str(pool))


@case
def token_rotates(lab, cluster):
    """A tokenFile: the token is revoked, another is in the file; the node goes on."""
    node = cluster.add_node("n3", 3, auth="tokenFile")
    cluster.nodes.append(node)
    node.start()
    cluster.wait_blocks("n3", 2)
    path = node.resources + ".token"
    with open(path) as f:
        old = f.read().strip()
    new = cluster.api.token("selvage:node:n3", ["selvage:nodes"])
    with open(path + ".new", "w") as f:
        f.write(new)
    os.rename(path + ".new", path)
    cluster.api.revoke(old)
    if cluster.api.in_tree:  # a real server's watches go on until their time is over
        cluster.api.close_connections({"user": "selvage:node:n3"})
    cluster.api.create(crd("IPPool", "after", {"cidr": "10.97.0.0/24", "blockSize": 28}))
    pod = KubePod(cluster, node, "after", annotations={
        "cni.projectcalico.org/ipv4pools": '["after"]'})
    wait_for("a pod from the new pool", lambda: pod.cni("ADD", check=False)[0] == 0, 40)
    pod.remove()
    cluster.api.delete("ippools", "after")


@case
def node_object_gone(lab, cluster):
    """The Node object goes: nothing more is given, and status says so; registered again, it goes on."""
    node = cluster.nodes[2]
    cluster.api.delete("nodes", "n3")
    wait_for("status to say it", lambda: any("Node object" in r for r in node.ctl(
        "status")["reasons"]), 20)
    cluster.register("n3")
    node.wait_ready(30)
    pod = KubePod(cluster, node, "again")
    pod.add()
    pod.remove()


@case
@in_tree
def wrong_ca(lab, cluster):
    """A certificate of another CA: no connection, and a line that says what is wrong."""
    node = cluster.nodes[2]
    node.stop()
    cluster.api.certs("other-ca")
    try:
        node.start(wait=False)
        wait_for("status to say it", lambda: any("CA" in e or "certificate" in e for e in node.ctl(
            "status")["datastore"]["errors"]), 20)
        expect(not node.ctl("status")["datastore"]["synced"], "synced over a wrong CA")
    finally:
        cluster.api.certs("good")
    node.wait_ready(60)


@case
def metrics(lab, cluster):
    """/metrics, /readyz and /healthz answer, and tell the blocks."""
    node = cluster.nodes[0]

    def get(path):
        return lab.exec("n1", "/usr/bin/python3", "-c",
                        "import sys, urllib.request as u\n"
                        f"sys.stdout.write(u.urlopen('http://127.0.0.1:9091{path}')"
                        ".read().decode())")[1]
    text = get("/metrics")
    for cidr in cluster.blocks("n1"):
        expect(f'selvage_ipam_block_addresses{{cidr="{cidr}"' in text, text)
    expect("selvage_ready 1" in text, text)
    # Looked at now and then, so it may be older than the newest claim.
    wait_for("the share of the pool", lambda: re.search(
        r'selvage_ipam_pool_claimed\{pool="pods-v4",cidr="10.244.0.0/16"\} [1-9]',
        get("/metrics")), 60)
    expect_eq(get("/readyz"), "ok\n", "/readyz")
    expect_eq(get("/healthz"), "ok\n", "/healthz")


def setup():
    lab = Lab(PREFIX)
    cluster = Cluster(lab, nodes=0, api_class=chosen())
    cluster.pools()
    cluster.api.create(crd("BGPConfiguration", "default", {
        "nodeToNodeMeshEnabled": True, "asNumber": 64512}))
    cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}) \
        if not cluster.api.get("namespaces", "default") else None
    for i in (1, 2):
        cluster.nodes.append(cluster.add_node(f"n{i}", i, lines=[
            "metrics: {listen: 127.0.0.1:9091}"]))
    for node in cluster.nodes:
        node.start()
    return lab, cluster


if __name__ == "__main__":
    try:
        LAB, CLUSTER = setup()
    except LabError as e:
        print(f"the cluster does not come up: {e}\n0 passed, 1 failed")
        sys.exit(1)
    main(LAB, CLUSTER)
