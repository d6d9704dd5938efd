#!/usr/bin/python3
"""The plugin and felix: ADD, DEL, CHECK, VERSION per spec version, retries, kills, the spool."""
import concurrent.futures
import hashlib
import json
import os
import signal
import time

from nettest import case, expect, expect_eq, main
from lab import Lab, run, tail, wait_for
from nodes import BGPCONF, POOLS, Node, Pod, node_doc


def used(node):
    return [b["used"] for b in node.ctl("status")["ipam"]["blocks"]]


def veths(lab, node):
    return [l["ifname"] for l in lab.ip_json(node.name, "link") if l["ifname"].startswith("cali")]


def nothing_left(lab, node):
    expect_eq((used(node), node.ctl("endpoints"), veths(lab, node)), ([0, 0], [], []),
              "used, endpoints, veths")


@case
def version(lab, node):
    """VERSION names 0.3.1 to 1.0.0."""
    pod = Pod(node, "version")
    _, out = pod.cni("VERSION", env={"CNI_COMMAND": "VERSION"})
    expect({"0.3.1", "0.4.0", "1.0.0"} <= set(out["supportedVersions"]), str(out))


@case
def results_by_version(lab, node):
    """ADD's result has the form of the version asked for."""
    for v in ("0.3.1", "0.4.0", "1.0.0"):
        pod = Pod(node, "v" + v.replace(".", ""))
        conf = pod.conf(cniVersion=v)
        _, r = pod.cni("ADD", conf)
        expect_eq(r["cniVersion"], v, "cniVersion")
        expect_eq(len(r["ips"]), 2, "ips")
        for ip in r["ips"]:
            fam = "6" if ":" in ip["address"] else "4"
            expect(ip["address"].endswith("/128" if fam == "6" else "/32"), ip["address"])
            expect_eq(ip.get("version"), fam if v < "1" else None, f"version of {ip} in {v}")
            expect_eq(r["interfaces"][ip["interface"]]["name"], "eth0", "the pod's interface")
        inside = [i for i in r["interfaces"] if i.get("sandbox")]
        outside = [i for i in r["interfaces"] if not i.get("sandbox")]
        expect_eq([i["sandbox"] for i in inside], [f"/run/netns/{pod.space}"], "sandbox")
        expect(outside[0]["name"] in veths(lab, node), f"{outside} is no link")
        expect_eq({x["dst"] for x in r["routes"]}, {"0.0.0.0/0", "::/0"}, "routes")
        mac = lab.ip_json(pod.ns, "link", "show", "eth0")[0]["address"]
        expect_eq(inside[0]["mac"].lower(), mac, "mac")
        if v >= "0.4":
            pod.cni("CHECK", dict(conf, prevResult=r))
        pod.cni("DEL", dict(conf, prevResult=r))
        expect_eq(lab.ip_json(pod.ns, "link"), [l for l in lab.ip_json(pod.ns, "link")
                                                if l["ifname"] != "eth0"], "eth0 is gone")
    nothing_left(lab, node)


@case
def host_interface_name(lab, node):
    """Decision 4's name: cali + 11 hex digits of SHA-1(namespace.pod)."""
    pod = Pod(node, "named", namespace="prod")
    pod.add()
    want = "cali" + hashlib.sha1(b"prod.named").hexdigest()[:11]
    expect_eq(veths(lab, node), [want], "host interface")
    expect_eq(node.ctl("endpoints")[0]["host"], want, "nodectl endpoints")
    pod.delete()


@case
def pod_without_name(lab, node):
    """Outside an orchestrator: no K8S_POD_NAME, still an address and a name for its veth."""
    pod = Pod(node, "anon")
    env = pod.env("ADD")
    del env["CNI_ARGS"]
    pod.cni("ADD", env=env)
    expect_eq(len(veths(lab, node)), 1, "veths")
    env["CNI_COMMAND"] = "DEL"
    pod.cni("DEL", env=env)
    nothing_left(lab, node)


@case
def check_finds_damage(lab, node):
    """CHECK fails when the address, the route or the link in the pod is gone."""
    for damage in (("addr", "flush", "dev", "eth0"), ("link", "set", "eth0", "down"),
                   ("route", "del", "default")):
        pod = Pod(node, "check")
        pod.add()
        conf = pod.conf(prevResult=pod.result)
        pod.cni("CHECK", conf)
        lab.ip(pod.ns, *damage)
        code, out = pod.cni("CHECK", conf, check=False)
        expect(code != 0 and out["msg"], f"CHECK after {damage} said {out}")
        pod.delete()
        lab.del_ns(pod.ns)
    nothing_left(lab, node)


