#!/usr/bin/python3
"""Whole nodes over the Kubernetes store, and what goes wrong around them: several addresses of the
API, lost replies, killed daemons, twins, pools and annotations of every kind."""
import concurrent.futures
import functools
import ipaddress
import json
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
import nettest
from nettest import expect, expect_eq, main
from lab import TOP, Lab, LabError, wait_for
from cluster import Cluster, crd
from cluster import KubePod as ClusterPod

PREFIX = "slvmor"
CALICO = "projectcalico.org"
SERVERS = ["https://10.50.0.1:6443", "https://10.50.0.1:6444"]
AGAIN, EXHAUSTED, TAKEN, OUTSIDE, CONFIG = 11, 100, 101, 102, 7


class KubePod(ClusterPod):
    """Remembered, so that a case that fails leaves nothing to those after it."""
    made = []

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        KubePod.made.append(self)


def case(fn):
    @functools.wraps(fn)
    def tidied(lab, cluster):
        try:
            fn(lab, cluster)
        except BaseException:
            cluster.api.unfault()
            for front in (0, 1):
                cluster.api.frontend(front, "ok")
            for p in {p.ns: p for p in KubePod.made if p.space in lab.spaces}.values():
                p.cni("DEL", check=False)
                p.api.delete("pods", p.name, p.namespace)
                lab.del_ns(p.ns)
            raise
        finally:
            KubePod.made = []
    return nettest.case(tidied)


def settle(what, fn, timeout):
    """Waits until fn() returns nothing; else LabError with what it returned last."""
    end = time.monotonic() + timeout
    while True:
        left = fn()
        if not left:
            return
        if time.monotonic() > end:
            raise LabError(f"waited {timeout} s for {what}; last seen: {left}")
        time.sleep(0.05)


def note(**values):
    """Annotations of a pod or namespace; lists as JSON."""
    return {f"cni.{CALICO}/{k}": v if isinstance(v, str) else json.dumps(v)
            for k, v in values.items()}


def in_api(cluster, node=None):
    """{address: handle} of all allocations in the API."""
    return {str(ipaddress.ip_network(cidr)[i]): handle
            for (cidr, i), handle in cluster.allocations(node).items()}


def own(pods):
    """The addresses of pods; each must be one pod's only."""
    every = [ip["address"].split("/")[0] for p in pods for ip in p.result["ips"]]
    expect_eq(sorted(every), sorted(set(every)), "addresses given twice")
    return set(every)


def agree(cluster, node, pods, timeout=40, release=False):
    """The API's blocks come to show exactly the pods' addresses, and nodectl finds nothing wrong.

    release: handles of nobody, which the collector takes later, are released first."""
    want = own(pods)

    def differ():
        have = set(in_api(cluster, node.name))
        return have != want and f"only in the API {have - want}, only here {want - have}"
    start = time.monotonic()
    settle(f"the API to show what {node.name} has given", differ, timeout)
    def findings():
        # Pools and nodes may go while they have blocks: that is the other cases' doing.
        return [f for f in node.ctl("ipam", "check")
                if f["kind"] not in ("block-outside-pools", "node-gone")]
    if release:
        left = [f for f in findings() if f["kind"] != "lease-not-in-block"]
        expect_eq([f for f in left if f["kind"] != "handle-unreferenced"], [], "findings")
        print(f"        {len(left)} handles of nobody to be released", flush=True)
        node.ctl("ipam", "release")
    settle(f"ipam check on {node.name}", findings, timeout)
    shown = in_api(cluster, node.name).values()
    for p in pods:
        expect(any(p.container in h for h in shown), f"{p.name}'s container is in no handle")
    used = sum(b["used"] for b in node.ctl("status")["ipam"]["blocks"])
    expect_eq(used, len(want), f"addresses in use on {node.name}")
    states = {a["spec"]["state"] for a in cluster.api.list("blockaffinities")}
    expect_eq(states, {"confirmed"}, "states of the affinities")
    return time.monotonic() - start


def no_overlap(cluster):
    nets = sorted((ipaddress.ip_network(c) for c in cluster.blocks()),
                  key=lambda n: (n.version, n))
    for a, b in zip(nets, nets[1:]):
        expect(a.version != b.version or not a.overlaps(b), f"blocks {a} and {b} overlap")


