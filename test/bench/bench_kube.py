"""The benchmarks of the Kubernetes store; bench.py runs them.

Nodes of the lab's cluster (test/lab/cluster.py) over TLS against the suite's API server, beside a
node of the directory store on the same wire.
"""
import concurrent.futures
import ctypes
import json
import os
import signal
import statistics
import subprocess
import threading
import time
import uuid

from cluster import Cluster, crd
from lab import binary, wait_for
from nodes import Node, node_doc

CONTROL_PAUSE = 0.002


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


class Beside:
    """The cluster, and the directory node d1 on its wire."""

    def __init__(self, lab):
        self.lab = lab
        self.cluster = Cluster(lab, nodes=0)
        self.api = self.cluster.api
        self.cluster.pools()
        self.api.create(crd("BGPConfiguration", "default", {"nodeToNodeMeshEnabled": True,
                                                            "asNumber": 64512}))
        self.api.load([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}])
        self.kube = self.cluster.add_node("n1", 1)
        self.kube.start()
        self.cluster.wait_blocks("n1", 2)

    def directory(self):
        """Its one block a family has room for everything that is measured."""
        lab, name = self.lab, "d1"
        if getattr(self, "dir_node", None):
            return self.dir_node
        lab.add_ns(name)
        addresses = ["10.50.0.100/24", "fd00:50::100/64"]
        lab.link(name, "eth0", "api", name, addresses)
        lab.ip("api", "link", "set", name, "master", "br0")
        folder = lab.mkdir("resources-d1")
        lab.write("resources-d1/all.yaml", "---\n".join([
            node_doc(name),
            "apiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata: {name: default}\n"
            "spec: {nodeToNodeMeshEnabled: false, asNumber: 64512}\n",
            *(f"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {{name: p{i}}}\n"
              f"spec: {{cidr: \"{cidr}\", blockSize: {size}}}\n" for i, (cidr, size) in
              enumerate((("10.245.0.0/16", 24), ("fd00:10:245::/48", 120))))]))
        self.dir_node = Node(lab, name, None, addresses, folder)
        self.dir_node.start()
        return self.dir_node

    def pods(self, node, names):
        """Their objects, and the node's watch has them."""
        self.api.load({"apiVersion": "v1", "kind": "Pod",
                       "metadata": {"name": n, "namespace": "bench"},
                       "spec": {"nodeName": node.name, "containers": [{"name": "c", "image": "i"}]}}
                      for n in names)
        time.sleep(1.5)

    def forget(self, names):
        for name in names:
            self.api.delete("pods", name, "bench")


class InNetns:
    """This thread, and those that it starts, are in a node's namespace, as a runtime is."""

    def __init__(self, lab, node):
        self.path = f"/run/netns/{lab.space(node.name)}"

    def enter(self, fd):
        if ctypes.CDLL(None, use_errno=True).setns(fd, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def __enter__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        fd = os.open(self.path, os.O_RDONLY)
        self.enter(fd)
        os.close(fd)

    def __exit__(self, *_):
        self.enter(self.home)
        os.close(self.home)


def plugin(node, command, name, space, container):
    """ms of one run of the plugin."""
    conf = {"cniVersion": "1.0.0", "name": "bench", "type": "selvage", "run": node.run_dir,
            "ipam": {"type": "selvage-ipam"}}
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CNI_COMMAND": command,
           "CNI_CONTAINERID": container, "CNI_NETNS": f"/run/netns/{space}", "CNI_IFNAME": "eth0",
           "CNI_PATH": "/nonexistent",
           "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME={name}"}
    start = time.monotonic()
    p = subprocess.run([binary("cni/selvage")], input=json.dumps(conf), capture_output=True,
                       text=True, env=env, check=False)
    took = (time.monotonic() - start) * 1000
    if p.returncode != 0:
        raise SystemExit(f"{command} {name} on {node.name}: {p.stdout} {p.stderr}")
    return took


def of_node(api, node):
    """Requests that the node has sent since the last reset."""
    return sum(n for key, n in api.counts()["byKey"].items()
               if key.split()[2:3] == [f"selvage:node:{node.name}"])