@case
def add_twice(lab, node):
    """The same ADD again is an error (IFNAME exists), and the pod keeps its address."""
    pod = Pod(node, "twice")
    pod.add()
    code, out = pod.cni("ADD", check=False)
    expect(code != 0 and out["code"], f"second ADD: {out}")
    code, text, _ = lab.exec(node.name, "ping", "-c", "1", "-W", "1", pod.address(4), check=False)
    expect_eq(code, 0, text)
    pod.delete()
    nothing_left(lab, node)


@case
def retry_with_another_container(lab, node):
    """A retry with a new container id before the old DEL: ADD takes over, the old DEL harms nothing."""
    old = Pod(node, "retry")
    old.add()
    lab.add_ns("n1-retry2")
    new = Pod.__new__(Pod)
    new.__dict__.update(old.__dict__)
    new.container, new.ns, new.space = "f" * 64, "n1-retry2", lab.space("n1-retry2")
    new.add()
    expect(set(i["address"] for i in new.result["ips"]).isdisjoint(
        i["address"] for i in old.result["ips"]), "the old address was given to the new one")
    old.delete()
    for fam in (4, 6):
        code, text, _ = lab.exec(node.name, "ping", "-c", "1", "-W", "1", new.address(fam),
                                 check=False)
        expect_eq(code, 0, text)
    expect_eq(len(node.ctl("endpoints")), 1, "endpoints")
    new.delete()
    nothing_left(lab, node)


@case
def own_netns_is_refused(lab, node):
    """CNI_NETNS that is the host's own netns: refused before anything is made."""
    pod = Pod(node, "own")
    before = lab.ip(node.name, "addr")
    env = dict(pod.env("ADD"), CNI_NETNS=f"/run/netns/{lab.space(node.name)}")
    code, out = pod.cni("ADD", env=env, check=False)
    expect(code != 0, f"ADD into the host's netns: {out}")
    expect_eq(lab.ip(node.name, "addr"), before, "the host's addresses")
    nothing_left(lab, node)


@case
def netns_is_gone(lab, node):
    """DEL succeeds when the netns is gone already."""
    pod = Pod(node, "gone")
    pod.add()
    lab.del_ns(pod.ns)
    pod.delete()
    nothing_left(lab, node)


@case
def asked_address(lab, node):
    """runtimeConfig.ips: exactly that address; one that is taken is refused by name."""
    first = Pod(node, "first")
    first.add()
    taken = first.address(4)
    second = Pod(node, "second")
    conf = second.conf(runtimeConfig={"ips": [taken + "/32"]})
    code, out = second.cni("ADD", conf, check=False)
    expect(code != 0 and taken in out["msg"] + out.get("details", ""), str(out))
    block = [b["cidr"] for b in node.ctl("status")["ipam"]["blocks"] if ":" not in b["cidr"]][0]
    want = block.rsplit(".", 1)[0] + "." + str(int(block.rsplit(".", 1)[1].split("/")[0]) + 40)
    conf = second.conf(runtimeConfig={"ips": [want]})
    _, second.result = second.cni("ADD", conf)
    expect_eq(second.address(4), want, "address")
    first.delete()
    second.delete()
    nothing_left(lab, node)


@case
def sixteen_at_a_time(lab, node):
    """32 pods, 16 at a time: all different, all reachable; all gone after DEL."""
    pods = [Pod(node, f"many-{i}") for i in range(32)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(Pod.add, pods))
    addresses = [p.address(f) for p in pods for f in (4, 6)]
    expect_eq(len(set(addresses)), 64, "different addresses")
    for p in pods[::5]:
        code, text, _ = lab.exec(node.name, "ping", "-c", "1", "-W", "1", p.address(6),
                                 check=False)
        expect_eq(code, 0, text)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(Pod.delete, pods))
    for p in pods:
        lab.del_ns(p.ns)
    nothing_left(lab, node)


@case
def block_exhausted(lab, node):
    """A full block: ADD says so and names it; the address that is freed serves again later."""
    full = Node(lab, "n2", 64513, ["10.7.1.2/24"], lab.mkdir("small.d"))
    lab.add_ns("n2")
    lab.link("n2", "eth0", "tor", "n2", ["10.7.1.2/24"], ["10.7.1.1/24"])
    lab.write("small.d/a.yaml", "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: "
              "{name: tiny}\nspec: {cidr: 10.250.0.0/24, blockSize: 30}\n---\n" + BGPCONF)
    full.start()
    try:
        pods = [Pod(full, f"e{i}") for i in range(5)]
        for p in pods[:4]:
            p.add()
        code, out = pods[4].cni("ADD", check=False)
        text = out["msg"] + out.get("details", "")
        expect(code != 0 and ("10.250.0." in text or "tiny" in text), text)
        blocks = full.ctl("status")["ipam"]["blocks"]
        expect_eq([(b["used"], b["free"]) for b in blocks], [(4, 0)], "block")
        for p in pods[:4]:
            p.delete()
        blocks = full.ctl("status")["ipam"]["blocks"]
        expect_eq([(b["used"], b["cooling"]) for b in blocks], [(0, 4)], "cooling after DEL")
    finally:
        full.stop()