def refused(pod, code, *words):
    """ADD fails with this code and these words in it; then DEL, as the runtime does."""
    got, out = pod.cni("ADD", check=False)
    text = f"{out.get('msg')} {out.get('details', '')}"
    expect(got != 0 and out["code"] == code, f"{pod.name}: {out}, want code {code}")
    for word in words:
        expect(word in text, f"{pod.name}: {text!r} does not say {word!r}")
    pod.delete()
    return text


def done(*pods):
    for p in pods:
        p.remove()
        p.lab.del_ns(p.ns)


def pool(cluster, name, cidr, size, nodes="!all()", **spec):
    cluster.api.create(crd("IPPool", name, {"cidr": cidr, "blockSize": size,
                                            "nodeSelector": nodes, **spec}))


def ipam_config(cluster, strict=False, blocks=100):
    """The cases leave blocks behind, which go minutes later: more of them than usual may be."""
    cluster.api.apply(crd("IPAMConfig", "default", {
        "strictAffinity": strict, "autoAllocateBlocks": True, "maxBlocksPerHost": blocks}))


def add_within(pod, seconds=15):
    """ADD until it succeeds, each time with a new container, as kubelet does it."""
    end = time.monotonic() + seconds
    while True:
        code, pod.result = pod.cni("ADD", check=False)
        if code == 0:
            return pod
        if time.monotonic() > end:
            raise LabError(f"ADD of {pod.name}: {pod.result}")
        pod.delete()
        pod.container = os.urandom(32).hex()
        time.sleep(0.1)


class Churn:
    """Pods that come and go, some at a time; the rest stays in .left. No address is two pods'."""

    def __init__(self, cluster, node, count, keep, workers=4, name="c"):
        self.cluster, self.node, self.count, self.keep = cluster, node, count, keep
        self.name, self.left, self.live, self.twice = name, [], {}, []
        self.lock = threading.Lock()
        self.pool = concurrent.futures.ThreadPoolExecutor(workers)
        self.jobs = []

    def start(self):
        self.jobs = [self.pool.submit(self.one, i) for i in range(self.count)]
        return self

    def running(self):
        return any(not j.done() for j in self.jobs)

    def one(self, i):
        pod = KubePod(self.cluster, self.node, f"{self.name}{i}")
        add_within(pod, 60)
        mine = [ip["address"] for ip in pod.result["ips"]]
        with self.lock:
            self.twice += [a for a in mine if a in self.live]
            self.live.update({a: pod.name for a in mine})
        if i % self.keep == 0:
            with self.lock:
                self.left.append(pod)
            return
        time.sleep(0.05)
        with self.lock:
            for a in mine:
                self.live.pop(a, None)
        wait_for(f"a DEL of {pod.name}", lambda: pod.cni("DEL", check=False)[0] == 0, 30)
        pod.api.delete("pods", pod.name)
        pod.lab.del_ns(pod.ns)

    def end(self, timeout=120):
        for j in self.jobs:
            j.result(timeout)
        self.pool.shutdown()
        expect_eq(self.twice, [], "addresses that two pods had at once")
        return self.left


LATE = []


@case
def definitions_missing(lab, cluster):
    """No CRDs at the start: status says to apply crds.yaml, and no address is given."""
    own_lab = Lab("slvmoc")
    late = Cluster(own_lab, nodes=0, calico_v1=False)
    node = late.add_node("n1", 1)
    LATE[:] = [own_lab, late, node, ClusterPod(late, node, "early")]
    node.start(wait=False)
    wait_for("status to say it", lambda: "crds.yaml" in json.dumps(node.ctl("status")), 15)
    print(f"        {node.ctl('status')['datastore']['errors'][:1]}", flush=True)
    code, out = LATE[3].cni("ADD", check=False)
    expect(code != 0 and "IPPool" in out["msg"], f"an address from nowhere: {out}")
    LATE[3].delete()
    # definitions_there, the last case, sees what comes of it: nodes look again each minute.
    late.api.apply_file(os.path.join(TOP, "etc", "kubernetes", "crds.yaml"))
    late.api.not_served = ()
    late.pools()