def kube_add(lab, beside, table):
    """ADD in the steady state, the API server frozen meanwhile, in turn with the directory store."""
    api, kube, directory = beside.api, beside.kube, beside.directory()
    rounds, batches, asked = 50, 2, []
    figures = {("kube", "ADD"): [], ("kube", "DEL"): [], ("dir", "ADD"): [], ("dir", "DEL"): []}
    lab.add_ns("bench-pod")
    space = lab.space("bench-pod")
    for batch in range(batches):
        names = [f"add-{batch}-{i}" for i in range(rounds)]
        beside.pods(kube, names)
        # A claim that the last batch made necessary has been made.
        time.sleep(2)
        api.pause()
        try:
            for i, name in enumerate(names):
                for word, node in (("kube", kube), ("dir", directory)):
                    container = uuid.uuid4().hex
                    with InNetns(lab, node):
                        for verb in ("ADD", "DEL"):
                            ms = plugin(node, verb, name, space, container)
                            if i >= 3:
                                figures[word, verb].append(ms)
        finally:
            api.resume()
        beside.forget(names)
    # Counted one by one, when nothing of the one before is still to be written.
    names = [f"counted-{i}" for i in range(10)]
    beside.pods(kube, names)
    for name in names:
        time.sleep(3)
        api.reset()
        container = uuid.uuid4().hex
        with InNetns(lab, kube):
            plugin(kube, "ADD", name, space, container)
            asked.append(of_node(api, kube))
            plugin(kube, "DEL", name, space, container)
    beside.forget(names)
    lab.del_ns("bench-pod")
    rows = [("store", "verb", "p50 ms", "p99 ms", "kubernetes' p50 in ratio",
             "API requests before the answer")]
    for word, text in (("kube", "kubernetes, server frozen"), ("dir", "directory")):
        for verb in ("ADD", "DEL"):
            f, ours = figures[word, verb], figures["kube", verb]
            rows.append((text, verb, f"{statistics.median(f):.2f}", f"{quantile(f, 0.99):.2f}",
                         f"{statistics.median(ours) / statistics.median(f):.3f}",
                         sum(asked) if (word, verb) == ("kube", "ADD") else ""))
    table(f"CNI over the Kubernetes store, {len(figures['kube', 'ADD'])} rounds in turn "
          f"({len(asked)} more to count requests)", rows)


def at_once(lab, node, names):
    """(wall ms, [ms of each ADD]) of as many plugins as there are names, all started together."""
    spaces = []
    for name in names:
        lab.add_ns(name)
        spaces.append(lab.space(name))
    containers = [uuid.uuid4().hex for _ in names]
    with InNetns(lab, node):
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            start = time.monotonic()
            took = list(pool.map(lambda j: plugin(node, "ADD", *j),
                                 zip(names, spaces, containers)))
            wall = (time.monotonic() - start) * 1000
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda j: plugin(node, "DEL", *j), zip(names, spaces, containers)))
    for name in names:
        lab.del_ns(name)
    return wall, took


def kube_burst(lab, beside, table, pods=110):
    """110 pods at once on one node: from a fresh node's one block, so more are claimed meanwhile."""
    node = beside.cluster.add_node("n2", 2)
    node.start()
    beside.cluster.wait_blocks("n2", 2)
    names = [f"burst-{i}" for i in range(pods)]
    beside.pods(node, names)
    beside.api.reset()
    results = [("kubernetes, blocks of 64 claimed as needed", node, *at_once(lab, node, names))]
    blocks = len(beside.cluster.blocks("n2"))
    counts = beside.api.counts()["byKey"]
    writes = sum(n for k, n in counts.items() if "selvage:node:n2" in k and
                 k.split()[0] in ("create", "update", "patch", "delete"))
    beside.forget(names)
    results.append(("directory, one block of 256", beside.directory(),
                    *at_once(lab, beside.directory(), names)))
    node.stop()
    first = results[0][2]
    table(f"{pods} pods at once on one node; kubernetes: {blocks} blocks at the end, {writes} "
          "writes to the API meanwhile", [
              ("store", "all answered ms", "ADD p50 ms", "ADD p99 ms", "kubernetes' in ratio")] + [
              (text, f"{wall:.0f}", f"{statistics.median(ms):.0f}", f"{quantile(ms, 0.99):.0f}",
               f"{first / wall:.3f}") for text, _, wall, ms in results])


