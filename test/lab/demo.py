#!/usr/bin/python3
"""The demo: a rack in network namespaces on this one machine, shown step by step.

    demo.py [--keep | --down]

Two ToR switches (FRR and BIRD), three nodes with noded, six pods. Every claim is proved; the exit
status is 0 only if every proof held.
"""
import argparse
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import Lab, LabError, tail, wait_for  # noqa: E402
from nodes import Fabric, Pod, binary  # noqa: E402

PREFIX = "selvage"
TTY = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if TTY else text


def bold(text):
    return paint("1", text)


def green(text):
    return paint("32", text)


def red(text):
    return paint("31", text)


def cyan(text):
    return paint("36", text)


def dim(text):
    return paint("2", text)


class Demo:
    def __init__(self, lab):
        self.lab = lab
        self.proofs = 0
        self.broken = []
        self.fabric = None
        self.pods = []

    def title(self, text):
        print("\n" + bold(f"== {text}"), flush=True)

    def say(self, text):
        print("   " + text, flush=True)

    def show(self, command, text, limit=24):
        print("   " + cyan("$ " + command))
        lines = text.rstrip().splitlines()
        for line in lines[:limit]:
            print("   " + dim("|") + " " + line)
        if len(lines) > limit:
            print("   " + dim(f"| ... {len(lines) - limit} more lines"))
        sys.stdout.flush()

    def prove(self, text, ok, detail=""):
        self.proofs += 1
        mark = green("  ok  ") if ok else red(" FAIL ")
        print(f"   [{mark}] {text}" + (f" {dim('(' + detail + ')')}" if detail else ""),
              flush=True)
        if not ok:
            self.broken.append(f"{text} ({detail})")

    def waiting(self, what, fn):
        """A step that takes long: says what it waits for and how long it took."""
        start = time.monotonic()
        print(f"   ... {what} ", end="", flush=True)
        value = fn()
        print(green("done") + dim(f" {time.monotonic() - start:.1f} s"), flush=True)
        return value

    # --- the steps ---

    def topology(self):
        self.title("The rack: two real ToR switches, three nodes, a link from each node to each ToR")
        for row in (
                f"              {bold('tor1')} FRR, AS 65001      {bold('tor2')} BIRD, AS 65002",
                "               |    |    |            |    |    |",
                "               |    |    '------------)----)--. |",
                "               |    '----------.  .---'    |  | |",
                "               |  .------------)--)--------'  | |",
                "              _|__|_          _|__|_         _|_|__",
                f"             |  {bold('n1')}  |        |  {bold('n2')}  |       |  {bold('n3')}  |"
                "   AS 65101, 65102, 65103",
                "             '------'        '------'       '------'",
                "              /    \\          /    \\         /    \\",
                "          pod-1  pod-2     pod-3  pod-4    pod-5  pod-6"):
            print("   " + row)
        self.say("")
        self.say("each line is a link with one eBGP session on it, for IPv4 and IPv6 together")
        self.say("pods get addresses of 10.244.0.0/16 (a /26 a node) and fd00:10:244::/48 (a /122 a node):")
        self.say("routed, no overlay, no bridge, no NAT")

    def bring_up(self):
        self.title("Starting it")
        self.fabric = Fabric(self.lab)
        for tor, kind in zip(self.fabric.tors, ("FRR", "BIRD")):
            self.waiting(f"{tor.name}: {kind}, the distribution's own", tor.start)
        for node in self.fabric.nodes:
            self.waiting(f"{node.name}: noded -c {node.dir}/node.yaml", node.start)
        self.blocks = self.waiting("BGP converges: every node has two ways to every other block",
                                   self.fabric.wait_converged)
        for node in self.fabric.nodes:
            self.say(f"{node.name} owns {', '.join(self.blocks[node.name])}")
        every = sum(self.blocks.values(), [])
        self.prove("every node has a block of each family, none twice",
                   len(every) == 6 and len(set(every)) == 6)

    def add_pods(self):
        self.title("Six pods, added by the CNI binary exactly as containerd runs it")
        for i, node in enumerate(self.fabric.nodes):
            for k in (1, 2):
                pod = Pod(node, f"pod-{2 * i + k}", labels={"app": "demo"})
                pod.add()
                self.pods.append(pod)
                self.say(f"{pod.name} on {node.name}: {pod.address(4):15} {pod.address(6):24} "
                         + dim(f"CNI ADD {pod.add_ms:.1f} ms"))
        pod = self.pods[0]
        self.show("CNI_COMMAND=ADD CNI_CONTAINERID=... CNI_NETNS=... CNI_IFNAME=eth0 selvage "
                  "< conf.json", json.dumps(pod.result, indent=2), limit=60)
        addresses = [p.address(f) for p in self.pods for f in (4, 6)]
        self.prove("twelve addresses, none twice", len(set(addresses)) == 12)

    def status(self):
        node = self.fabric.nodes[0]
        self.title("What a node says of itself")
        self.show(f"nodectl -s {node.run_dir} status", node.ctl_text("status"), limit=40)
        self.prove("every node is ready and has two established sessions",
                   all(n.ctl("status")["ready"] and sum(
                       p["state"] == "Established" for p in n.peers().values()) == 2
                       for n in self.fabric.nodes))
        pod = self.pods[0]
        self.title("What a pod sees: one address of each family and a default route, no subnet")
        self.show(f"ip netns exec {pod.space} ip addr show eth0",
                  pod.exec("ip", "-br", "addr", "show", "eth0")[1])
        self.show(f"ip netns exec {pod.space} ip route; ip -6 route",
                  pod.exec("ip", "route")[1] + pod.exec("ip", "-6", "route")[1])

    def tor_views(self):
        self.title("What the two ToRs say, in their own words")
        frr, bird = self.fabric.tors
        self.show("vtysh -c 'show bgp ipv4 unicast'   (tor1, FRR)",
                  frr.vtysh("show bgp ipv4 unicast"))
        self.show("birdc show route   (tor2, BIRD)", bird.birdc(
            "show", "route", "table", "master6"))
        for tor in self.fabric.tors:
            seen = {**tor.routes(4), **tor.routes(6)}
            missing = [b for n in self.fabric.nodes for b in self.blocks[n.name] if b not in seen]
            self.prove(f"{tor.name} has the blocks of all three nodes, both families",
                       not missing, ", ".join(missing) or f"{len(seen)} routes")

    def ecmp(self):
        self.title("ECMP: a node spreads its flows over both ToRs")
        a, b = self.fabric.nodes[0], self.fabric.nodes[1]
        for fam in (4, 6):
            block = self.fabric.blocks(b, fam)[0]
            flag = "-6" if fam == 6 else "-4"
            self.show(f"ip -n {self.lab.space(a.name)} {flag} route show {block}; ip nexthop",
                      a.route_text(block))
            self.prove(f"{a.name} has two next hops to {block} of {b.name}",
                       len(a.route(block)) == 2, " ".join(a.route(block)))

    def tor_packets(self):
        total = []
        for tor in self.fabric.tors:
            total.append(sum(link.get("stats64", {}).get("rx", {}).get("packets", 0)
                             for link in self.lab.ip_json(tor.name, "-s", "link")
                             if link["ifname"] != "lo"))
        return total

    def reach(self):
        self.title("Pods of different nodes reach each other, through the ToRs")
        for fam in (4, 6):
            bad, ttls = [], set()
            for a in self.pods:
                for b in self.pods:
                    if a.node is b.node:
                        continue
                    got, seen, _ = a.ping(b.address(fam))
                    ttls.update(seen)
                    if got != 1:
                        bad.append(f"{a.name} -> {b.name}")
            self.prove(f"IPv{fam}: 24 pairs of pods answer the first ping", not bad,
                       ", ".join(bad))
            self.prove(f"IPv{fam}: TTL 61 = 64 less three hops: node, ToR, node", ttls == {61},
                       f"TTLs {sorted(ttls)}")
            got, ttls, _ = self.pods[0].ping(self.pods[1].address(fam))
            self.prove(f"IPv{fam}: two pods of one node: TTL 63, one hop", ttls == [63],
                       f"TTLs {ttls}")
        for fam in (4, 6):
            before = self.tor_packets()
            a, b = self.pods[0], self.pods[4]
            size, seconds = transfer(self.lab, a, b, fam)
            after = self.tor_packets()
            crossed = [y - x for x, y in zip(before, after)]
            self.prove(f"IPv{fam}: TCP, {size >> 20} MiB from {a.name} to {b.name}, every byte compared",
                       size > 0, f"{size * 8 / seconds / 1e9:.1f} Gbit/s")
            self.prove(f"IPv{fam}: and the ToRs forwarded it", sum(crossed) * 1400 > size // 40,
                       f"packets: tor1 {crossed[0]}, tor2 {crossed[1]}")

    def kill_tor(self):
        self.title("One ToR dies: tor2 is killed and its links go down, while pods talk")
        a, b = self.pods[0], self.pods[5]
        ping = self.lab.spawn(a.ns, "ping", "-n", "-D", "-i", "0.01", "-c", "600", "-W", "1",
                              b.address(4), log="killed-tor-ping.log")
        ping6 = self.lab.spawn(a.ns, "ping", "-n", "-D", "-i", "0.01", "-c", "600", "-W", "1",
                               b.address(6), log="killed-tor-ping6.log")
        time.sleep(1)
        tor = self.fabric.tors[1]
        tor.stop(signal.SIGKILL)
        for n in self.fabric.nodes:
            self.lab.ip(tor.name, "link", "set", n.name, "down")
        self.waiting("600 pings of each family, one every 10 ms", lambda: (
            ping.wait(timeout=30), ping6.wait(timeout=30)))
        for fam, p in ((4, ping), (6, ping6)):
            with open(p.log_path) as f:
                text = f.read()
            gap = longest_gap(text)
            m = re.search(r"(\d+) packets transmitted, (\d+) received", text)
            self.prove(f"IPv{fam}: traffic goes on over tor1", gap is not None and gap < 2.0 and
                       text.count("ttl=") > 400,
                       f"{m.group(2)} of {m.group(1)} answered, longest gap "
                       f"{gap * 1000:.0f} ms" if m and gap is not None else tail(p.log_path, 3))
        node = self.fabric.nodes[0]
        block = self.fabric.blocks(self.fabric.nodes[2], 4)[0]
        wait_for("the dead ToR's next hop to be gone", lambda: len(node.route(block)) == 1, 15)
        self.show(f"ip -n {self.lab.space(node.name)} route show {block}; ip nexthop",
                  node.route_text(block))
        self.show(f"nodectl -s {node.run_dir} peers", node.ctl_text("peers"))
        self.prove("every pair of pods still answers, both families", all(
            x.ping(y.address(f), wait=2)[0] == 1
            for x in self.pods for y in self.pods for f in (4, 6) if x.node is not y.node))

    def revive_tor(self):
        self.title("It comes back")
        tor = self.fabric.tors[1]
        for n in self.fabric.nodes:
            self.lab.ip(tor.name, "link", "set", n.name, "up")
            # A link that went down has lost its IPv6 addresses.
            self.lab.ip(tor.name, "addr", "replace", f"fd00:2:{n.name[1:]}::1/64", "dev", n.name,
                        "nodad")
        tor.start()
        self.waiting("tor2 is taken in again", lambda: self.fabric.wait_converged(60))
        self.prove("every node has two next hops to every block again", True)

    def remove_pods(self):
        self.title("Pods leave: CNI DEL")
        for pod in self.pods:
            pod.delete()
            self.say(f"{pod.name}: " + dim(f"CNI DEL {pod.last_ms:.1f} ms"))
        left = sum(n.ctl("status")["endpoints"]["total"] for n in self.fabric.nodes)
        veths = [link["ifname"] for n in self.fabric.nodes
                 for link in self.lab.ip_json(n.name, "link") if link["ifname"].startswith("cali")]
        self.prove("no endpoint and no interface is left", left == 0 and not veths,
                   " ".join(veths))

    def hints(self):
        self.title("It is all still up. Try:")
        n, lab = self.fabric.nodes[0], self.lab
        p, q = self.pods[0], self.pods[4]
        ctl = f"{binary('nodectl/nodectl')} -s {n.run_dir}"
        for text, cmd in (
                ("how is n1?", f"{ctl} status"),
                ("one route and why its path was chosen", f"{ctl} routes {self.blocks['n2'][0]}"),
                ("a shell in a pod", f"ip netns exec {p.space} bash"),
                ("trace the way from pod-1 to pod-5",
                 f"ip netns exec {p.space} ping -R -c 1 {q.address(4)}"),
                ("cut a link and look", f"ip -n {lab.space('n1')} link set tor1 down"),
                ("what tor2 thinks", f"birdc -s {self.fabric.tors[1].sock} show protocols"),
                ("change the resources", f"ls {self.fabric.resources}"),
                ("take it all away", "./bootstrap demo --down")):
            print(f"   {text:40} {cyan(cmd)}")