@case
def failover(lab, cluster):
    """Of two API addresses one refuses, then hangs: pods and blocks go on; refused, watches too."""
    node, api = cluster.nodes[0], cluster.api
    pods, turns = [], ((0, "refuse"), (0, "ok"), (1, "refuse"), (1, "ok"))
    for i, (front, mode) in enumerate(turns):
        api.frontend(front, mode)
        start = time.monotonic()
        pool(cluster, f"fo{i}", f"10.90.{i}.0/24", 28)
        pods.append(KubePod(cluster, node, f"fo{i}", annotations=note(ipv4pools=[f"fo{i}"])))
        add_within(pods[-1], 5)
        expect(pods[-1].address(4).startswith(f"10.90.{i}."), pods[-1].address(4))
        wait_for("the API to show it", lambda: pods[-1].address(4) in in_api(cluster), 5)
        print(f"        address {front} {mode}: a new pool serves and its block is written after "
              f"{time.monotonic() - start:.1f} s", flush=True)
    try:
        for front in (0, 1):
            api.frontend(front, "hang")
            start = time.monotonic()
            pods.append(add_within(KubePod(cluster, node, f"hang{front}"), 30))
            wait_for("the API to show it", lambda: pods[-1].address(4) in in_api(cluster), 45)
            print(f"        address {front} hangs: ADD and its block written after "
                  f"{time.monotonic() - start:.1f} s", flush=True)
            api.frontend(front, "ok")
    finally:
        api.frontend(0, "ok")
        api.frontend(1, "ok")
    wait_for("ready", lambda: node.ctl("status")["ready"], 30)
    done(*pods)
    agree(cluster, node, [])
    for i in range(4):
        api.delete("ippools", f"fo{i}")


@case
def static_addresses(lab, cluster):
    """ipAddrs: the free one of our block is given; a taken one and one that is not ours are not."""
    node, other = cluster.nodes
    block = next(c for c in cluster.blocks("n1") if c.startswith("10.244."))
    theirs = next(c for c in cluster.blocks("n2") if c.startswith("10.244."))
    block6 = next(c for c in cluster.blocks("n1") if c.startswith("fd00:10:244:"))
    want = str(ipaddress.ip_network(block)[40])
    want6 = str(ipaddress.ip_network(block6)[40])
    ask = note(ipAddrs=[want, want6], hwAddr="02:00:00:00:00:2a")
    pod = KubePod(cluster, node, "static", annotations=ask)
    pod.add()
    expect_eq((pod.address(4), pod.address(6)), (want, want6), "addresses")
    link = lab.ip_json(pod.ns, "link", "show", "dev", "eth0")[0]
    expect_eq(link["address"], "02:00:00:00:00:2a", "hwAddr")
    wait_for("the block to show it", lambda: pod.container in in_api(cluster).get(want, ""), 10)
    for name, code, address in (
            ("taken", TAKEN, want), ("theirs", OUTSIDE, str(ipaddress.ip_network(theirs)[40])),
            ("nowhere", OUTSIDE, "192.0.2.1"), ("loop", CONFIG, "127.0.0.1")):
        bad = KubePod(cluster, node, name, annotations=note(ipAddrs=[address]))
        refused(bad, code, address)
        done(bad)
    for i, ann in enumerate((note(ipAddrs="10.244.0.1"), note(hwAddr="01:00:00:00:00:01"),
                             note(ipAddrsNoIpam=[want]))):
        bad = KubePod(cluster, node, f"bad{i}", annotations=ann)
        refused(bad, CONFIG, "annotation")
        done(bad)
    # A pod with a fixed address comes back at once under its name.
    done(pod)
    pod = KubePod(cluster, node, "static", annotations=ask)
    pod.add()
    expect_eq(pod.address(4), want, "the address of before")
    agree(cluster, node, [pod])
    done(pod)


