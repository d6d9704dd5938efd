#!/usr/bin/python3
"""One node against each of BIRD, FRR, GoBGP and OpenBGPD: sessions, routes both ways, loss."""
import signal
import time

from nettest import case, expect, expect_eq, main
from lab import Lab, wait_for
from nodes import BGPCONF, POOLS, Node, node_doc, peer_doc
import peers

KINDS = ("bird", "frr", "gobgp", "openbgpd")
# OpenBGPD 7.7 on Linux offers ::1 as its own IPv6 next hop over IPv4, which we refuse; it gets ours.
IPV6_SENDERS = ("bird", "frr", "gobgp")
THEIRS = {4: "198.51.100.0/24", 6: "2001:db8:51::/48"}


class Rack:
    """One node with a link to each of the four peers."""

    def __init__(self, lab):
        self.lab = lab
        resources = lab.mkdir("resources.d")
        lab.add_ns("n1")
        self.peers, docs = {}, []
        for i, kind in enumerate(KINDS, 1):
            lab.add_ns(kind, forward=True)
            lab.link("n1", kind, kind, "n1", [f"10.9.{i}.2/24", f"fd00:9:{i}::2/64"],
                     [f"10.9.{i}.1/24", f"fd00:9:{i}::1/64"])
            docs.append(peer_doc(kind, "n1", f"10.9.{i}.1", 65000 + i))
            self.peers[kind] = peers.KINDS[kind](lab, kind, 65000 + i, f"192.0.2.{i}",
                                                 [(f"10.9.{i}.2", 65100)], self.options(kind, i))
        lab.write("resources.d/pools.yaml", POOLS)
        lab.write("resources.d/bgp.yaml", BGPCONF + "---\n" + "---\n".join(docs))
        lab.write("resources.d/nodes.yaml", node_doc("n1", 65100))
        self.node = Node(lab, "n1", 65100, ["10.9.1.2/24", "fd00:9:1::2/64"], resources)

    def options(self, kind, i):
        if kind == "bird":
            return {"extra": "".join(
                f"protocol static {{ ipv{f}; route {p} blackhole; }}\n"
                for f, p in THEIRS.items())}
        return {f"networks{f}": [p] for f, p in THEIRS.items()}

    def start_peer(self, kind):
        i = KINDS.index(kind) + 1
        self.peers[kind].start()
        if kind == "gobgp":
            self.peers[kind].announce(THEIRS[4], f"10.9.{i}.1")
            self.peers[kind].announce(THEIRS[6], f"fd00:9:{i}::1")

    def gateway(self, kind, fam):
        i = KINDS.index(kind) + 1
        return f"fd00:9:{i}::1" if fam == 6 else f"10.9.{i}.1"

    def linklocal(self, kind):
        """The addresses of the peer's end of the link that both families may name."""
        return [a["local"] for link in self.lab.ip_json(kind, "addr", "show", "dev", "n1")
                for a in link["addr_info"] if a["local"].startswith("fe80:")]

    def mine(self, kind, fam):
        i = KINDS.index(kind) + 1
        return f"fd00:9:{i}::2" if fam == 6 else f"10.9.{i}.2"

    def has_paths(self, kind):
        """Both of the peer's prefixes are usable paths with the right next hop."""
        for fam, prefix in THEIRS.items():
            if fam == 6 and kind not in IPV6_SENDERS:
                continue
            routes = self.node.ctl("routes", prefix)
            hops = {p["peer"]: p["nextHop"] for r in routes for p in r["paths"]}
            if hops.get(kind) not in (self.gateway(kind, fam), *self.linklocal(kind)):
                return False
        return True

    def peer_has_blocks(self, kind):
        """Their view: both of our blocks with our address on that link as the next hop."""
        for fam in (4, 6):
            block = [b["cidr"] for b in self.node.ctl("status")["ipam"]["blocks"]
                     if (":" in b["cidr"]) == (fam == 6)][0]
            if self.mine(kind, fam) not in self.peers[kind].routes(fam).get(block, ()):
                return False
        return True


def established(rack, kind):
    return rack.node.peers()[kind]["state"] == "Established"


def each_session(kind):
    def test(lab, rack):
        rack.start_peer(kind)
        wait_for(f"a session with {kind}", lambda: established(rack, kind), 30)
        wait_for(f"{kind}'s own view", lambda: rack.peers[kind].established(), 10)
        wait_for(f"{kind}'s routes, both families", lambda: rack.has_paths(kind), 15)
        wait_for(f"our blocks at {kind}", lambda: rack.peer_has_blocks(kind), 15)
    test.__name__ = f"{kind}_session_and_routes"
    test.__doc__ = f"{kind}: one session carries routes both ways, next hops are right."
    return test


def each_restart(kind):
    def test(lab, rack):
        peer = rack.peers[kind]
        peer.stop(signal.SIGKILL)
        wait_for(f"{kind} gone", lambda: not established(rack, kind), 20)
        wait_for("its paths withdrawn", lambda: all(
            p["peer"] != kind for prefix in THEIRS.values()
            for r in rack.node.ctl("routes", prefix) for p in r["paths"]), 10)
        rack.start_peer(kind)
        wait_for(f"a session with {kind} again", lambda: established(rack, kind), 40)
        wait_for(f"{kind}'s routes again", lambda: rack.has_paths(kind), 15)
        wait_for(f"our blocks at {kind} again", lambda: rack.peer_has_blocks(kind), 15)
    test.__name__ = f"{kind}_killed_and_back"
    test.__doc__ = f"{kind}: killed, its routes go; back, everything is there again."
    return test


