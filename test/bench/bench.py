#!/usr/bin/python3
"""The benchmarks: figures beside the peers that Debian packages, measured in this one run.

    bench.py [NAME...]      memory cni first-ping failover kube-cni kube-burst kube-restart

Machines are noisy: what compares is the ratio within a run. Nothing here passes or fails.
"""
import ctypes
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from lab import Lab, binary  # noqa: E402
from nodes import Fabric, Pod  # noqa: E402
import bench_kube  # noqa: E402

REFERENCE = "/usr/lib/cni"


def table(title, rows):
    print(f"\n{title}")
    widths = [max(len(str(r[i])) for r in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(str(c).ljust(w) for c, w in zip(row, widths)).rstrip(), flush=True)


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))


def memory(lab, fabric):
    """Proportional set size of the three daemons of one node at rest."""
    node = fabric.nodes[0]
    time.sleep(2)
    rows, total = [("daemon", "PSS KiB")], 0
    for d in node.ctl("status")["daemons"]:
        pss = pss_kib(d["pid"])
        total += pss
        rows.append((d["name"], pss))
    rows.append(("together", f"{total}  (aim: at most 12288)"))
    table("Memory of a node at rest: 2 sessions, pods of the node: "
          f"{node.ctl('status')['endpoints']['total']}", rows)


def reference_conf(lab, name, subnets, routes):
    return {"cniVersion": "1.0.0", "name": name, "type": "ptp", "ipMasq": False,
            "ipam": {"type": "host-local", "dataDir": lab.mkdir(name),
                     "ranges": [[{"subnet": s}] for s in subnets],
                     "routes": [{"dst": r} for r in routes]}}


def timed(lab, node, plugin, conf, command, space, container):
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CNI_COMMAND": command,
           "CNI_CONTAINERID": container, "CNI_NETNS": f"/run/netns/{space}", "CNI_IFNAME": "eth0",
           "CNI_PATH": REFERENCE,
           "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=p{container[:8]}"}
    # Entered before the clock starts: what is timed is fork, exec and the plugin.
    start = time.monotonic()
    p = subprocess.run([plugin], input=json.dumps(conf), capture_output=True, text=True, env=env)
    took = (time.monotonic() - start) * 1000
    if p.returncode != 0:
        raise SystemExit(f"{plugin} {command}: {p.stdout} {p.stderr}")
    return took


