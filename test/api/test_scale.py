#!/usr/bin/python3
"""A thousand nodes claim their blocks at once: no block twice, none leaked, few requests.

    test_scale.py [CASE...] [--nodes=N]      N: of the first case (1000); the others take a part

The nodes are the real client and the real block engine, many in one process (many_nodes.c), over
TLS against the suite's API server, which counts.
"""
import collections
import ipaddress
import json
import os
import resource
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
from nettest import case, expect, expect_eq, main  # noqa: E402
from lab import binary  # noqa: E402
from apitest import Holder  # noqa: E402

NODES = int(next((a.partition("=")[2] for a in sys.argv if a.startswith("--nodes=")), 1000))
ROOM = 1.2           # blocks in the pools, for one of each family that a node needs
MAX_WRITES = 10      # of a node, as the server counts them
# Of a node without trouble: which API, its Node, two lists of affinities, the names of all blocks
# (pages of 500, read once or twice), and three writes for each block.
MAX_REQUESTS = 16
OUTAGE = 5
WRITES = ("create", "update", "patch", "delete")
IPAM = ["ipamblocks", "blockaffinities"]
# felix's nodes wait by chance before they begin: 2 ms for each known node, 2 s at most.
SPREAD = 2.0
BASES = {4: ("10.0.0.0", 26), 6: ("fd00:64::", 122)}


def pools(nodes, room=ROOM, largest=None):
    """CIDRs of both families with exactly room * nodes blocks in each, the largest pool first."""
    found = []
    for base, size in BASES.values():
        at, left = ipaddress.ip_address(base), round(nodes * room)
        while left:
            bits = left.bit_length() - 1 if largest is None else \
                min(left.bit_length() - 1, largest)
            found.append((ipaddress.ip_network((at, size - bits)), size))
            at, left = found[-1][0].broadcast_address + 1, left - (1 << bits)
    return found