@case
def pools_by_namespace_and_node(lab, cluster):
    """Pools by the namespace's annotation, namespaceSelector and nodeSelector; ipFamilies."""
    api, (one, two) = cluster.api, cluster.nodes
    for name, colour, ann in (("red", "red", note(ipv4pools=["asked"])), ("blue", "blue", {}),
                              ("green", "green", {})):
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "labels": {"color": colour}, "annotations": ann}})
    pool(cluster, "asked", "10.89.0.0/24", 28)
    pool(cluster, "blue", "10.88.0.0/24", 28, "all()", namespaceSelector='color == "blue"')
    pool(cluster, "rack2", "10.87.0.0/24", 28, 'kubernetes.io/hostname == "n2"',
         namespaceSelector='color == "green"')
    for name in ("pods-v4", "pods-v6"):
        api.patch("ippools", name, {"spec": {
            "namespaceSelector": 'color not in {"blue", "green"}'}})
    time.sleep(0.5)
    pods = []

    def given(node, name, families, start, **kw):
        pod = KubePod(cluster, node, name, **kw)
        pod.add()
        expect_eq(sorted(":" in ip["address"] for ip in pod.result["ips"]),
                  [f == 6 for f in families], f"{name}: families")
        if 4 in families:
            expect(pod.address(4).startswith(start), f"{name}: {pod.address(4)}")
        pods.append(pod)
    given(one, "red", (4, 6), "10.89.0.", namespace="red")
    given(one, "blue", (4,), "10.88.0.", namespace="blue")
    given(two, "green2", (4,), "10.87.0.", namespace="green")
    given(one, "plain", (4, 6), "10.244.")
    given(one, "four", (4,), "10.244.", annotations=note(ipFamilies=["IPv4"]))
    given(one, "six", (6,), "", annotations=note(ipFamilies=["IPv6"]))
    # The pod's own word counts more than its namespace's.
    given(one, "red2", (4, 6), "10.244.", namespace="red", annotations=note(ipv4pools=["pods-v4"]))
    bad = KubePod(cluster, one, "green1", namespace="green")
    refused(bad, EXHAUSTED, "nodeSelector", "namespaceSelector")
    done(bad)
    bad = KubePod(cluster, one, "blue6", namespace="blue", annotations=note(ipFamilies=["IPv6"]))
    refused(bad, EXHAUSTED, "IPv6", "pods-v6", "namespaceSelector")
    done(bad)
    # A change of a namespace's labels counts from the next pod on.
    api.patch("namespaces", "blue", {"metadata": {"labels": {"color": "grey"}}})
    time.sleep(0.5)
    given(one, "grey", (4, 6), "10.244.", namespace="blue")
    agree(cluster, one, [p for p in pods if p.node is one])
    agree(cluster, two, [p for p in pods if p.node is two])
    done(*pods)
    for name in ("pods-v4", "pods-v6"):
        api.patch("ippools", name, {"spec": {"namespaceSelector": None}})
    agree(cluster, one, [])
    agree(cluster, two, [])


@case
def both_families_or_none(lab, cluster):
    """The IPv6 pool is used up: ADD fails and names it, and no IPv4 address stays used."""
    node = cluster.nodes[0]
    pool(cluster, "tiny6", "fd00:10:99::/126", 126)
    time.sleep(0.5)
    ann = note(ipv6pools=["tiny6"])
    pods = [KubePod(cluster, node, f"tiny{i}", annotations=ann) for i in range(4)]
    for p in pods:
        p.add()
    agree(cluster, node, pods)
    bad = KubePod(cluster, node, "tiny4", annotations=ann)
    for _ in range(3):
        text = refused(bad, EXHAUSTED, "IPv6")
        bad.container = os.urandom(32).hex()
    print(f"        {text}", flush=True)
    expect("tiny6" in text or "fd00:10:99::/126" in text, f"{text!r} does not name the pool")
    agree(cluster, node, pods)
    done(*pods, bad)
    agree(cluster, node, [])


@case
def used_up(lab, cluster):
    """A pool used up, maxBlocksPerHost reached, addresses reserved: each says what is in the way."""
    api, node = cluster.api, cluster.nodes[0]
    pool(cluster, "small", "10.86.0.0/28", 30)
    pool(cluster, "other", "10.85.0.0/26", 30)
    api.create(crd("IPReservation", "kept", {"reservedCIDRs": ["10.86.0.0/31", "10.86.0.5/32"]}))
    time.sleep(0.5)
    pods = [KubePod(cluster, node, f"small{i}", annotations=note(ipv4pools=["small"]))
            for i in range(14)]
    for p in pods[:13]:
        p.add()
    kept = {"10.86.0.0", "10.86.0.1", "10.86.0.5"}
    expect(not kept & {p.address(4) for p in pods[:13]}, "a reserved address was given")
    text = refused(pods[13], EXHAUSTED, "IPv4")
    print(f"        {text}", flush=True)
    expect("small" in text or "10.86.0.0/28" in text, f"{text!r} does not name the pool")
    agree(cluster, node, pods[:13])
    blocks = sum(c.count(":") == 0 for c in cluster.blocks("n1"))
    ipam_config(cluster, blocks=blocks + 1)
    time.sleep(0.5)
    more = [KubePod(cluster, node, f"other{i}", annotations=note(ipv4pools=["other"]))
            for i in range(5)]
    for p in more[:4]:
        p.add()
    print("        " + refused(more[4], EXHAUSTED, "maxBlocksPerHost"), flush=True)
    ipam_config(cluster)
    time.sleep(1.2)
    more[4].add()
    agree(cluster, node, pods[:13] + more)
    done(*pods, *more)
    api.delete("ipreservations", "kept")