for k in KINDS:
    case(each_session(k))


@case
def ecmp_over_four_vendors(lab, rack):
    """The same prefix from four peers: four next hops in the kernel, both families."""
    for fam, prefix in THEIRS.items():
        # An IPv6 next hop may be the global or the link-local address that the peer sent.
        senders = KINDS if fam == 4 else IPV6_SENDERS
        want = [{rack.gateway(k, fam), *rack.linklocal(k)} for k in senders]
        wait_for(f"{len(want)} next hops to {prefix}",
                 lambda: len(rack.node.route(prefix)) == len(want) and all(
                     w & set(rack.node.route(prefix)) for w in want), 10)


@case
def sessions_outlive_the_hold_time(lab, rack):
    """Keepalives go both ways: 12 s with hold time 9 s, every session keeps its uptime."""
    before = {n: p["since"] for n, p in rack.node.peers().items()}
    time.sleep(12)
    after = {n: p["since"] for n, p in rack.node.peers().items()}
    expect_eq(after, before, "since")
    expect(all(p["state"] == "Established" for p in rack.node.peers().values()), "established")


for k in KINDS:
    case(each_restart(k))


@case
def route_refresh(lab, rack):
    """A peer asks for the table again (soft reset in): it is sent, no session is lost."""
    before = {n: p["since"] for n, p in rack.node.peers().items()}
    rack.peers["frr"].vtysh("clear bgp * soft in")
    rack.peers["bird"].birdc("reload", "in", "all")
    time.sleep(2)
    for kind in ("frr", "bird"):
        wait_for(f"our blocks at {kind}", lambda: rack.peer_has_blocks(kind), 10)
    expect_eq({n: p["since"] for n, p in rack.node.peers().items()}, before, "since")


@case
def withdrawn_by_the_peer(lab, rack):
    """FRR withdraws one prefix: it goes; the other family stays."""
    frr = rack.peers["frr"]
    frr.configure("router bgp 65002", "address-family ipv4 unicast", f"no network {THEIRS[4]}")
    wait_for("FRR's IPv4 path gone", lambda: all(
        p["peer"] != "frr" for r in rack.node.ctl("routes", THEIRS[4]) for p in r["paths"]), 10)
    wait_for("three next hops", lambda: len(rack.node.route(THEIRS[4])) == 3, 10)
    expect_eq(len(rack.node.route(THEIRS[6])), len(IPV6_SENDERS), "IPv6 next hops")
    frr.configure("router bgp 65002", "address-family ipv4 unicast", f"network {THEIRS[4]}")
    wait_for("four next hops", lambda: len(rack.node.route(THEIRS[4])) == 4, 10)


@case
def own_as_is_refused(lab, rack):
    """A route with our AS in its path never becomes a path here."""
    bird = rack.peers["bird"]
    bird.options["extra"] += ("protocol static loopy { ipv4; route 203.0.113.0/24 blackhole "
                              "{ bgp_path.prepend(65100); }; }\n")
    bird.reconfigure()
    wait_for("BIRD to announce it", lambda: "203.0.113.0/24" in bird.birdc(
        "show", "route", "export", "n1"), 10)
    time.sleep(1)
    paths = [p for r in rack.node.ctl("routes", "203.0.113.0/24") for p in r["paths"] if p["best"]]
    expect_eq(paths, [], "a best path")
    expect_eq(rack.node.route("203.0.113.0/24"), [], "kernel route")


@case
def hold_timer(lab, rack):
    """A peer that falls silent (SIGSTOP) is dropped when the hold time is over, and says why."""
    p = rack.peers["gobgp"].procs[0]
    p.send_signal(signal.SIGSTOP)
    try:
        start = time.monotonic()
        wait_for("the hold timer", lambda: not established(rack, "gobgp"), 15)
        took = time.monotonic() - start
        expect(took > 5, f"dropped after {took:.1f} s, before the hold time of 9 s could end")
        error = rack.node.peers()["gobgp"]["lastError"]
        expect("hold" in error.lower(), f"lastError {error!r}")
    finally:
        p.send_signal(signal.SIGCONT)
    wait_for("GoBGP again", lambda: established(rack, "gobgp"), 40)


@case
def change_of_one_peer_leaves_the_others(lab, rack):
    """A peer removed from the resources: its session ends, all the others keep their uptime."""
    docs = [peer_doc(k, "n1", f"10.9.{i}.1", 65000 + i) for i, k in enumerate(KINDS, 1)]
    before = {n: p["since"] for n, p in rack.node.peers().items()}
    lab.write("resources.d/bgp.yaml", BGPCONF + "---\n" + "---\n".join(docs[:3]))
    wait_for("OpenBGPD's peer to be gone", lambda: "openbgpd" not in rack.node.peers(), 5)
    wait_for("three next hops", lambda: len(rack.node.route(THEIRS[4])) == 3, 10)
    after = {n: p["since"] for n, p in rack.node.peers().items()}
    expect_eq(after, {n: s for n, s in before.items() if n != "openbgpd"}, "since")
    lab.write("resources.d/bgp.yaml", BGPCONF + "---\n" + "---\n".join(docs))
    wait_for("OpenBGPD again", lambda: established(rack, "openbgpd"), 40)


if __name__ == "__main__":
    the_lab = Lab("slviop")
    the_rack = Rack(the_lab)
    try:
        the_rack.node.start()
    except BaseException:
        the_lab.close()
        raise
    main(the_lab, the_rack)