class Swarm:
    """Node objects, pools and tokens in a server that has just been started anew."""

    def __init__(self, lab, nodes, ranks=True, **how):
        self.lab, self.api, self.n, self.ranks = lab, lab.api, nodes, ranks
        self.api.close()
        self.api.start()
        self.pools = pools(nodes, **how)
        self.names = [f"node-{i}" for i in range(1, nodes + 1)]
        self.api.load({"apiVersion": "v1", "kind": "Node", "metadata": {"name": n}}
                      for n in self.names)
        self.api.load({"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool",
                       "metadata": {"name": f"pool-{i}"},
                       "spec": {"cidr": str(cidr), "blockSize": size}}
                      for i, (cidr, size) in enumerate(self.pools))
        self.file = os.path.join(lab.folder, "nodes")
        with open(self.file, "w", encoding="utf-8") as f:
            for name in self.names:
                f.write(f"{name} {self.api.token('selvage:node:' + name, ['selvage:nodes'])}\n")
        self.api.reset()
        self.report = None

    def argv(self, *more):
        return [binary("test/api/many_nodes"), f"server={self.api.url}", f"ca={self.api.ca}",
                f"nodes={self.file}", f"rank={'yes' if self.ranks else 'no'}",
                *(f"pool={cidr}/{size}" for cidr, size in self.pools), *more]

    def run(self, *more, timeout=240):
        start = time.monotonic()
        p = subprocess.run(self.argv(*more), capture_output=True, text=True, timeout=timeout,
                           check=False)
        if p.returncode or not p.stdout:
            raise AssertionError(f"many_nodes ended with {p.returncode}: {p.stdout}\n"
                                 + "\n".join(p.stderr.splitlines()[-15:]))
        self.report = json.loads(p.stdout)
        self.report["s"] = time.monotonic() - start
        self.report["stderr"] = p.stderr
        return self.report

    # ---- what the API shows ----

    def owned(self):
        """Blocks by node; and everything that must hold of blocks and affinities at the end."""
        blocks = {b["spec"]["cidr"]: b["spec"] for b in self.api.dump("ipamblocks")}
        owner, by_node = {}, collections.defaultdict(list)
        for a in self.api.dump("blockaffinities"):
            spec = a["spec"]
            expect_eq(spec["state"], "confirmed", f"state of {a['metadata']['name']}")
            expect(spec["cidr"] not in owner, f"{spec['cidr']} has two affinities")
            owner[spec["cidr"]] = spec["node"]
        for cidr, spec in blocks.items():
            expect(cidr in owner, f"block {cidr} of {spec.get('affinity')} leaked: no affinity")
            expect_eq(spec["affinity"], f"host:{owner[cidr]}", f"affinity of block {cidr}")
            by_node[owner[cidr]].append(ipaddress.ip_network(cidr))
        expect_eq(set(owner), set(blocks), "affinities and blocks")
        for fam in (4, 6):
            nets = sorted(n for v in by_node.values() for n in v if n.version == fam)
            for a, b in zip(nets, nets[1:]):
                expect(not a.overlaps(b), f"{a} overlaps {b}")
            for n in nets:
                expect(any(n.subnet_of(p) for p, _ in self.pools if p.version == fam),
                       f"{n} lies outside the pools")
        return by_node

    def check(self):
        """Every node has one block of each family, and no more; nobody saw anything wrong."""
        r = self.report
        expect_eq((r["ready"], r["doubles"], r["problems"]), (self.n, 0, 0),
                  f"nodes with blocks, blocks of two nodes, problems ({r['stderr'][-500:]})")
        by_node = self.owned()
        for name in self.names:
            expect_eq(sorted(n.version for n in by_node[name]), [4, 6], f"blocks of {name}")
        expect_eq(set(by_node), set(self.names), "owners")
        expect_eq(self.api.dump("ipamhandles"), [], "handles")

    def writes(self, counts):
        """How many writes each node sent."""
        found = collections.Counter()
        for key, n in counts["byKey"].items():
            verb, _, user = key.split()[:3]
            if verb in WRITES:
                found[user] += n
        return found

    def tell(self, counts, what):
        r, writes = self.report, self.writes(counts)
        print(f"        {what}: {self.n} nodes ready in {r['s']:.1f} s (p50 {r['p50'] / 1000:.1f},"
              f" p99 {r['p99'] / 1000:.1f}); requests a node {counts['requests'] / self.n:.1f}, "
              f"writes a node {sum(writes.values()) / self.n:.2f}, at most {max(writes.values())};"
              f" conflicts {r['conflicts']}; client {r['cpu']:.1f} s of CPU, "
              f"{r['kib'] / 1024:.0f} MiB", flush=True)
        print("        requests in each second: "
              + " ".join(str(n) for n in per_second(counts)), flush=True)
        return writes


def part(share):
    """Of a thousand: 250 or 125, for which the largest pool has room as 1,024 blocks for 1,000."""
    return max(10, round(NODES * share))


def per_second(counts):
    by = {int(s): n for s, n in counts["perSecond"]}
    return [by.get(s, 0) for s in range(min(by), max(by) + 1)]


@case
def at_once(lab):
    """All at once, dual stack, room for 1.2 times as many: no block twice, none leaked, few writes."""
    swarm = Swarm(lab, NODES)
    swarm.run()
    counts = swarm.api.counts()
    writes = swarm.tell(counts, "ranks known")
    swarm.check()
    expect(max(writes.values()) <= MAX_WRITES, f"{max(writes.values())} writes of one node")
    expect(counts["requests"] <= MAX_REQUESTS * NODES, f"{counts['requests']} requests")
    # Even a server that answers at once sees them spread over the wait before the start.
    bound = 1.25 * MAX_REQUESTS * NODES / min(SPREAD, 0.002 * NODES)
    print(f"        at most {max(per_second(counts))} requests in a second; bound {bound:.0f}")
    expect(max(per_second(counts)) <= bound, "requests in a second")