@case
def strict_affinity(lab, cluster):
    """strictAffinity: Calico nodes are there, but no ADD waits for the API."""
    api, node = cluster.api, cluster.nodes[0]
    ipam_config(cluster, strict=True)
    api.create({"apiVersion": "v1", "kind": "Node", "metadata": {
        "name": "calico2", "annotations": {f"{CALICO}/IPv4Address": "10.50.0.98/24"}}, "spec": {}})
    pod = KubePod(cluster, node, "strict")
    time.sleep(1.0)
    api.pause()
    try:
        pod.add()
    finally:
        api.resume()
    print(f"        ADD in {pod.add_ms:.1f} ms with the API frozen", flush=True)
    agree(cluster, node, [pod])
    pool(cluster, "strict", "10.80.0.0/24", 28)
    new = KubePod(cluster, node, "strict2", annotations=note(ipv4pools=["strict"]))
    add_within(new)
    block = next(s for c, s in cluster.blocks("n1").items() if c.startswith("10.80."))
    expect(block["strictAffinity"], "a new block without strictAffinity")
    api.delete("nodes", "calico2")
    ipam_config(cluster)
    done(pod, new)


@case
def several_block_sizes(lab, cluster):
    """A pool made anew with another blockSize while blocks of the old one are there: no overlap."""
    api, pods = cluster.api, []
    for size in (30, 28, 26):
        pool(cluster, "sized", "10.84.0.0/24", size)
        time.sleep(0.7)
        for node in cluster.nodes:
            # More pods than a block of each size has room for.
            new = [KubePod(cluster, node, f"{node.name}s{size}x{i}",
                           annotations=note(ipv4pools=["sized"])) for i in range(18)]
            with concurrent.futures.ThreadPoolExecutor(6) as run:
                list(run.map(add_within, new))
            pods += new
        expect(all(p.address(4).startswith("10.84.0.") for p in pods), "not of the pool")
        no_overlap(cluster)
        own(pods)
        if size != 26:
            api.delete("ippools", "sized")
    expect_eq({c.split("/")[1] for c in cluster.blocks() if c.startswith("10.84.0.")},
              {"28", "26", "30"}, "sizes of the blocks")
    for node in cluster.nodes:
        agree(cluster, node, [p for p in pods if p.node is node])
    done(*pods)
    for node in cluster.nodes:
        agree(cluster, node, [])


@case
def two_daemons_of_one_name(lab, cluster):
    """Two daemons run as n2: one of them stops giving addresses and says so; nothing given twice."""
    two = cluster.nodes[1]
    twin = cluster.add_node("twin", 9, register=False, servers=SERVERS, **{"as": "n2"})
    before = set(cluster.blocks("n2"))
    twin.start(wait=False)

    def stopped():
        return [n for n in (two, twin) if any("another" in r for r in n.ctl("status")["reasons"])]
    wait_for("one to stop", stopped, 20)
    time.sleep(2.0)
    expect_eq(len(stopped()), 1, "daemons that stopped")
    loser, winner = stopped()[0], next(n for n in (two, twin) if n is not stopped()[0])
    print(f"        {loser.name}: {loser.ctl('status')['reasons']}", flush=True)
    lost, won = (KubePod(cluster, n, f"tw-{n.name}", create=False) for n in (loser, winner))
    for p in (lost, won):
        cluster.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": p.name, "namespace": "default"}, "spec": {
            "nodeName": "n2", "containers": [{"name": "c", "image": "i"}]}})
    expect(lost.cni("ADD", check=False)[0] != 0, "an address from the one that has stopped")
    lost.delete()
    add_within(won, 20)
    settle("the API to show it", lambda: in_api(cluster, "n2")
           if set(in_api(cluster, "n2")) != own([won]) else None, 20)
    expect(before <= set(cluster.blocks("n2")), "a block went")
    done(won, lost)
    twin.stop()
    # Ours alone again: a restart is the way out.
    two.stop()
    two.start()
    pod = add_within(KubePod(cluster, two, "tw3"), 30)
    agree(cluster, two, [pod], release=True)
    done(pod)


def disturb(cluster, seed, stop):
    """Another writer in the blocks: each of its writes makes somebody's next one a 409."""
    rng, n = random.Random(seed), 0
    while not stop.is_set():
        block = rng.choice(cluster.api.list("ipamblocks"))
        cluster.api.patch("ipamblocks", block["metadata"]["name"], {
            "metadata": {"annotations": {"elsewhere": str(n)}}})
        n += 1
        time.sleep(0.05)
    return n