CHOICE = """apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: plain}
spec: {cidr: 10.251.0.0/24, blockSize: 28}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: plain6}
spec: {cidr: "fd00:251::/64", blockSize: 124}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: red}
spec: {cidr: 10.252.0.0/24, blockSize: 28, namespaceSelector: team == "red"}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: manual}
spec: {cidr: 10.253.0.0/24, blockSize: 28, assignmentMode: Manual}
---
apiVersion: projectcalico.org/v3
kind: BlockAffinity
metadata: {name: n3-manual}
spec: {node: n3, cidr: 10.253.0.16/28, state: confirmed}
---
apiVersion: v1
kind: Namespace
metadata: {name: reds, labels: {team: red}}
---
apiVersion: v1
kind: Namespace
metadata:
  name: manuals
  annotations: {cni.projectcalico.org/ipv4pools: '["manual"]',
                cni.projectcalico.org/ipFamilies: '["IPv4"]'}
---
"""


@case
def pools_by_namespace_annotation_and_configuration(lab, node):
    """Which pool gives the address: selectors, annotations of namespace and pod, the conflist."""
    here = Node(lab, "n3", 64514, ["10.7.2.2/24"], lab.mkdir("choice.d"))
    lab.add_ns("n3")
    lab.link("n3", "eth0", "tor", "n3", ["10.7.2.2/24"], ["10.7.2.1/24"])
    lab.write("choice.d/a.yaml", CHOICE + BGPCONF)
    here.start()
    count = iter(range(100))

    def add(namespace="default", notes=None, ipam=None, check=True):
        pod = Pod(here, f"ch{next(count)}", namespace)
        conf = pod.conf(ipam=dict({"type": "selvage-ipam"}, **(ipam or {})))
        if notes:
            conf["runtimeConfig"] = {"io.kubernetes.cri.pod-annotations": {
                "cni.projectcalico.org/" + k: v for k, v in notes.items()}}
        code, out = pod.cni("ADD", conf, check=check)
        if code:
            return out
        got = sorted(i["address"].rsplit("." if "." in i["address"] else "::", 1)[0]
                     for i in out["ips"])
        pod.delete()
        return got

    try:
        expect_eq(add(), ["10.251.0", "fd00:251"], "a pod of any namespace")
        expect_eq(add(notes={"ipv4pools": '["red"]'}), ["10.252.0", "fd00:251"],
                  "past the selector by annotation")
        expect_eq(add("manuals"), ["10.253.0"], "its namespace's annotations")
        expect_eq(add("manuals", {"ipFamilies": '["IPv6"]'}), ["fd00:251"], "the pod's wins")
        expect_eq(add(ipam={"assign_ipv4": "true", "assign_ipv6": "false"}), ["10.251.0"],
                  "assign_ipv6 false")
        expect_eq(add(ipam={"ipv4_pools": ["10.252.0.0/24"]}), ["10.252.0", "fd00:251"],
                  "ipv4_pools")
        expect_eq(add(notes={"ipAddrs": '["10.253.0.20"]'}), ["10.253.0"], "ipAddrs")
        # Where two pools may serve, the first by name has room; a red pod may have either.
        lab.write("choice.d/b.yaml", "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: "
                  "{name: aa-red}\nspec: {cidr: 10.254.0.0/24, blockSize: 28, "
                  "namespaceSelector: team == 'red'}\n")
        wait_for("the new pool's block", lambda: len(used(here)) == 5, 5)
        expect_eq(add("reds"), ["10.254.0", "fd00:251"], "a red pod")
        expect_eq(add(), ["10.251.0", "fd00:251"], "no other")
        for notes, word in (({"ipv4pools": '["nope"]'}, "no such IPPool"),
                            ({"ipv4pools": "plain"}, "JSON list"),
                            ({"ipAddrsNoIpam": '["10.251.0.3"]'}, "ipAddrsNoIpam")):
            out = add(notes=notes, check=False)
            expect(out["code"] == 7 and word in out["msg"], f"{notes}: {out}")
        out = add(notes={"ipAddrs": '["192.0.2.1"]'}, check=False)
        expect(out["code"] == 102 and "no IPPool" in out["msg"], str(out))
        expect_eq((sum(used(here)), here.ctl("endpoints")), (0, []), "nothing is left")
        pod = Pod(here, "mac")
        _, out = pod.cni("ADD", pod.conf(runtimeConfig={"io.kubernetes.cri.pod-annotations": {
            "cni.projectcalico.org/hwAddr": "02:11:22:33:44:55"}}))
        expect_eq([i["mac"] for i in out["interfaces"] if i.get("sandbox")], ["02:11:22:33:44:55"],
                  "hwAddr")
        pod.delete()
    finally:
        here.stop()