class Asking(threading.Thread):
    """Asks felix by its control socket all the time, and bgpd, which is idle, in turn with it: what
    bgpd takes is the machine's share."""

    ASK = {"felix": "endpoints", "bgpd": "peers"}

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.over, self.took = node, False, []
        self.start()

    def run(self):
        while not self.over:
            for who, word in self.ASK.items():
                start = time.monotonic()
                p = subprocess.run([binary("nodectl/nodectl"), "-s", self.node.run_dir, "-j", word],
                                   capture_output=True, check=False)
                self.took.append((who, start, time.monotonic(), p.returncode < 2))
            time.sleep(CONTROL_PAUSE)

    def end(self):
        self.over = True
        self.join()

    def longest(self, who, since):
        """ms of the longest answer of those asked since then."""
        return max(((b - a) * 1000 for w, a, b, ok in self.took if w == who and ok and a >= since),
                   default=float("nan"))

    def first(self, who, since):
        return next((b for w, a, b, ok in self.took if w == who and ok and a >= since), since)


def memory_of(pid):
    """KiB: the proportional set size, and what of it is the process's own (libraries are shared by
    as many as happen to run)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        lines = dict(line.split(":") for line in f.read().splitlines()[1:])
    return int(lines["Pss"].split()[0]), int(lines["Pss_Anon"].split()[0])


def started_at(pid):
    """When a process began, on the monotonic clock; to 10 ms."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        ticks = int(f.read().rsplit(")", 1)[1].split()[19])
    off = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return ticks / os.sysconf("SC_CLK_TCK") - off


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def restart(beside):
    """felix ends and noded starts it anew: from its start to ready, and what that took."""
    node, api = beside.kube, beside.api
    old = node.daemon_pid("felix")
    api.reset()
    asking = Asking(node)
    try:
        end = time.monotonic()
        os.kill(old, signal.SIGTERM)
        new = wait_for("a new felix", lambda: node.daemon_pid("felix") not in (old, None, 0) and
                       node.daemon_pid("felix"), 30, 0.01)
        wait_for("felix to be ready", lambda: state(node, old), 120, 0.005)
        took = time.monotonic() - started_at(new)
        time.sleep(5)
    finally:
        asking.end()
    counts = api.counts()
    mine = sum(n for k, n in counts["byKey"].items() if "selvage:node:n1" in k)
    answers = asking.first("felix", end)
    pss, anon = memory_of(new)
    return {"s": took, "bytes": counts["bytes"], "requests": mine, "pss": pss, "anon": anon,
            "cpu": cpu_of(new), "felix": asking.longest("felix", answers),
            "bgpd": asking.longest("bgpd", answers)}


def state(node, old):
    s = node.ctl("status")
    felix = next(d for d in s["daemons"] if d["name"] == "felix")
    return felix["pid"] != old and s["datastore"]["synced"] and \
        all("no BGP peer is established" in r for r in s["reasons"])


POLICY = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
          "metadata": {"name": "one", "namespace": "bench"},
          "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}


def kube_restart(lab, beside, table, pods=10000, own=100):
    """felix starts anew with no and with many pods in the API, without and with a policy."""
    api, rows = beside.api, []

    def measure(what, pods_there, policy):
        if policy:
            api.create(POLICY)
        # What the watches bring now is not in the way.
        time.sleep(10 if policy and pods_there else 3)
        r = restart(beside)
        if not pods_there:
            empty[policy] = r["anon"]
        rows.append((what, f"{r['s']:.2f}", f"{r['cpu']:.2f}", r["requests"],
                     f"{r['bytes'] / 1024:.0f}", r["pss"], r["anon"],
                     f"{r['anon'] - empty[policy]:+d}", f"{r['felix']:.1f}", f"{r['bgpd']:.1f}"))
        if policy:
            api.delete("networkpolicies", "one", "bench")

    empty = {}
    measure("no pods, no policy", False, False)
    measure("no pods, one NetworkPolicy", False, True)
    api.generate("namespaces", 20)
    api.generate("pods", pods - own, nodes=99, first=own)
    api.generate("pods", own, nodes=1, node_prefix="n")
    measure(f"{pods} pods, no policy", True, False)
    measure(f"{pods} pods, one NetworkPolicy", True, True)
    table(f"felix starts anew; {own} of the pods are this node's; from the start of its process", [
        ("API holds", "ready s", "CPU s", "requests", "KiB read", "PSS KiB", "own KiB",
         "for the pods", "longest answer ms", "of idle bgpd ms"), *rows])


BENCHES = {"kube-cni": kube_add, "kube-burst": kube_burst, "kube-restart": kube_restart}


def run(lab, names, table):
    beside = Beside(lab)
    try:
        for name in names:
            BENCHES[name](lab, beside, table)
    finally:
        beside.cluster.close()