@case
def lost_replies(lab, cluster):
    """Answers lost, 409s and 429s during 60 pods: in the end the API shows what is true."""
    node, api = cluster.nodes[0], cluster.api
    kinds = ["ipamblocks", "blockaffinities", "ipamhandles"]
    for i, how in enumerate(("close", "abort", "reset")):
        api.fault({"match": {"verb": ["create", "update", "delete"], "resource": kinds},
                   "probability": 0.08, "seed": 10 + i, "do": "lose", "how": how})
    api.fault({"match": {"verb": ["create", "update", "delete"], "resource": kinds},
               "probability": 0.2, "seed": 20, "times": 2, "do": "lose", "how": "hang"})
    api.fault({"match": {"user": "node:n1", "resource": kinds}, "probability": 0.06, "seed": 21,
               "do": "status", "code": 429, "retryAfter": 1})
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        job = other.submit(disturb, cluster, 5, stop)
        pool(cluster, "lossy", "10.83.0.0/24", 28, "all()")
        churn = Churn(cluster, node, 60, keep=5, name="lost").start()
        left = churn.end()
        time.sleep(3.0)
        stop.set()
        outside = job.result()
    hits = sum(f["hits"] for f in api.faults())
    api.unfault()
    api.delete("ippools", "lossy")
    took = agree(cluster, node, left, 60)
    print(f"        {hits} answers lost or refused, {outside} writes of another; "
          f"true {took:.1f} s after it", flush=True)
    no_overlap(cluster)
    done(*left)
    agree(cluster, node, [])
    wait_for("the handles to go", lambda: not cluster.handles(), 30)


@case
def felix_killed(lab, cluster):
    """felix killed 7 times while pods come and go: API, kernel and status agree afterwards."""
    node, rng = cluster.nodes[1], random.Random(7)
    churn = Churn(cluster, node, 48, keep=4, name="k").start()
    kills = 0
    while kills < 7 and churn.running():
        time.sleep(rng.uniform(0.05, 0.8))
        try:
            os.kill(node.daemon_pid("felix"), signal.SIGKILL)
            kills += 1
        except (LabError, TypeError, ProcessLookupError):
            continue  # it is not up again yet
    left = churn.end()
    node.wait_ready(30)
    found = node.ctl("ipam", "check")
    took = agree(cluster, node, left, 100, release=True)
    print(f"        {kills} kills; {len(found)} findings at first, none after {took:.1f} s",
          flush=True)
    expect(kills >= 5, f"only {kills} kills")
    routes = {r["dst"] for r in lab.ip_json(node.name, "-4", "route", "show")
              if r.get("dev", "").startswith("cali")}
    expect_eq(routes, {p.address(4) for p in left}, "routes to pods")
    done(*left)
    agree(cluster, node, [])


@case
def annotations_of_a_new_pod(lab, cluster):
    """The pod's watch lags: one GET brings its annotations; a pod of the same name is another."""
    api, node = cluster.api, cluster.nodes[0]
    pool(cluster, "first", "10.82.0.0/24", 28)
    pool(cluster, "second", "10.81.0.0/24", 28)
    time.sleep(0.7)
    pod = KubePod(cluster, node, "again", annotations=note(ipv4pools=["first"]))
    pod.add()
    expect(pod.address(4).startswith("10.82."), pod.address(4))
    pod.remove()
    pod.create(note(ipv4pools=["second"]))
    time.sleep(0.3)
    pod.add()
    expect(pod.address(4).startswith("10.81."), pod.address(4))
    pod.delete()
    time.sleep(0.5)
    match = {"verb": "watch", "resource": "pods", "user": "node:n1"}
    api.fault({"match": match, "seconds": 5, "do": "delay", "ms": 4000})
    api.close_connections(match)
    time.sleep(0.2)
    api.reset()
    late = KubePod(cluster, node, "late", annotations=note(ipv4pools=["second"]))
    late.add()
    expect(late.address(4).startswith("10.81."), late.address(4))
    gets = sum(n for k, n in api.counts()["byKey"].items() if k.startswith("get pods "))
    expect_eq(gets, 1, "GETs of the pod")
    # The watch still shows the pod of before, which the UID tells apart.
    api.delete("pods", "again", "default")
    pod.create(note(ipv4pools=["first"]))
    pod.add()
    expect(pod.address(4).startswith("10.82."), pod.address(4))
    pod.delete()
    api.unfault()
    agree(cluster, node, [late])
    done(late, pod)