def cni(lab, fabric, rounds=30):
    """ADD and DEL beside ptp + host-local, in turn, one at a time.

    ptp waits about two seconds for IPv6's duplicate-address detection, so it runs for IPv4 alone too.
    """
    node = fabric.nodes[0]
    # This process enters the node's netns, as a runtime is in the host's.
    fd = os.open(f"/run/netns/{lab.space(node.name)}", os.O_RDONLY)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    ours = {"cniVersion": "1.0.0", "name": "bench", "type": "selvage", "run": node.run_dir,
            "ipam": {"type": "selvage-ipam"}}
    figures = {}
    lab.add_ns("bench-pod")
    space = lab.space("bench-pod")
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if libc.setns(fd, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        for i in range(rounds + 3):
            for name, plugin, conf in (
                    ("selvage", binary("cni/selvage"), ours),
                    ("ptp", f"{REFERENCE}/ptp", reference_conf(
                        lab, "ptp-dual", ["10.66.0.0/16", "fd66::/64"], ["0.0.0.0/0", "::/0"])),
                    ("ptp4", f"{REFERENCE}/ptp", reference_conf(
                        lab, "ptp-four", ["10.67.0.0/16"], ["0.0.0.0/0"]))):
                container = uuid.uuid4().hex
                for command in ("ADD", "DEL"):
                    ms = timed(lab, node, plugin, conf, command, space, container)
                    if i >= 3:
                        figures.setdefault((name, command), []).append(ms)
    finally:
        libc.setns(home, 0)
        os.close(fd)
        os.close(home)
    rows = [("plugin", "verb", "p50 ms", "p90 ms", "selvage's p50 in ratio")]
    for name, text in (("selvage", "selvage, both families"), ("ptp", "ptp + host-local, both"),
                       ("ptp4", "ptp + host-local, IPv4 only")):
        for command in ("ADD", "DEL"):
            f, ours_f = figures[name, command], figures["selvage", command]
            rows.append((text, command, f"{statistics.median(f):.2f}",
                         f"{statistics.quantiles(f, n=10)[8]:.2f}",
                         f"{statistics.median(ours_f) / statistics.median(f):.3f}"))
    table(f"CNI, {rounds} rounds in turn, one at a time", rows)


def first_ping(lab, fabric, rounds=10):
    """From ADD's answer to the first ping answered by a pod of another node."""
    other = Pod(fabric.nodes[1], "target")
    other.add()
    figures = {4: [], 6: []}
    for i in range(rounds):
        for fam in (4, 6):
            pod = Pod(fabric.nodes[0], f"ping{i}-{fam}")
            pod.add()
            start = time.monotonic()
            lost = 0
            while pod.ping(other.address(fam), wait=1)[0] != 1:
                lost += 1
                if lost > 20:
                    raise SystemExit("no answer at all")
            figures[fam].append(((time.monotonic() - start) * 1000, lost))
            pod.delete()
            lab.del_ns(pod.ns)
    rows = [("family", "p50 ms", "max ms", "pings lost")]
    for fam, values in figures.items():
        ms = [v[0] for v in values]
        rows.append((f"IPv{fam}", f"{statistics.median(ms):.1f}", f"{max(ms):.1f}",
                     sum(v[1] for v in values)))
    table(f"From ADD's answer to the first ping answered across the fabric, {rounds} pods each "
          "(the ping program's own start included)", rows)
    other.delete()


def gap_of(path):
    with open(path) as f:
        times = [float(t) for t in re.findall(r"^\[(\d+\.\d+)\].*ttl=", f.read(), re.M)]
    return max((b - a for a, b in zip(times, times[1:])), default=float("nan")) * 1000


def failover(lab, fabric):
    """A ToR dies in two ways while pods ping each other every 5 ms: the longest gap."""
    a, b = Pod(fabric.nodes[0], "fo-a"), Pod(fabric.nodes[2], "fo-b")
    a.add()
    b.add()
    rows = [("what dies", "IPv4 longest gap ms", "IPv6 longest gap ms")]
    tor = fabric.tors[1]
    for what in ("links down", "daemon killed"):
        pings = [lab.spawn(a.ns, "ping", "-n", "-D", "-i", "0.005", "-c", "800", "-W", "1",
                           b.address(fam), log=f"failover-{what[:5]}-{fam}.log") for fam in (4, 6)]
        time.sleep(1)
        if what == "links down":
            for n in fabric.nodes:
                lab.ip(tor.name, "link", "set", n.name, "down")
        else:
            tor.stop(signal.SIGKILL)
        for p in pings:
            p.wait(timeout=60)
        rows.append((what, *(f"{gap_of(p.log_path):.0f}" for p in pings)))
        if what == "links down":
            for n in fabric.nodes:
                lab.ip(tor.name, "link", "set", n.name, "up")
                lab.ip(tor.name, "addr", "replace", f"fd00:2:{n.name[1:]}::1/64", "dev", n.name,
                       "nodad")
            fabric.wait_converged(60)
    table("One of two ToRs dies: time to forward again (pings every 5 ms)", rows)


BENCHES = {"memory": memory, "cni": cni, "first-ping": first_ping, "failover": failover}


def main():
    every = [*BENCHES, *bench_kube.BENCHES]
    names = sys.argv[1:] or every
    unknown = [n for n in names if n not in every]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(every)}")
        return 2
    fabric_names = [n for n in names if n in BENCHES]
    kube_names = [n for n in names if n in bench_kube.BENCHES]
    if fabric_names:
        with Lab("slvbch") as lab:
            fabric = Fabric(lab)
            fabric.start()
            fabric.wait_converged()
            for name in fabric_names:
                BENCHES[name](lab, fabric)
    if kube_names:
        with Lab("slvbck") as lab:
            bench_kube.run(lab, kube_names, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