@case
def no_ranks(lab):
    """Nodes that know none of the others begin at their names' hashes: they collide, and get by."""
    swarm = Swarm(lab, part(0.25), ranks=False)
    swarm.run()
    swarm.tell(swarm.api.counts(), "ranks unknown")
    swarm.check()


@case
def small_pools(lab):
    """Pools that are each smaller than the number of nodes."""
    swarm = Swarm(lab, part(0.1), largest=5)
    swarm.run()
    swarm.tell(swarm.api.counts(), f"{len(swarm.pools) // 2} pools a family")
    swarm.check()


@case
def busy_and_lossy(lab):
    """429 above a rate, answers of writes lost: no block twice, none leaked, few writes done."""
    swarm = Swarm(lab, part(0.25))
    swarm.api.fault(match={"resource": IPAM}, do="limit", qps=max(20, 2 * swarm.n))
    for i, how in enumerate(("close", "abort", "reset")):
        swarm.api.fault(match={"resource": IPAM, "method": ["POST", "PUT"]}, probability=0.03,
                        seed=i, do="lose", how=how)
    swarm.run()
    counts = swarm.api.counts()
    swarm.tell(counts, f"429 above {max(20, 2 * swarm.n)}/s, 9 % of the writes' answers lost")
    busy = counts["byCode"].get("429", 0)
    hits = [r["hits"] for r in swarm.api.faults()]
    print(f"        {busy} answers 429, {sum(hits[1:])} lost")
    swarm.check()
    expect(busy and all(hits), f"the faults did not act: {hits}")
    done = collections.Counter(r["user"] for r in swarm.api.log(100000)
                               if r["verb"] in WRITES and r["code"] < 300)
    # A lost answer to a block's creation costs a write more, and that may be lost again.
    many = [n for n in done.values() if n > MAX_WRITES]
    expect(len(many) <= swarm.n / 50, f"writes done by single nodes: {many}")
    # Retry-After is a second: no node comes more than once in it with each of its families.
    expect(busy <= 2 * swarm.n * len(per_second(counts)), f"{busy} answers 429")


@case
def unavailable(lab):
    """503 for a while: the nodes back off, so that requests in a second fall as 1/t."""
    swarm = Swarm(lab, part(0.125))
    swarm.api.fault(match={"resource": IPAM}, seconds=OUTAGE, do="status", code=503)
    swarm.run("timeout=90")
    counts = swarm.api.counts()
    writes = swarm.tell(counts, f"503 for {OUTAGE} s")
    swarm.check()
    expect(max(writes.values()) <= MAX_WRITES, f"{max(writes.values())} writes of one node")
    # With full jitter between 0 and 100 ms * 2^k, a node has failed log2(t / 50 ms) times after
    # t: 1.44 / t requests a second. Twice that must hold in each second.
    first, last = {}, 0
    for r in swarm.api.log(100000):
        if r["code"] == 503:
            first.setdefault(r["user"], r["time"])
            last = r["time"]
    start = statistics.median(first.values())
    for s, n in counts["perSecond"]:
        t = int(s) - start
        if t >= 1.5 and int(s) + 1 <= last:
            expect(n <= 2 * 1.44 * swarm.n / t, f"{n} requests {t:.0f} s after the start")


@case
def killed(lab):
    """All killed half way through, and started again: what was begun is ended, nothing leaks."""
    swarm = Swarm(lab, part(0.25))
    p = subprocess.Popen(swarm.argv(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    swarm.api.wait(lambda c: c["byVerbResource"].get("create ipamblocks", 0) > swarm.n, "half", 60)
    p.kill()
    p.wait()
    states = collections.Counter(a["spec"]["state"] for a in swarm.api.dump("blockaffinities"))
    print(f"        killed with {dict(states)} affinities")
    swarm.run()
    swarm.tell(swarm.api.counts(), "killed and started again")
    swarm.check()


if __name__ == "__main__":
    # Thousands of connections, here and in the server, which inherits it.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    main(Holder())