def learned(node, prefix):
    """The peers from which node knows a route to this prefix; "" its own."""
    rows = [r for r in node.ctl("routes", prefix) if r["prefix"] == prefix]
    return {p["peer"] or "" for r in rows for p in r["paths"]}


@case
def services(lab, cluster):
    """A Local LoadBalancer service through the API: /32 only from the node with a ready endpoint."""
    api, (one, two) = cluster.api, cluster.nodes
    api.patch("bgpconfigurations", "default", {"spec": {
        "serviceClusterIPs": [{"cidr": "10.112.0.0/16"}],
        "serviceLoadBalancerIPs": [{"cidr": "198.51.100.0/24"}]}})
    wait_for("n2 to hear the aggregate", lambda: "mesh/n1" in learned(two, "10.112.0.0/16"), 10)
    api.create({"apiVersion": "v1", "kind": "Service", "metadata": {
        "name": "web", "namespace": "default"}, "spec": {
        "type": "LoadBalancer", "clusterIP": "10.112.0.10", "clusterIPs": ["10.112.0.10"],
        "ipFamilies": ["IPv4"], "externalTrafficPolicy": "Local",
        "ports": [{"port": 80, "protocol": "TCP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}})
    web, given = "10.112.0.10/32", "198.51.100.7/32"

    def ends(*rows):
        api.apply({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {
            "name": "web-1", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
            "ports": [], "endpoints": [{"addresses": [f"10.244.9.{i}"], "nodeName": n,
                                        "conditions": {"ready": ready}}
                                       for i, (n, ready) in enumerate(rows)]})

    def turn(what, rows, at_two, at_one):
        start = time.monotonic()
        ends(*rows)
        wait_for(f"{what}: n2", lambda: learned(two, given) == at_two, 10, 0.005)
        ms = (time.monotonic() - start) * 1000
        wait_for(f"{what}: n1", lambda: learned(one, given) == at_one, 10)
        print(f"        {what}: {ms:.0f} ms until n2 knows", flush=True)
    time.sleep(0.5)
    expect_eq((learned(two, given), learned(one, given)), (set(), set()), "without an endpoint")
    turn("an endpoint on n1", [("n1", True)], {"mesh/n1"}, {""})
    expect_eq(learned(two, web), {"mesh/n1"}, "the cluster IP")
    turn("both", [("n1", True), ("n2", True)], {"", "mesh/n1"}, {"", "mesh/n2"})
    turn("n1 not ready", [("n1", False), ("n2", True)], {""}, {"mesh/n2"})
    turn("none", [("n1", False)], set(), set())
    expect_eq(learned(two, web), set(), "the cluster IP")
    api.delete("services", "web", "default")
    api.patch("bgpconfigurations", "default", {"spec": {"serviceClusterIPs": None,
                                                        "serviceLoadBalancerIPs": None}})
    wait_for("the aggregate to go", lambda: not learned(two, "10.112.0.0/16"), 10)


@case
def mesh_password(lab, cluster):
    """nodeMeshPassword from a Secret through the API: sessions come up with it, a new one heals."""
    api, (one, two) = cluster.api, cluster.nodes

    def secret(value):
        api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {
            "name": "mesh", "namespace": "kube-system"}, "type": "Opaque",
            "stringData": {"key": value}})

    def keyed():
        return "md5" in lab.exec("n1", "ss", "-tniHO", "( dport = :179 or sport = :179 )")[1]
    expect(not keyed(), "TCP-MD5 without a password")
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}) \
        if not api.get("namespaces", "kube-system") else None
    for i, value in enumerate(("first-pass", "second-pass")):
        # "since" is in whole seconds: another session must not begin in the same one.
        time.sleep(1.1)
        before = one.peers()["mesh/n2"]["since"]
        secret(value)
        if not i:
            api.patch("bgpconfigurations", "default", {"spec": {"nodeMeshPassword": {
                "secretKeyRef": {"name": "mesh", "key": "key"}}}})
        start = time.monotonic()
        wait_for("a session with the password", lambda: one.peers()["mesh/n2"]["since"] != before
                 and all(n.peers()[p]["state"] == "Established"
                         for n, p in ((one, "mesh/n2"), (two, "mesh/n1"))), 30)
        expect(keyed(), "no TCP-MD5 on the session")
        print(f"        {value}: {time.monotonic() - start:.1f} s", flush=True)
    for node in (one, two):
        with open(node.log) as f:
            expect("-pass" not in f.read(), "a password in the log")
    api.patch("bgpconfigurations", "default", {"spec": {"nodeMeshPassword": None}})
    wait_for("sessions without", lambda: not keyed() and
             one.peers()["mesh/n2"]["state"] == "Established", 30)


@case
def one_nodes_sessions(lab, cluster):
    """n3's AS number and cluster id change: n3's sessions do, the one of n1 and n2 stays."""
    api, (one, two) = cluster.api, cluster.nodes[:2]
    three = cluster.add_node("n3", 3, servers=SERVERS)
    three.start()
    for n in (one, two, three):
        n.wait_peers(2)
    kept = one.peers()["mesh/n2"]
    api.patch("nodes", "n3", {"metadata": {"annotations": {f"{CALICO}/ASNumber": "64999"}}})
    wait_for("n1 to peer with AS 64999", lambda: [
        p for p in (one.peers()["mesh/n3"], two.peers()["mesh/n3"])
        if p["asn"] == 64999 and p["state"] == "Established"][1:], 30)
    expect_eq(three.ctl("status")["bgp"]["asn"], 64999, "its own AS")
    api.patch("nodes", "n3", {"metadata": {"annotations": {
        f"{CALICO}/RouteReflectorClusterID": "244.0.0.1"}}})
    wait_for("the reflector to leave the mesh", lambda: "mesh/n3" not in one.peers()
             and "mesh/n3" not in two.peers() and not three.peers(), 15)
    api.create(crd("BGPPeer", "reflector", {"nodeSelector": "all()",
                                            "peerSelector": "has(reflector)"}))
    api.patch("nodes", "n3", {"metadata": {"labels": {"reflector": "yes"}}})
    three.wait_peers(2)
    expect_eq(one.peers()["mesh/n2"], {**kept, **{k: one.peers()["mesh/n2"][k] for k in (
        "received", "accepted", "advertised")}}, "the session of n1 and n2")
    api.delete("bgppeers", "reflector")
    three.stop()
    api.delete("nodes", "n3")


@case
def history_and_watches(lab, cluster):
    """History compacted, watches failing, half lines, new UIDs while pods come and go."""
    node, api, rng = cluster.nodes[0], cluster.api, random.Random(3)
    churn = Churn(cluster, node, 60, keep=6, name="h").start()
    mine = {"user": "node:n1"}
    turns, unready = 0, []
    while churn.running() or turns < 12:
        turns += 1
        what = turns % 6
        if what == 0:
            api.compact()
            api.close_connections({**mine, "verb": "watch"}, rng.choice(["abort", "reset"]))
        elif what == 1:
            api.watch_error(mine, rng.choice([410, 500]))
        elif what == 2:
            api.fault({"match": {**mine, "verb": "watch"}, "times": 2, "do": "cut", "n": 1})
            api.close_connections({**mine, "verb": "watch"})
        elif what == 3:
            api.replace("ippools", rng.choice(["pods-v4", "pods-v6"]))
        elif what == 4:
            api.replace("nodes", "n1")
        else:
            api.watch_error({**mine, "resource": "pods"}, 410)
        time.sleep(0.4)
        unready += node.ctl("status")["reasons"]
    left = churn.end()
    api.unfault()
    print(f"        {turns} disturbances; not ready meanwhile: {sorted(set(unready))}", flush=True)
    node.wait_ready(20)
    agree(cluster, node, left, release=True)
    no_overlap(cluster)
    done(*left)
    agree(cluster, node, [])


@case
def definitions_there(lab, cluster):
    """The CRDs that definitions_missing applied are found without a restart."""
    if not LATE:
        definitions_missing.__wrapped__(lab, cluster)
    own_lab, late, node, pod = LATE
    try:
        start = time.monotonic()
        add_within(pod, 75)
        print(f"        an ADD {time.monotonic() - start:.1f} s after the case began", flush=True)
        wait_for("no error", lambda: not node.ctl("status")["datastore"]["errors"], 15)
        agree(late, node, [pod])
    finally:
        own_lab.close()
        late.close()


def setup():
    lab = Lab(PREFIX)
    cluster = Cluster(lab, nodes=0, listen=("10.50.0.1:6443", "10.50.0.1:6444"),
                      crds=[os.path.join(TOP, "etc", "kubernetes", "crds.yaml")])
    cluster.pools()
    ipam_config(cluster)
    cluster.api.create(crd("BGPConfiguration", "default", {
        "nodeToNodeMeshEnabled": True, "asNumber": 64512}))
    cluster.nodes = [cluster.add_node(f"n{i}", i, servers=SERVERS) for i in (1, 2)]
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