def transfer(lab, a, b, fam, size=64 << 20):
    """size bytes of a known pattern over TCP from a to b, checked there; (bytes, seconds)."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transfer.py")
    server = lab.spawn(b.ns, "/usr/bin/python3", script, "serve", b.address(fam), "5001",
                       log=f"transfer-{fam}.log")
    wait_for("the receiver", lambda: "listening" in open(server.log_path).read(), 10)
    start = time.monotonic()
    code, out, err = a.exec("/usr/bin/python3", script, "send", b.address(fam), "5001", str(size),
                            check=False, timeout=120)
    seconds = time.monotonic() - start
    server.wait(timeout=30)
    lab.procs.remove(server)
    if code != 0 or server.returncode != 0:
        print(out, err, tail(server.log_path))
        return 0, seconds
    return size, seconds


def longest_gap(text):
    """Seconds between two answers at the most, from `ping -D`."""
    times = [float(t) for t in re.findall(r"^\[(\d+\.\d+)\].*ttl=", text, re.M)]
    if len(times) < 2:
        return None
    return max(b - a for a, b in zip(times, times[1:]))


def main():
    parser = argparse.ArgumentParser(prog="bootstrap demo", description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave it up and say what to try")
    parser.add_argument("--down", action="store_true", help="take away what --keep left")
    args = parser.parse_args()
    if Lab.sweep(PREFIX):
        print(dim("an earlier lab was up; it has been taken away"))
    if args.down:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    start = time.monotonic()
    lab = Lab(PREFIX)
    demo = Demo(lab)
    try:
        demo.topology()
        demo.bring_up()
        demo.add_pods()
        demo.status()
        demo.tor_views()
        demo.ecmp()
        demo.reach()
        demo.kill_tor()
        demo.revive_tor()
        if args.keep:
            lab.keep = True
            demo.hints()
        else:
            demo.remove_pods()
    except (LabError, SystemExit, KeyboardInterrupt) as e:
        demo.broken.append(f"stopped: {e or type(e).__name__}")
        print(red(f"\n   stopped: {e or type(e).__name__}"))
        for node in demo.fabric.nodes if demo.fabric else []:
            print(f"   --- the end of {node.name}'s log\n{tail(node.log, 8)}")
    finally:
        lab.close()
    print()
    if demo.broken:
        print(red(f"{len(demo.broken)} of {demo.proofs} proofs did not hold:"))
        for b in demo.broken:
            print("   " + b)
        return 1
    print(green(f"All {demo.proofs} proofs held") + f" in {time.monotonic() - start:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