@case
def felix_killed_during_adds(lab, node):
    """SIGKILL of felix under ADDs: every answer given holds, no address twice, nothing leaks."""
    pods = [Pod(node, f"kill-{i}") for i in range(24)]

    def add(pod):
        code, out = pod.cni("ADD", check=False)
        pod.result = out if code == 0 else None
        return code

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        work = [pool.submit(add, p) for p in pods]
        for _ in range(3):
            time.sleep(0.08)
            pid = node.daemon_pid("felix")
            if pid:
                os.kill(pid, signal.SIGKILL)
        for w in work:
            w.result()
    node.wait_ready()
    given = [p.address(f) for p in pods if p.result for f in (4, 6)]
    expect_eq(len(set(given)), len(given), "addresses given once")
    held = [a.split("/")[0] for e in node.ctl("endpoints") for a in e["addresses"]]
    expect(set(given) <= set(held), f"answered but not held: {set(given) - set(held)}")
    for p in pods:
        if p.result:
            code, text, _ = lab.exec(node.name, "ping", "-c", "1", "-W", "2", p.address(4),
                                     check=False)
            expect_eq(code, 0, f"{p.name}: {text}")
    for p in pods:
        p.delete()
        lab.del_ns(p.ns)
    wait_for("nothing left", lambda: (used(node), node.ctl("endpoints"), veths(lab, node))
             == ([0, 0], [], []), 10)


@case
def del_while_noded_is_away(lab, node):
    """DEL while nothing runs is spooled and succeeds; the next start carries it out."""
    pod = Pod(node, "spooled")
    pod.add()
    node.stop()
    pod.delete()
    spool = os.path.join(node.run_dir, "spool")
    expect(os.listdir(spool), "nothing in the spool")
    code, out = Pod(node, "away").cni("ADD", check=False)
    expect_eq((code != 0, out["code"]), (True, 11), "ADD while away")
    node.start()
    wait_for("the spool to be drained", lambda: os.listdir(spool) == [], 5)
    nothing_left(lab, node)


@case
def restart_keeps_leases(lab, node):
    """noded restarted: leases, endpoints and routes are those of before; no address is reused."""
    a = Pod(node, "before")
    a.add()
    node.stop()
    node.start()
    eps = node.ctl("endpoints")
    expect_eq([e["name"] for e in eps], ["before"], "endpoints")
    b = Pod(node, "after")
    b.add()
    expect(a.address(4) != b.address(4) and a.address(6) != b.address(6), "one address twice")
    for p in (a, b):
        got, _, out = p.ping("10.7.0.2")
        expect_eq(got, 1, out)
        p.delete()
    nothing_left(lab, node)


@case
def cycles_leave_nothing(lab, node):
    """20 ADD/DEL cycles: descriptors of felix, links and routes are as before."""
    pid = node.daemon_pid("felix")
    pod = Pod(node, "cycle")

    def state():
        return (len(os.listdir(f"/proc/{pid}/fd")), len(lab.ip_json(node.name, "link")),
                lab.exec(node.name, "ip", "-4", "route")[1].count("\n"))

    pod.add()
    pod.delete()
    # What earlier cases opened is closed when the loop has seen it.
    time.sleep(0.5)
    before = state()
    for _ in range(20):
        pod.add()
        pod.delete()
    wait_for(f"descriptors, links and routes as before: {before}", lambda: state() == before, 5)
    nothing_left(lab, node)


if __name__ == "__main__":
    the_lab = Lab("slvcni")
    the_lab.add_ns("n1")
    the_lab.add_ns("tor")
    the_lab.link("n1", "eth0", "tor", "n1", ["10.7.0.2/24", "fd00:7::2/64"], ["10.7.0.1/24"])
    # Addresses cool down for 60 s: the blocks are larger than what the cases use up.
    pools = POOLS.replace("blockSize: 26", "blockSize: 24").replace("122", "120")
    the_lab.write("resources.d/a.yaml", pools + "---\n" + BGPCONF + "---\n" + node_doc("n1"))
    the_node = Node(the_lab, "n1", 64512, ["10.7.0.2/24", "fd00:7::2/64"],
                    the_lab.path("resources.d"))
    try:
        the_node.start()
    except BaseException:
        print(tail(the_node.log, 30))
        the_lab.close()
        raise
    main(the_lab, the_node)
